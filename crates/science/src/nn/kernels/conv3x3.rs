//! 3×3 convolutions of channels-last images, stride 1, zeros around the border.
//!
//! Filters of 16 channels and more on both sides go by Winograd's transform, a chunk of tiles at a time so that a chunk
//! stays in cache; a layer with fewer channels on one side (the first and the last of a network) by the patches of
//! that side.

use super::buffer::Buffer;
use super::gemm::{Left, Right, Size, multiply, transpose};
use super::pointwise::add_bias;
use super::winograd::{
    POSITIONS, Tiles, add_filter_gradients, filter_len, transform_filters, transform_gradients,
    transform_images, transform_results,
};
use std::sync::OnceLock;

/// From [n, h, w, inputs] to [n, h, w, outputs].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv3x3 {
    pub h: usize,
    pub w: usize,
    pub inputs: usize,
    pub outputs: usize,
}

/// Filters [3, 3, inputs, outputs] in the forms that the products need.
#[derive(Debug)]
pub struct Filters {
    forward: Buffer,
    /// For the gradient of the images: turned by 180°, inputs and outputs exchanged; made when it is first needed.
    backward: OnceLock<Buffer>,
}

/// The numbers of a chunk of transformed tiles that are wanted in cache.
const CHUNK: usize = 1 << 18;

impl Conv3x3 {
    /// How many images x [n, h, w, inputs] holds.
    pub fn images(self, x: &[f32]) -> usize {
        x.len() / (self.h * self.w * self.inputs)
    }

    fn winograd(self) -> bool {
        self.inputs.min(self.outputs) >= 16
    }

    fn turned(self) -> Conv3x3 {
        Conv3x3 { inputs: self.outputs, outputs: self.inputs, ..self }
    }

    /// Prepares filters; also for the gradient of the images if `backward`.
    pub fn filters(self, w: &[f32], backward: bool) -> Filters {
        let forward = if self.winograd() { self.transformed(w) } else { Buffer::of(w) };
        let filters = Filters { forward, backward: OnceLock::new() };
        if backward || !self.winograd() && self.inputs > self.outputs {
            filters.backward.get_or_init(|| self.turn(w));
        }
        filters
    }

    fn transformed(self, w: &[f32]) -> Buffer {
        let mut out = Buffer::stale(filter_len(self.inputs, self.outputs));
        transform_filters(w, self.inputs, self.outputs, &mut out);
        out
    }

    /// The filters for the gradient of the images.
    fn turn(self, w: &[f32]) -> Buffer {
        let mut turned = Buffer::stale(w.len());
        let matrix = self.inputs * self.outputs;
        for (w, out) in w.chunks_exact(matrix).zip(turned.chunks_exact_mut(matrix).rev()) {
            transpose(w, self.outputs, out);
        }
        if self.winograd() { self.turned().transformed(&turned) } else { turned }
    }

    /// y = x * w + b, or y += x * w + b: the correlation of x [n, h, w, inputs] with the filters and a bias, one row
    /// for all images, one for each, or none.
    pub fn forward(self, x: &[f32], filters: &Filters, bias: &[f32], add: bool, y: &mut [f32]) {
        if self.winograd() {
            self.by_tiles(x, &filters.forward, bias, add, y);
        } else {
            self.by_patches(x, &filters.forward, filters.backward.get(), add, y);
            if !bias.is_empty() {
                add_bias(y, bias, self.outputs);
            }
        }
    }

    /// The gradient of the images; w are the filters as they are.
    pub fn image_gradient(self, dy: &[f32], filters: &Filters, w: &[f32], dx: &mut [f32]) {
        let turned = filters.backward.get_or_init(|| self.turn(w));
        if self.winograd() {
            self.turned().by_tiles(dy, turned, &[], false, dx);
        } else {
            self.turned().by_patches(dy, turned, Some(&filters.forward), false, dx);
        }
    }

