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

#[test]
fn an_output_that_links_to_files_of_the_user_leaves_them_alone() {
    let project = Project::new(
        "\
name: links
stages:
  linked:
    kind: command
    inputs: {data: {file: data}}
    run: mkdir -p ${outputs.all}; ln -s \"$PWD/data\" ${outputs.all}/link; ln data/one ${outputs.all}/hard
    outputs: {all: all/}
",
    );
    project.write("data/one", "mine\n");
    let ran = project.run(&[]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(project.read("data/one"), "mine\n");
    assert_eq!(project.read("artifacts/links/linked/all/link/one"), "mine\n");
    project.write("data/one", "edited\n");
    std::fs::remove_dir_all(project.path("artifacts/links")).expect("removed");
    project.write("data/one", "mine\n");
    assert!(project.executed(&[]).is_empty());
    assert_eq!(project.read("artifacts/links/linked/all/hard"), "mine\n");
}

#[test]
fn what_a_command_leaves_in_the_background_cannot_change_its_output() {
    let project = Project::new(
        "\
name: late
stages:
  late:
    kind: command
    run: |
      echo early > ${outputs.text}
      exec 3>> ${outputs.text}
      (sleep 1; echo late >&3; touch too-late.txt) &
    outputs: {text: out.txt}
",
    );
    assert_eq!(project.executed(&[]), ["late"]);
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert!(!project.path("too-late.txt").exists());
    std::fs::remove_dir_all(project.path("artifacts/late")).expect("removed");
    assert!(project.executed(&[]).is_empty());
    assert_eq!(project.read("artifacts/late/late/out.txt"), "early\n");
}

#[test]
fn a_command_that_writes_into_its_input_fails_and_the_input_is_whole_again() {
    let project = Project::new(
        "\
name: careless
stages:
  first:
    kind: command
    run: echo first > ${outputs.text}
    outputs: {text: first.txt}
  second:
    kind: command
    inputs: {text: first.text}
    run: |
      [ -e allowed ] || { chmod u+w ${inputs.text}; echo more >> ${inputs.text}; }
      cat ${inputs.text} > ${outputs.text}
    outputs: {text: second.txt}
",
    );
    let ran = project.run(&[]);
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("second failed: the stage changed one of its inputs"), "{}", ran.stderr);
    project.write("allowed", "");
    // Its bytes come back from the view.
    assert_eq!(project.executed(&[]), ["second"]);
    assert_eq!(project.read("artifacts/careless/second/second.txt"), "first\n");
}

#[test]
fn a_time_limit_reaches_what_the_command_started() {
    let project = Project::new(
        "\
name: slow
stages:
  slow:
    kind: command
    run: |
      (sleep 3; touch survived.txt) &
      wait
    outputs: {text: out.txt}
    resources: {time: 1s}
",
    );
    assert_eq!(project.run(&[]).status, 1);
    std::thread::sleep(std::time::Duration::from_millis(2600));
    assert!(!project.path("survived.txt").exists());
}

#[test]
fn quotes_around_a_path_do_no_harm() {
    let project = Project::new(
        "\
name: quotes
stages:
  quoted:
    kind: command
    inputs: {text: {file: in.txt}}
    run: cat \"${inputs.text}\" > \"${outputs.text}\"
    outputs: {text: out.txt}
",
    );
    project.write("in.txt", "words\n");
    assert_eq!(project.executed(&[]), ["quoted"]);
    assert_eq!(project.read("artifacts/quotes/quoted/out.txt"), "words\n");
}

#[test]
fn a_daemon_that_a_command_starts_ends_with_it() {
    let project = Project::new(
        "\
name: daemon
stages:
  daemon:
    kind: command
    run: |
      setsid sh -c 'sleep 1; touch survived.txt' > /dev/null 2>&1 < /dev/null &
      sleep 0.2
      echo done > ${outputs.text}
    outputs: {text: out.txt}
",
    );
    assert_eq!(project.executed(&[]), ["daemon"]);
    std::thread::sleep(std::time::Duration::from_millis(1300));
    assert!(!project.path("survived.txt").exists());
}

#[test]
fn a_command_may_be_longer_than_an_argument() {
    let lines: String = (0..20_000).map(|n| format!("      : line {n}\n")).collect();
    let project = Project::new(&format!(
        "\
name: long
stages:
  long:
    kind: command
    run: |
{lines}
      echo done > ${{outputs.text}}
    outputs: {{text: out.txt}}
"
    ));
    assert_eq!(project.executed(&[]), ["long"]);
    assert_eq!(project.read("artifacts/long/long/out.txt"), "done\n");
}

#[test]
fn a_command_may_end_by_itself_after_ctrl_c() {
    let project = Project::new(
        "\
name: polite
stages:
  polite:
    kind: command
    run: |
      trap 'echo saved > saved.txt; exit 0' TERM
      touch started.txt
      while :; do sleep 0.05; done
    outputs: {text: out.txt}
",
    );
    let mut child = project.spawn(&[]);
    while !project.path("started.txt").exists() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::INT).expect("it runs");
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    assert_eq!(project.read("saved.txt"), "saved\n");
    assert!(!project.path("artifacts/polite").exists());
}
