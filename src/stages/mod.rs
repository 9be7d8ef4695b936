//! The stage kinds: thin files that join the science below to the engine.

pub mod context;
pub mod stage;
