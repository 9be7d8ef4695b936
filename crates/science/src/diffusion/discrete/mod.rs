//! Discrete time: steps t run from 1 to T and `alpha_bar(0)` is 1. Coefficients are f64 and computed once, tensors are f32.

pub mod action_matching;
pub mod ancestral;
pub mod batch;
pub mod bound;
pub mod bound_loss;
pub mod bound_terms;
pub mod bridge_matching;
pub mod chain;
pub mod ddim;
pub mod denoiser;
pub mod dpm_solver;
#[cfg(test)]
mod exact_denoiser;
pub mod flow_likelihood;
pub mod flow_matching;
pub mod guidance;
#[cfg(test)]
mod guidance_tests;
pub mod h_family;
pub mod heun;
pub mod importance;
pub mod model;
mod model_denoiser;
pub mod node;
pub mod objective;
#[cfg(test)]
mod optimum_tests;
pub mod own_path;
pub mod path_action;
#[cfg(test)]
mod path_action_tests;
pub mod path_segment;
pub mod plan;
pub mod refinement;
pub mod sample_batch;
pub mod sampler;
#[cfg(test)]
mod sampler_tests;
pub mod schedule;
pub mod simple;
#[cfg(test)]
mod solver_tests;
pub mod v_prediction;
