//! Content, named by its digest. A folder is an object too: the list of its files.

use super::digest::Digest;
use super::files::{self, StoreError};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// Whether an artifact is a file or a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    File,
    Folder,
}

/// The content of an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Content {
    /// Of the file's bytes, or of the folder's list.
    pub digest: Digest,
    pub shape: Shape,
    /// In bytes; of a folder, the sum over its files.
    pub size: u64,
}

/// One entry of a folder's list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Relative to the folder, with `/`.
    pub path: String,
    pub digest: Digest,
    pub size: u64,
    pub executable: bool,
}

/// The folder of objects.
#[derive(Debug, Clone)]
pub struct Objects {
    root: PathBuf,
}

impl Objects {
    pub(super) fn new(root: PathBuf) -> Objects {
        Objects { root }
    }

    /// Where the object of this digest is, or would be.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        self.root.join(&name[..2]).join(&name[2..])
    }

    pub fn contains(&self, digest: &Digest) -> bool {
        self.path(digest).exists()
    }

    /// Whether a content is there with everything that it lists.
    pub fn holds(&self, content: &Content) -> Result<bool, StoreError> {
        if !self.contains(&content.digest) {
            return Ok(false);
        }
        Ok(match content.shape {
            Shape::File => {
                fs::metadata(self.path(&content.digest)).is_ok_and(|data| data.len() == content.size)
            }
            Shape::Folder => self.entries(&content.digest)?.iter().all(|entry| self.contains(&entry.digest)),
        })
    }

    /// Moves an output, which lies below the folder `within`, into the store: read once for its digest, then renamed. What
    /// a link leads to outside that folder, and what has another name elsewhere, is copied.
    pub fn take(&self, path: &Path, within: &Path) -> Result<Content, StoreError> {
        let real = fs::canonicalize(within).map_err(StoreError::io("find", within))?;
        let file = |file: &Path, digest: &Digest| self.bring_in(file, digest, within, &real);
        self.describe(path, &file, &|list, digest| {
            if renew(&self.path(digest))? { Ok(()) } else { files::write_atomic(&self.path(digest), list) }
        })
    }

    /// The content of a file or folder outside the store, which is left where it is.
    pub fn measure(path: &Path) -> Result<Content, StoreError> {
        Objects::new(PathBuf::new()).describe(path, &|_, _| Ok(()), &|_, _| Ok(()))
    }

    fn describe(
        &self,
        path: &Path,
        file: &dyn Fn(&Path, &Digest) -> Result<(), StoreError>,
        list: &dyn Fn(&[u8], &Digest) -> Result<(), StoreError>,
    ) -> Result<Content, StoreError> {
        let data = fs::metadata(path).map_err(StoreError::io("read", path))?;
        if data.is_file() {
            let (digest, size) = Digest::of_file(path)?;
            file(path, &digest)?;
            return Ok(Content { digest, shape: Shape::File, size });
        }
        if !data.is_dir() {
            return Err(StoreError::NotAFile { path: path.to_owned() });
        }
        let mut entries = Vec::new();
        for found in WalkDir::new(path).sort_by_file_name().follow_links(true) {
            let found = found.map_err(|error| {
                let at = error.path().unwrap_or(path).to_owned();
                StoreError::Io { action: "read", path: at, source: error.into() }
            })?;
            if found.file_type().is_dir() {
                continue;
            }
            if !found.file_type().is_file() {
                return Err(StoreError::NotAFile { path: found.path().to_owned() });
            }
            let (digest, size) = Digest::of_file(found.path())?;
            let mode =
                found.metadata().map_err(io::Error::from).map_err(StoreError::io("read", found.path()))?;
            let relative = found.path().strip_prefix(path).unwrap_or(found.path());
            entries.push(Entry {
                path: relative.to_string_lossy().into_owned(),
                digest,
                size,
                executable: mode.permissions().mode() & 0o100 != 0,
            });
            file(found.path(), &digest)?;
        }
        let bytes = serde_json::to_vec(&entries).map_err(|error| StoreError::Io {
            action: "list",
            path: path.to_owned(),
            source: error.into(),
        })?;
        // The tag keeps a folder's list apart from a file with the same bytes.
        let bytes = [b"onsager folder\n".as_slice(), &bytes].concat();
        let digest = Digest::of(&bytes);
        list(&bytes, &digest)?;
        Ok(Content { digest, shape: Shape::Folder, size: entries.iter().map(|entry| entry.size).sum() })
    }

    pub(super) fn bring_in(
        &self,
        file: &Path,
        digest: &Digest,
        within: &Path,
        real: &Path,
    ) -> Result<(), StoreError> {
        let target = self.path(digest);
        if renew(&target)? {
            return Ok(());
        }
        if let Some(parent) = target.parent() {
            files::create_folder(parent)?;
        }
        let found = fs::canonicalize(file).map_err(StoreError::io("find", file))?;
        let handle = File::open(file).map_err(StoreError::io("open", file))?;
        let data = handle.metadata().map_err(StoreError::io("read", file))?;
        let own = file.strip_prefix(within).is_ok_and(|relative| found == real.join(relative));
        if !own || data.nlink() > 1 {
            return self.copy_in(file, &target);
        }
        handle.sync_data().map_err(StoreError::io("sync", file))?;
        fs::set_permissions(file, fs::Permissions::from_mode(0o444 | (data.mode() & 0o111)))
            .map_err(StoreError::io("protect", file))?;
        match fs::rename(file, &target) {
            Err(error) if error.kind() == ErrorKind::CrossesDevices => self.copy_in(file, &target),
            moved => moved.map_err(StoreError::io("move into the store", file)),
        }
    }

    fn copy_in(&self, file: &Path, target: &Path) -> Result<(), StoreError> {
        let temporary = files::temporary_beside(target);
        files::clone_file(file, &temporary)?;
        let synced = File::open(&temporary).and_then(|copy| copy.sync_data());
        synced.map_err(StoreError::io("sync", &temporary))?;
        fs::set_permissions(&temporary, fs::Permissions::from_mode(0o444))
            .map_err(StoreError::io("protect", &temporary))?;
        fs::rename(&temporary, target).map_err(StoreError::io("move into the store", target))
    }

    /// The list of a folder.
    pub fn entries(&self, digest: &Digest) -> Result<Vec<Entry>, StoreError> {
        let path = self.path(digest);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(StoreError::MissingObject { digest: digest.to_string() });
            }
            bytes => bytes.map_err(StoreError::io("read", &path))?,
        };
        let damaged = |message: String| StoreError::Damaged { path: path.clone(), message };
        let list = bytes
            .strip_prefix(b"onsager folder\n".as_slice())
            .ok_or_else(|| damaged("not the list of a folder".into()))?;
        serde_json::from_slice(list).map_err(|error| damaged(error.to_string()))
    }

    /// Puts a content at `target`, replacing what is there: written beside it, then renamed.
    pub fn place(&self, content: &Content, target: &Path) -> Result<(), StoreError> {
        if let Some(parent) = target.parent() {
            files::create_folder(parent)?;
        }
        let temporary = files::temporary_beside(target);
        let placed = match content.shape {
            Shape::File => self.place_file(&content.digest, &temporary, false),
            Shape::Folder => self.place_folder(&content.digest, &temporary),
        };
        let placed = placed.and_then(|()| {
            // A folder cannot be renamed over: the old one steps aside first.
            let aside = files::temporary_beside(target);
            let old = fs::symlink_metadata(target)
                .is_ok_and(|data| content.shape == Shape::Folder || data.is_dir());
            if old {
                fs::rename(target, &aside).map_err(StoreError::io("replace", target))?;
            }
            fs::rename(&temporary, target).map_err(StoreError::io("write", target))?;
            if old { files::remove(&aside) } else { Ok(()) }
        });
        if placed.is_err() {
            // The first error is the one to tell.
            let _ = files::remove(&temporary);
        }
        placed
    }

    fn place_folder(&self, digest: &Digest, target: &Path) -> Result<(), StoreError> {
        files::create_folder(target)?;
        for entry in self.entries(digest)? {
            let path = target.join(&entry.path);
            if let Some(parent) = path.parent() {
                files::create_folder(parent)?;
            }
            self.place_file(&entry.digest, &path, entry.executable)?;
        }
        Ok(())
    }

    fn place_file(&self, digest: &Digest, target: &Path, executable: bool) -> Result<(), StoreError> {
        let source = self.path(digest);
        if !source.exists() {
            return Err(StoreError::MissingObject { digest: digest.to_string() });
        }
        files::clone_file(&source, target)?;
        let mode = if executable { 0o755 } else { 0o644 };
        fs::set_permissions(target, fs::Permissions::from_mode(mode)).map_err(StoreError::io("write", target))
    }
}

/// Whether an object is there already. It counts as new from now on (its ctime does), so that `gc` passes over it until a record
/// names it.
fn renew(object: &Path) -> Result<bool, StoreError> {
    let renewed = fs::metadata(object).and_then(|data| fs::set_permissions(object, data.permissions()));
    match renewed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        renewed => renewed.map(|()| true).map_err(StoreError::io("protect", object)),
    }
}
