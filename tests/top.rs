//! `onsager top`, and what `onsager run` shows in a terminal.

mod common;

use common::{Project, ran};
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

const SLOW: &str = r#"
name: slow
stages:
  quick: {kind: command, run: 'echo quick words; echo 1 > ${outputs.one}', outputs: {one: one.txt}}
  slow:
    kind: command
    inputs: {one: quick.one}
    run: 'echo slow words; [ -e go ] || sleep 600; cp ${inputs.one} ${outputs.two}'
    outputs: {two: two.txt}
"#;

/// Longer than anything takes, on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(120);

/// A program in a terminal of its own.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    output: Receiver<Vec<u8>>,
    /// Everything that it wrote.
    seen: String,
    screen: Screen,
}

/// What stands on a terminal: as little of one as these programs need.
struct Screen {
    cells: Vec<Vec<char>>,
    row: usize,
    column: usize,
    /// The beginning of a sequence whose end has not come yet.
    rest: String,
}

impl Screen {
    fn new() -> Screen {
        Screen { cells: vec![vec![' '; 80]; 24], row: 0, column: 0, rest: String::new() }
    }

    fn write(&mut self, text: &str) {
        let all = std::mem::take(&mut self.rest) + text;
        let mut rest = all.as_str();
        while let Some(c) = rest.chars().next() {
            if let Some(sequence) = rest.strip_prefix("\u{1b}[") {
                let Some(end) = sequence.find(|c: char| c.is_ascii_alphabetic()) else { break };
                self.obey(&sequence[..end], sequence.as_bytes()[end]);
                rest = &sequence[end + 1..];
                continue;
            }
            if rest == "\u{1b}" {
                break;
            }
            rest = &rest[c.len_utf8()..];
            match c {
                '\r' => self.column = 0,
                '\n' => self.row = (self.row + 1).min(23),
                c if !c.is_control() => {
                    if let Some(cell) = self.cells[self.row].get_mut(self.column) {
                        *cell = c;
                    }
                    self.column += 1;
                }
                _ => {}
            }
        }
        rest.clone_into(&mut self.rest);
    }

    fn obey(&mut self, numbers: &str, order: u8) {
        match order {
            b'H' => {
                let mut numbers = numbers.split(';').map(|number| number.parse().unwrap_or(1usize));
                self.row = numbers.next().unwrap_or(1).clamp(1, 24) - 1;
                self.column = numbers.next().unwrap_or(1).max(1) - 1;
            }
            b'J' => self.cells = vec![vec![' '; 80]; 24],
            _ => {}
        }
    }

    fn text(&self) -> String {
        self.cells.iter().map(|row| row.iter().collect::<String>().trim_end().to_owned() + "\n").collect()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Terminal {
    /// None where there is no `script` of util-linux, which makes terminals.
    fn of(project: &Project, command: &str, env: &[(&str, &str)]) -> Option<Terminal> {
        if !Command::new("script").arg("--version").output().is_ok_and(|out| out.status.success()) {
            println!("skipped: no `script` of util-linux");
            return None;
        }
        let program = env!("CARGO_BIN_EXE_onsager");
        let line = format!("stty rows 24 cols 80; exec {program} {command}");
        let mut script = Command::new("script");
        script.args(["-q", "-e", "-c", &line, "/dev/null"]).current_dir(project.path(""));
        script.env("TERM", "xterm").env("XDG_CONFIG_HOME", project.path(".config"));
        for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "ONSAGER_LOG"] {
            script.env_remove(name);
        }
        script.envs(env.iter().copied());
        let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let (keys, mut out) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        let (sender, output) = mpsc::channel();
        std::thread::spawn(move || {
            let mut block = [0; 4096];
            while let Ok(read @ 1..) = out.read(&mut block) {
                if sender.send(block[..read].to_vec()).is_err() {
                    return;
                }
            }
        });
        Some(Terminal { child, keys, output, seen: String::new(), screen: Screen::new() })
    }

    /// Waits until this stands on the screen.
    fn wait_for(&mut self, text: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.screen.text().contains(text) {
            let left = until.saturating_duration_since(Instant::now());
            let block = self.output.recv_timeout(left);
            let block = block.unwrap_or_else(|_| panic!("no `{text}` on\n{}", self.screen.text()));
            let more = String::from_utf8_lossy(&block);
            self.screen.write(&more);
            self.seen += &more;
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).and_then(|()| self.keys.flush()).expect("keys");
    }

    /// Its exit code, when it has ended.
    fn end(mut self) -> (i32, String) {
        let status = self.child.wait().expect("it ends");
        while let Ok(block) = self.output.recv_timeout(PATIENCE) {
            self.seen += &String::from_utf8_lossy(&block);
        }
        (status.code().unwrap_or(-1), std::mem::take(&mut self.seen))
    }
}

/// The run in the background, once its slow task goes on.
fn going(project: &Project) -> Child {
    let run = project.spawn(&["--keep-going"]);
    let until = Instant::now() + PATIENCE;
    while !project.events().iter().any(|event| event["event"] == "task-started" && event["task"] == "slow") {
        assert!(Instant::now() < until, "it does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
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
