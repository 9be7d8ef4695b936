//! Runs on a cluster: `onsager run --on`, with a real Slurm of two nodes on this host.

mod common;

use common::hosts::entries;
use common::slurm::{PROFILE, Slurm, project};
use common::uv::Uv;
use common::{Project, first_on_path, json_of, last_line, names, ran, until};
use serde_json::{Value, json};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Stdio;

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

/// A stage that runs this.
fn of(run: &str, resources: &str) -> String {
    format!(
        "name: one\nstages:\n  one:\n    kind: command\n    run: {run}\n    outputs: {{text: one.txt}}\n    resources: {{{resources}}}\n"
    )
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
    let ran = slurm.run(&there, &["--json"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let on_cluster: Value = serde_json::from_str(&ran.stdout).expect("a document");
    let (locally, _) = here.run_json(&[]);
    assert_eq!(names(&on_cluster["tasks"]["executed"]).len(), 9);
    assert_eq!(digests(&on_cluster), digests(&locally));
    assert_eq!(there.read("artifacts/many/all/all.txt"), "0\n1\n2\n3\n4\n5\n6\n7\n");
    // The keys know nothing of where the tasks ran.
    assert!(there.executed(&[]).is_empty());
    // The record tells it.
    for event in there.events_of("task-started") {
        let job = &event["job"];
        assert!(["node1", "node2"].contains(&job["node"].as_str().expect("a node")), "{event}");
        assert!(job["job"].as_str().expect("a number").contains('_'), "{event}");
        assert_eq!(job["attempt"], 1);
        assert!(job["queued"].as_f64().expect("seconds") > 0.0);
    }
    // No job is left, and nothing that they shared with the run.
    assert_eq!(entries(&there, "pilots"), Vec::<String>::new());
}

#[test]
fn jobs_outlive_their_coordinator_and_the_same_command_takes_over() {
    let Some(slurm) = Slurm::shared() else { return };
    let pipeline = r#"
name: slow
stages:
  slow:
    kind: command
    matrix: {i: [0, 1, 2]}
    run: |
      echo start >> starts-${matrix.i}.txt
      echo '{"step": 1, "name": "speed", "value": 0.5}' >> $ONSAGER_METRICS
      while [ ! -e go ]; do sleep 0.1; done
      echo "{\"step\": 2, \"name\": \"speed\", \"value\": ${matrix.i}}" >> $ONSAGER_METRICS
      echo ${matrix.i} > ${outputs.text}
    outputs: {text: slow.txt}
"#;
    let project = project(pipeline, PROFILE);
    let mut command = project.command(&["run", "pipeline.yaml", "--on", "cluster"]);
    let command = slurm.within(&mut command).process_group(0).stdout(Stdio::null()).stderr(Stdio::null());
    let mut coordinator = command.spawn().expect("the program starts");
    until("three tasks run", || project.events_of("task-started").len() == 3);
    coordinator.kill().expect("it runs");
    coordinator.wait().expect("it ended");
    project.write("go", "");
    let ran = slurm.run(&project, &[]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(last_line(&ran.stdout), "3 tasks: 3 executed, 0 cached, 0 failed");
    assert!(ran.stderr.contains("note: cluster: jobs of an earlier run have finished "), "{}", ran.stderr);
    // What the tasks measured is in the shared store, from before the coordinator was killed and from after that.
    let curves = json_of(&project, &["metrics", "--json"]);
    for i in 0..3 {
        assert_eq!(project.read(&format!("starts-{i}.txt")), "start\n");
        let speed = curves["tasks"][i]["curves"]["speed"].as_array().expect("a curve").iter();
        let speed: Vec<(&Value, &Value)> = speed.map(|point| (&point["step"], &point["value"])).collect();
        assert_eq!(speed, [(&json!(1), &json!(0.5)), (&json!(2), &json!(i as f64))]);
    }
}

#[test]
fn a_task_above_its_memory_or_time_fails_as_it_does_here() {
    let Some(slurm) = Slurm::shared() else { return };
    let much = "python3 -c 'x = bytearray(150 << 20); import time; time.sleep(60)'";
    let memory = project(&of(much, "memory: 50MiB"), PROFILE);
    let ran = slurm.run(&memory, &[]);
    assert_eq!(ran.status, 1);
    assert!(
        ran.stderr.contains("error: one failed: the memory limit of 50 MiB was reached ("),
        "{}",
        ran.stderr
    );
    let time = project(&of("sleep 60", "time: 1s"), PROFILE);
    let ran = slurm.run(&time, &[]);
    assert_eq!(ran.status, 1);
    let told = "error: one failed: the time limit of 1 s was reached\n  help: raise `resources: {time: …}`";
    assert!(ran.stderr.contains(told), "{}", ran.stderr);
}

#[test]
fn a_job_above_its_memory_is_tried_again_and_then_given_up() {
    let Some(slurm) = Slurm::shared() else { return };
    let much = "python3 -c 'x = bytearray(400 << 20); import time; time.sleep(60)'";
    let project = project(&of(much, ""), PROFILE);
    let ran = slurm.run(&project, &[]);
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
    // After the last loss nothing starts again.
    let again = ran.stderr.matches("; its tasks start again elsewhere\n").count();
    assert_eq!((again, ran.stderr.matches(" is lost (").count()), (2, 3), "{}", ran.stderr);
    let attempts: Vec<Value> =
        project.events_of("task-started").iter().map(|event| event["job"]["attempt"].clone()).collect();
    assert_eq!(attempts, [json!(1), json!(2), json!(3)]);
}

/// What a run with this profile says of the only task that it has, or of all, after ``profile `cluster`: ``.
fn refused(slurm: &Slurm, profile: &str, resources: &str) -> String {
    let project = project(&of("echo > ${outputs.text}", resources), profile);
    let ran = slurm.run(&project, &[]);
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

/// Any scheduler: here Slurm's own commands.
const COMMANDS: &str = "\
[on.cluster]
engine = \"command\"
poll = \"1s\"
submit = \"sbatch --parsable --job-name={name} --cpus-per-task={threads} --mem=200 --time={time} --output={output}\"
status = \"squeue --noheader --me --format=%i\"
cancel = \"scancel {job}\"
";

#[test]
fn any_scheduler_with_commands_will_do() {
    let Some(slurm) = Slurm::shared() else { return };
    let project = project(PIPELINE, COMMANDS);
    let ran = slurm.run(&project, &[]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(last_line(&ran.stdout), "9 tasks: 9 executed, 0 cached, 0 failed");
    assert!(!ran.stderr.contains("ended before it began"), "{}", ran.stderr);
    assert!(project.executed(&[]).is_empty());
}

/// `sbatch` that kills the run between the submission and its answer.
const KILLS: &str = "\
#!/bin/sh
said=$(PATH=${PATH#*:} sbatch \"$@\")
run=$PPID
while [ \"$(cat /proc/$run/comm)\" != onsager ]; do run=$(cut -d ' ' -f 4 /proc/$run/stat); done
kill -9 $run
echo \"$said\"
";

/// A run that was killed before it could note what it submitted.
fn killed_as_it_submits(slurm: &Slurm, profile: &str) -> Project {
    let project = project(PIPELINE, profile);
    project.write("bin/sbatch", KILLS);
    let may_start = Permissions::from_mode(0o755);
    std::fs::set_permissions(project.path("bin/sbatch"), may_start).expect("permissions");
    let mut command = project.command(&["run", "pipeline.yaml", "--on", "cluster"]);
    first_on_path(slurm.within(&mut command), &project.path("bin"));
    let killed = command.output().expect("the program starts");
    assert_eq!(killed.status.signal(), Some(9), "{}", ran(killed).stderr);
    project
}

/// How `onsager jobs` says that each job stands.
fn states(slurm: &Slurm, project: &Project) -> Vec<String> {
    let listed = slurm.onsager(project, &["jobs", "--json"]);
    assert_eq!((listed.status, listed.stderr.as_str()), (0, ""));
    let document: Value = serde_json::from_str(&listed.stdout).expect("a document");
    let jobs = document["jobs"].as_array().expect("jobs").iter();
    jobs.map(|job| job["state"].as_str().expect("a state").to_owned()).collect()
}

#[test]
fn jobs_of_a_run_that_died_before_it_noted_them_are_found() {
    let Some(slurm) = Slurm::shared() else { return };
    let project = killed_as_it_submits(slurm, PROFILE);
    assert_eq!(states(slurm, &project).len(), 4);
    let ran = slurm.run(&project, &[]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(last_line(&ran.stdout), "9 tasks: 9 executed, 0 cached, 0 failed");
    assert!(ran.stderr.contains("note: cluster: an earlier run submitted 4 jobs, "), "{}", ran.stderr);
    assert!(!ran.stderr.contains("note: cluster: submitted"), "{}", ran.stderr);
    assert_eq!(entries(&project, "pilots"), Vec::<String>::new());
    // Others than Slurm's are known by what the submit command printed.
    let project = killed_as_it_submits(slurm, COMMANDS);
    assert_eq!(states(slurm, &project).len(), 1);
    let ran = slurm.run(&project, &[]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("note: cluster: submitted 3 jobs, "), "{}", ran.stderr);
}

#[test]
fn jobs_of_a_run_that_died_before_it_noted_them_can_be_cancelled() {
    let Some(slurm) = Slurm::shared() else { return };
    let project = killed_as_it_submits(slurm, PROFILE);
    let ended = slurm.onsager(&project, &["cancel", "--all"]);
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert!(ended.stdout.starts_with("ending 4 jobs: "), "{}", ended.stdout);
    until("its jobs end", || states(slurm, &project).iter().all(|state| state == "ended"));
}

#[test]
fn what_a_pattern_finds_and_folders_that_are_made_reach_the_nodes() {
    let Some(slurm) = Slurm::shared() else { return };
    let pipeline = "\
name: patterns
stages:
  split:
    kind: command
    inputs: {tables: {glob: 'data/**/*.csv', exclude: data/old}}
    run: mkdir -p ${outputs.parts}/deep; cp ${inputs.tables} ${outputs.parts}/deep; echo end > ${outputs.parts}/end.csv
    outputs: {parts: parts/}
  lines:
    kind: command
    matrix: {part: {from: split.parts}}
    inputs: {part: 'split.parts/${matrix.part}', data: {glob: 'data/*.csv'}, all: {file: data, exclude: [old]}}
    run: cat ${inputs.part} ${inputs.data} > ${outputs.text}; cd ${inputs.all}; find . -name old -prune -o -type f -print | sort >> ${outputs.text}
    outputs: {text: text.txt, none: {file: none.txt, optional: true}}
  all:
    kind: command
    inputs: {lines: lines.text, end: split.parts/end.csv}
    run: cat ${inputs.lines} ${inputs.end} > ${outputs.text}
    outputs: {text: all.txt}
";
    let (there, here) = (project(pipeline, PROFILE), Project::new(pipeline));
    for project in [&there, &here] {
        for (file, text) in [("a b.csv", "1\n"), ("new/b.csv", "2\n"), ("old/c.csv", "3\n"), ("d.txt", "4\n")]
        {
            project.write(&format!("data/{file}"), text);
        }
    }
    let ran = slurm.run(&there, &["--json"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let on_cluster: Value = serde_json::from_str(&ran.stdout).expect("a document");
    assert_eq!(names(&on_cluster["tasks"]["executed"]).len(), 5);
    assert_eq!(digests(&on_cluster), digests(&here.run_json(&[]).0));
    let found = "1\n./a b.csv\n./d.txt\n./new/b.csv\n";
    assert_eq!(
        there.read("artifacts/patterns/all/all.txt"),
        format!("1\n{found}2\n{found}end\n{found}end\n")
    );
    assert!(there.executed(&[]).is_empty());
}

#[test]
fn jobs_make_the_environment_of_a_command_once() {
    let (Some(slurm), Some(uv)) = (Slurm::shared(), Uv::found()) else { return };
    let pipeline = "\
name: packages
stages:
  s:
    kind: command
    matrix: {i: [0, 1]}
    environment: {uv: code/uv.lock}
    run: python3 -c 'import sys; print(sys.prefix, ${matrix.i})' > ${outputs.o}
    outputs: {o: o.txt}
";
    let project = project(pipeline, PROFILE);
    uv.lock(&project);
    let mut command = project.command(&["run", "pipeline.yaml", "--on", "cluster"]);
    let there = ran(uv.within(slurm.within(&mut command)).output().expect("the program starts"));
    assert_eq!(there.status, 0, "{}", there.stderr);
    assert_eq!(last_line(&there.stdout), "2 tasks: 2 executed, 0 cached, 0 failed");
    let environments = entries(&project, "environments");
    let made = environments.iter().filter(|name| name.ends_with(".complete")).count();
    assert_eq!(made, 1, "{environments:?}");
    for i in 0..2 {
        let prefix = project.read(&format!("artifacts/packages/s/i={i}/o.txt"));
        assert!(prefix.contains("artifacts/.onsager/environments/uv-"), "{prefix}");
    }
    let mut command = project.command(&["run", "pipeline.yaml"]);
    let here = ran(uv.within(&mut command).output().expect("the program starts"));
    assert_eq!(last_line(&here.stdout), "2 tasks: 0 executed, 2 cached, 0 failed", "{}", here.stderr);
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
