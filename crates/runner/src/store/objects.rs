//! Content, named by its digest. A folder is an object too: the list of its files.

use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
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

/// A task's outputs: the name and content of each, in declared order.
pub type Outputs = Vec<(String, Content)>;

/// How a content stands in the store; the worse, the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Held {
    /// It is there.
    Sound,
    /// It is not there: collected, or lost.
    Missing,
    /// Its bytes are no longer those of its name.
    Damaged,
}

/// The modification time of every object, in seconds since 1970: any later write changes it.
const STORED: i64 = 1;

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

    /// How a content stands in the store, with everything that it lists. A file that was written to since it came into the store
    /// is read again.
    pub fn check(&self, content: &Content) -> Result<Held, StoreError> {
        self.check_files(content, false)
    }

    /// The same, and removes what is damaged.
    pub fn repair(&self, content: &Content) -> Result<Held, StoreError> {
        self.check_files(content, true)
    }

    fn check_files(&self, content: &Content, remove: bool) -> Result<Held, StoreError> {
        let file = |digest: &Digest| {
            let held = self.check_file(digest)?;
            if held == Held::Damaged && remove {
                files::remove(&self.path(digest))?;
            }
            Ok(held)
        };
        let mut held = file(&content.digest)?;
        if content.shape == Shape::Folder && held == Held::Sound {
            for entry in self.entries(&content.digest)? {
                held = held.max(file(&entry.digest)?);
            }
        }
        Ok(held)
    }

    fn check_file(&self, digest: &Digest) -> Result<Held, StoreError> {
        let path = self.path(digest);
        let data = match fs::metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Held::Missing),
            data => data.map_err(StoreError::io("read", &path))?,
        };
        if data.mtime() == STORED && data.mtime_nsec() == 0 {
            return Ok(Held::Sound);
        }
        if Digest::of_file(&path)?.0 == *digest {
            // Where it cannot be marked again, it is read again the next time.
            let _ = File::open(&path).and_then(|file| mark(&file));
            return Ok(Held::Sound);
        }
        Ok(Held::Damaged)
    }

    /// Takes back a content that the store no longer has from a copy of it, if that still is one.
    pub fn restore_from(&self, content: &Content, copy: &Path) -> Result<bool, StoreError> {
        if Objects::measure(copy).ok() != Some(*content) {
            return Ok(false);
        }
        let file = |file: &Path, digest: &Digest| {
            if self.contains(digest) { Ok(()) } else { self.copy_in(file, digest) }
        };
        let taken = self.describe(copy, &file, &|list, digest| self.keep(list, digest))?;
        Ok(taken == *content)
    }

    /// Moves an output, which lies below the folder `within`, into the store: read once for its digest, then renamed. What
    /// a link leads to outside that folder, and what has another name elsewhere, is copied.
    pub fn take(&self, path: &Path, within: &Path) -> Result<Content, StoreError> {
        let file = |file: &Path, digest: &Digest| self.ingest(file, digest, within);
        self.describe(path, &file, &|list, digest| self.keep(list, digest))
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
        let mut found = Vec::new();
        for entry in WalkDir::new(path).sort_by_file_name().follow_links(true) {
            let entry = entry.map_err(|error| {
                let at = error.path().unwrap_or(path).to_owned();
                StoreError::Io { action: "read", path: at, source: error.into() }
            })?;
            if entry.file_type().is_dir() {
                continue;
            }
            if !entry.file_type().is_file() {
                return Err(StoreError::NotAFile { path: entry.path().to_owned() });
            }
            let data = entry.metadata().map_err(io::Error::from);
            let mode = data.map_err(StoreError::io("read", entry.path()))?.permissions().mode();
            found.push((entry.into_path(), mode & 0o100 != 0));
        }
        let digests: Result<Vec<_>, _> = found.par_iter().map(|(path, _)| Digest::of_file(path)).collect();
        let mut entries = Vec::with_capacity(found.len());
        for ((at, executable), (digest, size)) in found.into_iter().zip(digests?) {
            let relative = at.strip_prefix(path).unwrap_or(&at).to_string_lossy().into_owned();
            file(&at, &digest)?;
            entries.push(Entry { path: relative, digest, size, executable });
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

    pub(super) fn ingest(&self, file: &Path, digest: &Digest, within: &Path) -> Result<(), StoreError> {
        let target = self.path(digest);
        if renew(&target)? {
            return Ok(());
        }
        let handle = File::open(file).map_err(StoreError::io("open", file))?;
        let data = handle.metadata().map_err(StoreError::io("read", file))?;
        if !is_inside(file, within) || data.nlink() > 1 {
            return self.copy_in(file, digest);
        }
        handle.sync_data().map_err(StoreError::io("sync", file))?;
        protect(&handle, data.mode()).map_err(StoreError::io("protect", file))?;
        match move_in(file, &target) {
            Err(error) if error.kind() == ErrorKind::CrossesDevices => self.copy_in(file, digest),
            moved => moved.map_err(StoreError::io("move into the store", file)),
        }
    }

    fn copy_in(&self, file: &Path, digest: &Digest) -> Result<(), StoreError> {
        let target = self.path(digest);
        if let Some(parent) = target.parent() {
            files::create_folder(parent)?;
        }
        let temporary = files::temporary_beside(&target);
        files::clone_file(file, &temporary, 0o644)?;
        let synced = File::open(&temporary).and_then(|copy| {
            copy.sync_data()?;
            protect(&copy, fs::metadata(file)?.mode())
        });
        synced.map_err(StoreError::io("sync", &temporary))?;
        fs::rename(&temporary, &target).map_err(StoreError::io("move into the store", &target))
    }

    /// Keeps these bytes as an object.
    fn keep(&self, bytes: &[u8], digest: &Digest) -> Result<(), StoreError> {
        let target = self.path(digest);
        if renew(&target)? {
            return Ok(());
        }
        files::write_atomic(&target, bytes)?;
        let marked = File::open(&target).and_then(|file| protect(&file, 0));
        marked.map_err(StoreError::io("protect", &target))
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
        files::clone_file(&source, target, if executable { 0o755 } else { 0o644 })
    }
}

/// Whether a file is in a folder, or in one below, and none of these is a link that leads elsewhere.
fn is_inside(file: &Path, folder: &Path) -> bool {
    let own = |path: &Path| fs::symlink_metadata(path).is_ok_and(|data| !data.is_symlink());
    file.starts_with(folder) && file.ancestors().take_while(|path| path.starts_with(folder)).all(own)
}

/// Makes a file that becomes an object read-only, and marks it as not written to since.
fn protect(file: &File, mode: u32) -> io::Result<()> {
    file.set_permissions(fs::Permissions::from_mode(0o444 | (mode & 0o111)))?;
    mark(file)
}

fn mark(file: &File) -> io::Result<()> {
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(STORED as u64))
}

/// Renames a file into a folder, which is made if it is not there yet.
fn move_in(file: &Path, target: &Path) -> io::Result<()> {
    match fs::rename(file, target) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::rename(file, target)
        }
        moved => moved,
    }
}

/// Whether an object is there already, not written to since. It counts as new from now on (its ctime does), so that `gc` passes over
/// it until a record names it.
fn renew(object: &Path) -> Result<bool, StoreError> {
    let renewed = (|| {
        let file = File::open(object)?;
        let data = file.metadata()?;
        let sound = data.mtime() == STORED && data.mtime_nsec() == 0;
        if sound { file.set_permissions(data.permissions()).map(|()| true) } else { Ok(false) }
    })();
    match renewed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        renewed => renewed.map_err(StoreError::io("protect", object)),
    }
}
