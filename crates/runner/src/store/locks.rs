//! Kernel locks: none outlives its process, so none ever needs to be cleared by hand.

use crate::store::files::StoreError;
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A held lock, released when it is dropped.
#[derive(Debug)]
pub struct Lock {
    path: PathBuf,
    /// Whether the file stays.
    stays: bool,
    _file: File,
}

impl Lock {
    /// Takes the lock, or gives `None` where another run holds it.
    pub fn try_take(path: &Path) -> Result<Option<Lock>, StoreError> {
        Lock::acquire(path, |file| match file.try_lock() {
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error),
            Ok(()) => Ok(true),
        })
    }

    /// Leaves the file where it is when the lock is released: making and removing one for each of thousands of tasks takes some file
    /// systems longer than the rest of the task. `gc` removes them.
    pub fn staying(mut self) -> Lock {
        self.stays = true;
        self
    }

    /// Takes the lock, waiting while another run holds it.
    pub fn take(path: &Path) -> Result<Lock, StoreError> {
        loop {
            if let Some(lock) = Lock::acquire(path, |file| file.lock().map(|()| true))? {
                return Ok(lock);
            }
        }
    }

    /// Whether another run holds the lock; makes and changes nothing.
    pub fn is_held(path: &Path) -> bool {
        File::open(path).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    fn acquire(
        path: &Path,
        lock: impl Fn(&File) -> std::io::Result<bool>,
    ) -> Result<Option<Lock>, StoreError> {
        loop {
            let opened = File::options().create(true).append(true).open(path);
            let file = opened.map_err(StoreError::io("lock", path))?;
            if !lock(&file).map_err(StoreError::io("lock", path))? {
                return Ok(None);
            }
            // The holder before us removes the file while it holds the lock: then ours is on a file that nobody else
            // can open any more.
            let held = file.metadata().map_err(StoreError::io("lock", path))?;
            match fs::metadata(path) {
                Ok(data) if data.ino() == held.ino() && data.dev() == held.dev() => {
                    return Ok(Some(Lock { path: path.to_owned(), stays: false, _file: file }));
                }
                Ok(_) => continue,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(StoreError::io("lock", path)(error)),
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if !self.stays {
            // A lock file that is left is harmless: it holds nothing.
            let _ = fs::remove_file(&self.path);
        }
    }
}
