//! Stores that several users share, and outputs that ordinary users find hard to handle.
//!
//! Root may do everything, so the program runs as another user where the tests run as root.

mod common;

use common::chain::digest;
use common::{Project, Ran, last_line};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

const GROUP: &str = "60000";

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A shell script in the project's folder, as this user of the group if the tests run as root.
fn shell(project: &Project, user: u32, script: &str) -> Ran {
    let mut words = Vec::new();
    if is_root() {
        let user = format!("--reuid={user}");
        words.extend(["setpriv".to_owned(), user, format!("--regid={GROUP}"), "--clear-groups".into()]);
    }
    words.extend(["sh", "-c", script].map(str::to_owned));
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).current_dir(project.path("")).env("ONSAGER", env!("CARGO_BIN_EXE_onsager"));
    common::ran(command.output().expect("it starts"))
}

/// A project whose folder belongs to the group, in a place that others can reach.
fn shared(pipeline: &str) -> Project {
    let project = Project::new(pipeline);
    let folder = project.path("");
    if is_root() {
        let done = Command::new("chgrp").args(["-R", GROUP]).arg(&folder).status().expect("chgrp");
        assert!(done.success());
    }
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o2775)).expect("changed");
    project
}

/// The program that ordinary users can start: the one that is tested may lie in a folder of root's.
fn program(project: &Project) {
    fs::copy(env!("CARGO_BIN_EXE_onsager"), project.path("onsager")).expect("copied");
    fs::set_permissions(project.path("onsager"), fs::Permissions::from_mode(0o755)).expect("changed");
}

const PIPELINE: &str = "\
name: shared
params: {who: 1}
stages:
  same:
    kind: command
    run: echo ${params.who} > who; mkdir ${outputs.d}; echo same > ${outputs.d}/a; echo same > ${outputs.text}
    outputs: {text: same.txt, d: d/}
  next:
    kind: command
    inputs: {text: same.text, d: same.d}
    run: cat ${inputs.text} ${inputs.d}/a > ${outputs.text}; echo ${params.who} >> ${outputs.text}
    outputs: {text: next.txt}
";

#[test]
fn a_group_shares_a_store() {
    let project = shared(PIPELINE);
    program(&project);
    // Both make the same bytes under other keys: the second finds objects of the first. Then the view changes hands.
    for (user, who) in [(60001, 1), (60002, 2), (60001, 3), (60002, 1)] {
        let ran = shell(&project, user, &format!("umask 002; ./onsager run pipeline.yaml --set who={who}"));
        assert_eq!(ran.status, 0, "{user}: {}", ran.stderr);
        assert_eq!(project.read("artifacts/shared/next/next.txt"), format!("same\nsame\n{who}\n"));
    }
    for (user, command) in [(60001, "verify"), (60002, "gc"), (60001, "du"), (60002, "verify")] {
        let ran = shell(&project, user, &format!("umask 002; ./onsager store {command}"));
        assert_eq!(ran.status, 0, "{user} {command}: {}", ran.stderr);
    }
    if is_root() {
        let owner = |name: &str| {
            std::os::unix::fs::MetadataExt::uid(&fs::metadata(project.path(name)).expect("data"))
        };
        assert_eq!(owner("artifacts/.onsager"), 60001);
        assert_eq!(owner("artifacts/shared/next/next.txt"), 60002);
    }
}

#[test]
fn read_only_folders_and_unreadable_files_are_outputs_too() {
    let project = shared(
        "\
name: closed
stages:
  a:
    kind: command
    run: |
      mkdir -p ${outputs.d}/deep; echo 1 > ${outputs.d}/deep/one; echo 2 > ${outputs.d}/two; echo 3 > ${outputs.text}
      chmod 000 ${outputs.d}/two ${outputs.text}; chmod 555 ${outputs.d}/deep; chmod 000 ${outputs.d}
    outputs: {d: d/, text: text.txt}
  b:
    kind: command
    inputs: {d: a.d, text: a.text}
    run: cat ${inputs.d}/deep/one ${inputs.d}/two ${inputs.text} > ${outputs.text}
    outputs: {text: b.txt}
",
    );
    program(&project);
    let ran = shell(&project, 60001, "./onsager run pipeline.yaml");
    assert_eq!(last_line(&ran.stdout), "2 tasks: 2 executed, 0 cached, 0 failed", "{}", ran.stderr);
    assert_eq!(project.read("artifacts/closed/b/b.txt"), "1\n2\n3\n");
    assert_eq!(digest(&project, "b", "text"), common::archive::sha256(b"1\n2\n3\n"));
}
