//! What is in a folder of files: one walk for the content of a folder and for its stat data.

use crate::store::chosen::Chosen;
use crate::store::files::StoreError;
use rustix::io::Errno;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use walkdir::{DirEntry, WalkDir};

/// Something in a folder. Links are followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// With the path of the folder before it.
    pub path: PathBuf,
    pub kind: Kind,
}

/// What something in a folder is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    File,
    Folder,
    /// A link that leads nowhere or back to a folder above it; with what it says.
    Link(PathBuf),
    /// A socket, a pipe or a device.
    Other,
}

/// Everything below a folder, in the order of the paths, part by part.
pub fn walk(folder: &Path) -> Result<Vec<Found>, StoreError> {
    found(folder, None).collect()
}

/// What of a folder is chosen, in the same order.
pub fn walk_chosen(chosen: &Chosen) -> Result<Vec<Found>, StoreError> {
    found(&chosen.path, Some(chosen)).collect()
}

/// Whether anything is chosen.
pub fn finds_any(chosen: &Chosen) -> bool {
    found(&chosen.path, Some(chosen)).any(|found| found.is_ok())
}

fn found<'a>(
    folder: &'a Path,
    chosen: Option<&'a Chosen>,
) -> impl Iterator<Item = Result<Found, StoreError>> + 'a {
    let takes = move |path: &Path, is_folder: bool| {
        let relative = path.strip_prefix(folder).unwrap_or(path);
        relative.as_os_str().is_empty() || chosen.is_none_or(|chosen| chosen.takes(relative, is_folder))
    };
    let walk = WalkDir::new(folder).sort_by_file_name().follow_links(true).min_depth(1).into_iter();
    let walk = walk.filter_entry(move |entry| takes(entry.path(), entry.file_type().is_dir()));
    walk.filter_map(move |entry| match entry {
        Ok(entry) => {
            let kind = kind(&entry);
            // Of what a pattern finds, only files count.
            let counts = kind != Kind::Folder || chosen.is_none_or(|chosen| chosen.only.is_none());
            counts.then(|| Ok(Found { kind, path: entry.into_path() }))
        }
        Err(error) => match dangling(&error) {
            Some(link) => takes(&link.path, false).then_some(Ok(link)),
            None => Some(Err(StoreError::Io {
                action: "read",
                path: error.path().unwrap_or(folder).to_owned(),
                source: error.into(),
            })),
        },
    })
}

fn kind(entry: &DirEntry) -> Kind {
    match entry.file_type() {
        found if found.is_dir() => Kind::Folder,
        found if found.is_file() => Kind::File,
        _ => Kind::Other,
    }
}

/// The link that cannot be followed, if that is what is wrong.
fn dangling(error: &walkdir::Error) -> Option<Found> {
    let path = error.path()?;
    let leads_nowhere = |error: &io::Error| {
        let nowhere = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
        nowhere || Errno::from_io_error(error) == Some(Errno::LOOP)
    };
    if error.loop_ancestor().is_none() && !error.io_error().is_some_and(leads_nowhere) {
        return None;
    }
    let target = fs::read_link(path).ok()?;
    Some(Found { path: path.to_owned(), kind: Kind::Link(target) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_unless_they_lead_nowhere_or_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("data")).unwrap();
        fs::write(path("data/file"), "x").unwrap();
        for (target, name) in [("data", "b"), ("gone", "c"), (".", "d"), ("e", "e"), ("data/file/x", "f")] {
            symlink(target, path(name)).unwrap();
        }
        let found: Vec<(PathBuf, Kind)> = walk(folder.path())
            .unwrap()
            .into_iter()
            .map(|found| (found.path.strip_prefix(folder.path()).unwrap().to_owned(), found.kind))
            .collect();
        let link = |name: &str, target: &str| (PathBuf::from(name), Kind::Link(target.into()));
        let expected = [
            ("b".into(), Kind::Folder),
            ("b/file".into(), Kind::File),
            link("c", "gone"),
            link("d", "."),
            ("data".into(), Kind::Folder),
            ("data/file".into(), Kind::File),
            link("e", "e"),
            link("f", "data/file/x"),
        ];
        assert_eq!(found, expected);
    }
}
