//! The folders of the attempts at a key, below that of its checkpoints: see [`crate::worker::checkpoints`].

use super::Store;
use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
use std::path::{Path, PathBuf};

/// Where the folders of later attempts lie, in that of a key.
pub const ATTEMPTS: &str = "attempts";

/// The folder of a later attempt.
pub fn folder(own: &Path, number: u64, attempt: &str) -> PathBuf {
    own.join(ATTEMPTS).join(format!("{number:06}-{attempt}"))
}

/// The folders of later attempts with their numbers, oldest first.
pub fn all(own: &Path) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    let number = |path: &Path| path.file_name()?.to_str()?.split_once('-')?.0.parse().ok();
    let mut found: Vec<(u64, PathBuf)> = files::list(&own.join(ATTEMPTS))?
        .into_iter()
        .filter_map(|path| Some((number(&path)?, path)))
        .collect();
    found.sort();
    Ok(found)
}

impl Store {
    /// The folder in which the latest attempt at a key worked, or works.
    pub fn latest_attempt(&self, key: &Digest) -> Result<PathBuf, StoreError> {
        let own = self.checkpoints(key);
        Ok(all(&own)?.pop().map_or(own, |(_, folder)| folder))
    }
}
