//! A record of elsewhere, from its bytes. Nothing in it is believed yet, but it can be printed and compared.

use crate::store::actions::Action;
use crate::store::digest::Digest;
use crate::store::text;
use crate::trust::judge::Refusal;
use crate::trust::statement::VERSION;
use serde_json::Value;
use std::collections::BTreeSet;

/// A record has some kilobytes; what is larger than this many bytes is none.
pub const LARGEST: u64 = 1 << 24;

/// No output is declared larger than this many bytes, 1 TiB for a thousand times.
const LARGEST_OUTPUT: u64 = 1 << 50;

/// The record of this key in these bytes.
///
/// A signed one must be written as onsager writes it: compact, its fields in their order and no others. So no byte of it can be changed
/// unseen, and nothing that is not signed rides along.
pub fn read(bytes: &[u8], key: &Digest) -> Result<Action, Refusal> {
    let wrong = |message: String| Refusal::Malformed { message };
    if bytes.len() as u64 > LARGEST {
        return Err(Refusal::TooLarge { what: "the record".into(), bytes: bytes.len() as u64 });
    }
    let parsed = |error: serde_json::Error| wrong(error.to_string());
    let value: Value = serde_json::from_slice(bytes).map_err(parsed)?;
    if !text::all_clean(&value) {
        return Err(wrong("it has control characters".into()));
    }
    let version = value["proof"]["version"].as_u64();
    if let Some(version) = version.filter(|version| *version > u64::from(VERSION)) {
        return Err(Refusal::Version { version });
    }
    let action: Action = serde_json::from_value(value).map_err(parsed)?;
    if action.key != *key {
        return Err(wrong(format!("it is that of the key {}", action.key.short())));
    }
    let names: BTreeSet<&str> = action.outputs.iter().map(|(name, _)| name.as_str()).collect();
    if names.len() < action.outputs.len() {
        return Err(wrong("it names an output twice".into()));
    }
    let lines = [&action.task, &action.run, &action.host, &action.kernel];
    if !names.iter().copied().chain(lines.map(String::as_str)).all(text::is_line) {
        return Err(wrong("it has names of several lines".into()));
    }
    if action.origin.is_some() {
        return Err(wrong("it tells where it came from, which only the store does that took it".into()));
    }
    for (name, content) in &action.outputs {
        if content.size > LARGEST_OUTPUT {
            return Err(Refusal::TooLarge { what: format!("output `{name}`"), bytes: content.size });
        }
    }
    if action.proof.is_some() && serde_json::to_vec(&action).map_err(parsed)? != bytes {
        return Err(wrong("it is signed, and not written as it was when it was signed".into()));
    }
    Ok(action)
}
