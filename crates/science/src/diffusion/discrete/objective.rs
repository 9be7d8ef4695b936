//! What a network is trained on.
//!
//! An objective draws what it needs for a whole batch (a pairing, a weight may depend on all of it) and then gives the loss of
//! any part of the batch, so that the parts can be computed in parallel. Losses are per number of a sample: divided by d.

use super::action_matching::{ActionMatching, PotentialPredictor};
use super::bound_loss::{Hybrid, Vlb};
use super::flow_matching::{FlowMatching, PathWeighted};
use super::importance::Importance;
use super::path_segment::PathAction;
use super::schedule::Schedule;
use crate::nn::error::NnError;
use crate::nn::loss::{combine, weighted_squares};
use crate::nn::operation::Conditions;
use crate::nn::raw;
use candle_core::Tensor;
use onsager_numerics::random::Stream;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// A training objective.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// E ‖ε − ε_θ(x_t, t)‖² (Ho 2020, eq. 14).
    Simple(Simple),
    /// The variational bound (Sohl-Dickstein 2015; Ho 2020, eq. 5).
    Vlb(Vlb),
    /// `simple` and a share of the bound, which trains the variance (Nichol and Dhariwal 2021).
    Hybrid(Hybrid),
    /// The action of path segments and of the model's own mean path.
    PathAction(PathAction),
    /// The velocity of straight paths from noise to data (Lipman 2023), with optimal pairs if wanted (Tong 2024).
    FlowMatching(FlowMatching),
    /// Flow matching with each path weighted by its probability exp(−γ · action) (after Calvo-Ordoñez 2025).
    PathWeighted(PathWeighted),
    /// A potential whose gradient moves noise to data with the least kinetic action (Neklyudov 2023).
    ActionMatching(ActionMatching),
}

/// The `simple` objective has no parameters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Simple {}

impl Default for Objective {
    fn default() -> Objective {
        Objective::Simple(Simple {})
    }
}

/// What the output of a network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// The noise ε in x = √ᾱ x_0 + √(1 − ᾱ) ε; time is 1000·t/T.
    Noise,
    /// The velocity x_0 − z of the straight path x = (1 − τ) z + τ x_0 from noise z to data; time is 1000·τ.
    Velocity,
    /// A potential s whose gradient is dx/dθ for x = cos θ x_0 + sin θ ε; time is 10·θ/(π/2).
    Potential,
}

/// A network as training sees it.
pub trait Predictor: Sync {
    /// Its output for x [n, d], as [n, d]; with learned variance the noise and v, [n, 2d]. Differentiable.
    fn predict(&self, x: &Tensor, on: &Conditions) -> Result<Tensor, NnError>;
}

/// One training sample.
#[derive(Debug, Clone)]
pub struct Example<'a> {
    /// x_0, `[d]`.
    pub x0: Cow<'a, [f32]>,
    /// Its class, for a network that is told it; the number of classes stands for 'no class'.
    pub class: Option<u32>,
    /// Selects its dropout masks, where there is dropout.
    pub dropout: Option<u64>,
}

impl<'a> Example<'a> {
    /// A sample without class and dropout.
    pub fn of(x0: &'a [f32]) -> Example<'a> {
        Example { x0: Cow::Borrowed(x0), class: None, dropout: None }
    }
}

/// A batch of samples with what its draws depend on.
#[derive(Debug)]
pub struct Batch<'a> {
    pub examples: &'a [Example<'a>],
    /// The stream of each sample.
    pub streams: &'a [Stream],
    pub schedule: &'a Schedule,
    /// The grey levels of the data, for images.
    pub levels: Option<u32>,
    /// The factor of the summed loss.
    pub scale: f64,
    /// Which steps are drawn.
    pub importance: Option<&'a Importance>,
}

