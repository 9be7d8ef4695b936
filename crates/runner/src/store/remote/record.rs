//! The record of a result as a remote store has it: one JSON document, `records/<scope>/<key>.json`.
//!
//! Its last field, `sum`, is the SHA-256 of everything before it, so that damage on the way or on the server is noticed, whoever signed
//! the record or not.

use crate::store::actions::Action;
use crate::store::digest::{Digest, Encoder};
use crate::store::text;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What stands before the sum.
const SUM: &str = ",\"sum\":\"";
/// What stands behind it.
const END: &str = "\"}";
/// How many digits a sum has.
const DIGITS: usize = 64;

/// A result as somebody claims it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RemoteRecord {
    pub action: Action,
    /// The name of the machine that made it.
    pub host: String,
    /// The kernel level that its run had.
    pub kernel: String,
    /// Who says so; none where nobody signed it.
    #[serde(flatten)]
    pub proof: Option<Proof>,
}

/// Who vouches for a record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Proof {
    /// What the key is the digest of, as base64.
    pub preimage: String,
    /// The public key.
    pub signer: String,
    pub signature: String,
}

/// Whether a record counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Trusted,
    /// It is a miss; why.
    Refused(String),
}

/// Whose records count, and how one's own are signed.
#[derive(Clone)]
pub struct Policy {
    pub judge: Arc<dyn Fn(&RemoteRecord) -> Verdict + Send + Sync>,
    pub sign: Arc<dyn Fn(RemoteRecord) -> RemoteRecord + Send + Sync>,
}

impl Default for Policy {
    /// Every record counts, and none is signed.
    fn default() -> Policy {
        Policy { judge: Arc::new(|_| Verdict::Trusted), sign: Arc::new(|record| record) }
    }
}

/// Why bytes are no record of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoRecord {
    #[error("its bytes are not those that were written")]
    Sum,
    #[error("it cannot be read: {0}")]
    Unreadable(String),
    #[error("it has control characters")]
    Control,
    #[error("it is that of the key {0}")]
    OtherKey(String),
    #[error("it names an output twice")]
    Twice,
}

impl RemoteRecord {
    /// The document.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        let mut bytes = serde_json::to_vec(self)?;
        bytes.pop();
        let sum = Digest::of(&bytes);
        bytes.extend(SUM.bytes());
        bytes.extend(sum.to_string().bytes());
        bytes.extend(END.bytes());
        Ok(bytes)
    }

    /// Reads the record of this key.
    pub fn decode(bytes: &[u8], key: &Digest) -> Result<RemoteRecord, NoRecord> {
        let start = bytes.len().checked_sub(SUM.len() + DIGITS + END.len()).ok_or(NoRecord::Sum)?;
        let (before, tail) = bytes.split_at(start);
        let sum = tail.strip_prefix(SUM.as_bytes()).and_then(|tail| tail.strip_suffix(END.as_bytes()));
        if sum != Some(Digest::of(before).to_string().as_bytes()) {
            return Err(NoRecord::Sum);
        }
        let wrong = |error: serde_json::Error| NoRecord::Unreadable(error.to_string());
        let value: Value = serde_json::from_slice(bytes).map_err(wrong)?;
        if !text::all_clean(&value) {
            return Err(NoRecord::Control);
        }
        let record: RemoteRecord = serde_json::from_value(value).map_err(wrong)?;
        let action = &record.action;
        if action.key != *key {
            return Err(NoRecord::OtherKey(action.key.short()));
        }
        let names: BTreeSet<&str> = action.outputs.iter().map(|(name, _)| name.as_str()).collect();
        if names.len() < action.outputs.len() {
            return Err(NoRecord::Twice);
        }
        Ok(record)
    }

    /// The digest of its outputs: records with the same one say the same.
    pub fn content(&self) -> Digest {
        content_of(&self.action)
    }
}

/// The digest of the outputs that a record claims.
pub fn content_of(action: &Action) -> Digest {
    let mut encoder = Encoder::new("onsager outputs");
    for (name, content) in &action.outputs {
        encoder.field(b'n', name.as_bytes());
        encoder.field(b'c', content.to_string().as_bytes());
        encoder.field(b's', &content.size.to_le_bytes());
    }
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::objects::{Content, Shape};

    fn record() -> RemoteRecord {
        let content = Content { digest: Digest::of(b"x"), shape: Shape::File, size: 1 };
        let outputs = vec![("out".into(), content)];
        let action = Action::new(Digest::of(b"key"), "a".into(), "r".into(), 0.5, outputs);
        RemoteRecord { action, host: "here".into(), kernel: "avx2".into(), proof: None }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let mut written = record();
        for signed in [false, true] {
            if signed {
                let (preimage, signer, signature) = ("cA==".into(), "s".into(), "t".into());
                written.proof = Some(Proof { preimage, signer, signature });
            }
            let bytes = written.encode().unwrap();
            let read = RemoteRecord::decode(&bytes, &written.action.key).unwrap();
            assert_eq!(read.encode().unwrap(), bytes);
            assert_eq!(read.proof.is_some(), signed);
            assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap()["host"], "here");
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let (written, bytes) = (record(), record().encode().unwrap());
        for at in 0..bytes.len() * 8 {
            let mut other = bytes.clone();
            other[at / 8] ^= 1 << (at % 8);
            assert!(RemoteRecord::decode(&other, &written.action.key).is_err(), "bit {at}");
        }
        for length in 0..bytes.len() {
            assert!(RemoteRecord::decode(&bytes[..length], &written.action.key).is_err(), "{length} bytes");
        }
        let other = RemoteRecord::decode(&bytes, &Digest::of(b"other"));
        assert!(matches!(other, Err(NoRecord::OtherKey(_))));
    }

    #[test]
    fn records_with_the_same_outputs_say_the_same() {
        let (one, mut other) = (record(), record());
        (other.host, other.action.seconds) = ("there".into(), 9.0);
        assert_eq!(one.content(), other.content());
        other.action.outputs[0].1.size = 2;
        assert_ne!(one.content(), other.content());
    }
}
