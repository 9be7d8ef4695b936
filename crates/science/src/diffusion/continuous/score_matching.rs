//! Denoising score matching in continuous time (Song et al. 2021, eq. 7): the mean over data x_0, times t uniform in t_min … t_max and
//! noise of λ(t) ‖s_θ(x_t, t) − ∇ ln p(x_t given x_0)‖², where the gradient is −z/σ_t for x_t = m_t x_0 + σ_t z.

use super::sde::Sde;
use crate::nn::networks::score_net::Examples;
use onsager_numerics::random::{Stream, Streams};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The weight λ(t).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Weighting {
    /// g²: the loss bounds the likelihood (Song 2021b); that of Hirono, Tanaka and Fukushima.
    #[default]
    Likelihood,
    /// σ²: as much of the noise at every time (Song 2021).
    Variance,
    /// 1.
    Uniform,
}

impl Weighting {
    /// λ(t).
    pub fn weight(self, sde: &Sde, t: f64) -> f64 {
        match self {
            Weighting::Likelihood => sde.diffusion(t),
            Weighting::Variance => sde.variance(t),
            Weighting::Uniform => 1.0,
        }
    }
}

/// Adds one example to a batch: `clean` at a random time, with the noise of `stream`.
pub fn noised(clean: &[f32], sde: &Sde, weighting: Weighting, stream: &mut Stream, batch: &mut Examples) {
    let (t_min, t_max) = sde.times();
    let t = t_min + (t_max - t_min) * stream.uniform();
    let (m, deviation) = (sde.mean(t), sde.variance(t).sqrt());
    for &x in clean {
        let z = stream.normal();
        batch.inputs.push((m * f64::from(x) + deviation * z) as f32);
        batch.targets.push((-z / deviation) as f32);
    }
    batch.inputs.push(t as f32);
    batch.weights.push(weighting.weight(sde, t) as f32);
}

/// The order in which data are used: each epoch a new permutation, its last, incomplete batch left out.
pub struct Epochs {
    streams: Streams,
    batch: usize,
    permutation: Vec<usize>,
    epoch: Option<u64>,
}

impl Epochs {
    /// `batch` ≤ `count`, both at least 1.
    pub fn new(seed: u64, count: usize, batch: usize) -> Epochs {
        let streams = Streams::new(seed, "score training order");
        Epochs {
            streams,
            batch: batch.clamp(1, count.max(1)),
            permutation: (0..count).collect(),
            epoch: None,
        }
    }

    /// The data of step `step` (from 0).
    pub fn batch(&mut self, step: u64) -> &[usize] {
        let per_epoch = (self.permutation.len() / self.batch).max(1) as u64;
        let epoch = step / per_epoch;
        if self.epoch != Some(epoch) {
            self.epoch = Some(epoch);
            self.permutation.sort_unstable();
            self.streams.stream(epoch).shuffle(&mut self.permutation);
        }
        let first = (step % per_epoch) as usize * self.batch;
        &self.permutation[first..][..self.batch]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::continuous::mixture::{Mixture, MixtureScore};
    use crate::diffusion::continuous::score::Score;
    use crate::diffusion::continuous::sde::Cosine;
    use crate::nn::kernels::lane::Lane;

    /// The targets average to the exact score: with data N(0, v), target + x_t/v_t has no correlation with x_t. The mean of n
    /// products is within 4.5 of its standard errors.
    #[test]
    fn targets_average_to_the_score() {
        let sde = Sde::Cosine(Cosine { t_min: 0.2, t_max: 0.9 });
        let score = MixtureScore { data: Mixture::<1>::normal(0.5), sde, error: 0.0 };
        let streams = Streams::new(1, "score matching");
        let mut batch = Examples::default();
        for i in 0..20_000 {
            let mut stream = streams.stream(i);
            let clean = 0.5f64.sqrt() * stream.normal();
            noised(&[clean as f32], &sde, Weighting::Likelihood, &mut stream, &mut batch);
        }
        let products: Vec<f64> = batch
            .inputs
            .chunks(2)
            .zip(&batch.targets)
            .map(|(input, &target)| {
                let [x, t] = [input[0], input[1]].map(f64::from);
                (f64::from(target) - score.score(Lane::splat(t), [Lane::splat(x)])[0][0]) * x
            })
            .collect();
        let n = products.len() as f64;
        let mean = products.iter().sum::<f64>() / n;
        let variance = products.iter().map(|p| (p - mean) * (p - mean)).sum::<f64>() / n;
        assert!(mean.abs() < 4.5 * (variance / n).sqrt(), "{mean}");
        let t = f64::from(batch.inputs[1]);
        assert!((f64::from(batch.weights[0]) / sde.diffusion(t) - 1.0).abs() < 1e-5);
    }

    /// An epoch uses no item twice; a step's batch does not depend on the steps before.
    #[test]
    fn epochs_are_permutations() {
        let mut epochs = Epochs::new(1, 10, 3);
        let mut used: Vec<usize> = (3..6).flat_map(|step| epochs.batch(step).to_vec()).collect();
        used.sort_unstable();
        used.dedup();
        assert_eq!(used.len(), 9);
        let fourth = epochs.batch(4).to_vec();
        assert_eq!(Epochs::new(1, 10, 3).batch(4), fourth);
        assert_ne!(epochs.batch(7), fourth);
    }
}
