//! Ctrl-C in a terminal while a run has jobs on a cluster: it asks what is to become of them.

mod common;

use common::slurm::{PROFILE, Slurm, project};
use common::{Project, Ran, last_line, ran, repository};
use serde_json::json;
use std::process::Command;

/// Goes on from its checkpoint, and to its end when the file `go` is there.
const WAITS: &str = "\
name: waits
stages:
  one:
    kind: command
    checkpoint: state
    run: |
      if [ -e ${checkpoint} ]; then cat ${checkpoint} >> attempts.txt; else echo new >> attempts.txt; fi
      echo goes on > ${checkpoint}
      touch half
      while [ ! -e go ]; do sleep 0.1; done
      echo done > ${outputs.text}
    outputs: {text: one.txt}
";

const QUESTION: &str = "jobs have 1 task: (s)top them, they save checkpoints; (l)eave them, the same command picks up what they \
                        finish; (g)o on?";

/// `onsager run --on cluster` in a terminal, where Ctrl-C is pressed when the task is in the middle, and answered.
fn interrupted(slurm: &Slurm, project: &Project, answers: &[&str]) -> Ran {
    let mut typed = vec![json!(["file half", "\u{3}"])];
    typed.extend(answers.iter().map(|answer| json!(["(g)o on?", format!("{answer}\n")])));
    let run = project.command(&["run", "pipeline.yaml", "--on", "cluster"]);
    let mut command = Command::new("python3");
    command.arg(repository().join("tests/common/terminal.py")).arg(json!(typed).to_string());
    command.arg(run.get_program()).args(run.get_args()).current_dir(project.path(""));
    command.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    ran(slurm.within(&mut command).output().expect("python3 starts"))
}

#[test]
fn jobs_that_are_left_go_on_and_count() {
    let Some(slurm) = Slurm::shared() else { return };
    let project = project(WAITS, PROFILE);
    // What is no answer is asked again.
    let left = interrupted(slurm, &project, &["?", "l"]);
    assert_eq!((left.status, left.stdout.matches(QUESTION).count()), (130, 2), "{}", left.stdout);
    project.write("go", "");
    let again = slurm.run(&project, &[]);
    assert_eq!(again.status, 0, "{}", again.stderr);
    assert_eq!(last_line(&again.stdout), "1 task: 1 executed, 0 cached, 0 failed");
    assert!(
        again.stderr.contains("note: cluster: jobs of an earlier run have finished "),
        "{}",
        again.stderr
    );
    assert_eq!(project.read("attempts.txt"), "new\n");
}

#[test]
fn jobs_that_are_stopped_save_checkpoints_and_end() {
    let Some(slurm) = Slurm::shared() else { return };
    let project = project(WAITS, PROFILE);
    let stopped = interrupted(slurm, &project, &["s"]);
    assert_eq!((stopped.status, stopped.stdout.matches(QUESTION).count()), (130, 1), "{}", stopped.stdout);
    let listed = slurm.onsager(&project, &["jobs"]);
    assert_eq!((listed.status, listed.stdout.as_str()), (0, "no jobs\n"), "{}", listed.stderr);
    project.write("go", "");
    let again = slurm.run(&project, &[]);
    assert_eq!(again.status, 0, "{}", again.stderr);
    assert_eq!(project.read("attempts.txt"), "new\ngoes on\n");
}
