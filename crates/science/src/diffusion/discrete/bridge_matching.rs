//! Schrödinger bridge matching (Tong et al. 2024, *Simulation-free Schrödinger bridges via score and flow matching*): of all random motions
//! from noise to data the one nearest to Brownian motion of deviation σ, by its probability flow.
//!
//! The pairs are those of the entropic transport plan between the noise and the data of a batch, with the cost ‖x_0 − z‖² and the
//! entropy's weight 2σ², found by Sinkhorn's iteration; each sample draws its partner from its row of the plan. Between them
//! runs a Brownian bridge, x_τ = (1 − τ) z + τ x_0 + σ √(τ(1 − τ)) ξ, whose flow is x_0 − z + σ (1 − 2τ)/(2 √(τ(1 − τ))) ξ. Its variance grows without
//! bound at both ends, so each error is divided by 1 + σ² (1 − 2τ)²/(4τ(1 − τ)), which moves no optimum. With σ = 0 the pairs are the optimal
//! ones of flow matching, the control.

use super::batch::{Batch, BatchLoss, Predictor, rows};
use super::flow_matching::{optimal_partners, squared_length};
use crate::nn::training::loss::squared_error;
use onsager_numerics::arithmetic::square;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The bridge-matching objective.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BridgeMatching {
    /// σ, the deviation of the Brownian motion over the unit of time, 0 or more; 0 is flow matching of optimal pairs.
    pub sigma: f64,
}

impl Default for BridgeMatching {
    fn default() -> BridgeMatching {
        BridgeMatching { sigma: 0.5 }
    }
}

/// The random numbers of a sample.
struct Draw {
    noise: Vec<f32>,
    bridge: Vec<f32>,
    /// τ, above 0 and below 1.
    at: f64,
    /// Where in its row of the plan its partner is, 0 to 1.
    partner: f64,
}

impl BridgeMatching {
    /// The loss of a batch.
    pub fn batch<'a>(&self, batch: &'a Batch<'a>, network: &'a impl Predictor) -> BatchLoss<'a> {
        let sigma = self.sigma;
        let draws = batch.draw(|example, stream| {
            let (at, partner) = (stream.uniform(), stream.uniform());
            let (mut noise, mut bridge) = (vec![0.0; example.x0.len()], vec![0.0; example.x0.len()]);
            stream.fill_normal(&mut noise);
            stream.fill_normal(&mut bridge);
            // Away from the ends, where the bridge has no flow.
            Draw { noise, bridge, at: at.clamp(1e-6, 1.0 - 1e-6), partner }
        });
        let cost = |i: usize, j: usize| squared_length(&batch.examples[i].x0, &draws[j].noise);
        let partners = match sigma > 0.0 {
            true => {
                let costs: Vec<Vec<f64>> =
                    (0..draws.len()).map(|i| (0..draws.len()).map(|j| cost(i, j)).collect()).collect();
                let plan = sinkhorn(&costs, 2.0 * sigma * sigma);
                plan.iter().zip(&draws).map(|(row, draw)| chosen(row, draw.partner)).collect()
            }
            false => optimal_partners(draws.len(), cost),
        };
        BatchLoss::new(move |range| {
            let each: Vec<(Vec<f32>, Vec<f32>, f32)> = range
                .clone()
                .map(|i| {
                    let (x0, draw) = (&batch.examples[i].x0, &draws[i]);
                    let noise = &draws[partners[i]].noise;
                    let spread = (draw.at * (1.0 - draw.at)).sqrt();
                    let slope = sigma * (1.0 - 2.0 * draw.at) / (2.0 * spread);
                    let at = draw.at as f32;
                    let (width, rate) = ((sigma * spread) as f32, slope as f32);
                    let ends = || x0.iter().zip(noise).zip(&draw.bridge);
                    let x = ends().map(|((x, z), b)| (1.0 - at) * z + at * x + width * b).collect();
                    let flow = ends().map(|((x, z), b)| x - z + rate * b).collect();
                    (x, flow, (batch.per_number() / (1.0 + square(slope))) as f32)
                })
                .collect();
            let on = batch.conditions(range.map(|i| (i, 0, (1000.0 * draws[i].at) as f32)));
            let predicted = network.predict(&rows(each.iter().map(|(x, ..)| &x[..]))?, &on)?;
            let weights: Vec<f32> = each.iter().map(|(.., weight)| *weight).collect();
            Ok(squared_error(&predicted, &rows(each.iter().map(|(_, flow, _)| &flow[..]))?, &weights)?)
        })
    }
}

