//! Networks on the CPU: candle's tensors and autograd over coarse operations of our own.
//!
//! A batch is cut into blocks of fixed size; each block runs forward and backward on one thread with its
//! activations in cache, and the blocks' gradients are added in order. So the result does not depend on the
//! number of threads.

pub mod adamw;
pub mod classifier;
pub mod conv;
pub mod ema;
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
pub mod parameters;
pub mod pointwise;
pub mod raw;
pub mod resize;
pub mod swish_mlp;
pub mod swish_training;
pub mod time_embedding;
pub mod trainer;
pub mod unet;
pub mod weights;
