//! Group normalisation (Wu and He 2018) and the SiLU after it, for channels-last samples, forward and in reverse.

use super::pointwise::{sigmoid, vectorised};

/// Added to the variance.
pub const EPSILON: f32 = 1e-5;

/// What the loops need to know beside the numbers.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub channels: usize,
    pub groups: usize,
    /// Whether SiLU follows.
    pub silu: bool,
}

/// Several pixels are taken as one row of about this length, so that the loops over it fill vector registers.
const ROW: usize = 128;

/// A vector of one number for each channel, repeated to the length of a row.
fn row_of(channels: usize, repeats: usize) -> Vec<f32> {
    vec![0.0; channels * repeats]
}

fn repeats(channels: usize) -> usize {
    (ROW / channels).max(1)
}

/// The row of sample i out of one for each sample or one for all, repeated.
#[inline(always)]
fn repeat_row(numbers: &[f32], i: usize, channels: usize, row: &mut [f32]) {
    let at = if numbers.len() > channels { i * channels } else { 0 };
    for part in row.chunks_exact_mut(channels) {
        part.copy_from_slice(&numbers[at..][..channels]);
    }
}

/// Adds up the repeats of each channel, in order, into the first of them.
#[inline(always)]
fn fold_repeats(row: &mut [f32], channels: usize) {
    let (first, rest) = row.split_at_mut(channels);
    for part in rest.chunks_exact(channels) {
        for (s, x) in first.iter_mut().zip(part) {
            *s += x;
        }
    }
}

/// Replaces the number of each channel by the sum over its group of `size` channels times `scale`, in every
/// repeat.
#[inline(always)]
fn sum_groups(row: &mut [f32], channels: usize, size: usize, scale: f32) {
    let (first, rest) = row.split_at_mut(channels);
    for group in first.chunks_exact_mut(size) {
        let sum: f32 = group.iter().fold(0.0, |sum, x| sum + x);
        group.fill(sum * scale);
    }
    for part in rest.chunks_exact_mut(channels) {
        part.copy_from_slice(first);
    }
}

/// The mean and 1/√(var + ε) of each channel's group in one sample, as rows.
#[inline(always)]
fn statistics(x: &[f32], channels: usize, size: usize, mean: &mut [f32], inverse: &mut [f32]) {
    let scale = 1.0 / (x.len() / channels * size) as f32;
    mean.fill(0.0);
    for row in x.chunks(mean.len()) {
        for (s, x) in mean.iter_mut().zip(row) {
            *s += x;
        }
    }
    fold_repeats(mean, channels);
    sum_groups(mean, channels, size, scale);
    inverse.fill(0.0);
    for row in x.chunks(mean.len()) {
        for ((s, x), m) in inverse.iter_mut().zip(row).zip(mean.iter()) {
            *s += (x - m) * (x - m);
        }
    }
    fold_repeats(inverse, channels);
    sum_groups(inverse, channels, size, scale);
    for s in inverse {
        *s = 1.0 / (*s + EPSILON).sqrt();
    }
}

vectorised! {
    /// The result y for samples x; γ and β are one row for all samples or one for each.
    pub fn forward(x: &[f32], gamma: &[f32], beta: &[f32], samples: usize, shape: Shape, y: &mut [f32]) {
        let Shape { channels, groups, silu } = shape;
        let row = || row_of(channels, repeats(channels));
        let (mut mean, mut inverse, mut gammas, mut betas) = (row(), row(), row(), row());
        let sample = x.len() / samples;
        for (i, (x, y)) in x.chunks_exact(sample).zip(y.chunks_exact_mut(sample)).enumerate() {
            repeat_row(gamma, i, channels, &mut gammas);
            repeat_row(beta, i, channels, &mut betas);
            statistics(x, channels, channels / groups, &mut mean, &mut inverse);
            for (x, y) in x.chunks(mean.len()).zip(y.chunks_mut(mean.len())) {
                let n = x.len();
                let (mean, inverse, gamma, beta) = (&mean[..n], &inverse[..n], &gammas[..n], &betas[..n]);
                let y = &mut y[..n];
                if silu {
                    for i in 0..n {
                        let z = (x[i] - mean[i]) * inverse[i] * gamma[i] + beta[i];
                        y[i] = z * sigmoid(z);
                    }
                } else {
                    for i in 0..n {
                        y[i] = (x[i] - mean[i]) * inverse[i] * gamma[i] + beta[i];
                    }
                }
            }
        }
    }
}

