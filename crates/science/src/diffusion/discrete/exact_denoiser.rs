//! The exact noise of a mixture of Gaussians: ε = −√(1 − ᾱ_t) ∇ ln p_t(x).

use super::denoiser::{Denoiser, Differentiable};
use super::schedule::Schedule;
use crate::diffusion::continuous::mixture::{Component, Density, LogDensity, Mixture};
use crate::nn::kernels::lane::{LANES, side_by_side};
use std::convert::Infallible;

/// The denoiser of data whose law is known.
#[derive(Debug, Clone, PartialEq)]
pub struct ExactDenoiser<const D: usize> {
    /// The law of the data.
    pub data: Mixture<D>,
    pub schedule: Schedule,
}

impl<const D: usize> ExactDenoiser<D> {
    /// The law of x_t.
    pub fn at(&self, t: usize) -> Mixture<D> {
        let bar = self.schedule.alpha_bar(t);
        let moved = |c: &Component<D>| Component {
            weight: c.weight,
            mean: c.mean.map(|x| bar.sqrt() * x),
            variance: bar * c.variance + 1.0 - bar,
        };
        Mixture { components: self.data.components.iter().map(moved).collect() }
    }

    /// Calls `each` with the row, its number among the eight of its group, −√(1 − ᾱ) and the group's derivatives.
    fn rows(&self, x: &[f32], t: &[usize], mut each: impl FnMut(usize, usize, f64, &LogDensity<D>)) {
        let mut row = 0;
        for same in t.chunk_by(|a, b| a == b) {
            let law = self.at(same[0]);
            let factor = -(1.0 - self.schedule.alpha_bar(same[0])).sqrt();
            for group in same.chunks(LANES) {
                let point = |i: usize| std::array::from_fn(|d| f64::from(x[(row + i) * D + d]));
                let points: Vec<[f64; D]> = (0..group.len()).map(point).collect();
                let found = law.logarithm(side_by_side(&points));
                (0..group.len()).for_each(|i| each(row + i, i, factor, &found));
                row += group.len();
            }
        }
    }
}

impl<const D: usize> Denoiser for ExactDenoiser<D> {
    type Error = Infallible;

    fn noise(&self, x: &[f32], t: &[usize]) -> Result<Vec<f32>, Infallible> {
        let mut noise = Vec::with_capacity(x.len());
        self.rows(x, t, |_, i, factor, law| {
            noise.extend(law.gradient.iter().map(|g| (factor * g[i]) as f32));
        });
        Ok(noise)
    }
}

impl<const D: usize> Differentiable for ExactDenoiser<D> {
    fn pull_back(
        &self,
        x: &[f32],
        t: &[usize],
        cotangent: &mut dyn FnMut(&[f32]) -> Vec<f32>,
    ) -> Result<(Vec<f32>, Vec<f32>), Infallible> {
        let noise = self.noise(x, t)?;
        let c = cotangent(&noise);
        let mut back = Vec::with_capacity(x.len());
        self.rows(x, t, |row, i, factor, law| {
            let of = |d: usize| (0..D).map(|k| law.hessian[k][d][i] * f64::from(c[row * D + k])).sum::<f64>();
            back.extend((0..D).map(|d| (factor * of(d)) as f32));
        });
        Ok((noise, back))
    }
}
