//! `onsager top`, and what `onsager run` shows in a terminal.

mod common;

use common::terminal::Terminal;
use common::{Project, ran, until};
use std::process::Child;

const SLOW: &str = r#"
name: slow
stages:
  quick: {kind: command, run: 'echo quick words; echo 1 > ${outputs.one}', outputs: {one: one.txt}}
  slow:
    kind: command
    inputs: {one: quick.one}
    run: 'echo slow words; [ -e go ] || { touch waits; sleep 600; }; cp ${inputs.one} ${outputs.two}'
    outputs: {two: two.txt}
"#;

/// The run in the background, once its slow task waits.
fn going(project: &Project) -> Child {
    let run = project.spawn(&["--keep-going"]);
    until("it waits", || project.path("waits").exists());
    run
}

#[test]
fn without_a_terminal_it_says_what_else_there_is() {
    let project = Project::new(SLOW);
    let none = project.onsager(&["top"]);
    assert_eq!(none.status, 2);
    assert!(none.stderr.contains("there is no store in this folder"), "{}", none.stderr);
    project.write("go", "");
    assert_eq!(project.run(&[]).status, 0);
    let piped = project.onsager(&["top"]);
    assert_eq!(
        (piped.status, piped.stderr.as_str()),
        (
            2,
            "error: `onsager top` draws on a terminal, and standard input and output are no terminal; `onsager status` and \
             `onsager log` print the same as lines\n"
        )
    );
    let wrong = project.onsager(&["top", "nonsense"]);
    assert!(wrong.stderr.contains("there is no run `nonsense`"), "{}", wrong.stderr);
    let Some(dumb) = Terminal::of(&project, "top", &[("TERM", "dumb")]) else { return };
    let (code, text) = dumb.end();
    assert_eq!(code, 2);
    assert!(text.contains("this terminal cannot draw (`TERM` is `dumb` or not set)"), "{text}");
}

#[test]
fn a_run_that_is_over_is_shown() {
    let project = Project::new(SLOW);
    project.write("go", "");
    assert_eq!(project.run(&[]).status, 0);
    let Some(mut top) = Terminal::of(&project, "top last", &[]) else { return };
    top.wait_for("2 of 2 tasks");
    top.wait_for("executed    slow");
    top.wait_for("quick words");
    top.press("c");
    top.wait_for("the run is over");
    top.press("q");
    let (code, text) = top.end();
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("\u{1b}[32m") || text.contains("\u{1b}[38;5;2;"), "no colour in {text:?}");
    // The terminal is as it was.
    assert!(
        text.contains("\u{1b}[?1049h") && text.contains("\u{1b}[?1049l") && text.contains("\u{1b}[?25h"),
        "{text:?}"
    );
    let Some(mut plain) = Terminal::of(&project, "top last", &[("NO_COLOR", "1")]) else { return };
    plain.wait_for("2 of 2 tasks");
    plain.press("q");
    let (_, text) = plain.end();
    assert!(!text.contains("\u{1b}[32m") && !text.contains("\u{1b}[38;5;"), "{text:?}");
}

#[test]
fn one_task_is_cancelled_and_the_run_ends_by_itself() {
    let project = Project::new(SLOW);
    let run = going(&project);
    let Some(mut top) = Terminal::of(&project, "top", &[]) else {
        let _ = ran(stopped(run));
        return;
    };
    top.wait_for("slow words");
    top.press("c");
    top.wait_for("cancel slow?");
    top.press("n");
    top.wait_for("choose");
    top.press("c");
    top.press("y");
    top.wait_for("asked to cancel slow");
    let ended = ran(run.wait_with_output().expect("it ends"));
    assert_eq!(ended.status, 130, "{}", ended.stderr);
    assert!(ended.stderr.contains("note: slow: cancelled on request"), "{}", ended.stderr);
    assert!(ended.stdout.contains("interrupted: 1 task; give the same command to go on"), "{}", ended.stdout);
    top.wait_for("interrupted");
    top.press("q");
    assert_eq!(top.end().0, 0);
    project.write("go", "");
    assert_eq!(project.executed(&[]), ["slow"]);
}

#[test]
fn a_task_that_hangs_is_tried_again() {
    let project = Project::new(SLOW);
    let run = going(&project);
    project.write("go", "");
    let Some(mut top) = Terminal::of(&project, "top", &[]) else {
        let _ = ran(stopped(run));
        return;
    };
    top.wait_for("slow words");
    top.press("r");
    top.wait_for("try slow again?");
    top.press("y");
    let ended = ran(run.wait_with_output().expect("it ends"));
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("note: slow: tried again on request"), "{}", ended.stderr);
    top.press("q");
    assert_eq!(top.end().0, 0);
    let started = project.events().iter().filter(|event| event["event"] == "task-started").count();
    assert_eq!(started, 3);
}

/// Ends a run in order.
fn stopped(run: Child) -> std::process::Output {
    let group = rustix::process::Pid::from_child(&run);
    let _ = rustix::process::kill_process(group, rustix::process::Signal::INT);
    run.wait_with_output().expect("it ends")
}

#[test]
fn a_run_in_a_terminal_ends_with_what_to_look_at() {
    let pipeline = "name: page\nstages:\n  page: {kind: command, run: 'echo hi > ${outputs.page}', outputs: {page: index.html}}\n";
    let project = Project::new(pipeline);
    let Some(run) = Terminal::of(&project, "run pipeline.yaml", &[]) else { return };
    let (code, text) = run.end();
    assert_eq!(code, 0, "{text}");
    let last = text.trim_end().lines().last().unwrap_or_default();
    assert!(last.starts_with("look at: ") && last.contains("artifacts/page/page/index.html"), "{last:?}");
    let wrong = "name: page\nstages:\n  page: {kind: command, run: 'exit 3', outputs: {page: index.html}}\n";
    project.write("pipeline.yaml", wrong);
    let Some(run) = Terminal::of(&project, "run pipeline.yaml", &[]) else { return };
    let (code, text) = run.end();
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("\u{1b}[1;31merror:\u{1b}[0m page failed"), "{text:?}");
    assert!(text.trim_end().ends_with("look at: `onsager log pipeline.yaml page`"), "{text:?}");
    let Some(run) = Terminal::of(&project, "run pipeline.yaml", &[("NO_COLOR", "1")]) else { return };
    assert!(run.end().1.contains("error: page failed"));
    // Without a terminal the last line is the one that programs read.
    let piped = project.run(&[]);
    assert!(piped.stdout.ends_with("1 failed\n"), "{}", piped.stdout);
    let forced = ran(project.command(&["run", "pipeline.yaml"]).env("CLICOLOR_FORCE", "1").output().unwrap());
    assert!(forced.stderr.contains("\u{1b}[1;31merror:\u{1b}[0m page failed"), "{}", forced.stderr);
}
