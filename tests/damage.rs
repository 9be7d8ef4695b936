//! Damage in the store goes no further: what is restored, copied or given to a task is hashed on its way.

mod common;

use common::chain::{chain, digest, object};
use common::{Project, last_line};
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

/// Flips a bit of an object and leaves its stat data as they were, as a failing disk does.
fn rot(project: &Project, digest: &str) {
    let path = object(project, digest);
    let mut bytes = fs::read(&path).expect("an object");
    bytes[0] ^= 1;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("writable");
    fs::write(&path, bytes).expect("written");
    let file = File::options().write(true).open(&path).expect("opened");
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1)).expect("marked");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).expect("read-only");
}

#[test]
fn a_damaged_object_is_not_restored() {
    let project = chain();
    let b = digest(&project, "b", "text");
    rot(&project, &b);
    fs::remove_dir_all(project.path("artifacts/chain/b")).expect("removed");
    let ran = project.run(&[]);
    assert!(ran.stderr.contains("output `text` of b is damaged"), "{}", ran.stderr);
    assert_eq!(last_line(&ran.stdout), "3 tasks: 1 executed, 2 cached, 0 failed", "{}", ran.stderr);
    assert_eq!(project.read("artifacts/chain/b/b.txt"), "one 1\n");
    assert_eq!(fs::read_to_string(object(&project, &b)).expect("the object"), "one 1\n");
}

#[test]
fn a_damaged_file_or_list_of_a_folder_is_not_restored() {
    for which in ["list", "file"] {
        let project = chain();
        let folder = digest(&project, "c", "folder");
        // `two` is in the folder alone.
        let two = common::archive::sha256(b"two\n");
        rot(&project, if which == "list" { &folder } else { &two });
        fs::remove_dir_all(project.path("artifacts/chain/c")).expect("removed");
        let ran = project.run(&[]);
        assert!(ran.stderr.contains("output `folder` of c is damaged"), "{which}: {}", ran.stderr);
        assert_eq!(last_line(&ran.stdout), "3 tasks: 1 executed, 2 cached, 0 failed", "{}", ran.stderr);
        assert_eq!(project.read("artifacts/chain/c/c/two"), "two\n");
        assert_eq!(project.onsager(&["store", "verify"]).status, 0);
    }
}

#[test]
fn a_task_is_not_given_a_damaged_input() {
    let project = chain();
    let (a, b) = (digest(&project, "a", "text"), digest(&project, "b", "text"));
    rot(&project, &a);
    // Its copy in the view is sound, and goes back into the store.
    let ran = project.run(&["--force", "b"]);
    assert!(ran.stderr.contains("output `text` of a is damaged"), "{}", ran.stderr);
    assert_eq!(last_line(&ran.stdout), "3 tasks: 1 executed, 2 cached, 0 failed", "{}", ran.stderr);
    assert_eq!(digest(&project, "b", "text"), b);
    // Without a copy it is made again.
    rot(&project, &a);
    fs::remove_dir_all(project.path("artifacts/chain/a")).expect("removed");
    let ran = project.run(&["--force", "b"]);
    assert_eq!(last_line(&ran.stdout), "3 tasks: 2 executed, 1 cached, 0 failed", "{}", ran.stderr);
    assert_eq!(digest(&project, "b", "text"), b);
    assert_eq!(project.onsager(&["store", "verify"]).status, 0);
}

#[test]
fn a_task_is_not_given_a_folder_with_a_damaged_file() {
    let project = Project::new(
        "\
name: folder
params: {mark: 1}
stages:
  a:
    kind: command
    run: mkdir ${outputs.d}; echo one > ${outputs.d}/one
    outputs: {d: d/}
  b:
    kind: command
    inputs: {d: a.d}
    run: cat ${inputs.d}/one > ${outputs.text}; echo ${params.mark} >> ${outputs.text}
    outputs: {text: b.txt}
",
    );
    assert_eq!(project.executed(&[]), ["a", "b"]);
    rot(&project, &common::archive::sha256(b"one\n"));
    let ran = project.run(&["--set", "mark=2"]);
    assert!(ran.stderr.contains("output `d` of a is damaged"), "{}", ran.stderr);
    assert_eq!(project.read("artifacts/folder/b/b.txt"), "one\n2\n");
    assert_eq!(project.onsager(&["store", "verify"]).status, 0);
}

