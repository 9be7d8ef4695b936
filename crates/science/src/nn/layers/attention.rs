//! Self-attention over the pixels of an image (Vaswani 2017; Ho 2020): after group norm, each pixel takes a mean of all,
//! and the result is added to the image.

use super::linear::Dense;
use super::norm::Norm;
use super::operation::{Fused, apply1};
use super::parameters::{Init, Pack, PackBuilder, PackGradient, Path, VarBuilder, View};
use crate::nn::error::NnError;
use crate::nn::kernels::buffer::Buffer;
use crate::nn::kernels::gemm::{Left, Right, Size, multiply, panels_len, transpose_to_panels};
use crate::nn::kernels::pointwise::add_assign;
use crate::nn::kernels::softmax::{softmax, softmax_gradient};
use candle_core::{D, Module, Result, Tensor};
use std::sync::Arc;

/// x + o(softmax(q kᵀ/√width)·v) for images x [n, h, w, channels] and each head of `width` = channels/heads, with q, k and v
/// from a 1×1 convolution of the normalised image: the parameters `norm.{gamma,beta}`, `qkv.{w,b}` (q, k and v one after the
/// other, in each the heads one after the other) and `out.{w,b}`, which begins at zero.
#[derive(Debug)]
pub struct Attention {
    layers: Arc<AttentionLayers>,
    pack: Pack,
}

#[derive(Debug)]
struct AttentionLayers {
    norm: Norm,
    qkv: Dense,
    out: Dense,
    channels: usize,
    heads: usize,
}

/// What the reverse pass needs; the weights of the means are computed again.
struct AttentionTape {
    normed: Buffer,
    qkv: Buffer,
    mixed: Buffer,
    /// How many images.
    n: usize,
}

/// One head of one image: columns of rows of numbers.
#[derive(Clone, Copy)]
struct Columns {
    row: usize,
    first: usize,
    width: usize,
}

impl Columns {
    /// These columns alone, row-major.
    fn gather(self, rows: &[f32]) -> Buffer {
        let mut out = Buffer::stale(rows.len() / self.row * self.width);
        for (row, out) in rows.chunks_exact(self.row).zip(out.chunks_exact_mut(self.width)) {
            out.copy_from_slice(&row[self.first..][..self.width]);
        }
        out
    }

    /// Puts these columns back.
    fn scatter(self, values: &[f32], rows: &mut [f32]) {
        for (row, values) in rows.chunks_exact_mut(self.row).zip(values.chunks_exact(self.width)) {
            row[self.first..][..self.width].copy_from_slice(values);
        }
    }
}

impl Attention {
    /// The layer of the parameters under the builder's prefix; `heads` and `groups` divide the channels.
    pub fn new(
        vb: &VarBuilder,
        channels: usize,
        groups: usize,
        heads: usize,
    ) -> std::result::Result<Attention, NnError> {
        let mut p = PackBuilder::default();
        let layers = Arc::new(AttentionLayers::new(&mut p, channels, groups, heads));
        Ok(Attention { layers, pack: p.build(vb)? })
    }
}

impl Module for Attention {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (n, h, w, channels) = x.dims4()?;
        let (l, pack) = (&*self.layers, &self.pack);
        if pack.path() == Path::Fused {
            return apply1(AttentionCall { layers: self.layers.clone(), n }, pack, x);
        }
        let normed = l.norm.generic(pack, x, None)?;
        let qkv = l.qkv.generic(pack, &normed)?.reshape((n, h * w, 3, l.heads, l.width()))?;
        let part = |i: usize| qkv.narrow(2, i, 1)?.squeeze(2)?.transpose(1, 2)?.contiguous();
        let (q, k, v) = (part(0)?, part(1)?, part(2)?);
        let scores = (q.matmul(&k.t()?.contiguous()?)? * f64::from(l.scale()))?;
        let mixed = candle_nn::ops::softmax(&scores, D::Minus1)?.matmul(&v)?;
        let mixed = mixed.transpose(1, 2)?.contiguous()?.reshape((n, h, w, channels))?;
        x + l.out.generic(pack, &mixed)?
    }
}

