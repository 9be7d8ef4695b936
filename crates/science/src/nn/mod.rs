//! Neural networks over candle: `candle_nn::Module`s whose parameters come from a `VarBuilder`, joined by candle's autograd.
//!
//! On the CPU the layers are operations of our own (`kernels`, `layers`), each with its own reverse pass: activations lie
//! in buffers that are used again. What a reverse pass needs is kept with a result as long as one may follow: where the
//! parameters are trainable or the input is differentiated. On other devices they are candle's operations.
//!
//! A batch is cut into blocks of fixed size; each block runs forward and in reverse on one thread with its activations in
//! cache, and the blocks' gradients are added in order. So the result does not depend on the number of threads.

pub mod device;
pub mod error;
#[cfg(test)]
mod generic_path_tests;
#[cfg(test)]
pub(crate) mod gradient_check;
pub mod kernels;
pub mod layers;
pub mod networks;
pub mod training;