/// The iterations of Sinkhorn, if they do not settle before.
const ITERATIONS: usize = 1000;
/// The largest error of a row's sum, relative to what it should be, with which they have settled.
const SETTLED: f64 = 1e-6;

/// The plan of least Σ π c + ε Σ π ln π between uniform marginals, each row relative to its sum (Cuturi 2013), with potentials
/// instead of scalings so that nothing underflows.
fn sinkhorn(costs: &[Vec<f64>], epsilon: f64) -> Vec<Vec<f64>> {
    let n = costs.len();
    let uniform = -libm::log(n as f64);
    let rows: Vec<Vec<f64>> =
        costs.iter().map(|row| row.iter().map(|cost| cost / epsilon).collect()).collect();
    let columns: Vec<Vec<f64>> = (0..n).map(|j| rows.iter().map(|row| row[j]).collect()).collect();
    let (mut f, mut g) = (vec![0.0; n], vec![0.0; n]);
    let mut terms = vec![0.0; n];
    // −ln Σ exp(potential − cost), by the largest term.
    let mut soft = |potentials: &[f64], costs: &[f64]| -> f64 {
        let mut most = f64::NEG_INFINITY;
        for ((term, potential), cost) in terms.iter_mut().zip(potentials).zip(costs) {
            *term = potential - cost;
            most = most.max(*term);
        }
        -most - libm::log(terms.iter().map(|term| libm::exp(term - most)).sum())
    };
    for _ in 0..ITERATIONS {
        let mut worst = 0.0f64;
        for (f, costs) in f.iter_mut().zip(&rows) {
            let new = uniform + soft(&g, costs);
            worst = worst.max((new - *f).abs());
            *f = new;
        }
        for (g, costs) in g.iter_mut().zip(&columns) {
            *g = uniform + soft(&f, costs);
        }
        if worst < SETTLED {
            break;
        }
    }
    let row = |i: usize| -> Vec<f64> {
        let row: Vec<f64> = (0..n).map(|j| libm::exp(f[i] + g[j] - rows[i][j])).collect();
        let sum: f64 = row.iter().sum();
        row.iter().map(|p| p / sum).collect()
    };
    (0..n).map(row).collect()
}

/// Which of these probabilities the part `at` of their sum falls to.
fn chosen(row: &[f64], at: f64) -> usize {
    let mut sum = 0.0;
    row.iter()
        .position(|p| {
            sum += p;
            at < sum
        })
        .unwrap_or(row.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both marginals are uniform; a small ε gives the optimal pairs, a large one independent ones.
    #[test]
    fn plans() {
        let (x, z) = ([0.1f64, 2.0, -1.0, 0.7], [0.5, -0.4, 1.1, 0.0]);
        let costs: Vec<Vec<f64>> = x.iter().map(|x| z.iter().map(|z| (x - z) * (x - z)).collect()).collect();
        let plan = sinkhorn(&costs, 0.3);
        for j in 0..4 {
            let column: f64 = plan.iter().map(|row| row[j]).sum();
            assert!((column - 1.0).abs() < 1e-4, "{j}: {column}");
        }
        // Sorted: −1 with −0.4, 0.1 with 0, 0.7 with 0.5, 2 with 1.1.
        let sharp = sinkhorn(&costs, 0.005);
        for (i, j) in [(0, 3), (1, 2), (2, 1), (3, 0)] {
            assert!(sharp[i][j] > 0.99, "{i} {j}: {}", sharp[i][j]);
            assert_eq!(chosen(&sharp[i], 0.5), j);
        }
        assert!(sinkhorn(&costs, 1e4).iter().flatten().all(|p| (p - 0.25).abs() < 1e-3));
    }
}
