//! The networks, each built of layers as its paper draws it.

pub mod classifier;
pub mod head;
pub mod mlp;
pub mod mlp_potential;
pub mod moving_points;
pub mod network;
pub mod potential;
pub mod rows;
pub mod score_net;
pub mod swish_mlp;
pub mod unet;
pub mod unet_potential;
