//! Shards of random motion: the bytes of the whole, however many they are, with any number of threads, and after a kill.

mod common;

use common::Project;
use std::thread::sleep;
use std::time::Duration;

/// The same ensemble in one task and in shards.
const SHARDED: &str = "\
name: sharded
params: {threads: 1}
stages:
  whole:
    kind: random-motion
    resources: {threads: '${params.threads}'}
    params: &ensemble {system: constant-force, diffusion: 0.7, particles: 6000000, tubes: 30, width: 2, seed: 3}
  part:
    kind: random-motion
    resources: {threads: '${params.threads}'}
    matrix: {shard: [LIST]}
    params: {<<: *ensemble, shard: {index: '${matrix.shard}', of: OF}}
  merged:
    kind: merge-shards
    resources: {threads: '${params.threads}'}
    inputs: {shards: part.counts}
";

/// The digests of the outputs of a task.
fn digests(project: &Project, task: &str, arguments: &[&str]) -> Vec<serde_json::Value> {
    let (document, status) = project.run_json(arguments);
    assert_eq!(status, 0, "{document:#}");
    let outputs = &document["outputs"][task];
    ["tubes", "paths", "summary"].map(|name| outputs[name]["digest"].clone()).into()
}

/// The pipeline with this many shards.
fn sharded(shards: usize) -> String {
    let list: Vec<String> = (0..shards).map(|shard| shard.to_string()).collect();
    SHARDED.replace("LIST", &list.join(", ")).replace("OF", &shards.to_string())
}

#[test]
fn shards_and_threads_leave_the_bytes_as_they_were() {
    let whole = digests(&Project::new(&sharded(1)), "whole", &["whole"]);
    for (shards, threads) in [(1, "1"), (4, "2"), (16, "1"), (16, "2")] {
        let project = Project::new(&sharded(shards));
        let arguments = ["merged", "--threads", threads, "--set", &format!("threads={threads}")];
        assert_eq!(digests(&project, "merged", &arguments), whole, "{shards} shards on {threads} threads");
    }
}

#[test]
fn a_kill_leaves_the_bytes_as_they_were() {
    let whole = digests(&Project::new(&sharded(1)), "whole", &["whole"]);
    let project = Project::new(&sharded(4));
    let number = |event: &str| project.events().iter().filter(|each| each["event"] == event).count();
    let ended = || number("task-finished");
    for kill in 0..3 {
        let before = ended();
        let mut child = project.spawn(&["merged"]);
        // In the middle of a shard: soon after the one before it has ended.
        while ended() == before && child.try_wait().expect("a child").is_none() {
            sleep(Duration::from_millis(2));
        }
        sleep(Duration::from_millis(10 * kill));
        let group = rustix::process::Pid::from_child(&child);
        // It may have ended by itself just before.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        child.wait().expect("it is gone");
    }
    assert!(number("run-finished") < number("run-started"), "no kill came in time");
    assert_eq!(digests(&project, "merged", &["merged"]), whole);
}
