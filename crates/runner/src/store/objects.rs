//! Content, named by its digest. A folder is an object too: the list of its files.

use crate::store::chosen::Chosen;
use crate::store::copy;
use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
use crate::store::listing::{self, Entry, ListError, Listed};
use crate::store::walk::{self, Kind};
use crate::store::written::Written;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What an artifact is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    File,
    /// A file that its owner may start as a program. Its object is that of its bytes, like any other file's.
    Executable,
    Folder,
    /// Nothing: an optional output that was not written.
    Absent,
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

/// As a person reads it, and as it is written down in records: its digest, and what it is unless that is a plain file.
impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.digest.fmt(f)?;
        match self.shape {
            Shape::File => Ok(()),
            Shape::Executable => f.write_str(" (executable)"),
            Shape::Folder => f.write_str(" (folder)"),
            Shape::Absent => f.write_str(" (not written)"),
        }
    }
}

impl Content {
    /// What an optional output has that was not written.
    pub const ABSENT: Content = Content { digest: Digest([0; 32]), shape: Shape::Absent, size: 0 };

    pub fn is_absent(&self) -> bool {
        self.shape == Shape::Absent
    }
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

/// The folder of objects.
#[derive(Debug, Clone)]
pub struct Objects {
    root: PathBuf,
    pub(super) written: Written,
}

impl Objects {
    pub(super) fn new(root: PathBuf, written: Written) -> Objects {
        Objects { root, written }
    }

    /// For what only looks at files outside the store.
    fn nowhere() -> Objects {
        Objects::new(PathBuf::new(), Written::default())
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
        if content.is_absent() {
            return Ok(Held::Sound);
        }
        let file = |digest: &Digest, size: Option<u64>| {
            let held = self.check_file(digest, size)?;
            if held == Held::Damaged && remove && !self.is_itself(digest)? {
                files::remove(&self.path(digest))?;
            }
            Ok(held)
        };
        if content.shape != Shape::Folder {
            return file(&content.digest, Some(content.size));
        }
        let mut held = file(&content.digest, None)?;
        if held != Held::Sound {
            return Ok(held);
        }
        let entries = match self.entries(&content.digest) {
            Err(StoreError::DamagedObject { .. }) => {
                if remove {
                    files::remove(&self.path(&content.digest))?;
                }
                return Ok(Held::Damaged);
            }
            // A record that takes another file for the list of a folder.
            Err(StoreError::Damaged { .. }) => return Ok(Held::Damaged),
            entries => entries?,
        };
        if listing::size(&entries) != Some(content.size) {
            return Ok(Held::Damaged);
        }
        for entry in &entries {
            if let Listed::File { digest, size, .. } = &entry.what {
                held = held.max(file(digest, Some(*size))?);
            }
        }
        Ok(held)
    }