struct AttentionCall {
    layers: Arc<AttentionLayers>,
    /// How many images.
    n: usize,
}

impl Fused<1> for AttentionCall {
    const NAME: &'static str = "attention";
    type Tape = AttentionTape;

    fn shape(&self, [x]: [&[usize]; 1]) -> Result<Vec<usize>> {
        match x.last() {
            Some(&channels) if channels == self.layers.channels => Ok(x.to_vec()),
            _ => candle_core::bail!("attention of {} channels for {x:?}", self.layers.channels),
        }
    }

    fn forward(&self, p: View<'_>, [x]: [&[f32]; 1], keep: bool) -> (Buffer, Option<AttentionTape>) {
        self.layers.forward(p, x, self.n, keep)
    }

    fn backward(
        &self,
        p: View<'_>,
        [x]: [&[f32]; 1],
        tape: AttentionTape,
        dy: Buffer,
        gradient: &mut PackGradient<'_>,
        _: [bool; 1],
    ) -> [Option<Buffer>; 1] {
        [Some(self.layers.backward(p, x, tape, &dy, gradient))]
    }
}

impl AttentionLayers {
    fn new(p: &mut PackBuilder, channels: usize, groups: usize, heads: usize) -> AttentionLayers {
        AttentionLayers {
            norm: Norm::new(p, "norm", channels, groups).without_activation(),
            qkv: Dense::new(p, "qkv", channels, 3 * channels, Init::FanIn(channels)),
            out: Dense::new(p, "out", channels, channels, Init::Zeros),
            channels,
            heads,
        }
    }

    /// The result for n images x, and the tape when it is wanted.
    fn forward(&self, p: View<'_>, x: &[f32], n: usize, keep: bool) -> (Buffer, Option<AttentionTape>) {
        let normed = self.norm.forward(p, x, n);
        let qkv = self.qkv.forward(p, &normed);
        let mut mixed = Buffer::stale(x.len());
        let image = x.len() / n;
        for (qkv, mixed) in qkv.chunks_exact(3 * image).zip(mixed.chunks_exact_mut(image)) {
            for head in 0..self.heads {
                let [q, k, v] = self.parts(head).map(|part| part.gather(qkv));
                let weights = self.weights(&q, &k);
                let o = product(&weights, false, &v, self.width());
                self.mixed(head).scatter(&o, mixed);
            }
        }
        let mut y = Buffer::of(x);
        self.out.add_forward(p, &mixed, &mut y);
        (y, keep.then_some(AttentionTape { normed, qkv, mixed, n }))
    }

    /// The gradient of the images; adds those of the parameters.
    fn backward(
        &self,
        p: View<'_>,
        x: &[f32],
        tape: AttentionTape,
        dy: &[f32],
        gradients: &mut PackGradient<'_>,
    ) -> Buffer {
        let AttentionTape { normed, qkv, mixed, n } = tape;
        self.out.add_gradients(&mixed, dy, gradients);
        let dmixed = self.out.input_gradient(p, dy);
        let mut dqkv = Buffer::stale(qkv.len());
        let (image, width) = (x.len() / n, self.width());
        let images = qkv.chunks_exact(3 * image).zip(dmixed.chunks_exact(image));
        for ((qkv, dmixed), dqkv) in images.zip(dqkv.chunks_exact_mut(3 * image)) {
            for head in 0..self.heads {
                let parts = self.parts(head);
                let [q, k, v] = parts.map(|part| part.gather(qkv));
                let weights = self.weights(&q, &k);
                let d_o = self.mixed(head).gather(dmixed);
                let dv = product(&weights, true, &d_o, width);
                let mut dscores = products_of_rows(&d_o, &v, width);
                softmax_gradient(&weights, image / self.channels, self.scale(), &mut dscores);
                let dq = product(&dscores, false, &k, width);
                let dk = product(&dscores, true, &q, width);
                for (part, gradient) in parts.iter().zip([dq, dk, dv]) {
                    part.scatter(&gradient, dqkv);
                }
            }
        }
        self.qkv.add_gradients(&normed, &dqkv, gradients);
        let dnormed = self.qkv.input_gradient(p, &dqkv);
        let mut dx = self.norm.backward(p, x, n, dnormed, gradients);
        add_assign(&mut dx, dy);
        dx
    }

