//! Random motion: tubes, the law of path probability, imaginary time, dissipation.

pub mod action_law;
pub mod ensemble;
pub mod langevin;
pub mod law_tables;
pub mod merge_shards;
pub mod parameters;
pub mod path_entropy;
#[cfg(test)]
mod path_law_tests;
pub mod potential;
pub mod propagator;
pub mod random_motion;
pub mod tables;
#[cfg(test)]
mod tests;
pub mod transition_paths;
pub mod tube_fit;
pub mod width_extrapolation;
