//! A sampler's plan and how it is followed: functions of a denoiser, a start, a schedule and a noise stream, for any denoiser.
//!
//! [`Sampler::plan`](super::sampler::Sampler::plan) turns a choice into coefficients, [`sample`] and [`sample_paths`] follow them. States are f64 and are
//! rounded to f32 for the network alone, so that rounding does not add up over steps. The noise of sample i at step t comes from its
//! own stream: neither batches nor threads change a sample.
//!
//! ```
//! use onsager_science::diffusion::discrete::sample_batch::Batch;
//! use onsager_science::diffusion::discrete::denoiser::Denoiser;
//! use onsager_science::diffusion::discrete::plan::sample;
//! use onsager_science::diffusion::discrete::sampler::Sampler;
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
//! let schedule = Schedule::new(&ScheduleKind::Linear, 1000);
//! let plan = Sampler::default().plan(&schedule, 50);
//! let streams = Streams::new(1, "example");
//! let batch = Batch { streams: &streams, first: 0, count: 1000, size: 2 };
//! let x = sample(&Normal(schedule), &plan, batch, false, || Ok(()))?;
//! let variance = x.iter().map(|x| x * x).sum::<f64>() / 2000.0;
//! assert!((variance - 1.0).abs() < 0.2);
//! # Ok::<(), onsager_science::diffusion::discrete::denoiser::SamplingError<Infallible>>(())
//! ```

use super::chain::{self, Step};
use super::denoiser::{Denoiser, SamplingError};
use super::node::Node;
use super::sample_batch::Batch;
use super::{dpm_solver, heun};

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

impl Plan {
    /// The evaluations of the denoiser for one sample. The last step of Heun's, to clean data, takes one.
    pub fn evaluations(&self) -> usize {
        match self {
            Plan::Heun(_) => 2 * self.steps() - 1,
            _ => self.steps(),
        }
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
