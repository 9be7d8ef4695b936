//! `onsager top` beside a run on a cluster: a cancel and a retry of one task reach the job that has it.

mod common;

use common::slurm::{PROFILE, Slurm, project};
use common::terminal::Terminal;
use common::{Project, last_line, ran, until};
use std::process::{Child, Stdio};

/// Hangs at its first attempt, and tells of each where it began.
const HANGS: &str = "\
name: hangs
stages:
  one:
    kind: command
    checkpoint: state
    run: |
      if [ -e ${checkpoint} ]; then cat ${checkpoint} >> attempts.txt; echo done > ${outputs.text}; exit; fi
      echo new >> attempts.txt
      echo goes on > ${checkpoint}
      touch half
      sleep 600
    outputs: {text: one.txt}
";

/// A run on the cluster in the background.
fn going(slurm: &Slurm, project: &Project) -> Child {
    let mut command = project.command(&["run", "pipeline.yaml", "--on", "cluster"]);
    let command =
        slurm.within(&mut command).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("the program starts")
}

#[test]
fn a_cancelled_task_saves_its_checkpoint_and_its_job_ends() {
    let Some(slurm) = Slurm::shared() else { return };
    let project = project(HANGS, PROFILE);
    let run = going(slurm, &project);
    until("it is in the middle", || project.path("half").exists());
    if let Some(mut top) = Terminal::of(&project, "top", &[]) {
        top.wait_for("running     one");
        top.press("c");
        top.wait_for("cancel one?");
        top.press("y");
        top.wait_for("asked to cancel one");
        let ended = ran(run.wait_with_output().expect("it ends"));
        assert_eq!(ended.status, 130, "{}", ended.stderr);
        assert!(ended.stderr.contains("note: one: cancelled on request"), "{}", ended.stderr);
        assert!(
            ended.stdout.contains("interrupted: 1 task; give the same command to go on"),
            "{}",
            ended.stdout
        );
        top.wait_for("interrupted");
        top.press("q");
        assert_eq!(top.end().0, 0);
    } else {
        slurm.onsager(&project, &["cancel", "--all"]);
        let _ = run.wait_with_output();
    }
    assert_eq!(slurm.onsager(&project, &["jobs"]).stdout, "no jobs\n");
    let again = slurm.run(&project, &[]);
    assert_eq!(again.status, 0, "{}", again.stderr);
    assert_eq!(project.read("attempts.txt"), "new\ngoes on\n");
}

#[test]
fn a_task_that_hangs_in_a_job_is_tried_again() {
    let Some(slurm) = Slurm::shared() else { return };
    let project = project(HANGS, PROFILE);
    let run = going(slurm, &project);
    until("it hangs", || project.path("half").exists());
    let Some(mut top) = Terminal::of(&project, "top", &[]) else {
        slurm.onsager(&project, &["cancel", "--all"]);
        let _ = run.wait_with_output();
        return;
    };
    top.wait_for("running     one");
    top.press("r");
    top.wait_for("try one again?");
    top.press("y");
    let ended = ran(run.wait_with_output().expect("it ends"));
    assert_eq!(ended.status, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("note: one: tried again on request"), "{}", ended.stderr);
    assert_eq!(last_line(&ended.stdout), "1 task: 1 executed, 0 cached, 0 failed");
    top.wait_for("executed    one");
    top.press("q");
    assert_eq!(top.end().0, 0);
    // The second attempt went on from the checkpoint of the first.
    assert_eq!(project.read("attempts.txt"), "new\ngoes on\n");
    assert_eq!(project.events_of("task-started").len(), 2);
}

#[test]
fn a_task_whose_job_has_not_begun_is_cancelled() {
    let Some(slurm) = Slurm::shared() else { return };
    let project = project(HANGS, &format!("{PROFILE}options = [\"--begin=now+1hour\"]\n"));
    let run = going(slurm, &project);
    until("its job waits", || slurm.onsager(&project, &["jobs"]).stdout.contains("waiting"));
    let Some(mut top) = Terminal::of(&project, "top", &[]) else {
        slurm.onsager(&project, &["cancel", "--all"]);
        let _ = run.wait_with_output();
        return;
    };
    top.wait_for("0 of 1 tasks");
    top.press("c");
    top.wait_for("cancel one?");
    top.press("y");
    let ended = ran(run.wait_with_output().expect("it ends"));
    assert_eq!(ended.status, 130, "{}", ended.stderr);
    assert!(ended.stderr.contains("note: one: cancelled on request"), "{}", ended.stderr);
    top.press("q");
    assert_eq!(top.end().0, 0);
    assert_eq!(slurm.onsager(&project, &["jobs"]).stdout, "no jobs\n");
    assert!(!project.path("attempts.txt").exists());
}
