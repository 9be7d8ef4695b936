//! Comparing sets of samples: distances between laws, overlap of supports, a classifier's view, and the statistics that
//! say which differences are noise.

pub mod classifier_score;
pub mod comparison;
#[cfg(test)]
mod coverage_tests;
pub mod features;
pub mod frechet;
pub mod kernel_distance;
pub mod linalg;
pub mod manifold;
pub mod measurements;
pub mod nearest;
pub mod quality;
pub mod versus;
pub mod wasserstein;
