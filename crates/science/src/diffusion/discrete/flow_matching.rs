//! Flow matching: the velocity of straight paths x_τ = (1 − τ) z + τ x_0 from noise z to data x_0 (Lipman 2023), of pairs at
//! random, of pairs of least total action (Tong 2024), or of pairs weighted by the probability of their path.

use super::batch::{Batch, BatchLoss, Predictor, Weighting, rows};
use crate::metrics::wasserstein::assignment;
use crate::nn::training::loss::squared_error;
use onsager_numerics::arithmetic::square;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Flow matching with pairs of equal weight.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FlowMatching {
    /// How noise is paired with data.
    pub pairing: Pairing,
}

/// How noise is paired with data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pairing {
    /// At random.
    #[default]
    Independent,
    /// Within a batch, the pairs of least total ‖x_0 − z‖²: of least kinetic action.
    OptimalTransport,
    /// Each sample with the noise from which a model has drawn it: reflow (Liu 2023), which straightens the model's paths. The input `noise` of
    /// `train` holds it.
    Given,
}

/// Flow matching of random pairs, each weighted by exp(−γ A) with the action A = ½‖x_0 − z‖² of its path; the weights of a batch
/// are scaled to a mean of one.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PathWeighted {
    /// γ, 0 or more; 0 is plain flow matching. The weights favour data near the noise: the table of losses has the effective
    /// share of the samples and the shift of the data.
    pub gamma: f64,
}

impl Default for PathWeighted {
    fn default() -> PathWeighted {
        PathWeighted { gamma: 0.05 }
    }
}

/// The end of a path and where on it.
struct Draw {
    noise: Vec<f32>,
    /// τ, 0 to 1.
    at: f64,
}

impl FlowMatching {
    /// The loss of a batch.
    pub fn batch<'a>(&self, batch: &'a Batch<'a>, network: &'a impl Predictor) -> BatchLoss<'a> {
        let mut draws = draws(batch);
        if self.pairing == Pairing::Given {
            for (draw, example) in draws.iter_mut().zip(batch.examples) {
                draw.noise = example.noise.map_or_else(Vec::new, <[f32]>::to_vec);
            }
        }
        if self.pairing == Pairing::OptimalTransport {
            let cost = |i: usize, j: usize| squared_length(&batch.examples[i].x0, &draws[j].noise);
            let partner = optimal_partners(draws.len(), cost);
            let noise: Vec<Vec<f32>> = partner.iter().map(|&j| draws[j].noise.clone()).collect();
            draws.iter_mut().zip(noise).for_each(|(draw, noise)| draw.noise = noise);
        }
        loss(batch, network, draws, None)
    }
}

impl PathWeighted {
    /// The loss of a batch.
    pub fn batch<'a>(&self, batch: &'a Batch<'a>, network: &'a impl Predictor) -> BatchLoss<'a> {
        let draws = draws(batch);
        let pairs = batch.examples.iter().zip(&draws);
        let actions: Vec<f64> =
            pairs.map(|(example, draw)| 0.5 * squared_length(&example.x0, &draw.noise)).collect();
        let weights = probabilities(&actions, self.gamma);
        loss(batch, network, draws, Some(weights))
    }
}

/// exp(−γ A) for each action, scaled to a mean of one.
fn probabilities(actions: &[f64], gamma: f64) -> Vec<f64> {
    let least = actions.iter().copied().fold(f64::INFINITY, f64::min);
    let raw: Vec<f64> = actions.iter().map(|action| libm::exp(-gamma * (action - least))).collect();
    let mean = raw.iter().sum::<f64>() / raw.len() as f64;
    raw.into_iter().map(|w| w / mean).collect()
}

/// The pairs of least total cost: for each of `n` samples, its noise.
pub(super) fn optimal_partners(n: usize, cost: impl Fn(usize, usize) -> f64) -> Vec<usize> {
    assignment(n, &cost)
}

pub(super) fn squared_length(x: &[f32], y: &[f32]) -> f64 {
    x.iter().zip(y).map(|(x, y)| square(f64::from(*x) - f64::from(*y))).sum()
}

fn draws(batch: &Batch<'_>) -> Vec<Draw> {
    batch.draw(|example, stream| {
        let at = stream.uniform();
        let mut noise = vec![0.0; example.x0.len()];
        stream.fill_normal(&mut noise);
        Draw { noise, at }
    })
}

