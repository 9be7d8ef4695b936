//! Append-only files of JSON lines. A torn last line, left by a kill or a full disk, is passed over and never glued to the
//! next.

use crate::store::files::StoreError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// An open log.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// Opens a log for appending, making it where there is none.
    pub fn append_to(path: &Path) -> Result<Log, StoreError> {
        let opened = File::options().create(true).append(true).read(true).open(path);
        let mut file = opened.map_err(StoreError::io("open", path))?;
        let repaired = (|| {
            if file.seek(SeekFrom::End(0))? > 0 {
                file.seek(SeekFrom::End(-1))?;
                let mut last = [0];
                file.read_exact(&mut last)?;
                if last != *b"\n" {
                    file.write_all(b"\n")?;
                }
            }
            Ok(())
        })();
        repaired.map_err(StoreError::io("append to", path))?;
        Ok(Log { path: path.to_owned(), file })
    }

    /// Appends one line by a single write.
    pub fn append(&mut self, line: &impl Serialize) -> Result<(), StoreError> {
        let written = (|| {
            let mut bytes = serde_json::to_vec(line)?;
            bytes.push(b'\n');
            match self.file.write(&bytes)? {
                n if n == bytes.len() => Ok(()),
                // A short write means that the disk is full; the rest would say so.
                n => self.file.write_all(&bytes[n..]),
            }
        })();
        written.map_err(|error: io::Error| StoreError::io("append to", &self.path)(error))
    }

    /// Waits until everything appended is on the disk.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.file.sync_data().map_err(StoreError::io("sync", &self.path))
    }
}

/// How much of a log is read at once while it is followed.
const BLOCK: u64 = 4 << 20;

/// What a log has got since the last look, for a log that another process appends to.
#[derive(Debug, Clone)]
pub struct Tail {
    path: PathBuf,
    /// Where the next line begins.
    at: u64,
}

impl Tail {
    /// Follows a log from this byte on, where a line must begin; from its first line by 0.
    pub fn from(path: &Path, at: u64) -> Tail {
        Tail { path: path.to_owned(), at }
    }

    /// Where the next line begins.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The next lines that are whole and intact, each with the place behind it; none while nothing was added. Of much that was added
    /// only a part: ask until there is none. What cannot be read is passed over.
    pub fn more<T: DeserializeOwned>(&mut self) -> Result<Vec<(u64, T)>, StoreError> {
        let failed = || StoreError::io("read", &self.path);
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            file => file.map_err(failed())?,
        };
        file.seek(SeekFrom::Start(self.at)).map_err(failed())?;
        let mut bytes = Vec::new();
        // A line may be longer than a block.
        while !bytes.contains(&b'\n') {
            if Read::by_ref(&mut file).take(BLOCK).read_to_end(&mut bytes).map_err(failed())? == 0 {
                break;
            }
        }
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let mut lines = Vec::new();
        for line in bytes[..whole].split_inclusive(|byte| *byte == b'\n') {
            self.at += line.len() as u64;
            if let Ok(read) = serde_json::from_slice(line) {
                lines.push((self.at, read));
            }
        }
        // Lines that cannot be read are no end.
        if lines.is_empty() && whole > 0 { self.more() } else { Ok(lines) }
    }
}

/// The intact lines of a log, in order; none where there is no file.
pub fn read_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, StoreError> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        bytes => bytes.map_err(StoreError::io("read", path))?,
    };
    Ok(bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_added_is_seen_once_and_whole() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log");
        let mut tail = Tail::from(&path, 0);
        let mut more = || tail.more::<u32>().expect("lines");
        assert!(more().is_empty());
        fs::write(&path, "1\n2\n3").expect("a file");
        assert_eq!(more(), [(2, 1), (4, 2)]);
        assert!(more().is_empty());
        fs::write(&path, "1\n2\n34\nx\n5\n").expect("a file");
        assert_eq!(more(), [(7, 34), (11, 5)]);
        assert_eq!(tail.at(), 11);
        assert_eq!(Tail::from(&path, 7).more::<u32>().expect("lines"), [(11, 5)]);
    }

    #[test]
    fn a_torn_line_is_passed_over_and_not_glued() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log");
        fs::write(&path, "1\n2\n[3, 4").expect("a file");
        Log::append_to(&path).and_then(|mut log| log.append(&5)).expect("a line");
        assert_eq!(read_lines::<u32>(&path).expect("lines"), [1, 2, 5]);
    }
}
