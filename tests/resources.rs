//! Retries, memory limits and pools.

mod common;

use common::Project;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Fails until its third attempt; the attempts are counted in the project.
const FLAKY: &str = "\
name: flaky
stages:
  flaky:
    kind: command
    run: |
      echo attempt >> attempts.txt
      [ $(wc -l < attempts.txt) -ge 3 ]
      echo done > ${outputs.text}
    outputs: {text: out.txt}
    resources: {retries: RETRIES}
";

fn of_kind<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["event"] == kind).collect()
}

#[test]
fn a_failed_task_is_tried_again_after_growing_waits() {
    let project = Project::new(&FLAKY.replace("RETRIES", "{times: 3, wait: 0.2s, factor: 2}"));
    let started = Instant::now();
    let ran = project.run(&[]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(started.elapsed() >= Duration::from_millis(600));
    assert!(
        ran.stderr.contains("warning: flaky failed: the command failed (exit status: 1); retry 2 of 3 in 0.40 s"),
        "{}",
        ran.stderr
    );
    let events = project.events();
    let retries: Vec<(&Value, &Value, &Value)> = of_kind(&events, "task-retrying")
        .into_iter()
        .map(|event| (&event["retry"], &event["of"], &event["wait"]))
        .collect();
    assert_eq!(retries, [(&json!(1), &json!(3), &json!(0.2)), (&json!(2), &json!(3), &json!(0.4))]);
    assert_eq!(of_kind(&events, "task-finished").len(), 1);
    assert!(project.executed(&[]).is_empty());
}

#[test]
fn without_a_retry_left_it_fails() {
    let project = Project::new(&FLAKY.replace("RETRIES", "{times: 1, wait: 0.1s}"));
    let ran = project.run(&[]);
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("error: flaky failed: the command failed (exit status: 1)"), "{}", ran.stderr);
    assert_eq!(project.read("attempts.txt").lines().count(), 2);
}

#[test]
fn retries_do_not_change_the_key() {
    let project = Project::new(&FLAKY.replace("RETRIES", "{times: 2, wait: 0.1s}"));
    assert_eq!(project.executed(&[]), ["flaky"]);
    project.write("pipeline.yaml", &FLAKY.replace("RETRIES", "7"));
    assert!(project.executed(&[]).is_empty());
}

#[test]
fn ctrl_c_ends_a_wait_at_once() {
    let project = Project::new(&FLAKY.replace("RETRIES", "{times: 5, wait: 1h, longest: 1h}"));
    let mut child = project.spawn(&[]);
    let started = Instant::now();
    while of_kind(&project.events(), "task-retrying").is_empty() {
        assert!(started.elapsed() < Duration::from_secs(60), "it never failed");
        std::thread::sleep(Duration::from_millis(20));
    }
    let asked = Instant::now();
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).expect("it runs");
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    assert!(asked.elapsed() < Duration::from_secs(10));
    assert_eq!(of_kind(&project.events(), "task-interrupted").len(), 1);
}

#[test]
fn a_failure_elsewhere_ends_a_wait() {
    let project = Project::new(&format!(
        "{}{}",
        FLAKY.replace("RETRIES", "{times: 5, wait: 1h, longest: 1h}"),
        "  hopeless:
    kind: command
    run: sleep 0.5; exit 4
    outputs: {text: out.txt}
"
    ));
    let ran = project.run(&["--jobs", "2", "--threads", "2"]);
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("error: flaky failed: the command failed (exit status: 1)"), "{}", ran.stderr);
    assert!(ran.stderr.contains("error: hopeless failed: the command failed (exit status: 4)"), "{}", ran.stderr);
}

/// Takes 200 MB, in a process of its own group and session when `DETACHED` is set.
const HUNGRY: &str = "\
name: hungry
stages:
  hungry:
    kind: command
    run: |
      echo started >> attempts.txt
      START python3 -c 'import time; taken = bytearray(200_000_000); time.sleep(30)'
      echo done > ${outputs.text}
    outputs: {text: out.txt}
    resources: {memory: LIMIT, time: 60s}
";

#[test]
fn a_memory_limit_ends_a_task() {
    for start in ["", "setsid --wait", "sh -c 'setsid \"$@\" & sleep 30' sh"] {
        let project = Project::new(&HUNGRY.replace("LIMIT", "100MiB").replace("START", start));
        let started = Instant::now();
        let ran = project.run(&[]);
        assert_eq!(ran.status, 1);
        assert!(started.elapsed() < Duration::from_secs(20));
        let message = "error: hungry failed: the memory limit of 100 MiB was reached (";
        let place = ran.stderr.find(message).unwrap_or_else(|| panic!("{}", ran.stderr));
        let rest = &ran.stderr[place + message.len()..];
        let used: f64 = rest[..rest.find(" MiB in use)").expect("an amount")].parse().expect("a number");
        assert!((100.0..300.0).contains(&used), "{used}");
        assert!(ran.stderr.contains("help: raise `resources: {memory: …}`"), "{}", ran.stderr);
        assert!(!project.path("artifacts/hungry/hungry").exists());
    }
}

