//! A multilayer perceptron on points, with the time embedding entering at every layer.
//!
//! Parameters, by name: `0.{w,b}` … for the layers [in, out], `time.0.w` … for the embedding's share in them
//! (its sum with the layer's b is the bias), `out.{w,b}`.

use super::buffer::Buffer;
use super::error::NnError;
use super::linear::Dense;
use super::network::Head;
use super::operation::{Conditions, Layers, View, apply};
use super::parameters::{Init, Packed, Parameters};
use super::pointwise::{silu, silu_gradient};
use super::time_embedding::time_embedding;
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

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
    layers: Arc<MlpLayers>,
    packed: Arc<Packed>,
}

#[derive(Debug)]
struct MlpLayers {
    size: usize,
    embedding: usize,
    /// The matrix of each layer and the time embedding's, which has the bias.
    layers: Vec<(Dense, Dense)>,
    out: Dense,
}

/// What the reverse pass needs.
struct MlpTape {
    embedded: Buffer,
    /// The input of each layer and what its SiLU gets.
    layers: Vec<(Buffer, Buffer)>,
    last: Buffer,
}

impl Mlp {
    /// An MLP for data of any `shape`, taken as one vector.
    pub fn new(c: &MlpConfig, shape: &[usize], _head: Head, p: &mut Parameters) -> Result<Mlp, NnError> {
        let size: usize = shape.iter().product();
        let mut layers = Vec::new();
        let mut inputs = size;
        for i in 0..c.layers {
            let w = p.get(&format!("{i}.w"), &[inputs, c.width], Init::FanIn(inputs))?;
            let time = p.get(&format!("time.{i}.w"), &[c.embedding, c.width], Init::FanIn(c.embedding))?;
            let b = p.get(&format!("{i}.b"), &[c.width], Init::Zeros)?;
            layers.push((Dense::of(w, inputs, c.width), Dense::of(time, c.embedding, c.width).with_bias(b)));
            inputs = c.width;
        }
        let out = Dense::new(p, "out", inputs, size, Init::Zeros)?;
        let layers = Arc::new(MlpLayers { size, embedding: c.embedding, layers, out });
        Ok(Mlp { layers, packed: p.pack()? })
    }

    /// Its parameters.
    pub fn packed(&self) -> &Arc<Packed> {
        &self.packed
    }

    /// The noise in points x [n, d]; see [`super::network::Network::forward`].
    pub fn forward(&self, x: &Tensor, on: &Conditions) -> Result<Tensor, NnError> {
        apply(&self.layers, &self.packed, x, on)
    }
}

impl Layers for MlpLayers {
    type Tape = MlpTape;

    fn outputs(&self) -> usize {
        self.size
    }

    fn forward(&self, p: View<'_>, x: &[f32], on: &Conditions, keep: bool) -> (Buffer, Option<MlpTape>) {
        let embedded = Buffer::of(&time_embedding(&on.times, self.embedding));
        let mut h = Buffer::of(x);
        let mut layers = Vec::new();
        for (matrix, time) in &self.layers {
            let mut hidden = time.forward(p.values, &embedded);
            matrix.add_forward(p.values, &h, &mut hidden);
            let active = silu(&hidden);
            if keep {
                layers.push((h, hidden));
            }
            h = active;
        }
        let y = self.out.forward(p.values, &h);
        (y, keep.then_some(MlpTape { embedded, layers, last: h }))
    }

    fn backward(
        &self,
        p: View<'_>,
        tape: MlpTape,
        dy: &[f32],
        gradients: &mut [f32],
        input: bool,
    ) -> Option<Buffer> {
        self.out.add_gradients(&tape.last, dy, gradients);
        let mut dh = Buffer::stale(tape.last.len());
        self.out.input_gradient(p.values, dy, false, &mut dh);
        for (i, ((matrix, time), (x, hidden))) in self.layers.iter().zip(&tape.layers).enumerate().rev() {
            silu_gradient(hidden, &mut dh);
            time.add_gradients(&tape.embedded, &dh, gradients);
            matrix.add_gradients(x, &dh, gradients);
            if i == 0 && !input {
                return None;
            }
            let mut dx = Buffer::stale(x.len());
            matrix.input_gradient(p.values, &dh, false, &mut dx);
            dh = dx;
        }
        Some(dh)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::gradient_check::check_network;

    #[test]
    fn gradient_of_every_parameter() {
        let c = MlpConfig { width: 9, layers: 3, embedding: 4 };
        let mlp = Mlp::new(&c, &[2], Head::default(), &mut Parameters::random(2)).unwrap();
        check_network(mlp.packed(), 3, 2, |x| mlp.forward(x, &Conditions::at(&[1.0, 400.0, 900.0])).unwrap());
    }
}
