//! What a sampler needs of a model: the noise in a batch, at the points of a schedule; and where it gets its own noise.

use super::schedule::{Schedule, Spacing};
use onsager_numerics::random::Streams;

/// What a denoiser says of a batch [n, d].
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// ε_θ [n, d].
    pub noise: Vec<f32>,
    /// v [n, d] of a learned variance, −1 to 1 for exp(v' ln β + (1 − v') ln β̃) with v' = (v + 1)/2.
    pub variance: Option<Vec<f32>>,
    /// s ∇ ln p(y given x_t) [n, d], the pull of a classifier.
    pub guidance: Option<Vec<f32>>,
}

/// Predicts the noise in a batch.
pub trait Denoiser: Sync {
    type Error: Send;

    /// ε_θ(x, t) for x [n, d] (row-major, n = `t.len()`), at the steps t (1 … T) of each row.
    fn noise(&self, x: &[f32], t: &[usize]) -> Result<Vec<f32>, Self::Error>;

    /// The noise and what else the denoiser knows.
    fn prediction(&self, x: &[f32], t: &[usize]) -> Result<Prediction, Self::Error> {
        Ok(Prediction { noise: self.noise(x, t)?, variance: None, guidance: None })
    }
}

/// A denoiser whose noise can be differentiated by x.
pub trait Differentiable: Denoiser {
    /// The noise ε [n, d] of x and J_εᵀ c [n, d], where c [n, d] is what `cotangent` makes of ε and J_ε is each row's ∂ε/∂x.
    fn pull_back(
        &self,
        x: &[f32],
        t: &[usize],
        cotangent: &mut dyn FnMut(&[f32]) -> Vec<f32>,
    ) -> Result<(Vec<f32>, Vec<f32>), Self::Error>;
}

/// Why sampling failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SamplingError<E> {
    /// The denoiser failed, or the sampling was stopped.
    #[error("{0}")]
    Denoiser(E),
    #[error(
        "the model predicts no variance: sample it with `beta` or `beta-tilde`, or train it with a learned variance"
    )]
    NoVariance,
}

/// A point in the noise of a model: its step and ᾱ there. The end, ᾱ = 1, has t = 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Node {
    pub t: usize,
    pub alpha_bar: f64,
}

impl Node {
    /// The retained steps from noise to data, and then t = 0.
    pub fn list(schedule: &Schedule, spacing: Spacing, steps: usize) -> Vec<Node> {
        let retained = spacing.retained(schedule, steps);
        retained.iter().rev().chain(&[0]).map(|&t| Node { t, alpha_bar: schedule.alpha_bar(t) }).collect()
    }

    /// ½ ln(ᾱ/(1 − ᾱ)), half the logarithm of the signal-to-noise ratio.
    pub fn log_snr(&self) -> f64 {
        0.5 * libm::log(self.alpha_bar / (1.0 - self.alpha_bar))
    }

    /// x̂_0 and ε [n, d] at this node; with `clip`, x̂_0 is cut to [−1, 1] and ε is what goes with it. Guidance shifts ε by
    /// −√(1 − ᾱ) s ∇ ln p(y given x_t) (Dhariwal and Nichol 2021, algorithm 2).
    pub fn clean_and_noise<D: Denoiser>(
        &self,
        denoiser: &D,
        x: &[f64],
        count: usize,
        clip: bool,
    ) -> Result<(Vec<f64>, Vec<f64>), SamplingError<D::Error>> {
        let p = denoiser.prediction(&rounded(x), &vec![self.t; count]).map_err(SamplingError::Denoiser)?;
        let (signal, spread) = (self.alpha_bar.sqrt(), (1.0 - self.alpha_bar).sqrt());
        let mut noise: Vec<f64> = p.noise.iter().map(|&e| f64::from(e)).collect();
        if let Some(guidance) = &p.guidance {
            noise.iter_mut().zip(guidance).for_each(|(e, &g)| *e -= spread * f64::from(g));
        }
        let mut clean: Vec<f64> = x.iter().zip(&noise).map(|(x, e)| (x - spread * e) / signal).collect();
        if clip {
            for ((clean, e), x) in clean.iter_mut().zip(&mut noise).zip(x) {
                if clean.abs() > 1.0 {
                    *clean = clean.clamp(-1.0, 1.0);
                    *e = (x - signal * *clean) / spread;
                }
            }
        }
        Ok((clean, noise))
    }
}

/// Where a batch of samples gets its noise.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    pub streams: &'a Streams,
    /// The index of the batch's first sample among all samples.
    pub first: usize,
    /// The number of samples.
    pub count: usize,
    /// The numbers of one sample.
    pub size: usize,
}

impl Batch<'_> {
    /// Standard normal numbers [count, size] for step `t` of the model; the start of a sampling is `t` = 0.
    pub fn noise(&self, t: usize) -> Vec<f32> {
        let mut out = vec![0.0; self.count * self.size];
        for (i, row) in out.chunks_exact_mut(self.size).enumerate() {
            self.streams.stream(((self.first + i) as u64) << 20 | t as u64).fill_normal(row);
        }
        out
    }

    /// The noise that samplers begin with.
    pub fn start(&self) -> Vec<f64> {
        self.noise(0).into_iter().map(f64::from).collect()
    }
}

/// As the network takes it.
pub fn rounded(x: &[f64]) -> Vec<f32> {
    x.iter().map(|&x| x as f32).collect()
}
