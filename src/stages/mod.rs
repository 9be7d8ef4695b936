//! The stage kinds: thin files that join the science below to the engine.

pub mod command;
pub mod context;
pub mod fingerprints;
pub mod registry;
pub mod stage;

use registry::Registry;

/// The kinds that onsager ships. A kind is one file here and one line below.
pub fn builtin() -> Registry {
    Registry::empty()
}
