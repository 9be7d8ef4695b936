//! Kills and Ctrl-C: nothing is lost, nothing is done twice, and the bytes come out the same.

mod common;

use common::Project;
use serde_json::Value;
use std::collections::HashMap;
use std::process::Child;
use std::thread::sleep;
use std::time::Duration;

/// A data set, a short training with frequent checkpoints, samples, and an ensemble of random motion.
const SMALL: &str = "\
name: small
stages:
  motion:
    kind: random-motion
    matrix: {diffusion: [0.5, 1.0]}
    params: {diffusion: '${matrix.diffusion}', particles: 3000000, tubes: 20, seed: 1}
  law:
    kind: action-law
    inputs: {tubes: motion.tubes}
  digits:
    kind: dataset
    params: {name: digits}
  train:
    kind: train
    inputs: {data: digits.train, validation: digits.test}
    params:
      network: {unet: {channels: 8}}
      timesteps: 20
      steps: 400
      batch: 8
      checkpoint_every: 20
      validate_every: 20
  sample:
    kind: sample
    inputs: {model: train.model}
    params: {count: 8, batch: 4}
";

/// The digests of every output of a finished run.
fn digests(project: &Project) -> Value {
    let (document, status) = project.run_json(&[]);
    assert_eq!(status, 0, "{document:#}");
    let outputs = document["outputs"].as_object().expect("outputs");
    let digest = |outputs: &Value| -> Value {
        let named = outputs.as_object().expect("named outputs").iter();
        named.map(|(name, output)| (name.clone(), output["digest"].clone())).collect()
    };
    outputs.iter().map(|(task, outputs)| (task.clone(), digest(outputs))).collect()
}

fn kill_group(child: &mut Child) {
    let group = rustix::process::Pid::from_child(child);
    // It may have ended by itself just before.
    let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    child.wait().expect("it is gone");
}

#[test]
fn ten_kills_leave_the_bytes_as_they_were() {
    let reference = Project::new(SMALL);
    let expected = digests(&reference);

    let project = Project::new(SMALL);
    let mut stream = onsager::random::Streams::new(1, "moments of the kills").stream(0);
    for kill in 0..10 {
        let before = checkpoints(&project.events());
        let mut child = project.spawn(&[]);
        if kill % 2 == 0 {
            sleep(Duration::from_millis(30 + stream.below(600)));
        } else {
            // Soon after the next checkpoint, so that there is one to go on from.
            while checkpoints(&project.events()) == before && child.try_wait().expect("a child").is_none() {
                sleep(Duration::from_millis(2));
            }
            sleep(Duration::from_millis(stream.below(40)));
        }
        kill_group(&mut child);
    }
    assert_eq!(digests(&project), expected);
    no_step_twice(&project.events());
    let left: Vec<_> = std::fs::read_dir(project.path("artifacts/.onsager/work")).expect("work").collect();
    assert!(left.is_empty(), "{left:?}");
}

/// How many checkpoints have been made.
fn checkpoints(events: &[Value]) -> usize {
    events.iter().filter(|event| event["event"] == "task-checkpoint").count()
}

/// Every attempt at a task goes on from the last checkpoint that was made before it.
fn no_step_twice(events: &[Value]) {
    let mut checkpoints: HashMap<String, u64> = HashMap::new();
    let mut fresh: HashMap<String, bool> = HashMap::new();
    let mut resumed = 0;
    for event in events {
        let task = event["task"].as_str().unwrap_or_default().to_owned();
        match event["event"].as_str().unwrap_or_default() {
            "task-started" => _ = fresh.insert(task, true),
            "task-resumed" => {
                let step = event["step"].as_u64().expect("a step");
                // A checkpoint may be on the disk although the kill came before its event was written.
                assert!(Some(&step) >= checkpoints.get(&task), "{task} went back to step {step}");
                fresh.insert(task, false);
                resumed += 1;
            }
            "task-progress" | "task-checkpoint" => {
                let done = event["done"].as_u64().or(event["step"].as_u64()).expect("a step");
                let before = checkpoints.get(&task).copied().unwrap_or(0);
                assert!(
                    fresh.get(&task) == Some(&false) || before == 0,
                    "{task} began again after {before} steps"
                );
                assert!(done >= before, "{task}: step {done} after the checkpoint at {before}");
                if event["event"] == "task-checkpoint" {
                    checkpoints.insert(task, done);
                    // What follows in this attempt stands on this checkpoint.
                    fresh.insert(event["task"].as_str().unwrap_or_default().to_owned(), false);
                }
            }
            _ => {}
        }
    }
    assert!(resumed > 0, "no kill hit a task with a checkpoint");
}

#[test]
fn ctrl_c_saves_a_checkpoint_and_the_next_run_goes_on() {
    let project = Project::new(
        &SMALL
            .replace("steps: 400", "steps: 100000")
            .replace("checkpoint_every: 20", "checkpoint_every: 100000"),
    );
    let mut child = project.spawn(&["train"]);
    while !project.events().iter().any(|event| event["event"] == "task-progress" && event["task"] == "train")
    {
        assert!(child.try_wait().expect("a child").is_none(), "it ended early");
        sleep(Duration::from_millis(20));
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT)
        .expect("a signal");
    let ran = common::ran(child.wait_with_output().expect("it ends"));
    assert_eq!(ran.status, 130, "{}", ran.stderr);
    assert!(ran.stdout.contains("interrupted: 1 task; give the same command to go on"), "{}", ran.stdout);
    let events = project.events();
    let saved = events.iter().find(|event| event["event"] == "task-checkpoint").expect("a checkpoint");
    let step = saved["step"].as_u64().expect("a step");

    let child = project.spawn(&["train"]);
    while !project.events().iter().any(|event| event["event"] == "task-resumed") {
        sleep(Duration::from_millis(20));
    }
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT)
        .expect("a signal");
    assert_eq!(common::ran(child.wait_with_output().expect("it ends")).status, 130);
    let resumed =
        project.events().into_iter().find(|event| event["event"] == "task-resumed").expect("resumed");
    assert_eq!(resumed["step"].as_u64(), Some(step));
}

#[test]
fn a_second_ctrl_c_kills() {
    let project = Project::new(
        "\
name: stubborn
stages:
  stubborn:
    kind: command
    run: |
      trap '' TERM INT
      echo ready > ready.txt
      while true; do sleep 0.1; done
    outputs: {text: out.txt}
",
    );
    let child = project.spawn(&[]);
    while !project.path("ready.txt").exists() {
        sleep(Duration::from_millis(20));
    }
    let process = rustix::process::Pid::from_child(&child);
    for _ in 0..2 {
        rustix::process::kill_process(process, rustix::process::Signal::INT).expect("a signal");
        sleep(Duration::from_millis(300));
    }
    let ran = common::ran(child.wait_with_output().expect("it ends"));
    assert_eq!(ran.status, 130, "{}", ran.stderr);
    assert!(ran.stderr.contains("press Ctrl-C again to kill"), "{}", ran.stderr);
}

#[test]
fn one_or_two_jobs_and_threads_give_the_same_bytes() {
    let expected = digests(&Project::new(SMALL));
    let threaded = SMALL.replace("    kind: ", "    resources: {threads: 2}\n    kind: ");
    for (pipeline, arguments) in
        [(SMALL, ["--jobs", "1", "--threads", "1"]), (threaded.as_str(), ["--jobs", "2", "--threads", "2"])]
    {
        let project = Project::new(pipeline);
        assert_eq!(project.run(&arguments).status, 0);
        assert_eq!(digests(&project), expected);
    }
}
