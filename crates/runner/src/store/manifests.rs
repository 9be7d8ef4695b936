//! Manifests: the tasks of a finished run with their keys, and the texts of pipelines' files. Runs in which nothing changed share
//! them.

use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
use crate::store::text;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

/// A task of a run, and the key of its result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    pub task: String,
    pub key: Digest,
}

/// Whether these lines, which come from elsewhere, are keys and tasks that can be printed.
pub fn is_manifest(bytes: &[u8]) -> bool {
    let is_line = |line: &str| {
        let (key, task) = line.split_once(' ').unwrap_or_default();
        key.parse::<Digest>().is_ok() && !task.is_empty() && text::is_line(task)
    };
    std::str::from_utf8(bytes).is_ok_and(|text| text.split_terminator('\n').all(is_line))
}

/// The folder of manifests.
#[derive(Debug, Clone)]
pub struct Manifests {
    root: PathBuf,
}

impl Manifests {
    pub(super) fn new(root: PathBuf) -> Manifests {
        Manifests { root }
    }

    /// Where the manifest of this digest is, or would be.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        self.root.join(&name[..2]).join(&name[2..])
    }

    /// Keeps a manifest, as lines of key and task; gives its name.
    pub fn put<'t>(&self, tasks: impl Iterator<Item = (&'t str, Digest)>) -> Result<Digest, StoreError> {
        use std::fmt::Write;
        let mut text = String::new();
        for (task, key) in tasks {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{key} {task}");
        }
        self.keep(text.as_bytes())
    }

    /// Keeps any other text that belongs to runs, and gives its name: many of them share it.
    pub fn keep(&self, text: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::of(text);
        let path = self.path(&digest);
        if !path.exists() {
            files::write_atomic(&path, text)?;
        }
        Ok(digest)
    }

    /// The text of this name; none where it is not there any more.
    pub fn text(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.path(digest);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            text => text.map_err(StoreError::io("read", &path))?,
        };
        if Digest::of(&text) != *digest {
            return Err(StoreError::Damaged { path, message: "its content does not have its name".into() });
        }
        Ok(Some(text))
    }

    /// The tasks of a manifest in the order of the graph; none where it is not there any more.
    pub fn get(&self, digest: &Digest) -> Result<Option<Vec<Listed>>, StoreError> {
        let Some(text) = self.text(digest)? else { return Ok(None) };
        let listed = String::from_utf8_lossy(&text);
        let listed = listed.lines().filter_map(|line| {
            let (key, task) = line.split_once(' ')?;
            Some(Listed { task: task.to_owned(), key: key.parse().ok()? })
        });
        Ok(Some(listed.collect()))
    }
}
