//! Group normalisation (Wu and He 2018) followed by SiLU, in one operation.

use super::buffer::Buffer;
use super::error::NnError;
use super::parameters::{Init, Parameters, Slot};
use super::pointwise::{add_assign, sigmoid, vectorised};

/// Added to the variance.
const EPSILON: f32 = 1e-5;

/// silu(γ·(x − mean)/√(var + 1e-5) + β) for x [n, ..., channels], with mean and variance over each sample's
/// group of neighbouring channels; γ and β are `[channels]`.
#[derive(Debug, Clone, Copy)]
pub struct Norm {
    gamma: Slot,
    beta: Slot,
    groups: usize,
}

impl Norm {
    /// The layer of the parameters `name.gamma` and `name.beta`; `groups` divides the channels.
    pub fn new(p: &mut Parameters, name: &str, channels: usize, groups: usize) -> Result<Norm, NnError> {
        let gamma = p.get(&format!("{name}.gamma"), &[channels], Init::Ones)?;
        Ok(Norm { gamma, beta: p.get(&format!("{name}.beta"), &[channels], Init::Zeros)?, groups })
    }

    /// The result for n samples x.
    pub fn forward(&self, parameters: &[f32], x: &[f32], n: usize) -> Buffer {
        let mut y = Buffer::stale(x.len());
        forward(x, self.gamma.of(parameters), self.beta.of(parameters), n, self.groups, &mut y);
        y
    }

    /// The gradient of x; adds those of γ and β.
    pub fn backward(
        &self,
        parameters: &[f32],
        x: &[f32],
        n: usize,
        mut dy: Buffer,
        gradients: &mut [f32],
    ) -> Buffer {
        let gamma = self.gamma.of(parameters);
        let (mut dgamma, mut dbeta) = (Buffer::zeros(gamma.len()), Buffer::zeros(gamma.len()));
        backward(Backward {
            x,
            gamma,
            beta: self.beta.of(parameters),
            samples: n,
            groups: self.groups,
            dx: &mut dy,
            dgamma: &mut dgamma,
            dbeta: &mut dbeta,
        });
        add_assign(self.gamma.of_mut(gradients), &dgamma);
        add_assign(self.beta.of_mut(gradients), &dbeta);
        dy
    }
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

fn repeat(numbers: &[f32]) -> Vec<f32> {
    numbers.repeat(repeats(numbers.len()))
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
    fn forward(x: &[f32], gamma: &[f32], beta: &[f32], samples: usize, groups: usize, y: &mut [f32]) {
        let channels = gamma.len();
        let (gamma, beta) = (repeat(gamma), repeat(beta));
        let (mut mean, mut inverse) = (gamma.clone(), gamma.clone());
        let sample = x.len() / samples;
        for (x, y) in x.chunks_exact(sample).zip(y.chunks_exact_mut(sample)) {
            statistics(x, channels, channels / groups, &mut mean, &mut inverse);
            for (x, y) in x.chunks(mean.len()).zip(y.chunks_mut(mean.len())) {
                let n = x.len();
                let (y, mean, inverse, gamma, beta) =
                    (&mut y[..n], &mean[..n], &inverse[..n], &gamma[..n], &beta[..n]);
                for i in 0..n {
                    let z = (x[i] - mean[i]) * inverse[i] * gamma[i] + beta[i];
                    y[i] = z * sigmoid(z);
                }
            }
        }
    }
}

/// The arguments of the backward pass and the gradients that it fills; `dx` comes in as dy.
struct Backward<'a> {
    x: &'a [f32],
    gamma: &'a [f32],
    beta: &'a [f32],
    samples: usize,
    groups: usize,
    dx: &'a mut [f32],
    dgamma: &'a mut [f32],
    dbeta: &'a mut [f32],
}

