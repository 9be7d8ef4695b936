//! A record of elsewhere, from its bytes. Nothing in it is believed yet, but it can be printed and compared.

use crate::store::actions::Action;
use crate::store::digest::Digest;
use crate::store::text;
use crate::trust::judge::Refusal;
use crate::trust::statement::VERSION;
use serde_json::Value;
use std::collections::BTreeSet;

/// A record has about a kilobyte, and some hundred bytes for each input; what is larger than this many bytes is none.
pub const LARGEST: u64 = 1 << 28;

/// No output is larger than this many bytes, which are 1 PiB.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::trust::{MAIN, Trust, Trusted};
    use crate::store::key::key_of;
    use crate::store::material::{Material, Part, Sink, Step};
    use crate::store::objects::{Content, Shape};
    use crate::trust::judge::judge;
    use crate::trust::key::SecretKey;
    use crate::trust::statement::sign;
    use proptest::prelude::*;
    use serde_json::json;

    /// A signed record as bytes, its key, and a project that trusts it.
    fn signed(seconds: f64) -> (Vec<u8>, Digest, Trust) {
        let content = |shape| Content { digest: Digest::of(b"content"), shape, size: 7 };
        let mut preimage = Material::default();
        preimage.part(&[Step::Field("kind")], Part::Text("command"));
        preimage.part(&[Step::Field("kernel")], Part::Kernel("avx2"));
        for (at, value) in
            [json!(1), json!(1.5e-9), json!("1"), json!(null), json!({}), json!([])].iter().enumerate()
        {
            preimage.part(&[Step::Field("params"), Step::Index(at)], Part::Value(value));
        }
        let path = [Step::Field("inputs"), Step::Field("x"), Step::Index(0)];
        preimage.part(&[&path[..], &[Step::Label("seed")]].concat(), Part::Value(&json!(7)));
        for shape in [Shape::File, Shape::Executable, Shape::Folder] {
            preimage
                .part(&[&path[..], &[Step::Field("content")]].concat(), Part::Content(Some(content(shape))));
        }
        preimage.part(&[Step::Field("tools"), Step::Field("t")], Part::Tool(Some("Python 3")));
        let key = key_of(&preimage).unwrap();
        let outputs = vec![("o".into(), content(Shape::File)), ("d".into(), content(Shape::Folder))];
        let (host, kernel) = ("here".into(), "avx2".into());
        let run = "2026-05-01T12-00-00-3fa9c1d2".into();
        let mut action =
            Action { host, kernel, preimage, ..Action::new(key, "a[x=1]".into(), run, seconds, outputs) };
        let secret = SecretKey::random().unwrap();
        action.proof = sign(&action, &secret, MAIN, 1_777_000_000).unwrap();
        let anna = Trusted { key: secret.public(), until: None, scopes: vec![MAIN.into()] };
        let trust = Trust::default().with("anna", &anna).unwrap();
        (serde_json::to_vec(&action).unwrap(), key, trust)
    }

    fn judged(bytes: &[u8], key: &Digest, trust: &Trust) -> Result<Option<String>, Refusal> {
        judge(trust, &read(bytes, key)?)
    }

    #[test]
    fn every_flipped_bit_and_every_cut_of_a_signed_record_is_refused() {
        let (bytes, key, trust) = signed(0.25);
        assert_eq!(judged(&bytes, &key, &trust), Ok(Some("anna".into())));
        for at in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            assert!(
                judged(&flipped, &key, &trust).is_err(),
                "bit {at}: {}",
                String::from_utf8_lossy(&flipped)
            );
        }
        for length in 0..bytes.len() {
            assert!(judged(&bytes[..length], &key, &trust).is_err(), "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn any_other_byte_is_refused(seconds in any::<f64>(), at in any::<usize>(), mask in 1..=u8::MAX, more in "[ \\n\\t]{0,2}") {
            prop_assume!(seconds.is_finite());
            let (mut bytes, key, trust) = signed(seconds);
            prop_assert_eq!(judged(&bytes, &key, &trust), Ok(Some("anna".into())));
            let at = at % bytes.len();
            if more.is_empty() { bytes[at] ^= mask } else { _ = bytes.splice(at..at, more.bytes()) }
            prop_assert!(judged(&bytes, &key, &trust).is_err());
        }
    }
}
