//! The logs of tasks: of any size, with anything in them, and while they grow.

mod common;

use common::{Project, json_of};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::Duration;

fn project(run: &str) -> Project {
    let indented = run.replace('\n', "\n      ");
    Project::new(&format!(
        "name: logs\nstages:\n  say:\n    kind: command\n    run: |\n      {indented}\n    outputs: {{text: text.txt}}\n"
    ))
}

/// The lines of the failed task's log on the screen.
fn shown(project: &Project) -> Vec<String> {
    let ran = project.run(&[]);
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    ran.stderr.lines().filter_map(|line| line.strip_prefix("  | ")).map(str::to_owned).collect()
}

#[test]
fn of_a_progress_bar_only_the_last_state_is_shown() {
    let project = project("for i in 1 2 3 98 99; do printf '%s%%\\r' $i; done; echo; echo broken; exit 3");
    let shown = shown(&project);
    assert_eq!(shown[shown.len() - 3..][..2], ["99%", "broken"], "{shown:?}");
}

#[test]
fn megabytes_without_an_end_of_line_are_cut() {
    let project = project("head -c 3000000 /dev/zero | tr '\\0' x; exit 3");
    let ran = project.run(&[]);
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.len() < 10_000, "{}", ran.stderr.len());
    assert!(ran.stderr.contains("bytes before this)"), "{}", ran.stderr);
}

#[test]
fn control_characters_do_nothing() {
    let project = project("printf 'a\\0b \\033]0;title\\007 \\033[2J \\033[31mred\\033[0m\\n'; exit 3");
    let shown = shown(&project);
    let line = shown.iter().find(|line| line.starts_with("a\\u{0}b")).expect("the line");
    assert_eq!(line, "a\\u{0}b \\u{1b}]0;title\\u{7} \\u{1b}[2J red");
    // A pipe gets the bytes as they are.
    let output = project.command(&["log", "pipeline.yaml", "say"]).output().expect("it starts");
    assert!(output.stdout.windows(4).any(|bytes| bytes == b"\x1b[2J"));
    assert!(output.stdout.windows(3).any(|bytes| bytes == b"a\0b"));
}

#[test]
fn the_tail_is_the_last_lines() {
    let project = project("seq 1 100000; echo > ${outputs.text}");
    assert_eq!(project.run(&[]).status, 0);
    let whole = project.onsager(&["log", "pipeline.yaml", "say"]).stdout;
    assert!(whole.contains("\n1\n2\n3\n"));
    let tail = project.onsager(&["log", "pipeline.yaml", "say", "--tail", "3"]).stdout;
    assert!(
        whole.ends_with(&tail) && tail.starts_with("99999\n100000\n") && tail.lines().count() == 3,
        "{tail}"
    );
    let document = json_of(&project, &["log", "pipeline.yaml", "say", "--tail", "3", "--json"]);
    assert_eq!(document[0]["log"], tail);
    let document = json_of(&project, &["log", "pipeline.yaml", "say", "--json"]);
    assert_eq!(document[0]["log"], whole);
}

#[test]
fn text_that_is_no_utf8_is_replaced_in_json() {
    // `ü` in Latin-1, and a `ü` that lies across the blocks in which the log is read.
    let project = project(
        "printf '\\374'; head -c 200001 /dev/zero | tr '\\0' x; printf '\\303\\274'; for i in 1 2 3 4 5 6 7; do head -c 65535 /dev/zero | tr '\\0' y; printf '\\303\\274'; done; echo > ${outputs.text}",
    );
    assert_eq!(project.run(&[]).status, 0);
    let document = json_of(&project, &["log", "pipeline.yaml", "say", "--json"]);
    let bytes = project.command(&["log", "pipeline.yaml", "say"]).output().expect("it starts").stdout;
    assert_eq!(document[0]["log"], String::from_utf8_lossy(&bytes).into_owned());
    assert_eq!(document[0]["log"].as_str().map(|text| text.matches('ü').count()), Some(8));
}

/// The most memory that a process has had so far, in bytes.
fn peak(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number") * 1024
}

const LARGE: u64 = 300_000_000;

#[test]
fn a_large_log_takes_no_memory() {
    let project = project(&format!("yes 'a line of a large log' | head -c {LARGE}; exit 3"));
    let mut child = project.spawn(&["--watch"]);
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    assert!(lines.any(|line| line.expect("a line").starts_with("waiting for changes")));
    assert!(peak(&child) < 100_000_000, "run: {}", peak(&child));
    let process = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(process, rustix::process::Signal::INT).expect("a signal");
    drop(lines);
    child.wait_with_output().expect("it ends");
    for more in [&[][..], &["--json"], &["--tail", "9000000"]] {
        let arguments = [&["log", "pipeline.yaml", "say"], more].concat();
        let mut child = project.command(&arguments).stdout(Stdio::piped()).spawn().expect("it starts");
        // All but a little, so that it has not ended.
        let read = 150_000_000;
        let out = child.stdout.as_mut().expect("a pipe").by_ref();
        assert_eq!(std::io::copy(&mut out.take(read), &mut std::io::sink()).expect("read"), read);
        assert!(peak(&child) < 100_000_000, "{arguments:?}: {}", peak(&child));
        child.kill().expect("killed");
        child.wait().expect("gone");
    }
}

#[test]
fn a_log_is_followed_to_the_end_of_its_task() {
    let project =
        project("echo one\nwhile [ ! -e more ]; do sleep 0.05; done\necho two\necho > ${outputs.text}");
    let run = project.spawn(&[]);
    while !project.onsager(&["log", "pipeline.yaml", "say"]).stdout.contains("one\n") {
        sleep(Duration::from_millis(20));
    }
    let mut follow = project
        .command(&["log", "pipeline.yaml", "say", "--follow"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines =
        BufReader::new(follow.stdout.take().expect("a pipe")).lines().map(|line| line.expect("a line"));
    assert!(lines.any(|line| line == "one"));
    project.write("more", "");
    assert!(lines.any(|line| line == "two"));
    assert!(lines.last().is_some_and(|line| line.contains("finished")));
    assert_eq!(follow.wait().expect("it ends").code(), Some(0));
    assert_eq!(common::ran(run.wait_with_output().expect("it ends")).status, 0);
    // Of a task that does not run it is the whole log.
    let again = project.onsager(&["log", "pipeline.yaml", "say", "--follow", "--tail", "2"]);
    assert_eq!((again.status, again.stdout.lines().count()), (0, 2), "{}", again.stdout);
}