    /// How an object of this size stands.
    fn check_file(&self, digest: &Digest, size: Option<u64>) -> Result<Held, StoreError> {
        let path = self.path(digest);
        let data = match fs::metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Held::Missing),
            data => data.map_err(StoreError::io("read", &path))?,
        };
        if size.is_some_and(|size| size != data.len()) {
            return Ok(Held::Damaged);
        }
        if is_unwritten(&data) {
            return Ok(Held::Sound);
        }
        if self.is_itself(digest)? {
            // Where it cannot be marked again, it is read again the next time.
            let _ = File::open(&path).and_then(|file| mark(&file));
            return Ok(Held::Sound);
        }
        Ok(Held::Damaged)
    }

    /// Whether an object is there, with this size where one is given, and was not written to since it came.
    pub fn is_sound(&self, digest: &Digest, size: Option<u64>) -> Result<bool, StoreError> {
        Ok(self.check_file(digest, size)? == Held::Sound)
    }

    /// Removes an object whose bytes are not those of its name.
    pub fn drop_damaged(&self, digest: &Digest) -> Result<(), StoreError> {
        if self.contains(digest) && !self.is_itself(digest)? {
            files::remove(&self.path(digest))?;
        }
        Ok(())
    }

    /// What the objects of a content say against it, as far as they are there: they have other sizes, or there is no list of a folder.
    pub fn contradiction(&self, content: &Content) -> Result<Option<String>, StoreError> {
        if content.is_absent() {
            return Ok(None);
        }
        let other_size = |digest: &Digest, size: u64| match fs::metadata(self.path(digest)) {
            // One that is damaged says nothing against the record.
            Ok(data) if data.len() != size && self.is_itself(digest).unwrap_or(false) => {
                Some(format!("object {} has {} bytes, not {size}", digest.short(), data.len()))
            }
            _ => None,
        };
        if content.shape != Shape::Folder {
            return Ok(other_size(&content.digest, content.size));
        }
        let entries = match self.entries(&content.digest) {
            Err(StoreError::MissingObject { .. } | StoreError::DamagedObject { .. }) => return Ok(None),
            Err(StoreError::Damaged { message, .. }) => {
                return Ok(Some(format!("object {} stands for a folder: {message}", content.digest.short())));
            }
            entries => entries?,
        };
        if listing::size(&entries) != Some(content.size) {
            return Ok(Some(format!("the files of folder {} have other sizes", content.digest.short())));
        }
        let wrong = entries.iter().find_map(|entry| match &entry.what {
            Listed::File { digest, size, .. } => other_size(digest, *size),
            Listed::Folder | Listed::Link(_) => None,
        });
        Ok(wrong)
    }

    /// Whether the bytes of an object are those of its name.
    pub fn is_itself(&self, digest: &Digest) -> Result<bool, StoreError> {
        Ok(Digest::of_file(&self.path(digest))?.0 == *digest)
    }

    /// Takes back a content that the store no longer has from a copy of it, if that still is one.
    pub fn restore_from(&self, content: &Content, copy: &Path) -> Result<bool, StoreError> {
        if Objects::measure(copy).ok() != Some(*content) {
            return Ok(false);
        }
        let file = |file: &Path, digest: &Digest| {
            if self.contains(digest) { Ok(()) } else { self.copy_in(file, digest) }
        };
        let taken = self.describe(copy, None, &refuse, &file, &|list, digest| self.keep(list, digest))?;
        Ok(taken == *content)
    }

    /// Takes a copy of files outside the store, and leaves them where they are.
    pub fn keep_chosen(&self, chosen: &Chosen) -> Result<Content, StoreError> {
        let file = |file: &Path, digest: &Digest| {
            if self.contains(digest) { Ok(()) } else { self.copy_in(file, digest) }
        };
        let keep = |list: &[u8], digest: &Digest| self.keep(list, digest);
        self.describe(&chosen.path, Some(chosen), &|_, _| Ok(()), &file, &keep)
    }

    /// Moves an output, which lies below the folder `within`, into the store: read once for its digest, then renamed. What
    /// a link leads to outside that folder, and what has another name elsewhere, is copied.
    pub fn take(&self, path: &Path, within: &Path) -> Result<Content, StoreError> {
        let file = |file: &Path, digest: &Digest| self.ingest(file, digest, within);
        self.describe(path, None, &refuse, &file, &|list, digest| self.keep(list, digest))
    }

    /// The content of a file or folder outside the store, which is left where it is. A link in it that leads nowhere counts as the
    /// text that it says.
    pub fn measure(path: &Path) -> Result<Content, StoreError> {
        Objects::nowhere().describe(path, None, &|_, _| Ok(()), &|_, _| Ok(()), &|_, _| Ok(()))
    }

    /// The content of what is chosen; `note` is told of each link that leads nowhere, and what it says, `list` of the list of a folder.
    pub fn measure_chosen(
        chosen: &Chosen,
        note: &dyn Fn(&Path, &Path),
        list: &dyn Fn(&[u8], &Digest),
    ) -> Result<Content, StoreError> {
        let link = |link: &Path, target: &Path| {
            note(link, target);
            Ok(())
        };
        let list = |bytes: &[u8], digest: &Digest| {
            list(bytes, digest);
            Ok(())
        };
        Objects::nowhere().describe(&chosen.path, Some(chosen), &link, &|_, _| Ok(()), &list)
    }

    fn describe(
        &self,
        path: &Path,
        chosen: Option<&Chosen>,
        link: &dyn Fn(&Path, &Path) -> Result<(), StoreError>,
        file: &dyn Fn(&Path, &Digest) -> Result<(), StoreError>,
        list: &dyn Fn(&[u8], &Digest) -> Result<(), StoreError>,
    ) -> Result<Content, StoreError> {
        let data = fs::metadata(path).map_err(StoreError::io("read", path))?;
        if data.is_file() {
            let (digest, size) = Digest::of_file(path)?;
            file(path, &digest)?;
            let shape = if is_executable(data.mode()) { Shape::Executable } else { Shape::File };
            return Ok(Content { digest, shape, size });
        }
        if !data.is_dir() {
            return Err(StoreError::NotAFile { path: path.to_owned() });
        }
        let found = match chosen {
            Some(chosen) => walk::walk_chosen(chosen)?,
            None => walk::walk(path)?,
        };
        if let (true, Some(pattern)) = (found.is_empty(), chosen.and_then(|chosen| chosen.only.as_ref())) {
            return Err(StoreError::NoMatch { path: path.to_owned(), pattern: pattern.clone() });
        }
        let read = found.par_iter().map(|found| match found.kind {
            Kind::File => {
                let data = fs::metadata(&found.path).map_err(StoreError::io("read", &found.path))?;
                Ok(Some((Digest::of_file(&found.path)?, is_executable(data.mode()))))
            }
            _ => Ok(None),
        });
        let read: Vec<_> = read.collect::<Result<_, StoreError>>()?;
        let mut entries = Vec::with_capacity(found.len());
        for (at, (here, read)) in found.iter().zip(read).enumerate() {
            let what = match (&here.kind, read) {
                (Kind::File, Some(((digest, size), executable))) => {
                    file(&here.path, &digest)?;
                    Listed::File { digest, size, executable }
                }
                (Kind::Link(target), _) => {
                    link(&here.path, target)?;
                    Listed::Link(target.clone())
                }
                // The others are where something in them is.
                (Kind::Folder, _) => match found.get(at + 1) {
                    Some(next) if next.path.starts_with(&here.path) => continue,
                    _ => Listed::Folder,
                },
                _ => return Err(StoreError::NotAFile { path: here.path.clone() }),
            };
            let relative = here.path.strip_prefix(path).unwrap_or(&here.path);
            entries.push(Entry { path: relative.to_owned(), what });
        }
        let bytes = listing::encode(&entries).map_err(|error| unlisted(path, error))?;
        let digest = Digest::of(&bytes);
        list(&bytes, &digest)?;
        Ok(Content { digest, shape: Shape::Folder, size: listing::size(&entries).unwrap_or(u64::MAX) })
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
        protect(&handle).map_err(StoreError::io("protect", file))?;
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
        let mut made = File::create_new(&temporary).map_err(StoreError::io("write", &temporary))?;
        let copied = copy::copy(file, &mut made).and_then(|(found, _)| {
            if found != *digest {
                return Err(StoreError::Changed { path: file.to_owned() });
            }
            made.sync_data().and_then(|()| protect(&made)).map_err(StoreError::io("sync", &temporary))?;
            fs::rename(&temporary, &target).map_err(StoreError::io("move into the store", &target))
        });
        if copied.is_err() {
            // The first error is the one to tell.
            let _ = fs::remove_file(&temporary);
        }
        copied
    }

    /// Keeps these bytes as an object.
    pub(super) fn keep(&self, bytes: &[u8], digest: &Digest) -> Result<(), StoreError> {
        self.write(bytes, digest).map(drop)
    }

    /// The same with bytes that have just come from elsewhere, and were hashed.
    #[cfg(feature = "remote")]
    pub(super) fn receive(&self, bytes: &[u8], digest: &Digest) -> Result<(), StoreError> {
        match self.write(bytes, digest)? {
            Some(file) => self.note_written(&file, digest),
            None => Ok(()),
        }
    }

    fn write(&self, bytes: &[u8], digest: &Digest) -> Result<Option<File>, StoreError> {
        let target = self.path(digest);
        if renew(&target)? {
            return Ok(None);
        }
        let finish = |file: &File| file.sync_data().and_then(|()| protect(file));
        files::write_finished(&target, bytes, finish).map(Some)
    }

    /// Notes that this process has written the file itself, of bytes with this digest, if it became an object and nobody else wrote to
    /// it since.
    #[cfg(feature = "remote")]
    pub(super) fn note_written(&self, file: &File, digest: &Digest) -> Result<(), StoreError> {
        let data = file.metadata().map_err(StoreError::io("read", &self.path(digest)))?;
        if is_unwritten(&data) {
            self.written.note(*digest, crate::store::written::Mark::of(&data));
        }
        Ok(())
    }

    /// The list of a folder, if the object is one and its bytes are those of its name.
    pub fn entries(&self, digest: &Digest) -> Result<Vec<Entry>, StoreError> {
        let path = self.path(digest);
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(StoreError::MissingObject { digest: digest.to_string() });
            }
            bytes => bytes.map_err(StoreError::io("read", &path))?,
        };
        if Digest::of(&bytes) != *digest {
            return Err(StoreError::DamagedObject { digest: digest.to_string() });
        }
        listing::decode(&bytes).map_err(|error| StoreError::Damaged { path, message: error.to_string() })
    }
}

