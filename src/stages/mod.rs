//! The stage kinds: thin files that join the science below to the engine.

pub mod action_law;
pub mod columns;
pub mod context;
#[cfg(test)]
mod motion_tests;
pub mod random_motion;
pub mod registry;
pub mod stage;

use registry::Registry;

/// The kinds that onsager ships. A kind is one file here and one line below.
pub fn builtin() -> Registry {
    let mut registry = Registry::empty();
    registry.add::<random_motion::RandomMotion>("dev");
    registry.add::<action_law::ActionLaw>("dev");
    registry
}
