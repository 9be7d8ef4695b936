//! What is executed again, and what is not.

mod common;

use common::chain::{CHAIN, chain};
use common::{Project, last_line};
use std::fs::{self, File};
use std::time::SystemTime;

#[test]
fn a_second_run_executes_nothing() {
    let project = chain();
    let ran = project.run(&[]);
    assert_eq!(last_line(&ran.stdout), "3 tasks: 0 executed, 3 cached, 0 failed");
    assert_eq!(ran.status, 0);
}

#[test]
fn a_touched_input_executes_nothing() {
    let project = chain();
    File::options()
        .append(true)
        .open(project.path("source.txt"))
        .and_then(|file| file.set_modified(SystemTime::now()))
        .expect("touched");
    assert!(project.executed(&[]).is_empty());
}

#[test]
fn a_change_that_leaves_the_output_the_same_stops_there() {
    let project = chain();
    project.write("source.txt", "one three\n");
    assert_eq!(project.executed(&[]), ["a"]);
    project.write("source.txt", "four\n");
    assert_eq!(project.executed(&[]), ["a", "b", "c"]);
    project.write("source.txt", "one two\n");
    assert!(project.executed(&[]).is_empty());
    assert_eq!(project.read("artifacts/chain/c/c/one"), "one 1\n");
}

#[test]
fn an_edited_command_with_the_same_output_stops_there() {
    let project = chain();
    project.write("pipeline.yaml", &CHAIN.replace("cut -d' ' -f1", "cut -d ' ' -f 1"));
    assert_eq!(project.executed(&[]), ["a"]);
}

#[test]
fn a_changed_parameter_runs_what_depends_on_it_and_going_back_runs_nothing() {
    let project = chain();
    let planned = project.onsager(&["plan", "pipeline.yaml", "--set", "mark=2"]);
    assert_eq!(
        planned.stdout,
        "b: execute\n    \
         params.run: echo \"$(cat ${inputs.text}) 1\" > ${outputs.text} → echo \"$(cat ${inputs.text}) 2\" > ${outputs.text}\n\
         c: execute, unless b gives the same bytes as before\n\
         3 tasks: 1 to execute, 1 if what they need changes, 1 cached\n"
    );
    assert_eq!(project.executed(&["--set", "mark=2"]), ["b", "c"]);
    assert_eq!(project.read("artifacts/chain/c/c/one"), "one 2\n");
    assert!(project.executed(&[]).is_empty());
    assert_eq!(project.read("artifacts/chain/c/c/one"), "one 1\n");
}

#[test]
fn deleted_and_edited_outputs_are_restored() {
    let project = chain();
    fs::remove_file(project.path("artifacts/chain/a/a.txt")).expect("removed");
    let ran = project.run(&[]);
    assert!(ran.stderr.contains("a.txt` from the store: it had been removed"), "{}", ran.stderr);
    assert_eq!(last_line(&ran.stdout), "3 tasks: 0 executed, 3 cached, 0 failed");
    assert_eq!(project.read("artifacts/chain/a/a.txt"), "one\n");

    project.write("artifacts/chain/b/b.txt", "edited by hand\n");
    let ran = project.run(&[]);
    assert!(ran.stderr.contains("b.txt` from the store: it had been edited"), "{}", ran.stderr);
    assert_eq!(last_line(&ran.stdout), "3 tasks: 0 executed, 3 cached, 0 failed");
    assert_eq!(project.read("artifacts/chain/b/b.txt"), "one 1\n");
}

#[test]
fn lost_objects_are_made_again_once_their_bytes_are_needed() {
    let project = chain();
    let objects = project.path("artifacts/.onsager/objects");
    fs::remove_dir_all(&objects).expect("removed");
    fs::create_dir(&objects).expect("made");
    // The view has them.
    assert!(project.executed(&[]).is_empty());
    fs::remove_dir_all(project.path("artifacts/chain")).expect("removed");
    assert_eq!(project.executed(&[]), ["a", "b", "c"]);
    assert_eq!(project.read("artifacts/chain/c/c/one"), "one 1\n");
}

