//! Diffusion models in discrete time: data, training, sampling, quality.

pub mod classifier;
#[cfg(test)]
mod data_tests;
pub mod dataset;
pub mod guided_model;
pub mod likelihood;
#[cfg(test)]
mod likelihood_tests;
pub mod sample;
pub mod sample_quality;
pub mod sampler_law;
pub mod train;
#[cfg(test)]
pub(crate) mod train_tests;
