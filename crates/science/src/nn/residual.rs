//! The residual block of a U-Net (Ho 2020): two convolutions, each after group norm and SiLU, the time embedding between
//! them, and a way past both; in some levels self-attention follows.

use super::attention::{Attention, AttentionTape};
use super::buffer::Buffer;
use super::conv::Conv3x3;
use super::conv_layer::ConvLayer;
use super::dropout::Dropout;
use super::error::NnError;
use super::linear::Dense;
use super::norm::Norm;
use super::parameters::{Gradients, Init, Parameters, View};
use super::pointwise::{add_assign, add_row_sums};
use super::unet::UnetConfig;
use std::sync::Arc;

/// A residual block, with what follows it.
#[derive(Debug)]
pub struct Block {
    norm1: Norm,
    conv1: ConvLayer,
    /// From the embedding of time and class, one row for each image: to the bias of the first convolution, or to the
    /// scale and the shift of the second norm.
    time: Dense,
    scale_shift: bool,
    norm2: Norm,
    dropout: Dropout,
    conv2: ConvLayer,
    /// A 1×1 convolution where the number of channels changes.
    skip: Option<Dense>,
    attention: Option<Attention>,
}

/// What the reverse pass needs: the inputs of all layers.
#[derive(Debug)]
pub struct BlockTape {
    x: Arc<Buffer>,
    active1: Buffer,
    hidden: Buffer,
    active2: Buffer,
    attention: Option<AttentionTape>,
}

/// What all blocks are told of the n images of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    pub n: usize,
    /// The embedding of each image's time and class, [n, width].
    pub embedded: &'a [f32],
    /// The seed of each image's dropout masks; empty for none.
    pub dropout: &'a [u64],
}

impl Block {
    /// The block of the parameters that begin with `name`, in a network of this configuration.
    pub fn new(
        p: &mut Parameters,
        name: &str,
        conv: Conv3x3,
        c: &UnetConfig,
        attends: bool,
    ) -> Result<Block, NnError> {
        let at = |part: &str| format!("{name}.{part}");
        let Conv3x3 { inputs, outputs, .. } = conv;
        let second = Conv3x3 { inputs: outputs, ..conv };
        let first = Init::FanIn(9 * inputs);
        let norm1 = Norm::new(p, &at("norm1"), inputs, c.groups)?;
        // Where the embedding is the bias, there is no other.
        let (conv1, projected) = match c.scale_shift {
            true => (ConvLayer::new(p, &at("conv1"), conv, first)?, 2 * outputs),
            false => (ConvLayer::without_bias(p, &at("conv1"), conv, first)?, outputs),
        };
        Ok(Block {
            norm1,
            conv1,
            time: Dense::new(p, &at("time"), c.embedding, projected, Init::FanIn(c.embedding))?,
            scale_shift: c.scale_shift,
            norm2: Norm::new(p, &at("norm2"), outputs, c.groups)?,
            dropout: Dropout::new(name, c.dropout),
            conv2: ConvLayer::new(p, &at("conv2"), second, Init::Zeros)?,
            skip: match inputs == outputs {
                true => None,
                false => Some(Dense::new(p, &at("skip"), inputs, outputs, Init::FanIn(inputs))?),
            },
            attention: match attends {
                true => Some(Attention::new(p, &at("attention"), outputs, c.groups, c.heads)?),
                false => None,
            },
        })
    }

    /// The block's result for images x.
    pub fn forward(
        &self,
        p: View<'_>,
        told: Told<'_>,
        x: &Arc<Buffer>,
        tape: Option<&mut Vec<BlockTape>>,
    ) -> Buffer {
        let active1 = self.norm1.forward(p, x, told.n);
        let projected = self.time.forward(p, told.embedded);
        let (hidden, mut active2);
        if self.scale_shift {
            hidden = self.conv1.forward(p, &active1);
            active2 = self.norm2.forward_modulated(p, &hidden, &projected);
        } else {
            hidden = self.conv1.forward_with(p, &active1, &projected);
            active2 = self.norm2.forward(p, &hidden, told.n);
        }
        self.dropout.apply(&mut active2, told.dropout);
        let mut y = match &self.skip {
            Some(skip) => skip.forward(p, x),
            None => Buffer::of(x),
        };
        self.conv2.add_forward(p, &active2, &mut y);
        let mut attention = None;
        if let Some(layer) = &self.attention {
            (y, attention) = layer.forward(p, y, told.n, tape.is_some());
        }
        if let Some(tape) = tape {
            tape.push(BlockTape { x: x.clone(), active1, hidden, active2, attention });
        }
        y
    }

    /// The gradient of the images; adds those of the parameters and of the embeddings, these when parameters have one.
    pub fn backward(
        &self,
        p: View<'_>,
        told: Told<'_>,
        tape: BlockTape,
        dy: Buffer,
        gradients: &mut Gradients<'_>,
        dembedded: &mut [f32],
    ) -> Buffer {
        let BlockTape { x, active1, hidden, active2, attention } = tape;
        let dy = match (&self.attention, attention) {
            (Some(layer), Some(tape)) => layer.backward(p, tape, told.n, &dy, gradients),
            _ => dy,
        };
        self.conv2.add_gradients(&active2, &dy, gradients);
        drop(active2);
        let mut dactive = self.conv2.input_gradient(p, &dy);
        self.dropout.apply(&mut dactive, told.dropout);
        let (dhidden, dprojected);
        if self.scale_shift {
            let projected = self.time.forward(p, told.embedded);
            (dhidden, dprojected) = self.norm2.backward_modulated(p, &hidden, &projected, dactive, gradients);
        } else {
            dhidden = self.norm2.backward(p, &hidden, told.n, dactive, gradients);
            let outputs = self.conv1.conv.outputs;
            let mut sums = Buffer::zeros(told.n * outputs);
            if gradients.wanted() {
                add_row_sums(&dhidden, outputs, &mut sums);
            }
            dprojected = sums;
        }
        if gradients.wanted() {
            self.time.add_gradients(told.embedded, &dprojected, gradients);
            self.time.add_input_gradient(p, &dprojected, dembedded);
        }
        self.conv1.add_gradients(&active1, &dhidden, gradients);
        drop(active1);
        let dactive = self.conv1.input_gradient(p, &dhidden);
        let mut dx = self.norm1.backward(p, &x, told.n, dactive, gradients);
        match &self.skip {
            Some(skip) => {
                skip.add_gradients(&x, &dy, gradients);
                skip.add_input_gradient(p, &dy, &mut dx);
            }
            None => add_assign(&mut dx, &dy),
        }
        dx
    }
}
