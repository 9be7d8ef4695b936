//! Append-only files of binary records, for the store's indexes: quick to read whole, cheap to append to, shared by several
//! processes.
//!
//! A record is its length, a checksum and its content in MessagePack. Whoever appends holds the file's lock and first reads what
//! others have appended since; a torn record at the end, left by a kill or a full disk, is cut off then. The lock is that of the file
//! itself, or, where locks are leases, one of the store that has the file's name.

use crate::store::files::{self, StoreError};
use crate::store::locking::Way;
use crate::store::locks::{Lock, Locks};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::marker::PhantomData;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

/// The length and the checksum before a record.
const HEAD: usize = 8;

/// An open journal.
#[derive(Debug)]
pub struct Journal<T> {
    path: PathBuf,
    locks: Locks,
    /// Opened when something is appended.
    file: Option<File>,
    /// The inode that was read; none before there is a file.
    inode: Option<u64>,
    /// How many bytes of the file are known to be sound records.
    read: u64,
    /// How many records those are.
    records: usize,
    content: PhantomData<T>,
}

impl<T: Serialize + DeserializeOwned> Journal<T> {
    /// The journal and its sound records; empty where there is no file yet.
    pub fn open(path: &Path, locks: &Locks) -> Result<(Journal<T>, Vec<T>), StoreError> {
        let mut bytes = Vec::new();
        let inode = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            file => {
                let read = file.and_then(|mut file| {
                    file.read_to_end(&mut bytes)?;
                    Ok(file.metadata()?.ino())
                });
                Some(read.map_err(StoreError::io("read", path))?)
            }
        };
        let (records, read) = decode(&bytes);
        let journal = Journal {
            path: path.to_owned(),
            locks: locks.clone(),
            file: None,
            inode,
            read: read as u64,
            records: records.len(),
            content: PhantomData,
        };
        Ok((journal, records))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether all of the file was read.
    pub fn is_read(&self) -> bool {
        let there = fs::metadata(&self.path);
        there.is_ok_and(|data| data.len() == self.read && Some(data.ino()) == self.inode)
    }

    /// How many records the file has, as far as it was read.
    pub fn records(&self) -> usize {
        self.records
    }

    /// Appends records under the lock, together with what `work` does while it is held. `work` is given what others have
    /// appended since.
    pub fn append_with<R>(
        &mut self,
        work: impl FnOnce(Vec<T>) -> Result<(Vec<T>, R), StoreError>,
    ) -> Result<R, StoreError> {
        let (file, lock) = self.lock()?;
        let done = (|| {
            check(&lock)?;
            let others = self.catch_up(&file)?;
            let (records, result) = work(others)?;
            let mut bytes = Vec::new();
            for record in &records {
                encode(record, &mut bytes).map_err(StoreError::io("append to", &self.path))?;
            }
            check(&lock)?;
            (&file).write_all(&bytes).map_err(StoreError::io("append to", &self.path))?;
            self.read += bytes.len() as u64;
            self.records += records.len();
            Ok(result)
        })();
        if lock.is_some() {
            // Closed before it is another's turn: only so a network file system shows what was written.
            drop(file);
        } else {
            // Closing the file would unlock it as well; unlocking fails only for a file that is closed.
            let _ = file.unlock();
            self.file = Some(file);
        }
        done
    }

    /// Appends one record.
    pub fn append(&mut self, record: T) -> Result<Vec<T>, StoreError> {
        self.append_with(|others| Ok((vec![record], others)))
    }

    /// Replaces the whole file by these records, under the lock. `all` is given what others have appended since.
    pub fn rewrite(&mut self, all: impl FnOnce(Vec<T>) -> Vec<T>) -> Result<(), StoreError> {
        let (file, lock) = self.lock()?;
        let records = all(self.catch_up(&file)?);
        let mut bytes = Vec::new();
        for record in &records {
            encode(record, &mut bytes).map_err(StoreError::io("write", &self.path))?;
        }
        check(&lock)?;
        files::write_atomic(&self.path, &bytes)?;
        // The lock is on the file that was replaced; whoever waits for it sees that and opens the new one.
        self.file = None;
        self.inode = fs::metadata(&self.path).ok().map(|data| data.ino());
        self.read = bytes.len() as u64;
        self.records = records.len();
        Ok(())
    }

