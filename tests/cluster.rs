//! Runs on a cluster: `onsager run --on`, with a real Slurm of two nodes on this host.

mod common;

use common::slurm::Slurm;
use common::{Project, Ran, last_line, names, ran};
use serde_json::{Value, json};
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Eight tasks, and one that reads them all.
const PIPELINE: &str = "\
name: many
stages:
  one:
    kind: command
    matrix: {i: [0, 1, 2, 3, 4, 5, 6, 7]}
    run: echo ${matrix.i} > ${outputs.text}
    outputs: {text: one.txt}
  all:
    kind: command
    inputs: {one: one}
    run: cat ${inputs.one} > ${outputs.text}; mkdir ${outputs.folder}; echo in > ${outputs.folder}/it
    outputs: {text: all.txt, folder: all/}
";

const PROFILE: &str = "\
[on.cluster]
engine = \"slurm\"
poll = \"1s\"
memory = \"200MiB\"
";

/// A stage that runs this.
fn of(run: &str, resources: &str) -> String {
    format!(
        "name: one\nstages:\n  one:\n    kind: command\n    run: {run}\n    outputs: {{text: one.txt}}\n    resources: {{{resources}}}\n"
    )
}

fn project(pipeline: &str, profile: &str) -> Project {
    let project = Project::new(pipeline);
    project.write("onsager.toml", profile);
    project
}

/// `onsager run pipeline.yaml --on cluster` with more arguments.
fn run(slurm: &Slurm, project: &Project, arguments: &[&str]) -> Ran {
    let mut command = project.command(&[&["run", "pipeline.yaml", "--on", "cluster"], arguments].concat());
    ran(slurm.within(&mut command).output().expect("the program starts"))
}

fn of_kind(project: &Project, kind: &str) -> Vec<Value> {
    project.events().into_iter().filter(|event| event["event"] == kind).collect()
}