    /// Adds the gradient of the filters.
    pub fn add_filter_gradient(self, x: &[f32], dy: &[f32], dw: &mut [f32]) {
        if self.winograd() {
            self.gradient_by_tiles(x, dy, dw);
        } else {
            self.gradient_by_patches(x, dy, dw);
        }
    }

    fn tiles(self, channels: usize) -> Tiles {
        Tiles { h: self.h, w: self.w, channels }
    }

    /// The chunks of tiles of images x.
    fn chunks(self, x: &[f32]) -> impl Iterator<Item = (usize, usize)> {
        let total = self.tiles(self.inputs).count(x.len() / (self.h * self.w * self.inputs));
        let chunk = (CHUNK / (POSITIONS * (self.inputs + self.outputs))).max(32).next_multiple_of(8);
        (0..total).step_by(chunk).map(move |first| (first, chunk.min(total - first)))
    }

    fn by_tiles(self, x: &[f32], filters: &[f32], bias: &[f32], add: bool, y: &mut [f32]) {
        let (k, n) = (self.inputs, self.outputs);
        let filters = filters.chunks_exact(filters.len() / POSITIONS);
        for (first, m) in self.chunks(x) {
            let (mut a, mut c) = (Buffer::stale(POSITIONS * m * k), Buffer::stale(POSITIONS * m * n));
            transform_images(x, self.tiles(k), first, &mut a);
            let products = a.chunks_exact(m * k).zip(c.chunks_exact_mut(m * n));
            for ((a, c), w) in products.zip(filters.clone()) {
                multiply(Size { m, k, n }, Left { data: a, row: k, col: 1 }, Right::panels(w, k), c, false);
            }
            transform_results(&c, self.tiles(n), first, bias, add, y);
        }
    }

    fn gradient_by_tiles(self, x: &[f32], dy: &[f32], dw: &mut [f32]) {
        let (m, n) = (self.inputs, self.outputs);
        let mut sums = Buffer::stale(POSITIONS * m * n);
        for (first, k) in self.chunks(x) {
            let (mut a, mut b) = (Buffer::stale(POSITIONS * m * k), Buffer::stale(POSITIONS * k * n));
            transform_images(x, self.tiles(m), first, &mut a);
            transform_gradients(dy, self.tiles(n), first, &mut b);
            let products = a.chunks_exact(m * k).zip(b.chunks_exact(k * n));
            for ((a, b), sum) in products.zip(sums.chunks_exact_mut(m * n)) {
                let a = Left { data: a, row: 1, col: m };
                multiply(Size { m, k, n }, a, Right::rows(b, n), sum, first > 0);
            }
        }
        add_filter_gradients(&sums, dw);
    }

    /// With fewer inputs than outputs, the patches of x times the filters; else each pixel's contributions to its
    /// neighbours, from the turned filters.
    fn by_patches(self, x: &[f32], filters: &[f32], turned: Option<&Buffer>, add: bool, y: &mut [f32]) {
        let (k, n) = (self.inputs, self.outputs);
        let m = x.len() / k;
        if k <= n {
            let mut patches = Buffer::stale(m * 9 * k);
            self.patches(x, k, &mut patches);
            let a = Left { data: &patches, row: 9 * k, col: 1 };
            multiply(Size { m, k: 9 * k, n }, a, Right::rows(filters, n), y, add);
        } else {
            let turned = turned.expect("turned filters");
            let mut matrix = Buffer::stale(filters.len());
            transpose(turned, k, &mut matrix);
            let mut parts = Buffer::stale(m * 9 * n);
            let a = Left { data: x, row: k, col: 1 };
            multiply(Size { m, k, n: 9 * n }, a, Right::rows(&matrix, 9 * n), &mut parts, false);
            if !add {
                y.fill(0.0);
            }
            self.add_patches(&parts, n, y);
        }
    }

