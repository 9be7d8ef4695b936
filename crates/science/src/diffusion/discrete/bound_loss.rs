//! The variational bound as a training loss, and the hybrid of it that trains the variance.
//!
//! The bound is `L = Σ_{t≥2} KL(q(x_{t−1}|x_t, x_0) ‖ p_θ(x_{t−1}|x_t)) + E[−ln p_θ(x_0|x_1)]` and a prior term that nothing is
//! trained on (Sohl-Dickstein 2015; Ho 2020, eq. 5). Each term is estimated at the t of a sample, in bits per number.

use super::batch::{Batch, BatchLoss, NoisyStep, Predictor, noised, rows};
use super::bound_terms::{decoder, divergence};
use super::importance::Importance;
use super::schedule::{Schedule, Variance};
use crate::nn::kernels::raw;
use crate::nn::training::loss::squared_error;
use candle_core::{CpuStorage, CustomOp1, Layout, Result as TensorResult, Shape, Tensor};
use onsager_numerics::random::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::LN_2;
use std::sync::{Arc, OnceLock};

/// The variational bound, in bits per number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Vlb {
    /// The terms that are trained on.
    pub form: BoundForm,
    /// σ_t² of the reverse process.
    pub variance: BoundVariance,
    /// Draws t by how much its term varies.
    pub importance: bool,
}

/// The terms of the bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BoundForm {
    /// The divergences of t = 2 … T and the decoder of grey levels (or the density of points) at t = 1.
    #[default]
    Ho,
    /// The divergences alone, for t = 2 … T: the step at the data's edge is left out.
    SohlDickstein,
}

/// σ_t² in the bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BoundVariance {
    /// β_t, but β̃_2 at t = 1.
    #[default]
    Beta,
    /// β̃_t, but β̃_2 at t = 1.
    BetaTilde,
    /// exp(v' ln β_t + (1 − v') ln β̃_t), with v' = (v + 1)/2 from the network.
    Learned,
}

/// The `simple` loss plus (T/1000) L_t, whose gradient goes to the variance alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Hybrid {
    /// Draws t by how much its term of the bound varies.
    pub importance: bool,
}

impl Vlb {
    /// Whether the network predicts a variance too.
    pub fn learns_variance(&self) -> bool {
        self.variance == BoundVariance::Learned
    }

    /// The loss of a batch: an estimate of the whole bound, T·L_t for each sample.
    pub fn batch<'a>(&self, batch: &'a Batch<'a>, network: &'a impl Predictor) -> BatchLoss<'a> {
        let timesteps = batch.schedule.timesteps();
        let first = match self.form {
            BoundForm::Ho => 1,
            BoundForm::SohlDickstein => 2,
        };
        let draw = move |importance: Option<&Importance>, stream: &mut Stream| match importance {
            // The steps below `first` are never drawn; the others share their probability.
            Some(importance) => loop {
                let (t, weight) = importance.draw(stream);
                if t >= first {
                    break (t, weight);
                }
            },
            None => (first + stream.below((timesteps + 1 - first) as u64) as usize, 1.0),
        };
        let scale = (timesteps + 1 - first) as f64;
        bound_batch(batch, network, self.variance, draw, Share { error: 0.0, bound: scale, mean: true })
    }
}

impl Hybrid {
    /// The loss of a batch.
    pub fn batch<'a>(&self, batch: &'a Batch<'a>, network: &'a impl Predictor) -> BatchLoss<'a> {
        let timesteps = batch.schedule.timesteps();
        let draw = move |importance: Option<&Importance>, stream: &mut Stream| match importance {
            Some(importance) => importance.draw(stream),
            None => (1 + stream.below(timesteps as u64) as usize, 1.0),
        };
        let share = Share { error: 1.0, bound: timesteps as f64 / 1000.0, mean: false };
        bound_batch(batch, network, BoundVariance::Learned, draw, share)
    }
}

/// What a loss is made of.
#[derive(Debug, Clone, Copy)]
struct Share {
    /// The factor of the squared error of the noise.
    error: f64,
    /// The factor of the bound's term in bits.
    bound: f64,
    /// Whether the bound trains the mean too.
    mean: bool,
}

