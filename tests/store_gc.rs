//! `onsager store gc`: what goes, what stays, and what a run makes again.

mod common;

use common::Project;
use common::chain::{CHAIN, chain, json};
use serde_json::Value;
use std::fs;
use std::thread::sleep;
use std::time::Duration;

#[test]
fn gc_drops_what_nothing_refers_to_and_keeps_the_records() {
    let project = chain();
    assert_eq!(project.executed(&["--set", "mark=2"]), ["b", "c"]);
    sleep(Duration::from_millis(50));
    assert_eq!(
        project.onsager(&["store", "gc"]).stdout,
        "dropped 0 objects, 0 B; 6 objects left, 528 B\n",
        "both runs are among the last ten"
    );
    let told = project.onsager(&["store", "gc", "--keep-runs", "1", "--dry-run"]);
    assert!(told.stdout.ends_with("would drop 2 objects, 260 B; 4 objects left, 268 B\n"), "{}", told.stdout);
    let ran = project.onsager(&["store", "gc", "--keep-runs", "1"]);
    assert_eq!(ran.stdout, "dropped 2 objects, 260 B; 4 objects left, 268 B\n");
    assert!(project.executed(&["--set", "mark=2"]).is_empty());
    let report = json(&project.onsager(&["store", "verify", "--json"]));
    assert_eq!((&report["collected"], &report["damage"]), (&2.into(), &Value::Array(Vec::new())));
    assert_eq!(report["records"], 5);
}

#[test]
fn gc_by_age_and_by_size() {
    let project = chain();
    assert_eq!(
        project.onsager(&["store", "gc", "--older-than", "1h"]).stdout,
        "dropped 0 objects, 0 B; 4 objects left, 268 B\n"
    );
    sleep(Duration::from_millis(50));
    let told = project.onsager(&["store", "gc", "--max-size", "1KiB"]);
    assert_eq!(told.stdout, "dropped 0 objects, 0 B; 4 objects left, 268 B\n");
    let ran = project.onsager(&["store", "gc", "--max-size", "100B", "--json"]);
    assert!(json(&ran)["collected"]["bytes_left"].as_u64().expect("bytes") <= 100, "{}", ran.stdout);
    sleep(Duration::from_millis(2100));
    let ran = project.onsager(&["store", "gc", "--older-than", "1s", "--json"]);
    assert_eq!(json(&ran)["collected"]["objects_left"], 0);
    assert_eq!(project.onsager(&["store", "verify"]).stdout, "0 objects, 0 B: all intact\n");
    assert_eq!(project.onsager(&["store", "gc", "--older-than", "soon"]).status, 2);
}

#[test]
fn after_gc_a_run_executes_nothing() {
    let project = chain();
    sleep(Duration::from_millis(50));
    let ran = project.onsager(&["store", "gc", "--max-size", "1B"]);
    assert!(ran.stdout.ends_with("; 0 objects left, 0 B\n"), "{}", ran.stdout);
    assert!(project.executed(&[]).is_empty());
}

#[test]
fn after_gc_only_what_is_needed_is_made_again() {
    let project = chain();
    sleep(Duration::from_millis(50));
    project.onsager(&["store", "gc", "--max-size", "1B"]);
    // c must execute; the bytes of b that it reads are still in the view.
    project.write("pipeline.yaml", &CHAIN.replace("echo two", "echo three"));
    assert_eq!(project.executed(&[]), ["c"]);

    let project = chain();
    sleep(Duration::from_millis(50));
    project.onsager(&["store", "gc", "--max-size", "1B"]);
    // Now they are nowhere: b is made again for c, and a for b.
    for copy in ["a/a.txt", "b/b.txt"] {
        fs::remove_file(project.path("artifacts/chain").join(copy)).expect("removed");
    }
    project.write("pipeline.yaml", &CHAIN.replace("echo two", "echo three"));
    assert_eq!(project.executed(&[]), ["a", "b", "c"]);

    let project = chain();
    sleep(Duration::from_millis(50));
    project.onsager(&["store", "gc", "--max-size", "1B"]);
    // b's bytes come out as they were, so c is not executed.
    project.write("pipeline.yaml", &CHAIN.replace("run: echo \"", "run: printf '%s\\n' \""));
    assert_eq!(project.executed(&[]), ["b"]);
}

#[test]
fn gc_beside_a_run_keeps_what_it_needs() {
    let project = Project::new(
        "\
name: slow
stages:
  first:
    kind: command
    run: echo first > ${outputs.text}
    outputs: {text: first.txt}
  wait:
    kind: command
    inputs: {text: first.text}
    run: |
      touch started
      while [ ! -e go ]; do sleep 0.02; done
      cat ${inputs.text} > ${outputs.text}
    outputs: {text: wait.txt}
  last:
    kind: command
    inputs: {first: first.text, wait: wait.text}
    run: cat ${inputs.first} ${inputs.wait} > ${outputs.text}
    outputs: {text: last.txt}
",
    );
    assert_eq!(project.run(&["first"]).status, 0);
    let child = project.spawn(&[]);
    while !project.path("started").exists() {
        sleep(Duration::from_millis(10));
    }
    let ran = project.onsager(&["store", "gc", "--max-size", "1B"]);
    assert_eq!(ran.stdout, "dropped 0 objects, 0 B; 1 object left, 6 B\nkept what 1 running run may need\n");
    assert_eq!(project.onsager(&["store", "verify"]).status, 0);
    project.write("go", "");
    let ran = common::ran(child.wait_with_output().expect("it ends"));
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(project.read("artifacts/slow/last/last.txt"), "first\nfirst\n");
}

#[test]
fn gc_removes_what_a_killed_run_left() {
    let project = chain();
    project.write("artifacts/.onsager/work/dead/1/out/half.txt", "half\n");
    project.write("artifacts/.onsager/locks/run-dead", "");
    let told = project.onsager(&["store", "gc", "--dry-run"]);
    assert!(told.stdout.contains("5 B  leftover     "), "{}", told.stdout);
    let ran = project.onsager(&["store", "gc"]);
    assert_eq!(ran.stdout, "dropped 0 objects, 0 B, and 1 other thing, 5 B; 4 objects left, 268 B\n");
    assert!(!project.path("artifacts/.onsager/work/dead").exists());
    assert!(!project.path("artifacts/.onsager/locks/run-dead").exists());
}
