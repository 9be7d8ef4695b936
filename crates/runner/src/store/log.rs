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
    fn a_torn_line_is_passed_over_and_not_glued() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log");
        fs::write(&path, "1\n2\n[3, 4").expect("a file");
        Log::append_to(&path).and_then(|mut log| log.append(&5)).expect("a line");
        assert_eq!(read_lines::<u32>(&path).expect("lines"), [1, 2, 5]);
    }
}
