//! The optimum of the objectives on data of a mixture of two normal laws in one dimension, whose posterior is exact.
//!
//! A network that is the optimum plus c·cos x must have no slope in c at c = 0, within 4.5 standard errors of 20 batches, and the
//! expected loss that quadrature gives; at c = ½ its slope must be seen. And the slope is that of finite differences.

use super::batch::{Batch, Example, Predictor};
use super::bridge_matching::BridgeMatching;
use super::flow_matching::{FlowMatching, Pairing};
use super::objective::Objective;
use super::own_path::{OwnPath, States};
use super::schedule::{Schedule, ScheduleKind};
use super::v_prediction::VPrediction;
use crate::nn::error::NnError;
use crate::nn::kernels::raw;
use crate::nn::layers::conditions::Conditions;
use candle_core::{Tensor, Var};
use onsager_numerics::random::{Stream, Streams};
use onsager_numerics::statistics::{mean, standard_error};
use std::sync::atomic::{AtomicUsize, Ordering};

const T: usize = 20;
/// Weight, mean and variance of each part.
const PARTS: [[f64; 3]; 2] = [[0.6, -0.8, 0.04], [0.4, 0.5, 0.09]];

fn normal(x: f64, mean: f64, variance: f64) -> f64 {
    libm::exp(-0.5 * (x - mean).powi(2) / variance) / (std::f64::consts::TAU * variance).sqrt()
}

/// The density of x = a x_0 + b ε, and mean and variance of x_0 given it.
fn posterior(x: f64, a: f64, b: f64) -> [f64; 3] {
    let (mut sum, mut first, mut second) = (0.0, 0.0, 0.0);
    for [weight, centre, variance] in PARTS {
        let total = a * a * variance + b * b;
        let p = weight * normal(x, a * centre, total);
        let given = centre + a * variance / total * (x - a * centre);
        sum += p;
        first += p * given;
        second += p * (given * given + variance * b * b / total);
    }
    [sum, first / sum, second / sum - (first / sum).powi(2)]
}

/// √ᾱ_t and √(1 − ᾱ_t).
fn levels(schedule: &Schedule, t: usize) -> (f64, f64) {
    (schedule.alpha_bar(t).sqrt(), (1.0 - schedule.alpha_bar(t)).sqrt())
}

/// The exact noise in x_t.
fn exact_noise(schedule: &Schedule, x: f64, t: usize) -> f64 {
    let (a, b) = levels(schedule, t);
    (x - a * posterior(x, a, b)[1]) / b
}

/// The integral of f over the line by trapezoids, which are exact to rounding for smooth functions that vanish at the ends.
fn integral(f: impl Fn(f64) -> f64) -> f64 {
    (-4000..=4000).map(|i| f(f64::from(i) * 0.0015)).sum::<f64>() * 0.0015
}

