//! The view holds what the pipeline says, of one file, of one setting of the parameters; what else was there is told.

mod common;

use common::{Project, last_line, names};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Command;

fn stages(names: &[&str]) -> String {
    let stage = |name: &&str| {
        format!("  {name}: {{kind: command, run: 'echo {name} > ${{outputs.o}}', outputs: {{o: o.txt}}}}\n")
    };
    format!("name: view\nstages:\n{}", names.iter().map(stage).collect::<String>())
}

#[test]
fn what_the_pipeline_no_longer_has_leaves_the_view() {
    let project = Project::new(&stages(&["old", "kept", "gone"]));
    assert_eq!(project.executed(&[]), ["old", "kept", "gone"]);
    project.write("artifacts/view/mine.txt", "mine\n");
    // One stage renamed, one removed.
    project.write("pipeline.yaml", &stages(&["new", "kept"]));
    let ran = project.run(&[]);
    assert!(
        ran.stderr.contains("removed 2 outputs of what the pipeline no longer has: gone, old\n"),
        "{}",
        ran.stderr
    );
    let left: BTreeSet<String> = fs::read_dir(project.path("artifacts/view"))
        .expect("the view")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
        .collect();
    assert_eq!(left, ["kept", "mine.txt", "new"].map(str::to_owned).into());
    let ran = project.run(&[]);
    assert!(!ran.stderr.contains("removed"), "{}", ran.stderr);
    // Their objects go by the rules of gc, and going back is free.
    project.write("pipeline.yaml", &stages(&["old", "kept", "gone"]));
    assert!(project.executed(&[]).is_empty());
    assert_eq!(project.read("artifacts/view/gone/o.txt"), "gone\n");
    project.write("pipeline.yaml", &stages(&["kept"]));
    assert_eq!(project.run(&[]).status, 0);
    let collected = project.onsager(&["store", "gc", "--keep-runs", "1"]);
    assert!(collected.stdout.starts_with("dropped 3 objects"), "{}", collected.stdout);
}

#[test]
fn a_removed_point_and_a_renamed_file_leave_the_view() {
    let pipeline = |values: &str, file: &str| {
        format!(
            "name: points\nstages:\n  a:\n    kind: command\n    matrix: {{x: [{values}]}}\n    \
             run: mkdir -p $(dirname ${{outputs.o}}); echo ${{matrix.x}} > ${{outputs.o}}\n    outputs: {{o: {file}}}\n"
        )
    };
    let project = Project::new(&pipeline("1, 2, 3", "deep/o.txt"));
    assert_eq!(project.run(&[]).status, 0);
    project.write("pipeline.yaml", &pipeline("1, 3", "deep/o.txt"));
    let ran = project.run(&[]);
    assert!(
        ran.stderr.contains("removed 1 output of what the pipeline no longer has: a[x=2]\n"),
        "{}",
        ran.stderr
    );
    assert!(!project.path("artifacts/points/a/x=2").exists());
    assert!(project.path("artifacts/points/a/x=3/deep/o.txt").exists());
    project.write("pipeline.yaml", &pipeline("1, 3", "o.csv"));
    assert_eq!(project.run(&[]).status, 0);
    assert!(!project.path("artifacts/points/a/x=1/deep").exists(), "the empty folder stays");
    assert_eq!(project.read("artifacts/points/a/x=1/o.csv"), "1\n");
}