#[test]
fn a_task_below_its_limit_is_left_alone() {
    let project = Project::new(
        &HUNGRY.replace("LIMIT", "400MiB").replace("START", "").replace("sleep(30)", "sleep(0.7)"),
    );
    assert_eq!(project.executed(&[]), ["hungry"]);
}

/// Each task notes when it starts and ends.
const POOLS: &str = "\
name: pools
pools: {gpu: 2, licence: 1}
stages:
  small:
    kind: command
    matrix: {n: [1, 2, 3, 4]}
    run: echo +s >> trace.txt; sleep 0.3; echo -s >> trace.txt; echo ${matrix.n} > ${outputs.text}
    outputs: {text: out.txt}
    resources: {gpu: 1}
  big:
    kind: command
    run: echo +b >> trace.txt; sleep 0.3; echo -b >> trace.txt; echo b > ${outputs.text}
    outputs: {text: out.txt}
    resources: {gpu: 2, licence: 1}
";

/// The most of the pool that was taken at once, by what a task of each letter takes.
fn most(trace: &str, takes: &[(&str, i32)]) -> i32 {
    let (mut now, mut most) = (0, 0);
    for line in trace.lines() {
        let (sign, name) = line.split_at(1);
        let count = takes.iter().find(|(letter, _)| *letter == name).expect("a known letter").1;
        now += if sign == "+" { count } else { -count };
        most = most.max(now);
    }
    most
}

#[test]
fn tasks_run_side_by_side_while_their_pools_suffice() {
    let project = Project::new(POOLS);
    let ran = project.run(&["--jobs", "8", "--threads", "8"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(most(&project.read("trace.txt"), &[("s", 1), ("b", 2)]), 2);
}

#[test]
fn a_pool_can_be_made_smaller_for_a_run() {
    let project = Project::new(POOLS);
    let ran = project.run(&["small", "--jobs", "8", "--threads", "8", "--pool", "gpu=1"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(most(&project.read("trace.txt"), &[("s", 1)]), 1);
    let ran = project.run(&["--pool", "gpu=1"]);
    assert_eq!(ran.status, 2);
    assert_eq!(
        ran.stderr,
        "error: pool `gpu` is to have 1, but task `big` takes 2; give the pool more, or leave the task out\n"
    );
    let ran = project.run(&["--pool", "gpus=1"]);
    assert_eq!(ran.status, 2);
    assert_eq!(ran.stderr, "error: the pipeline has no pool `gpus`; did you mean `gpu`?\n");
}

#[test]
fn a_task_that_takes_the_whole_pool_is_not_passed_over() {
    // The big task comes second: later small ones may not slip in before it.
    let pipeline = "\
name: order
pools: {gpu: 2}
stages:
  first:
    kind: command
    run: sleep 0.5; echo first >> order.txt; echo 1 > ${outputs.text}
    outputs: {text: out.txt}
    resources: {gpu: 1}
  big:
    kind: command
    run: echo big >> order.txt; echo 2 > ${outputs.text}
    outputs: {text: out.txt}
    resources: {gpu: 2}
  later:
    kind: command
    matrix: {n: [1, 2, 3]}
    run: echo later >> order.txt; echo ${matrix.n} > ${outputs.text}
    outputs: {text: out.txt}
    resources: {gpu: 1}
";
    let project = Project::new(pipeline);
    let ran = project.run(&["--jobs", "8", "--threads", "8"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(project.read("order.txt"), "first\nbig\nlater\nlater\nlater\n");
}

#[test]
fn a_pool_holds_across_runs() {
    let stage = |name: &str| {
        format!(
            "\
name: {name}
pools: {{licence: 1}}
stages:
  task:
    kind: command
    matrix: {{n: [1, 2, 3]}}
    run: echo +{name} >> trace.txt; sleep 0.3; echo -{name} >> trace.txt; echo ${{matrix.n}}{name} > ${{outputs.text}}
    outputs: {{text: out.txt}}
    resources: {{licence: 1}}
"
        )
    };
    let project = Project::new(&stage("a"));
    project.write("other.yaml", &stage("b"));
    let mut first = project.spawn(&["--jobs", "4", "--threads", "4"]);
    let second = project.onsager(&["run", "other.yaml", "--jobs", "4", "--threads", "4"]);
    assert_eq!(second.status, 0, "{}", second.stderr);
    assert!(first.wait().expect("it ends").success());
    let trace = project.read("trace.txt");
    assert_eq!(trace.lines().count(), 12);
    assert_eq!(most(&trace, &[("a", 1), ("b", 1)]), 1, "{trace}");
}

#[test]
fn what_is_wrong_with_resources_is_told_at_once() {
    let project = Project::new(
        "\
name: wrong
pools: {gpu: 2, memory: 1}
stages:
  a:
    kind: command
    run: echo > ${outputs.text}
    outputs: {text: out.txt}
    resources: {gpus: 1, gpu: 3, retries: {time: 3, wait: soon}}
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
