//! `onsager shell`: the place of a command, to find out why it fails.

mod common;

use common::Project;
use std::fs;

const PIPELINE: &str = "\
name: p
stages:
  rows:
    kind: command
    run: seq 3 > ${outputs.table}
    outputs: {table: rows.txt}
  fit:
    kind: command
    matrix: {k: [1, 2]}
    inputs: {table: rows.table}
    env: {QUOTED: \"it's $HOME\"}
    run: |
      echo \"$QUOTED\" > ${outputs.text}
      wc -l < ${inputs.table} >> ${outputs.text}
      test ${matrix.k} = 1
    outputs: {text: fit.txt}
";

#[test]
fn the_call_of_a_failed_task_can_be_repeated() {
    let project = Project::new(PIPELINE);
    assert_eq!(project.run(&["--keep-going"]).status, 1);
    let shell = |task: &str, script: &str| {
        project.onsager(&["shell", "pipeline.yaml", task, "--", "sh", "-c", script])
    };
    // It fails as in the run, and its output can be looked at.
    let ran = shell("fit[k=2]", "$ONSAGER_COMMAND; echo status $?; cat $ONSAGER_FOLDER/out/fit.txt; pwd");
    let here = fs::canonicalize(project.path("")).expect("a folder");
    assert_eq!(ran.stdout, format!("status 1\nit's $HOME\n3\n{}\n", here.display()), "{}", ran.stderr);
    // The environment is that of the command, the inputs are where it reads them, the exit code is that of the shell.
    let ran =
        shell("fit[k=1]", "echo \"$QUOTED\"; ls $ONSAGER_FOLDER/in/table; echo $ONSAGER_THREADS; exit 7");
    assert_eq!((ran.status, ran.stdout.as_str()), (7, "it's $HOME\nrows.txt\n1\n"), "{}", ran.stderr);
    // Nothing stays, and nothing of it counts.
    let left = fs::read_dir(project.path("artifacts/.onsager/work")).expect("work").count();
    assert_eq!(left, 0);
    assert_eq!(project.run(&["fit[k=2]"]).status, 1);
}

#[test]
fn what_cannot_be_opened_says_why() {
    let project = Project::new(PIPELINE);
    let ran = project.onsager(&["shell", "pipeline.yaml", "fit[k=1]", "--", "true"]);
    assert_eq!(ran.status, 1);
    assert_eq!(
        ran.stderr,
        "error: `fit[k=1]` cannot start yet: what it reads is not made; `onsager run pipeline.yaml 'fit[k=1]'` makes it\n"
    );
    let ran = project.onsager(&["shell", "pipeline.yaml", "fit", "--", "true"]);
    assert_eq!(
        (ran.status, ran.stderr.as_str()),
        (2, "error: `fit` is 2 tasks: name one of them, like `fit[k=1]`\n")
    );
    project.run(&["fit[k=1]"]);
    let ran = project.onsager(&["shell", "pipeline.yaml", "fit[k=1]", "--", "/no/such/program"]);
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("cannot start `/no/such/program`"), "{}", ran.stderr);
}
