//! What each stage kind is built from, so that changed code invalidates by itself: lists that build scripts write.
//! `docs/hashing.md` tells what enters and why.

/// The code of one stage kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint {
    /// The kind's name: `random-motion`.
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

/// The digest of a kind's code, for its line in the registry: `registry.add::<Train>(of("train"))`.
///
/// # Panics
///
/// When no source has an `impl Stage` of this kind. This is a mistake in the registry, never a user's, and it shows at every start,
/// so no release can hold it.
pub fn find(all: &'static [Fingerprint], kind: &str) -> &'static Fingerprint {
    match all.iter().find(|fingerprint| fingerprint.kind == kind) {
        Some(fingerprint) => fingerprint,
        None => panic!(
            "the stage kind `{kind}` has no fingerprint: its `impl Stage` must say `const KIND: &'static str = \"{kind}\"`, and \
             `build.rs` must call `onsager_fingerprint::write()`"
        ),
    }
}

/// Makes the module `fingerprints` of the kinds of this package, from the list that its build script writes with
/// `onsager_fingerprint::write()`: `registry.add::<Train>(fingerprints::of("train"))`.
#[macro_export]
macro_rules! fingerprints {
    () => {
        /// What each stage kind of this package is built from.
        pub mod fingerprints {
            use $crate::kind::fingerprints::{Fingerprint, Part};

            include!(concat!(env!("OUT_DIR"), "/fingerprints.rs"));

            /// The digest of the code of a kind.
            pub fn of(kind: &str) -> &'static str {
                $crate::kind::fingerprints::find(FINGERPRINTS, kind).digest
            }
        }
    };
}
