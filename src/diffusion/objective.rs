//! What a network is trained on: the `simple` loss of DDPM, and the action of path segments.
//!
//! The path-action loss of a segment of K consecutive steps is
//! `(1/K) Σ_s w_s ‖x_{s−1} − μ_θ(x_s, s)‖²/(2σ_s²) + λ (1/K) Σ_s ‖x̂_{s−1} − x̂_s‖²/(2β_s)`, with σ_s² = β_s. The segment
//! x_t, x_{t−1}, …, x_{t−K} is drawn jointly from the forward process; x̂ is the model's own mean path from x̂_t = x_t,
//! x̂_{s−1} = μ_θ(x̂_s, s), and the gradient runs through it. t is uniform in 1 … T + K − 1, the steps s in 1 … T are kept, and
//! the sum is scaled by (T + K − 1)/T, so that its expectation at λ = 0 is the same for every K. All losses are per
//! number of a sample (divided by d).
//!
//! Since x_{s−1} − μ_θ = β_s/√(α_s (1 − ᾱ_s)) (ε_θ − ε*), each step is a squared error of predicted noise with the weight
//! of the variational bound, and a target ε* that depends on the choice of [`Target`].

use super::schedule::{Schedule, Variance};
use crate::nn::error::NnError;
use crate::nn::loss::{combine, weighted_squares};
use crate::nn::raw;
use crate::random::Stream;
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// A training objective.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// E ‖ε − ε_θ(x_t, t)‖² (Ho 2020, eq. 14). `objective: simple` means the same.
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
    /// w_s = 2σ_s² α_s (1 − ᾱ_s)/β_s², which makes each step's loss the plain squared error of the noise, as in `simple`.
    #[default]
    Simple,
}

/// What x_{s−1} stands for in a step's loss.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// The sampled x_{s−1} of the segment: ε* = √((1 − ᾱ_s)/β_s) times the noise of that step.
    Path,
    /// Its mean μ̃(x_s, x_0) given both ends (Rao–Blackwell): ε* is the noise of x_s; the same gradient, less noisy.
    #[default]
    Mean,
}

impl<'de> Deserialize<'de> for Objective {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Objective, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        enum Named {
            Simple(Simple),
            PathAction(PathAction),
        }
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Objective;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("`simple`, `path-action`, or a map with one of them")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Objective, E> {
                match name {
                    "simple" => Ok(Objective::default()),
                    "path-action" => Ok(Objective::PathAction(PathAction::default())),
                    _ => Err(E::unknown_variant(name, &["simple", "path-action"])),
                }
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Objective, A::Error> {
                let named = Named::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(match named {
                    Named::Simple(p) => Objective::Simple(p),
                    Named::PathAction(p) => Objective::PathAction(p),
                })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
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
pub fn draw_segment(x0: &[f32], schedule: &Schedule, p: &PathAction, stream: &mut Stream) -> Vec<SegmentStep> {
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
                let draws = rows.iter().zip(streams).map(|(x0, stream)| draw_segment(x0, schedule, p, stream));
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
