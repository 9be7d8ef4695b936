//! The mailbox between a coordinator and a pilot: a folder of the shared file system for each direction, with one writer, whose
//! messages are numbered files. A file gets its name when it is whole and on the disk, so a reader never sees half of one.

use crate::store::files::{self, StoreError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often a reader lists the folder: a network file system may remember for a while that a file was not there.
const LISTING: Duration = Duration::from_secs(1);

/// Where one side writes.
#[derive(Debug)]
pub struct Outbox {
    folder: PathBuf,
    /// The number of the last file.
    last: u64,
}

/// Where the other side reads.
#[derive(Debug)]
pub struct Inbox {
    folder: PathBuf,
    /// The number of the last file that was read.
    last: u64,
    listed: Instant,
}

impl Outbox {
    /// Opens the folder, made if it is not there, and goes on behind the last file.
    pub fn open(folder: &Path) -> Result<Outbox, StoreError> {
        files::create_folder(folder)?;
        let numbers = files::list(folder)?;
        let last = numbers.iter().filter_map(|path| number(path)).max().unwrap_or(0);
        Ok(Outbox { folder: folder.to_owned(), last })
    }

    /// Sends messages as one file, and gives its number.
    pub fn send<T: Serialize>(&mut self, messages: &[T]) -> Result<u64, StoreError> {
        let path = path(&self.folder, self.last + 1);
        files::write_atomic(&path, &files::json(&path, &messages)?)?;
        self.last += 1;
        Ok(self.last)
    }
}

impl Inbox {
    /// Reads from the first file on. The folder need not be there yet.
    pub fn open(folder: &Path) -> Inbox {
        Inbox { folder: folder.to_owned(), last: 0, listed: Instant::now() }
    }

    /// The number of the last file that was read.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// All messages that are new. A file that cannot be understood counts as one without messages.
    pub fn receive<T: DeserializeOwned>(&mut self) -> Result<Vec<T>, StoreError> {
        let mut messages: Vec<T> = Vec::new();
        loop {
            let next = path(&self.folder, self.last + 1);
            match fs::read(&next) {
                Ok(bytes) => {
                    self.last += 1;
                    match serde_json::from_slice::<Vec<T>>(&bytes) {
                        Ok(read) => messages.extend(read),
                        Err(error) => tracing::warn!("`{}` is passed over: {error}", next.display()),
                    }
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    if self.listed.elapsed() < LISTING {
                        return Ok(messages);
                    }
                    self.listed = Instant::now();
                    // Listing makes the file system look again; the file is read in the next round.
                    if !files::list(&self.folder)?.contains(&next) {
                        return Ok(messages);
                    }
                }
                Err(error) => return Err(StoreError::io("read", &next)(error)),
            }
        }
    }
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:08}.json"))
}

fn number(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_suffix(".json")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_once_and_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("to");
        let mut inbox = Inbox::open(&there);
        assert!(inbox.receive::<u32>().unwrap().is_empty());
        let mut outbox = Outbox::open(&there).unwrap();
        assert_eq!(outbox.send(&[1, 2]).unwrap(), 1);
        assert_eq!(outbox.send(&[3]).unwrap(), 2);
        assert_eq!(inbox.receive::<u32>().unwrap(), [1, 2, 3]);
        // A writer that was started anew goes on; what is torn or foreign is passed over.
        fs::write(path(&there, 3), "[4, ").unwrap();
        let mut again = Outbox::open(&there).unwrap();
        assert_eq!(again.send(&[5]).unwrap(), 4);
        assert_eq!(inbox.receive::<u32>().unwrap(), [5]);
        assert_eq!((inbox.last(), inbox.receive::<u32>().unwrap()), (4, vec![]));
    }
}
