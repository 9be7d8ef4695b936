//! Group normalisation (Wu and He 2018), as a rule followed by SiLU, in one operation.

use super::buffer::Buffer;
use super::error::NnError;
use super::parameters::{Gradients, Init, Parameters, Slot, View};
use super::pointwise::{add_assign, sigmoid, vectorised};

/// Added to the variance.
const EPSILON: f32 = 1e-5;

/// silu(γ·(x − mean)/√(var + 1e-5) + β) for x [n, ..., channels], with mean and variance over each sample's
/// group of neighbouring channels; γ and β are `[channels]`.
#[derive(Debug, Clone, Copy)]
pub struct Norm {
    gamma: Slot,
    beta: Slot,
    shape: Shape,
}

/// What the loops need to know beside the numbers.
#[derive(Debug, Clone, Copy)]
struct Shape {
    channels: usize,
    groups: usize,
    /// Whether SiLU follows.
    silu: bool,
}

impl Norm {
    /// The layer of the parameters `name.gamma` and `name.beta`; `groups` divides the channels.
    pub fn new(p: &mut Parameters, name: &str, channels: usize, groups: usize) -> Result<Norm, NnError> {
        let gamma = p.get(&format!("{name}.gamma"), &[channels], Init::Ones)?;
        let beta = p.get(&format!("{name}.beta"), &[channels], Init::Zeros)?;
        Ok(Norm { gamma, beta, shape: Shape { channels, groups, silu: true } })
    }

    /// The same without SiLU.
    pub fn without_activation(self) -> Norm {
        Norm { shape: Shape { silu: false, ..self.shape }, ..self }
    }

    /// The result for n samples x.
    pub fn forward(&self, p: View<'_>, x: &[f32], n: usize) -> Buffer {
        let mut y = Buffer::stale(x.len());
        forward(x, self.gamma.of(p.values), self.beta.of(p.values), n, self.shape, &mut y);
        y
    }

    /// The gradient of x; adds those of γ and β.
    pub fn backward(
        &self,
        p: View<'_>,
        x: &[f32],
        n: usize,
        mut dy: Buffer,
        gradients: &mut Gradients<'_>,
    ) -> Buffer {
        let (gamma, beta) = (self.gamma.of(p.values), self.beta.of(p.values));
        let (mut dgamma, mut dbeta) = (Buffer::zeros(gamma.len()), Buffer::zeros(gamma.len()));
        let (dx, dgamma, dbeta) = (&mut dy, &mut dgamma, &mut dbeta);
        backward(Backward { x, gamma, beta, samples: n, shape: self.shape, dx, dgamma, dbeta });
        for (slot, sums) in [(self.gamma, dgamma), (self.beta, dbeta)] {
            if let Some(gradient) = gradients.at(slot) {
                add_assign(gradient, sums);
            }
        }
        dy
    }

    /// The result with a scale and a shift for each sample and channel before SiLU: z·(1 + scale) + shift for what z is
    /// without them (Nichol and Dhariwal 2021). Rows of `modulation` are [scale, shift], 2·channels numbers.
    pub fn forward_modulated(&self, p: View<'_>, x: &[f32], modulation: &[f32]) -> Buffer {
        let (gamma, beta) = self.modulated(p, modulation);
        let mut y = Buffer::stale(x.len());
        forward(x, &gamma, &beta, gamma.len() / self.shape.channels, self.shape, &mut y);
        y
    }

    /// The gradients of x and of `modulation`; adds those of γ and β.
    pub fn backward_modulated(
        &self,
        p: View<'_>,
        x: &[f32],
        modulation: &[f32],
        mut dy: Buffer,
        gradients: &mut Gradients<'_>,
    ) -> (Buffer, Buffer) {
        let c = self.shape.channels;
        let (gammas, betas) = self.modulated(p, modulation);
        let (mut dgammas, mut dbetas) = (Buffer::zeros(gammas.len()), Buffer::zeros(gammas.len()));
        backward(Backward {
            x,
            gamma: &gammas,
            beta: &betas,
            samples: gammas.len() / c,
            shape: self.shape,
            dx: &mut dy,
            dgamma: &mut dgammas,
            dbeta: &mut dbetas,
        });
        let (gamma, beta) = (self.gamma.of(p.values), self.beta.of(p.values));
        let mut dmodulation = Buffer::stale(modulation.len());
        let rows = dgammas.chunks_exact(c).zip(dbetas.chunks_exact(c));
        for ((dgamma, dbeta), row) in rows.clone().zip(dmodulation.chunks_exact_mut(2 * c)) {
            let (dscale, dshift) = row.split_at_mut(c);
            dshift.copy_from_slice(dbeta);
            for (i, dscale) in dscale.iter_mut().enumerate() {
                *dscale = dgamma[i] * gamma[i] + dbeta[i] * beta[i];
            }
        }
        for (slot, sums) in [(self.gamma, &dgammas), (self.beta, &dbetas)] {
            if let Some(gradient) = gradients.at(slot) {
                for (sums, scales) in sums.chunks_exact(c).zip(modulation.chunks_exact(2 * c)) {
                    for ((g, sum), scale) in gradient.iter_mut().zip(sums).zip(scales) {
                        *g += sum * (1.0 + scale);
                    }
                }
            }
        }
        (dy, dmodulation)
    }

