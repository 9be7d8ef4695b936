//! Contents put where stages and people read them: into the view, and into the folder of an attempt.
//!
//! Every byte is hashed on its way, so that damage in the store goes no further; only what this process has just written to the store,
//! of bytes that it hashed, is not hashed again while nobody touches it. Nothing is written through a link, so that whatever a list
//! says, its files come to lie inside the folder that they belong to.

use crate::store::beneath::Folder;
use crate::store::copy;
use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
use crate::store::listing::{Entry, Listed};
use crate::store::objects::{Content, Objects, Shape};
use crate::store::written::Mark;
use rayon::prelude::*;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{ErrorKind, Seek};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// How many files of a folder one thread puts there, before it takes more.
const TOGETHER: usize = 32;

impl Objects {
    /// Puts a content at a path below the folder `root`, replacing what is there: written beside it, then renamed.
    pub fn place(&self, content: &Content, root: &Path, relative: &Path) -> Result<(), StoreError> {
        let parent = Folder::open(root)?.below(relative.parent().unwrap_or(Path::new("")))?;
        let target = parent.path().join(relative.file_name().unwrap_or_default());
        let temporary = files::temporary_beside(&target);
        let placed = self.place_new(content, &parent, name(&temporary)).and_then(|()| {
            // A folder cannot be renamed over: the old one steps aside first.
            let aside = files::temporary_beside(&target);
            let there = parent.is_folder(name(&target));
            let old = there.is_some_and(|folder| folder || content.shape == Shape::Folder);
            if old {
                parent.rename(name(&target), name(&aside)).map_err(StoreError::io("replace", &target))?;
            }
            parent.rename(name(&temporary), name(&target)).map_err(StoreError::io("write", &target))?;
            if old { files::remove(&aside) } else { Ok(()) }
        });
        if placed.is_err() {
            // The first error is the one to tell.
            let _ = files::remove(&temporary);
        }
        placed
    }

    /// Puts a content where there is nothing yet.
    fn place_new(&self, content: &Content, parent: &Folder, name: &OsStr) -> Result<(), StoreError> {
        match content.shape {
            Shape::File => self.place_file(&content.digest, parent, name, false),
            Shape::Executable => self.place_file(&content.digest, parent, name, true),
            Shape::Folder => self.place_folder(&content.digest, &parent.below(Path::new(name))?),
            Shape::Absent => Ok(()),
        }
    }

    fn place_folder(&self, digest: &Digest, target: &Folder) -> Result<(), StoreError> {
        self.entries(digest)?.par_chunks(TOGETHER).try_for_each(|entries| self.place_entries(entries, target))
    }

    fn place_entries(&self, entries: &[Entry], target: &Folder) -> Result<(), StoreError> {
        // Files of one folder come one after the other.
        let mut open: Option<(PathBuf, Folder)> = None;
        for entry in entries {
            let (digest, executable) = match &entry.what {
                Listed::File { digest, executable, .. } => (digest, *executable),
                Listed::Folder | Listed::Link(_) => {
                    target.below(&entry.path)?;
                    continue;
                }
            };
            let parent = entry.path.parent().unwrap_or(Path::new(""));
            let folder = match open.take() {
                Some((path, folder)) if path == parent => folder,
                _ => target.below(parent)?,
            };
            self.place_file(digest, &folder, name(&entry.path), executable)?;
            open = Some((parent.to_owned(), folder));
        }
        Ok(())
    }

