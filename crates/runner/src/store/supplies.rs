//! What tasks are given that is no object: files that were fetched from elsewhere, and the environments of commands. Each is called by
//! the digest that the records of the tasks that had it have among their inputs.

use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How many digits of a digest an environment is called by: its path is part of what is installed.
const DIGITS: usize = 16;

/// A fetched file, in a folder of its own, or an environment.
#[derive(Debug, Clone)]
pub struct Supply {
    pub environment: bool,
    pub path: PathBuf,
    /// When it came into the store: Unix seconds.
    pub changed: i64,
    /// How its digest begins.
    digits: String,
}

/// How an environment is called whose files have this content.
pub fn environment(kind: &str, content: &Digest) -> String {
    format!("{kind}-{}", &content.to_string()[..DIGITS])
}

/// What says that an environment is whole.
pub fn complete(folder: &Path) -> PathBuf {
    folder.with_extension("complete")
}

/// All of them, fetched files first.
pub fn all(store: &Store) -> Result<Vec<Supply>, StoreError> {
    let mut found = Vec::new();
    for (environment, folder) in [(false, store.remote()), (true, store.environments())] {
        for path in files::list(&folder)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // What vanishes meanwhile is none.
            let Ok(data) = fs::symlink_metadata(&path) else { continue };
            if data.is_dir() {
                let digits = name.rsplit('-').next().unwrap_or_default().to_owned();
                found.push(Supply { environment, path, changed: data.ctime(), digits });
            }
        }
    }
    Ok(found)
}

impl Supply {
    /// Whether a task with this among its inputs had it.
    pub fn is(&self, input: &Digest) -> bool {
        input.to_string().starts_with(&self.digits)
    }

    /// Removes it. A kill in between leaves nothing that counts as whole.
    pub fn remove(path: &Path) -> Result<(), StoreError> {
        files::remove(&complete(path))?;
        files::remove(path)
    }
}
