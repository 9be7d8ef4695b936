//! What is inside a folder that the store keeps: each file, and each folder, is a content of its own.

use crate::store::digest::Digest;
use crate::store::files::StoreError;
use crate::store::listing::{self, Entry, Listed};
use crate::store::objects::{Content, Objects, Shape};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The files of a folder, in the order of their paths, so that what is in a folder stands together.
#[derive(Debug, Clone)]
pub struct Members(Vec<Entry>);

impl Members {
    /// Those of a folder that is kept; none where its list is not there.
    pub fn of(objects: &Objects, folder: &Digest) -> Result<Option<Members>, StoreError> {
        match objects.entries(folder) {
            Ok(entries) => Ok(Some(Members(entries))),
            Err(StoreError::MissingObject { .. } | StoreError::DamagedObject { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The content of a file or folder inside; none where there is nothing of this path.
    pub fn get(&self, path: &Path) -> Result<Option<Content>, StoreError> {
        let at = self.0.partition_point(|entry| *entry.path < *path);
        match self.0.get(at) {
            Some(Entry { path: here, what: Listed::File { digest, size, executable } }) if here == path => {
                let shape = if *executable { Shape::Executable } else { Shape::File };
                Ok(Some(Content { digest: *digest, shape, size: *size }))
            }
            Some(entry) if entry.path.starts_with(path) => {
                let inside = self.inside(path);
                let digest = Digest::of(&encoded(path, &inside)?);
                let size = listing::size(&inside).unwrap_or(u64::MAX);
                Ok(Some(Content { digest, shape: Shape::Folder, size }))
            }
            _ => Ok(None),
        }
    }

    /// Keeps the list of a folder inside as an object of its own, so that the folder can be put where a stage reads it.
    pub fn keep(&self, path: &Path, objects: &Objects) -> Result<(), StoreError> {
        let list = encoded(path, &self.inside(path))?;
        objects.keep(&list, &Digest::of(&list))
    }

    /// Every file and every folder inside.
    pub fn all(&self) -> Result<Vec<Content>, StoreError> {
        let parts: BTreeSet<&Path> = self.0.iter().flat_map(|entry| entry.path.ancestors()).collect();
        let parts = parts.into_iter().filter(|part| !part.as_os_str().is_empty());
        Ok(parts.map(|part| self.get(part)).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    /// The paths of the files.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let files = self.0.iter().filter(|entry| entry.object().is_some());
        files.map(|entry| entry.path.as_path())
    }

    /// The entries below a path, relative to it. An empty folder has none.
    fn inside(&self, folder: &Path) -> Vec<Entry> {
        let below = |entry: &Entry| {
            let path: PathBuf = entry.path.strip_prefix(folder).ok()?.to_owned();
            (!path.as_os_str().is_empty()).then(|| Entry { path, ..entry.clone() })
        };
        self.0.iter().filter_map(below).collect()
    }
}

fn encoded(folder: &Path, entries: &[Entry]) -> Result<Vec<u8>, StoreError> {
    let damaged = |error: listing::ListError| StoreError::Damaged {
        path: folder.to_owned(),
        message: error.to_string(),
    };
    listing::encode(entries).map_err(damaged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use std::fs;

    #[test]
    fn a_member_is_what_it_would_be_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("artifacts")).unwrap();
        let out = folder.path().join("out");
        fs::create_dir_all(out.join("deep/er")).unwrap();
        fs::create_dir_all(out.join("empty")).unwrap();
        for name in ["a.b", "deep/one", "deep.txt", "deep/er/two", "deep-x"] {
            fs::write(out.join(name), name).unwrap();
        }
        let alone = |name: &str| Objects::measure(&out.join(name)).unwrap();
        let expected = ["deep", "empty", "deep/er/two"].map(|name| (name, alone(name)));
        let whole = store.objects().take(&out, &out).unwrap();
        let members = Members::of(&store.objects(), &whole.digest).unwrap().unwrap();
        for (name, content) in expected {
            assert_eq!(members.get(Path::new(name)).unwrap(), Some(content), "{name}");
        }
        for nothing in ["dee", "deep/on", "deep/one/x", "z"] {
            assert_eq!(members.get(Path::new(nothing)).unwrap(), None, "{nothing}");
        }
        assert_eq!(members.all().unwrap().len(), 5 + 3);
        assert_eq!(members.files().count(), 5);
        members.keep(Path::new("deep"), &store.objects()).unwrap();
        assert_eq!(store.objects().entries(&expected[0].1.digest).unwrap().len(), 2);
        assert!(Members::of(&store.objects(), &Digest::of(b"gone")).unwrap().is_none());
    }
}