/// The loss of a batch whose random numbers have been drawn.
pub struct BatchLoss<'a> {
    /// The summed loss of a part of the batch.
    pub part: Box<dyn Fn(Range<usize>) -> Result<Tensor, NnError> + Send + Sync + 'a>,
    /// For [`Importance::record`]: the step and the term of the bound of each sample, known after its part was computed.
    pub terms: Arc<Vec<OnceLock<(usize, f64)>>>,
    /// How the samples were weighted, if not alike.
    pub weighting: Option<Weighting>,
}

/// What unequal weights do to a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weighting {
    /// (Σ w)²/(n Σ w²): the effective share of the samples.
    pub effective: f64,
    /// The weighted mean of ‖x_0‖²/d minus the plain one: how far the weights move the data.
    pub shift: f64,
}

impl<'a> Batch<'a> {
    /// The numbers of a sample.
    pub fn size(&self) -> usize {
        self.examples.first().map_or(1, |example| example.x0.len())
    }

    /// The factor of the summed loss per number.
    pub fn per_number(&self) -> f64 {
        self.scale / self.size() as f64
    }

    /// Draws for each sample from its own stream.
    pub fn draw<T: Send>(&self, draw: impl Fn(&Example<'_>, &mut Stream) -> T + Sync) -> Vec<T> {
        let pairs = self.examples.par_iter().zip(self.streams);
        pairs.map(|(example, stream)| draw(example, &mut stream.clone())).collect()
    }

    /// What the network is told of rows, each the `i`-th evaluation of an example at a time.
    pub fn conditions(&self, rows: impl Iterator<Item = (usize, u64, f32)>) -> Conditions {
        let mut on = Conditions::default();
        for (example, i, time) in rows {
            on.times.push(time);
            on.classes.extend(self.examples[example].class);
            on.dropout.extend(self.examples[example].dropout.map(|seed| seed.wrapping_add(i)));
        }
        on
    }
}

impl<'a> BatchLoss<'a> {
    /// A loss of equal weights without terms.
    pub fn new(part: impl Fn(Range<usize>) -> Result<Tensor, NnError> + Send + Sync + 'a) -> BatchLoss<'a> {
        BatchLoss { part: Box::new(part), terms: Arc::default(), weighting: None }
    }
}

/// x_s of a sample and what the network should find in it.
#[derive(Debug, Clone, PartialEq)]
pub struct NoisyStep {
    /// s.
    pub s: usize,
    /// x_s.
    pub x: Vec<f32>,
    /// ε*: what ε_θ(x_s, s) should be.
    pub target: Vec<f32>,
}

/// x_t and its noise, given x_0.
pub fn noised(x0: &[f32], schedule: &Schedule, t: usize, stream: &mut Stream) -> NoisyStep {
    let mut target = vec![0.0; x0.len()];
    stream.fill_normal(&mut target);
    let (a, b) = (schedule.alpha_bar(t).sqrt() as f32, (1.0 - schedule.alpha_bar(t)).sqrt() as f32);
    NoisyStep { s: t, x: x0.iter().zip(&target).map(|(x, e)| a * x + b * e).collect(), target }
}

/// Rows of numbers as a tensor [n, d].
pub fn rows<'r>(rows: impl ExactSizeIterator<Item = &'r [f32]>) -> Result<Tensor, NnError> {
    let n = rows.len();
    let numbers: Vec<f32> = rows.flatten().copied().collect();
    let width = numbers.len() / n.max(1);
    Ok(raw::tensor(numbers, (n, width))?)
}

/// Σ_i weights_i ‖predicted_i − target_i‖².
pub fn squared_error(predicted: &Tensor, target: &Tensor, weights: &[f32]) -> Result<Tensor, NnError> {
    let (plus, minus) = (vec![1.0; weights.len()], vec![-1.0; weights.len()]);
    Ok(weighted_squares(&combine(predicted, &plus, target, &minus)?, weights)?)
}

impl Simple {
    /// The loss of a batch.
    pub fn batch<'a>(&self, batch: &'a Batch<'a>, network: &'a impl Predictor) -> BatchLoss<'a> {
        let schedule = batch.schedule;
        let draws = batch.draw(|example, stream| {
            let t = 1 + stream.below(schedule.timesteps() as u64) as usize;
            noised(&example.x0, schedule, t, stream)
        });
        BatchLoss::new(move |range| {
            let draws = &draws[range.clone()];
            let on = batch.conditions(range.zip(draws).map(|(i, row)| (i, 0, schedule.network_time(row.s))));
            let predicted = network.predict(&rows(draws.iter().map(|row| &row.x[..]))?, &on)?;
            let target = rows(draws.iter().map(|row| &row.target[..]))?;
            squared_error(&predicted, &target, &vec![batch.per_number() as f32; draws.len()])
        })
    }
}

