//! Projects that trust keys, and archives of signed results that strangers have changed.

use super::archive::Archive;
use super::chain::{CHAIN, chain};
use super::{Project, Ran, ran};
use serde_json::Value;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// Why a record is refused that nobody signed.
pub const UNSIGNED: &str =
    "it is not signed: whoever made it makes a key by `onsager key new`, and sends it again";

/// Why a record is refused that this key signed, which nobody trusts.
pub fn untrusted(key: &str) -> String {
    format!(
        "it is signed by a key that the project does not trust: `onsager key trust {key} --name NAME`, if you know whose it is"
    )
}

/// A project with the chain's pipeline and input, and nothing run.
pub fn other() -> Project {
    let project = Project::new(CHAIN);
    project.write("source.txt", "one two\n");
    project
}

pub fn well(ran: Ran) -> String {
    assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
    ran.stdout
}

/// Makes the project's own key; gives its public part.
pub fn new_key(project: &Project) -> String {
    well(project.onsager(&["key", "new"])).trim_end().to_owned()
}

/// Writes the chain's results to an archive in the project.
pub fn export(project: &Project, name: &str, env: &[(&str, &str)]) -> PathBuf {
    let mut command = project.command(&["store", "export", "chain", "-o", name]);
    command.envs(env.iter().copied());
    well(ran(command.output().expect("the program starts")));
    project.path(name)
}

pub fn import(project: &Project, archive: &Path, more: &[&str]) -> Ran {
    let archive = archive.to_str().expect("text");
    project.onsager(&[&["store", "import", archive], more].concat())
}

/// Imports what must be refused with this reason, and sees to it that the store has nothing of it.
pub fn refused(project: &Project, archive: &Path, task: &str, reason: &str) {
    let ran = import(project, archive, &[]);
    let shown = archive.display();
    let expected = format!(
        "error: `{shown}` has a result of `{task}` that does not count here: {reason}; nothing was imported\n"
    );
    assert_eq!((ran.status, ran.stderr.as_str()), (2, expected.as_str()), "{}", ran.stdout);
    nothing_came(project);
}

/// Nothing is in the store but folders and locks.
pub fn nothing_came(project: &Project) {
    for folder in ["objects", "actions", "runs", "manifests", "views", "work"] {
        let path = project.path(&format!("artifacts/.onsager/{folder}"));
        let files = WalkDir::new(&path).into_iter().flatten().filter(|entry| !entry.file_type().is_dir());
        let found: Vec<PathBuf> = files.map(walkdir::DirEntry::into_path).collect();
        assert!(found.is_empty(), "{found:?}");
    }
}

/// A project that has run the chain with a key of its own, its archive, and the public key.
pub fn signed() -> (Project, PathBuf, String) {
    let project = chain();
    let key = new_key(&project);
    let archive = export(&project, "run.onsager", &[]);
    (project, archive, key)
}

pub fn trusting(key: &str, more: &[&str]) -> Project {
    let project = other();
    well(project.onsager(&[&["key", "trust", key, "--name", "anna"], more].concat()));
    project
}

/// The member of this task's record, and the record.
pub fn record(archive: &Archive, task: &str) -> (String, Value) {
    let mut records = archive.members.iter().filter(|(name, _)| name.starts_with("actions/"));
    let of = |(name, bytes): &(String, Vec<u8>)| {
        let record: Value = serde_json::from_slice(bytes).expect("JSON");
        (record["task"] == task).then(|| (name.clone(), record))
    };
    records.find_map(of).expect("a record")
}

/// The archive with another record in the place of a task's.
pub fn with_record(archive: &Archive, task: &str, change: impl FnOnce(&mut Value)) -> Archive {
    let (name, mut record) = record(archive, task);
    change(&mut record);
    let mut changed = archive.clone();
    let bytes = changed.members.iter_mut().find(|(member, _)| *member == name).map(|(_, bytes)| bytes);
    *bytes.expect("a member") = serde_json::to_vec(&record).expect("JSON");
    changed
}

pub const FORGED: &str = "its signature is not one of `anna`: it is forged, or was altered since";
