//! A potential s(x, t), whose gradient in x is a velocity, and its rate along a moving point.
//!
//! Action Matching needs the gradient of ½‖∇s‖² + ∂s/∂t in the parameters, a second derivative. With v = ∇s(x, t) held fixed
//! it is the gradient of the rate ṡ = v·∇s + ∂s/∂t of s along (v, 1), since ½∂‖∇s‖² = v·∂∇s.

use super::mlp_potential::MlpPotential;
use super::moving_points::MovingPoints;
use super::network::NetworkConfig;
use super::unet_potential::UnetPotential;
use crate::nn::error::NnError;
use crate::nn::layers::parameters::{Parameters, Path};
use candle_core::Tensor;

/// The potential of a gradient flow.
#[derive(Debug)]
pub enum Potential {
    Mlp(MlpPotential),
    Unet(Box<UnetPotential>),
}

impl Potential {
    /// A potential of data of `shape` (one sample's), with these parameters. It is on the CPU alone: other devices run candle's
    /// operations, which are differentiable once.
    pub fn new(
        config: &NetworkConfig,
        shape: &[usize],
        parameters: &Parameters,
    ) -> Result<Potential, NnError> {
        if parameters.path() == Path::Generic {
            return Err(NnError::CpuOnly { what: "a potential" });
        }
        Ok(match config {
            NetworkConfig::Mlp(c) => Potential::Mlp(MlpPotential::new(c, shape, parameters)?),
            NetworkConfig::Unet(c) => Potential::Unet(Box::new(UnetPotential::new(c, shape, parameters)?)),
        })
    }

    /// Σ weights·(s, ṡ) over moving points as [1, 1], ṡ being the rate of s along (v, 1). Differentiable in trainable parameters.
    pub fn weighted(&self, at: MovingPoints<'_>, weights: &[[f32; 2]]) -> Result<Tensor, NnError> {
        match self {
            Potential::Mlp(potential) => potential.weighted(at, weights),
            Potential::Unet(potential) => potential.weighted(at, weights),
        }
    }

    /// ∇s [n, d] at the points x [n, d].
    pub fn gradient(&self, x: &[f32], times: &[f32]) -> Result<Vec<f32>, NnError> {
        match self {
            Potential::Mlp(potential) => potential.gradient(x, times),
            Potential::Unet(potential) => potential.gradient(x, times),
        }
    }
}
