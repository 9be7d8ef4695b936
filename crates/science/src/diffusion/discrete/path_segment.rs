//! The action of path segments.
//!
//! The loss of a segment of K consecutive steps is, with σ_s² = β_s,
//!
//! `(1/K) Σ_s w_s ‖x_{s−1} − μ_θ(x_s, s)‖²/(2σ_s²) + λ (1/K) Σ_s ‖x̂_{s−1} − x̂_s‖²/(2β_s)`.
//!
//! The segment x_t, x_{t−1}, …, x_{t−K} is drawn jointly from the forward process; x̂ is the model's own
//! mean path from x̂_t = x_t, x̂_{s−1} = μ_θ(x̂_s, s), and the gradient runs through it. t is uniform in
//! 1 … T + K − 1, the steps s in 1 … T are kept, and the sum is scaled by (T + K − 1)/T, so that its
//! expectation at λ = 0 is the same for every K.
//!
//! Since x_{s−1} − μ_θ = β_s/√(α_s (1 − ᾱ_s)) (ε_θ − ε*), each step is a squared error of predicted noise
//! with the weight of the variational bound, and a target ε* that depends on the choice of [`Target`].

use super::batch::{Batch, BatchLoss, NoisyStep, Predictor, rows};
use super::schedule::{Schedule, Variance};
use crate::nn::error::NnError;
use crate::nn::training::loss::squared_error;
use crate::nn::training::loss::{combine, weighted_squares};
use candle_core::Tensor;
use onsager_numerics::random::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The path-action objective.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PathAction {
    /// K, the number of steps of a segment, from 1 to T.
    pub k: usize,
    /// λ, the weight of the kinetic action of the model's own mean path, 0 or more.
    pub lambda: f64,
    /// The weight w_s of each step.
    pub weighting: StepWeight,
    /// What each step aims at.
    pub target: Target,
}

impl Default for PathAction {
    fn default() -> PathAction {
        PathAction { k: 2, lambda: 0.0, weighting: StepWeight::Simple, target: Target::Mean }
    }
}

/// The weight w_s of a step of the path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StepWeight {
    /// w_s = 1: the action itself, weighted as in the variational bound.
    Unit,
    /// w_s = 2σ_s² α_s (1 − ᾱ_s)/β_s², which makes each step's loss the plain squared error of the noise, as
    /// in `simple`.
    #[default]
    Simple,
}

/// What x_{s−1} stands for in a step's loss.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The sampled x_{s−1} of the segment: ε* = √((1 − ᾱ_s)/β_s) times the noise of that step.
    Path,
    /// Its mean μ̃(x_s, x_0) given both ends (Rao–Blackwell): ε* is the noise of x_s; the same gradient, less
    /// noisy.
    #[default]
    Mean,
}

/// Draws a segment of a forward path from x_0 jointly: up to K consecutive steps, s decreasing.
pub fn draw_segment(x0: &[f32], schedule: &Schedule, p: &PathAction, stream: &mut Stream) -> Vec<NoisyStep> {
    let steps = schedule.timesteps();
    let t = 1 + stream.below((steps + p.k - 1) as u64) as usize;
    let (low, high) = ((t + 1).saturating_sub(p.k).max(1), t.min(steps));
    let normal = |stream: &mut Stream| -> Vec<f64> { x0.iter().map(|_| stream.normal()).collect() };
    let mix = |a: f64, x: &[f64], b: f64, z: &[f64]| -> Vec<f64> {
        x.iter().zip(z).map(|(x, z)| a.sqrt() * x + b.sqrt() * z).collect()
    };
    let start: Vec<f64> = x0.iter().map(|&x| f64::from(x)).collect();
    let bar = schedule.alpha_bar(low - 1);
    let mut x = mix(bar, &start, 1.0 - bar, &normal(stream));
    let mut segment = Vec::with_capacity(high + 1 - low);
    for s in low..=high {
        let noise = normal(stream);
        x = mix(schedule.alpha(s), &x, schedule.beta(s), &noise);
        let spread = 1.0 - schedule.alpha_bar(s);
        let target = match p.target {
            Target::Path => noise.iter().map(|z| ((spread / schedule.beta(s)).sqrt() * z) as f32).collect(),
            Target::Mean => {
                let root = schedule.alpha_bar(s).sqrt();
                x.iter().zip(&start).map(|(x, x0)| ((x - root * x0) / spread.sqrt()) as f32).collect()
            }
        };
        segment.push(NoisyStep { s, x: x.iter().map(|&x| x as f32).collect(), target });
    }
    segment.reverse();
    segment
}