#[test]
fn verify_forgets_what_was_executed_from_damage() {
    let project = chain();
    let a = digest(&project, "a", "text");
    rot(&project, &a);
    let ran = project.onsager(&["store", "verify"]);
    assert_eq!(ran.status, 1);
    assert!(
        ran.stdout.contains("forgotten, to be made again by the next run: `a`, `b`, `c`"),
        "{}",
        ran.stdout
    );
    assert_eq!(project.executed(&[]), ["a", "b", "c"]);
    // What stands beside it stays: only c reads b.
    rot(&project, &digest(&project, "c", "folder"));
    assert_eq!(project.onsager(&["store", "verify"]).status, 1);
    assert_eq!(project.executed(&[]), ["c"]);
}

#[test]
fn a_damaged_object_is_not_printed() {
    let project = chain();
    let a = digest(&project, "a", "text");
    fs::remove_file(project.path("artifacts/chain/a/a.txt")).expect("removed");
    assert_eq!(project.onsager(&["get", "a.text", "--cat"]).stdout, "one\n");
    rot(&project, &a);
    let ran = project.onsager(&["get", "a.text", "--cat"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{}", ran.stderr);
    assert!(
        ran.stderr.contains(&format!("object {a} is damaged: its bytes are not those of its name")),
        "{}",
        ran.stderr
    );
}

/// Writes a number to a JSON file; `then` runs where it is more than 1, and `each` for each row of a table.
const NUMBERS: &str = r#"
name: numbers
params: {n: 2}
stages:
  n:
    kind: command
    run: |
      echo "{\"n\": ${params.n}}" > ${outputs.json}
      printf 'id\none\ntwo\n' > ${outputs.rows}
    outputs: {json: n.json, rows: rows.csv}
  then:
    kind: command
    when: ${n.json:n} > 1
    run: echo then > ${outputs.text}
    outputs: {text: then.txt}
  each:
    kind: command
    matrix: {row: {from: n.rows}}
    run: echo ${matrix.row.id} > ${outputs.text}
    outputs: {text: each.txt}
metrics:
  size: {from: n.json, field: n}
  ids: {from: n.rows, column: id}
"#;

#[test]
fn no_metric_is_read_from_a_damaged_object() {
    let project = Project::new(NUMBERS);
    assert_eq!(project.run(&[]).status, 0);
    for (output, metric) in [("json", "size"), ("rows", "ids")] {
        rot(&project, &digest(&project, "n", output));
        let ran = project.onsager(&["compare", "pipeline.yaml"]);
        assert!(
            ran.stdout.contains(&format!(
                "`{metric}` of 1 of 1 point: `n.{output}` is damaged in the store; `onsager store verify` finds all that is"
            )) || ran.stderr.contains(&format!("`n.{output}` is damaged in the store")),
            "{} {}",
            ran.stdout,
            ran.stderr
        );
    }
}

#[test]
fn nothing_is_decided_by_a_damaged_object() {
    for output in ["json", "rows"] {
        let project = Project::new(NUMBERS);
        assert_eq!(project.executed(&[]), ["n", "then", "each[row=one]", "each[row=two]"]);
        let digest = digest(&project, "n", output);
        rot(&project, &digest);
        // The copy in the view takes its place.
        fs::remove_dir_all(project.path("artifacts/.onsager/graphs")).expect("removed");
        fs::remove_dir_all(project.path("artifacts/numbers/then")).expect("removed");
        let ran = project.run(&[]);
        assert!(
            ran.stderr.contains(&format!("output `{output}` of n is damaged")),
            "{output}: {}",
            ran.stderr
        );
        assert_eq!(last_line(&ran.stdout), "4 tasks: 0 executed, 4 cached, 0 failed", "{}", ran.stderr);
        // Without one it is made again first.
        rot(&project, &digest);
        fs::remove_dir_all(project.path("artifacts/.onsager/graphs")).expect("removed");
        fs::remove_dir_all(project.path("artifacts/numbers")).expect("removed");
        let ran = project.run(&[]);
        assert!(
            ran.stderr.contains(&format!("output `{output}` of n is damaged")),
            "{output}: {}",
            ran.stderr
        );
        assert_eq!(last_line(&ran.stdout), "4 tasks: 1 executed, 3 cached, 0 failed", "{}", ran.stderr);
        assert_eq!(project.onsager(&["store", "verify"]).status, 0);
    }
}
