//! What a run on a cluster does when parts of the cluster go away: the tests end daemons of their Slurm, so they take turns.

mod common;

use common::slurm::{PROFILE, Slurm, project, turn};
use common::{Project, Ran, last_line, ran, until};
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

/// Ends when the file `go` is there; its attempts leave a line each.
const WAITS: &str = "\
name: waits
stages:
  one:
    kind: command
    run: |
      echo $SLURMD_NODENAME >> attempts.txt
      while [ ! -e go ]; do sleep 0.1; done
      echo done > ${outputs.text}
    outputs: {text: one.txt}
";

fn start(slurm: &Slurm, project: &Project) -> Child {
    let mut command = project.command(&["run", "pipeline.yaml", "--on", "cluster"]);
    let command = slurm.within(&mut command).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the program starts")
}

/// Waits for a line of its standard error, and gives what it said until then.
fn until_said(said: &mut impl BufRead, part: &str) -> String {
    let mut all = String::new();
    while !all.contains(part) {
        assert_ne!(said.read_line(&mut all).expect("text"), 0, "it ended: {all}");
    }
    all
}

/// Waits for a number of attempts, and gives their nodes.
fn attempts(project: &Project, count: usize) -> Vec<String> {
    let text = || std::fs::read_to_string(project.path("attempts.txt")).unwrap_or_default();
    until("another attempt begins", || text().lines().count() >= count);
    text().lines().map(str::to_owned).collect()
}

fn ends_well(child: Child, project: &Project) -> Ran {
    project.write("go", "");
    let ran = ran(child.wait_with_output().expect("it ends"));
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(last_line(&ran.stdout), "1 task: 1 executed, 0 cached, 0 failed");
    ran
}

#[test]
fn a_dead_controller_is_no_failure() {
    let Some(slurm) = Slurm::shared() else { return };
    let _turn = turn();
    let project = project(WAITS, PROFILE);
    slurm.act("kill-controller");
    let mut child = start(slurm, &project);
    let mut said = BufReader::new(child.stderr.take().expect("its standard error"));
    let told = until_said(&mut said, "it is asked again");
    assert!(
        told.contains(
            "note: cluster: `sbatch` does not answer: sbatch: error: Batch job submission failed: Unable to contact slurm controller"
        ),
        "{told}"
    );
    slurm.act("start-controller");
    until_said(&mut said, "one: started on 1 thread of node `node");
    // And while a job runs.
    slurm.act("kill-controller");
    let told = until_said(&mut said, "it is asked again");
    assert!(told.contains("`squeue` does not answer"), "{told}");
    slurm.act("start-controller");
    ends_well(child, &project);
}

#[test]
fn a_node_that_goes_away_costs_its_task_another_attempt() {
    let Some(slurm) = Slurm::shared() else { return };
    let _turn = turn();
    let project = project(WAITS, PROFILE);
    let mut child = start(slurm, &project);
    let mut said = BufReader::new(child.stderr.take().expect("its standard error"));
    let node = attempts(&project, 1).remove(0);
    slurm.act(&format!("kill-node-and-steps {node}"));
    let told = until_said(&mut said, "is lost");
    assert!(told.contains(&format!(" on node `{node}` is lost (")), "{told}");
    attempts(&project, 2);
    ends_well(child, &project);
    slurm.act(&format!("start-node {node}"));
    let starts = project.events_of("task-started");
    assert_eq!(starts.len(), 2);
    assert_eq!(starts[1]["job"]["attempt"], 2);
}

#[test]
fn what_a_lost_node_had_in_hand_goes_on_in_a_folder_of_its_own() {
    let Some(slurm) = Slurm::shared() else { return };
    let _turn = turn();
    let keeps = WAITS.replace("    run: |", "    checkpoint: state\n    run: |").replace(
        "echo $SLURMD_NODENAME",
        "echo >> ${checkpoint}; echo $SLURMD_NODENAME ${checkpoint} $(wc -l < ${checkpoint})",
    );
    let project = project(&keeps, PROFILE);
    let mut child = start(slurm, &project);
    let first = attempts(&project, 1).remove(0);
    child.kill().expect("it runs");
    child.wait().expect("it ended");
    let (node, rest) = first.split_once(' ').expect("a node");
    assert!(rest.ends_with("/state 1") && !rest.contains("/attempts/"), "{first}");
    slurm.act(&format!("kill-node-and-steps {node}"));
    let child = start(slurm, &project);
    let second = attempts(&project, 2).remove(1);
    ends_well(child, &project);
    slurm.act(&format!("start-node {node}"));
    // With a copy of the checkpoint: the first attempt may be running still, for all that anybody knows.
    assert!(second.contains("/attempts/000001-") && second.ends_with("/state 2"), "{second}");
}
