//! A multilayer perceptron on points, with the time embedding entering at every layer.
//!
//! Parameters, by name: `class.w` [classes + 1, embedding] (the last row for 'no class'; added to the time embedding),
//! `0.{w,b}` … for the layers [in, out], `time.0.w` … for the embedding's share in them (its sum with the layer's b is the
//! bias), `out.{w,b}`.

use super::buffer::Buffer;
use super::class_table::ClassTable;
use super::dropout::Dropout;
use super::error::NnError;
use super::gemm::{Right, panels_len};
use super::linear::Dense;
use super::network::Head;
use super::operation::{Conditions, Layers, apply};
use super::parameters::{Gradients, Init, Packed, Parameters, View};
use super::pointwise::{multiply_assign, multiply_into_panels, silu, silu_and_slope};
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
    /// The probability that training drops a number after the activation of a layer, 0 to below 1.
    pub dropout: f64,
}

impl Default for MlpConfig {
    fn default() -> MlpConfig {
        MlpConfig { width: 128, layers: 3, embedding: 32, dropout: 0.0 }
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
    embedding: usize,
    classes: Option<ClassTable>,
    layers: Vec<Layer>,
    out: Dense,
}

#[derive(Debug)]
struct Layer {
    matrix: Dense,
    /// From the embedding of time and class, with the layer's bias.
    time: Dense,
    dropout: Dropout,
}

/// What the reverse pass needs.
struct MlpTape {
    embedded: Buffer,
    /// The input of each layer and the slope of its SiLU.
    layers: Vec<(Buffer, Buffer)>,
    last: Buffer,
}

impl Mlp {
    /// An MLP for data of any `shape`, taken as one vector.
    pub fn new(c: &MlpConfig, shape: &[usize], head: Head, p: &mut Parameters) -> Result<Mlp, NnError> {
        let size: usize = shape.iter().product();
        let classes = ClassTable::new(p, head.classes, c.embedding)?;
        let mut layers = Vec::new();
        let mut inputs = size;
        for i in 0..c.layers {
            let name = i.to_string();
            let matrix = Dense::without_bias(p, &name, inputs, c.width, Init::FanIn(inputs))?;
            let fan = Init::FanIn(c.embedding);
            let time = Dense::without_bias(p, &format!("time.{i}"), c.embedding, c.width, fan)?;
            let time = time.with_bias(p.get(&format!("{i}.b"), &[c.width], Init::Zeros)?);
            layers.push(Layer { matrix, time, dropout: Dropout::new(&name, c.dropout) });
            inputs = c.width;
        }
        let outputs = if head.variance { 2 * size } else { size };
        let out = Dense::new(p, "out", inputs, outputs, Init::Zeros)?;
        let layers = Arc::new(MlpLayers { embedding: c.embedding, classes, layers, out });
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
        self.out.outputs
    }

    fn classes(&self) -> usize {
        self.classes.map_or(0, |table| table.classes())
    }

    fn forward(&self, p: View<'_>, x: &[f32], on: &Conditions, keep: bool) -> (Buffer, Option<MlpTape>) {
        let mut embedded = time_embedding(&on.times, self.embedding);
        if let Some(table) = &self.classes {
            table.add_rows(p, &on.classes, &mut embedded);
        }
        let mut h = Buffer::of(x);
        let mut layers = Vec::new();
        for layer in &self.layers {
            let mut hidden = layer.time.forward(p, &embedded);
            layer.matrix.add_forward(p, &h, &mut hidden);
            if keep {
                let mut active = Buffer::stale(hidden.len());
                silu_and_slope(&mut hidden, &mut active);
                layer.dropout.apply(&mut active, &on.dropout);
                layers.push((h, hidden));
                h = active;
            } else {
                h = silu(&hidden);
                layer.dropout.apply(&mut h, &on.dropout);
            }
        }
        let y = self.out.forward(p, &h);
        (y, keep.then_some(MlpTape { embedded, layers, last: h }))
    }

    fn backward(
        &self,
        p: View<'_>,
        on: &Conditions,
        tape: MlpTape,
        dy: &[f32],
        gradients: &mut Gradients<'_>,
        input: bool,
    ) -> Option<Buffer> {
        self.out.add_gradients(&tape.last, dy, gradients);
        let mut dh = self.out.input_gradient(p, dy);
        let classes = self.classes.filter(|_| gradients.wanted());
        let mut dembedded = classes.map(|_| Buffer::zeros(tape.embedded.len()));
        let mut dx = None;
        for (i, (layer, (x, slope))) in self.layers.iter().zip(&tape.layers).enumerate().rev() {
            layer.dropout.apply(&mut dh, &on.dropout);
            if let Some(db) = layer.time.bias_gradient(gradients) {
                let width = layer.matrix.outputs;
                let rows = dh.len() / width;
                let mut panels = Buffer::stale(panels_len(rows, width));
                multiply_into_panels(&mut dh, slope, width, db, &mut panels);
                let dh = Right::panels(&panels, rows);
                layer.time.add_matrix_gradient(&tape.embedded, dh, gradients);
                layer.matrix.add_matrix_gradient(x, dh, gradients);
            } else {
                multiply_assign(&mut dh, slope);
            }
            if let Some(dembedded) = &mut dembedded {
                layer.time.add_input_gradient(p, &dh, dembedded);
            }
            if i > 0 {
                dh = layer.matrix.input_gradient(p, &dh);
            } else if input {
                dx = Some(layer.matrix.input_gradient(p, &dh));
            }
        }
        if let (Some(table), Some(dembedded)) = (classes, dembedded) {
            table.add_gradients(&on.classes, &dembedded, gradients);
        }
        dx
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::gradient_check::{check_fixed, check_network, moved};

    fn config() -> MlpConfig {
        MlpConfig { width: 9, layers: 3, embedding: 4, dropout: 0.2 }
    }

    #[test]
    fn gradient_of_every_parameter() {
        let mlp = Mlp::new(&config(), &[2], Head::default(), &mut Parameters::random(2)).unwrap();
        check_network(mlp.packed(), 3, 2, |x| mlp.forward(x, &Conditions::at(&[1.0, 400.0, 900.0])).unwrap());
    }

    /// With classes, dropout and a variance; fixed parameters give the same gradient of x.
    #[test]
    fn with_everything() {
        let head = Head { variance: true, classes: 2 };
        let mlp = Mlp::new(&config(), &[2], head, &mut Parameters::random(2)).unwrap();
        let on =
            Conditions { times: vec![1.0, 400.0, 900.0], classes: vec![1, 2, 1], dropout: vec![1, 2, 3] };
        check_network(mlp.packed(), 3, 2, |x| mlp.forward(x, &on).unwrap());
        moved(mlp.packed());
        let fixed = Mlp::new(&config(), &[2], head, &mut mlp.packed().fixed()).unwrap();
        check_fixed(3, 2, |x| mlp.forward(x, &on).unwrap(), |x| fixed.forward(x, &on).unwrap());
    }
}
