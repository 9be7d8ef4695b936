//! Whose checkpoint it is: a command's checkpoint is dropped when the key of its task changes.

use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
use std::fs;

/// Names the owner of the checkpoint of a task that starts, and removes what the same task left under other keys. What another
/// run is using stays.
pub fn claim(store: &Store, key: &Digest, owner: &str) -> Result<(), StoreError> {
    let own = store.checkpoints(key);
    let Some(folder) = own.parent() else { return Ok(()) };
    for other in files::list(folder)? {
        let name = other.file_name().unwrap_or_default().to_string_lossy();
        let Ok(its_key) = name.parse::<Digest>() else { continue };
        if its_key == *key || fs::read(other.join("task")).ok().as_deref() != Some(owner.as_bytes()) {
            continue;
        }
        if let Some(_lock) = store.try_lock(&its_key)? {
            files::remove(&other)?;
        }
    }
    files::write_atomic(&own.join("task"), owner.as_bytes())
}
