//! Diffusion models in discrete time: data, training, sampling, quality.

pub mod classifier;
pub mod compute;
#[cfg(test)]
mod data_tests;
pub mod dataset;
pub mod guided_model;
pub mod likelihood;
#[cfg(test)]
mod likelihood_tests;
mod quality_tables;
pub mod sample;
pub mod sample_quality;
pub mod sampler_law;
pub mod train;
mod train_params;
#[cfg(test)]
pub(crate) mod train_tests;
