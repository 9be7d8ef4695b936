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

#[test]
fn a_new_file_is_one_more_instance() {
    let project = Project::new(
        "\
name: parts
stages:
  split:
    kind: command
    inputs: {parts: {file: parts}}
    run: cp -r ${inputs.parts} ${outputs.parts}
    outputs: {parts: parts/}
  each:
    kind: command
    matrix: {part: {from: split.parts}}
    inputs: {part: 'split.parts/${matrix.part}'}
    run: cat ${inputs.part} > ${outputs.o}
    outputs: {o: o.txt}
",
    );
    project.write("parts/a", "a\n");
    project.write("parts/b", "b\n");
    let (child, lines) = watch(&project, "pipeline.yaml");
    until(&lines, "3 tasks: 3 executed, 0 cached");
    until(&lines, WAITING);
    // By a rename: so it is never seen half.
    project.write("c", "c\n");
    std::fs::rename(project.path("c"), project.path("parts/c")).expect("renamed");
    until(&lines, "4 tasks: 2 executed, 2 cached");
    until(&lines, WAITING);
    assert_eq!(project.read("artifacts/parts/each/part=c/o.txt"), "c\n");
    interrupt(child);
}

#[test]
fn a_search_goes_on_while_it_is_watched() {
    let project = Project::new(
        "name: p\nparams: {x: 0}\nstages:\n  fit:\n    kind: command\n    run: 'echo \"{\\\"loss\\\": ${params.x}}\" > ${outputs.fit}'\n    \
         outputs: {fit: fit.json}\nmetrics: {loss: {from: fit, field: loss}}\n",
    );
    project.write(
        "e.yaml",
        "name: e\npipeline: pipeline.yaml\nsweep:\n  search:\n    ask: python3 ask.py\n    points: 4\n    start: 2\n    batch: 1\n    \
         seed: 7\n    metric: loss\n    goal: minimize\n    params: {x: {uniform: [0, 8]}}\n",
    );
    project.write(
        "ask.py",
        "import json, sys\nasked = json.load(sys.stdin)\nprint(json.dumps([{'x': len(asked['points'])}]))\n",
    );
    let (child, lines) = watch(&project, "e.yaml");
    until(&lines, "search: 3 of 4 points; running the new ones");
    until(&lines, "search: 4 of 4 points; running the new ones");
    until(&lines, "4 tasks: 1 executed, 3 cached");
    until(&lines, WAITING);
    interrupt(child);
    assert!(
        project.onsager(&["run", "e.yaml"]).stdout.ends_with("4 tasks: 0 executed, 4 cached, 0 failed\n")
    );
}
