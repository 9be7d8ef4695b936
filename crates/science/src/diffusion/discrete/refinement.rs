//! Path refinement: a coarse path of another sampler is relaxed towards least action.
//!
//! The action A_θ = Σ_i ‖x_{i−1} − μ_θ(x_i)‖²/(2 σ_i²) over the noisy steps is a function of the interior points of the path, the noise x_S that it
//! begins with being fixed; x_0 = μ_θ(x_1) is read off at the end, which makes the term of the last step vanish. Its minimum is 0, at the path of the
//! chain's own means, so the number of iterations decides how far from the sampler's path towards that one it goes.
//!
//! Each iteration is a gradient step with Nesterov's momentum, preconditioned by the diagonal of the Hessian for constant ε; a sample whose action
//! rises loses its momentum and a third of its rate (O'Donoghue and Candès 2015). The best path seen counts.

use super::ancestral::{Ancestral, ReverseVariance, reverse_chain};
use super::chain::{Sigma, Step};
use super::ddim::Ddim;
use super::denoiser::{Differentiable, SamplingError, rounded};
use super::node::Node;
use super::plan::Plan;
use super::schedule::{Schedule, Spacing, Variance};
use onsager_numerics::arithmetic::square;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A coarse path of another sampler, relaxed towards least action.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Refined {
    /// The sampler of the coarse path.
    pub from: Coarse,
    /// Which steps the path keeps.
    pub spacing: Spacing,
    /// σ_t² of the action, and of the noise of an ancestral path.
    pub variance: Variance,
    /// Gradient steps.
    pub iterations: usize,
    /// The size of a gradient step; at 0.5 those of a chain with constant ε converge, with larger ones they need not.
    pub rate: f64,
}

/// The sampler of a coarse path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Coarse {
    Ancestral,
    /// DDIM without noise.
    #[default]
    Ddim,
    Heun,
    DpmSolver,
}

impl Default for Refined {
    fn default() -> Refined {
        Refined {
            from: Coarse::default(),
            spacing: Spacing::default(),
            variance: Variance::default(),
            iterations: 20,
            rate: 0.5,
        }
    }
}

impl Refined {
    /// The plan of the path that is refined.
    pub fn coarse(&self, schedule: &Schedule, steps: usize) -> Plan {
        let spacing = self.spacing;
        match self.from {
            Coarse::Ancestral => {
                Plan::Chain(Ancestral { variance: self.variance.into(), spacing }.plan(schedule, steps))
            }
            Coarse::Ddim => Plan::Chain(Ddim { eta: 0.0, spacing, ..Ddim::default() }.plan(schedule, steps)),
            Coarse::Heun => Plan::Heun(Node::list(schedule, spacing, steps)),
            Coarse::DpmSolver => Plan::DpmSolver(Node::list(schedule, spacing, steps)),
        }
    }

    /// The steps of the chain whose action is lowered.
    pub fn chain(&self, schedule: &Schedule, steps: usize) -> Vec<Step> {
        let retained = self.spacing.retained(schedule, steps);
        reverse_chain(schedule, &retained, ReverseVariance::from(self.variance))
    }
}

/// What refinement made of a batch of paths.
#[derive(Debug, Clone, PartialEq)]
pub struct Refinement {
    /// x_0 [count, size].
    pub x: Vec<f64>,
    /// The refined path without x_0: as many states as the chain has steps, the first one the noise.
    pub states: Vec<Vec<f64>>,
    /// The action of each path before and after.
    pub before: Vec<f64>,
    pub after: Vec<f64>,
}

/// The action of each path and its gradient by the states.
struct Slope {
    actions: Vec<f64>,
    /// By each state but the first and x_0.
    gradients: Vec<Vec<f64>>,
}

