//! The action of a path of the reverse chain, `A_θ[x] = Σ_t ‖x_{t−1} − μ_θ(x_t, t)‖²/(2 σ_t²)`: the
//! Onsager–Machlup action of a discrete diffusion path. The chain gives the path the probability density ∝
//! exp(−A_θ).

use super::chain::{Sigma, Step};
use super::denoiser::{Denoiser, SamplingError};
use std::f64::consts::TAU;

/// The action of a path.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PathAction {
    /// A_θ.
    pub action: f64,
    /// Σ ½ ln(2π σ²) over the numbers of all noisy steps: action + normaliser is −ln p of the path given its beginning. The same for all paths
    /// unless σ is learned.
    pub normaliser: f64,
}

/// The action of each of `count` paths, recomputed from their states (as [`super::sampler::sample_paths`]
/// gives them) with fresh calls of the denoiser. Steps without noise carry no action. On paths that were
/// sampled without clipping, 2A follows the χ² law with (numbers of a state) × (number of noisy steps)
/// degrees of freedom.
pub fn path_actions<D: Denoiser>(
    denoiser: &D,
    steps: &[Step],
    states: &[Vec<f64>],
    count: usize,
) -> Result<Vec<PathAction>, SamplingError<D::Error>> {
    let mut actions = vec![PathAction::default(); count];
    for (step, pair) in steps.iter().zip(states.windows(2)) {
        if !step.sigma.is_noisy() {
            continue;
        }
        let law = step.transition(denoiser, &pair[0], count, false)?;
        let size = law.mean.len() / count.max(1);
        let numbers = pair[1].iter().zip(&law.mean).zip(&law.deviation);
        for (k, ((x, mean), deviation)) in numbers.enumerate() {
            let (path, variance) = (&mut actions[k / size], deviation * deviation);
            path.action += (x - mean).powi(2) / (2.0 * variance);
            path.normaliser += 0.5 * (TAU * variance).ln();
        }
    }
    Ok(actions)
}

/// Σ ‖x_{t−1} − x_t‖²/(2 σ_t²) of each of `count` paths over the noisy steps, with β_t for a learned σ_t²: the action of the same
/// displacements if nothing drew them.
pub fn kinetic_actions(steps: &[Step], states: &[Vec<f64>], count: usize) -> Vec<f64> {
    let mut actions = vec![0.0; count];
    for (step, pair) in steps.iter().zip(states.windows(2)) {
        let variance = match step.sigma {
            Sigma::Fixed(sigma) => sigma * sigma,
            Sigma::Learned { log_beta, .. } => libm::exp(log_beta),
        };
        if variance == 0.0 {
            continue;
        }
        let size = pair[0].len() / count.max(1);
        for (k, (to, from)) in pair[1].iter().zip(&pair[0]).enumerate() {
            actions[k / size] += (to - from).powi(2) / (2.0 * variance);
        }
    }
    actions
}