    fn gradient_by_patches(self, x: &[f32], dy: &[f32], dw: &mut [f32]) {
        let (inputs, outputs) = (self.inputs, self.outputs);
        let k = x.len() / inputs;
        if inputs <= outputs {
            let mut patches = Buffer::stale(k * 9 * inputs);
            self.patches(x, inputs, &mut patches);
            let a = Left { data: &patches, row: 1, col: 9 * inputs };
            let size = Size { m: 9 * inputs, k, n: outputs };
            multiply(size, a, Right::rows(dy, outputs), dw, true);
        } else {
            let mut patches = Buffer::stale(k * 9 * outputs);
            self.patches(dy, outputs, &mut patches);
            let mut turned = Buffer::stale(dw.len());
            let a = Left { data: x, row: 1, col: inputs };
            let size = Size { m: inputs, k, n: 9 * outputs };
            multiply(size, a, Right::rows(&patches, 9 * outputs), &mut turned, false);
            for (input, row) in turned.chunks_exact(9 * outputs).enumerate() {
                for (tap, values) in row.chunks_exact(outputs).rev().enumerate() {
                    for (dw, value) in dw[(tap * inputs + input) * outputs..].iter_mut().zip(values) {
                        *dw += value;
                    }
                }
            }
        }
    }

    /// Visits, for each pixel, its number, its place in the patch (ky·3 + kx), and the neighbour there.
    fn neighbours(self, n: usize, mut visit: impl FnMut(usize, usize, Option<usize>)) {
        for pixel in 0..n * self.h * self.w {
            let (y, x) = (pixel / self.w % self.h, pixel % self.w);
            for tap in 0..9 {
                let (ny, nx) = (y + tap / 3, x + tap % 3);
                let inside = (1..=self.h).contains(&ny) && (1..=self.w).contains(&nx);
                visit(pixel, tap, inside.then(|| pixel + tap / 3 * self.w + tap % 3 - self.w - 1));
            }
        }
    }

    /// The 3×3 patches of images of so many channels, [n·h·w, 9·channels].
    fn patches(self, x: &[f32], channels: usize, out: &mut [f32]) {
        let n = x.len() / (self.h * self.w * channels);
        self.neighbours(n, |pixel, tap, neighbour| {
            let out = &mut out[(pixel * 9 + tap) * channels..][..channels];
            match neighbour {
                Some(from) => out.copy_from_slice(&x[from * channels..][..channels]),
                None => out.fill(0.0),
            }
        });
    }

