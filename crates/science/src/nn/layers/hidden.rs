//! The hidden layer of a multilayer perceptron: a dense layer with SiLU, which may be given the time, and dropout.

use super::dropout::Dropout;
use super::linear::Dense;
use super::operation::{Fused, apply1, apply2};
use super::parameters::{Init, Pack, PackBuilder, PackGradient, Path, VarBuilder, View};
use crate::nn::error::NnError;
use crate::nn::kernels::buffer::Buffer;
use crate::nn::kernels::gemm::{Right, panels_len};
use crate::nn::kernels::pointwise::{multiply_assign, multiply_into_panels, silu, silu_and_slope};
use candle_core::{Module, Result, Tensor};
use std::sync::Arc;

/// dropout(silu(x·w + e·t + b)) for x [n, inputs] and the embedding e [n, width] of time and class: the parameters
/// `name.w`, `time.name.w` and `name.b`. Without an embedding, silu(x·w + b).
#[derive(Debug)]
pub struct Hidden {
    layers: Arc<HiddenLayers>,
    pack: Pack,
}

#[derive(Debug)]
struct HiddenLayers {
    /// With the bias where there is no embedding.
    matrix: Dense,
    /// From the embedding, with the bias.
    time: Option<Dense>,
    dropout: Dropout,
}

impl Hidden {
    /// A layer that is given an embedding of this width.
    pub fn timed(
        vb: &VarBuilder,
        name: &str,
        sizes: (usize, usize),
        embedding: usize,
        dropout: f64,
    ) -> std::result::Result<Hidden, NnError> {
        let (inputs, outputs) = sizes;
        let mut p = PackBuilder::default();
        let matrix = Dense::without_bias(&mut p, name, inputs, outputs, Init::FanIn(inputs));
        let fan = Init::FanIn(embedding);
        let time = Dense::without_bias(&mut p, &format!("time.{name}"), embedding, outputs, fan);
        let time = Some(time.with_bias(p.get(&format!("{name}.b"), &[outputs], Init::Zeros)));
        let layers = Arc::new(HiddenLayers { matrix, time, dropout: Dropout::new(name, dropout) });
        Ok(Hidden { layers, pack: p.build(vb)? })
    }

    /// A layer without an embedding.
    pub fn plain(
        vb: &VarBuilder,
        name: &str,
        inputs: usize,
        outputs: usize,
    ) -> std::result::Result<Hidden, NnError> {
        let mut p = PackBuilder::default();
        let matrix = Dense::new(&mut p, name, inputs, outputs, Init::FanIn(inputs));
        let layers = Arc::new(HiddenLayers { matrix, time: None, dropout: Dropout::new(name, 0.0) });
        Ok(Hidden { layers, pack: p.build(vb)? })
    }

    /// The result for x with this embedding; `dropout` has the seed of each row's mask, or none.
    pub fn forward_with(&self, x: &Tensor, embedded: &Tensor, dropout: &[u64]) -> Result<Tensor> {
        if self.pack.path() == Path::Fused {
            let call = HiddenCall { layers: self.layers.clone(), dropout: dropout.to_vec() };
            return apply2(call, &self.pack, x, embedded);
        }
        let HiddenLayers { matrix, time, dropout: layer } = &*self.layers;
        let mut hidden = matrix.generic(&self.pack, x)?;
        if let Some(time) = time {
            hidden = (hidden + time.generic(&self.pack, embedded)?)?;
        }
        layer.generic(&hidden.silu()?, dropout)
    }
}

/// Without an embedding.
impl Module for Hidden {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if self.pack.path() == Path::Fused {
            let call = HiddenCall { layers: self.layers.clone(), dropout: Vec::new() };
            return apply1(call, &self.pack, x);
        }
        self.layers.matrix.generic(&self.pack, x)?.silu()
    }
}