/// The solution of g(y) = x of a growing g.
fn inverse(g: impl Fn(f64) -> f64, x: f64) -> f64 {
    let (mut low, mut high) = (-20.0, 20.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if g(middle) < x { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// A network that knows what it should say, plus c·cos x at the calls that are trained: each `period`-th one.
struct Probe<F> {
    optimum: F,
    c: Var,
    period: usize,
    calls: AtomicUsize,
}

impl<F: Fn(f64, f64, usize) -> f64 + Sync> Probe<F> {
    fn new(c: f32, period: usize, optimum: F) -> Probe<F> {
        let c = Var::from_tensor(&raw::tensor(vec![c], (1, 1)).unwrap()).unwrap();
        Probe { optimum, c, period, calls: AtomicUsize::new(0) }
    }
}

impl<F: Fn(f64, f64, usize) -> f64 + Sync> Predictor for Probe<F> {
    fn predict(&self, x: &Tensor, on: &Conditions) -> Result<Tensor, NnError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed) % self.period;
        let values = raw::values(x)?;
        let said = values.iter().zip(&on.times);
        let said =
            said.map(|(x, time)| (self.optimum)(f64::from(*x), f64::from(*time), call) as f32).collect();
        let said = raw::tensor(said, x.shape().clone())?;
        if call + 1 < self.period {
            return Ok(said);
        }
        let wiggle: Vec<f32> = values.iter().map(|x| libm::cosf(*x)).collect();
        Ok((said + raw::tensor(wiggle, x.shape().clone())?.broadcast_mul(self.c.as_tensor())?)?)
    }
}

/// Loss and slope in c of a batch of draws of the mixture.
fn loss<F: Fn(f64, f64, usize) -> f64 + Sync>(
    objective: &dyn for<'a> Fn(&'a Batch<'a>, &'a Probe<F>) -> super::batch::BatchLoss<'a>,
    probe: &Probe<F>,
    seed: u64,
    count: usize,
    noise: Option<&dyn Fn(f64) -> f64>,
) -> [f64; 2] {
    let mut stream = Streams::new(seed, "mixture").stream(0);
    let x0: Vec<f32> = (0..count)
        .map(|_| {
            let [_, mean, variance] = if stream.uniform() < PARTS[0][0] { PARTS[0] } else { PARTS[1] };
            (mean + variance.sqrt() * stream.normal()) as f32
        })
        .collect();
    let given: Option<Vec<f32>> = noise.map(|of| x0.iter().map(|x| of(f64::from(*x)) as f32).collect());
    let examples: Vec<Example<'_>> = x0
        .chunks_exact(1)
        .enumerate()
        .map(|(i, x0)| Example { noise: given.as_ref().map(|given| &given[i..=i]), ..Example::of(x0) })
        .collect();
    let streams: Vec<Stream> = (0..count as u64).map(|i| Streams::new(seed, "optimum").stream(i)).collect();
    let schedule = Schedule::new(&ScheduleKind::Linear, T);
    let scale = 1.0 / count as f64;
    let batch = Batch {
        examples: &examples,
        streams: &streams,
        schedule: &schedule,
        levels: None,
        scale,
        importance: None,
    };
    let found = objective(&batch, probe);
    let value = (found.part)(0..count).unwrap();
    let gradients = value.backward().unwrap();
    let slope = raw::values(gradients.get(&probe.c).unwrap()).unwrap()[0];
    [f64::from(raw::values(&value).unwrap()[0]), f64::from(slope)]
}

/// Twenty batches at the optimum: the loss is as expected, there is no slope, and half a unit beside it there is.
fn is_optimal<F: Fn(f64, f64, usize) -> f64 + Sync + Copy>(
    name: &str,
    objective: &dyn for<'a> Fn(&'a Batch<'a>, &'a Probe<F>) -> super::batch::BatchLoss<'a>,
    (period, count): (usize, usize),
    optimum: F,
    expected: f64,
    slack: f64,
) {
    let at = |c: f32| -> Vec<[f64; 2]> {
        (0..20).map(|seed| loss(objective, &Probe::new(c, period, optimum), seed, count, None)).collect()
    };
    let found = at(0.0);
    let of = |i: usize| found.iter().map(|f| f[i]).collect::<Vec<f64>>();
    let (value, slope) = (of(0), of(1));
    println!(
        "{name}: loss {} ± {}, quadrature {expected}; slope {} ± {}",
        mean(&value),
        standard_error(&value),
        mean(&slope),
        standard_error(&slope)
    );
    assert!((mean(&value) - expected).abs() < 4.5 * standard_error(&value) + slack * expected, "{name}");
    assert!(mean(&slope).abs() < 4.5 * standard_error(&slope) + slack, "{name}");
    let beside = at(0.5).iter().map(|f| f[1]).collect::<Vec<f64>>();
    assert!(mean(&beside) > 9.0 * standard_error(&beside), "{name}");
    has_slope_of_differences(name, &|c| loss(objective, &Probe::new(c, period, optimum), 5, count, None));
}

/// The slope at c = ½ is that of differences of the loss, which is a parabola in c, so that only rounding is left.
fn has_slope_of_differences(name: &str, at: &dyn Fn(f32) -> [f64; 2]) {
    let (low, high, exact) = (at(0.25)[0], at(0.75)[0], at(0.5)[1]);
    let found = (high - low) / 0.5;
    assert!((found - exact).abs() < 2e-3 * exact.abs(), "{name}: {found} {exact}");
}

fn step(time: f64) -> usize {
    (time * T as f64 / 1000.0).round() as usize
}

/// v = √ᾱ ε − √(1 − ᾱ) x_0 with the posterior means; its variance given x is that of x_0, over 1 − ᾱ.
#[test]
fn v_prediction() {
    let schedule = Schedule::new(&ScheduleKind::Linear, T);
    let optimum = |x: f64, time: f64, _| {
        let (a, b) = levels(&schedule, step(time));
        a * exact_noise(&schedule, x, step(time)) - b * posterior(x, a, b)[1]
    };
    let expected = (1..=T)
        .map(|t| {
            let (a, b) = levels(&schedule, t);
            integral(|x| posterior(x, a, b)[0] * posterior(x, a, b)[2]) / (b * b) / T as f64
        })
        .sum();
    is_optimal("v-prediction", &|b, n| VPrediction {}.batch(b, n), (1, 4000), &optimum, expected, 0.0);
}

