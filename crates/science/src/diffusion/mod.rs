//! Diffusion models: the forward process, what a network is trained on, and how it is sampled.

pub mod continuous;
pub mod discrete;