    fn width(&self) -> usize {
        self.channels / self.heads
    }

    fn scale(&self) -> f32 {
        1.0 / (self.width() as f32).sqrt()
    }

    /// Where q, k and v of a head lie in an image's rows.
    fn parts(&self, head: usize) -> [Columns; 3] {
        let width = self.width();
        [0, 1, 2].map(|part| Columns {
            row: 3 * self.channels,
            first: part * self.channels + head * width,
            width,
        })
    }

    /// Where a head's result lies.
    fn mixed(&self, head: usize) -> Columns {
        Columns { row: self.channels, first: head * self.width(), width: self.width() }
    }

    /// The weights of all pixels (columns) in each pixel's mean (rows).
    fn weights(&self, q: &[f32], k: &[f32]) -> Buffer {
        let width = self.width();
        let mut scores = products_of_rows(q, k, width);
        softmax(&mut scores, k.len() / width, self.scale());
        scores
    }
}

/// a·bᵀ for rows of `width` numbers.
fn products_of_rows(a: &[f32], b: &[f32], width: usize) -> Buffer {
    let (m, n) = (a.len() / width, b.len() / width);
    let mut turned = Buffer::stale(panels_len(width, n));
    transpose_to_panels(b, width, &mut turned);
    let mut out = Buffer::stale(m * n);
    let a = Left { data: a, row: width, col: 1 };
    multiply(Size { m, k: width, n }, a, Right::panels(&turned, width), &mut out, false);
    out
}

/// w·b, or wᵀ·b, for a square w and rows b of `width` numbers.
fn product(w: &[f32], transposed: bool, b: &[f32], width: usize) -> Buffer {
    let rows = b.len() / width;
    let (row, col) = if transposed { (1, rows) } else { (rows, 1) };
    let mut out = Buffer::stale(b.len());
    let size = Size { m: rows, k: rows, n: width };
    multiply(size, Left { data: w, row, col }, Right::rows(b, width), &mut out, false);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::gradient_check::check;

    /// Over the layer's input and its parameters, the scale 0.3 of which keeps the softmax away from its corners. 19 pixels
    /// are more than the lanes of a sum.
    #[test]
    fn against_differences() {
        for (n, pixels, channels, groups, heads) in [(2, 5, 4, 2, 1), (2, 19, 6, 2, 2)] {
            let mut p = PackBuilder::default();
            let layer = AttentionLayers::new(&mut p, channels, groups, heads);
            let small = |a: &[f32]| a.iter().map(|x| 0.3 * x).collect::<Vec<f32>>();
            check(
                0.01,
                &[n * pixels * channels, 6 * channels + 4 * channels * channels],
                |a| {
                    let values = small(&a[1]);
                    layer.forward(p.prepare(&values).view(&values), &a[0], n, false).0.to_vec()
                },
                |a, dy| {
                    let values = small(&a[1]);
                    let prepared = p.prepare(&values);
                    let view = prepared.view(&values);
                    let (_, tape) = layer.forward(view, &a[0], n, true);
                    let mut gradients = vec![0.0; values.len()];
                    let dx = layer.backward(
                        view,
                        &a[0],
                        tape.unwrap(),
                        dy,
                        &mut PackGradient::of(Some(&mut gradients), p.parts()),
                    );
                    vec![dx.to_vec(), small(&gradients)]
                },
            );
        }
    }
}