/// One step of DDIM with the exact noise, which grows with x: x_0 given the state is x_0 given where it came from.
#[test]
fn own_path() {
    let schedule = Schedule::new(&ScheduleKind::Linear, T);
    let p = OwnPath { k: 2, stride: 4, states: States::Visited };
    let from = |s: usize| (s + p.stride).min(T);
    let visited = |x: f64, s: usize| {
        let ((a, b), (a_s, b_s)) = (levels(&schedule, from(s)), levels(&schedule, s));
        let noise = exact_noise(&schedule, x, from(s));
        a_s * (x - b * noise) / a + b_s * noise
    };
    let optimum = |x: f64, time: f64, call: usize| {
        let s = step(time);
        if call == 0 {
            return exact_noise(&schedule, x, s);
        }
        let (a, b) = levels(&schedule, from(s));
        let start = inverse(|y| visited(y, s), x);
        let (a_s, b_s) = levels(&schedule, s);
        (x - a_s * posterior(start, a, b)[1]) / b_s
    };
    let expected = (1..=T)
        .map(|s| {
            let ((a, b), (a_s, b_s)) = (levels(&schedule, from(s)), levels(&schedule, s));
            integral(|x| posterior(x, a, b)[0] * posterior(x, a, b)[2]) * (a_s / b_s).powi(2) / T as f64
        })
        .sum();
    // f32 states near s = 1 are divided by √(1 − ᾱ_1) = 0.07.
    is_optimal("own-path", &|b, n| p.batch(b, n), (2, 2000), &optimum, expected, 1e-4);
}

/// K = 1 is `simple`: the same draws, the same loss as the exact noise has by quadrature.
#[test]
fn own_path_of_one_call() {
    let schedule = Schedule::new(&ScheduleKind::Linear, T);
    let optimum = |x: f64, time: f64, _| exact_noise(&schedule, x, step(time));
    let expected = (1..=T)
        .map(|t| {
            let (a, b) = levels(&schedule, t);
            integral(|x| posterior(x, a, b)[0] * posterior(x, a, b)[2]) * (a / b).powi(2) / T as f64
        })
        .sum();
    let p = OwnPath { k: 1, ..OwnPath::default() };
    is_optimal("own-path, K = 1", &|b, n| p.batch(b, n), (1, 4000), &optimum, expected, 1e-4);
}

/// Pairs that are given: noise and data that a growing map joins make straight paths, so the velocity is a function of the point
/// and the loss is that of rounding.
#[test]
fn reflow() {
    let map = |z: f64| 0.4 * z + 0.3 * libm::atan(2.0 * z);
    let optimum = |x: f64, time: f64, _| {
        let at = time / 1000.0;
        let z = inverse(|z| (1.0 - at) * z + at * map(z), x);
        map(z) - z
    };
    let flow = FlowMatching { pairing: Pairing::Given };
    let probe = Probe::new(0.0, 1, optimum);
    let noise = |x: f64| inverse(map, x);
    let [value, slope] = loss(&|b, n| flow.batch(b, n), &probe, 3, 2000, Some(&noise));
    assert!(value < 1e-9 && slope.abs() < 1e-4, "{value} {slope}");
    has_slope_of_differences("reflow", &|c| {
        loss(&|b, n| flow.batch(b, n), &Probe::new(c, 1, optimum), 3, 500, Some(&noise))
    });
    assert!(Objective::FlowMatching(flow).takes_noise());
}

