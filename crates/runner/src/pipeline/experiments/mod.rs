//! What is laid over a pipeline: parameters files, `--set`, experiments and their sweeps.

pub mod experiment;
pub mod joined;
pub mod overrides;
pub mod points;
pub mod sweep;
