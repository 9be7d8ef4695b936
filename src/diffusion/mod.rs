//! Diffusion models: the forward process, what a network is trained on, and how it is sampled.
//!
//! In discrete time (`schedule`, `objective`, `sampler` …) steps t run from 1 to T and `alpha_bar(0)` is 1; coefficients are f64 and
//! computed once, tensors are f32. In continuous time (`sde`, `score`, `reverse`, `wkb` …) everything but the training is f64.

pub mod action_matching;
pub mod ancestral;
pub mod bound;
pub mod bound_loss;
pub mod bound_terms;
pub mod chain;
pub mod ddim;
pub mod dpm_solver;
#[cfg(test)]
mod exact_denoiser;
pub mod flow_likelihood;
pub mod flow_matching;
pub mod fokker_planck;
pub mod guidance;
pub mod h_family;
pub mod heun;
pub mod importance;
pub mod linear_control;
pub mod mixture;
pub mod model;
mod model_denoiser;
pub mod objective;
pub mod ode;
pub mod path_action;
pub mod path_segment;
pub mod refinement;
pub mod reverse;
pub mod sampler;
#[cfg(test)]
mod sampler_tests;
pub mod schedule;
pub mod score;
pub mod score_matching;
pub mod score_model;
pub mod sde;
#[cfg(test)]
mod solver_tests;
pub mod tabulated;
pub mod time_spacing;
pub mod transition_density;
pub mod wkb;
