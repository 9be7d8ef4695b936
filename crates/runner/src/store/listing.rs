//! The list of a folder: the object that stands for it.
//!
//! It is a line that says so, and a JSON list with an entry for each file, for each folder without anything in it, and (of
//! folders outside the store only) for each link that leads nowhere. [`decode`] is the one place that reads such a list, so what it
//! refuses reaches nobody: a path that leads out of the folder, comes twice, or goes through a file.

use crate::store::digest::Digest;
use crate::store::names::{self, NameFault, Written};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Keeps a folder's list apart from other files.
const TAG: &[u8] = b"onsager folder\n";

/// One entry of a folder's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the folder, with `/`.
    pub path: PathBuf,
    pub what: Listed,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    File {
        digest: Digest,
        size: u64,
        executable: bool,
    },
    /// A folder without anything in it.
    Folder,
    /// What a link says that leads nowhere.
    Link(PathBuf),
}

impl Entry {
    /// The object of a file.
    pub fn object(&self) -> Option<Digest> {
        match self.what {
            Listed::File { digest, .. } => Some(digest),
            Listed::Folder | Listed::Link(_) => None,
        }
    }
}

/// Why bytes are not the list of a folder.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error("it is not the list of a folder")]
    NoList,
    #[error("it is not the list of a folder: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error("it lists `{}`: {fault}", path.escape_debug())]
    Name { path: String, fault: NameFault },
    #[error("it lists `{}` where that cannot be: after `{}`", path.escape_debug(), before.escape_debug())]
    Order { path: String, before: String },
    #[error("it lists `{}`, which is no file", path.escape_debug())]
    Nothing { path: String },
    #[error("it is not written as onsager writes it")]
    NotCanonical,
    #[error("its files have more bytes than can be counted")]
    Size,
}

/// As it is written: exactly one of `digest`, `folder` and `link` is there.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    path: Written,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    executable: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    folder: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    link: Option<Written>,
}

/// The bytes of a list. Its entries must be in the order of their paths, part by part.
pub fn encode(entries: &[Entry]) -> Result<Vec<u8>, ListError> {
    check(entries)?;
    let lines: Vec<Line> = entries.iter().map(line).collect();
    let mut bytes = TAG.to_vec();
    serde_json::to_writer(&mut bytes, &lines)?;
    Ok(bytes)
}

/// The entries of a list that is kept, each of which has a place of its own inside the folder.
pub fn decode(bytes: &[u8]) -> Result<Vec<Entry>, ListError> {
    let list = bytes.strip_prefix(TAG).ok_or(ListError::NoList)?;
    let lines: Vec<Line> = serde_json::from_slice(list)?;
    let mut entries = Vec::with_capacity(lines.len());
    for line in lines {
        let what = match (line.digest, line.size, line.executable, line.folder) {
            (Some(digest), Some(size), Some(executable), None) => Listed::File { digest, size, executable },
            (None, None, None, Some(true)) => Listed::Folder,
            _ => return Err(ListError::Nothing { path: text(&line.path.0) }),
        };
        entries.push(Entry { path: line.path.0, what });
    }
    check(&entries)?;
    size(&entries).ok_or(ListError::Size)?;
    // So there is one list for each folder, and a copy of it has the same digest.
    if encode(&entries)? == bytes { Ok(entries) } else { Err(ListError::NotCanonical) }
}

/// How many bytes the files have.
pub fn size(entries: &[Entry]) -> Option<u64> {
    entries.iter().try_fold(0u64, |sum, entry| match entry.what {
        Listed::File { size, .. } => sum.checked_add(size),
        Listed::Folder | Listed::Link(_) => Some(sum),
    })
}

fn check(entries: &[Entry]) -> Result<(), ListError> {
    for entry in entries {
        names::check(&entry.path).map_err(|fault| ListError::Name { path: text(&entry.path), fault })?;
    }
    for pair in entries.windows(2) {
        let (before, after) = (&pair[0].path, &pair[1].path);
        // In this order everything below a path comes right after it.
        if before >= after || after.starts_with(before) {
            return Err(ListError::Order { path: text(after), before: text(before) });
        }
    }
    Ok(())
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn line(entry: &Entry) -> Line {
    let mut line = Line {
        path: Written(entry.path.clone()),
        digest: None,
        size: None,
        executable: None,
        folder: None,
        link: None,
    };
    match &entry.what {
        Listed::File { digest, size, executable } => {
            (line.digest, line.size, line.executable) = (Some(*digest), Some(*size), Some(*executable));
        }
        Listed::Folder => line.folder = Some(true),
        Listed::Link(target) => line.link = Some(Written(target.clone())),
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> Entry {
        let what = Listed::File { digest: Digest::of(b"x"), size: 1, executable: false };
        Entry { path: path.into(), what }
    }

    /// A list as a stranger may write it.
    fn list(paths: &[&str]) -> Vec<u8> {
        let lines: Vec<Line> = paths.iter().map(|path| line(&file(path))).collect();
        [TAG, &serde_json::to_vec(&lines).unwrap()].concat()
    }

    #[test]
    fn a_list_is_read_as_it_was_written() {
        use std::os::unix::ffi::OsStringExt;
        let mut entries = vec![file("a/b"), file("a.txt"), file("b")];
        entries.insert(2, Entry { path: "a.x".into(), what: Listed::Folder });
        let bytes = std::ffi::OsString::from_vec(b"b\xff".to_vec());
        entries.push(Entry { path: bytes.into(), ..file("") });
        assert_eq!(decode(&encode(&entries).unwrap()).unwrap(), entries);
        assert_eq!(decode(&encode(&[]).unwrap()).unwrap(), []);
    }

    #[test]
    fn a_list_that_leads_elsewhere_is_refused() {
        for paths in [
            &["/abs/.bashrc"][..],
            &["../../../../evil"],
            &["a/../../b"],
            &["a\u{1b}"],
            &["a", "a"],
            &["a", "a/b"],
            &["b", "a"],
            &["a//b"],
        ] {
            assert!(decode(&list(paths)).is_err(), "{paths:?}");
        }
        assert!(decode(&list(&["a", "b"])).is_ok());
        let link = Entry { path: "a".into(), what: Listed::Link("/etc/passwd".into()) };
        assert!(decode(&encode(&[link]).unwrap()).is_err());
        let spaced = [&list(&["a"])[..], b"\n"].concat();
        assert!(matches!(decode(&spaced), Err(ListError::NotCanonical)));
    }
}