/// The Schrödinger bridge by Sinkhorn's iteration on a grid of noise and data: the mean flow at a point, and the weighted variance
/// around it, by sums over the plan. Batches of 500 have a plan of their own, off by the order 1/n.
#[test]
fn bridge_matching() {
    let sigma = 0.7;
    let spot = |i: usize, n: usize, low: f64, high: f64| low + (high - low) * (i as f64 + 0.5) / n as f64;
    let (n, m) = (90, 90);
    let noise: Vec<f64> = (0..n).map(|i| spot(i, n, -4.0, 4.0)).collect();
    let data: Vec<f64> = (0..m).map(|j| spot(j, m, -1.7, 1.7)).collect();
    let scaled = |raw: Vec<f64>| {
        let sum: f64 = raw.iter().sum();
        raw.into_iter().map(|p| p / sum).collect::<Vec<f64>>()
    };
    let p = scaled(noise.iter().map(|z| normal(*z, 0.0, 1.0)).collect());
    let q = scaled(data.iter().map(|x| posterior(*x, 1.0, 0.0)[0]).collect());
    let kernel = |i: usize, j: usize| libm::exp(-(noise[i] - data[j]).powi(2) / (2.0 * sigma * sigma));
    let k: Vec<Vec<f64>> = (0..n).map(|i| (0..m).map(|j| kernel(i, j)).collect()).collect();
    let (mut u, mut v) = (vec![1.0; n], vec![1.0; m]);
    for _ in 0..3000 {
        u = (0..n).map(|i| p[i] / (0..m).map(|j| k[i][j] * v[j]).sum::<f64>()).collect();
        v = (0..m).map(|j| q[j] / (0..n).map(|i| k[i][j] * u[i]).sum::<f64>()).collect();
    }
    let plan: Vec<(f64, f64, f64)> = (0..n)
        .flat_map(|i| (0..m).map(move |j| (i, j)))
        .map(|(i, j)| (noise[i], data[j], u[i] * k[i][j] * v[j]))
        .filter(|(.., weight)| *weight > 1e-9)
        .collect();
    // Density, mean and mean square of the flow at a point.
    let flow = |x: f64, at: f64| -> [f64; 3] {
        let spread = sigma * (at * (1.0 - at)).sqrt();
        let rate = (1.0 - 2.0 * at) / (2.0 * at * (1.0 - at));
        let mut sums = [0.0; 3];
        for &(z, x0, weight) in &plan {
            let centre = (1.0 - at) * z + at * x0;
            let density = weight * normal(x, centre, spread * spread);
            let u = x0 - z + rate * (x - centre);
            sums[0] += density;
            sums[1] += density * u;
            sums[2] += density * u * u;
        }
        sums
    };
    // The optimum in a table, linear between its entries; the times are told as f32.
    let times: Vec<f64> = (0..=60).map(|i| 0.02 + 0.96 * f64::from(i) / 60.0).collect();
    let places: Vec<f64> = (0..=120).map(|i| -4.2 + 8.4 * f64::from(i) / 120.0).collect();
    let table: Vec<Vec<f64>> = times
        .iter()
        .map(|at| {
            places
                .iter()
                .map(|x| {
                    let [density, first, _] = flow(*x, *at);
                    if density > 1e-12 { first / density } else { f64::NAN }
                })
                .collect()
        })
        .collect();
    let optimum = |x: f64, time: f64, _: usize| {
        let at = (time / 1000.0).clamp(0.02, 0.98);
        let (row, column) = ((at - 0.02) / 0.96 * 60.0, ((x + 4.2) / 8.4 * 120.0).clamp(0.0, 119.999));
        let (i, j) = ((row as usize).min(59), column as usize);
        let (a, b) = (row - i as f64, column - j as f64);
        let row = |i: usize| (1.0 - b) * table[i][j] + b * table[i][j + 1];
        (1.0 - a) * row(i) + a * row(i + 1)
    };
    let objective = BridgeMatching { sigma };
    let at =
        |c: f32, seed: u64| loss(&|b, n| objective.batch(b, n), &Probe::new(c, 1, &optimum), seed, 500, None);
    has_slope_of_differences("bridge-matching", &|c| at(c, 5));
    let found: Vec<[f64; 2]> = (0..20).map(|seed| at(0.0, seed)).collect();
    let weight = |at: f64| 1.0 / (1.0 + sigma * sigma * (1.0 - 2.0 * at).powi(2) / (4.0 * at * (1.0 - at)));
    let expected = (0..100)
        .map(|i| {
            let at = (f64::from(i) + 0.5) / 100.0;
            let variance = (0..=240).map(|j| {
                let [density, first, second] = flow(-4.2 + 8.4 * f64::from(j) / 240.0, at);
                if density > 1e-12 { second - first * first / density } else { 0.0 }
            });
            weight(at) * variance.sum::<f64>() * 8.4 / 240.0 / 100.0
        })
        .sum::<f64>();
    let of = |i: usize| found.iter().map(|f| f[i]).collect::<Vec<f64>>();
    let (value, slope) = (of(0), of(1));
    println!(
        "bridge-matching: loss {} ± {}, quadrature {expected}; slope {} ± {}",
        mean(&value),
        standard_error(&value),
        mean(&slope),
        standard_error(&slope)
    );
    assert!((mean(&value) - expected).abs() < 4.5 * standard_error(&value) + 0.02 * expected);
    assert!(mean(&slope).abs() < 4.5 * standard_error(&slope) + 0.01);
}
