//! The coefficients of a sampler, and how they are followed.

use super::chain::{self, Step};
use super::denoiser::{Batch, Denoiser, Node, SamplingError};
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