/// The arguments of the backward pass and the gradients that it fills; `dx` comes in as dy. γ and β are one row for all
/// samples or one for each, and so are their gradients.
pub struct Backward<'a> {
    pub x: &'a [f32],
    pub gamma: &'a [f32],
    pub beta: &'a [f32],
    pub samples: usize,
    pub shape: Shape,
    pub dx: &'a mut [f32],
    pub dgamma: &'a mut [f32],
    pub dbeta: &'a mut [f32],
}

vectorised! {
    /// The gradients of x, γ and β.
    pub fn backward(b: Backward<'_>) {
        let Shape { channels, groups, silu } = b.shape;
        let size = channels / groups;
        let sample = b.x.len() / b.samples;
        let scale = 1.0 / (sample / channels * size) as f32;
        let zeros = || row_of(channels, repeats(channels));
        let (mut mean, mut inverse, mut sum_dz, mut sum_dz_xhat) = (zeros(), zeros(), zeros(), zeros());
        let (mut gamma, mut beta) = (zeros(), zeros());
        let row = gamma.len();
        let samples = b.x.chunks_exact(sample).zip(b.dx.chunks_exact_mut(sample));
        for (i, (x, dx)) in samples.enumerate() {
            repeat_row(b.gamma, i, channels, &mut gamma);
            repeat_row(b.beta, i, channels, &mut beta);
            statistics(x, channels, size, &mut mean, &mut inverse);
            sum_dz.fill(0.0);
            sum_dz_xhat.fill(0.0);
            // First dz = dL/d(γ x̂ + β) into dx, with its sums.
            for (x, dx) in x.chunks(row).zip(dx.chunks_mut(row)) {
                let n = x.len();
                let dx = &mut dx[..n];
                let (mean, inverse, gamma, beta) = (&mean[..n], &inverse[..n], &gamma[..n], &beta[..n]);
                let (sum_dz, sum_dz_xhat) = (&mut sum_dz[..n], &mut sum_dz_xhat[..n]);
                if silu {
                    for i in 0..n {
                        let xhat = (x[i] - mean[i]) * inverse[i];
                        let z = xhat * gamma[i] + beta[i];
                        let s = sigmoid(z);
                        let dz = dx[i] * (s * (1.0 + z * (1.0 - s)));
                        sum_dz[i] += dz;
                        sum_dz_xhat[i] += dz * xhat;
                        dx[i] = dz;
                    }
                } else {
                    for i in 0..n {
                        sum_dz[i] += dx[i];
                        sum_dz_xhat[i] += dx[i] * ((x[i] - mean[i]) * inverse[i]);
                    }
                }
            }
            fold_repeats(&mut sum_dz, channels);
            fold_repeats(&mut sum_dz_xhat, channels);
            let at = if b.gamma.len() > channels { i * channels } else { 0 };
            let (dgamma, dbeta) = (&mut b.dgamma[at..][..channels], &mut b.dbeta[at..][..channels]);
            for c in 0..channels {
                dbeta[c] += sum_dz[c];
                dgamma[c] += sum_dz_xhat[c];
                sum_dz[c] *= gamma[c];
                sum_dz_xhat[c] *= gamma[c];
            }
            sum_groups(&mut sum_dz, channels, size, scale);
            sum_groups(&mut sum_dz_xhat, channels, size, scale);
            for (x, dx) in x.chunks(row).zip(dx.chunks_mut(row)) {
                let n = x.len();
                let (dx, mean, inverse, gamma) = (&mut dx[..n], &mean[..n], &inverse[..n], &gamma[..n]);
                let (sum_dz, sum_dz_xhat) = (&sum_dz[..n], &sum_dz_xhat[..n]);
                for i in 0..n {
                    let xhat = (x[i] - mean[i]) * inverse[i];
                    dx[i] = inverse[i] * (dx[i] * gamma[i] - sum_dz[i] - xhat * sum_dz_xhat[i]);
                }
            }
        }
    }
}
