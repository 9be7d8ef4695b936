//! The stage kinds: thin files that join the science below to the engine.

pub mod action_law;
pub mod columns;
pub mod command;
pub mod context;
pub mod fingerprints;
#[cfg(test)]
mod motion_tests;
pub mod random_motion;
pub mod registry;
pub mod stage;

use fingerprints::of;
use registry::Registry;

/// The kinds that onsager ships. A kind is one file here and one line below.
pub fn builtin() -> Registry {
    let mut registry = Registry::empty();
    registry.add::<random_motion::RandomMotion>(of("random-motion"));
    registry.add::<action_law::ActionLaw>(of("action-law"));
    registry.add::<command::CommandStage>(of("command"));
    registry
}
