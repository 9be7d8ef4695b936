//! SHA-256 digests, and the encoding that nothing can collide in by concatenation.

use crate::store::files::StoreError;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

/// From this size on, copies are hashed by one thread and written by another.
const LARGE: u64 = 4 << 20;

/// A SHA-256 digest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }

    /// The digest of a file's content, and its size in bytes.
    pub fn of_file(path: &Path) -> Result<(Digest, u64), StoreError> {
        let file = File::open(path).map_err(StoreError::io("open", path))?;
        Digest::of_open(&file).map_err(StoreError::io("read", path))
    }

    /// The digest of what follows in an open file, and its size in bytes.
    pub fn of_open(file: &File) -> io::Result<(Digest, u64)> {
        let expected = file.metadata().map_or(0, |data| data.len());
        Digest::pieces(file, expected, |hash, bytes| {
            hash.update(bytes);
            Ok(())
        })
    }

    /// The digest of everything that a reader gives, and its size in bytes; each piece is handed to `each` as well. About
    /// `expected` bytes will come.
    pub fn reading(
        reader: impl Read,
        expected: u64,
        mut each: impl FnMut(&[u8]) -> io::Result<()> + Send,
    ) -> io::Result<(Digest, u64)> {
        Digest::pieces(reader, expected, |hash, bytes| {
            if expected >= LARGE {
                // The same bytes on two threads: what is written is what was hashed, whoever edits the file meanwhile.
                rayon::join(|| hash.update(bytes), || each(bytes)).1
            } else {
                hash.update(bytes);
                each(bytes)
            }
        })
    }

    fn pieces(
        mut reader: impl Read,
        expected: u64,
        mut take: impl FnMut(&mut Sha256, &[u8]) -> io::Result<()>,
    ) -> io::Result<(Digest, u64)> {
        let mut hash = Sha256::new();
        let mut size = 0;
        // No larger than it needs: most files are small, and a large buffer takes longer to clear than they to hash.
        let most = if expected >= LARGE { 1 << 20 } else { 1 << 18 };
        let mut buffer = vec![0; expected.saturating_add(1).clamp(1 << 10, most) as usize];
        loop {
            let n = match reader.read(&mut buffer) {
                Ok(0) => return Ok((Digest(hash.finalize().into()), size)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                read => read?,
            };
            take(&mut hash, &buffer[..n])?;
            size += n as u64;
        }
    }

    /// The first twelve digits: enough for a person.
    pub fn short(&self) -> String {
        let mut text = self.to_string();
        text.truncate(12);
        text
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |nibble: u8| DIGITS[usize::from(nibble)];
        let mut text = [0; 64];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not 64 hexadecimal digits.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a SHA-256 digest of 64 hexadecimal digits")]
pub struct NotADigest(String);

impl FromStr for Digest {
    type Err = NotADigest;
    fn from_str(text: &str) -> Result<Digest, NotADigest> {
        let wrong = || NotADigest(text.to_owned());
        if text.len() != 64 || !text.is_ascii() {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digit = |c: u8| char::from(c).to_digit(16).ok_or_else(wrong);
            *byte = (digit(pair[0])? << 4 | digit(pair[1])?) as u8;
        }
        Ok(Digest(bytes))
    }
}

/// As text for people, as its bytes in the store's indexes.
impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Digest, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_str(DigestVisitor)
        } else {
            deserializer.deserialize_bytes(DigestVisitor)
        }
    }
}

struct DigestVisitor;

impl Visitor<'_> for DigestVisitor {
    type Value = Digest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a SHA-256 digest")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Digest, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Digest, E> {
        bytes.try_into().map(Digest).map_err(E::custom)
    }
}

/// Hashes a sequence of tagged, length-prefixed fields.
pub struct Encoder(Sha256);

impl Encoder {
    /// `domain` keeps the digests of different purposes apart.
    pub fn new(domain: &str) -> Encoder {
        let mut encoder = Encoder(Sha256::new());
        encoder.field(b'D', domain.as_bytes());
        encoder
    }

    /// Adds one field: its tag, its length, its bytes.
    pub fn field(&mut self, tag: u8, bytes: &[u8]) {
        self.0.update([tag]);
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_digest_round_trips() {
        let digest = Digest::of(b"abc");
        let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(digest.to_string(), text);
        assert_eq!(text.parse::<Digest>().ok(), Some(digest));
        assert!("ba78".parse::<Digest>().is_err());
    }

    #[test]
    fn fields_do_not_collide_by_concatenation() {
        let digest = |fields: &[&[u8]]| {
            let mut encoder = Encoder::new("test");
            fields.iter().for_each(|field| encoder.field(b'x', field));
            encoder.finish()
        };
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
        assert_ne!(digest(&[b"ab"]), digest(&[b"ab", b""]));
    }
}
