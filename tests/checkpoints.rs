//! `checkpoint` of `command` stages: kept while the key is unchanged, dropped when it changes.

mod common;

use common::Project;
use std::fs;
use std::time::{Duration, Instant};

/// Counts to ten, a number a step; each attempt makes three steps, and then ends as `END` says.
const COUNT: &str = "\
name: count
params: {word: one}
stages:
  count:
    kind: command
    checkpoint: state/
    run: |
      n=0
      [ ! -f ${checkpoint}/n ] || n=$(cat $ONSAGER_CHECKPOINT/n)
      echo from $n >> attempts.txt
      for i in 1 2 3; do
        n=$((n + 1))
        echo $n > ${checkpoint}/n.new
        mv ${checkpoint}/n.new ${checkpoint}/n
        if [ $n = 10 ]; then echo ${params.word} > ${outputs.text}; exit 0; fi
      done
      END
    outputs: {text: out.txt}
    resources: RESOURCES
";

fn pipeline(end: &str, resources: &str) -> String {
    COUNT.replace("END", end).replace("RESOURCES", resources)
}

/// The folders of checkpoints in the store.
fn kept(project: &Project) -> usize {
    fs::read_dir(project.path("artifacts/.onsager/checkpoints")).map_or(0, Iterator::count)
}

#[test]
fn a_checkpoint_outlives_failures() {
    let project = Project::new(&pipeline("exit 1", "{}"));
    for _ in 0..3 {
        assert_eq!(project.run(&[]).status, 1);
        assert_eq!(kept(&project), 1);
    }
    assert_eq!(project.executed(&[]), ["count"]);
    assert_eq!(project.read("attempts.txt"), "from 0\nfrom 3\nfrom 6\nfrom 9\n");
    assert_eq!(project.read("artifacts/count/count/out.txt"), "one\n");
    assert_eq!(kept(&project), 0);
}

#[test]
fn a_retry_goes_on_from_the_checkpoint() {
    let project = Project::new(&pipeline("exit 1", "{retries: {times: 3, wait: 0.1s}}"));
    assert_eq!(project.executed(&[]), ["count"]);
    assert_eq!(project.read("attempts.txt"), "from 0\nfrom 3\nfrom 6\nfrom 9\n");
}

#[test]
fn a_checkpoint_outlives_a_time_limit() {
    let project = Project::new(&pipeline("sleep 30", "{time: 1s, retries: {times: 3, wait: 0.1s}}"));
    assert_eq!(project.executed(&[]), ["count"]);
    assert_eq!(project.read("attempts.txt"), "from 0\nfrom 3\nfrom 6\nfrom 9\n");
}

#[test]
fn a_checkpoint_outlives_kills_and_interrupts() {
    let project = Project::new(&pipeline("sleep 30", "{}"));
    for (attempt, signal) in [(1, rustix::process::Signal::KILL), (2, rustix::process::Signal::INT)] {
        let mut child = project.spawn(&[]);
        let started = Instant::now();
        let seen = format!("from {}\n", 3 * (attempt - 1));
        while !fs::read_to_string(project.path("attempts.txt")).unwrap_or_default().ends_with(&seen) {
            assert!(started.elapsed() < Duration::from_secs(60), "attempt {attempt} never started");
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(Duration::from_millis(500));
        let id = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(id, signal).expect("it runs");
        child.wait().expect("it ends");
        assert!(!project.path("artifacts/count").exists(), "no partial output is visible");
        assert_eq!(kept(&project), 1);
    }
    // A limit changes no key.
    project.write("pipeline.yaml", &pipeline("sleep 30", "{time: 1s, retries: {times: 1, wait: 0.1s}}"));
    assert_eq!(project.executed(&[]), ["count"]);
    assert_eq!(project.read("attempts.txt"), "from 0\nfrom 3\nfrom 6\nfrom 9\n");
    assert_eq!(kept(&project), 0);
}

#[test]
fn another_key_starts_anew_and_drops_the_checkpoint() {
    let project = Project::new(&format!(
        "{}  other:
    kind: command
    checkpoint: state.txt
    run: echo kept > ${{checkpoint}}; exit 1
    outputs: {{text: out.txt}}
",
        pipeline("exit 1", "{}")
    ));
    assert_eq!(project.run(&["--keep-going"]).status, 1);
    assert_eq!(kept(&project), 2);
    assert_eq!(project.run(&["count", "--set", "word=two"]).status, 1);
    assert_eq!(project.read("attempts.txt"), "from 0\nfrom 0\n");
    // That of the other task stays.
    assert_eq!(kept(&project), 2);
    assert_eq!(project.run(&["count"]).status, 1);
    assert_eq!(project.read("attempts.txt"), "from 0\nfrom 0\nfrom 0\n");
}

#[test]
fn a_checkpoint_has_to_be_declared() {
    let project = Project::new(
        "\
name: wrong
stages:
  a:
    kind: command
    run: echo > ${checkpoint}
    outputs: {text: out.txt}
  b:
    kind: command
    checkpoint: ../state
    run: echo > ${outputs.text}
    outputs: {text: out.txt}
  c:
    kind: dataset
    params: {name: digits}
    checkpoint: state
",
    );
    let ran = project.run(&[]);
    assert_eq!(ran.status, 2);
    assert_eq!(
        ran.stderr,
        "\
"
    );
}