/// Waits until there are so many events of a kind.
fn wait_for(project: &Project, kind: &str, count: usize) {
    let started = Instant::now();
    while of_kind(project, kind).len() < count {
        assert!(started.elapsed() < Duration::from_secs(120), "{:#?}", project.events());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What a run made, without where it is.
fn digests(document: &Value) -> Vec<String> {
    let tasks = document["outputs"].as_object().expect("tasks").iter();
    let outputs = tasks.flat_map(|(task, outputs)| {
        let outputs = outputs.as_object().expect("outputs").iter();
        outputs.map(move |(output, made)| format!("{task} {output} {} {}", made["digest"], made["size"]))
    });
    outputs.collect()
}

#[test]
fn gives_the_same_bytes_as_here_and_leaves_nothing_to_do() {
    let Some(slurm) = Slurm::shared() else { return };
    let (there, here) = (project(PIPELINE, PROFILE), Project::new(PIPELINE));
    let ran = run(slurm, &there, &["--json"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let on_cluster: Value = serde_json::from_str(&ran.stdout).expect("a document");
    let (locally, _) = here.run_json(&[]);
    assert_eq!(names(&on_cluster["tasks"]["executed"]).len(), 9);
    assert_eq!(digests(&on_cluster), digests(&locally));
    assert_eq!(there.read("artifacts/many/all/all.txt"), "0\n1\n2\n3\n4\n5\n6\n7\n");
    // The keys know nothing of where the tasks ran.
    assert!(there.executed(&[]).is_empty());
    // The record tells it.
    for event in of_kind(&there, "task-started") {
        let job = &event["job"];
        assert!(["node1", "node2"].contains(&job["node"].as_str().expect("a node")), "{event}");
        assert!(job["job"].as_str().expect("a number").contains('_'), "{event}");
        assert_eq!(job["attempt"], 1);
        assert!(job["queued"].as_f64().expect("seconds") > 0.0);
    }
    // No job is left, and nothing that they shared with the run.
    let pilots = there.path("artifacts/.onsager/pilots");
    assert_eq!(std::fs::read_dir(pilots).expect("a folder").count(), 0);
}

#[test]
fn jobs_outlive_their_coordinator_and_the_same_command_takes_over() {
    let Some(slurm) = Slurm::shared() else { return };
    let pipeline = "\
name: slow
stages:
  slow:
    kind: command
    matrix: {i: [0, 1, 2]}
    run: |
      echo start >> starts-${matrix.i}.txt
      while [ ! -e go ]; do sleep 0.1; done
      echo ${matrix.i} > ${outputs.text}
    outputs: {text: slow.txt}
";
    let project = project(pipeline, PROFILE);
    let mut command = project.command(&["run", "pipeline.yaml", "--on", "cluster"]);
    let command = slurm.within(&mut command).process_group(0).stdout(Stdio::null()).stderr(Stdio::null());
    let mut coordinator = command.spawn().expect("the program starts");
    wait_for(&project, "task-started", 3);
    coordinator.kill().expect("it runs");
    coordinator.wait().expect("it ended");
    project.write("go", "");
    let ran = run(slurm, &project, &[]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(last_line(&ran.stdout), "3 tasks: 3 executed, 0 cached, 0 failed");
    assert!(ran.stderr.contains("note: cluster: jobs of an earlier run have finished "), "{}", ran.stderr);
    for i in 0..3 {
        assert_eq!(project.read(&format!("starts-{i}.txt")), "start\n");
    }
}

#[test]
fn a_task_above_its_memory_or_time_fails_as_it_does_here() {
    let Some(slurm) = Slurm::shared() else { return };
    let much = "python3 -c 'x = bytearray(150 << 20); import time; time.sleep(60)'";
    let memory = project(&of(much, "memory: 50MiB"), PROFILE);
    let ran = run(slurm, &memory, &[]);
    assert_eq!(ran.status, 1);
    assert!(
        ran.stderr.contains("error: one failed: the memory limit of 50 MiB was reached ("),
        "{}",
        ran.stderr
    );
    let time = project(&of("sleep 60", "time: 1s"), PROFILE);
    let ran = run(slurm, &time, &[]);
    assert_eq!(ran.status, 1);
    let told = "error: one failed: the time limit of 1 s was reached\n  help: raise `resources: {time: …}`";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
}

#[test]
fn a_job_above_its_memory_is_tried_again_and_then_given_up() {
    let Some(slurm) = Slurm::shared() else { return };
    let much = "python3 -c 'x = bytearray(400 << 20); import time; time.sleep(60)'";
    let project = project(&of(much, ""), PROFILE);
    let ran = run(slurm, &project, &[]);
    assert_eq!(ran.status, 1);
    let told = "error: one failed: profile `cluster`: its job was lost 3 times, the last one ";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
    assert!(
        ran.stderr.contains(
            "  help: did it take more memory than the job has? give the stage `resources: {memory: …}`, and the profile more `memory`\n"
        ),
        "{}",
        ran.stderr
    );
    let attempts: Vec<Value> =
        of_kind(&project, "task-started").iter().map(|event| event["job"]["attempt"].clone()).collect();
    assert_eq!(attempts, [json!(1), json!(2), json!(3)]);
}

/// What a run with this profile says of the only task that it has, or of all, after ``profile `cluster`: ``.
fn refused(slurm: &Slurm, profile: &str, resources: &str) -> String {
    let project = project(&of("echo > ${outputs.text}", resources), profile);
    let ran = run(slurm, &project, &[]);
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    let line = ran.stderr.lines().find_map(|line| {
        let told = line.strip_prefix("error: ")?;
        told.strip_prefix("one failed: ").unwrap_or(told).strip_prefix("profile `cluster`: ")
    });
    let help = ran.stderr.lines().find_map(|line| line.strip_prefix("  help: "));
    let line = line.unwrap_or_else(|| panic!("{}", ran.stderr));
    help.map_or(line.to_owned(), |help| format!("{line}; {help}"))
}

#[test]
fn what_the_cluster_does_not_have_is_told_at_once() {
    let Some(slurm) = Slurm::shared() else { return };
    assert_eq!(
        refused(slurm, &format!("{PROFILE}partition = \"nowhere\"\n"), ""),
        "`sbatch` refused: sbatch: error: invalid partition specified: nowhere; sbatch: error: Batch job submission failed: Invalid \
         partition name specified; `sinfo` lists the partitions: set `partition` in the profile"
    );
    assert_eq!(
        refused(slurm, "[on.cluster]\nengine = \"slurm\"\nmemory = \"900GiB\"\n", ""),
        "`sbatch` refused: sbatch: error: Memory specification can not be satisfied; sbatch: error: Batch job submission failed: \
         Requested node configuration is not available; `sinfo -o '%P %m'` lists what nodes have: lower `memory` in the profile"
    );
    let told = refused(slurm, &format!("{PROFILE}time = \"30h\"\n"), "");
    let (job, told) = told.split_once(" will not start ").expect("a job");
    assert!(job.starts_with("job "), "{job}");
    assert_eq!(
        told,
        "(PartitionTimeLimit); `sinfo` lists each partition's limit: lower `time` in the profile, or take another `partition`"
    );
    assert_eq!(
        refused(slurm, PROFILE, "memory: 1GiB"),
        "the task may take 1 GiB, and a job of the profile has 200 MiB; raise `memory` of the profile in onsager.toml, or lower the \
         stage's `resources: {memory: …}`"
    );
    assert_eq!(
        refused(slurm, PROFILE, "time: 2h"),
        "the task may take 7200 s, and a job of the profile has 3540 s for it; raise `time` of the profile in onsager.toml, or lower \
         the stage's `resources: {time: …}`"
    );
}

#[test]
fn a_job_that_ends_before_its_first_task_says_what_it_printed() {
    let Some(slurm) = Slurm::shared() else { return };
    let told = refused(slurm, &format!("{PROFILE}setup = [\"echo no such module >&2\", \"exit 3\"]\n"), "");
    let (_, told) = told.split_once(" ended before it began ").expect("a job");
    assert_eq!(
        told,
        "(FAILED, NonZeroExitCode): no such module; do the `setup` lines of the profile work on a node?"
    );
}

#[test]
fn any_scheduler_with_commands_will_do() {
    let Some(slurm) = Slurm::shared() else { return };
    let profile = "\
[on.cluster]
engine = \"command\"
poll = \"1s\"
submit = \"sbatch --parsable --job-name={name} --cpus-per-task={threads} --mem=200 --time={time} --output={output}\"
status = \"squeue --noheader --me --format=%i\"
cancel = \"scancel {job}\"
";
    let project = project(PIPELINE, profile);
    let ran = run(slurm, &project, &[]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(last_line(&ran.stdout), "9 tasks: 9 executed, 0 cached, 0 failed");
    assert!(project.executed(&[]).is_empty());
}

#[test]
fn a_machine_without_the_commands_says_where_to_run() {
    let project = project(&of("echo > ${outputs.text}", ""), PROFILE);
    let mut command = project.command(&["run", "pipeline.yaml", "--on", "cluster"]);
    let ran = ran(command.env("PATH", "/nowhere").output().expect("the program starts"));
    assert_eq!(ran.status, 1);
    let told = "error: profile `cluster`: there is no `sbatch` here; run onsager where jobs are submitted, on a login node\n";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
}

#[test]
fn a_profile_that_is_not_there_is_an_error() {
    let project = project(PIPELINE, PROFILE);
    let ran = project.run(&["--on", "clutser"]);
    assert_eq!(
        (ran.status, ran.stderr.as_str()),
        (2, "error: there is no profile `clutser`; did you mean `cluster`?\n")
    );
    let none = Project::new(PIPELINE).run(&["--on", "cluster"]);
    assert_eq!(
        none.stderr,
        "error: there is no profile `cluster`; write `[on.cluster]` with `engine = \"slurm\"` into `onsager.toml` of the project\n"
    );
}
