//! Samplers: functions of a denoiser, a schedule and a noise stream, for any denoiser.
//!
//! Each of their steps is x' = a·x̂_0 + b·x + σ·z with x̂_0 = (x − √(1 − ᾱ_t) ε_θ)/√ᾱ_t, so a sampler is a
//! list of coefficients. The noise of image i at step t comes from its own stream: neither batches nor
//! threads change a sample.

use super::h_family::HFamily;
use super::schedule::{Schedule, Spacing, Variance};
use crate::random::Streams;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Predicts the noise in a batch.
pub trait Denoiser: Sync {
    type Error: Send;

    /// ε_θ(x, t) for x [n, d] (row-major, n = `t.len()`), at the steps t (1 … T) of each row.
    fn noise(&self, x: &[f32], t: &[usize]) -> Result<Vec<f32>, Self::Error>;
}

/// How to go from noise to data.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sampler {
    /// The reverse chain itself (Ho 2020, algorithm 2), without noise at the last step.
    Ancestral(Ancestral),
    /// Denoising diffusion implicit models (Song 2021, eq. 12).
    Ddim(Ddim),
    /// The reverse processes with noise h, from the flow of DDIM (0) to the ancestral chain (1) and beyond.
    HFamily(HFamily),
}

/// Ancestral sampling.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ancestral {
    /// σ_t².
    pub variance: Variance,
    /// Which steps are kept when there are fewer than T; β is recomputed from their ᾱ.
    pub spacing: Spacing,
}

/// DDIM sampling.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ddim {
    /// 0 is deterministic, 1 has the noise of ancestral sampling with β̃.
    pub eta: f64,
    /// Which steps are kept.
    pub spacing: Spacing,
}

impl Default for Sampler {
    fn default() -> Sampler {
        Sampler::Ancestral(Ancestral::default())
    }
}

/// One step x' = `clean`·x̂_0 + `state`·x + `noise`·z, from the model's step `t`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    pub t: usize,
    /// ᾱ_t.
    pub alpha_bar: f64,
    pub clean: f64,
    pub state: f64,
    pub noise: f64,
}

impl Sampler {
    /// The `steps` steps of the sampler, from noise to data.
    pub fn plan(&self, schedule: &Schedule, steps: usize) -> Vec<Step> {
        let spacing = match self {
            Sampler::Ancestral(a) => a.spacing,
            Sampler::Ddim(d) => d.spacing,
            Sampler::HFamily(f) => f.spacing,
        };
        let retained = spacing.retained(schedule.timesteps(), steps);
        let short = schedule.respaced(&retained);
        let plan = retained.iter().enumerate().rev().map(|(i, &t)| {
            let (now, next) = (short.alpha_bar(i + 1), short.alpha_bar(i));
            match self {
                Sampler::Ancestral(a) => Step {
                    t,
                    alpha_bar: now,
                    clean: next.sqrt() * short.beta(i + 1) / (1.0 - now),
                    state: short.alpha(i + 1).sqrt() * (1.0 - next) / (1.0 - now),
                    noise: if i == 0 { 0.0 } else { short.sigma_squared(i + 1, a.variance).sqrt() },
                },
                Sampler::Ddim(d) => {
                    let variance = d.eta * d.eta * (1.0 - next) / (1.0 - now) * (1.0 - now / next);
                    // ε = (x − √ᾱ_t x̂_0)/√(1 − ᾱ_t), so its factor is shared between x and x̂_0.
                    let state = ((1.0 - next - variance).max(0.0) / (1.0 - now)).sqrt();
                    Step {
                        t,
                        alpha_bar: now,
                        clean: next.sqrt() - state * now.sqrt(),
                        state,
                        noise: variance.sqrt(),
                    }
                }
                Sampler::HFamily(f) => f.step(t, now, next),
            }
        });
        plan.collect()
    }
}

impl Step {
    /// The means `clean`·x̂_0 + `state`·x of a batch [n, d], n = `count`; with `clip`, x̂_0 is cut to [−1, 1].
    pub fn mean<D: Denoiser>(
        &self,
        denoiser: &D,
        x: &[f32],
        count: usize,
        clip: bool,
    ) -> Result<Vec<f64>, D::Error> {
        let noise = denoiser.noise(x, &vec![self.t; count])?;
        let (scale, spread) = (1.0 / self.alpha_bar.sqrt(), (1.0 - self.alpha_bar).sqrt());
        let means = x.iter().zip(&noise).map(|(&x, &e)| {
            let mut clean = (f64::from(x) - spread * f64::from(e)) * scale;
            if clip {
                clean = clean.clamp(-1.0, 1.0);
            }
            self.clean * clean + self.state * f64::from(x)
        });
        Ok(means.collect())
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
    /// Standard normal numbers [count, size] for step `t`; the beginning is step `t` = 0.
    fn noise(&self, t: usize) -> Vec<f32> {
        let mut out = vec![0.0; self.count * self.size];
        for (i, row) in out.chunks_exact_mut(self.size).enumerate() {
            self.streams.stream(((self.first + i) as u64) << 20 | t as u64).fill_normal(row);
        }
        out
    }
}

/// Every state [count, size] of a batch of samples, from the noise to the data: `plan.len() + 1` of them.
pub fn sample_paths<D: Denoiser>(
    denoiser: &D,
    plan: &[Step],
    batch: Batch<'_>,
    clip: bool,
) -> Result<Vec<Vec<f32>>, D::Error> {
    let mut states = vec![batch.noise(0)];
    for step in plan {
        let x = advance(denoiser, step, batch, clip, &states[states.len() - 1])?;
        states.push(x);
    }
    Ok(states)
}

/// A batch of samples [count, size]. `step_done` is called after each step and ends the sampling early by its
/// error.
pub fn sample<D: Denoiser>(
    denoiser: &D,
    plan: &[Step],
    batch: Batch<'_>,
    clip: bool,
    mut step_done: impl FnMut() -> Result<(), D::Error>,
) -> Result<Vec<f32>, D::Error> {
    let mut x = batch.noise(0);
    for step in plan {
        x = advance(denoiser, step, batch, clip, &x)?;
        step_done()?;
    }
    Ok(x)
}

fn advance<D: Denoiser>(
    denoiser: &D,
    step: &Step,
    batch: Batch<'_>,
    clip: bool,
    x: &[f32],
) -> Result<Vec<f32>, D::Error> {
    let mean = step.mean(denoiser, x, batch.count, clip)?;
    if step.noise == 0.0 {
        return Ok(mean.into_iter().map(|x| x as f32).collect());
    }
    let noise = batch.noise(step.t);
    Ok(mean.into_iter().zip(noise).map(|(x, z)| (x + step.noise * f64::from(z)) as f32).collect())
}