fn bound_batch<'a>(
    batch: &'a Batch<'a>,
    network: &'a impl Predictor,
    variance: BoundVariance,
    draw: impl Fn(Option<&Importance>, &mut Stream) -> (usize, f64) + Sync,
    share: Share,
) -> BatchLoss<'a> {
    let schedule = batch.schedule;
    let draws: Vec<(NoisyStep, f64)> = batch.draw(|example, stream| {
        let (t, weight) = draw(batch.importance, stream);
        (noised(&example.x0, schedule, t, stream), weight)
    });
    let terms: Vec<OnceLock<(usize, f64)>> = draws.iter().map(|_| OnceLock::new()).collect();
    let slots = Arc::new(terms);
    let found = slots.clone();
    let mut loss = BatchLoss::new(move |range| {
        let chosen = &draws[range.clone()];
        let on = batch
            .conditions(range.clone().zip(chosen).map(|(i, (row, _))| (i, 0, schedule.network_time(row.s))));
        let output = network.predict(&rows(chosen.iter().map(|(row, _)| &row.x[..]))?, &on)?;
        let data = range.clone().zip(chosen).map(|(i, (row, _))| BoundRow {
            x: row.x.clone(),
            x0: batch.examples[i].x0.to_vec(),
            coefficients: Coefficients::new(schedule, row.s, variance, batch.levels),
        });
        let data: Arc<Vec<BoundRow>> = Arc::new(data.collect());
        let width = batch.size() as f64;
        if batch.importance.is_some() {
            let values = raw::values(&output.detach())?;
            for ((i, row), output) in range.clone().zip(&*data).zip(values.chunks(values.len() / data.len()))
            {
                // A sample is computed once; a second value would be the same.
                let _ = found[i].set((row.coefficients.t, row.value(output) / width / LN_2));
            }
        }
        let weights = |factor: f64| -> Vec<f64> {
            chosen.iter().map(|(_, weight)| factor * weight * batch.per_number()).collect()
        };
        let operation = BoundTerms { rows: data, weights: weights(share.bound / LN_2), mean: share.mean };
        let bound = output.apply_op1(operation)?;
        if share.error == 0.0 {
            return Ok(bound);
        }
        let noise = output.narrow(1, 0, batch.size())?.contiguous()?;
        let target = rows(chosen.iter().map(|(row, _)| &row.target[..]))?;
        let weights: Vec<f32> = weights(share.error).into_iter().map(|w| w as f32).collect();
        Ok((squared_error(&noise, &target, &weights)? + bound)?)
    });
    loss.terms = slots;
    loss
}

/// What the term of the bound at one t is computed with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coefficients {
    /// t.
    pub t: usize,
    /// μ_θ = `state`·x − `noise`·ε_θ.
    state: f64,
    noise: f64,
    /// μ̃ = `posterior_clean`·x_0 + `posterior_state`·x.
    posterior_clean: f64,
    posterior_state: f64,
    /// ln β̃_t, that of t = 2 for t = 1.
    ln_beta_tilde: f64,
    ln_beta: f64,
    /// ln σ_t², where it is fixed.
    fixed: Option<f64>,
    /// The grey levels of images.
    levels: Option<u32>,
}

impl Coefficients {
    /// Those of step t; `levels` are the grey levels of images.
    pub fn new(schedule: &Schedule, t: usize, variance: BoundVariance, levels: Option<u32>) -> Coefficients {
        let (alpha, beta) = (schedule.alpha(t), schedule.beta(t));
        let (bar, before) = (schedule.alpha_bar(t), schedule.alpha_bar(t - 1));
        let clipped = libm::log(schedule.sigma_squared(t, Variance::BetaTilde));
        let fixed = match variance {
            BoundVariance::Beta if t > 1 => Some(libm::log(beta)),
            BoundVariance::Beta | BoundVariance::BetaTilde => Some(clipped),
            BoundVariance::Learned => None,
        };
        Coefficients {
            t,
            state: 1.0 / alpha.sqrt(),
            noise: beta / (alpha * (1.0 - bar)).sqrt(),
            posterior_clean: before.sqrt() * beta / (1.0 - bar),
            posterior_state: alpha.sqrt() * (1.0 - before) / (1.0 - bar),
            ln_beta_tilde: clipped,
            ln_beta: libm::log(beta),
            fixed,
            levels,
        }
    }

