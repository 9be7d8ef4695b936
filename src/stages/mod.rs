//! The stage kinds: thin files that join the science below to the engine.

pub mod context;
#[cfg(test)]
mod data_tests;
pub mod dataset;
pub mod registry;
pub mod sample_quality;
pub mod stage;

use registry::Registry;

/// The kinds that onsager ships. A kind is one file here and one line below.
pub fn builtin() -> Registry {
    let mut registry = Registry::empty();
    registry.add::<dataset::DatasetStage>("dev");
    registry.add::<sample_quality::SampleQuality>("dev");
    registry
}
