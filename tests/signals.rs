//! Ctrl-C, SIGTERM and a terminal that closes: each is an interrupt, and no command outlives it.

mod common;

use common::Project;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A command of the usual kind: the shell waits for a program that would take far longer than the test. The argument of `sleep`
/// marks the processes of one test.
fn sleeper(mark: u32) -> Project {
    Project::new(&format!(
        "\
name: sleeper
stages:
  wait:
    kind: command
    run: echo > started; sleep {mark}; echo > ${{outputs.text}}
    outputs: {{text: text.txt}}
"
    ))
}

fn wait_for(what: &str, there: impl Fn() -> bool) {
    let start = Instant::now();
    while !there() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what} does not come");
        sleep(Duration::from_millis(10));
    }
}

/// Whether a `sleep` with this mark runs.
fn sleeps(mark: u32) -> bool {
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let wanted = format!("sleep\0{mark}\0");
    processes
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .any(|line| line == wanted.as_bytes())
}

/// Starts a run, and waits until its command sleeps.
fn start(project: &Project, mark: u32) -> Child {
    // Whoever runs the tests under `nohup` has told everything below it to ignore SIGHUP.
    let mut command = Command::new("env");
    command.args(["--default-signal=HUP", env!("CARGO_BIN_EXE_onsager"), "run", "pipeline.yaml"]);
    command.current_dir(project.path("")).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let child = command.spawn().expect("the program starts");
    wait_for("the command", || project.path("started").exists() && sleeps(mark));
    child
}

/// The same command on a terminal.
fn on_terminal(project: &Project, mark: u32) -> Child {
    let line = format!("'{}' run pipeline.yaml", env!("CARGO_BIN_EXE_onsager"));
    let child = Command::new("env")
        .args(["--default-signal=HUP", "script", "-qec", &line, "/dev/null"])
        .current_dir(project.path(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("`script`, of util-linux");
    wait_for("the command", || project.path("started").exists() && sleeps(mark));
    child
}

/// How the only run ended, by its record: whether it was interrupted, and that no task failed.
fn interrupted(project: &Project) -> bool {
    let events = project.events();
    assert!(!events.iter().any(|event| event["event"] == "task-failed"), "{events:#?}");
    events.iter().any(|event| event["event"] == "run-finished" && event["interrupted"] == true)
}

#[test]
fn ctrl_c_on_a_terminal_ends_the_command_at_once() {
    let project = sleeper(7001);
    let mut child = on_terminal(&project, 7001);
    child.stdin.as_mut().expect("a pipe").write_all(b"\x03").expect("Ctrl-C");
    let pressed = Instant::now();
    let ran = common::ran(child.wait_with_output().expect("it ends"));
    // Far below the 5 s after which a command would be killed.
    assert!(pressed.elapsed() < Duration::from_secs(4), "{:?}", pressed.elapsed());
    assert_eq!(ran.status, 130, "{}", ran.stdout);
    assert!(ran.stdout.contains("interrupted: 1 task; give the same command to go on"), "{}", ran.stdout);
    assert!(interrupted(&project) && !sleeps(7001));
}

#[test]
fn a_terminal_that_closes_interrupts_the_run() {
    let project = sleeper(7002);
    let mut child = on_terminal(&project, 7002);
    // Its end of the terminal goes with it.
    child.kill().expect("killed");
    child.wait().expect("gone");
    wait_for("the end of the run", || interrupted(&project));
    assert!(!sleeps(7002));
}

#[test]
fn sigterm_and_sighup_to_the_whole_group_are_an_interrupt() {
    for (mark, signal) in [(7003, Signal::TERM), (7004, Signal::HUP)] {
        let project = sleeper(mark);
        let child = start(&project, mark);
        // Twice, as a shell and the kernel do when a terminal closes: that is no second Ctrl-C.
        for _ in 0..2 {
            kill_process_group(Pid::from_child(&child), signal).expect("a signal");
        }
        let ran = common::ran(child.wait_with_output().expect("it ends"));
        assert_eq!(ran.status, 130, "{}", ran.stderr);
        assert!(!ran.stderr.contains("error"), "{}", ran.stderr);
        assert!(interrupted(&project) && !sleeps(mark));
    }
}

#[test]
fn a_checkpoint_is_saved_on_sigterm() {
    let project = Project::new(
        "\
name: keeper
stages:
  keep:
    kind: command
    run: |
      trap 'echo saved > ${checkpoint}; exit 0' TERM
      echo > started; sleep 7005 & wait
    checkpoint: state.txt
    outputs: {text: text.txt}
",
    );
    let child = start(&project, 7005);
    kill_process_group(Pid::from_child(&child), Signal::TERM).expect("a signal");
    assert_eq!(common::ran(child.wait_with_output().expect("it ends")).status, 130);
    let checkpoints = project.path("artifacts/.onsager/checkpoints");
    let saved = walkdir::WalkDir::new(checkpoints).into_iter().flatten();
    let saved: Vec<_> = saved.filter(|entry| entry.file_name() == "state.txt").collect();
    assert_eq!(fs::read_to_string(saved[0].path()).expect("a checkpoint"), "saved\n");
}

#[test]
fn nohup_keeps_a_run_and_its_commands() {
    let project = sleeper(7006);
    let mut child = Command::new("nohup")
        .args([env!("CARGO_BIN_EXE_onsager"), "run", "pipeline.yaml"])
        .current_dir(project.path(""))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("nohup");
    wait_for("the command", || project.path("started").exists() && sleeps(7006));
    kill_process(Pid::from_child(&child), Signal::HUP).expect("a signal");
    sleep(Duration::from_millis(300));
    assert!(child.try_wait().expect("a child").is_none() && sleeps(7006));
    // And a kill takes the command along, with what it has started.
    child.kill().expect("killed");
    child.wait().expect("gone");
    wait_for("the end of the command", || !sleeps(7006));
}