/// The weight of ‖ε* − ε_θ‖² at step s: w_s times that of the variational bound.
pub fn step_weight(schedule: &Schedule, weighting: StepWeight, s: usize) -> f64 {
    match weighting {
        StepWeight::Unit => schedule.bound_weight(s, Variance::Beta),
        StepWeight::Simple => 1.0,
    }
}

impl PathAction {
    /// The loss of a batch.
    pub fn batch<'a>(&self, batch: &'a Batch<'a>, network: &'a impl Predictor) -> BatchLoss<'a> {
        let p = *self;
        let segments = batch.draw(|example, stream| draw_segment(&example.x0, batch.schedule, &p, stream));
        BatchLoss::new(move |range| p.part(batch, network, &segments[range.clone()], range))
    }

    fn part(
        &self,
        batch: &Batch<'_>,
        network: &impl Predictor,
        segments: &[Vec<NoisyStep>],
        range: Range<usize>,
    ) -> Result<Tensor, NnError> {
        let schedule = batch.schedule;
        let steps = schedule.timesteps();
        let per_step = batch.per_number() * (steps + self.k - 1) as f64 / (steps * self.k) as f64;
        // Step j of all segments that are that long, j = 0 first: the first rows are then the roll-out's beginning.
        let drawn: Vec<(usize, usize, &NoisyStep)> = (0..self.k)
            .flat_map(|j| {
                let long = range.clone().zip(segments);
                long.filter_map(move |(i, segment)| Some((i, j, segment.get(j)?)))
            })
            .collect();
        let weights: Vec<f32> = drawn
            .iter()
            .map(|(_, _, row)| (per_step * step_weight(schedule, self.weighting, row.s)) as f32)
            .collect();
        let points = rows(drawn.iter().map(|(_, _, row)| &row.x[..]))?;
        let on =
            batch.conditions(drawn.iter().map(|(i, j, row)| (*i, *j as u64, schedule.network_time(row.s))));
        let predicted = network.predict(&points, &on)?;
        let target = rows(drawn.iter().map(|(_, _, row)| &row.target[..]))?;
        let mut loss = squared_error(&predicted, &target, &weights)?;
        if self.lambda > 0.0 {
            let count = segments.len();
            let mut x = points.narrow(0, 0, count)?;
            let mut noise = predicted.narrow(0, 0, count)?;
            for j in 0..self.k {
                // A segment that has ended stays where it is, with weight zero.
                let steps: Vec<Option<usize>> =
                    segments.iter().map(|s| s.get(j).map(|step| step.s)).collect();
                let each = |ended: f64, f: &dyn Fn(usize) -> f64| -> Vec<f32> {
                    steps.iter().map(|s| s.map_or(ended, f) as f32).collect()
                };
                let state = each(1.0, &|s| 1.0 / schedule.alpha(s).sqrt());
                let pull = each(0.0, &|s| {
                    -schedule.beta(s) / ((1.0 - schedule.alpha_bar(s)) * schedule.alpha(s)).sqrt()
                });
                let weights = each(0.0, &|s| self.lambda * per_step / (2.0 * schedule.beta(s)));
                if j > 0 {
                    let at = range.clone().zip(&steps);
                    let on = batch
                        .conditions(at.map(|(i, s)| (i, j as u64, schedule.network_time(s.unwrap_or(1)))));
                    noise = network.predict(&x, &on)?;
                }
                let next = combine(&x, &state, &noise, &pull)?;
                let moved = combine(&next, &vec![1.0; count], &x, &vec![-1.0; count])?;
                loss = (loss + weighted_squares(&moved, &weights)?)?;
                x = next;
            }
        }
        Ok(loss)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::discrete::batch::Example;
    use crate::diffusion::discrete::schedule::ScheduleKind;
    use crate::nn::kernels::raw;
    use crate::nn::layers::conditions::Conditions;
    use candle_core::Var;
    use onsager_numerics::random::Streams;

    /// ε_θ(x, t) = c·x.
    struct Linear(Var);

    impl Linear {
        fn new(c: f32) -> Linear {
            Linear(Var::from_tensor(&raw::tensor(vec![c], (1, 1)).unwrap()).unwrap())
        }
    }

    impl Predictor for Linear {
        fn predict(&self, x: &Tensor, _on: &Conditions) -> Result<Tensor, NnError> {
            Ok(x.broadcast_mul(self.0.as_tensor())?)
        }
    }

    fn tensor(
        p: PathAction,
        linear: &Linear,
        x0: &[f32],
        size: usize,
        schedule: &Schedule,
        streams: &[Stream],
    ) -> Tensor {
        let examples: Vec<Example> = x0.chunks_exact(size).map(Example::of).collect();
        let scale = 1.0 / examples.len() as f64;
        let batch = Batch { examples: &examples, streams, schedule, levels: None, scale, importance: None };
        (p.batch(&batch, linear).part)(0..examples.len()).unwrap()
    }

    fn loss(p: PathAction, c: f32, x0: &[f32], schedule: &Schedule, seed: u64) -> f64 {
        let streams = Streams::new(seed, "objective test");
        let streams: Vec<Stream> = (0..x0.len()).map(|i| streams.stream(i as u64)).collect();
        f64::from(raw::values(&tensor(p, &Linear::new(c), x0, 1, schedule, &streams)).unwrap()[0])
    }

    /// K = 1, λ = 0, w = 1 with the Rao–Blackwellised target is the variational bound's term: ‖μ̃(x_s, x_0) −
    /// μ_θ‖²/(2σ_s²), with μ̃ and μ_θ computed here from their own formulas; f32 data limit the agreement.
    #[test]
    fn one_step_is_the_bounds_term() {
        let schedule = Schedule::new(&ScheduleKind::Linear, 20);
        let p = PathAction { k: 1, lambda: 0.0, weighting: StepWeight::Unit, target: Target::Mean };
        for i in 0..40 {
            let stream = Streams::new(3, "bound").stream(i);
            let x0 = [0.7f32, -0.2];
            let drawn = draw_segment(&x0, &schedule, &p, &mut stream.clone());
            let [step] = &drawn[..] else { panic!("one step") };
            let (s, beta, bar) = (step.s, schedule.beta(step.s), schedule.alpha_bar(step.s));
            let before = schedule.alpha_bar(s - 1);
            let mut expected = 0.0;
            for (&x, &x0) in step.x.iter().zip(&x0) {
                let (x, x0) = (f64::from(x), f64::from(x0));
                let posterior = before.sqrt() * beta / (1.0 - bar) * x0
                    + schedule.alpha(s).sqrt() * (1.0 - before) / (1.0 - bar) * x;
                let model = (x - beta / (1.0 - bar).sqrt() * 0.3 * x) / schedule.alpha(s).sqrt();
                expected += (posterior - model).powi(2) / (2.0 * beta) / 2.0;
            }
            let loss = tensor(p, &Linear::new(0.3), &x0, 2, &schedule, &[stream]);
            let found = f64::from(raw::values(&loss).unwrap()[0]);
            assert!(
                (found - expected).abs() < 1e-4 * (1.0 + expected),
                "step {s}: {found}, expected {expected}"
            );
        }
    }

    /// For data N(0, v) and ε_θ = c x the expected loss is known, and the same for every K: E(ε* − c x_s)² =
    /// E ε*² − 2c √(1 − ᾱ_s) + c² (ᾱ_s v + 1 − ᾱ_s), with E ε*² = 1 (mean) or (1 − ᾱ_s)/β_s (path).
    /// Tolerance: 4.5 standard errors of 20 independent means.
    #[test]
    fn expected_loss_is_the_same_for_every_k() {
        let schedule = Schedule::new(&ScheduleKind::Linear, 12);
        let (v, c) = (0.25, 0.4f32);
        for (weighting, target) in [
            (StepWeight::Unit, Target::Path),
            (StepWeight::Unit, Target::Mean),
            (StepWeight::Simple, Target::Mean),
        ] {
            let expected: f64 = (1..=12)
                .map(|s| {
                    let (bar, c) = (schedule.alpha_bar(s), f64::from(c));
                    let own = if target == Target::Mean { 1.0 } else { (1.0 - bar) / schedule.beta(s) };
                    let square = own - 2.0 * c * (1.0 - bar).sqrt() + c * c * (bar * v + 1.0 - bar);
                    step_weight(&schedule, weighting, s) * square / 12.0
                })
                .sum();
            for k in [1, 3, 12] {
                let p = PathAction { k, lambda: 0.0, weighting, target };
                let means: Vec<f64> = (0..20)
                    .map(|seed| {
                        let mut x0 = vec![0.0; 1500];
                        Streams::new(seed, "data").stream(k as u64).fill_normal(&mut x0);
                        x0.iter_mut().for_each(|x| *x *= 0.5);
                        loss(p, c, &x0, &schedule, seed)
                    })
                    .collect();
                let mean = means.iter().sum::<f64>() / 20.0;
                let error = (means.iter().map(|m| (m - mean).powi(2)).sum::<f64>() / 19.0 / 20.0).sqrt();
                assert!(
                    (mean - expected).abs() < 4.5 * error,
                    "k {k}: {mean} ± {error}, expected {expected}"
                );
            }
        }
    }

    /// The steps of a segment are consecutive, joint draws: (x_s − √α_s x_{s−1})/√β_s are the noises, so
    /// their variance is one within 4.5·√(2/n).
    #[test]
    fn segments_are_forward_paths() {
        let schedule = Schedule::new(&ScheduleKind::Cosine, 10);
        let p = PathAction { k: 4, ..PathAction::default() };
        let (mut sum, mut count, mut seen) = (0.0, 0.0, [0; 11]);
        for i in 0..4000 {
            let segment = draw_segment(&[0.5], &schedule, &p, &mut Streams::new(1, "segments").stream(i));
            for step in &segment {
                seen[step.s] += 1;
            }
            for pair in segment.windows(2) {
                assert_eq!(pair[0].s, pair[1].s + 1);
                let (alpha, beta) = (schedule.alpha(pair[0].s), schedule.beta(pair[0].s));
                sum += (f64::from(pair[0].x[0]) - alpha.sqrt() * f64::from(pair[1].x[0])).powi(2) / beta;
                count += 1.0;
            }
        }
        assert!((sum / count - 1.0).abs() < 4.5 * (2.0f64 / count).sqrt());
        // Each step is covered 4 times in T + K − 1 = 13 draws: 1,231 ± 29 of 4,000.
        assert!(seen[1..].iter().all(|&n| (1100..1362).contains(&n)), "{seen:?}");
    }

    /// With ε_θ = 0 the roll-out is x̂_{s−1} = x̂_s/√α_s, and its kinetic action is known.
    #[test]
    fn kinetic_action_of_the_roll_out() {
        let schedule = Schedule::new(&ScheduleKind::Linear, 8);
        let p = PathAction { k: 3, lambda: 2.0, ..PathAction::default() };
        let without = PathAction { lambda: 0.0, ..p };
        for i in 0..30 {
            let segment =
                draw_segment(&[1.0], &schedule, &p, &mut Streams::new(i, "objective test").stream(0));
            let mut x = f64::from(segment[0].x[0]);
            let mut kinetic = 0.0;
            for step in &segment {
                let next = x / schedule.alpha(step.s).sqrt();
                kinetic += (next - x).powi(2) / (2.0 * schedule.beta(step.s));
                x = next;
            }
            let expected = 2.0 * kinetic / 3.0 * 10.0 / 8.0;
            let found = loss(p, 0.0, &[1.0], &schedule, i) - loss(without, 0.0, &[1.0], &schedule, i);
            assert!((found - expected).abs() < 1e-4 * (1.0 + expected), "{found}, expected {expected}");
        }
    }

    /// The gradient runs through the roll-out: it is the slope of the loss.
    #[test]
    fn gradient_through_the_roll_out() {
        let schedule = Schedule::new(&ScheduleKind::Linear, 60);
        let p = PathAction { k: 4, lambda: 3.0, weighting: StepWeight::Unit, target: Target::Path };
        let x0 = [0.5, -1.0, 0.3];
        let streams = Streams::new(9, "objective test");
        let streams: Vec<Stream> = (0..3).map(|i| streams.stream(i)).collect();
        let linear = Linear::new(0.4);
        let value = tensor(p, &linear, &x0, 1, &schedule, &streams);
        let gradient = raw::values(value.backward().unwrap().get(&linear.0).unwrap()).unwrap()[0];
        let h = 0.01;
        let slope = (loss(p, 0.4 + h, &x0, &schedule, 9) - loss(p, 0.4 - h, &x0, &schedule, 9))
            / (2.0 * f64::from(h));
        assert!((f64::from(gradient) - slope).abs() < 1e-3 * (1.0 + slope.abs()), "{gradient}, {slope}");
    }

    /// What λ does to the optimum, with K = 1 and the plain squared error: (E[ε given x] + λ b e)/(1 + λ b), b = β/(2α(1 − ᾱ)), e = (1 − √α)
    /// √(1 − ᾱ) x/β. For N(0, v) all are multiples of x, and the loss is a parabola in the multiple c, whose lowest point three values
    /// tell; within 4.5 standard errors of 20.
    #[test]
    fn the_minimiser_of_lambda() {
        let (v, lambda) = (0.25, 4.0);
        let schedule = Schedule::new(&ScheduleKind::Linear, 1);
        let p = PathAction { k: 1, lambda, ..PathAction::default() };
        let (beta, alpha, bar) = (schedule.beta(1), schedule.alpha(1), schedule.alpha_bar(1));
        let b = beta / (2.0 * alpha * (1.0 - bar));
        let e = (1.0 - alpha.sqrt()) * (1.0 - bar).sqrt() / beta;
        let exact = (1.0 - bar).sqrt() / (bar * v + 1.0 - bar);
        let expected = (exact + lambda * b * e) / (1.0 + lambda * b);
        let found: Vec<f64> = (0..20)
            .map(|seed| {
                let mut x0 = vec![0.0; 4000];
                Streams::new(seed, "data").stream(0).fill_normal(&mut x0);
                x0.iter_mut().for_each(|x| *x *= 0.5);
                let [low, middle, high] = [0.0, 0.5, 1.0].map(|c| loss(p, c, &x0, &schedule, seed));
                0.5 - 0.25 * (high - low) / (high - 2.0 * middle + low)
            })
            .collect();
        let mean = found.iter().sum::<f64>() / 20.0;
        let error = (found.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / 19.0 / 20.0).sqrt();
        assert!((mean - expected).abs() < 4.5 * error, "{mean} ± {error}, expected {expected}");
        assert!(expected < exact - 10.0 * error, "under-denoising: {expected} below {exact}");
    }
}
