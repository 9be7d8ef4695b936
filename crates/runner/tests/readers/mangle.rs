//! Files mangled at random: bytes anywhere, and values inside JSON documents, so that what is read gets past the first check.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use serde_json::{Value, json};
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

/// One change.
#[derive(Debug, Clone)]
pub enum Change {
    Flip {
        at: u32,
        bit: u8,
    },
    Insert {
        at: u32,
        bytes: Vec<u8>,
    },
    Remove {
        at: u32,
        count: u16,
    },
    Repeat {
        from: u32,
        count: u16,
        to: u32,
    },
    Cut {
        at: u32,
    },
    /// A value of a JSON document becomes another one.
    Replace {
        which: u32,
        by: Value,
    },
    /// An entry of a list comes twice, or a field goes.
    Twice {
        which: u32,
    },
}

fn word() -> impl Strategy<Value = Vec<u8>> {
    let words: Vec<&[u8]> = vec![
        b"..",
        b"/",
        b"../../../evil",
        b"\0",
        b"\x1b[2J",
        b"\n",
        b"\xff",
        b"[]",
        b"{}",
        b"null",
        b"\"",
        b",",
        b"-1",
        b"1e999",
        b"18446744073709551616",
        b"[[[[[[[[[[[[[[[[",
        b"{\"path\":\"a\"}",
        b"onsager folder\n",
        b"folder",
        b"executable",
    ];
    prop_oneof![
        prop::sample::select(words).prop_map(<[u8]>::to_vec),
        prop::collection::vec(any::<u8>(), 0..9)
    ]
}

fn value() -> impl Strategy<Value = Value> {
    let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let values = vec![
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(u64::MAX),
        json!(1e300),
        json!(""),
        json!("."),
        json!("../evil"),
        json!("../../../evil"),
        json!("../../../../evil"),
        json!("deep/../../../../../evil"),
        json!("/etc/passwd"),
        json!("a/b"),
        json!("a\u{0}b"),
        json!("\u{1b}[2J"),
        json!("file"),
        json!("folder"),
        json!("executable"),
        json!(digest),
        json!([]),
        json!({}),
        json!([[]]),
        json!([255, 47, 46]),
        json!("2026-05-01T12:00:00Z"),
        json!("x".repeat(5000)),
    ];
    prop::sample::select(values)
}

/// Half of the files only get other values, so that more than the parser sees them.
pub fn changes() -> impl Strategy<Value = Vec<Change>> {
    let replace = || (any::<u32>(), value()).prop_map(|(which, by)| Change::Replace { which, by });
    let any = prop_oneof![
        (any::<u32>(), 0..8u8).prop_map(|(at, bit)| Change::Flip { at, bit }),
        (any::<u32>(), word()).prop_map(|(at, bytes)| Change::Insert { at, bytes }),
        (any::<u32>(), any::<u16>()).prop_map(|(at, count)| Change::Remove { at, count }),
        (any::<u32>(), any::<u16>(), any::<u32>()).prop_map(|(from, count, to)| Change::Repeat {
            from,
            count,
            to
        }),
        any::<u32>().prop_map(|at| Change::Cut { at }),
        any::<u32>().prop_map(|which| Change::Twice { which }),
        replace(),
    ];
    prop_oneof![prop::collection::vec(replace(), 1..3), prop::collection::vec(any, 1..5)]
}

/// The bytes with all changes. JSON is changed line by line, as records of runs are written; `prefix` stands before it.
pub fn mangle(bytes: &[u8], prefix: usize, changes: &[Change]) -> Vec<u8> {
    changes.iter().fold(bytes.to_vec(), |bytes, change| one(bytes, prefix, change))
}

fn one(mut bytes: Vec<u8>, prefix: usize, change: &Change) -> Vec<u8> {
    let place = |at: u32, length: usize| at as usize % (length + 1);
    let length = bytes.len();
    match change {
        Change::Flip { at, bit } => {
            if let Some(byte) = bytes.get_mut(place(*at, length)) {
                *byte ^= 1 << bit;
            }
        }
        Change::Insert { at, bytes: new } => {
            let at = place(*at, length);
            bytes.splice(at..at, new.iter().copied());
        }
        Change::Remove { at, count } => {
            let at = place(*at, length);
            bytes.drain(at..length.min(at + usize::from(*count) % 64));
        }
        Change::Repeat { from, count, to } => {
            let from = place(*from, length);
            let part = bytes[from..length.min(from + usize::from(*count) % 512)].to_vec();
            let to = place(*to, length);
            bytes.splice(to..to, part);
        }
        Change::Cut { at } => bytes.truncate(place(*at, length)),
        Change::Replace { which, .. } | Change::Twice { which } => {
            let (head, body) = bytes.split_at(prefix.min(length));
            let mut lines: Vec<Vec<u8>> = body.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            let json: Vec<usize> =
                (0..lines.len()).filter(|at| serde_json::from_slice::<Value>(&lines[*at]).is_ok()).collect();
            if json.is_empty() {
                return bytes;
            }
            let line = json[*which as usize % json.len()];
            let mut document: Value = serde_json::from_slice(&lines[line]).unwrap_or_default();
            let mut left = (*which as usize / json.len()) % count(&document).max(1);
            change_value(&mut document, &mut left, change);
            lines[line] = document.to_string().into_bytes();
            return [head, &lines.join(&b'\n')].concat();
        }
    }
    bytes
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(values) => values.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum::<usize>(),
        _ => 0,
    }
}

/// Changes the value that is the `left`-th in the document. True when it was found.
fn change_value(value: &mut Value, left: &mut usize, change: &Change) -> bool {
    if *left == 0 {
        match (change, &mut *value) {
            (Change::Replace { by, .. }, value) => *value = by.clone(),
            (Change::Twice { .. }, Value::Array(values)) if !values.is_empty() => {
                values.push(values[0].clone())
            }
            (Change::Twice { .. }, Value::Object(fields)) => {
                if let Some(first) = fields.keys().next().cloned() {
                    fields.remove(&first);
                }
            }
            _ => {}
        }
        return true;
    }
    *left -= 1;
    match value {
        Value::Array(values) => values.iter_mut().any(|value| change_value(value, left, change)),
        Value::Object(fields) => fields.values_mut().any(|value| change_value(value, left, change)),
        _ => false,
    }
}

/// Tries changes for `ONSAGER_FUZZ_SECONDS`, or a few hundred of them. The changes that fail are shown, as few as will do.
pub fn fuzz(check: impl Fn(&[Change])) {
    let seconds = std::env::var("ONSAGER_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let config =
        Config { cases: 256, failure_persistence: None, max_shrink_iters: 4096, ..Config::default() };
    let mut rounds = 0u64;
    loop {
        // A short run tries the same changes every time, a long one others.
        let mut seed = [0; 32];
        if end.is_some() {
            seed[..8].copy_from_slice(&RandomState::new().hash_one(rounds).to_le_bytes());
        }
        let random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        let tried = TestRunner::new_with_rng(config.clone(), random).run(&changes(), |changes| {
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(&changes)))
                .map_err(|_| TestCaseError::fail("it panics, or reaches outside"))
        });
        if let Err(failure) = tried {
            panic!("{failure}");
        }
        rounds += 1;
        if end.is_none_or(|end| Instant::now() >= end) {
            eprintln!("{} files tried", rounds * 256);
            return;
        }
    }
}
