//! `onsager store doctor`: what it finds out about the file system, and what locks are from then on.

mod common;

use common::hosts::entries;
use common::{Project, Ran, json_of, last_line, ran, until};
use serde_json::Value;
use std::process::Command;

const ONE: &str =
    "name: p\nstages:\n  a: {kind: command, run: 'echo a > ${outputs.o}', outputs: {o: o.txt}}\n";
/// A task that goes on until the file `go` is there.
const WAITS: &str = "name: p\nstages:\n  a:\n    kind: command\n    run: 'touch started; while [ ! -e go ]; do sleep 0.02; done; \
                     echo a > ${outputs.o}'\n    outputs: {o: o.txt}\n";

fn found<'r>(report: &'r Value, what: &str) -> &'r Value {
    let findings = report["findings"].as_array().expect("findings");
    findings
        .iter()
        .find(|finding| finding["what"] == what)
        .unwrap_or_else(|| panic!("no `{what}`: {report:#}"))
}

fn doctor(project: &Project, arguments: &[&str]) -> Ran {
    project.onsager(&[&["store", "doctor"], arguments].concat())
}

#[test]
fn a_local_disk_keeps_what_a_store_needs() {
    let project = Project::new(ONE);
    assert_eq!(project.run(&[]).status, 0);
    let report = json_of(&project, &["store", "doctor", "--json"]);
    for what in [
        "locks in one process",
        "locks between processes",
        "rename",
        "making what must not be there",
        "times and permissions",
        "fsync",
        "`mkdir` by two processes",
        "`O_EXCL` by two processes",
        "`rename over what is not empty` by two processes",
        "a file that is replaced, seen by another process",
    ] {
        assert_eq!(found(&report, what)["verdict"], "good", "{report:#}");
    }
    assert_eq!((&report["locking"], &report["checked"]), (&"kernel".into(), &false.into()));
    assert_eq!(report["others"], Value::Array(Vec::new()));
    let text = doctor(&project, &[]);
    assert!(
        text.stdout
            .contains("good     locks between processes: the second is refused until the first lets go\n")
    );
    assert!(
        text.stdout.contains("\nlocks are kernel, which nobody has tried out between machines\n"),
        "{}",
        text.stdout
    );
    assert!(
        last_line(&text.stdout).starts_with("what to do: one machine needs nothing else;"),
        "{}",
        text.stdout
    );
    // It leaves nothing behind.
    assert_eq!(entries(&project, "work"), Vec::<String>::new());
    assert_eq!(entries(&project, "leases"), Vec::<String>::new());
}

#[test]
fn two_who_look_for_each_other_meet() {
    let project = Project::new(ONE);
    let pair = |_| project.command(&["store", "doctor", "--pair", "--artifacts", "artifacts"]).output();
    let both: Vec<Ran> = std::thread::scope(|scope| {
        let played = [0, 1].map(|number| scope.spawn(move || pair(number)));
        played.into_iter().map(|thread| ran(thread.join().expect("played").expect("it starts"))).collect()
    });
    assert!(both.iter().all(|ran| ran.status == 0), "{} {}", both[0].stderr, both[1].stderr);
    let second = "tried out together with another machine, which has the report\n";
    assert_eq!(both.iter().filter(|ran| ran.stdout == second).count(), 1);
    // Both were on this machine, so nothing is known between machines.
    let first = both.iter().find(|ran| ran.stdout != second).expect("a report");
    assert!(
        first.stdout.contains("locks are kernel, which nobody has tried out between machines\n"),
        "{}",
        first.stdout
    );
}

#[test]
fn locks_are_set_by_hand_and_not_beside_a_run() {
    let project = Project::new(WAITS);
    let child = project.spawn(&[]);
    until("its task starts", || project.path("started").exists());
    let refused = doctor(&project, &["--locking", "leases"]);
    assert_eq!(refused.status, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("goes on and counts on"), "{}", refused.stderr);
    project.write("go", "");
    assert_eq!(ran(child.wait_with_output().expect("it ends")).status, 0);
    let set = doctor(&project, &["--locking", "leases"]);
    assert_eq!((set.status, set.stdout.as_str()), (0, "the locks of this store are leases from now on\n"));
    let report = json_of(&project, &["store", "doctor", "--json"]);
    assert_eq!((&report["locking"], &report["checked"]), (&"leases".into(), &true.into()));
    let set = doctor(&project, &["--locking", "kernel"]);
    assert_eq!((set.status, set.stdout.as_str()), (0, "the locks of this store are kernel from now on\n"));
}

#[test]
fn where_locks_are_leases_gc_refuses_beside_a_run() {
    let project = Project::new(WAITS);
    assert_eq!(doctor(&project, &["--locking", "leases", "--artifacts", "artifacts"]).status, 0);
    let child = project.spawn(&[]);
    until("its task starts", || project.path("started").exists());
    let refused = project.onsager(&["store", "gc"]);
    assert_eq!(refused.status, 1);
    assert!(
        refused.stderr.contains("the locks of this store keep nothing from it: collect when it has ended"),
        "{}",
        refused.stderr
    );
    assert_eq!(project.onsager(&["store", "gc", "--dry-run"]).status, 0);
    project.write("go", "");
    assert_eq!(ran(child.wait_with_output().expect("it ends")).status, 0);
    let collected = project.onsager(&["store", "gc"]);
    assert_eq!(collected.stdout, "dropped 0 objects, 0 B; 1 object left, 2 B\n", "{}", collected.stderr);
    assert!(project.executed(&[]).is_empty());
    // No lease stays.
    assert_eq!(entries(&project, "leases"), Vec::<String>::new());
}

#[test]
fn a_run_that_was_killed_is_swept_in_both_ways() {
    for way in ["kernel", "leases"] {
        let project = Project::new(WAITS);
        assert_eq!(doctor(&project, &["--locking", way, "--artifacts", "artifacts"]).status, 0);
        let mut child = project.spawn(&[]);
        until("its task starts", || project.path("started").exists());
        let killed = Command::new("kill").args(["-9", &child.id().to_string()]).status().expect("kill");
        assert!(killed.success());
        child.wait().expect("it ends");
        project.write("go", "");
        let again = project.run(&[]);
        assert_eq!(again.status, 0, "{way}: {}", again.stderr);
        assert_eq!(project.read("artifacts/p/a/o.txt"), "a\n");
        assert_eq!(entries(&project, "work"), Vec::<String>::new(), "{way}");
        assert_eq!(project.onsager(&["store", "gc"]).status, 0);
        assert_eq!(entries(&project, "leases"), Vec::<String>::new(), "{way}");
    }
}
