//! What folders outside the store held when a task took them, so that later the files that changed have names. It only tells; nothing
//! is decided by it.

use crate::store::digest::Digest;
use crate::store::files;
use crate::store::listing::{self, Entry};
use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

/// The folder of such lists, each by its digest.
#[derive(Debug, Clone)]
pub struct Lists {
    root: PathBuf,
}

impl Lists {
    pub(super) fn new(root: PathBuf) -> Lists {
        Lists { root }
    }

    /// Keeps a list, if there is a store.
    pub fn keep(&self, bytes: &[u8], digest: &Digest) {
        let path = self.root.join(digest.to_string());
        if path.exists() || !self.root.parent().is_some_and(|store| store.exists()) {
            return;
        }
        let kept = files::create_folder(&self.root).and_then(|()| files::write_soon(&path, bytes));
        if let Err(error) = kept {
            tracing::debug!("a list of files is not kept: {error}");
        }
    }

    /// The list of this digest, if it is known.
    pub fn get(&self, digest: &Digest) -> Option<Vec<Entry>> {
        let bytes = fs::read(self.root.join(digest.to_string())).ok()?;
        if Digest::of(&bytes) != *digest {
            return None;
        }
        listing::decode(&bytes).ok()
    }

    /// Removes the lists that are not among these.
    pub fn retain(&self, known: &HashSet<Digest>) -> Result<(), files::StoreError> {
        for path in files::list(&self.root)? {
            let digest = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
            if !digest.is_some_and(|digest| known.contains(&digest)) {
                files::remove(&path)?;
            }
        }
        Ok(())
    }
}
