//! Runs that use one store from two systems, which cannot see each other's processes, and where locks exclude nobody.

mod common;

use common::hosts::{careless_locks, end, entries, family, finished, namespace, signal, spawn_in};
use common::{Project, ran, until};
use std::process::{Command, Stdio};

/// Tasks of which those with the same number have the same key in every pipeline.
fn pipeline(name: &str, numbers: std::ops::Range<u32>) -> String {
    let numbers: Vec<String> = numbers.map(|number| number.to_string()).collect();
    format!(
        "name: {name}\nstages:\n  t:\n    kind: command\n    matrix: {{i: [{}]}}\n    \
         run: 'echo number ${{matrix.i}} > ${{outputs.o}}'\n    outputs: {{o: o.txt}}\n",
        numbers.join(", ")
    )
}

/// A project with two pipelines of 300 tasks, of which half are the same.
fn project() -> Project {
    let project = Project::new("");
    project.write("a.yaml", &pipeline("a", 0..300));
    project.write("b.yaml", &pipeline("b", 150..450));
    project
}

/// Whether a pipeline's view shows what it must.
fn check_view(project: &Project, name: &str, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let path = format!("artifacts/{name}/t/i={number}/o.txt");
        assert_eq!(project.read(&path), format!("number {number}\n"));
    }
}

fn check_store(project: &Project) {
    let verified = project.onsager(&["store", "verify"]);
    assert_eq!(verified.status, 0, "{}{}", verified.stdout, verified.stderr);
    assert!(
        verified.stdout.ends_with("all intact\n") && verified.stdout.lines().count() == 1,
        "{}",
        verified.stdout
    );
}

#[test]
fn two_namespaces_share_a_store_and_one_is_killed() {
    let Some(words) = namespace() else { return println!("skipped: no PID namespaces here") };
    let project = project();
    let env = [("ONSAGER_LEASE", "1")];
    let run = |name: &str| spawn_in(&words, &project, &["run", &format!("{name}.yaml")], &env);
    let (mut a, b) = (run("a"), run("b"));
    until("a is in the middle", || finished(&project, "a") >= 40);
    a.kill().expect("killed, with its whole namespace");
    a.wait().expect("it ends");
    let b = end(b);
    assert_eq!(b.status, 0, "{}", b.stderr);
    check_view(&project, "b", 150..450);
    let again = end(run("a"));
    assert_eq!(again.status, 0, "{}", again.stderr);
    check_view(&project, "a", 0..300);
    // Nothing that had finished was computed again.
    let finished = project.events_of("task-finished");
    let done: Vec<&str> = finished.iter().filter_map(|event| event["key"].as_str()).collect();
    let mut once = done.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(done.len(), once.len(), "a finished task was executed again");
    // Of the killed one nobody can tell but by its silence.
    until("its working folder goes", || {
        assert_eq!(end(run("a")).status, 0);
        entries(&project, "work").is_empty()
    });
    check_store(&project);
}

