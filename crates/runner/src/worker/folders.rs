//! The folders that attempts work in, used again one after the other: many file systems are slow to make what was removed just before.

use crate::store::files::{self, StoreError};
use std::fs;
use std::path::{Path, PathBuf};

/// A folder with more inputs is not worth going through after every attempt.
const KEPT: usize = 16;

/// The attempts' folders of one run.
#[derive(Debug)]
pub struct Folders {
    root: PathBuf,
    made: usize,
    clean: Vec<PathBuf>,
}

impl Folders {
    pub fn new(root: PathBuf) -> Folders {
        Folders { root, made: 0, clean: Vec::new() }
    }

    /// A folder that no other attempt has, without files.
    pub fn take(&mut self) -> PathBuf {
        self.clean.pop().unwrap_or_else(|| {
            self.made += 1;
            self.root.join(self.made.to_string())
        })
    }

    /// Removes everything that an attempt left. Nothing of it can be running any more when it ended `well`: then its folder is
    /// used again.
    pub fn put_back(&mut self, folder: PathBuf, well: bool) -> Result<(), StoreError> {
        // A folder that does not let itself be cleared is removed with more force.
        if well && clear(&folder).is_ok() {
            self.clean.push(folder);
            return Ok(());
        }
        files::remove(&folder)
    }
}

/// Removes all files; of the folders those stay that the next attempt is likely to need.
fn clear(folder: &Path) -> Result<(), StoreError> {
    for path in files::list(folder)? {
        match path.file_name().and_then(|name| name.to_str()) {
            Some("out") if is_folder(&path) => empty(&path)?,
            Some("in") if is_folder(&path) => {
                let inputs = files::list(&path)?;
                for input in &inputs {
                    if inputs.len() <= KEPT && is_folder(input) {
                        empty(input)?
                    } else {
                        files::remove(input)?
                    }
                }
            }
            _ => files::remove(&path)?,
        }
    }
    Ok(())
}

fn empty(folder: &Path) -> Result<(), StoreError> {
    files::list(folder)?.iter().try_for_each(|path| files::remove(path))
}

/// Whether it is a folder itself, not a link to one.
fn is_folder(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|data| data.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_used_again_without_what_was_in_it() {
        let root = tempfile::tempdir().unwrap();
        let elsewhere = root.path().join("elsewhere");
        fs::write(&elsewhere, "kept").unwrap();
        let mut folders = Folders::new(root.path().join("work"));
        let first = folders.take();
        let second = folders.take();
        assert_ne!(first, second);
        for folder in ["out/deep", "in/a", "in/b/folder", "tmp"] {
            fs::create_dir_all(first.join(folder)).unwrap();
            fs::write(first.join(folder).join("file"), "left").unwrap();
        }
        std::os::unix::fs::symlink(&elsewhere, first.join("in/a/link")).unwrap();
        folders.put_back(first.clone(), true).unwrap();
        assert_eq!(folders.take(), first);
        let left = walkdir::WalkDir::new(&first).min_depth(1).sort_by_file_name().into_iter();
        let left: Vec<_> =
            left.map(|entry| entry.unwrap().path().strip_prefix(&first).unwrap().to_owned()).collect();
        assert_eq!(left, ["in", "in/a", "in/b", "out"].map(PathBuf::from));
        assert_eq!(fs::read_to_string(elsewhere).unwrap(), "kept");
        folders.put_back(first.clone(), false).unwrap();
        assert!(!first.exists());
        assert_ne!(folders.take(), first);
    }
}
