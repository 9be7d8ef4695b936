//! Folders held open, in which files and folders are made without following a link: whatever lies there already, nothing that is
//! written this way comes to lie elsewhere.
//!
//! Each part of a path is opened from the folder before it and must be a real folder (`O_NOFOLLOW`), and files are made anew
//! (`O_EXCL`). The parts are plain names: [`crate::store::names::check`]. So this holds on every Unix, with no call that a kernel or a
//! sandbox may lack.

use crate::store::files::StoreError;
use crate::store::names;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, mkdirat, openat, renameat, statat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// An open folder.
#[derive(Debug)]
pub struct Folder {
    fd: OwnedFd,
    /// For messages.
    path: PathBuf,
}

impl Folder {
    /// Opens a folder. The path itself may go through links: whoever runs the program has chosen it.
    pub fn open(path: &Path) -> Result<Folder, StoreError> {
        let fd = openat(CWD, path, FOLDER, Mode::empty()).map_err(io::Error::from);
        Ok(Folder { fd: fd.map_err(StoreError::io("open the folder", path))?, path: path.to_owned() })
    }

    /// The folder at a path below this one, made where it is not there yet.
    pub fn below(&self, relative: &Path) -> Result<Folder, StoreError> {
        if relative.as_os_str().is_empty() {
            return Ok(Folder { fd: self.clone_fd()?, path: self.path.clone() });
        }
        self.check(relative)?;
        let mut at: Option<Folder> = None;
        for part in relative.iter() {
            at = Some(at.as_ref().unwrap_or(self).child(part)?);
        }
        at.ok_or_else(|| StoreError::Name { path: relative.to_owned(), fault: names::NameFault::Empty })
    }

    fn clone_fd(&self) -> Result<OwnedFd, StoreError> {
        self.fd.try_clone().map_err(StoreError::io("open the folder", &self.path))
    }

    fn check(&self, relative: &Path) -> Result<(), StoreError> {
        names::check(relative).map_err(|fault| StoreError::Name { path: self.path.join(relative), fault })
    }

    fn child(&self, name: &OsStr) -> Result<Folder, StoreError> {
        let path = self.path.join(name);
        let open = || openat(&self.fd, name, FOLDER | OFlags::NOFOLLOW, Mode::empty());
        let opened = match open() {
            Err(Errno::NOENT) => match mkdirat(&self.fd, name, Mode::from_raw_mode(0o777)) {
                // Another process was quicker.
                Ok(()) | Err(Errno::EXIST) => open(),
                Err(error) => Err(error),
            },
            opened => opened,
        };
        match opened {
            Ok(fd) => Ok(Folder { fd, path }),
            Err(Errno::NOTDIR | Errno::LOOP) if self.is_link(name) => Err(StoreError::Link { path }),
            Err(error) => Err(StoreError::io("make the folder", &path)(error.into())),
        }
    }

    fn is_link(&self, name: &OsStr) -> bool {
        statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|data| FileType::from_raw_mode(data.st_mode) == FileType::Symlink)
    }

    /// A new file in this folder, open for reading and writing; an error if there is anything of this name.
    pub fn create(&self, name: &OsStr, mode: u32) -> Result<File, StoreError> {
        let path = self.path.join(name);
        self.check(Path::new(name))?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let made = openat(&self.fd, name, flags, Mode::from_raw_mode(mode)).map_err(io::Error::from);
        Ok(File::from(made.map_err(StoreError::io("write", &path))?))
    }

    /// Renames something in this folder, over what has the new name.
    pub fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(renameat(&self.fd, from, &self.fd, to)?)
    }

    /// Whether there is something of this name, and whether that is a folder.
    pub fn is_folder(&self, name: &OsStr) -> Option<bool> {
        let data = statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some(FileType::from_raw_mode(data.st_mode) == FileType::Directory)
    }

    /// For messages, and for what is not security's business.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_is_made_through_a_link() {
        let (inside, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        symlink(outside.path(), inside.path().join("link")).unwrap();
        symlink(outside.path().join("new"), inside.path().join("file")).unwrap();
        let folder = Folder::open(inside.path()).unwrap();
        assert!(matches!(folder.below(Path::new("link")), Err(StoreError::Link { .. })));
        assert!(matches!(folder.below(Path::new("link/deep")), Err(StoreError::Link { .. })));
        assert!(matches!(folder.below(Path::new("../x")), Err(StoreError::Name { .. })));
        assert!(folder.create(OsStr::new("file"), 0o644).is_err());
        assert!(folder.create(OsStr::new("a/b"), 0o644).is_err());
        folder.below(Path::new("a/b")).unwrap().create(OsStr::new("c"), 0o644).unwrap();
        assert!(inside.path().join("a/b/c").is_file());
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}
