//! Which way locks hold in a store: a fact of its file system, kept in the small file `locking`.
//!
//! Kernel locks exclude on a local disk and on most network file systems. Where they are granted to everybody (NFS mounted with
//! `local_lock`, some settings of Lustre), locks are folders that name the lease of their holder. A process that is about to lock
//! tests what it can by itself; whether two machines exclude each other only `onsager store doctor` can find out, from both.

use crate::store::files::{self, StoreError};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::Path;

/// What locks are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// `flock`: a lock ends with its process, whatever happens to it.
    #[default]
    Kernel,
    /// Folders that name the lease of their holder.
    Leases,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Way::Kernel => "kernel",
            Way::Leases => "leases",
        })
    }
}

/// What is known of a store's locks.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Locking {
    pub way: Way,
    /// Whether somebody saw to it that it holds between machines: the doctor from two of them, or a person.
    pub checked: bool,
    /// Whether the user was told that nobody has.
    pub told: bool,
}

impl Locking {
    /// Of the store in this folder; nothing is known of a new one.
    pub fn read(root: &Path) -> Result<Locking, StoreError> {
        let path = root.join(NAME);
        match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Locking::default()),
            bytes => {
                let bytes = bytes.map_err(StoreError::io("read", &path))?;
                serde_json::from_slice(&bytes)
                    .map_err(|error| StoreError::Damaged { path, message: error.to_string() })
            }
        }
    }

    pub fn write(&self, root: &Path) -> Result<(), StoreError> {
        let path = root.join(NAME);
        files::write_atomic(&path, &files::json(&path, self)?)
    }
}

const NAME: &str = "locking";

/// Whether a kernel lock of this file excludes: of two that are opened apart, also by one process, only one may have it.
pub fn excludes(path: &Path) -> Result<bool, StoreError> {
    let open = || File::options().create(true).append(true).open(path);
    let tested = (|| {
        let first = open()?;
        match first.try_lock() {
            Ok(()) => {}
            // Somebody has it, so they do.
            Err(TryLockError::WouldBlock) => return Ok(true),
            Err(TryLockError::Error(error)) => return unsupported(error),
        }
        match open()?.try_lock() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => unsupported(error),
        }
    })();
    tested.map_err(StoreError::io("lock", path))
}

/// A file system without locks: they exclude nobody.
fn unsupported(error: io::Error) -> io::Result<bool> {
    use rustix::io::Errno;
    let none = [Errno::NOSYS, Errno::NOTSUP, Errno::NOLCK, Errno::INVAL];
    if none.iter().any(|none| error.raw_os_error() == Some(none.raw_os_error())) {
        Ok(false)
    } else {
        Err(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Locking::read(folder.path()).unwrap(), Locking::default());
        let known = Locking { way: Way::Leases, checked: true, told: false };
        known.write(folder.path()).unwrap();
        assert_eq!(Locking::read(folder.path()).unwrap(), known);
        assert!(excludes(&folder.path().join("file")).unwrap());
    }
}
