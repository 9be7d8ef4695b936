//! Archives taken apart and put together again, as a stranger may make them.

use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// An archive in memory.
#[derive(Clone)]
pub struct Archive {
    pub header: Value,
    pub members: Vec<(String, Vec<u8>)>,
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The member of the object with this digest.
pub fn object_name(digest: &str) -> String {
    format!("objects/{}/{}", &digest[..2], &digest[2..])
}

impl Archive {
    /// The bytes of the record of a task.
    #[allow(dead_code, reason = "some tests replace whole objects only")]
    pub fn record_of(&mut self, task: &str) -> &mut Vec<u8> {
        let is =
            |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).is_ok_and(|record| record["task"] == task);
        let mut records = self.members.iter_mut().filter(|(name, _)| name.starts_with("actions/"));
        records.find_map(|(_, bytes)| is(bytes).then_some(bytes)).expect("a record")
    }

    pub fn read(path: &Path) -> Archive {
        let mut archive = tar::Archive::new(File::open(path).expect("an archive"));
        let members = archive.entries().expect("members").map(|entry| {
            let mut entry = entry.expect("a member");
            let name = entry.path().expect("a name").to_str().expect("text").to_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("bytes");
            (name, bytes)
        });
        let mut members: Vec<(String, Vec<u8>)> = members.collect();
        let header = serde_json::from_slice(&members.remove(0).1).expect("a header");
        Archive { header, members }
    }

    /// Writes it with a header that agrees with the members.
    pub fn write(&self, path: &Path) {
        let mut header = self.header.clone();
        let listed = self.members.iter().map(
            |(name, bytes)| serde_json::json!({"name": name, "size": bytes.len(), "digest": sha256(bytes)}),
        );
        header["members"] = listed.collect();
        self.write_with(&header, path);
    }

    /// Writes it with this header.
    pub fn write_with(&self, header: &Value, path: &Path) {
        let first = ("onsager.json".to_owned(), serde_json::to_vec(header).expect("JSON"));
        let mut out = Vec::new();
        for (name, bytes) in std::iter::once(&first).chain(&self.members) {
            let mut entry = tar::Header::new_old();
            // Past the checks of the library, which a stranger need not use.
            entry.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            entry.set_size(bytes.len() as u64);
            entry.set_mode(0o444);
            entry.set_entry_type(tar::EntryType::Regular);
            entry.set_cksum();
            out.extend(entry.as_bytes());
            out.extend(bytes);
            out.resize(out.len().next_multiple_of(512), 0);
        }
        out.resize(out.len() + 1024, 0);
        fs::write(path, out).expect("written");
    }

    /// Replaces an object, and its digest wherever a record names it.
    pub fn replace_object(&mut self, digest: &str, bytes: &[u8]) {
        let (name, new) = (object_name, sha256(bytes));
        for (member, content) in &mut self.members {
            if *member == name(digest) {
                (*member, *content) = (name(&new), bytes.to_vec());
            } else if !member.starts_with("objects/") {
                *content = String::from_utf8_lossy(content).replace(digest, &new).into_bytes();
            }
        }
    }

    /// Replaces text in the members whose name begins so.
    #[allow(dead_code, reason = "some tests replace whole objects only")]
    pub fn replace(&mut self, start: &str, old: &str, new: &str) {
        let mut found = false;
        for (_, content) in self.members.iter_mut().filter(|(name, _)| name.starts_with(start)) {
            let text = String::from_utf8_lossy(content).into_owned();
            found |= text.contains(old);
            *content = text.replace(old, new).into_bytes();
        }
        assert!(found, "no `{old}` in {start}");
    }
}