    /// The file with its lock held, opened anew if another process has replaced it; and that lock, where it is none of the file.
    fn lock(&mut self) -> Result<(File, Option<Lock>), StoreError> {
        let lock = match self.locks.way()? {
            Way::Kernel => None,
            Way::Leases => {
                let name = self.path.file_name().unwrap_or_default().to_string_lossy();
                Some(self.locks.take(&format!("journal-{name}"))?)
            }
        };
        let failed = || StoreError::io("lock", &self.path);
        loop {
            let file = match self.file.take() {
                Some(file) => file,
                None => {
                    let opened = File::options().create(true).append(true).read(true).open(&self.path);
                    opened.map_err(failed())?
                }
            };
            if lock.is_none() {
                file.lock().map_err(failed())?;
            }
            let held = file.metadata().map_err(failed())?;
            let there = fs::metadata(&self.path);
            if there.is_ok_and(|there| there.ino() == held.ino() && there.dev() == held.dev()) {
                if self.inode != Some(held.ino()) {
                    (self.inode, self.read, self.records) = (Some(held.ino()), 0, 0);
                }
                return Ok((file, lock));
            }
        }
    }

    /// What others have appended; a torn end is cut off.
    fn catch_up(&mut self, file: &File) -> Result<Vec<T>, StoreError> {
        let failed = || StoreError::io("read", &self.path);
        let length = file.metadata().map_err(failed())?.len();
        if length == self.read {
            return Ok(Vec::new());
        }
        // A shorter file was cut off by another process, behind a torn record.
        let from = self.read.min(length);
        let mut bytes = vec![0; (length - from) as usize];
        file.read_exact_at(&mut bytes, from).map_err(failed())?;
        let (records, sound) = decode(&bytes);
        if sound < bytes.len() {
            file.set_len(from + sound as u64).map_err(StoreError::io("mend", &self.path))?;
        }
        self.records += records.len();
        self.read = from + sound as u64;
        Ok(records)
    }
}

/// Fails where the lock may be another's by now.
fn check(lock: &Option<Lock>) -> Result<(), StoreError> {
    lock.as_ref().map_or(Ok(()), Lock::check)
}

fn encode(record: &impl Serialize, bytes: &mut Vec<u8>) -> io::Result<()> {
    let content = rmp_serde::to_vec(record).map_err(io::Error::other)?;
    bytes.extend((content.len() as u32).to_le_bytes());
    bytes.extend(checksum(&content).to_le_bytes());
    bytes.extend(content);
    Ok(())
}

/// The sound records at the start, and where they end.
fn decode<T: DeserializeOwned>(bytes: &[u8]) -> (Vec<T>, usize) {
    let word = |at: usize| {
        bytes.get(at..at + 4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
    };
    let mut records = Vec::new();
    let mut at = 0;
    while let (Some(length), Some(sum)) = (word(at), word(at + 4)) {
        let Some(content) = bytes.get(at + HEAD..at + HEAD + length as usize) else { break };
        if checksum(content) != sum {
            break;
        }
        // Written by another version of the program: of no use, and no damage.
        if let Ok(record) = rmp_serde::from_slice(content) {
            records.push(record);
        }
        at += HEAD + length as usize;
    }
    (records, at)
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    // Zeros, which a file system may leave behind, are no record.
    !crc.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> (Journal<String>, Vec<String>) {
        Journal::open(path, &Locks::new(path.parent().expect("a folder"))).expect("a journal")
    }

    #[test]
    fn a_torn_record_is_cut_off_and_others_records_are_seen() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("journal");
        let (mut a, none) = open(&path);
        assert!(none.is_empty());
        a.append("one".to_owned()).expect("appended");
        let (mut b, read) = open(&path);
        assert_eq!(read, ["one"]);
        b.append("two".to_owned()).expect("appended");
        let mut torn = fs::read(&path).expect("bytes");
        torn.extend([9, 0, 0, 0, 1, 2]);
        fs::write(&path, &torn).expect("written");
        assert_eq!(open(&path).1, ["one", "two"]);
        assert_eq!(a.append("three".to_owned()).expect("appended"), ["two"]);
        assert_eq!(open(&path).1, ["one", "two", "three"]);
        assert_eq!(b.append("four".to_owned()).expect("appended"), ["three"]);
    }

    #[test]
    fn a_replaced_file_is_noticed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("journal");
        let (mut a, _) = open(&path);
        a.append("one".to_owned()).expect("appended");
        let (mut b, _) = open(&path);
        b.rewrite(|_| vec!["all".to_owned(), "anew".to_owned()]).expect("rewritten");
        a.append("two".to_owned()).expect("appended");
        assert_eq!(open(&path).1, ["all", "anew", "two"]);
        assert_eq!(b.append("three".to_owned()).expect("appended"), ["two"]);
        assert_eq!(a.append("four".to_owned()).expect("appended"), ["three"]);
    }
}
