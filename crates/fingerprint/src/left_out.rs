//! The external crates that enter no fingerprint.

/// Crates that cannot change a number or a byte of an output.
const LEFT_OUT: &[(&str, &str)] = &[
    ("thiserror", "derives the text of errors"),
    ("tracing", "writes logs"),
    ("serde", "hands over values; the formats that write them (`serde_json`, `safetensors`) count"),
    ("schemars", "describes parameters in the reference"),
    ("sha2", "its function is fixed by a standard"),
];

/// Whether a crate enters no fingerprint.
pub fn is_left_out(name: &str) -> bool {
    LEFT_OUT.iter().any(|(left_out, _)| *left_out == name)
}
