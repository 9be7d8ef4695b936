//! Data sets: the handwritten digits that onsager carries, files that the user has, and densities in the plane.

pub mod cifar;
pub mod dataset;
pub mod digits;
pub mod idx;
pub mod source;
pub mod toy;
