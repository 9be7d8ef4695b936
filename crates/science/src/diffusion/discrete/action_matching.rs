//! Action Matching (Neklyudov 2023): a scalar s_θ whose gradient is the velocity that moves the law of the noised data with
//! the least kinetic action.
//!
//! Time is the angle θ of x_θ = cos θ x_0 + sin θ ε, from the schedule's first step to its last, and the loss is
//!
//! `E s(x_θ1, θ1) − E s(x_θ2, θ2) + ∫ E[½‖∇s‖² + ∂s/∂θ] dθ`,
//!
//! which differs from ½ ∫ E‖∇s − u‖² dθ by a constant, u being the one gradient field that moves the law. The three
//! expectations share x_0 and ε, which lowers the noise of their sum.

use super::batch::{Batch, BatchLoss, Example};
use super::schedule::Schedule;
use crate::nn::error::NnError;
use crate::nn::kernels::raw;
use crate::nn::networks::moving_points::MovingPoints;
use crate::nn::training::loss::combine;
use candle_core::Tensor;
use onsager_numerics::arithmetic::square;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::FRAC_PI_2;

/// The `action-matching` objective has no parameters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ActionMatching {}

/// A potential as training sees it; time is 10·θ/(π/2).
pub trait PotentialPredictor: Sync {
    /// Σ weights·(s, ṡ) over moving points as [1, 1], ṡ being the rate of s along (v, 1); differentiable in the parameters.
    fn weighted(&self, at: MovingPoints<'_>, weights: &[[f32; 2]]) -> Result<Tensor, NnError>;

    /// ∇s [n, d] at x [n, d].
    fn gradient(&self, x: &[f32], times: &[f32]) -> Result<Vec<f32>, NnError>;
}

/// The rate at which the network's time passes with the angle. The embedding's highest frequency is 1, and the loss holds the
/// rate of s: with the times to 1000 of the other objectives, wiggles in time would drown it.
const RATE: f64 = 10.0 / FRAC_PI_2;

/// The network's time at an angle.
pub fn angle_time(angle: f64) -> f32 {
    (RATE * angle) as f32
}

/// The angle of √ᾱ = cos θ.
pub fn angle(alpha_bar: f64) -> f64 {
    libm::atan2((1.0 - alpha_bar).sqrt(), alpha_bar.sqrt())
}

impl ActionMatching {
    /// The loss of a batch.
    pub fn batch<'a>(&self, batch: &'a Batch<'a>, network: &'a impl PotentialPredictor) -> BatchLoss<'a> {
        let ends = ends(batch.schedule);
        let draws = batch.draw(|example, stream| {
            let between = ends[0] + (ends[1] - ends[0]) * stream.uniform();
            let mut noise = vec![0.0; example.x0.len()];
            stream.fill_normal(&mut noise);
            (between, noise)
        });
        BatchLoss::new(move |range| {
            let chosen: Vec<(&Example<'_>, f64, &[f32])> =
                range.map(|i| (&batch.examples[i], draws[i].0, &draws[i].1[..])).collect();
            let at = |angle: &dyn Fn(f64) -> f64| -> (Vec<f32>, Vec<f32>) {
                let points = chosen.iter().flat_map(|(example, between, noise)| {
                    let (a, b) = (libm::cos(angle(*between)) as f32, libm::sin(angle(*between)) as f32);
                    example.x0.iter().zip(*noise).map(move |(x, e)| a * x + b * e)
                });
                let times = chosen.iter().map(|(_, between, _)| angle_time(angle(*between)));
                (points.collect(), times.collect())
            };
            let (between, times) = at(&|between| between);
            let velocity = network.gradient(&between, &times)?;
            let still = vec![0.0; between.len()];
            let (first, first_times) = at(&|_| ends[0]);
            let (last, last_times) = at(&|_| ends[1]);
            let n = chosen.len();
            let (per, span) = (batch.per_number(), ends[1] - ends[0]);
            let weight = |value: f64, rate: f64| {
                let row = [(per * value) as f32, (per * rate) as f32];
                vec![row; n]
            };
            // All points in one call: those at rest give their value, those between their rate.
            let points = MovingPoints {
                x: &[&between[..], &first, &last].concat(),
                v: &[&velocity[..], &still, &still].concat(),
                times: &[&times[..], &first_times, &last_times].concat(),
                rate: RATE,
            };
            let sum = network
                .weighted(points, &[weight(0.0, span), weight(1.0, 0.0), weight(-1.0, 0.0)].concat())?;
            // The rate counts ‖∇s‖² whole; its half, as a number without gradient, is taken back.
            let half: f64 = velocity.iter().map(|v| 0.5 * square(f64::from(*v))).sum();
            let back = raw::tensor(vec![(per * span * half) as f32], (1, 1))?;
            Ok(combine(&sum, &[1.0], &back, &[-1.0])?.reshape(())?)
        })
    }
}

