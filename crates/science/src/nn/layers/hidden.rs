//! The hidden layers of a multilayer perceptron: dense layers with SiLU, which may be given the time, and dropout.
//!
//! All of them are one operation: candle adds each gradient of an operation's input to zeros that it makes for that, which
//! took a twentieth of a training step when every layer was an operation of its own.

use super::dropout::Dropout;
use super::linear::Dense;
use super::operation::{Fused, apply1, apply2};
use super::parameters::{Init, Pack, PackBuilder, PackGradient, Path, VarBuilder, View};
use crate::nn::error::NnError;
use crate::nn::kernels::buffer::Buffer;
use crate::nn::kernels::gemm::{Right, panels_len};
use crate::nn::kernels::pointwise::{
    add_assign, multiply_assign, multiply_into_panels, silu, silu_and_slope,
};
use candle_core::{Module, Result, Tensor};
use std::sync::Arc;

/// The name, the inputs and the outputs of a hidden layer.
pub type Size = (String, usize, usize);

/// Layers h ← dropout(silu(h·w + e·t + b)) from x [n, inputs] on, for the embedding e [n, width] of time and class: the
/// parameters `name.w`, `time.name.w` and `name.b` of each. Without an embedding, h ← silu(h·w + b).
#[derive(Debug)]
pub struct Hidden {
    layers: Arc<[Layer]>,
    pack: Pack,
}

#[derive(Debug)]
struct Layer {
    /// With the bias where there is no embedding.
    matrix: Dense,
    /// From the embedding, with the bias.
    time: Option<Dense>,
    dropout: Dropout,
}

impl Hidden {
    /// Layers that are given an embedding of this width.
    pub fn timed(
        vb: &VarBuilder,
        sizes: &[Size],
        embedding: usize,
        dropout: f64,
    ) -> std::result::Result<Hidden, NnError> {
        let mut p = PackBuilder::default();
        let layer = |(name, inputs, outputs): &Size| {
            let matrix = Dense::without_bias(&mut p, name, *inputs, *outputs, Init::FanIn(*inputs));
            let fan = Init::FanIn(embedding);
            let time = Dense::without_bias(&mut p, &format!("time.{name}"), embedding, *outputs, fan);
            let time = Some(time.with_bias(p.get(&format!("{name}.b"), &[*outputs], Init::Zeros)));
            Layer { matrix, time, dropout: Dropout::new(name, dropout) }
        };
        let layers = sizes.iter().map(layer).collect();
        Ok(Hidden { layers, pack: p.build(vb)? })
    }

    /// Layers without an embedding.
    pub fn plain(vb: &VarBuilder, sizes: &[Size]) -> std::result::Result<Hidden, NnError> {
        let mut p = PackBuilder::default();
        let layer = |(name, inputs, outputs): &Size| {
            let matrix = Dense::new(&mut p, name, *inputs, *outputs, Init::FanIn(*inputs));
            Layer { matrix, time: None, dropout: Dropout::new(name, 0.0) }
        };
        let layers = sizes.iter().map(layer).collect();
        Ok(Hidden { layers, pack: p.build(vb)? })
    }

    /// The result for x with this embedding; `dropout` has the seed of each row's masks, or none.
    pub fn forward_with(&self, x: &Tensor, embedded: &Tensor, dropout: &[u64]) -> Result<Tensor> {
        if self.layers.is_empty() {
            return Ok(x.clone());
        }
        if self.pack.path() == Path::Fused {
            let call = HiddenCall { layers: self.layers.clone(), dropout: dropout.to_vec() };
            return apply2(call, &self.pack, x, embedded);
        }
        self.generic(x, Some(embedded), dropout)
    }

    /// The same by candle's operations.
    fn generic(&self, x: &Tensor, embedded: Option<&Tensor>, dropout: &[u64]) -> Result<Tensor> {
        let mut h = x.clone();
        for Layer { matrix, time, dropout: layer } in &*self.layers {
            h = matrix.generic(&self.pack, &h)?;
            if let (Some(time), Some(embedded)) = (time, embedded) {
                h = (h + time.generic(&self.pack, embedded)?)?;
            }
            h = layer.generic(&h.silu()?, dropout)?;
        }
        Ok(h)
    }
}

/// Without an embedding.
impl Module for Hidden {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if self.layers.is_empty() {
            return Ok(x.clone());
        }
        if self.pack.path() == Path::Fused {
            let call = HiddenCall { layers: self.layers.clone(), dropout: Vec::new() };
            return apply1(call, &self.pack, x);
        }
        self.generic(x, None, &[])
    }
}

impl Layer {
    /// The result and, when the reverse pass follows, the slope of the SiLU.
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

