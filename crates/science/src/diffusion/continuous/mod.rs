//! Continuous time: stochastic differential equations, scores and the path integral. Everything but the training is f64.

pub mod fokker_planck;
pub mod linear_control;
pub mod mixture;
pub mod ode;
pub mod reverse;
pub mod score;
pub mod score_matching;
pub mod score_model;
pub mod sde;
pub mod tabulated;
pub mod time_spacing;
pub mod transition_density;
pub mod wkb;