#[test]
fn a_forced_task_tells_whether_it_is_reproducible() {
    let project = Project::new(
        "\
name: dice
stages:
  roll:
    kind: command
    run: date +%N > ${outputs.text}
    outputs: {text: roll.txt}
  fixed:
    kind: command
    run: echo 6 > ${outputs.text}
    outputs: {text: fixed.txt}
",
    );
    assert_eq!(project.executed(&[]), ["roll", "fixed"]);
    let ran = project.run(&["--force", "roll", "--force", "fixed"]);
    assert!(ran.stderr.contains("roll: output `text` has other bytes than before"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("fixed: output"), "{}", ran.stderr);
    assert_eq!(last_line(&ran.stdout), "2 tasks: 2 executed, 0 cached, 0 failed");
}

#[test]
fn two_runs_at_once_execute_each_task_once() {
    let project = Project::new(
        "\
name: shared
stages:
  slow:
    kind: command
    matrix: {n: [1, 2, 3, 4]}
    run: sleep 0.3; echo ${matrix.n} >> counted.txt; echo ${matrix.n} > ${outputs.text}
    outputs: {text: out.txt}
",
    );
    let first = project.spawn(&[]);
    let second = project.spawn(&[]);
    for child in [first, second] {
        let ran = common::ran(child.wait_with_output().expect("it ends"));
        assert_eq!(ran.status, 0, "{}", ran.stderr);
    }
    let mut counted: Vec<String> = project.read("counted.txt").lines().map(str::to_owned).collect();
    counted.sort();
    assert_eq!(counted, ["1", "2", "3", "4"]);
}

#[test]
fn a_renamed_output_leaves_no_old_one_behind() {
    let pipeline = |file: &str| {
        format!(
            "\
name: renamed
stages:
  a:
    kind: command
    run: mkdir -p $(dirname ${{outputs.text}}); echo same > ${{outputs.text}}
    outputs: {{text: {file}}}
  b:
    kind: command
    inputs: {{text: a.text}}
    run: basename ${{inputs.text}} > ${{outputs.name}}
    outputs: {{name: name.txt}}
"
        )
    };
    let project = Project::new(&pipeline("one"));
    assert_eq!(project.executed(&[]), ["a", "b"]);
    assert_eq!(project.read("artifacts/renamed/b/name.txt"), "one\n");
    project.write("pipeline.yaml", &pipeline("one/two.csv"));
    assert_eq!(project.executed(&[]), ["a", "b"]);
    assert_eq!(project.read("artifacts/renamed/a/one/two.csv"), "same\n");
    assert_eq!(project.read("artifacts/renamed/b/name.txt"), "two.csv\n");
    project.write("pipeline.yaml", &pipeline("three.csv"));
    assert_eq!(project.executed(&[]), ["a", "b"]);
    assert!(!project.path("artifacts/renamed/a/one/two.csv").exists());
}

#[test]
fn a_reader_that_goes_away_does_not_end_the_run() {
    let project = chain();
    project.write("pipeline.yaml", &CHAIN.replace("'1'", "'2'"));
    let mut child = project.spawn(&[]);
    drop(child.stdout.take());
    drop(child.stderr.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    assert_eq!(project.read("artifacts/chain/c/c/one"), "one 2\n");
}

#[test]
fn a_changed_parameter_that_leaves_the_output_the_same_stops_there() {
    let project = chain();
    project.write(
        "pipeline.yaml",
        &CHAIN
            .replace("cut -d' ' -f1 ", "cut -d' ' -f${params.field} ")
            .replace("params: {mark: '1'}", "params: {mark: '1', field: 1}"),
    );
    assert!(project.executed(&[]).is_empty(), "the command reads the same");
    project.write("source.txt", "one one\n");
    assert_eq!(project.executed(&[]), ["a"]);
    assert_eq!(project.executed(&["--set", "field=2"]), ["a"]);
}

/// The first run is busy with `slow` when the second one needs `a` and `b` alone.
#[test]
fn a_second_run_waits_for_its_tasks_and_not_for_the_whole_run() {
    let project = Project::new(
        "\
name: two
stages:
  a:
    kind: command
    run: sleep 0.5; echo a >> ${outputs.text}; echo a >> journal.txt
    outputs: {text: a.txt}
  slow:
    kind: command
    inputs: {text: a.text}
    run: touch started.txt; until test -e go.txt; do sleep 0.05; done; echo slow > ${outputs.text}; echo slow >> journal.txt
    outputs: {text: slow.txt}
  b:
    kind: command
    inputs: {text: a.text}
    run: cat ${inputs.text} > ${outputs.text}; echo b >> journal.txt
    outputs: {text: b.txt}
",
    );
    let mut first = project.spawn(&["slow", "--jobs", "1"]);
    let second = project.run(&["b"]);
    assert_eq!(second.status, 0, "{}", second.stderr);
    assert!(!project.path("artifacts/two/slow/slow.txt").exists(), "the first run goes on");
    project.write("go.txt", "");
    assert!(first.wait().expect("the first run ends").success());
    let mut journal: Vec<String> = project.read("journal.txt").lines().map(str::to_owned).collect();
    journal.sort();
    assert_eq!(journal, ["a", "b", "slow"]);
}

/// The bytes of the result in the middle are flipped, and its copy in the view is gone.
#[test]
fn a_damaged_object_is_named_and_computed_again() {
    let project = chain();
    let object =
        objects(&project).into_iter().find(|path| fs::read(path).is_ok_and(|bytes| bytes == b"one 1\n"));
    let object = object.expect("the object of b");
    fs::set_permissions(&object, std::os::unix::fs::PermissionsExt::from_mode(0o644)).expect("writable");
    fs::write(&object, "0ne 1\n").expect("flipped");
    fs::remove_dir_all(project.path("artifacts/chain/b")).expect("removed");
    let ran = project.run(&[]);
    assert!(ran.stderr.contains("output `text` of b is damaged"), "{}", ran.stderr);
    assert_eq!(last_line(&ran.stdout), "3 tasks: 1 executed, 2 cached, 0 failed");
    assert_eq!(project.read("artifacts/chain/b/b.txt"), "one 1\n");
    assert_eq!(fs::read(&object).expect("the object"), b"one 1\n");
}

fn objects(project: &Project) -> Vec<std::path::PathBuf> {
    let below = |folder: std::path::PathBuf| {
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
    };
    below(project.path("artifacts/.onsager/objects")).flat_map(below).collect()
}
