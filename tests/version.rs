//! What the program tells of itself: its version, what it is built from, its manual pages.

mod common;

use common::{Project, json_of};
use std::collections::BTreeMap;
use std::fs;

#[test]
fn a_version_can_be_told_in_full() {
    let project =
        Project::new("name: p\nstages:\n  s: {kind: command, run: 'touch ${outputs.o}', outputs: {o: o}}\n");
    let short = project.onsager(&["--version"]);
    assert_eq!((short.status, short.stdout.as_str()), (0, "onsager 0.1.0\n"));
    let full = project.onsager(&["--version", "--verbose"]);
    let lines: Vec<&str> = full.stdout.lines().collect();
    assert_eq!((full.status, lines[0]), (0, "onsager 0.1.0"));
    let facts: BTreeMap<&str, &str> = lines[1..].iter().filter_map(|line| line.split_once(": ")).collect();
    assert_eq!(facts.len(), lines.len() - 1, "{}", full.stdout);
    assert!(facts["compiler"].starts_with("rustc 1."), "{}", full.stdout);
    assert!(facts["target"].starts_with(std::env::consts::ARCH), "{}", full.stdout);
    let features: Vec<&str> = facts["features"].split(", ").collect();
    assert_eq!(features.contains(&"science"), cfg!(feature = "science"));
    assert_eq!(features.contains(&"remote"), cfg!(feature = "remote"));
    assert!(facts["kernel levels here"].split(", ").any(|level| level == facts["kernel level in use"]));
    let kinds = json_of(&project, &["kinds", "--json"]);
    assert_eq!(facts["kinds"], kinds.as_array().expect("a list").len().to_string());
    // The record of a run says the same.
    assert_eq!(project.run(&[]).status, 0);
    let started = &project.events_of("run-started")[0];
    assert_eq!(started["facts"]["program"], facts["fingerprint"]);
    assert_eq!(started["kernel"], facts["kernel level in use"]);
    // It is no word of a command.
    assert_eq!(project.onsager(&["--verbose"]).status, 2);
}

#[test]
fn every_command_has_a_manual_page() {
    let project = Project::new("");
    let written = project.onsager(&["man", "pages/man1"]);
    assert_eq!(written.status, 0, "{}", written.stderr);
    let page = |name: &str| project.read(&format!("pages/man1/{name}.1"));
    assert!(page("onsager-store-gc").contains("\\-\\-older\\-than"));
    let main = page("onsager");
    for command in ["run", "plan", "store", "export", "man"] {
        assert!(main.contains(&format!("onsager\\-{command}(1)")), "{command}: {main}");
        assert!(page(&format!("onsager-{command}")).starts_with(".ie "), "{command}");
    }
    // The same on every machine, at any time.
    assert_eq!(project.onsager(&["man", "again"]).status, 0);
    for entry in fs::read_dir(project.path("again")).expect("a folder").flatten() {
        let name = entry.file_name();
        let name = name.to_str().expect("a name");
        assert_eq!(project.read(&format!("again/{name}")), project.read(&format!("pages/man1/{name}")));
    }
    project.write("file", "");
    let refused = project.onsager(&["man", "file"]);
    assert_eq!(refused.status, 2);
    assert!(refused.stderr.starts_with("error: cannot write `file`: "), "{}", refused.stderr);
}
