//! Diffusion models: the forward process, what a network is trained on, and how it is sampled.
//!
//! Steps t run from 1 to T; `alpha_bar(0)` is 1. Coefficients are f64 and computed once; tensors are f32.

pub mod model;
pub mod objective;
pub mod path_action;
pub mod sampler;
#[cfg(test)]
mod sampler_tests;
pub mod schedule;
