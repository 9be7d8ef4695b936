//! The residual block of a U-Net (Ho 2020): two convolutions, each after group norm and SiLU, the time embedding added
//! between them, and a way past both.

use super::buffer::Buffer;
use super::conv::Conv3x3;
use super::error::NnError;
use super::linear::Dense;
use super::norm::Norm;
use super::operation::View;
use super::parameters::{FilterSlot, Init, Parameters, Slot};
use super::pointwise::{add_assign, add_row_sums};
use std::sync::Arc;

/// A residual block.
#[derive(Debug)]
pub struct Block {
    norm1: Norm,
    conv1: (Conv3x3, FilterSlot),
    /// From the time embedding to the bias of the first convolution, one row for each image.
    time: Dense,
    norm2: Norm,
    conv2: (Conv3x3, FilterSlot),
    bias2: Slot,
    /// A 1×1 convolution where the number of channels changes.
    skip: Option<Dense>,
}

/// What the reverse pass needs: the inputs of all layers.
#[derive(Debug)]
pub struct BlockTape {
    x: Arc<Buffer>,
    active1: Buffer,
    hidden: Buffer,
    active2: Buffer,
}

impl Block {
    /// The block of the parameters that begin with `name`, for a time embedding of width `embedding`.
    pub fn new(
        p: &mut Parameters,
        name: &str,
        conv: Conv3x3,
        groups: usize,
        embedding: usize,
    ) -> Result<Block, NnError> {
        let at = |part: &str| format!("{name}.{part}");
        let Conv3x3 { inputs, outputs, .. } = conv;
        let second = Conv3x3 { inputs: outputs, ..conv };
        Ok(Block {
            norm1: Norm::new(p, &at("norm1"), inputs, groups)?,
            conv1: (conv, p.filters(&at("conv1.w"), conv, Init::FanIn(9 * inputs))?),
            time: Dense::new(p, &at("time"), embedding, outputs, Init::FanIn(embedding))?,
            norm2: Norm::new(p, &at("norm2"), outputs, groups)?,
            conv2: (second, p.filters(&at("conv2.w"), second, Init::Zeros)?),
            bias2: p.get(&at("conv2.b"), &[outputs], Init::Zeros)?,
            skip: match inputs == outputs {
                true => None,
                false => Some(Dense::new(p, &at("skip"), inputs, outputs, Init::FanIn(inputs))?),
            },
        })
    }

    /// The block's result for n images x at the time embeddings `time` [n, embedding].
    pub fn forward(
        &self,
        p: View<'_>,
        x: &Arc<Buffer>,
        time: &[f32],
        n: usize,
        tape: Option<&mut Vec<BlockTape>>,
    ) -> Buffer {
        let (conv1, filters1) = self.conv1;
        let (conv2, filters2) = self.conv2;
        let len = n * conv2.h * conv2.w * conv2.outputs;
        let active1 = self.norm1.forward(p.values, x, n);
        let bias1 = self.time.forward(p.values, time);
        let mut hidden = Buffer::stale(len);
        conv1.forward(&active1, filters1.of(p.filters), &bias1, false, &mut hidden);
        let active2 = self.norm2.forward(p.values, &hidden, n);
        let mut y = match &self.skip {
            Some(skip) => skip.forward(p.values, x),
            None => Buffer::of(x),
        };
        conv2.forward(&active2, filters2.of(p.filters), self.bias2.of(p.values), true, &mut y);
        if let Some(tape) = tape {
            tape.push(BlockTape { x: x.clone(), active1, hidden, active2 });
        }
        y
    }

    /// The gradient of the images; adds those of the parameters and of the time embeddings.
    pub fn backward(
        &self,
        p: View<'_>,
        tape: BlockTape,
        time: &[f32],
        dy: Buffer,
        gradients: &mut [f32],
        dtime: &mut [f32],
    ) -> Buffer {
        let (conv1, filters1) = self.conv1;
        let (conv2, filters2) = self.conv2;
        let BlockTape { x, active1, hidden, active2 } = tape;
        let n = x.len() / (conv1.h * conv1.w * conv1.inputs);
        add_row_sums(&dy, conv2.outputs, self.bias2.of_mut(gradients));
        conv2.add_filter_gradient(&active2, &dy, filters2.slot.of_mut(gradients));
        drop(active2);
        let mut dactive = Buffer::stale(hidden.len());
        conv2.image_gradient(&dy, filters2.of(p.filters), &mut dactive);
        let dhidden = self.norm2.backward(p.values, &hidden, n, dactive, gradients);

        let mut dbias = Buffer::zeros(n * conv1.outputs);
        add_row_sums(&dhidden, conv1.outputs, &mut dbias);
        self.time.add_gradients(time, &dbias, gradients);
        self.time.input_gradient(p.values, &dbias, true, dtime);

        conv1.add_filter_gradient(&active1, &dhidden, filters1.slot.of_mut(gradients));
        drop(active1);
        let mut dactive = Buffer::stale(x.len());
        conv1.image_gradient(&dhidden, filters1.of(p.filters), &mut dactive);
        let mut dx = self.norm1.backward(p.values, &x, n, dactive, gradients);
        match &self.skip {
            Some(skip) => {
                skip.add_gradients(&x, &dy, gradients);
                skip.input_gradient(p.values, &dy, true, &mut dx);
            }
            None => add_assign(&mut dx, &dy),
        }
        dx
    }
}
