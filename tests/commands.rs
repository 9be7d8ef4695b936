//! `command` stages.

mod common;

use common::{Project, last_line};

const SCRIPT: &str = "\
import sys
with open(sys.argv[1]) as table, open(sys.argv[2], 'w') as out:
    out.write(str(sum(int(line) for line in table)) + '\\n')
";

const PYTHON: &str = "\
name: python
stages:
  total:
    kind: command
    inputs: {table: {file: table.txt}, script: {file: scripts/total.py}}
    run: python3 ${inputs.script} ${inputs.table} ${outputs.sum}
    outputs: {sum: sum.txt}
    env: {OMP_NUM_THREADS: '2'}
";

#[test]
fn a_script_is_part_of_the_key() {
    let project = Project::new(PYTHON);
    project.write("table.txt", "1\n2\n3\n");
    project.write("scripts/total.py", SCRIPT);
    assert_eq!(project.executed(&[]), ["total"]);
    assert_eq!(project.read("artifacts/python/total/sum.txt"), "6\n");
    assert!(project.executed(&[]).is_empty());
    project.write("scripts/total.py", &SCRIPT.replace("sum(", "-sum("));
    assert_eq!(project.executed(&[]), ["total"]);
    assert_eq!(project.read("artifacts/python/total/sum.txt"), "-6\n");
}

#[test]
fn a_failure_shows_the_end_of_the_log() {
    let project = Project::new(
        "\
name: fails
stages:
  bad:
    kind: command
    run: |
      echo a word before the end
      exit 3
    outputs: {text: out.txt}
  after:
    kind: command
    inputs: {text: bad.text}
    run: cat ${inputs.text} > ${outputs.text}
    outputs: {text: out.txt}
  beside:
    kind: command
    run: echo fine > ${outputs.text}
    outputs: {text: out.txt}
",
    );
    let ran = project.run(&["--keep-going"]);
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("error: bad failed: the command failed (exit status: 3)"), "{}", ran.stderr);
    assert!(ran.stderr.contains("| a word before the end"), "{}", ran.stderr);
    assert!(ran.stderr.contains("after: not run, for it needs bad"), "{}", ran.stderr);
    assert_eq!(last_line(&ran.stdout), "3 tasks: 1 executed, 0 cached, 1 failed");
    assert!(!project.path("artifacts/fails/bad").exists());
    let log = project.onsager(&["log", "pipeline.yaml", "bad"]);
    assert!(log.stdout.contains("a word before the end\n"), "{}", log.stdout);
}

#[test]
fn an_output_that_was_not_written_is_an_error() {
    let project = Project::new(
        "\
name: forgets
stages:
  forgets:
    kind: command
    run: echo nothing
    outputs: {text: out.txt}
",
    );
    let ran = project.run(&[]);
    assert_eq!(ran.status, 1);
    assert!(
        ran.stderr.contains("error: forgets failed: output `text` (`out.txt`) was declared and not written"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("help: write it to `${outputs.text}`"), "{}", ran.stderr);
}

#[test]
fn folders_are_artifacts_too() {
    let project = Project::new(
        "\
name: folders
stages:
  many:
    kind: command
    run: mkdir -p ${outputs.all}/deep; echo 1 > ${outputs.all}/one; echo 2 > ${outputs.all}/deep/two
    outputs: {all: all/}
  joined:
    kind: command
    inputs: {all: many.all}
    run: cat ${inputs.all}/one ${inputs.all}/deep/two > ${outputs.text}
    outputs: {text: joined.txt}
",
    );
    assert_eq!(project.executed(&[]), ["many", "joined"]);
    assert_eq!(project.read("artifacts/folders/joined/joined.txt"), "1\n2\n");
    project.write("artifacts/folders/many/all/one", "edited\n");
    assert!(project.executed(&[]).is_empty());
    assert_eq!(project.read("artifacts/folders/many/all/one"), "1\n");
}

#[test]
fn a_time_limit_ends_a_task() {
    let project = Project::new(
        "\
name: slow
stages:
  slow:
    kind: command
    run: sleep 60
    outputs: {text: out.txt}
    resources: {time: 1s}
",
    );
    let ran = project.run(&[]);
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("error: slow failed: the time limit of 1 s was reached"), "{}", ran.stderr);
}

#[test]
fn an_input_that_changes_while_it_is_read_gives_no_result() {
    let project = Project::new(
        "\
name: moving
stages:
  reader:
    kind: command
    inputs: {source: {file: source.txt}}
    run: cat ${inputs.source} > ${outputs.text}; echo more >> source.txt
    outputs: {text: out.txt}
",
    );
    project.write("source.txt", "first\n");
    let ran = project.run(&[]);
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("source.txt` was changed while the task ran"), "{}", ran.stderr);
}