#[test]
fn what_was_edited_by_hand_is_told() {
    let project = Project::new(&stages(&["a", "b"]));
    assert_eq!(project.run(&[]).status, 0);
    project.write("artifacts/view/a/o.txt", "edited\n");
    project.write("artifacts/view/b/o.txt", "edited\n");
    // a has a new result, and b is gone.
    project.write("pipeline.yaml", &stages(&["a"]).replace("echo a", "echo A"));
    let ran = project.run(&[]);
    assert!(ran.stderr.contains("view/a/o.txt` by the new result: it had been edited\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("view/b/o.txt` stays, for it was edited\n"), "{}", ran.stderr);
    assert_eq!(project.read("artifacts/view/a/o.txt"), "A\n");
    assert_eq!(project.read("artifacts/view/b/o.txt"), "edited\n");
    // An edit that comes to the new result is none.
    project.write("artifacts/view/a/o.txt", "B\n");
    project.write("pipeline.yaml", &stages(&["a"]).replace("echo a", "echo B"));
    let ran = project.run(&[]);
    assert!(!ran.stderr.contains("edited"), "{}", ran.stderr);
}

/// Waits until a file is there.
fn await_file(project: &Project, name: &str) {
    while !project.path(name).exists() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn an_interrupted_run_clears_nothing() {
    let project = Project::new(&stages(&["a", "b"]));
    assert_eq!(project.run(&[]).status, 0);
    project.write("pipeline.yaml", &stages(&["a"]).replace("echo a", "touch started; sleep 60; echo A"));
    let child = project.spawn(&[]);
    await_file(&project, "started");
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(interrupted.success());
    let ran = common::ran(child.wait_with_output().expect("it ends"));
    assert_eq!(ran.status, 130, "{}", ran.stderr);
    assert!(project.path("artifacts/view/b/o.txt").exists());
}

#[test]
fn two_files_with_one_name_do_not_share_a_view() {
    let project = Project::new(&stages(&["a"]));
    assert_eq!(project.run(&[]).status, 0);
    project.write("other.yaml", &stages(&["a"]).replace("echo a", "echo other"));
    for command in
        [&["run"][..], &["plan"], &["status"], &["compare"], &["diff", "last", "last"], &["explain"]]
    {
        let arguments: Vec<&str> = match command {
            ["diff", ..] => ["diff", "last", "last", "--pipeline", "other.yaml"].to_vec(),
            ["explain"] => ["explain", "other.yaml", "a"].to_vec(),
            command => [command, &["other.yaml"]].concat(),
        };
        let ran = project.onsager(&arguments);
        assert_eq!(ran.status, 2, "{command:?} {} {}", ran.stdout, ran.stderr);
        assert!(
            ran.stderr.contains("`other.yaml` has the name `view`, and `")
                && ran.stderr.contains("pipeline.yaml`, which has it too: give one of them another `name`"),
            "{command:?} {}",
            ran.stderr
        );
    }
    assert_eq!(project.read("artifacts/view/a/o.txt"), "a\n");
    // Another name, a file that was moved and a file that gave up the name are fine.
    project.write("other.yaml", &stages(&["a"]).replace("name: view", "name: other"));
    assert_eq!(project.onsager(&["run", "other.yaml"]).status, 0);
    fs::rename(project.path("pipeline.yaml"), project.path("moved.yaml")).expect("moved");
    assert_eq!(project.onsager(&["run", "moved.yaml"]).status, 0);
    project.write("moved.yaml", &stages(&["a"]).replace("name: view", "name: else"));
    project.write("pipeline.yaml", &stages(&["a"]));
    assert_eq!(project.run(&[]).status, 0);
}

#[test]
fn runs_with_other_parameters_show_their_results_one_after_the_other() {
    let project = Project::new(
        "\
name: mixed
params: {x: 1}
stages:
  a:
    kind: command
    matrix: {i: [1, 2, 3]}
    run: touch started; until test -e go; do sleep 0.02; done; echo ${params.x} > ${outputs.o}
    outputs: {o: o.txt}
",
    );
    let first = project.spawn(&["--set", "x=1"]);
    await_file(&project, "started");
    let mut second = project.spawn(&["--set", "x=2"]);
    let mut told = String::new();
    let mut stderr = BufReader::new(second.stderr.take().expect("a pipe"));
    stderr.read_line(&mut told).expect("a line");
    assert!(told.starts_with("waiting: another run of `mixed` has other parameters"), "{told}");
    project.write("go", "");
    let ran = common::ran(first.wait_with_output().expect("it ends"));
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(second.wait().expect("it ends").code(), Some(0));
    for i in 1..=3 {
        assert_eq!(project.read(&format!("artifacts/mixed/a/i={i}/o.txt")), "2\n");
    }
    // With the same parameters they run at once.
    fs::remove_file(project.path("go")).expect("removed");
    fs::remove_file(project.path("started")).expect("removed");
    let first = project.spawn(&["--set", "x=3"]);
    await_file(&project, "started");
    let mut second = project.spawn(&["--set", "x=3"]);
    let mut stderr = BufReader::new(second.stderr.take().expect("a pipe"));
    let mut told = String::new();
    stderr.read_line(&mut told).expect("a line");
    assert!(told.contains("waiting, another run is computing it"), "{told}");
    project.write("go", "");
    for run in [first, second] {
        assert_eq!(common::ran(run.wait_with_output().expect("it ends")).status, 0);
    }
}

