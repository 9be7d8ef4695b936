//! Diffusion models: the forward process, what a network is trained on, and how it is sampled.
//!
//! In discrete time (`schedule`, `objective`, `sampler`) steps t run from 1 to T and `alpha_bar(0)` is 1; coefficients are f64 and
//! computed once, tensors are f32. In continuous time (`sde`, `score`, `reverse`, `wkb` …) everything but the training is f64.

pub mod fokker_planck;
pub mod h_family;
pub mod linear_control;
pub mod mixture;
pub mod model;
pub mod objective;
pub mod ode;
pub mod path_action;
pub mod reverse;
pub mod sampler;
#[cfg(test)]
mod sampler_tests;
pub mod schedule;
pub mod score;
pub mod score_matching;
pub mod score_model;
pub mod sde;
pub mod time_spacing;
pub mod transition_density;
pub mod wkb;