impl HiddenLayers {
    fn forward(
        &self,
        p: View<'_>,
        x: &[f32],
        embedded: &[f32],
        dropout: &[u64],
        keep: bool,
    ) -> (Buffer, Option<Buffer>) {
        let mut hidden = match &self.time {
            Some(time) => {
                let mut hidden = time.forward(p, embedded);
                self.matrix.add_forward(p, x, &mut hidden);
                hidden
            }
            None => self.matrix.forward(p, x),
        };
        if keep {
            let mut active = Buffer::stale(hidden.len());
            silu_and_slope(&mut hidden, &mut active);
            self.dropout.apply(&mut active, dropout);
            return (active, Some(hidden));
        }
        let mut active = silu(&hidden);
        self.dropout.apply(&mut active, dropout);
        (active, None)
    }

    /// The gradients of x and of the embedding where they are wanted.
    fn backward(
        &self,
        p: View<'_>,
        inputs: [&[f32]; 2],
        slope: &[f32],
        mut dhidden: Buffer,
        gradient: &mut PackGradient<'_>,
        wanted: [bool; 2],
    ) -> [Option<Buffer>; 2] {
        let [x, embedded] = inputs;
        let biased = self.time.as_ref().unwrap_or(&self.matrix);
        if let Some(db) = biased.bias_gradient(gradient) {
            let width = self.matrix.outputs;
            let rows = dhidden.len() / width;
            let mut panels = Buffer::stale(panels_len(rows, width));
            multiply_into_panels(&mut dhidden, slope, width, db, &mut panels);
            let dhidden = Right::panels(&panels, rows);
            if let Some(time) = &self.time {
                time.add_matrix_gradient(embedded, dhidden, gradient);
            }
            self.matrix.add_matrix_gradient(x, dhidden, gradient);
        } else {
            multiply_assign(&mut dhidden, slope);
        }
        let time = self.time.as_ref().filter(|_| wanted[1]);
        let dembedded = time.map(|time| time.input_gradient(p, &dhidden));
        [wanted[0].then(|| self.matrix.input_gradient(p, &dhidden)), dembedded]
    }
}

struct HiddenCall {
    layers: Arc<HiddenLayers>,
    dropout: Vec<u64>,
}

impl HiddenCall {
    fn shape(&self, x: &[usize]) -> Result<Vec<usize>> {
        match (x, self.dropout.len()) {
            (&[n, inputs], masks) if inputs == self.layers.matrix.inputs && (masks == n || masks == 0) => {
                Ok(vec![n, self.layers.matrix.outputs])
            }
            _ => candle_core::bail!("a layer of {} inputs for {x:?}", self.layers.matrix.inputs),
        }
    }
}

/// The tape is the slope of the SiLU.
impl Fused<2> for HiddenCall {
    const NAME: &'static str = "hidden layer";
    type Tape = Buffer;

    fn shape(&self, [x, _]: [&[usize]; 2]) -> Result<Vec<usize>> {
        self.shape(x)
    }

    fn forward(&self, p: View<'_>, [x, embedded]: [&[f32]; 2], keep: bool) -> (Buffer, Option<Buffer>) {
        self.layers.forward(p, x, embedded, &self.dropout, keep)
    }

    fn backward(
        &self,
        p: View<'_>,
        inputs: [&[f32]; 2],
        slope: Buffer,
        dy: Buffer,
        gradient: &mut PackGradient<'_>,
        wanted: [bool; 2],
    ) -> [Option<Buffer>; 2] {
        let mut dhidden = dy;
        self.layers.dropout.apply(&mut dhidden, &self.dropout);
        self.layers.backward(p, inputs, &slope, dhidden, gradient, wanted)
    }
}

impl Fused<1> for HiddenCall {
    const NAME: &'static str = "hidden layer";
    type Tape = Buffer;

    fn shape(&self, [x]: [&[usize]; 1]) -> Result<Vec<usize>> {
        self.shape(x)
    }

    fn forward(&self, p: View<'_>, [x]: [&[f32]; 1], keep: bool) -> (Buffer, Option<Buffer>) {
        self.layers.forward(p, x, &[], &[], keep)
    }

    fn backward(
        &self,
        p: View<'_>,
        [x]: [&[f32]; 1],
        slope: Buffer,
        dy: Buffer,
        gradient: &mut PackGradient<'_>,
        [wanted]: [bool; 1],
    ) -> [Option<Buffer>; 1] {
        let [dx, _] = self.layers.backward(p, [x, &[]], &slope, dy, gradient, [wanted, false]);
        [dx]
    }
}
