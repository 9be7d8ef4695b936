//! What a network is trained on: the `simple` loss of DDPM, and the action of path segments.
//!
//! The path-action loss of a segment of K consecutive steps is, with σ_s² = β_s,
//!
//! `(1/K) Σ_s w_s ‖x_{s−1} − μ_θ(x_s, s)‖²/(2σ_s²) + λ (1/K) Σ_s ‖x̂_{s−1} − x̂_s‖²/(2β_s)`.
//!
//! The segment x_t, x_{t−1}, …, x_{t−K} is drawn jointly from the forward process; x̂ is the model's own
//! mean path from x̂_t = x_t, x̂_{s−1} = μ_θ(x̂_s, s), and the gradient runs through it. t is uniform in
//! 1 … T + K − 1, the steps s in 1 … T are kept, and the sum is scaled by (T + K − 1)/T, so that its
//! expectation at λ = 0 is the same for every K. All losses are per number of a sample (divided by d).
//!
//! Since x_{s−1} − μ_θ = β_s/√(α_s (1 − ᾱ_s)) (ε_θ − ε*), each step is a squared error of predicted noise
//! with the weight of the variational bound, and a target ε* that depends on the choice of [`Target`].

use super::schedule::{Schedule, Variance};
use crate::nn::error::NnError;
use crate::nn::loss::{combine, weighted_squares};
use crate::nn::raw;
use crate::random::Stream;
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A training objective.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// E ‖ε − ε_θ(x_t, t)‖² (Ho 2020, eq. 14).
    Simple(Simple),
    /// The action of path segments and of the model's own mean path.
    PathAction(PathAction),
}

/// The `simple` objective has no parameters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Simple {}

/// The path-action objective.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PathAction {
    /// K, the number of steps of a segment, from 1 to T.
    pub k: usize,
    /// λ, the weight of the kinetic action of the model's own mean path, 0 or more.
    pub lambda: f64,
    /// The weight w_s of each step.
    pub weighting: Weighting,
    /// What each step aims at.
    pub target: Target,
}

impl Default for PathAction {
    fn default() -> PathAction {
        PathAction { k: 2, lambda: 0.0, weighting: Weighting::Simple, target: Target::Mean }
    }
}

/// The weight w_s of a step of the path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Weighting {
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

impl Default for Objective {
    fn default() -> Objective {
        Objective::Simple(Simple {})
    }
}

/// A network as training sees it: ε_θ(x, t) for x [n, d] at the steps t (1 … T) of each row, differentiable.
pub trait Predictor {
    fn predict(&self, x: &Tensor, t: &[usize]) -> Result<Tensor, NnError>;
}

/// One step of a path segment.
#[derive(Debug, Clone, PartialEq)]
pub struct SegmentStep {
    /// s.
    pub s: usize,
    /// x_s.
    pub x: Vec<f32>,
    /// ε*: what ε_θ(x_s, s) should be.
    pub target: Vec<f32>,
}

/// Draws a segment of a forward path from x_0 jointly: up to K consecutive steps, s decreasing.
pub fn draw_segment(
    x0: &[f32],
    schedule: &Schedule,
    p: &PathAction,
    stream: &mut Stream,
) -> Vec<SegmentStep> {
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
        segment.push(SegmentStep { s, x: x.iter().map(|&x| x as f32).collect(), target });
    }
    segment.reverse();
    segment
}

/// The weight of ‖ε* − ε_θ‖² at step s: w_s times that of the variational bound.
pub fn step_weight(schedule: &Schedule, weighting: Weighting, s: usize) -> f64 {
    match weighting {
        Weighting::Unit => schedule.bound_weight(s, Variance::Beta),
        Weighting::Simple => 1.0,
    }
}

