//! What each stage kind is built from: a list that the build script writes, so that changed code invalidates by itself.
//! `docs/hashing.md` tells what enters and why.

/// The code of one stage kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    /// The kind's name: `random-motion` for `src/stages/random_motion.rs`.
    pub kind: &'static str,
    /// The SHA-256 of the kind's name and of all parts, in hexadecimal: what enters a task's key.
    pub digest: &'static str,
    /// The source and data files, by path.
    pub files: &'static [Part],
    /// The external crates that those files name, by name and version: `candle-core 0.11.1`.
    pub crates: &'static [Part],
}

/// One thing that a kind is built from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    pub name: &'static str,
    /// For a Rust file, of its tokens without comments and tests; for another file, of its bytes; for a crate, of its
    /// version, its features and everything that it depends on. SHA-256, in hexadecimal.
    pub digest: &'static str,
}

// `pub const FINGERPRINTS: &[Fingerprint]`, in the order of the kinds' names.
include!(concat!(env!("OUT_DIR"), "/fingerprints.rs"));

/// The fingerprint of the kind of this name; none when no file in `src/stages/` of that name has an `impl Stage for`.
pub fn fingerprint(kind: &str) -> Option<&'static Fingerprint> {
    FINGERPRINTS.iter().find(|fingerprint| fingerprint.kind == kind)
}

/// The digest of a built-in kind, for its line in the registry: `registry.add::<Train>(of("train"))`.
///
/// # Panics
///
/// When no file in `src/stages/` has the kind's name, with `_` for `-`, and an `impl Stage for`. This is a mistake in the registry,
/// never a user's, and it shows at every start, so no release can hold it.
pub fn of(kind: &str) -> &'static str {
    match fingerprint(kind) {
        Some(fingerprint) => fingerprint.digest,
        None => panic!(
            "the stage kind `{kind}` has no fingerprint: put its `impl Stage for` into `src/stages/{}.rs`",
            kind.replace('-', "_")
        ),
    }
}
