//! Data sets: the handwritten digits that onsager carries, files that the user has, and densities in the plane.

pub mod dataset;
