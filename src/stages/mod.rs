//! The stage kinds: thin files that join the science below to the engine.

pub mod choice;
pub mod classifier;
pub mod context;
pub mod registry;
pub mod sample;
pub mod stage;
pub mod train;
#[cfg(test)]
mod train_tests;

use registry::Registry;

/// The kinds that onsager ships. A kind is one file here and one line below.
pub fn builtin() -> Registry {
    let mut registry = Registry::empty();
    registry.add::<train::Train>("dev");
    registry.add::<sample::Sample>("dev");
    registry.add::<classifier::Classifier>("dev");
    registry
}