    /// From the gradient of the result to that of what the SiLU gets, in place; adds the gradients of the parameters.
    fn backward(
        &self,
        x: &[f32],
        embedded: &[f32],
        slope: &[f32],
        dhidden: &mut Buffer,
        gradient: &mut PackGradient<'_>,
    ) {
        let biased = self.time.as_ref().unwrap_or(&self.matrix);
        if let Some(db) = biased.bias_gradient(gradient) {
            let width = self.matrix.outputs;
            let rows = dhidden.len() / width;
            let mut panels = Buffer::stale(panels_len(rows, width));
            multiply_into_panels(dhidden, slope, width, db, &mut panels);
            let dhidden = Right::panels(&panels, rows);
            if let Some(time) = &self.time {
                time.add_matrix_gradient(embedded, dhidden, gradient);
            }
            self.matrix.add_matrix_gradient(x, dhidden, gradient);
        } else {
            multiply_assign(dhidden, slope);
        }
    }
}

struct HiddenCall {
    layers: Arc<[Layer]>,
    dropout: Vec<u64>,
}

/// What the reverse pass needs of each layer.
struct Tape {
    /// The slope of its SiLU.
    slope: Buffer,
    /// Its result, which is the next layer's x; none of the last.
    result: Option<Buffer>,
}

impl HiddenCall {
    fn shape(&self, x: &[usize]) -> Result<Vec<usize>> {
        let (Some(first), Some(last)) = (self.layers.first(), self.layers.last()) else {
            return Ok(x.to_vec());
        };
        match (x, self.dropout.len()) {
            (&[n, inputs], masks) if inputs == first.matrix.inputs && (masks == n || masks == 0) => {
                Ok(vec![n, last.matrix.outputs])
            }
            _ => candle_core::bail!("a layer of {} inputs for {x:?}", first.matrix.inputs),
        }
    }

    fn forward(&self, p: View<'_>, x: &[f32], embedded: &[f32], keep: bool) -> (Buffer, Option<Vec<Tape>>) {
        let mut tape: Vec<Tape> = Vec::new();
        let mut last: Option<Buffer> = None;
        for layer in &*self.layers {
            let (result, slope) =
                layer.forward(p, last.as_deref().unwrap_or(x), embedded, &self.dropout, keep);
            if let Some(before) = tape.last_mut() {
                before.result = last.take();
            }
            tape.extend(slope.map(|slope| Tape { slope, result: None }));
            last = Some(result);
        }
        (last.unwrap_or_else(|| Buffer::of(x)), keep.then_some(tape))
    }

    /// The gradients of x and of the embedding where they are wanted.
    fn backward(
        &self,
        p: View<'_>,
        [x, embedded]: [&[f32]; 2],
        tape: &[Tape],
        dy: Buffer,
        gradient: &mut PackGradient<'_>,
        wanted: [bool; 2],
    ) -> [Option<Buffer>; 2] {
        let mut dresult = dy;
        let mut dembedded: Option<Buffer> = None;
        for (i, (layer, now)) in self.layers.iter().zip(tape).enumerate().rev() {
            let mut dhidden = dresult;
            layer.dropout.apply(&mut dhidden, &self.dropout);
            let before = i.checked_sub(1).and_then(|i| tape[i].result.as_deref());
            layer.backward(before.unwrap_or(x), embedded, &now.slope, &mut dhidden, gradient);
            if let Some(time) = layer.time.as_ref().filter(|_| wanted[1]) {
                let share = time.input_gradient(p, &dhidden);
                match &mut dembedded {
                    Some(sum) => add_assign(sum, &share),
                    None => dembedded = Some(share),
                }
            }
            if i == 0 && !wanted[0] {
                return [None, dembedded];
            }
            dresult = layer.matrix.input_gradient(p, &dhidden);
        }
        [Some(dresult), dembedded]
    }
}

impl Fused<2> for HiddenCall {
    const NAME: &'static str = "hidden layers";
    type Tape = Vec<Tape>;

    fn shape(&self, [x, _]: [&[usize]; 2]) -> Result<Vec<usize>> {
        self.shape(x)
    }

    fn forward(&self, p: View<'_>, [x, embedded]: [&[f32]; 2], keep: bool) -> (Buffer, Option<Vec<Tape>>) {
        self.forward(p, x, embedded, keep)
    }

    fn backward(
        &self,
        p: View<'_>,
        inputs: [&[f32]; 2],
        tape: Vec<Tape>,
        dy: Buffer,
        gradient: &mut PackGradient<'_>,
        wanted: [bool; 2],
    ) -> [Option<Buffer>; 2] {
        self.backward(p, inputs, &tape, dy, gradient, wanted)
    }
}

impl Fused<1> for HiddenCall {
    const NAME: &'static str = "hidden layers";
    type Tape = Vec<Tape>;

    fn shape(&self, [x]: [&[usize]; 1]) -> Result<Vec<usize>> {
        self.shape(x)
    }

    fn forward(&self, p: View<'_>, [x]: [&[f32]; 1], keep: bool) -> (Buffer, Option<Vec<Tape>>) {
        self.forward(p, x, &[], keep)
    }

    fn backward(
        &self,
        p: View<'_>,
        [x]: [&[f32]; 1],
        tape: Vec<Tape>,
        dy: Buffer,
        gradient: &mut PackGradient<'_>,
        [wanted]: [bool; 1],
    ) -> [Option<Buffer>; 1] {
        let [dx, _] = self.backward(p, [x, &[]], &tape, dy, gradient, [wanted, false]);
        [dx]
    }
}