fn loss<'a>(
    batch: &'a Batch<'a>,
    network: &'a impl Predictor,
    draws: Vec<Draw>,
    weights: Option<Vec<f64>>,
) -> BatchLoss<'a> {
    let weighting = weights.as_ref().map(|weights| summary(batch, weights));
    let mut loss = BatchLoss::new(move |range| {
        let chosen = || range.clone().map(|i| (&batch.examples[i].x0, &draws[i]));
        let points: Vec<Vec<f32>> = chosen()
            .map(|(x0, draw)| {
                let at = draw.at as f32;
                x0.iter().zip(&draw.noise).map(|(x, z)| (1.0 - at) * z + at * x).collect()
            })
            .collect();
        let targets: Vec<Vec<f32>> =
            chosen().map(|(x0, draw)| x0.iter().zip(&draw.noise).map(|(x, z)| x - z).collect()).collect();
        let times = range.clone().map(|i| (i, 0, (1000.0 * draws[i].at) as f32));
        let predicted = network.predict(&rows(points.iter().map(|x| &x[..]))?, &batch.conditions(times))?;
        let factor = |i: usize| weights.as_ref().map_or(1.0, |weights| weights[i]) * batch.per_number();
        let factors: Vec<f32> = range.clone().map(|i| factor(i) as f32).collect();
        Ok(squared_error(&predicted, &rows(targets.iter().map(|x| &x[..]))?, &factors)?)
    });
    loss.weighting = weighting;
    loss
}

