//! A 3×3 convolution with its parameters.

use super::parameters::{FilterSlot, Init, Pack, PackBuilder, PackGradient, Slot, View};
use crate::nn::kernels::buffer::Buffer;
use crate::nn::kernels::conv3x3::Conv3x3;
use crate::nn::kernels::pointwise::add_row_sums;
use candle_core::{Result, Tensor};

/// The convolution of the filters `name.w` [3, 3, inputs, outputs] and, unless its bias comes from elsewhere, `name.b`.
#[derive(Debug, Clone, Copy)]
pub struct ConvLayer {
    pub conv: Conv3x3,
    w: FilterSlot,
    b: Option<Slot>,
}

impl ConvLayer {
    /// With a bias, which begins at zero.
    pub fn new(p: &mut PackBuilder, name: &str, conv: Conv3x3, init: Init) -> ConvLayer {
        let layer = ConvLayer::without_bias(p, name, conv, init);
        ConvLayer { b: Some(p.get(&format!("{name}.b"), &[conv.outputs], Init::Zeros)), ..layer }
    }

    /// Without a bias of its own.
    pub fn without_bias(p: &mut PackBuilder, name: &str, conv: Conv3x3, init: Init) -> ConvLayer {
        ConvLayer { conv, w: p.filters(&format!("{name}.w"), conv, init), b: None }
    }

    /// With filters and a bias that are called `w` and `b` alone.
    pub fn unnamed(p: &mut PackBuilder, conv: Conv3x3, init: Init) -> ConvLayer {
        let w = p.filters("w", conv, init);
        ConvLayer { conv, w, b: Some(p.get("b", &[conv.outputs], Init::Zeros)) }
    }

    /// From images x [n, h, w, inputs] to [n, h, w, outputs].
    pub fn forward(&self, p: View<'_>, x: &[f32]) -> Buffer {
        self.forward_with(p, x, self.bias(p))
    }

    /// The same with this bias in place of its own: one row for all images or one for each.
    pub fn forward_with(&self, p: View<'_>, x: &[f32], bias: &[f32]) -> Buffer {
        let mut y = Buffer::stale(x.len() / self.conv.inputs * self.conv.outputs);
        self.conv.forward(x, self.w.of(p), bias, false, &mut y);
        y
    }

    /// Adds the result to what is there.
    pub fn add_forward(&self, p: View<'_>, x: &[f32], y: &mut [f32]) {
        self.conv.forward(x, self.w.of(p), self.bias(p), true, y);
    }

    fn bias<'a>(&self, p: View<'a>) -> &'a [f32] {
        self.b.map_or(&[], |b| b.of(p.values))
    }

    /// Adds the gradients of the filters and of its own bias.
    pub fn add_gradients(&self, x: &[f32], dy: &[f32], gradients: &mut PackGradient<'_>) {
        if let Some(db) = self.b.and_then(|b| gradients.at(b)) {
            add_row_sums(dy, self.conv.outputs, db);
        }
        if let Some(dw) = gradients.at(self.w.slot) {
            self.conv.add_filter_gradient(x, dy, dw);
        }
    }

    /// The gradient of the images.
    pub fn input_gradient(&self, p: View<'_>, dy: &[f32]) -> Buffer {
        let mut dx = Buffer::stale(dy.len() / self.conv.outputs * self.conv.inputs);
        self.conv.image_gradient(dy, self.w.of(p), self.w.slot.of(p.values), &mut dx);
        dx
    }

    /// The result by candle's operations, whose images are [n, channels, h, w], for x [n, h, w, inputs].
    pub fn generic(&self, pack: &Pack, x: &Tensor) -> Result<Tensor> {
        let x = x.permute((0, 3, 1, 2))?.contiguous()?;
        let filters = pack.named(self.w.slot)?.permute((3, 2, 0, 1))?.contiguous()?;
        let y = x.conv2d(&filters, 1, 1, 1, 1)?.permute((0, 2, 3, 1))?.contiguous()?;
        match self.b {
            Some(b) => y.broadcast_add(&pack.named(b)?),
            None => Ok(y),
        }
    }
}