    /// The term in nats of one number, and its slopes in ε_θ and v.
    pub fn term(&self, x: f64, x0: f64, noise: f64, v: f64) -> (f64, f64, f64) {
        let mean = self.state * x - self.noise * noise;
        let ln_variance = self.fixed.unwrap_or_else(|| {
            let share = 0.5 * (v + 1.0);
            share * self.ln_beta + (1.0 - share) * self.ln_beta_tilde
        });
        let term = match self.t {
            1 => decoder(x0, mean, ln_variance, self.levels),
            _ => {
                let target = self.posterior_clean * x0 + self.posterior_state * x;
                divergence(target, self.ln_beta_tilde, mean, ln_variance)
            }
        };
        let by_v = if self.fixed.is_some() { 0.0 } else { 0.5 * (self.ln_beta - self.ln_beta_tilde) };
        (term.value, -self.noise * term.by_mean, by_v * term.by_log_variance)
    }
}

/// A sample at a step.
#[derive(Debug)]
struct BoundRow {
    x: Vec<f32>,
    x0: Vec<f32>,
    coefficients: Coefficients,
}

impl BoundRow {
    /// The terms of each number for the network's output, [ε; v] or ε.
    fn terms<'a>(&'a self, output: &'a [f32]) -> impl Iterator<Item = (f64, f64, f64)> + 'a {
        let (noise, v) = output.split_at(self.x.len());
        (0..self.x.len()).map(move |i| {
            let v = v.get(i).map_or(0.0, |&v| f64::from(v));
            self.coefficients.term(f64::from(self.x[i]), f64::from(self.x0[i]), f64::from(noise[i]), v)
        })
    }

    fn value(&self, output: &[f32]) -> f64 {
        self.terms(output).map(|(value, _, _)| value).sum()
    }
}

/// Σ_i weights_i · (the term of row i), of the network's output.
struct BoundTerms {
    rows: Arc<Vec<BoundRow>>,
    weights: Vec<f64>,
    /// Whether there is a gradient in the noise; in v there is always.
    mean: bool,
}

