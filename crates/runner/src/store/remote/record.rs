//! The record of a result as a remote store has it: one JSON document, `records/<scope>/<key>.json`, with the record as the field `action`.
//!
//! Its last field, `sum`, is the SHA-256 of the bytes of the record, so that damage on the way or on the server is noticed, whoever signed
//! the record or not.

use crate::config::trust::Trust;
use crate::store::actions::Action;
use crate::store::digest::{Digest, Encoder};
use crate::trust::judge::{Refusal, judge};
use crate::trust::record;
use crate::trust::sign::{Signer, for_others, voucher};
use std::sync::Arc;

/// What stands before the record.
const START: &str = "{\"action\":";
/// What stands before the sum.
const SUM: &str = ",\"sum\":\"";
/// What stands behind it.
const END: &str = "\"}";
/// How many digits a sum has.
const DIGITS: usize = 64;

/// Whose records count here, and who signs those that go out.
#[derive(Clone, Default)]
pub struct Policy {
    pub trust: Trust,
    pub signer: Option<Arc<Signer>>,
}

impl Policy {
    /// Whether a record counts: by whom it is signed, where the project says whom it trusts; else why not.
    pub fn judge(&self, action: &Action) -> Result<Option<String>, Refusal> {
        judge(&self.trust, action)
    }

    /// What a record claims when it goes out: these outputs, for this scope, by the word of this key. None where nobody vouches for it
    /// who must; what came from elsewhere unsigned is never handed on.
    pub fn claim(&self, action: &Action) -> Option<Digest> {
        let voucher = voucher(action, self.signer.as_deref());
        let own = action.origin.is_none();
        let voucher = voucher.or_else(|| (own && self.trust.accepts_unsigned()).then(String::new))?;
        let mut encoder = Encoder::new("onsager claim");
        encoder.field(b'c', &content_of(action).0);
        encoder.field(b's', self.trust.write_scope().as_bytes());
        encoder.field(b'v', voucher.as_bytes());
        Some(encoder.finish())
    }

    /// A record as it goes out.
    pub fn sign(&self, action: &Action) -> Result<Action, serde_json::Error> {
        for_others(action, self.signer.as_deref())
    }
}

/// Why bytes are no record of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoRecord {
    #[error("its bytes are not those that were written")]
    Sum,
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl NoRecord {
    /// Whether it is one of a newer onsager: only that may judge it.
    pub fn is_newer(&self) -> bool {
        matches!(self, NoRecord::Refused(Refusal::Version { .. }))
    }
}

/// The document of a record.
pub fn encode(action: &Action) -> Result<Vec<u8>, serde_json::Error> {
    let record = serde_json::to_vec(action)?;
    let sum = Digest::of(&record).to_string();
    Ok([START.as_bytes(), &record, SUM.as_bytes(), sum.as_bytes(), END.as_bytes()].concat())
}

/// The record of this key in a document. Nothing in it is believed yet.
pub fn decode(bytes: &[u8], key: &Digest) -> Result<Action, NoRecord> {
    let start = bytes.len().checked_sub(SUM.len() + DIGITS + END.len()).ok_or(NoRecord::Sum)?;
    let (before, tail) = bytes.split_at(start);
    let sum = tail.strip_prefix(SUM.as_bytes()).and_then(|tail| tail.strip_suffix(END.as_bytes()));
    let written = before.strip_prefix(START.as_bytes()).ok_or(NoRecord::Sum)?;
    if sum != Some(Digest::of(written).to_string().as_bytes()) {
        return Err(NoRecord::Sum);
    }
    Ok(record::read(written, key)?)
}

/// The digest of the outputs that a record claims: records with the same one say the same.
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

    fn record() -> Action {
        let content = Content { digest: Digest::of(b"x"), shape: Shape::File, size: 1 };
        let outputs = vec![("out".to_owned(), content)];
        let mut action = Action::new(Digest::of(b"key"), "a".into(), "r".into(), 0.5, outputs);
        action.host = "here".into();
        action
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let bytes = encode(&record()).unwrap();
        let read = decode(&bytes, &record().key).unwrap();
        assert_eq!(read, record());
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(value["action"]["host"], "here");
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let bytes = encode(&record()).unwrap();
        for at in 0..bytes.len() * 8 {
            let mut other = bytes.clone();
            other[at / 8] ^= 1 << (at % 8);
            assert!(decode(&other, &record().key).is_err(), "bit {at}");
        }
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length], &record().key).is_err(), "{length} bytes");
        }
        assert!(matches!(decode(&bytes, &Digest::of(b"other")), Err(NoRecord::Refused(_))));
    }

    #[test]
    fn records_with_the_same_outputs_say_the_same() {
        let (one, mut other) = (record(), record());
        (other.host, other.seconds) = ("there".into(), 9.0);
        assert_eq!(content_of(&one), content_of(&other));
        other.outputs[0].1.size = 2;
        assert_ne!(content_of(&one), content_of(&other));
    }
}