    /// The transpose of `patches`: adds each part of a patch to the pixel that it came from.
    fn add_patches(self, parts: &[f32], channels: usize, y: &mut [f32]) {
        let n = y.len() / (self.h * self.w * channels);
        self.neighbours(n, |pixel, tap, neighbour| {
            if let Some(to) = neighbour {
                let part = &parts[(pixel * 9 + tap) * channels..][..channels];
                for (y, part) in y[to * channels..][..channels].iter_mut().zip(part) {
                    *y += part;
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::gradient_check::{check, normal};
    use candle_core::{Device, Tensor, Var};

    fn forward(c: Conv3x3, x: &[f32], w: &[f32], b: &[f32]) -> Vec<f32> {
        let mut y = vec![0.0; x.len() / c.inputs * c.outputs];
        c.forward(x, &c.filters(w, false), b, false, &mut y);
        y
    }

    fn gradients(c: Conv3x3, x: &[f32], w: &[f32], dy: &[f32]) -> Vec<Vec<f32>> {
        let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; w.len()]);
        c.image_gradient(dy, &c.filters(w, false), w, &mut dx);
        c.add_filter_gradient(x, dy, &mut dw);
        vec![dx, dw]
    }

    const LAYERS: [Conv3x3; 5] = [
        Conv3x3 { h: 4, w: 5, inputs: 3, outputs: 2 },
        Conv3x3 { h: 3, w: 2, inputs: 2, outputs: 5 },
        Conv3x3 { h: 2, w: 7, inputs: 16, outputs: 1 },
        Conv3x3 { h: 5, w: 9, inputs: 16, outputs: 19 },
        Conv3x3 { h: 1, w: 3, inputs: 33, outputs: 48 },
    ];

    /// The layer is linear in each input, so that a large step costs nothing and rounding counts less.
    #[test]
    fn against_differences() {
        for c in LAYERS {
            let lengths = [2 * c.h * c.w * c.inputs, 9 * c.inputs * c.outputs];
            check(0.5, &lengths, |a| forward(c, &a[0], &a[1], &[]), |a, dy| gradients(c, &a[0], &a[1], dy));
        }
    }

    /// Values and gradients against candle's own convolution, which works on [n, c, h, w], with a bias for each image:
    /// up to 9·33 terms of size one in f32, and the transforms, leave errors of a few 1e-5.
    #[test]
    fn against_candle() {
        for c in LAYERS {
            let (n, device) = (3, &Device::Cpu);
            let var = |index, shape: &[usize]| {
                let values = normal(index, shape.iter().product());
                Var::from_tensor(&Tensor::from_vec(values, shape, device).unwrap()).unwrap()
            };
            let x = var(1, &[n, c.h, c.w, c.inputs]);
            let w = var(2, &[3, 3, c.inputs, c.outputs]);
            let b = var(3, &[n, c.outputs]);
            let dy = Tensor::from_vec(normal(4, n * c.h * c.w * c.outputs), (n, c.h, c.w, c.outputs), device);
            let images = x.permute((0, 3, 1, 2)).unwrap().contiguous().unwrap();
            let filters = w.permute((3, 2, 0, 1)).unwrap().contiguous().unwrap();
            let y = images.conv2d(&filters, 1, 1, 1, 1).unwrap().permute((0, 2, 3, 1)).unwrap();
            let y = y.broadcast_add(&b.reshape((n, 1, 1, c.outputs)).unwrap()).unwrap();
            let sum = (&y * dy.unwrap()).unwrap().sum_all().unwrap();
            let theirs = sum.backward().unwrap();
            let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let close = |ours: &[f32], theirs: &Tensor| {
                for (a, b) in ours.iter().zip(flat(theirs)) {
                    assert!((a - b).abs() < 2e-4 * (1.0 + b.abs()), "{c:?}: {a}, candle gives {b}");
                }
            };
            let (x_, w_, b_) = (flat(&x), flat(&w), flat(&b));
            close(&forward(c, &x_, &w_, &b_), &y);
            let ours = gradients(c, &x_, &w_, &normal(4, n * c.h * c.w * c.outputs));
            close(&ours[0], theirs.get(&x).unwrap());
            close(&ours[1], theirs.get(&w).unwrap());
        }
    }

    /// The error of Winograd's transform against sums in f64: for 64 channels, normal images and filters of variance
    /// 1/(9·64), the root mean square was 1.8e-6 and the largest of 8,192 errors 2.6e-5, for results of size one. (Plain
    /// sums in f32 err by 1e-7; the transform's matrices have entries up to 8.)
    #[test]
    fn error_of_the_transform() {
        let c = Conv3x3 { h: 8, w: 8, inputs: 64, outputs: 64 };
        let x = normal(1, 2 * 64 * 64);
        let w: Vec<f32> = normal(2, 9 * 64 * 64).iter().map(|w| w / 24.0).collect();
        let (mut square, mut largest, y) = (0.0f64, 0.0f64, forward(c, &x, &w, &[]));
        let mut exact = vec![0.0f64; y.len()];
        c.neighbours(2, |pixel, tap, neighbour| {
            for (k, out) in neighbour.into_iter().flat_map(|n| (0..64).map(move |k| (k, n * 64 + k))) {
                for o in 0..64 {
                    exact[pixel * 64 + o] += f64::from(x[out]) * f64::from(w[(tap * 64 + k) * 64 + o]);
                }
            }
        });
        for (y, exact) in y.iter().zip(&exact) {
            let error = (f64::from(*y) - exact).abs();
            square += error * error;
            largest = largest.max(error);
        }
        let rms = (square / y.len() as f64).sqrt();
        assert!(rms < 3e-6 && largest < 6e-5, "root mean square {rms:e}, largest {largest:e}");
    }
}
