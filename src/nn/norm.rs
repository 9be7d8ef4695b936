//! Group normalisation (Wu and He 2018) followed by SiLU, in one operation.

use super::pointwise::{sigmoid, vectorised};
use super::raw;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};

/// Added to the variance.
const EPSILON: f32 = 1e-5;

/// silu(γ·(x − mean)/√(var + 1e-5) + β) for x [n, ..., channels], with mean and variance over each sample's group of
/// neighbouring channels; γ and β are [channels], and `groups` divides the channels.
pub fn group_norm_silu(x: &Tensor, gamma: &Tensor, beta: &Tensor, groups: usize) -> Result<Tensor> {
    x.apply_op3(gamma, beta, GroupNormSilu { groups })
}

struct GroupNormSilu {
    groups: usize,
}

/// Adds the rows of `x` (or of x·y where y is given) channel by channel.
#[inline(always)]
fn channel_sums(x: &[f32], channels: usize, out: &mut [f32]) {
    out.fill(0.0);
    for row in x.chunks_exact(channels) {
        for (s, x) in out.iter_mut().zip(row) {
            *s += x;
        }
    }
}

/// Replaces each number by the sum over its group, times `scale`.
#[inline(always)]
fn sum_groups(numbers: &mut [f32], size: usize, scale: f32) {
    for group in numbers.chunks_exact_mut(size) {
        let sum: f32 = group.iter().fold(0.0, |sum, x| sum + x);
        group.fill(sum * scale);
    }
}

/// The mean and 1/√(var + ε) of each channel's group in one sample.
#[inline(always)]
fn statistics(x: &[f32], size: usize, mean: &mut [f32], inverse: &mut [f32]) {
    let channels = mean.len();
    let scale = 1.0 / (x.len() / channels * size) as f32;
    channel_sums(x, channels, mean);
    sum_groups(mean, size, scale);
    inverse.fill(0.0);
    for row in x.chunks_exact(channels) {
        for ((s, x), m) in inverse.iter_mut().zip(row).zip(mean.iter()) {
            *s += (x - m) * (x - m);
        }
    }
    sum_groups(inverse, size, scale);
    for s in inverse {
        *s = 1.0 / (*s + EPSILON).sqrt();
    }
}

vectorised! {
    fn forward(x: &[f32], gamma: &[f32], beta: &[f32], samples: usize, groups: usize, y: &mut [f32]) {
        let channels = gamma.len();
        let (mut mean, mut inverse) = (vec![0.0; channels], vec![0.0; channels]);
        let sample = x.len() / samples;
        for (x, y) in x.chunks_exact(sample).zip(y.chunks_exact_mut(sample)) {
            statistics(x, channels / groups, &mut mean, &mut inverse);
            for (x, y) in x.chunks_exact(channels).zip(y.chunks_exact_mut(channels)) {
                for c in 0..channels {
                    let z = (x[c] - mean[c]) * inverse[c] * gamma[c] + beta[c];
                    y[c] = z * sigmoid(z);
                }
            }
        }
    }
}

/// The arguments of the backward pass and the gradients that it fills.
struct Backward<'a> {
    x: &'a [f32],
    gamma: &'a [f32],
    beta: &'a [f32],
    dy: &'a [f32],
    samples: usize,
    groups: usize,
    dx: &'a mut [f32],
    dgamma: &'a mut [f32],
    dbeta: &'a mut [f32],
}

