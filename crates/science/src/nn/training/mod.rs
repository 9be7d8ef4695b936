//! Training: losses, the optimiser, the loop with its checkpoints, and the files of weights.

pub mod adamw;
pub mod fit;
pub mod loss;
pub mod trainer;
pub mod weights;