impl Objective {
    /// The summed loss of the samples x_0 (rows of `size` numbers), each with its own stream, times `scale`.
    pub fn loss(
        &self,
        predictor: &impl Predictor,
        schedule: &Schedule,
        rows: &[&[f32]],
        streams: &mut [Stream],
        scale: f64,
    ) -> Result<Tensor, NnError> {
        let size = rows.first().map_or(1, |row| row.len());
        let per_number = scale / size as f64;
        match self {
            Objective::Simple(_) => {
                let draws = rows.iter().zip(streams).map(|(x0, stream)| {
                    let t = 1 + stream.below(schedule.timesteps() as u64) as usize;
                    noised(x0, schedule, t, stream)
                });
                let draws: Vec<SegmentStep> = draws.collect();
                let weights = vec![per_number as f32; draws.len()];
                let (predicted, _) = predict(predictor, &draws.iter().collect::<Vec<_>>())?;
                squared_error(&predicted, &draws.iter().collect::<Vec<_>>(), &weights)
            }
            Objective::PathAction(p) => {
                let draws =
                    rows.iter().zip(streams).map(|(x0, stream)| draw_segment(x0, schedule, p, stream));
                let steps = schedule.timesteps();
                let per_step = per_number * (steps + p.k - 1) as f64 / (steps * p.k) as f64;
                path_action_loss(predictor, schedule, p, &draws.collect::<Vec<_>>(), per_step)
            }
        }
    }
}

/// x_t and its noise, given x_0.
pub fn noised(x0: &[f32], schedule: &Schedule, t: usize, stream: &mut Stream) -> SegmentStep {
    let mut target = vec![0.0; x0.len()];
    stream.fill_normal(&mut target);
    let (a, b) = (schedule.alpha_bar(t).sqrt() as f32, (1.0 - schedule.alpha_bar(t)).sqrt() as f32);
    SegmentStep { s: t, x: x0.iter().zip(&target).map(|(x, e)| a * x + b * e).collect(), target }
}

/// The rows as a tensor, and what the network predicts for them.
fn predict(predictor: &impl Predictor, rows: &[&SegmentStep]) -> Result<(Tensor, Tensor), NnError> {
    let size = rows.first().map_or(0, |row| row.x.len());
    let x = raw::tensor(rows.iter().flat_map(|row| row.x.iter().copied()).collect(), (rows.len(), size))?;
    let steps: Vec<usize> = rows.iter().map(|row| row.s).collect();
    Ok((predictor.predict(&x, &steps)?, x))
}

/// Σ_i weights_i ‖predicted_i − target_i‖².
fn squared_error(predicted: &Tensor, rows: &[&SegmentStep], weights: &[f32]) -> Result<Tensor, NnError> {
    let targets = rows.iter().flat_map(|row| row.target.iter().copied()).collect();
    let target = raw::tensor(targets, predicted.shape().clone())?;
    let (plus, minus) = (vec![1.0; rows.len()], vec![-1.0; rows.len()]);
    Ok(weighted_squares(&combine(predicted, &plus, &target, &minus)?, weights)?)
}

