//! Layers of networks. Images between layers are channels-last, [n, h, w, channels], and points are rows, [n, width].
//!
//! A layer is a `candle_nn::Module`, or has a forward of its own where it needs more than one input, over the parameters
//! that a `VarBuilder` gave it. candle's autograd joins layers. Each is written twice: on the CPU as one operation with a
//! reverse pass of its own (`Fused`), and for every other device, and for comparison, in candle's operations (`generic`).

pub mod attention;
pub mod class_table;
pub mod conditions;
pub mod conv;
pub mod conv_norm;
pub mod dropout;
pub mod hidden;
pub mod image_conv;
pub mod linear;
pub mod norm;
pub mod operation;
pub mod pack;
pub mod parameters;
pub mod residual;
pub mod resize;
pub mod time_embedding;