impl Objective {
    /// What the network's output is.
    pub fn output(&self) -> Output {
        match self {
            Objective::Simple(_) | Objective::Vlb(_) | Objective::Hybrid(_) | Objective::PathAction(_) => {
                Output::Noise
            }
            Objective::FlowMatching(_) | Objective::PathWeighted(_) => Output::Velocity,
            Objective::ActionMatching(_) => Output::Potential,
        }
    }

    /// Whether the network predicts a variance too.
    pub fn learns_variance(&self) -> bool {
        match self {
            Objective::Vlb(vlb) => vlb.learns_variance(),
            Objective::Hybrid(_) => true,
            _ => false,
        }
    }

    /// How often the network is evaluated for one sample.
    pub fn evaluations(&self) -> usize {
        match self {
            Objective::PathAction(p) => p.k,
            Objective::ActionMatching(_) => 3,
            _ => 1,
        }
    }

    /// The state of importance sampling, for an objective that asks for it.
    pub fn importance(&self, timesteps: usize) -> Option<Importance> {
        let wanted = match self {
            Objective::Vlb(vlb) => vlb.importance,
            Objective::Hybrid(hybrid) => hybrid.importance,
            _ => false,
        };
        wanted.then(|| Importance::new(timesteps))
    }

    /// What is wrong with the settings for T = `timesteps`, as (field, message).
    pub fn issues(&self, timesteps: usize) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut ensure = |holds: bool, field: &str, message: String| {
            if !holds {
                found.push((field.to_owned(), message));
            }
        };
        match self {
            Objective::PathAction(p) => {
                let message = format!("must be from 1 to `timesteps` ({timesteps}), but is {}", p.k);
                ensure((1..=timesteps.max(1)).contains(&p.k), "path-action.k", message);
                let fits = p.lambda >= 0.0 && p.lambda.is_finite();
                ensure(fits, "path-action.lambda", format!("must be 0 or more, but is {}", p.lambda));
            }
            Objective::PathWeighted(p) => {
                let fits = p.gamma >= 0.0 && p.gamma.is_finite();
                ensure(fits, "path-weighted.gamma", format!("must be 0 or more, but is {}", p.gamma));
            }
            Objective::Vlb(_) | Objective::Hybrid(_) => {
                ensure(timesteps >= 2, "", "needs `timesteps` of at least 2".into());
            }
            Objective::Simple(_) | Objective::FlowMatching(_) | Objective::ActionMatching(_) => {}
        }
        found
    }

    /// Draws for a batch, and gives its loss.
    pub fn batch<'a, N: Predictor + PotentialPredictor>(
        &self,
        batch: &'a Batch<'a>,
        network: &'a N,
    ) -> BatchLoss<'a> {
        match self {
            Objective::Simple(simple) => simple.batch(batch, network),
            Objective::Vlb(vlb) => vlb.batch(batch, network),
            Objective::Hybrid(hybrid) => hybrid.batch(batch, network),
            Objective::PathAction(p) => p.batch(batch, network),
            Objective::FlowMatching(flow) => flow.batch(batch, network),
            Objective::PathWeighted(p) => p.batch(batch, network),
            Objective::ActionMatching(p) => p.batch(batch, network),
        }
    }
}