fn path_action_loss(
    predictor: &impl Predictor,
    schedule: &Schedule,
    p: &PathAction,
    segments: &[Vec<SegmentStep>],
    per_step: f64,
) -> Result<Tensor, NnError> {
    // Step j of all segments that are that long, j = 0 first: the first rows are then the roll-out's beginning.
    let rows: Vec<&SegmentStep> =
        (0..p.k).flat_map(|j| segments.iter().filter_map(move |segment| segment.get(j))).collect();
    let weights: Vec<f32> =
        rows.iter().map(|row| (per_step * step_weight(schedule, p.weighting, row.s)) as f32).collect();
    let (predicted, points) = predict(predictor, &rows)?;
    let mut loss = squared_error(&predicted, &rows, &weights)?;
    if p.lambda > 0.0 {
        let count = segments.len();
        let mut x = points.narrow(0, 0, count)?;
        let mut noise = predicted.narrow(0, 0, count)?;
        for j in 0..p.k {
            // A segment that has ended stays where it is, with weight zero.
            let steps: Vec<Option<usize>> = segments.iter().map(|s| s.get(j).map(|step| step.s)).collect();
            let each = |ended: f64, f: &dyn Fn(usize) -> f64| -> Vec<f32> {
                steps.iter().map(|s| s.map_or(ended, f) as f32).collect()
            };
            let state = each(1.0, &|s| 1.0 / schedule.alpha(s).sqrt());
            let pull = each(0.0, &|s| {
                -schedule.beta(s) / ((1.0 - schedule.alpha_bar(s)) * schedule.alpha(s)).sqrt()
            });
            let weights = each(0.0, &|s| p.lambda * per_step / (2.0 * schedule.beta(s)));
            if j > 0 {
                let at: Vec<usize> = steps.iter().map(|s| s.unwrap_or(1)).collect();
                noise = predictor.predict(&x, &at)?;
            }
            let next = combine(&x, &state, &noise, &pull)?;
            let moved = combine(&next, &vec![1.0; count], &x, &vec![-1.0; count])?;
            loss = (loss + weighted_squares(&moved, &weights)?)?;
            x = next;
        }
    }
    Ok(loss)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::schedule::ScheduleKind;
    use crate::random::Streams;
    use candle_core::Var;

    /// ε_θ(x, t) = c·x.
    struct Linear(Var);

    impl Linear {
        fn new(c: f32) -> Linear {
            Linear(Var::from_tensor(&raw::tensor(vec![c], (1, 1)).unwrap()).unwrap())
        }
    }

    impl Predictor for Linear {
        fn predict(&self, x: &Tensor, _t: &[usize]) -> Result<Tensor, NnError> {
            Ok(x.broadcast_mul(self.0.as_tensor())?)
        }
    }

    fn loss(p: PathAction, c: f32, x0: &[f32], schedule: &Schedule, seed: u64) -> f64 {
        let streams = Streams::new(seed, "objective test");
        let rows: Vec<&[f32]> = x0.chunks_exact(1).collect();
        let mut streams: Vec<Stream> = (0..rows.len()).map(|i| streams.stream(i as u64)).collect();
        let scale = 1.0 / rows.len() as f64;
        let loss = Objective::PathAction(p).loss(&Linear::new(c), schedule, &rows, &mut streams, scale);
        f64::from(raw::values(&loss.unwrap()).unwrap()[0])
    }

    /// K = 1, λ = 0, w = 1 with the Rao–Blackwellised target is the variational bound's term: ‖μ̃(x_s, x_0) −
    /// μ_θ‖²/(2σ_s²), with μ̃ and μ_θ computed here from their own formulas; f32 data limit the agreement.
    #[test]
    fn one_step_is_the_bounds_term() {
        let schedule = Schedule::new(ScheduleKind::Linear, 20);
        let p = PathAction { k: 1, lambda: 0.0, weighting: Weighting::Unit, target: Target::Mean };
        for i in 0..40 {
            let mut stream = Streams::new(3, "bound").stream(i);
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
            let objective = Objective::PathAction(p);
            let loss = objective
                .loss(&Linear::new(0.3), &schedule, &[&x0], std::slice::from_mut(&mut stream), 1.0)
                .unwrap();
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
        let schedule = Schedule::new(ScheduleKind::Linear, 12);
        let (v, c) = (0.25, 0.4f32);
        for (weighting, target) in [
            (Weighting::Unit, Target::Path),
            (Weighting::Unit, Target::Mean),
            (Weighting::Simple, Target::Mean),
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
        let schedule = Schedule::new(ScheduleKind::Cosine, 10);
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
        let schedule = Schedule::new(ScheduleKind::Linear, 8);
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
        let schedule = Schedule::new(ScheduleKind::Linear, 60);
        let p = PathAction { k: 4, lambda: 3.0, weighting: Weighting::Unit, target: Target::Path };
        let x0 = [0.5, -1.0, 0.3];
        let rows: Vec<&[f32]> = x0.chunks_exact(1).collect();
        let streams = Streams::new(9, "objective test");
        let mut streams: Vec<Stream> = (0..3).map(|i| streams.stream(i)).collect();
        let linear = Linear::new(0.4);
        let objective = Objective::PathAction(p);
        let value = objective.loss(&linear, &schedule, &rows, &mut streams, 1.0 / 3.0).unwrap();
        let gradient = raw::values(value.backward().unwrap().get(&linear.0).unwrap()).unwrap()[0];
        let h = 0.01;
        let slope = (loss(p, 0.4 + h, &x0, &schedule, 9) - loss(p, 0.4 - h, &x0, &schedule, 9))
            / (2.0 * f64::from(h));
        assert!((f64::from(gradient) - slope).abs() < 1e-3 * (1.0 + slope.abs()), "{gradient}, {slope}");
    }
}
