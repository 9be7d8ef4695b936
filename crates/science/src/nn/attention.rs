//! Self-attention over the pixels of an image (Vaswani 2017; Ho 2020): after group norm, each pixel takes a mean of all,
//! and the result is added to the image.

use super::buffer::Buffer;
use super::error::NnError;
use super::gemm::{Left, Right, Size, multiply, panels_len, transpose_to_panels};
use super::linear::Dense;
use super::norm::Norm;
use super::parameters::{Gradients, Init, Parameters, View};
use super::pointwise::{add_assign, exp, vectorised};

/// x + o(softmax(q kᵀ/√width)·v) for each head of `width` = channels/heads, with q, k and v from a 1×1 convolution of the
/// normalised image: the parameters `name.norm.{gamma,beta}`, `name.qkv.{w,b}` (q, k and v one after the other, in each the
/// heads one after the other) and `name.out.{w,b}`, which begins at zero.
#[derive(Debug)]
pub struct Attention {
    norm: Norm,
    qkv: Dense,
    out: Dense,
    channels: usize,
    heads: usize,
}

/// What the reverse pass needs; the weights of the means are computed again.
#[derive(Debug)]
pub struct AttentionTape {
    x: Buffer,
    normed: Buffer,
    qkv: Buffer,
    mixed: Buffer,
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
    /// The layer of the parameters that begin with `name`; `heads` and `groups` divide the channels.
    pub fn new(
        p: &mut Parameters,
        name: &str,
        channels: usize,
        groups: usize,
        heads: usize,
    ) -> Result<Attention, NnError> {
        let at = |part: &str| format!("{name}.{part}");
        Ok(Attention {
            norm: Norm::new(p, &at("norm"), channels, groups)?.without_activation(),
            qkv: Dense::new(p, &at("qkv"), channels, 3 * channels, Init::FanIn(channels))?,
            out: Dense::new(p, &at("out"), channels, channels, Init::Zeros)?,
            channels,
            heads,
        })
    }

    /// The result for n images x, and the tape when it is wanted.
    pub fn forward(&self, p: View<'_>, x: Buffer, n: usize, keep: bool) -> (Buffer, Option<AttentionTape>) {
        let normed = self.norm.forward(p, &x, n);
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
        let mut y = Buffer::of(&x);
        self.out.add_forward(p, &mixed, &mut y);
        (y, keep.then_some(AttentionTape { x, normed, qkv, mixed }))
    }

    /// The gradient of the images; adds those of the parameters.
    pub fn backward(
        &self,
        p: View<'_>,
        tape: AttentionTape,
        n: usize,
        dy: &[f32],
        gradients: &mut Gradients<'_>,
    ) -> Buffer {
        let AttentionTape { x, normed, qkv, mixed } = tape;
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
        let mut dx = self.norm.backward(p, &x, n, dnormed, gradients);
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

/// Sums run in so many lanes, so that they are the same at every kernel level.
const LANES: usize = 16;

/// Σ f(row, i), or any other fold of all i, by lanes.
macro_rules! by_lanes {
    ($len:expr, $start:expr, $fold:expr, |$i:ident| $term:expr) => {{
        let mut lanes = [$start; LANES];
        let whole = $len - $len % LANES;
        let mut first = 0;
        while first < whole {
            for lane in 0..LANES {
                let $i = first + lane;
                lanes[lane] = $fold(lanes[lane], $term);
            }
            first += LANES;
        }
        for lane in 0..$len - whole {
            let $i = whole + lane;
            lanes[lane] = $fold(lanes[lane], $term);
        }
        let mut total = lanes[0];
        for lane in 1..LANES {
            total = $fold(total, lanes[lane]);
        }
        total
    }};
}

#[inline(always)]
fn sum(a: f32, b: f32) -> f32 {
    a + b
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

vectorised! {
    /// softmax(`scale`·x) of each row of `width` numbers, in place.
    fn softmax(rows: &mut [f32], width: usize, scale: f32) {
        for row in rows.chunks_exact_mut(width) {
            let largest = by_lanes!(width, f32::NEG_INFINITY, larger, |i| row[i]);
            for x in row.iter_mut() {
                *x = exp((*x - largest) * scale);
            }
            let total = by_lanes!(width, 0.0, sum, |i| row[i]);
            let inverse = 1.0 / total;
            for x in row.iter_mut() {
                *x *= inverse;
            }
        }
    }
}

vectorised! {
    /// From dw = dL/d softmax(`scale`·x), and w the softmax, to dL/dx, in place.
    fn softmax_gradient(w: &[f32], width: usize, scale: f32, dw: &mut [f32]) {
        for (w, dw) in w.chunks_exact(width).zip(dw.chunks_exact_mut(width)) {
            let mean = by_lanes!(width, 0.0, sum, |i| w[i] * dw[i]);
            for (w, dw) in w.iter().zip(dw) {
                *dw = scale * w * (*dw - mean);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::gradient_check::{check, normal};
    use super::*;

    /// Over the layer's input and its parameters, the scale 0.3 of which keeps the softmax away from its corners. 19 pixels
    /// are more than the lanes of a sum.
    #[test]
    fn against_differences() {
        for (n, pixels, channels, groups, heads) in [(2, 5, 4, 2, 1), (2, 19, 6, 2, 2)] {
            let mut p = Parameters::random(1);
            let layer = Attention::new(&mut p, "a", channels, groups, heads).unwrap();
            let small = |a: &[f32]| a.iter().map(|x| 0.3 * x).collect::<Vec<f32>>();
            check(
                0.01,
                &[n * pixels * channels, 6 * channels + 4 * channels * channels],
                |a| {
                    let values = small(&a[1]);
                    layer.forward(p.prepare(&values).view(&values), Buffer::of(&a[0]), n, false).0.to_vec()
                },
                |a, dy| {
                    let values = small(&a[1]);
                    let prepared = p.prepare(&values);
                    let view = prepared.view(&values);
                    let (_, tape) = layer.forward(view, Buffer::of(&a[0]), n, true);
                    let mut gradients = vec![0.0; values.len()];
                    let dx = layer.backward(view, tape.unwrap(), n, dy, &mut Gradients::of(&mut gradients));
                    vec![dx.to_vec(), small(&gradients)]
                },
            );
        }
    }

    /// Against sums in f64, to the rounding of a few operations in f32: also with scores far beyond what an exponential can
    /// hold, where the weights go to one pixel.
    #[test]
    fn softmax_is_accurate() {
        for size in [1.0, 500.0] {
            let x: Vec<f32> = normal(3, 3 * 37).iter().map(|x| size * x).collect();
            let mut y = x.clone();
            softmax(&mut y, 37, 0.5);
            for (x, y) in x.chunks_exact(37).zip(y.chunks_exact(37)) {
                let largest = x.iter().fold(f64::NEG_INFINITY, |m, &x| m.max(f64::from(x)));
                let terms: Vec<f64> = x.iter().map(|&x| (0.5 * (f64::from(x) - largest)).exp()).collect();
                let total: f64 = terms.iter().sum();
                for (y, term) in y.iter().zip(&terms) {
                    let exact = term / total;
                    // The scaled difference is rounded to its 24 bits before the exponential; below e⁻⁸⁷ it stays there.
                    let digits = 1e-6 * (4.0 - exact.max(1e-38).ln());
                    let error = (f64::from(*y) - exact).abs();
                    assert!(error < digits * exact + 1e-36, "{y}, {exact}");
                }
            }
        }
    }
}
