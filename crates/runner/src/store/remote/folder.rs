//! A remote store in a folder: on a disk that others see, too.

use crate::store::files;
use crate::store::remote::error::TransportError;
use crate::store::remote::layout::Entry;
use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};
use walkdir::WalkDir;

/// Where files lie that are being written.
const WRITING: &str = "writing";
/// How old a file there is when nobody can be writing to it any more.
const STALE: Duration = Duration::from_secs(86_400);

/// A folder.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
}

impl Folder {
    pub fn new(root: PathBuf) -> Folder {
        Folder { root }
    }

    /// Makes the folder, but not what it is in: a disk that is not mounted must not be taken for an empty one.
    pub fn make(&self) -> Result<(), TransportError> {
        match fs::create_dir(&self.root) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            made => made.map_err(TransportError::io("make the folder", &self.root)),
        }
    }

    /// Refuses a folder that cannot be there: what it is in is missing.
    pub fn check(&self) -> Result<(), TransportError> {
        match self.root.parent() {
            Some(parent) if !parent.is_dir() => Err(TransportError::Unreachable {
                message: format!("there is no folder `{}`", parent.display()),
            }),
            _ => Ok(()),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Writes a file whole; if there is one already, that one stays unless it is to be replaced. True where it is new.
    pub fn put(
        &self,
        name: &str,
        replace: bool,
        write: impl FnOnce(&mut File) -> Result<(), TransportError>,
    ) -> Result<bool, TransportError> {
        let target = self.path(name);
        if !replace && target.exists() {
            return Ok(false);
        }
        let writing = self.root.join(WRITING);
        fs::create_dir_all(&writing).map_err(TransportError::io("make the folder", &writing))?;
        let own = target.file_name().unwrap_or_default();
        let temporary = files::temporary_beside(&writing.join(own));
        let written = (|| {
            let mut file = File::create_new(&temporary).map_err(TransportError::io("write", &temporary))?;
            write(&mut file)?;
            file.sync_data().map_err(TransportError::io("sync", &temporary))?;
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent).map_err(TransportError::io("make the folder", parent))?;
            }
            if replace {
                return fs::rename(&temporary, &target)
                    .map(|()| true)
                    .map_err(TransportError::io("write", &target));
            }
            // Unlike a rename, this fails where somebody else was quicker.
            match fs::hard_link(&temporary, &target) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
                linked => linked.map(|()| true).map_err(TransportError::io("write", &target)),
            }
        })();
        // It is gone where it was renamed.
        let _ = fs::remove_file(&temporary);
        written
    }

    pub fn put_bytes(&self, name: &str, bytes: &[u8], replace: bool) -> Result<bool, TransportError> {
        let path = self.path(name);
        self.put(name, replace, |file| file.write_all(bytes).map_err(TransportError::io("write", &path)))
    }

    pub fn head(&self, name: &str) -> Result<Option<Entry>, TransportError> {
        let path = self.path(name);
        match fs::metadata(&path) {
            Err(error) if is_absent(&error) => Ok(None),
            data => Ok(Some(entry(name.to_owned(), &data.map_err(TransportError::io("read", &path))?))),
        }
    }

    /// A file that is to be read. Whatever else has its name counts as none: others write there, too, and a pipe never ends.
    pub fn open(&self, name: &str) -> Result<Option<File>, TransportError> {
        let path = self.path(name);
        let opened =
            File::options().read(true).custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32).open(&path);
        let file = match opened {
            Err(error) if is_absent(&error) => return Ok(None),
            file => file.map_err(TransportError::io("read", &path))?,
        };
        let is_file = file.metadata().map_err(TransportError::io("read", &path))?.is_file();
        Ok(is_file.then_some(file))
    }

    /// A part of a file, or as much as there is of it.
    pub fn range(&self, name: &str, range: Range<u64>) -> Result<Option<Vec<u8>>, TransportError> {
        let Some(mut file) = self.open(name)? else { return Ok(None) };
        let mut bytes = Vec::new();
        let read = file
            .seek(SeekFrom::Start(range.start))
            .and_then(|_| file.take(range.end - range.start).read_to_end(&mut bytes));
        read.map_err(TransportError::io("read", &self.path(name)))?;
        Ok(Some(bytes))
    }

    /// The files below a folder of it, in no order.
    pub fn list(&self, prefix: &str) -> Result<Vec<Entry>, TransportError> {
        let mut found = Vec::new();
        for file in WalkDir::new(self.path(prefix)) {
            let file = match file {
                // Somebody removes things at the same time.
                Err(error) if error.io_error().is_some_and(is_absent) => continue,
                Err(error) => {
                    return Err(TransportError::Other {
                        message: format!("cannot list the folder: {error}"),
                    });
                }
                Ok(file) => file,
            };
            let (Ok(data), Ok(relative)) = (file.metadata(), file.path().strip_prefix(&self.root)) else {
                continue;
            };
            if let (true, Some(name)) = (data.is_file(), relative.to_str()) {
                found.push(entry(name.to_owned(), &data));
            }
        }
        Ok(found)
    }

    pub fn delete(&self, name: &str) -> Result<(), TransportError> {
        let path = self.path(name);
        match fs::remove_file(&path) {
            Err(error) if is_absent(&error) => Ok(()),
            removed => removed.map_err(TransportError::io("remove", &path)),
        }
    }

    /// Removes what killed pushes were writing.
    pub fn sweep(&self) -> Result<(), TransportError> {
        for entry in self.list(WRITING)? {
            let age = Duration::from_millis(now().saturating_sub(entry.modified).max(0) as u64);
            if age > STALE {
                self.delete(&entry.name)?;
            }
        }
        Ok(())
    }
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn entry(name: String, data: &fs::Metadata) -> Entry {
    Entry { name, size: data.len(), modified: data.mtime() * 1000 + data.mtime_nsec() / 1_000_000 }
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as i64
}