impl CustomOp1 for BoundTerms {
    fn name(&self) -> &'static str {
        "bound_terms"
    }

    fn cpu_fwd(&self, output: &CpuStorage, layout: &Layout) -> TensorResult<(CpuStorage, Shape)> {
        let (n, width) = layout.shape().dims2()?;
        if n != self.rows.len() {
            candle_core::bail!("bound_terms: {n} rows and {} samples", self.rows.len());
        }
        let output = raw::slice(output, layout)?.chunks_exact(width);
        let rows = self.rows.iter().zip(&self.weights).zip(output);
        let total: f64 = rows.map(|((row, weight), output)| weight * row.value(output)).sum();
        raw::result(vec![total as f32], ())
    }

    fn bwd(&self, output: &Tensor, _y: &Tensor, dy: &Tensor) -> TensorResult<Option<Tensor>> {
        let (_, width) = output.dims2()?;
        let dy = f64::from(raw::values(dy)?[0]);
        raw::gradient(output, || {
            raw::read(output, |output| {
                let mut out = vec![0.0; output.len()];
                let rows = self.rows.iter().zip(&self.weights);
                for ((row, weight), (output, out)) in
                    rows.zip(output.chunks_exact(width).zip(out.chunks_exact_mut(width)))
                {
                    let (noise, v) = out.split_at_mut(row.x.len());
                    for (i, (_, by_noise, by_v)) in row.terms(output).enumerate() {
                        noise[i] = if self.mean { (dy * weight * by_noise) as f32 } else { 0.0 };
                        if let Some(v) = v.get_mut(i) {
                            *v = (dy * weight * by_v) as f32;
                        }
                    }
                }
                out
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::discrete::batch::Example;
    use crate::diffusion::discrete::path_segment::{PathAction, StepWeight, Target};
    use crate::diffusion::discrete::schedule::ScheduleKind;
    use crate::nn::error::NnError;
    use crate::nn::layers::conditions::Conditions;
    use candle_core::Var;
    use onsager_numerics::random::Streams;

    /// The slopes of every kind of term are those of the value (central differences of step 1e-5: errors of order 1e-8).
    #[test]
    fn slopes() {
        let schedule = Schedule::new(&ScheduleKind::Cosine, 30);
        for variance in [BoundVariance::Beta, BoundVariance::BetaTilde, BoundVariance::Learned] {
            for (t, levels) in [(1, Some(17)), (1, None), (2, Some(17)), (20, None), (30, None)] {
                let c = Coefficients::new(&schedule, t, variance, levels);
                for x0 in [-1.0, 0.125, 1.0] {
                    let (x, noise, v, h) = (x0 + 0.03, 0.4, -0.3, 1e-5);
                    let (_, by_noise, by_v) = c.term(x, x0, noise, v);
                    let slope = |up: f64, down: f64| (up - down) / (2.0 * h);
                    let expected = slope(c.term(x, x0, noise + h, v).0, c.term(x, x0, noise - h, v).0);
                    assert!(
                        (by_noise - expected).abs() < 1e-6 * (1.0 + expected.abs()),
                        "{by_noise} {expected}"
                    );
                    let expected = slope(c.term(x, x0, noise, v + h).0, c.term(x, x0, noise, v - h).0);
                    assert!((by_v - expected).abs() < 1e-6 * (1.0 + expected.abs()), "{by_v} {expected}");
                }
            }
        }
    }

    /// ε_θ = c x, v = k x.
    struct Linear {
        c: Var,
        learned: bool,
    }

    impl Predictor for Linear {
        fn predict(&self, x: &Tensor, _on: &Conditions) -> Result<Tensor, NnError> {
            let noise = x.broadcast_mul(self.c.as_tensor())?;
            Ok(if self.learned { Tensor::cat(&[&noise, &(x * -0.4)?], 1)?.contiguous()? } else { noise })
        }
    }

    fn slope(c: f32, learned: bool, seed: u64, loss: impl Fn(&Batch<'_>, &Linear) -> Tensor) -> (f64, f64) {
        let schedule = Schedule::new(&ScheduleKind::Linear, 12);
        let x0 = [0.7f32, -0.2, 0.4, 0.1];
        let examples = [Example::of(&x0)];
        let streams = [Streams::new(seed, "bound loss").stream(0)];
        let batch = Batch {
            examples: &examples,
            streams: &streams,
            schedule: &schedule,
            levels: None,
            scale: 1.0,
            importance: None,
        };
        let c = Var::from_tensor(&raw::tensor(vec![c], (1, 1)).unwrap()).unwrap();
        let linear = Linear { c, learned };
        let loss = loss(&batch, &linear);
        let gradient = loss.backward().unwrap();
        let slope = gradient.get(&linear.c).map_or(0.0, |g| f64::from(raw::values(g).unwrap()[0]));
        (f64::from(raw::values(&loss).unwrap()[0]), slope)
    }

    /// Sohl-Dickstein's form with σ² = β differs from the action of one step (K = 1, λ = 0, w = 1) by what does not depend on
    /// the network: T − 1 times the gradient in bits, the t drawn being the same where both can draw it.
    #[test]
    fn the_bound_is_the_action_of_one_step() {
        let action = PathAction { k: 1, lambda: 0.0, weighting: StepWeight::Unit, target: Target::Mean };
        let vlb = Vlb::default();
        let mut compared = 0;
        for seed in 0..30 {
            let schedule = Schedule::new(&ScheduleKind::Linear, 12);
            let t = 1 + Streams::new(seed, "bound loss").stream(0).below(12) as usize;
            let (_, bound) = slope(0.3, false, seed, |b, n| (vlb.batch(b, n).part)(0..1).unwrap());
            // By the closed form of the action's gradient with the x_t that the bound drew.
            let mut stream = Streams::new(seed, "bound loss").stream(0);
            stream.below(12);
            let row = noised(&[0.7, -0.2, 0.4, 0.1], &schedule, t, &mut stream);
            let weight =
                crate::diffusion::discrete::path_segment::step_weight(&schedule, action.weighting, t);
            let expected: f64 = row
                .x
                .iter()
                .zip(&row.target)
                .map(|(&x, &e)| weight * 2.0 * (0.3 * f64::from(x) - f64::from(e)) * f64::from(x) / 4.0)
                .sum();
            if t > 1 {
                let found = bound * LN_2 / 12.0;
                assert!((found - expected).abs() < 1e-4 * (1.0 + expected.abs()), "{t}: {found} {expected}");
                compared += 1;
            }
        }
        assert!(compared > 20);
    }

    /// The hybrid's gradient in the mean is that of `simple`, although its value holds the bound too.
    #[test]
    fn the_hybrid_stops_the_gradient_of_the_mean() {
        for seed in 0..10 {
            let hybrid = Hybrid::default();
            let (value, found) = slope(0.3, true, seed, |b, n| (hybrid.batch(b, n).part)(0..1).unwrap());
            let simple = crate::diffusion::discrete::simple::Simple {};
            let (plain, expected) = slope(0.3, false, seed, |b, n| (simple.batch(b, n).part)(0..1).unwrap());
            assert!((found - expected).abs() < 1e-5 * (1.0 + expected.abs()), "{found} {expected}");
            assert!((value - plain).abs() > 1e-6);
        }
    }
}
