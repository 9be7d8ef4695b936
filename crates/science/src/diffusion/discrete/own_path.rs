//! The action on the path that the model itself takes.
//!
//! The action of the other objectives is that of forward paths, but a sampler visits states of its own. Here the state of step s is
//! reached from x_t by K − 1 steps of DDIM with the model as it is, without gradient, and the loss is that of what the noise in
//! this state should be:
//!
//! `‖ε_θ(x̂_s, s) − (x̂_s − √ᾱ_s x_0)/√(1 − ᾱ_s)‖²`.
//!
//! Its optimum is (x̂_s − √ᾱ_s E[x_0 given x̂_s])/√(1 − ᾱ_s): right on the states that are visited. The control visits states
//! that are as far from x_s, in a direction at random.

use super::batch::{Batch, BatchLoss, Predictor, rows};
use super::schedule::Schedule;
use crate::nn::error::NnError;
use crate::nn::kernels::raw;
use crate::nn::training::loss::{combine, squared_error};
use candle_core::Tensor;
use onsager_numerics::arithmetic::square;
use onsager_numerics::random::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The own-path objective.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OwnPath {
    /// K, the evaluations of the network for a sample: K − 1 steps of DDIM, and one that is trained. From 1 to 100; 1 is `simple`.
    pub k: usize,
    /// The steps of T that one step of DDIM spans, 1 to T.
    pub stride: usize,
    /// Which states are trained on.
    pub states: States,
}

impl Default for OwnPath {
    fn default() -> OwnPath {
        OwnPath { k: 2, stride: 20, states: States::Visited }
    }
}

/// Which states are trained on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum States {
    /// Those that the model visits.
    #[default]
    Visited,
    /// The control: those of the forward process plus noise, each as far off as the visited one.
    Noised,
}

/// The draws of a sample.
struct Draw {
    /// The steps that are visited, from t to s.
    steps: Vec<usize>,
    /// x_t.
    start: Vec<f32>,
    /// x_s of the same noise.
    forward: Vec<f32>,
    /// A direction for the control.
    direction: Vec<f32>,
}

impl OwnPath {
    /// The loss of a batch.
    pub fn batch<'a>(&self, batch: &'a Batch<'a>, network: &'a impl Predictor) -> BatchLoss<'a> {
        let p = *self;
        let draws = batch.draw(|example, stream| p.draw(&example.x0, batch.schedule, stream));
        BatchLoss::new(move |range| {
            let draws = &draws[range.clone()];
            let states = p.states(batch, network, draws, range.clone())?;
            let target = draws.iter().zip(range.clone()).zip(&states).flat_map(|((draw, i), state)| {
                let bar = batch.schedule.alpha_bar(draw.steps[p.k - 1]);
                let (a, b) = (bar.sqrt() as f32, (1.0 - bar).sqrt() as f32);
                state.iter().zip(&*batch.examples[i].x0).map(move |(x, x0)| (x - a * x0) / b)
            });
            let target = raw::tensor(target.collect(), (draws.len(), batch.size()))?;
            let x = rows(states.iter().map(|state| &state[..]))?;
            let predicted = network.predict(&x, &p.conditions(batch, draws, range, p.k - 1))?;
            Ok(squared_error(&predicted, &target, &vec![batch.per_number() as f32; draws.len()])?)
        })
    }

    fn draw(&self, x0: &[f32], schedule: &Schedule, stream: &mut Stream) -> Draw {
        let last = 1 + stream.below(schedule.timesteps() as u64) as usize;
        let steps: Vec<usize> =
            (0..self.k).rev().map(|j| (last + j * self.stride).min(schedule.timesteps())).collect();
        let (mut noise, mut direction) = (vec![0.0; x0.len()], vec![0.0; x0.len()]);
        stream.fill_normal(&mut noise);
        stream.fill_normal(&mut direction);
        let at = |t: usize| -> Vec<f32> {
            let bar = schedule.alpha_bar(t);
            let (a, b) = (bar.sqrt() as f32, (1.0 - bar).sqrt() as f32);
            x0.iter().zip(&noise).map(|(x, e)| a * x + b * e).collect()
        };
        Draw { start: at(steps[0]), forward: at(last), steps, direction }
    }

    fn conditions(
        &self,
        batch: &Batch<'_>,
        draws: &[Draw],
        range: Range<usize>,
        j: usize,
    ) -> crate::nn::layers::conditions::Conditions {
        let time = |draw: &Draw| batch.schedule.network_time(draw.steps[j]);
        batch.conditions(range.zip(draws).map(|(i, draw)| (i, j as u64, time(draw))))
    }

    /// The states to train on.
    fn states(
        &self,
        batch: &Batch<'_>,
        network: &impl Predictor,
        draws: &[Draw],
        range: Range<usize>,
    ) -> Result<Vec<Vec<f32>>, NnError> {
        let mut x: Tensor = rows(draws.iter().map(|draw| &draw.start[..]))?;
        for j in 0..self.k - 1 {
            let noise = network.predict(&x, &self.conditions(batch, draws, range.clone(), j))?.detach();
            // x' = √ᾱ' x̂_0 + √(1 − ᾱ') ε, x̂_0 = (x − √(1 − ᾱ) ε)/√ᾱ.
            let bars = draws.iter().map(|d| [j, j + 1].map(|j| batch.schedule.alpha_bar(d.steps[j])));
            let factors = bars.map(|[now, next]| {
                let state = (next / now).sqrt();
                (state as f32, ((1.0 - next).sqrt() - state * (1.0 - now).sqrt()) as f32)
            });
            let (state, pull): (Vec<f32>, Vec<f32>) = factors.unzip();
            x = combine(&x, &state, &noise, &pull)?.detach();
        }
        let visited = raw::values(&x)?;
        let visited = visited.chunks_exact(batch.size()).zip(draws);
        Ok(visited
            .map(|(visited, draw)| match self.states {
                States::Visited => visited.to_vec(),
                States::Noised => {
                    let off = visited.iter().zip(&draw.forward).map(|(a, b)| square(f64::from(a - b)));
                    let off = (off.sum::<f64>() / visited.len() as f64).sqrt() as f32;
                    draw.forward.iter().zip(&draw.direction).map(|(x, z)| x + off * z).collect()
                }
            })
            .collect())
    }
}