#[test]
fn a_result_that_cannot_be_shown_fails_alone() {
    for blocked in [1, 2] {
        let project = Project::new(
            "\
name: f
stages:
  a:
    kind: command
    matrix: {i: [1, 2]}
    run: sleep 0.1; echo same > ${outputs.o}
    outputs: {o: o.txt}
  b:
    kind: command
    matrix: {i: [1, 2]}
    inputs: {o: 'a[matching]'}
    run: cat ${inputs.o} > ${outputs.o}
    outputs: {o: o.txt}
",
        );
        project.write(&format!("artifacts/f/a/i={blocked}"), "in the way\n");
        for _ in 0..2 {
            let (document, status) = project.run_json(&["-k"]);
            assert_eq!(status, 1);
            let failed: Vec<&Value> =
                document["tasks"]["failed"].as_array().expect("a list").iter().collect();
            assert_eq!(failed.len(), 1, "{document:#}");
            assert_eq!(failed[0]["task"], format!("a[i={blocked}]"));
            assert_eq!(names(&document["tasks"]["not_run"]), [format!("b[i={blocked}]")]);
        }
        fs::remove_file(project.path(&format!("artifacts/f/a/i={blocked}"))).expect("removed");
        let ran = project.run(&[]);
        assert!(last_line(&ran.stdout).ends_with(", 0 failed"), "{}", ran.stdout);
    }
}

#[test]
fn runs_of_one_second_have_names_of_their_own() {
    let project = Project::new(&stages(&["a"]));
    let runs: Vec<_> = (0..8).map(|_| project.spawn(&["--force", "a"])).collect();
    for run in runs {
        let ran = common::ran(run.wait_with_output().expect("it ends"));
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        assert!(!ran.stderr.contains("remove"), "{}", ran.stderr);
    }
    let events = project.events();
    let names: Vec<&str> = events.iter().filter_map(|event| event["run"].as_str()).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 8, "{names:?}");
    // The number of a process, which is the same in many containers, is no part of it.
    let digits = |name: &str| name.rsplit('-').next().map(str::len);
    assert!(names.iter().all(|name| digits(name) == Some(8)), "{names:?}");
}

#[test]
fn an_input_lies_apart_from_what_runs_write() {
    let pipeline = |input: &str| {
        format!(
            "name: apart\nstages:\n  a:\n    kind: command\n    inputs: {{x: {{file: {input}}}}}\n    \
             run: ls ${{inputs.x}} > ${{outputs.o}}\n    outputs: {{o: o.txt}}\n"
        )
    };
    let project = Project::new(&pipeline("."));
    project.write("data/x.txt", "x\n");
    std::os::unix::fs::symlink(".", project.path("here")).expect("a link");
    fs::create_dir_all(project.path("artifacts/apart/a")).expect("made");
    fs::create_dir_all(project.path("artifacts/.onsager")).expect("made");
    fs::create_dir_all(project.path("artifacts/other")).expect("made");
    for input in [".", "artifacts", "data/..", "here"] {
        project.write("pipeline.yaml", &pipeline(input));
        let ran = project.onsager(&["plan", "pipeline.yaml"]);
        assert_eq!(ran.status, 2, "{input}");
        assert!(
            ran.stderr.starts_with(&format!(
                "error: `{input}` holds `artifacts`, which every run changes\n --> pipeline.yaml:5:24\n"
            )),
            "{}",
            ran.stderr
        );
    }
    for (input, words) in [
        ("artifacts/apart", "is what this pipeline's own stages write"),
        ("artifacts/apart/a", "is what this pipeline's own stages write"),
        ("artifacts/.onsager", "is part of the store"),
    ] {
        project.write("pipeline.yaml", &pipeline(input));
        let ran = project.run(&[]);
        assert_eq!(ran.status, 2, "{input}");
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
    // What another pipeline made is data like any other.
    for input in ["data", "artifacts/other", "data/x.txt"] {
        project.write("pipeline.yaml", &pipeline(input));
        assert_eq!(project.run(&[]).status, 0, "{input}");
    }
    let elsewhere = ["--artifacts", "data/results"];
    project.write("pipeline.yaml", &pipeline("data"));
    let ran = project.run(&elsewhere);
    assert_eq!(ran.status, 2, "{}", ran.stdout);
    assert!(ran.stderr.contains("`data` holds `artifacts`, which every run changes"), "{}", ran.stderr);
}
