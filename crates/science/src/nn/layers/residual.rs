//! The residual block of a U-Net (Ho 2020): two convolutions, each after group norm and SiLU, the time embedding between
//! them, and a way past both.

use super::conv::ConvLayer;
use super::dropout::Dropout;
use super::linear::Dense;
use super::norm::Norm;
use super::operation::{Fused, apply2};
use super::parameters::{Init, Pack, PackBuilder, PackGradient, Path, VarBuilder, View};
use crate::nn::error::NnError;
use crate::nn::kernels::buffer::Buffer;
use crate::nn::kernels::conv3x3::Conv3x3;
use crate::nn::kernels::pointwise::{add_assign, add_row_sums};
use candle_core::{Result, Tensor};
use std::sync::Arc;

/// How the residual blocks of a network are made.
#[derive(Debug, Clone, Copy)]
pub struct ResidualConfig {
    /// Width of the embedding of time and class.
    pub embedding: usize,
    /// Groups of the group normalisation.
    pub groups: usize,
    /// Whether the embedding scales and shifts the second norm, in place of a bias before it.
    pub scale_shift: bool,
    /// The probability that training drops a number before the second convolution.
    pub dropout: f64,
}

/// conv2(dropout(silu(norm2(conv1(silu(norm1(x))) + time(e))))) + skip(x) for images x [n, h, w, inputs] and the embedding e
/// [n, width] of each image's time and class: [n, h, w, outputs].
#[derive(Debug)]
pub struct ResidualBlock {
    layers: Arc<ResidualLayers>,
    pack: Pack,
}

#[derive(Debug)]
struct ResidualLayers {
    norm1: Norm,
    conv1: ConvLayer,
    /// From the embedding, one row for each image: to the bias of the first convolution, or to the scale and the shift of
    /// the second norm.
    time: Dense,
    scale_shift: bool,
    norm2: Norm,
    dropout: Dropout,
    conv2: ConvLayer,
    /// A 1×1 convolution where the number of channels changes.
    skip: Option<Dense>,
}

impl ResidualBlock {
    /// The block of the parameters under the builder's prefix.
    pub fn new(
        vb: &VarBuilder,
        conv: Conv3x3,
        c: ResidualConfig,
    ) -> std::result::Result<ResidualBlock, NnError> {
        let p = &mut PackBuilder::default();
        let Conv3x3 { inputs, outputs, .. } = conv;
        let second = Conv3x3 { inputs: outputs, ..conv };
        let first = Init::FanIn(9 * inputs);
        let norm1 = Norm::new(p, "norm1", inputs, c.groups);
        // Where the embedding is the bias, there is no other.
        let (conv1, projected) = match c.scale_shift {
            true => (ConvLayer::new(p, "conv1", conv, first), 2 * outputs),
            false => (ConvLayer::without_bias(p, "conv1", conv, first), outputs),
        };
        let layers = Arc::new(ResidualLayers {
            norm1,
            conv1,
            time: Dense::new(p, "time", c.embedding, projected, Init::FanIn(c.embedding)),
            scale_shift: c.scale_shift,
            norm2: Norm::new(p, "norm2", outputs, c.groups),
            dropout: Dropout::new(&vb.prefix(), c.dropout),
            conv2: ConvLayer::new(p, "conv2", second, Init::Zeros),
            skip: (inputs != outputs).then(|| Dense::new(p, "skip", inputs, outputs, Init::FanIn(inputs))),
        });
        Ok(ResidualBlock { layers, pack: std::mem::take(p).build(vb)? })
    }

    /// The block's result; `dropout` has the seed of each image's mask, or none.
    pub fn forward(&self, x: &Tensor, embedded: &Tensor, dropout: &[u64]) -> Result<Tensor> {
        if self.pack.path() == Path::Fused {
            let call = ResidualCall { layers: self.layers.clone(), dropout: dropout.to_vec() };
            return apply2(call, &self.pack, x, embedded);
        }
        let (l, pack) = (&*self.layers, &self.pack);
        let h = l.conv1.generic(pack, &l.norm1.generic(pack, x, None)?)?;
        let time = l.time.generic(pack, embedded)?;
        let h = if l.scale_shift {
            l.norm2.generic(pack, &h, Some(&time))?
        } else {
            let bias = time.unsqueeze(1)?.unsqueeze(1)?;
            l.norm2.generic(pack, &h.broadcast_add(&bias)?, None)?
        };
        let y = l.conv2.generic(pack, &l.dropout.generic(&h, dropout)?)?;
        match &l.skip {
            Some(skip) => y + skip.generic(pack, x)?,
            None => y + x,
        }
    }
}

