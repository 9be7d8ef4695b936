//! `onsager run --watch`.

mod common;

use common::Project;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

const PIPELINE: &str = "\
name: watched
stages:
  copy:
    kind: command
    inputs: {text: {file: input.txt}}
    run: cp ${inputs.text} ${outputs.text}
    outputs: {text: copy.txt}
";

/// The lines of both streams in their order: they are one pipe.
fn lines(child: &mut Child) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    let stdout = child.stdout.take().expect("a pipe");
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Waits for a line that holds this text.
fn until(lines: &Receiver<String>, text: &str) {
    let mut seen = Vec::new();
    loop {
        match lines.recv_timeout(Duration::from_secs(60)) {
            Ok(line) if line.contains(text) => return,
            Ok(line) => seen.push(line),
            Err(error) => panic!("`{text}` does not come ({error}): {seen:#?}"),
        }
    }
}

/// Starts `run FILE --watch`, and its lines.
fn watch(project: &Project, file: &str) -> (Child, Receiver<String>) {
    let mut child = Command::new("sh")
        .args(["-c", "exec \"$0\" run \"$1\" --watch 2>&1", env!("CARGO_BIN_EXE_onsager"), file])
        .current_dir(project.path(""))
        .stdout(Stdio::piped())
        .spawn()
        .expect("the shell starts");
    let lines = lines(&mut child);
    (child, lines)
}

/// As Ctrl-C does.
fn interrupt(mut child: Child) {
    let id = rustix::process::Pid::from_raw(child.id() as i32).expect("an id");
    rustix::process::kill_process(id, rustix::process::Signal::INT).expect("a signal");
    assert_eq!(child.wait().expect("an end").code(), Some(130));
}

const WAITING: &str = "waiting for changes; press Ctrl-C to end";

#[test]
fn changes_run_again_and_mistakes_are_waited_out() {
    let project = Project::new(PIPELINE);
    let (child, lines) = watch(&project, "pipeline.yaml");
    // An input that is not there yet.
    until(&lines, "there is no file or folder");
    until(&lines, WAITING);
    project.write("input.txt", "one\n");
    until(&lines, "1 task: 1 executed");
    until(&lines, WAITING);
    assert_eq!(project.read("artifacts/watched/copy/copy.txt"), "one\n");
    // An editor that writes a new file and renames it.
    project.write("input.txt.new", "two, by a rename\n");
    std::fs::rename(project.path("input.txt.new"), project.path("input.txt")).expect("renamed");
    until(&lines, "changed: ");
    until(&lines, "1 task: 1 executed");
    until(&lines, WAITING);
    assert_eq!(project.read("artifacts/watched/copy/copy.txt"), "two, by a rename\n");
    // A mistake in the pipeline, and its correction.
    project.write("pipeline.yaml", &PIPELINE.replace("kind:", "knid:"));
    until(&lines, "changed: pipeline.yaml");
    until(&lines, "knid");
    until(&lines, WAITING);
    project.write("pipeline.yaml", PIPELINE);
    until(&lines, "1 task: 0 executed, 1 cached");
    until(&lines, WAITING);
    interrupt(child);
}

#[test]
fn everything_that_an_experiment_is_read_from_is_watched() {
    let project = Project::new(PIPELINE);
    project.write("input.txt", "one\n");
    project.write("e.yaml", "name: e\npipeline: pipeline.yaml\nparams_files: [params.yaml]\n");
    project.write("params.yaml", "{ }\n");
    let (child, lines) = watch(&project, "e.yaml");
    until(&lines, "1 task: 1 executed");
    until(&lines, WAITING);
    let other = PIPELINE.replace("cp ${inputs.text}", "cat ${inputs.text} >");
    // Also while the graph is one that was kept: the input changes in between, and nothing else.
    project.write("input.txt", "one, two\n");
    until(&lines, "1 task: 1 executed");
    until(&lines, WAITING);
    project.write("pipeline.yaml", &other);
    until(&lines, "/pipeline.yaml");
    until(&lines, "1 task: 1 executed");
    until(&lines, WAITING);
    project.write("params.yaml", "{}\n");
    until(&lines, "changed: ");
    until(&lines, "1 task: 0 executed, 1 cached");
    until(&lines, WAITING);
    // The named file is told once, as it was named.
    project.write("e.yaml", "name: e\npipeline: pipeline.yaml\n");
    until(&lines, "changed: e.yaml");
    until(&lines, "1 task: 0 executed, 1 cached");
    interrupt(child);
}