fn summary(batch: &Batch<'_>, weights: &[f64]) -> Weighting {
    let n = weights.len() as f64;
    let squares: f64 = weights.iter().map(|w| w * w).sum();
    let total: f64 = weights.iter().sum();
    let moments: Vec<f64> = batch
        .examples
        .iter()
        .map(|e| e.x0.iter().map(|x| square(f64::from(*x))).sum::<f64>() / e.x0.len() as f64)
        .collect();
    let weighted: f64 = moments.iter().zip(weights).map(|(m, w)| m * w).sum::<f64>() / total;
    Weighting { effective: total * total / (n * squares), shift: weighted - moments.iter().sum::<f64>() / n }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::discrete::batch::Example;
    use crate::diffusion::discrete::schedule::{Schedule, ScheduleKind};
    use crate::nn::error::NnError;
    use crate::nn::kernels::raw;
    use crate::nn::layers::conditions::Conditions;
    use candle_core::Tensor;
    use onsager_numerics::random::{Stream, Streams};

    /// The conditional velocity of N(0, v) data with independent noise, E[x_0 − z | x_τ] = (τ v − (1 − τ)) x/(τ² v + (1 − τ)²).
    struct Exact(f64);

    impl Predictor for Exact {
        fn predict(&self, x: &Tensor, on: &Conditions) -> Result<Tensor, NnError> {
            let factor = |time: &f32| {
                let at = f64::from(*time) / 1000.0;
                ((at * self.0 - (1.0 - at)) / (at * at * self.0 + (1.0 - at).powi(2))) as f32
            };
            let factors: Vec<f32> = on.times.iter().map(factor).collect();
            Ok(x.broadcast_mul(&raw::tensor(factors, (on.times.len(), 1))?)?)
        }
    }

    fn value(
        x0: &[f32],
        variance: f64,
        seed: u64,
        f: impl for<'a> Fn(&'a Batch<'a>, &'a Exact) -> BatchLoss<'a>,
    ) -> (f64, Option<Weighting>) {
        let examples: Vec<Example> = x0.chunks_exact(1).map(Example::of).collect();
        let streams = Streams::new(seed, "flow matching");
        let streams: Vec<Stream> = (0..x0.len()).map(|i| streams.stream(i as u64)).collect();
        let schedule = Schedule::new(&ScheduleKind::Linear, 10);
        let scale = 1.0 / x0.len() as f64;
        let batch = Batch {
            examples: &examples,
            streams: &streams,
            schedule: &schedule,
            levels: None,
            scale,
            importance: None,
        };
        let exact = Exact(variance);
        let loss = f(&batch, &exact);
        let value = raw::values(&(loss.part)(0..x0.len()).unwrap()).unwrap()[0];
        (f64::from(value), loss.weighting)
    }

    fn data(variance: f64, seed: u64, n: usize) -> Vec<f32> {
        let mut x0 = vec![0.0; n];
        Streams::new(seed, "flow data").stream(0).fill_normal(&mut x0);
        x0.iter_mut().for_each(|x| *x *= variance.sqrt() as f32);
        x0
    }

    /// With the exact velocity the loss is the mean conditional variance, ∫ v/(τ² v + (1 − τ)²) dτ = √v·π/2 for Gaussian data
    /// (an arctangent); within 4.5 standard errors of 20 means.
    #[test]
    fn loss_of_the_exact_velocity() {
        let v = 0.25f64;
        let expected = v.sqrt() * std::f64::consts::FRAC_PI_2;
        let values: Vec<f64> = (0..20)
            .map(|seed| value(&data(v, seed, 2000), v, seed, |b, n| FlowMatching::default().batch(b, n)).0)
            .collect();
        let mean = values.iter().sum::<f64>() / 20.0;
        let error = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 380.0).sqrt();
        assert!((mean - expected).abs() < 4.5 * error, "{mean} ± {error}, expected {expected}");
    }

    /// In one dimension the optimal pairs are the sorted ones, so the velocity is nearly a function of the point: the loss of
    /// the best linear one, x_0 − z = (√v − 1) z, is far below that of random pairs.
    #[test]
    fn optimal_pairs_have_straight_flows() {
        struct Straight;
        impl Predictor for Straight {
            fn predict(&self, x: &Tensor, on: &Conditions) -> Result<Tensor, NnError> {
                let factor = |time: &f32| -0.5 / (1.0 - 0.5 * time / 1000.0);
                let factors: Vec<f32> = on.times.iter().map(factor).collect();
                Ok(x.broadcast_mul(&raw::tensor(factors, (on.times.len(), 1))?)?)
            }
        }
        let x0 = data(0.25, 3, 400);
        let examples: Vec<Example> = x0.chunks_exact(1).map(Example::of).collect();
        let streams: Vec<Stream> = (0..400).map(|i| Streams::new(3, "flow matching").stream(i)).collect();
        let schedule = Schedule::new(&ScheduleKind::Linear, 10);
        let batch = Batch {
            examples: &examples,
            streams: &streams,
            schedule: &schedule,
            levels: None,
            scale: 1.0 / 400.0,
            importance: None,
        };
        let value = |pairing| {
            let loss = FlowMatching { pairing }.batch(&batch, &Straight);
            raw::values(&(loss.part)(0..400).unwrap()).unwrap()[0]
        };
        // Sorted samples of size n differ from quantiles by order 1/√n: a squared error of order 1/400.
        assert!(value(Pairing::OptimalTransport) < 0.02, "{}", value(Pairing::OptimalTransport));
        assert!(value(Pairing::Independent) > 0.5);
    }

    /// γ = 0 is plain flow matching; for Gaussian data and noise the weights of γ move E x_0² to the moment of the tilted law
    /// and leave the effective share that its Gaussian integrals give, here within 4.5 standard errors of 20 batches plus the
    /// bias of self-normalisation, of order 1/n.
    #[test]
    fn weights_of_paths() {
        let (v, gamma, n) = (0.25f64, 0.5, 4000);
        let plain = value(&data(v, 1, 500), v, 1, |b, m| FlowMatching::default().batch(b, m)).0;
        let zero = value(&data(v, 1, 500), v, 1, |b, m| PathWeighted { gamma: 0.0 }.batch(b, m));
        assert_eq!((plain, zero.1.unwrap().effective), (zero.0, 1.0));
        // exp(−γ (x − z)²/2) on N(0, v) × N(0, 1): precision matrix [[1/v + γ, −γ], [−γ, 1 + γ]].
        let determinant = |g: f64| (1.0 / v + g) * (1.0 + g) - g * g;
        let moment = (1.0 + gamma) / determinant(gamma);
        // E w = (v det(γ))^−½ and E w² = (v det(2γ))^−½.
        let share = (v * determinant(2.0 * gamma)).sqrt() / (v * determinant(gamma));
        let found: Vec<Weighting> = (0..20)
            .map(|seed| {
                value(&data(v, seed, n), v, seed, |b, m| PathWeighted { gamma }.batch(b, m)).1.unwrap()
            })
            .collect();
        for (name, expected, values) in [
            ("shift", moment - v, found.iter().map(|w| w.shift).collect::<Vec<_>>()),
            ("share", share, found.iter().map(|w| w.effective).collect()),
        ] {
            let mean = values.iter().sum::<f64>() / 20.0;
            let error = (values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 380.0).sqrt();
            assert!(
                (mean - expected).abs() < 4.5 * error + 2.0 / n as f64,
                "{name}: {mean} ± {error}, {expected}"
            );
        }
    }
}