struct ResidualCall {
    layers: Arc<ResidualLayers>,
    dropout: Vec<u64>,
}

/// What the reverse pass needs: the inputs of the convolutions and of the second norm.
struct ResidualTape {
    active1: Buffer,
    hidden: Buffer,
    active2: Buffer,
}

impl Fused<2> for ResidualCall {
    const NAME: &'static str = "residual block";
    type Tape = ResidualTape;

    fn shape(&self, [x, embedded]: [&[usize]; 2]) -> Result<Vec<usize>> {
        let conv = self.layers.conv1.conv;
        match (x, embedded) {
            (&[n, h, w, c], &[rows, _]) if rows == n && (h, w, c) == (conv.h, conv.w, conv.inputs) => {
                Ok(vec![n, h, w, conv.outputs])
            }
            _ => candle_core::bail!("a residual block {conv:?} for {x:?} and {embedded:?}"),
        }
    }

    fn forward(&self, p: View<'_>, [x, embedded]: [&[f32]; 2], keep: bool) -> (Buffer, Option<ResidualTape>) {
        let l = &*self.layers;
        let n = embedded.len() / l.time.inputs;
        let active1 = l.norm1.forward(p, x, n);
        let projected = l.time.forward(p, embedded);
        let (hidden, mut active2);
        if l.scale_shift {
            hidden = l.conv1.forward(p, &active1);
            active2 = l.norm2.forward_modulated(p, &hidden, &projected);
        } else {
            hidden = l.conv1.forward_with(p, &active1, &projected);
            active2 = l.norm2.forward(p, &hidden, n);
        }
        l.dropout.apply(&mut active2, &self.dropout);
        let mut y = match &l.skip {
            Some(skip) => skip.forward(p, x),
            None => Buffer::of(x),
        };
        l.conv2.add_forward(p, &active2, &mut y);
        (y, keep.then_some(ResidualTape { active1, hidden, active2 }))
    }

    fn backward(
        &self,
        p: View<'_>,
        [x, embedded]: [&[f32]; 2],
        tape: ResidualTape,
        dy: Buffer,
        gradient: &mut PackGradient<'_>,
        wanted: [bool; 2],
    ) -> [Option<Buffer>; 2] {
        let l = &*self.layers;
        let n = embedded.len() / l.time.inputs;
        let ResidualTape { active1, hidden, active2 } = tape;
        l.conv2.add_gradients(&active2, &dy, gradient);
        drop(active2);
        let mut dactive = l.conv2.input_gradient(p, &dy);
        l.dropout.apply(&mut dactive, &self.dropout);
        let (dhidden, dprojected);
        if l.scale_shift {
            let projected = l.time.forward(p, embedded);
            (dhidden, dprojected) = l.norm2.backward_modulated(p, &hidden, &projected, dactive, gradient);
        } else {
            dhidden = l.norm2.backward(p, &hidden, n, dactive, gradient);
            let outputs = l.conv1.conv.outputs;
            let mut sums = Buffer::zeros(n * outputs);
            if gradient.wanted() || wanted[1] {
                add_row_sums(&dhidden, outputs, &mut sums);
            }
            dprojected = sums;
        }
        l.time.add_gradients(embedded, &dprojected, gradient);
        let dembedded = wanted[1].then(|| l.time.input_gradient(p, &dprojected));
        l.conv1.add_gradients(&active1, &dhidden, gradient);
        drop(active1);
        let dactive = l.conv1.input_gradient(p, &dhidden);
        let mut dx = l.norm1.backward(p, x, n, dactive, gradient);
        match &l.skip {
            Some(skip) => {
                skip.add_gradients(x, &dy, gradient);
                skip.add_input_gradient(p, &dy, &mut dx);
            }
            None => add_assign(&mut dx, &dy),
        }
        [Some(dx), dembedded]
    }
}
