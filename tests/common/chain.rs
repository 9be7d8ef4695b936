//! A project with three commands in a row, and a look into its store.

use super::{Project, Ran};
use serde_json::Value;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// Three commands, each of which needs the one before.
pub const CHAIN: &str = "\
name: chain
params: {mark: '1'}
stages:
  a:
    kind: command
    inputs: {source: {file: source.txt}}
    run: cut -d' ' -f1 ${inputs.source} > ${outputs.text}
    outputs: {text: a.txt}
  b:
    kind: command
    inputs: {text: a.text}
    run: echo \"$(cat ${inputs.text}) ${params.mark}\" > ${outputs.text}
    outputs: {text: b.txt}
  c:
    kind: command
    inputs: {text: b.text}
    run: mkdir ${outputs.folder}; cp ${inputs.text} ${outputs.folder}/one; echo two > ${outputs.folder}/two
    outputs: {folder: c/}
";

/// The chain, once run.
pub fn chain() -> Project {
    let project = Project::new(CHAIN);
    project.write("source.txt", "one two\n");
    assert_eq!(project.executed(&[]), ["a", "b", "c"]);
    project
}

/// The digest of an output in the latest `run --json`.
pub fn digest(project: &Project, task: &str, output: &str) -> String {
    let (document, _) = project.run_json(&[]);
    document["outputs"][task][output]["digest"].as_str().expect("a digest").to_owned()
}

/// Where the store keeps these bytes.
pub fn object(project: &Project, digest: &str) -> PathBuf {
    project.path(&format!("artifacts/.onsager/objects/{}/{}", &digest[..2], &digest[2..]))
}

/// The document that a command printed.
pub fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {} {}", ran.stdout, ran.stderr))
}

/// Replaces an object's bytes, as a failing disk would.
pub fn damage(project: &Project, digest: &str, bytes: &[u8]) {
    let path = object(project, digest);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("writable");
    File::options()
        .write(true)
        .truncate(true)
        .open(&path)
        .and_then(|mut file| file.write_all(bytes))
        .expect("damaged");
}

/// The latest run.
pub fn run_of(project: &Project) -> String {
    let events = project.events();
    events.iter().find_map(|event| event["run"].as_str()).expect("a run").to_owned()
}