/// An output holds what can be kept.
fn refuse(link: &Path, target: &Path) -> Result<(), StoreError> {
    Err(StoreError::Dangling { path: link.to_owned(), target: target.to_owned() })
}

/// A folder that cannot be listed.
fn unlisted(folder: &Path, error: ListError) -> StoreError {
    match error {
        ListError::Name { path, fault } => StoreError::Name { path: folder.join(path), fault },
        error => StoreError::Damaged { path: folder.to_owned(), message: error.to_string() },
    }
}

/// Whether the owner of a file may start it.
fn is_executable(mode: u32) -> bool {
    mode & 0o100 != 0
}

/// Whether a file is in a folder, or in one below, and none of these is a link that leads elsewhere.
fn is_inside(file: &Path, folder: &Path) -> bool {
    let own = |path: &Path| fs::symlink_metadata(path).is_ok_and(|data| !data.is_symlink());
    file.starts_with(folder) && file.ancestors().take_while(|path| path.starts_with(folder)).all(own)
}

/// Makes a file that becomes an object read-only, and marks it as not written to since.
fn protect(file: &File) -> io::Result<()> {
    file.set_permissions(fs::Permissions::from_mode(0o444))?;
    mark(file)
}

/// Whether an object was not written to since it came into the store.
fn is_unwritten(data: &Metadata) -> bool {
    data.mtime() == STORED && data.mtime_nsec() == 0
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
/// it until a record names it. One that another user owns cannot be renewed: it is replaced.
fn renew(object: &Path) -> Result<bool, StoreError> {
    let renewed = (|| {
        let file = File::open(object)?;
        let data = file.metadata()?;
        if is_unwritten(&data) {
            file.set_permissions(fs::Permissions::from_mode(0o444)).map(|()| true)
        } else {
            Ok(false)
        }
    })();
    match renewed {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => Ok(false),
        renewed => renewed.map_err(StoreError::io("protect", object)),
    }
}
