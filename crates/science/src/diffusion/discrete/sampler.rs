//! Samplers: functions of a denoiser, a start, a schedule and a noise stream, for any denoiser.
//!
//! [`Sampler::plan`] turns a choice into coefficients, [`sample`] and [`sample_paths`] follow them. States are f64 and are
//! rounded to f32 for the network alone, so that rounding does not add up over steps. The noise of sample i at step t comes from its
//! own stream: neither batches nor threads change a sample.
//!
//! ```
//! use onsager_science::diffusion::discrete::sampler::{Batch, Denoiser, Sampler, sample};
//! use onsager_science::diffusion::discrete::schedule::{Schedule, ScheduleKind};
//! use onsager_numerics::random::Streams;
//! use std::convert::Infallible;
//!
//! /// The exact noise of data from N(0, I): ε = √(1 − ᾱ_t) x.
//! struct Normal(Schedule);
//!
//! impl Denoiser for Normal {
//!     type Error = Infallible;
//!
//!     fn noise(&self, x: &[f32], t: &[usize]) -> Result<Vec<f32>, Infallible> {
//!         let rows = x.chunks_exact(2).zip(t);
//!         let noise = |(row, &t): (&[f32], &usize)| [0, 1].map(|i| (1.0 - self.0.alpha_bar(t)).sqrt() as f32 * row[i]);
//!         Ok(rows.flat_map(noise).collect())
//!     }
//! }
//!
//! let schedule = Schedule::new(ScheduleKind::Linear, 1000);
//! let plan = Sampler::default().plan(&schedule, 50);
//! let streams = Streams::new(1, "example");
//! let batch = Batch { streams: &streams, first: 0, count: 1000, size: 2 };
//! let x = sample(&Normal(schedule), &plan, batch, false, || Ok(()))?;
//! let variance = x.iter().map(|x| x * x).sum::<f64>() / 2000.0;
//! assert!((variance - 1.0).abs() < 0.2);
//! # Ok::<(), onsager_science::diffusion::discrete::sampler::SamplingError<Infallible>>(())
//! ```

use super::ancestral::Ancestral;
use super::chain::{self, Step};
use super::ddim::Ddim;
use super::dpm_solver::{self, DpmSolver};
use super::h_family::HFamily;
use super::heun::{self, Heun};
use super::refinement::Refined;
use super::schedule::{Schedule, Spacing};
use onsager_numerics::random::Streams;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

/// How to go from noise to data.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sampler {
    /// The reverse chain itself (Ho 2020, algorithm 2), without noise at the last step.
    Ancestral(Ancestral),
    /// Denoising diffusion implicit models (Song 2021, eq. 12).
    Ddim(Ddim),
    /// Heun's method on the probability flow: order 2, two evaluations a step.
    Heun(Heun),
    /// DPM-Solver++(2M) (Lu 2022): order 2, one evaluation a step.
    DpmSolver(DpmSolver),
    /// A path of another sampler, relaxed towards least action.
    Refined(Refined),
    /// The reverse processes with noise h, from the flow of DDIM (0) to the ancestral chain (1) and beyond.
    HFamily(HFamily),
}

impl Default for Sampler {
    fn default() -> Sampler {
        Sampler::Ancestral(Ancestral::default())
    }
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
        0.5 * (self.alpha_bar / (1.0 - self.alpha_bar)).ln()
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

/// The coefficients of a sampler.
#[derive(Debug, Clone, PartialEq)]
pub enum Plan {
    /// Steps that are normal laws around a combination of x and x̂_0.
    Chain(Vec<Step>),
    Heun(Vec<Node>),
    DpmSolver(Vec<Node>),
}

impl Plan {
    /// The number of steps.
    pub fn steps(&self) -> usize {
        match self {
            Plan::Chain(steps) => steps.len(),
            Plan::Heun(nodes) | Plan::DpmSolver(nodes) => nodes.len() - 1,
        }
    }
}

impl Sampler {
    /// The `steps` steps of the sampler, from noise to data; of `refined`, those of the path that it begins with.
    pub fn plan(&self, schedule: &Schedule, steps: usize) -> Plan {
        match self {
            Sampler::Ancestral(p) => Plan::Chain(p.plan(schedule, steps)),
            Sampler::Ddim(p) => Plan::Chain(p.plan(schedule, steps)),
            Sampler::Heun(p) => Plan::Heun(Node::list(schedule, p.spacing, steps)),
            Sampler::DpmSolver(p) => Plan::DpmSolver(Node::list(schedule, p.spacing, steps)),
            Sampler::Refined(p) => p.coarse().plan(schedule, steps),
            Sampler::HFamily(p) => Plan::Chain(p.plan(schedule, steps)),
        }
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

/// Follows a plan from the state `x` [count, size]; `seen` gets the state after each step and ends the sampling early by its error.
pub fn follow<D: Denoiser>(
    denoiser: &D,
    plan: &Plan,
    x: Vec<f64>,
    batch: Batch<'_>,
    clip: bool,
    seen: impl FnMut(&[f64]) -> Result<(), D::Error>,
) -> Result<Vec<f64>, SamplingError<D::Error>> {
    match plan {
        Plan::Chain(steps) => chain::follow(denoiser, steps, x, batch, clip, seen),
        Plan::Heun(nodes) => heun::follow(denoiser, nodes, x, batch.count, clip, seen),
        Plan::DpmSolver(nodes) => dpm_solver::follow(denoiser, nodes, x, batch.count, clip, seen),
    }
}

/// A batch of samples [count, size]; with `clip`, the predicted clean sample is cut to [−1, 1]. `step_done` is called after each step
/// and ends the sampling early by its error.
pub fn sample<D: Denoiser>(
    denoiser: &D,
    plan: &Plan,
    batch: Batch<'_>,
    clip: bool,
    mut step_done: impl FnMut() -> Result<(), D::Error>,
) -> Result<Vec<f64>, SamplingError<D::Error>> {
    follow(denoiser, plan, batch.start(), batch, clip, |_| step_done())
}

/// Every state [count, size] of a batch of samples, from the noise to the data: one more than the plan has steps.
pub fn sample_paths<D: Denoiser>(
    denoiser: &D,
    plan: &Plan,
    batch: Batch<'_>,
    clip: bool,
    mut step_done: impl FnMut() -> Result<(), D::Error>,
) -> Result<Vec<Vec<f64>>, SamplingError<D::Error>> {
    let mut states = vec![batch.start()];
    follow(denoiser, plan, batch.start(), batch, clip, |x| {
        states.push(x.to_vec());
        step_done()
    })?;
    Ok(states)
}

/// As the network takes it.
pub fn rounded(x: &[f64]) -> Vec<f32> {
    x.iter().map(|&x| x as f32).collect()
}
