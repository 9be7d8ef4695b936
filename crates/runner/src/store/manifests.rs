//! Manifests: the tasks of a finished run with their keys. Runs in which nothing changed share one.

use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
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
        let digest = Digest::of(text.as_bytes());
        let path = self.path(&digest);
        if !path.exists() {
            files::write_atomic(&path, text.as_bytes())?;
        }
        Ok(digest)
    }

    /// The tasks of a manifest in the order of the graph; none where it is not there any more.
    pub fn get(&self, digest: &Digest) -> Result<Option<Vec<Listed>>, StoreError> {
        let path = self.path(digest);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            text => text.map_err(StoreError::io("read", &path))?,
        };
        if Digest::of(text.as_bytes()) != *digest {
            return Err(StoreError::Damaged { path, message: "its content does not have its name".into() });
        }
        let listed = text.lines().filter_map(|line| {
            let (key, task) = line.split_once(' ')?;
            Some(Listed { task: task.to_owned(), key: key.parse().ok()? })
        });
        Ok(Some(listed.collect()))
    }
}
