//! Score models in continuous time: the path integral.

pub mod exact_score;
pub mod linear_score;
pub mod score_density;
pub mod score_likelihood;
pub mod score_sample;
pub mod score_train;
#[cfg(test)]
pub(crate) mod tests;
