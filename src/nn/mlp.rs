//! A multilayer perceptron on points, with the time embedding entering at every layer.
//!
//! Parameters, by name: `0.{w,b}` … for the layers [in, out], `time.0.w` … for the embedding's share in them
//! (its sum with the layer's b is the bias), `out.{w,b}`.

use super::error::NnError;
use super::linear::linear;
use super::parameters::{Init, Parameters};
use super::pointwise::silu;
use super::time_embedding::time_embedding;
use super::unet::Dense;
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The size of an MLP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MlpConfig {
    /// Width of the hidden layers.
    pub width: usize,
    /// Number of hidden layers.
    pub layers: usize,
    /// Width of the time embedding, even.
    pub embedding: usize,
}

impl Default for MlpConfig {
    fn default() -> MlpConfig {
        MlpConfig { width: 128, layers: 3, embedding: 32 }
    }
}

/// An MLP that predicts the noise of points.
#[derive(Debug)]
pub struct Mlp {
    embedding: usize,
    layers: Vec<(Tensor, Dense)>,
    out: Dense,
}

impl Mlp {
    /// An MLP for data of any `shape`, taken as one vector.
    pub fn new(c: &MlpConfig, shape: &[usize], p: &mut Parameters) -> Result<Mlp, NnError> {
        let size: usize = shape.iter().product();
        let mut layers = Vec::new();
        let mut inputs = size;
        for i in 0..c.layers {
            let w = p.get(&format!("{i}.w"), &[inputs, c.width], Init::FanIn(inputs))?;
            let time = Dense {
                w: p.get(&format!("time.{i}.w"), &[c.embedding, c.width], Init::FanIn(c.embedding))?,
                b: p.get(&format!("{i}.b"), &[c.width], Init::Zeros)?,
            };
            layers.push((w, time));
            inputs = c.width;
        }
        Ok(Mlp { embedding: c.embedding, layers, out: Dense::matrix(p, "out", inputs, size, Init::Zeros)? })
    }

    /// The noise in points x [n, d] at these times (0 to 1000).
    pub fn forward(&self, x: &Tensor, times: &[f32]) -> Result<Tensor, NnError> {
        let embedded = time_embedding(times, self.embedding)?;
        let mut h = x.clone();
        for (w, time) in &self.layers {
            h = silu(&linear(&h, w, &linear(&embedded, &time.w, &time.b)?)?)?;
        }
        Ok(linear(&h, &self.out.w, &self.out.b)?)
    }
}
