//! The names of what lies in a remote store, from its root on.

use crate::store::digest::Digest;

/// Something that lies there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// From the root of the remote on.
    pub name: String,
    pub size: u64,
    /// By the clock of the server, in milliseconds since 1970.
    pub modified: i64,
}

/// What it is, and how records are named.
pub const FORMAT: &str = "format.json";
/// There while what nobody needs is removed.
pub const CLEANING: &str = "gc.json";
/// The folder of those who are writing.
pub const PUSHES: &str = "pushes";
pub const OBJECTS: &str = "cas";
pub const RECORDS: &str = "records";
pub const RUNS: &str = "runs";
pub const MANIFESTS: &str = "manifests";

/// `cas/ab/<sha256>`.
pub fn object(digest: &Digest) -> String {
    named(OBJECTS, digest)
}

/// `manifests/ab/<sha256>`.
pub fn manifest(digest: &Digest) -> String {
    named(MANIFESTS, digest)
}

fn named(folder: &str, digest: &Digest) -> String {
    let name = digest.to_string();
    format!("{folder}/{}/{name}", &name[..2])
}

/// `records/<scope>/<key>.json`.
pub fn record(scope: &str, key: &Digest) -> String {
    format!("{RECORDS}/{scope}/{key}.json")
}

/// The folder of the records of a key that have the names of their content.
pub fn records(scope: &str, key: &Digest) -> String {
    format!("{RECORDS}/{scope}/{key}")
}

/// `records/<scope>/<key>/<digest of the outputs>.json`.
pub fn record_of(scope: &str, key: &Digest, content: &Digest) -> String {
    format!("{}/{content}.json", records(scope, key))
}

/// `runs/<id>.jsonl`.
pub fn run(id: &str) -> String {
    format!("{RUNS}/{id}.jsonl")
}

/// `runs/<id>.proof.json`.
pub fn run_proof(id: &str) -> String {
    format!("{RUNS}/{id}.proof.json")
}

/// `pushes/<id>.json`.
pub fn push(id: &str) -> String {
    format!("{PUSHES}/{id}.json")
}

/// Whether a run's name can be that of a file there.
pub fn is_run(id: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !id.is_empty() && !id.starts_with('.') && id.chars().all(plain)
}

/// The run that the name of its record says.
pub fn run_of(name: &str) -> Option<&str> {
    let id = name.strip_prefix(RUNS)?.strip_prefix('/')?.strip_suffix(".jsonl")?;
    is_run(id).then_some(id)
}

/// The digest that an object's or a manifest's name says.
pub fn digest_of(name: &str) -> Option<Digest> {
    let digest: Digest = name.rsplit('/').next()?.parse().ok()?;
    [object(&digest), manifest(&digest)].iter().any(|own| own == name).then_some(digest)
}

/// The scope and the key that a record's name says.
pub fn key_of(name: &str) -> Option<(&str, Digest)> {
    let mut parts = name.strip_prefix(RECORDS)?.strip_prefix('/')?.split('/');
    let (scope, second, third) = (parts.next()?, parts.next()?, parts.next());
    let key = if third.is_some() { second } else { second.strip_suffix(".json")? };
    Some((scope, key.parse().ok().filter(|_| parts.next().is_none())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_made() {
        let (key, content) = (Digest::of(b"key"), Digest::of(b"content"));
        assert_eq!(digest_of(&object(&key)), Some(key));
        assert_eq!(digest_of(&manifest(&key)), Some(key));
        assert_eq!(digest_of(&format!("cas/zz/{key}")), None);
        assert_eq!(key_of(&record("main", &key)), Some(("main", key)));
        assert_eq!(key_of(&record_of("pr-1", &key, &content)), Some(("pr-1", key)));
        assert_eq!(key_of("records/main/x.json"), None);
        assert_eq!(run_of(&run("2026-05-01T12-00-00-3fa9c1d2")), Some("2026-05-01T12-00-00-3fa9c1d2"));
        assert_eq!((run_of(&run_proof("x")), run_of("runs/a/b.jsonl")), (None, None));
        assert!(is_run("2026-05-01T12-00-00-3fa9c1d2") && !is_run("../x") && !is_run("a/b"));
    }
}