/// The angles of the schedule's first and last step.
pub fn ends(schedule: &Schedule) -> [f64; 2] {
    [angle(schedule.alpha_bar(1)), angle(schedule.alpha_bar(schedule.timesteps()))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::discrete::schedule::ScheduleKind;
    use candle_core::Var;
    use onsager_numerics::random::{Stream, Streams};

    /// s = c·f(θ) x²/2 with f = d ln σ_θ/dθ, σ_θ² = cos²θ v + sin²θ: for N(0, v) data the exact potential has c = 1.
    struct Quadratic {
        c: Var,
        v: f64,
    }

    impl Quadratic {
        /// f and its derivative in θ.
        fn f(&self, time: f32) -> (f64, f64) {
            let (s, c) = libm::sincos(f64::from(time) / RATE);
            let (variance, half) = (c * c * self.v + s * s, (1.0 - self.v) * s * c);
            (half / variance, (1.0 - self.v) * (c * c - s * s) / variance - 2.0 * (half / variance).powi(2))
        }
    }

    impl PotentialPredictor for Quadratic {
        fn weighted(&self, at: MovingPoints<'_>, weights: &[[f32; 2]]) -> Result<Tensor, NnError> {
            let points = at.rows().zip(at.times).zip(weights);
            let plain: f64 = points
                .map(|(((x, v), &time), weights)| {
                    let ((f, slope), x, v) = (self.f(time), f64::from(x[0]), f64::from(v[0]));
                    let (value, rate) = (0.5 * f * x * x, f * x * v + 0.5 * slope * x * x);
                    value * f64::from(weights[0]) + rate * f64::from(weights[1])
                })
                .sum();
            Ok(raw::tensor(vec![plain as f32], (1, 1))?.broadcast_mul(self.c.as_tensor())?)
        }

        fn gradient(&self, x: &[f32], times: &[f32]) -> Result<Vec<f32>, NnError> {
            let c = f64::from(raw::values(self.c.as_tensor())?[0]);
            Ok(x.iter().zip(times).map(|(&x, &time)| (c * self.f(time).0 * f64::from(x)) as f32).collect())
        }
    }

    /// For Gaussian data the loss of c·s* is (c²/2 − c) ∫ E‖∇s*‖² dθ = (c²/2 − c) ∫ f² σ² dθ, and so is its slope in c;
    /// within 4.5 standard errors of 20 batches.
    #[test]
    fn gaussian_data() {
        let v = 0.25f64;
        let schedule = Schedule::new(&ScheduleKind::Linear, 50);
        let [first, last] = ends(&schedule);
        let action: f64 = (0..4000)
            .map(|i| {
                let angle = first + (last - first) * (f64::from(i) + 0.5) / 4000.0;
                let (s, c) = libm::sincos(angle);
                ((1.0 - v) * s * c).powi(2) / (c * c * v + s * s) * (last - first) / 4000.0
            })
            .sum();
        for c in [0.5f32, 1.0] {
            let found: Vec<[f64; 2]> = (0..20)
                .map(|seed| {
                    let mut x0 = vec![0.0; 2000];
                    Streams::new(seed, "action data").stream(0).fill_normal(&mut x0);
                    x0.iter_mut().for_each(|x| *x *= v.sqrt() as f32);
                    let examples: Vec<Example> = x0.chunks_exact(1).map(Example::of).collect();
                    let streams: Vec<Stream> =
                        (0..2000).map(|i| Streams::new(seed, "action matching").stream(i)).collect();
                    let batch = Batch {
                        examples: &examples,
                        streams: &streams,
                        schedule: &schedule,
                        levels: None,
                        scale: 1.0 / 2000.0,
                        importance: None,
                    };
                    let c = Var::from_tensor(&raw::tensor(vec![c], (1, 1)).unwrap()).unwrap();
                    let quadratic = Quadratic { c, v };
                    let loss = (ActionMatching {}.batch(&batch, &quadratic).part)(0..2000).unwrap();
                    let gradient = loss.backward().unwrap();
                    let slope = raw::values(gradient.get(&quadratic.c).unwrap()).unwrap()[0];
                    [f64::from(raw::values(&loss).unwrap()[0]), f64::from(slope)]
                })
                .collect();
            let c = f64::from(c);
            for (i, expected) in [(c * c / 2.0 - c) * action, (c - 1.0) * action].into_iter().enumerate() {
                let mean = found.iter().map(|x| x[i]).sum::<f64>() / 20.0;
                let error = (found.iter().map(|x| (x[i] - mean).powi(2)).sum::<f64>() / 380.0).sqrt();
                assert!(
                    (mean - expected).abs() < 4.5 * error,
                    "{c}, {i}: {mean} ± {error}, expected {expected}"
                );
            }
        }
    }
}