    /// γ·(1 + scale) and β·(1 + scale) + shift, a row for each sample.
    fn modulated(&self, p: View<'_>, modulation: &[f32]) -> (Buffer, Buffer) {
        let c = self.shape.channels;
        let (mut gammas, mut betas) =
            (Buffer::stale(modulation.len() / 2), Buffer::stale(modulation.len() / 2));
        let rows = gammas.chunks_exact_mut(c).zip(betas.chunks_exact_mut(c));
        for ((gammas, betas), row) in rows.zip(modulation.chunks_exact(2 * c)) {
            let (scale, shift) = row.split_at(c);
            for (i, (gamma, beta)) in self.gamma.of(p.values).iter().zip(self.beta.of(p.values)).enumerate() {
                gammas[i] = gamma * (1.0 + scale[i]);
                betas[i] = beta * (1.0 + scale[i]) + shift[i];
            }
        }
        (gammas, betas)
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
    fn forward(x: &[f32], gamma: &[f32], beta: &[f32], samples: usize, shape: Shape, y: &mut [f32]) {
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
struct Backward<'a> {
    x: &'a [f32],
    gamma: &'a [f32],
    beta: &'a [f32],
    samples: usize,
    shape: Shape,
    dx: &'a mut [f32],
    dgamma: &'a mut [f32],
    dbeta: &'a mut [f32],
}

vectorised! {
    fn backward(b: Backward<'_>) {
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

#[cfg(test)]
mod tests {
    use super::super::gradient_check::check;
    use super::*;
    use onsager_numerics::random::Streams;

    fn layer(channels: usize, groups: usize) -> (Parameters, Norm) {
        let mut p = Parameters::random(1);
        let norm = Norm::new(&mut p, "norm", channels, groups).unwrap();
        (p, norm)
    }

    /// Over the layer's input and its parameters, with SiLU and without.
    #[test]
    fn against_differences() {
        for (n, pixels, channels, groups) in [(2, 12, 6, 3), (3, 4, 4, 4), (2, 5, 64, 8)] {
            let (p, norm) = layer(channels, groups);
            for norm in [norm, norm.without_activation()] {
                check(
                    0.01,
                    &[n * pixels * channels, 2 * channels],
                    |a| norm.forward(p.prepare(&a[1]).view(&a[1]), &a[0], n).to_vec(),
                    |a, dy| {
                        let mut gradients = vec![0.0; a[1].len()];
                        let (prepared, dy) = (p.prepare(&a[1]), Buffer::of(dy));
                        let view = prepared.view(&a[1]);
                        let dx = norm.backward(view, &a[0], n, dy, &mut Gradients::of(&mut gradients));
                        vec![dx.to_vec(), gradients]
                    },
                );
            }
        }
    }

    /// The same with a scale and a shift for each sample.
    #[test]
    fn modulation_against_differences() {
        let (n, pixels, channels) = (3, 7, 6);
        let (p, norm) = layer(channels, 2);
        check(
            0.01,
            &[n * pixels * channels, 2 * channels, n * 2 * channels],
            |a| norm.forward_modulated(p.prepare(&a[1]).view(&a[1]), &a[0], &a[2]).to_vec(),
            |a, dy| {
                let mut gradients = vec![0.0; a[1].len()];
                let (prepared, dy) = (p.prepare(&a[1]), Buffer::of(dy));
                let sums = &mut Gradients::of(&mut gradients);
                let (dx, dm) = norm.backward_modulated(prepared.view(&a[1]), &a[0], &a[2], dy, sums);
                vec![dx.to_vec(), gradients, dm.to_vec()]
            },
        );
    }

    /// Against the definition in f64; f32 sums of twelve numbers of size one err by less than 1e-5. A scale of zero and a
    /// shift of zero change nothing.
    #[test]
    fn definition() {
        let mut x = vec![0.0; 2 * 6 * 4];
        Streams::new(3, "norm test").stream(0).fill_normal(&mut x);
        let (p, norm) = layer(4, 2);
        let values = [1.0, 2.0, 0.5, -1.0, 0.0, 1.0, -1.0, 0.5];
        let prepared = p.prepare(&values);
        let y = norm.forward(prepared.view(&values), &x, 2);
        assert_eq!(y[..], norm.forward_modulated(prepared.view(&values), &x, &[0.0; 16])[..]);
        let plain = norm.without_activation().forward(prepared.view(&values), &x, 2);
        let at = |i: usize, p: usize, c: usize| f64::from(x[(i * 6 + p) * 4 + c]);
        for i in 0..2 {
            for c in 0..4 {
                let group: Vec<f64> =
                    (0..6).flat_map(|p| [at(i, p, c / 2 * 2), at(i, p, c / 2 * 2 + 1)]).collect();
                let mean = group.iter().sum::<f64>() / 12.0;
                let variance = group.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / 12.0;
                for p in 0..6 {
                    let (g, b) = (f64::from(values[c]), f64::from(values[4 + c]));
                    let z = (at(i, p, c) - mean) / (variance + 1e-5).sqrt() * g + b;
                    let expected = z / (1.0 + (-z).exp());
                    assert!((f64::from(y[(i * 6 + p) * 4 + c]) - expected).abs() < 1e-5);
                    assert!((f64::from(plain[(i * 6 + p) * 4 + c]) - z).abs() < 1e-5);
                }
            }
        }
    }
}