#[test]
fn where_locks_exclude_nobody_nothing_is_corrupted() {
    let project = project();
    let Some(library) = careless_locks(&project.path("")) else { return println!("skipped: no C compiler") };
    let library = library.to_str().expect("a path");
    let careless = |arguments: &[&str]| {
        let mut command = project.command(arguments);
        command.env("LD_PRELOAD", library).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let doctor = ran(careless(&["store", "doctor", "--artifacts", "artifacts"]).output().expect("it starts"));
    for line in [
        "lacking  locks in one process: `flock` is granted to everybody\n",
        "lacking  locks between processes: `flock` is granted to both: locks have to be leases\n",
        "\nlocks are leases\n",
        "\nwhat to do: `flock` excludes nobody here, so locks are leases",
    ] {
        assert!(doctor.stdout.contains(line), "{}{}", doctor.stdout, doctor.stderr);
    }
    let told = "`flock` excludes nobody on the file system of";
    assert_eq!(doctor.stderr.matches(told).count(), 1, "{}", doctor.stderr);
    assert_eq!(doctor.status, 0);
    std::fs::remove_dir_all(project.path("artifacts")).expect("removed");

    // A run finds it out by itself. Two of one pipeline and one of another; one of them in a namespace of its own.
    let first = careless(&["run", "a.yaml"]).spawn().expect("it starts");
    let second = careless(&["run", "b.yaml"]).spawn().expect("it starts");
    let third = match namespace() {
        Some(words) => spawn_in(&words, &project, &["run", "a.yaml"], &[("LD_PRELOAD", library)]),
        None => careless(&["run", "a.yaml"]).spawn().expect("it starts"),
    };
    let mut said = String::new();
    for child in [first, second, third] {
        let ran = end(child);
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        said += &ran.stderr;
    }
    assert!(said.contains(told), "{said}");
    check_view(&project, "a", 0..300);
    check_view(&project, "b", 150..450);
    assert_eq!(entries(&project, "work"), Vec::<String>::new());
    assert_eq!(entries(&project, "leases"), Vec::<String>::new());
    // Each key was computed by one of them.
    assert_eq!(project.events_of("task-started").len(), 450);
    check_store(&project);
    let collected = ran(careless(&["store", "gc"]).output().expect("it starts"));
    assert!(collected.stdout.starts_with("dropped 0 objects"), "{}{}", collected.stdout, collected.stderr);
    check_view(&project, "a", 0..300);
}

/// A task whose checkpoint would show two writers, and others.
fn counting() -> String {
    let others: Vec<String> = (0..40).map(|number| number.to_string()).collect();
    format!(
        "name: c\nstages:\n  count:\n    kind: command\n    checkpoint: state\n    run: |\n      \
         n=0; if [ -e ${{checkpoint}} ]; then n=$(tail -n 1 ${{checkpoint}}); fi\n      \
         while [ $n -lt 60 ]; do n=$((n+1)); echo $n >> ${{checkpoint}}; sleep 0.05; done\n      \
         cp ${{checkpoint}} ${{outputs.o}}\n    outputs: {{o: o.txt}}\n  t:\n    kind: command\n    matrix: {{i: [{}]}}\n    \
         run: 'echo number ${{matrix.i}} > ${{outputs.o}}'\n    outputs: {{o: o.txt}}\n",
        others.join(", ")
    )
}

#[test]
fn a_run_that_was_stopped_and_taken_for_dead_publishes_nothing() {
    let Some(words) = namespace() else { return println!("skipped: no PID namespaces here") };
    let project = Project::new(&counting());
    assert_eq!(
        project.onsager(&["store", "doctor", "--locking", "leases", "--artifacts", "artifacts"]).status,
        0
    );
    let env = [("ONSAGER_LEASE", "3")];
    let stopped = spawn_in(&words, &project, &["run", "pipeline.yaml"], &env);
    until("it counts", || {
        let text = Command::new("sh")
            .args(["-c", "cat artifacts/.onsager/checkpoints/*/*/state"])
            .current_dir(project.path(""))
            .output();
        text.is_ok_and(|text| text.stdout.iter().filter(|byte| **byte == b'\n').count() >= 5)
    });
    let family = family(stopped.id());
    signal("-STOP", &family);
    let other = ran(project
        .command(&["run", "pipeline.yaml"])
        .env("ONSAGER_LEASE", "3")
        .output()
        .expect("it starts"));
    assert_eq!(other.status, 0, "{}", other.stderr);
    let counted: String = (1..=60).map(|number| format!("{number}\n")).collect();
    assert_eq!(project.read("artifacts/c/count/o.txt"), counted);
    signal("-CONT", &family);
    let stopped = end(stopped);
    assert_eq!(stopped.status, 1, "{}", stopped.stderr);
    assert!(
        stopped.stderr.contains("was taken for dead, since it had not been heard of for 3 s"),
        "{}",
        stopped.stderr
    );
    // What the other one made stands, and nothing is left of the first.
    let again = project.onsager(&["run", "pipeline.yaml"]);
    assert_eq!(again.status, 0, "{}", again.stderr);
    assert!(
        again.stderr.contains("41 tasks: 0 executed, 41 cached")
            || again.stdout.contains("41 tasks: 0 executed, 41 cached")
    );
    assert_eq!(project.read("artifacts/c/count/o.txt"), counted);
    check_view(&project, "c", 0..40);
    assert_eq!(entries(&project, "work"), Vec::<String>::new());
    check_store(&project);
    let collected = project.onsager(&["store", "gc"]);
    assert_eq!(collected.status, 0, "{}", collected.stderr);
    for folder in ["checkpoints", "leases", "locks"] {
        assert_eq!(entries(&project, folder), Vec::<String>::new(), "{folder}");
    }
}
