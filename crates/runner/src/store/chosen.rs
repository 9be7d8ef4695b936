//! What of the files outside the store an input stands for: a file, a folder without what is ignored, or what a pattern finds.

use crate::store::names;
use fast_glob::glob_match;
use serde::{Deserialize, Serialize};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Files and folders that are read as one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Chosen {
    /// The file, or the folder that everything is in; absolute.
    #[serde(with = "names")]
    pub path: PathBuf,
    /// Only the files that this pattern matches, from the folder on; everything where there is none.
    pub only: Option<String>,
    /// Patterns of what is left out; with `!` before it, of what is taken all the same. The last that matches counts.
    pub exclude: Vec<String>,
}

/// What is in a folder by the way, and no part of anybody's data.
pub const IGNORED: [&str; 22] = [
    ".git",
    ".hg",
    ".svn",
    "__pycache__",
    "*.pyc",
    "*.pyo",
    ".ipynb_checkpoints",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".venv",
    ".onsager",
    ".DS_Store",
    "._*",
    "Thumbs.db",
    "*~",
    ".*.swp",
    ".*.swo",
    ".*.swx",
    "4913",
    "#*#",
    ".#*",
];

impl Chosen {
    /// A file, or a folder with all that is in it but what is ignored everywhere.
    pub fn whole(path: PathBuf) -> Chosen {
        Chosen { path, only: None, exclude: Vec::new() }
    }

    /// Whether something below the folder, at this path from it, is taken, or may hold something that is.
    pub fn takes(&self, relative: &Path, folder: bool) -> bool {
        let bytes = relative.as_os_str().as_bytes();
        let name = relative.file_name().unwrap_or_default().as_bytes();
        let mut taken = !IGNORED.iter().any(|pattern| glob_match(pattern, name));
        for pattern in &self.exclude {
            let (pattern, takes) =
                pattern.strip_prefix('!').map_or((pattern.as_str(), false), |pattern| (pattern, true));
            if matches(pattern, bytes, name) {
                taken = takes;
            }
        }
        // A pattern of one folder's files goes into no other.
        let finds = |only: &String| match folder {
            true => only.contains('/') || only.contains("**"),
            false => glob_match(only, bytes),
        };
        taken && self.only.as_ref().is_none_or(finds)
    }
}

/// A pattern without a slash is one of names anywhere, else one of paths.
fn matches(pattern: &str, path: &[u8], name: &[u8]) -> bool {
    let pattern = pattern.trim_end_matches('/');
    match pattern.contains('/') {
        true => glob_match(pattern.trim_start_matches('/'), path),
        false => glob_match(pattern, name),
    }
}

/// A pattern taken apart: the folder before its first part with a sign, and the rest.
pub fn split(pattern: &str) -> (&str, &str) {
    let signs = pattern.find(['*', '?', '[', '{', '\\', '!']).unwrap_or(pattern.len());
    match pattern[..signs].rfind('/') {
        Some(slash) => (&pattern[..slash], &pattern[slash + 1..]),
        None => ("", pattern),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_choose_files() {
        let chosen = |only: Option<&str>, exclude: &[&str]| Chosen {
            path: "/data".into(),
            only: only.map(str::to_owned),
            exclude: exclude.iter().map(|text| (*text).to_owned()).collect(),
        };
        let takes = |chosen: &Chosen, path: &str| chosen.takes(Path::new(path), false);
        let all = chosen(None, &[]);
        for ignored in [".git", "a/__pycache__", "b.pyc", "x~", "a/.x.swp", "#x#", ".#x", "._x"] {
            assert!(!takes(&all, ignored), "{ignored}");
        }
        for taken in ["a", "a/b.csv", ".hidden", "pycache"] {
            assert!(takes(&all, taken), "{taken}");
        }
        let some = chosen(Some("**/*.{csv,tsv}"), &["old", "new/*.csv", "!keep.csv"]);
        for (path, expected) in [
            ("a.csv", true),
            ("b/c/a.tsv", true),
            ("a.txt", false),
            ("old", false),
            ("x/old", false),
            ("new/a.csv", false),
            ("new/keep.csv", true),
            ("new/b/a.csv", true),
        ] {
            assert_eq!(takes(&some, path), expected, "{path}");
        }
        assert!(some.takes(Path::new("deep/folder"), true));
        assert!(!some.takes(Path::new("deep/old"), true));
        assert!(takes(&chosen(None, &["!.git"]), ".git"));
        assert!(!chosen(Some("*.csv"), &[]).takes(Path::new("folder"), true));
    }

    #[test]
    fn a_pattern_has_a_folder() {
        assert_eq!(split("data/**/*.csv"), ("data", "**/*.csv"));
        assert_eq!(split("*.csv"), ("", "*.csv"));
        assert_eq!(split("/abs/a b/x?.csv"), ("/abs/a b", "x?.csv"));
        assert_eq!(split("data/a.csv"), ("data", "a.csv"));
    }
}
