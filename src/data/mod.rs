<<<<<<< HEAD
//! Data sets: the handwritten digits that onsager carries, files that the user has, and densities in the plane.

pub mod cifar;
pub mod dataset;
pub mod digits;
pub mod idx;
pub mod source;
pub mod toy;
=======
//! (being written)
pub mod dataset;
>>>>>>> 4a061e657ccfe06c3bd4e85a4cf3e5d94c2b07f9