vectorised! {
    fn backward(b: Backward<'_>) {
        let channels = b.gamma.len();
        let sample = b.x.len() / b.samples;
        let size = b.groups_size();
        let scale = 1.0 / (sample / channels * size) as f32;
        let zeros = || vec![0.0f32; channels];
        let (mut mean, mut inverse, mut sum_dz, mut sum_dz_xhat) = (zeros(), zeros(), zeros(), zeros());
        let samples = b.x.chunks_exact(sample).zip(b.dy.chunks_exact(sample)).zip(b.dx.chunks_exact_mut(sample));
        for ((x, dy), dx) in samples {
            statistics(x, size, &mut mean, &mut inverse);
            sum_dz.fill(0.0);
            sum_dz_xhat.fill(0.0);
            // First dz = dL/d(γ x̂ + β) into dx, with its sums.
            let rows = x.chunks_exact(channels).zip(dy.chunks_exact(channels)).zip(dx.chunks_exact_mut(channels));
            for ((x, dy), dx) in rows {
                for c in 0..channels {
                    let xhat = (x[c] - mean[c]) * inverse[c];
                    let z = xhat * b.gamma[c] + b.beta[c];
                    let s = sigmoid(z);
                    let dz = dy[c] * (s * (1.0 + z * (1.0 - s)));
                    sum_dz[c] += dz;
                    sum_dz_xhat[c] += dz * xhat;
                    dx[c] = dz;
                }
            }
            for c in 0..channels {
                b.dbeta[c] += sum_dz[c];
                b.dgamma[c] += sum_dz_xhat[c];
                sum_dz[c] *= b.gamma[c];
                sum_dz_xhat[c] *= b.gamma[c];
            }
            sum_groups(&mut sum_dz, size, scale);
            sum_groups(&mut sum_dz_xhat, size, scale);
            for (x, dx) in x.chunks_exact(channels).zip(dx.chunks_exact_mut(channels)) {
                for c in 0..channels {
                    let xhat = (x[c] - mean[c]) * inverse[c];
                    dx[c] = inverse[c] * (dx[c] * b.gamma[c] - sum_dz[c] - xhat * sum_dz_xhat[c]);
                }
            }
        }
    }
}

impl Backward<'_> {
    fn groups_size(&self) -> usize {
        self.gamma.len() / self.groups
    }
}

impl CustomOp3 for GroupNormSilu {
    fn name(&self) -> &'static str {
        "group_norm_silu"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        gamma: &CpuStorage,
        lg: &Layout,
        beta: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, gamma, beta) = (raw::slice(x, lx)?, raw::slice(gamma, lg)?, raw::slice(beta, lb)?);
        let channels = gamma.len();
        if lx.dims().last() != Some(&channels) || beta.len() != channels || channels % self.groups != 0 {
            candle_core::bail!("group_norm_silu: {:?}, {channels} in {} groups", lx.dims(), self.groups);
        }
        let mut y = vec![0.0; x.len()];
        forward(x, gamma, beta, lx.dims()[0], self.groups, &mut y);
        raw::result(y, lx.shape().clone())
    }

    fn bwd(
        &self,
        x: &Tensor,
        gamma: &Tensor,
        beta: &Tensor,
        _y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let channels = gamma.elem_count();
        let (mut dx, mut dgamma, mut dbeta) =
            (vec![0.0; x.elem_count()], vec![0.0; channels], vec![0.0; channels]);
        let (gamma_values, beta_values) = (raw::values(gamma)?, raw::values(beta)?);
        raw::read(x, |x_values| {
            raw::read(dy, |dy| {
                backward(Backward {
                    x: x_values,
                    gamma: &gamma_values,
                    beta: &beta_values,
                    dy,
                    samples: x.dims()[0],
                    groups: self.groups,
                    dx: &mut dx,
                    dgamma: &mut dgamma,
                    dbeta: &mut dbeta,
                });
            })
        })??;
        Ok((
            Some(raw::tensor(dx, x.shape().clone())?),
            Some(raw::tensor(dgamma, channels)?),
            Some(raw::tensor(dbeta, channels)?),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::gradient_check::check;
    use super::*;
    use crate::random::Streams;

    #[test]
    fn gradients() {
        check(&[&[2, 3, 4, 6], &[6], &[6]], |a| group_norm_silu(&a[0], &a[1], &a[2], 3));
        check(&[&[3, 2, 2, 4], &[4], &[4]], |a| group_norm_silu(&a[0], &a[1], &a[2], 4));
    }

    /// Against the definition in f64; f32 sums of twelve numbers of size one err by less than 1e-5.
    #[test]
    fn definition() {
        let mut x = vec![0.0; 2 * 6 * 4];
        Streams::new(3, "norm test").stream(0).fill_normal(&mut x);
        let tensor = raw::tensor(x.clone(), (2, 6, 4)).unwrap();
        let gamma = raw::tensor(vec![1.0, 2.0, 0.5, -1.0], 4).unwrap();
        let beta = raw::tensor(vec![0.0, 1.0, -1.0, 0.5], 4).unwrap();
        let y = raw::values(&group_norm_silu(&tensor, &gamma, &beta, 2).unwrap()).unwrap();
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
