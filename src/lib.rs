//! onsager: an experiment-pipeline runner with reproducible artifacts.
//!
//! The modules, from the user down to the numbers; each uses only those below it.

pub mod cli;
pub mod engine;
pub mod pipeline;
pub mod stages;
pub mod store;

pub mod data;
pub mod diffusion;
pub mod kernel;
pub mod metrics;
pub mod motion;
pub mod nn;
pub mod random;
pub mod report;
