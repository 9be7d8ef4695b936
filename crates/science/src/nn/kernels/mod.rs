//! What the fast path is made of: functions of plain slices of numbers, deterministic at every number of threads.

pub mod buffer;
pub mod conv3x3;
pub mod gemm;
pub mod group_norm;
pub mod jet;
pub mod lane;
pub mod matrix;
pub mod pointwise;
pub mod raw;
pub mod resample;
pub mod softmax;
pub mod vector;
pub mod winograd;