vectorised! {
    fn backward(b: Backward<'_>) {
        let channels = b.gamma.len();
        let size = channels / b.groups;
        let sample = b.x.len() / b.samples;
        let scale = 1.0 / (sample / channels * size) as f32;
        let (gamma, beta) = (repeat(b.gamma), repeat(b.beta));
        let zeros = || row_of(channels, repeats(channels));
        let (mut mean, mut inverse, mut sum_dz, mut sum_dz_xhat) = (zeros(), zeros(), zeros(), zeros());
        let row = gamma.len();
        let samples = b.x.chunks_exact(sample).zip(b.dx.chunks_exact_mut(sample));
        for (x, dx) in samples {
            statistics(x, channels, size, &mut mean, &mut inverse);
            sum_dz.fill(0.0);
            sum_dz_xhat.fill(0.0);
            // First dz = dL/d(γ x̂ + β) into dx, with its sums.
            for (x, dx) in x.chunks(row).zip(dx.chunks_mut(row)) {
                let n = x.len();
                let dx = &mut dx[..n];
                let (mean, inverse, gamma, beta) = (&mean[..n], &inverse[..n], &gamma[..n], &beta[..n]);
                let (sum_dz, sum_dz_xhat) = (&mut sum_dz[..n], &mut sum_dz_xhat[..n]);
                for i in 0..n {
                    let xhat = (x[i] - mean[i]) * inverse[i];
                    let z = xhat * gamma[i] + beta[i];
                    let s = sigmoid(z);
                    let dz = dx[i] * (s * (1.0 + z * (1.0 - s)));
                    sum_dz[i] += dz;
                    sum_dz_xhat[i] += dz * xhat;
                    dx[i] = dz;
                }
            }
            fold_repeats(&mut sum_dz, channels);
            fold_repeats(&mut sum_dz_xhat, channels);
            for c in 0..channels {
                b.dbeta[c] += sum_dz[c];
                b.dgamma[c] += sum_dz_xhat[c];
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

#[cfg(test)]
mod tests {
    use super::super::gradient_check::check;
    use super::*;
    use crate::random::Streams;

    fn layer(channels: usize, groups: usize) -> Norm {
        Norm::new(&mut Parameters::random(1), "norm", channels, groups).unwrap()
    }

    /// Over the layer's input and its parameters.
    #[test]
    fn against_differences() {
        for (n, pixels, channels, groups) in [(2, 12, 6, 3), (3, 4, 4, 4), (2, 5, 64, 8)] {
            let norm = layer(channels, groups);
            check(
                0.01,
                &[n * pixels * channels, 2 * channels],
                |a| norm.forward(&a[1], &a[0], n).to_vec(),
                |a, dy| {
                    let mut gradients = vec![0.0; a[1].len()];
                    let dx = norm.backward(&a[1], &a[0], n, Buffer::of(dy), &mut gradients);
                    vec![dx.to_vec(), gradients]
                },
            );
        }
    }

    /// Against the definition in f64; f32 sums of twelve numbers of size one err by less than 1e-5.
    #[test]
    fn definition() {
        let mut x = vec![0.0; 2 * 6 * 4];
        Streams::new(3, "norm test").stream(0).fill_normal(&mut x);
        let y = layer(4, 2).forward(&[1.0, 2.0, 0.5, -1.0, 0.0, 1.0, -1.0, 0.5], &x, 2);
        let at = |i: usize, p: usize, c: usize| f64::from(x[(i * 6 + p) * 4 + c]);
        for i in 0..2 {
            for c in 0..4 {
                let group: Vec<f64> =
                    (0..6).flat_map(|p| [at(i, p, c / 2 * 2), at(i, p, c / 2 * 2 + 1)]).collect();
                let mean = group.iter().sum::<f64>() / 12.0;
                let variance = group.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 12.0;
                for p in 0..6 {
                    let (g, b) = ([1.0, 2.0, 0.5, -1.0][c], [0.0, 1.0, -1.0, 0.5][c]);
                    let z = (at(i, p, c) - mean) / (variance + 1e-5).sqrt() * g + b;
                    let expected = z / (1.0 + (-z).exp());
                    assert!((f64::from(y[(i * 6 + p) * 4 + c]) - expected).abs() < 1e-5);
                }
            }
        }
    }
}