    fn place_file(
        &self,
        digest: &Digest,
        parent: &Folder,
        name: &OsStr,
        executable: bool,
    ) -> Result<(), StoreError> {
        let source = self.path(digest);
        let mut target = parent.create(name, if executable { 0o755 } else { 0o644 })?;
        if self.place_written(digest, &mut target)? {
            return Ok(());
        }
        match copy::copy(&source, &mut target) {
            Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                Err(StoreError::MissingObject { digest: digest.to_string() })
            }
            Ok((found, _)) if found != *digest => Err(damaged(digest)),
            copied => copied.map(|_| ()),
        }
    }

    /// Copies an object that this process has written itself, if nobody touched it until the copy was made.
    fn place_written(&self, digest: &Digest, target: &mut File) -> Result<bool, StoreError> {
        let Some(mark) = self.written.take(digest) else { return Ok(false) };
        let path = self.path(digest);
        // Where it cannot be opened any more, the usual way says so.
        let Ok(source) = File::open(&path) else { return Ok(false) };
        let untouched = || source.metadata().is_ok_and(|data| Mark::of(&data) == mark);
        if !untouched() {
            return Ok(false);
        }
        copy::unhashed(&source, target).map_err(StoreError::io("copy", &path))?;
        if untouched() {
            return Ok(true);
        }
        let emptied = target.set_len(0).and_then(|()| target.rewind());
        emptied.map_err(StoreError::io("copy", &path)).map(|()| false)
    }

    /// The object of a file that is to be read where it lies: its bytes are those of its name, and nobody takes it for a program.
    pub fn checked_file(&self, digest: &Digest) -> Result<PathBuf, StoreError> {
        let path = self.path(digest);
        let data = match fs::metadata(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(StoreError::MissingObject { digest: digest.to_string() });
            }
            data => data.map_err(StoreError::io("read", &path))?,
        };
        if !self.is_itself(digest)? {
            return Err(damaged(digest));
        }
        if data.permissions().mode() & 0o111 != 0 {
            // Kept by an earlier version. It fails only where another user owns it.
            let _ = fs::set_permissions(&path, fs::Permissions::from_mode(0o444));
        }
        Ok(path)
    }
}

fn name(path: &Path) -> &OsStr {
    path.file_name().unwrap_or_default()
}

fn damaged(digest: &Digest) -> StoreError {
    StoreError::DamagedObject { digest: digest.to_string() }
}

#[cfg(all(test, feature = "remote"))]
mod tests {
    use super::*;
    use crate::store::Store;
    use crate::store::digest::Digest;
    use std::time::{Duration, SystemTime};

    /// A store that has just received these bytes under a digest, and their content.
    fn received(folder: &Path, bytes: &[u8], digest: Digest) -> (Store, Content) {
        let store = Store::open(&folder.join("artifacts")).unwrap();
        store.objects().receive(bytes, &digest).unwrap();
        (store, Content { digest, shape: Shape::File, size: bytes.len() as u64 })
    }

    fn place(store: &Store, content: &Content) -> Result<Vec<u8>, StoreError> {
        store.objects().place(content, store.artifacts(), Path::new("p/o"))?;
        Ok(fs::read(store.artifacts().join("p/o")).unwrap())
    }

    #[test]
    fn what_was_just_received_is_not_hashed_again_but_once() {
        let folder = tempfile::tempdir().unwrap();
        // Under a wrong digest, so that hashing shows.
        let (store, content) = received(folder.path(), b"bytes", Digest::of(b"others"));
        assert_eq!(place(&store, &content).unwrap(), b"bytes");
        assert!(matches!(place(&store, &content), Err(StoreError::DamagedObject { .. })));
        // Another process knows nothing of it.
        let (_, content) = received(folder.path(), b"more bytes", Digest::of(b"more others"));
        let store = Store::open(&folder.path().join("artifacts")).unwrap();
        assert!(matches!(place(&store, &content), Err(StoreError::DamagedObject { .. })));
    }

    #[test]
    fn what_somebody_wrote_to_since_it_came_is_hashed() {
        let folder = tempfile::tempdir().unwrap();
        let (store, content) = received(folder.path(), b"bytes", Digest::of(b"bytes"));
        let path = store.objects().path(&content.digest);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(&path, b"bytEs").unwrap();
        let marked = File::options().write(true).open(&path).unwrap();
        marked.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1)).unwrap();
        assert!(matches!(place(&store, &content), Err(StoreError::DamagedObject { .. })));
        assert_eq!(fs::read_dir(store.artifacts().join("p")).unwrap().count(), 0);
        // One that replaced it.
        let (store, content) = received(folder.path(), b"more bytes", Digest::of(b"more bytes"));
        let path = store.objects().path(&content.digest);
        fs::remove_file(&path).unwrap();
        fs::write(&path, b"more bytEs").unwrap();
        assert!(matches!(place(&store, &content), Err(StoreError::DamagedObject { .. })));
        // And one that is gone.
        let (store, content) = received(folder.path(), b"others", Digest::of(b"others"));
        fs::remove_file(store.objects().path(&content.digest)).unwrap();
        assert!(matches!(place(&store, &content), Err(StoreError::MissingObject { .. })));
    }
}
