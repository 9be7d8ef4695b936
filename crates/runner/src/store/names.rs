//! Paths as they are written down: as text where they are UTF-8, else as the list of their bytes. A name of a file is bytes.

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// A path that can be written down: for lists and pairs, where no `#[serde(with = …)]` can stand.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Written(pub PathBuf);

impl Serialize for Written {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Written, D::Error> {
        deserialize(deserializer).map(Written)
    }
}

/// For `#[serde(with = "crate::store::names")]`.
pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    match path.to_str() {
        Some(text) => serializer.serialize_str(text),
        None => serializer.collect_seq(path.as_os_str().as_bytes()),
    }
}

/// For `#[serde(with = "crate::store::names")]`.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    deserializer.deserialize_any(PathVisitor)
}

/// For a path that may be missing.
pub mod optional {
    use super::Written;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::path::PathBuf;

    /// For `#[serde(with = "crate::store::names::optional")]`.
    pub fn serialize<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
        path.clone().map(Written).serialize(serializer)
    }

    /// For `#[serde(with = "crate::store::names::optional")]`.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
        Ok(Option::<Written>::deserialize(deserializer)?.map(|written| written.0))
    }
}

/// For a list of paths with something to each.
pub mod pairs {
    use super::Written;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::path::PathBuf;

    /// For `#[serde(with = "crate::store::names::pairs")]`.
    pub fn serialize<S: Serializer, T: Serialize>(
        pairs: &[(PathBuf, T)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(pairs.iter().map(|(path, of)| (Written(path.clone()), of)))
    }

    /// For `#[serde(with = "crate::store::names::pairs")]`.
    pub fn deserialize<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
        deserializer: D,
    ) -> Result<Vec<(PathBuf, T)>, D::Error> {
        let pairs = Vec::<(Written, T)>::deserialize(deserializer)?;
        Ok(pairs.into_iter().map(|(path, of)| (path.0, of)).collect())
    }
}

struct PathVisitor;

impl<'de> Visitor<'de> for PathVisitor {
    type Value = PathBuf;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a path, as text or as the list of its bytes")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<PathBuf, E> {
        Ok(PathBuf::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<PathBuf, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = list.next_element::<u8>()? {
            bytes.push(byte);
        }
        Ok(PathBuf::from(OsString::from_vec(bytes)))
    }
}

/// What makes a name unfit for one folder or file: it would be another place, or spoil what is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    #[error("it is empty")]
    Empty,
    #[error("it begins with `/`")]
    Absolute,
    #[error("it has an empty part, `.` or `..`")]
    NotPlain,
    #[error("it has a control character")]
    Control,
}

/// Whether a path is relative and of plain names, so that it stays in the folder that it is laid into, whatever is there.
pub fn check(path: &Path) -> Result<(), NameFault> {
    let bytes = path.as_os_str().as_bytes();
    if bytes.is_empty() {
        return Err(NameFault::Empty);
    }
    if bytes[0] == b'/' {
        return Err(NameFault::Absolute);
    }
    if bytes.split(|byte| *byte == b'/').any(|part| matches!(part, b"" | b"." | b"..")) {
        return Err(NameFault::NotPlain);
    }
    let control = match path.to_str() {
        Some(text) => text.chars().any(char::is_control),
        None => bytes.iter().any(u8::is_ascii_control),
    };
    if control { Err(NameFault::Control) } else { Ok(()) }
}

/// Whether a text can be the name of one file: of a run, or of a pipeline.
pub fn is_plain(name: &str) -> bool {
    !name.contains('/') && check(Path::new(name)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_as_text_or_as_bytes() {
        let bytes = PathBuf::from(OsString::from_vec(b"a\xff".to_vec()));
        for (path, json) in [(PathBuf::from("a/\u{fc}"), "\"a/\u{fc}\""), (bytes, "[97,255]")] {
            let written = Written(path);
            assert_eq!(serde_json::to_string(&written).unwrap(), json);
            assert_eq!(serde_json::from_str::<Written>(json).unwrap(), written);
            let packed = rmp_serde::to_vec(&written).unwrap();
            assert_eq!(rmp_serde::from_slice::<Written>(&packed).unwrap(), written);
        }
    }

    #[test]
    fn only_plain_names_stay_inside() {
        let faults = [
            ("", NameFault::Empty),
            ("/etc/passwd", NameFault::Absolute),
            ("a/../../b", NameFault::NotPlain),
            ("./a", NameFault::NotPlain),
            ("a//b", NameFault::NotPlain),
            ("a/", NameFault::NotPlain),
            ("a\u{1b}[2J", NameFault::Control),
            ("a\u{9b}2J", NameFault::Control),
            ("a\nb", NameFault::Control),
        ];
        for (path, fault) in faults {
            assert_eq!(check(Path::new(path)), Err(fault), "{path:?}");
        }
        for path in ["a", "a b/..c/d.", "\u{fc}/-x", "a\\b"] {
            assert_eq!(check(Path::new(path)), Ok(()), "{path:?}");
        }
        assert_eq!(check(Path::new(std::ffi::OsStr::from_bytes(b"\xff\xfe"))), Ok(()));
        assert!(is_plain("a") && !is_plain("a/b") && !is_plain(".."));
    }
}
