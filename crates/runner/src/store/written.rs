//! Objects that this process has written itself, of bytes that it hashed: their first copy need not be hashed once more.

use crate::store::digest::Digest;
use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError};

/// Which objects those are. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Written(Arc<Mutex<HashMap<Digest, Mark>>>);

/// The stat data of an object's file. Another file in its place has others, and so has the same file after any write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Mark {
    pub fn of(data: &Metadata) -> Mark {
        Mark {
            file: (data.dev(), data.ino()),
            size: data.len(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        }
    }
}

impl Written {
    /// Notes that an object has this mark.
    pub fn note(&self, digest: Digest, mark: Mark) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, mark);
    }

    /// The mark that an object had when this process wrote it, once: a later copy is hashed, and nothing is kept for ever.
    pub fn take(&self, digest: &Digest) -> Option<Mark> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(digest)
    }
}
