//! Networks on the CPU. To candle a network is one operation of its input and of all its parameters, with a reverse pass of
//! our own (`operation`): activations live in buffers that are used again, and none is kept outside training.
//!
//! A batch is cut into blocks of fixed size; each block runs forward and backward on one thread with its
//! activations in cache, and the blocks' gradients are added in order. So the result does not depend on the
//! number of threads.

pub mod adamw;
#[cfg(test)]
mod against_candle;
pub mod attention;
pub mod buffer;
pub mod class_table;
pub mod classifier;
pub mod conv;
pub mod conv_layer;
pub mod dropout;
pub mod error;
pub mod gemm;
#[cfg(test)]
pub(crate) mod gradient_check;
pub mod jet;
pub mod lane;
pub mod linear;
pub mod loss;
pub mod mlp;
pub mod network;
pub mod norm;
pub mod operation;
pub mod parameters;
pub mod pointwise;
pub mod potential;
pub mod raw;
pub mod residual;
pub mod resize;
pub mod swish_mlp;
pub mod swish_training;
pub mod time_embedding;
pub mod trainer;
pub mod unet;
pub mod vector;
pub mod weights;
pub mod winograd;