/// Relaxes `count` paths, whose `states` are those of a sampler on the steps of `chain` (see [`Refined::chain`]); x_0 is not needed. With
/// `clip`, x̂_0 of the last step is cut to [−1, 1]. `step_done` is called after each evaluation of a step, (iterations + 1) · (steps − 1) times.
pub fn refine<D: Differentiable>(
    denoiser: &D,
    chain: &[Step],
    mut states: Vec<Vec<f64>>,
    count: usize,
    p: &Refined,
    clip: bool,
    mut step_done: impl FnMut() -> Result<(), D::Error>,
) -> Result<Refinement, SamplingError<D::Error>> {
    let Some((last, noisy)) = chain.split_last() else {
        let x = states.pop().unwrap_or_default();
        return Ok(Refinement { x, states, before: vec![0.0; count], after: vec![0.0; count] });
    };
    states.truncate(chain.len());
    let size = states[0].len() / count.max(1);
    let scales = preconditioner(noisy);
    let mut rates = vec![p.rate; count];
    let mut momenta = vec![1.0f64; count];
    // `states` is where the gradient is taken, `previous` the path before the momentum.
    let mut previous = states.clone();
    let mut best = states.clone();
    let mut before = Vec::new();
    let (mut least, mut current) = (vec![f64::INFINITY; count], vec![f64::INFINITY; count]);
    for iteration in 0..=p.iterations {
        let slope =
            slope(denoiser, noisy, &states, count, &mut step_done).map_err(SamplingError::Denoiser)?;
        if iteration == 0 {
            before.clone_from(&slope.actions);
        }
        for i in 0..count {
            let row = i * size..(i + 1) * size;
            if slope.actions[i] < least[i] {
                least[i] = slope.actions[i];
                for (best, state) in best.iter_mut().zip(&states) {
                    best[row.clone()].copy_from_slice(&state[row.clone()]);
                }
            }
            if slope.actions[i] > current[i] || slope.actions[i].is_nan() {
                (momenta[i], rates[i]) = (1.0, rates[i] * 2.0 / 3.0);
            }
            current[i] = slope.actions[i];
            let momentum = 0.5 * (1.0 + (1.0 + 4.0 * momenta[i] * momenta[i]).sqrt());
            let carry = (momenta[i] - 1.0) / momentum;
            momenta[i] = momentum;
            for (k, (scale, gradient)) in scales.iter().zip(&slope.gradients).enumerate() {
                for j in row.clone() {
                    let next = states[k + 1][j] - rates[i] * scale * gradient[j];
                    states[k + 1][j] = next + carry * (next - previous[k + 1][j]);
                    previous[k + 1][j] = next;
                }
            }
        }
    }
    let x = last.transition(denoiser, &best[best.len() - 1], count, clip)?.mean;
    Ok(Refinement { x, states: best, before, after: least })
}

/// The inverse of the Hessian's diagonal for constant ε, where μ_θ stretches by 1/√α: of each state but the first.
fn preconditioner(noisy: &[Step]) -> Vec<f64> {
    let precision = |step: &Step| match step.sigma {
        Sigma::Fixed(sigma) if sigma > 0.0 => 1.0 / (sigma * sigma),
        _ => 0.0,
    };
    let scale = |k: usize| {
        let to = precision(&noisy[k]);
        let from = noisy.get(k + 1).map_or(0.0, |step| square(step.factors().0) * precision(step));
        1.0 / (to + from).max(f64::MIN_POSITIVE)
    };
    (0..noisy.len()).map(scale).collect()
}

fn slope<D: Differentiable>(
    denoiser: &D,
    noisy: &[Step],
    states: &[Vec<f64>],
    count: usize,
    step_done: &mut impl FnMut() -> Result<(), D::Error>,
) -> Result<Slope, D::Error> {
    let mut actions = vec![0.0; count];
    let mut gradients: Vec<Vec<f64>> = states[1..].iter().map(|state| vec![0.0; state.len()]).collect();
    for (k, step) in noisy.iter().enumerate() {
        let Sigma::Fixed(sigma) = step.sigma else { continue };
        let (from, to) = (&states[k], &states[k + 1]);
        let (by_state, by_noise) = step.factors();
        let size = from.len() / count.max(1);
        // (x_{i−1} − μ)/σ², the gradient by x_{i−1}; that by x_i is −J_μᵀ of it.
        let mut pulls = vec![0.0; from.len()];
        let (_, back) = denoiser.pull_back(&rounded(from), &vec![step.t; count], &mut |noise| {
            for (j, pull) in pulls.iter_mut().enumerate() {
                let miss = to[j] - by_state * from[j] - by_noise * f64::from(noise[j]);
                actions[j / size] += 0.5 * miss * miss / (sigma * sigma);
                *pull = miss / (sigma * sigma);
            }
            rounded(&pulls)
        })?;
        gradients[k].iter_mut().zip(&pulls).for_each(|(g, pull)| *g += pull);
        if k > 0 {
            for (j, g) in gradients[k - 1].iter_mut().enumerate() {
                *g -= by_state * pulls[j] + by_noise * f64::from(back[j]);
            }
        }
        step_done()?;
    }
    Ok(Slope { actions, gradients })
}
