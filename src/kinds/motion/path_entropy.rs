//! `path-entropy`: the path information H = −Σ p ln p of random motion against the noise, and the distribution that maximises it.

use crate::kinds::choice;
use crate::kinds::columns::Columns;
use crate::kinds::motion::potential::Potential;
use crate::kinds::rounds::Rounds;
use onsager_numerics::random::Streams;
use onsager_numerics::statistics::NORMAL_QUANTILE;
use onsager_runner::kind::context::Context;
use onsager_runner::kind::stage::{Checks, Inputs, Issue, Output, Stage, StageError};
use onsager_science::motion::action::Motion;
use onsager_science::motion::least_action_path::least_action_path;
use onsager_science::motion::path_entropy::{Cells, MaximumEntropy, entropy};
use onsager_science::stats::regression::Line;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs;

/// The `path-entropy` kind.
pub struct PathEntropy;

/// Parameters of `path-entropy`; any consistent units.
///
/// The alphabet: at each time between the ends, space is cut into cells of the length `cell`, one of them centred on the
/// least-action path; a path is the sequence of its cells, and its probability is that among the paths that arrive in the
/// end's cell.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The potential V(x) of the Hamiltonian system.
    #[serde(deserialize_with = "choice::read")]
    #[schemars(schema_with = "choice::schema::<Potential>")]
    pub potential: Potential,
    /// The mass m > 0.
    pub mass: f64,
    /// The time step δt > 0.
    pub dt: f64,
    /// The number of steps N, from 2 to 200.
    pub steps: usize,
    /// Where every path begins.
    pub start: f64,
    /// Where the least-action path ends.
    pub end: f64,
    /// The diffusion constants D > 0, from 1 to 64 of them, all different: each step adds a normal displacement of
    /// variance σ² = 2Dδt.
    pub diffusions: Vec<f64>,
    /// The length of a cell, the same for all D; at most 8 σ.
    pub cell: f64,
    /// The number of random paths for each D, from 10 to 1e6; times steps and diffusion constants at most 2e7.
    pub paths: usize,
    /// Selects the random paths.
    pub seed: u64,
}

impl Default for Params {
    fn default() -> Params {
        Params {
            potential: Potential::Free {},
            mass: 1.0,
            dt: 1.0,
            steps: 10,
            start: 0.0,
            end: 10.0,
            diffusions: vec![0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0],
            cell: 0.25,
            paths: 2000,
            seed: 0,
        }
    }
}

impl Params {
    fn sigma(&self, diffusion: f64) -> f64 {
        (2.0 * diffusion * self.dt).sqrt()
    }
}

/// Paths between two looks at the interruption flag.
const ROUND: usize = 256;

impl Stage for PathEntropy {
    type Params = Params;
    const KIND: &'static str = "path-entropy";
    const SUMMARY: &'static str =
        "the path information H = −Σ p ln p of random motion against noise and action, and its maximum";

    fn inputs() -> Inputs {
        Inputs::none()
    }

    fn outputs(_: &Params) -> Vec<Output> {
        vec![
            Output::file(
                "entropy",
                "entropy.parquet",
                "one row per D: H, the action's mean and variance, the maximum",
            ),
            Output::file("cells", "cells.parquet", "the sampled sequences of cells: action and probability"),
            Output::file("summary", "summary.json", "the slope of H against ln D"),
        ]
    }

    fn check(p: &Params) -> Vec<Issue> {
        let mut checks = Checks::default();
        p.potential.check(&mut checks);
        checks.positive(&[("mass", p.mass), ("dt", p.dt), ("cell", p.cell)]);
        checks.finite(&[("start", p.start), ("end", p.end)]);
        checks.range("steps", p.steps as u64, 2..=200);
        checks.range("paths", p.paths as u64, 10..=1_000_000);
        let places = p.paths.saturating_mul(p.steps).saturating_mul(p.diffusions.len());
        checks.ensure(places <= 20_000_000, "paths", || {
            format!("times `steps` and the number of `diffusions` must be at most 2e7, but is {places}")
        });
        checks.ensure((1..=64).contains(&p.diffusions.len()), "diffusions", || {
            format!("must hold from 1 to 64 values, but holds {}", p.diffusions.len())
        });
        for (i, &diffusion) in p.diffusions.iter().enumerate() {
            let field = format!("diffusions[{i}]");
            checks.positive(&[(&field, diffusion)]);
            checks.ensure(!p.diffusions[..i].contains(&diffusion), &field, || {
                format!("must differ from the others, but {diffusion} is there twice")
            });
            let sigma = p.sigma(diffusion);
            if sigma > 0.0 && p.cell > 8.0 * sigma {
                let message = format!(
                    "must give a step σ of at least an eighth of `cell` = {}, but σ is {sigma}",
                    p.cell
                );
                checks.0.push(Issue::new(&field, message).help("take a larger D or a shorter `cell`"));
            }
        }
        checks.0
    }

    fn run(p: &Params, ctx: &Context) -> Result<(), StageError> {
        let motion = Motion { system: p.potential.system(), mass: p.mass, dt: p.dt };
        let least = least_action_path(&motion, p.start, p.end, p.steps)?;
        if !least.minimum {
            tracing::warn!(
                "the stationary path is no minimum of the action: the time is beyond a conjugate point"
            );
        }
        let least = least.path;
        let groups = p.paths.div_ceil(ROUND);
        let ensembles: Vec<Ensemble> =
            p.diffusions.iter().map(|&diffusion| Ensemble { diffusion, ..Ensemble::default() }).collect();
        let rounds = (groups * p.diffusions.len()) as u64;
        let ensembles =
            Rounds::of(rounds, 1, "rounds of paths").run(ctx, ensembles, |ensembles, round| {
                let (k, group) = (round.start as usize / groups, round.start as usize % groups);
                let ensemble = &mut ensembles[k];
                let sigma = p.sigma(ensemble.diffusion);
                let cells = Cells::new(p.cell / sigma, p.steps);
                let streams = Streams::new(
                    p.seed,
                    &format!("path-entropy {} D={:?}", p.potential.name(), ensemble.diffusion),
                );
                let found: Vec<(f64, f64, Vec<i64>)> = (group * ROUND..p.paths.min((group + 1) * ROUND))
                    .into_par_iter()
                    .map(|index| {
                        let tube = cells.sample(&streams, index as u64);
                        let numbers =
                            tube.offsets.iter().map(|w| libm::round(w * sigma / p.cell) as i64).collect();
                        (motion.action(&tube.path(&least, sigma)), cells.neg_ln_p(&tube), numbers)
                    })
                    .collect();
                for (action, neg_ln_p, numbers) in found {
                    ensemble.action.push(action);
                    ensemble.neg_ln_p.push(neg_ln_p);
                    ensemble.first.push(ensemble.seen.insert(numbers));
                }
                Ok(())
            })?;
        let rows: Vec<Row> =
            ensembles.iter().map(|ensemble| Row::new(p, ensemble, motion.action(&least))).collect();
        write_cells(p, &ensembles, &rows, ctx)?;
        write_entropy(p, &rows, ctx)
    }
}

/// The random paths at one D, in the order of their indices.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
struct Ensemble {
    diffusion: f64,
    /// The action of the path through the cells' centres.
    action: Vec<f64>,
    neg_ln_p: Vec<f64>,
    /// Whether the sequence of cells was seen for the first time.
    first: Vec<bool>,
    seen: BTreeSet<Vec<i64>>,
}

/// What follows at one D.
struct Row {
    diffusion: f64,
    action_least: f64,
    /// Mean and standard error.
    entropy: [f64; 2],
    entropy_fine: f64,
    action_excess: [f64; 2],
    action_variance: f64,
    distinct: usize,
    /// H of the sampled set with its own probabilities, and the largest at their mean action.
    set_entropy: Option<f64>,
    maximum: Option<MaximumEntropy>,
    /// The probability of all sampled sequences together.
    covered: f64,
}

impl Row {
    fn new(p: &Params, ensemble: &Ensemble, action_least: f64) -> Row {
        let n = p.paths as f64;
        let mean = |values: &[f64]| values.iter().sum::<f64>() / n;
        let variance = |values: &[f64]| {
            let mean = mean(values);
            values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (n - 1.0)
        };
        let with_error = |values: &[f64]| [mean(values), (variance(values) / n).sqrt()];
        let excess: Vec<f64> = ensemble.action.iter().map(|action| action - action_least).collect();
        // The set of sequences that were seen, each once, with its own probability out of the set's.
        let set: Vec<usize> = (0..p.paths).filter(|&k| ensemble.first[k]).collect();
        let actions: Vec<f64> = set.iter().map(|&k| excess[k]).collect();
        let least = set.iter().map(|&k| ensemble.neg_ln_p[k]).fold(f64::INFINITY, f64::min);
        let mut law: Vec<f64> = set.iter().map(|&k| libm::exp(least - ensemble.neg_ln_p[k])).collect();
        let sum: f64 = law.iter().sum();
        law.iter_mut().for_each(|p| *p /= sum);
        let mean_of_law: f64 = law.iter().zip(&actions).map(|(p, action)| p * action).sum();
        let maximum = MaximumEntropy::new(&actions, mean_of_law);
        Row {
            diffusion: ensemble.diffusion,
            action_least,
            entropy: with_error(&ensemble.neg_ln_p),
            entropy_fine: Cells::new(p.cell / p.sigma(ensemble.diffusion), p.steps).fine_entropy(),
            action_excess: with_error(&excess),
            action_variance: variance(&excess),
            distinct: set.len(),
            set_entropy: maximum.is_some().then(|| entropy(&law)),
            maximum,
            covered: libm::exp(-least) * sum,
        }
    }

    fn two_m_d(&self, p: &Params) -> f64 {
        2.0 * p.mass * self.diffusion
    }
}

fn write_cells(p: &Params, ensembles: &[Ensemble], rows: &[Row], ctx: &Context) -> Result<(), StageError> {
    let all = || ensembles.iter().zip(rows).flat_map(|(e, row)| (0..p.paths).map(move |k| (e, row, k)));
    let mut table = Columns::default();
    table
        .texts("potential", all().map(|_| p.potential.name()))
        .numbers("diffusion", all().map(|(e, _, _)| Some(e.diffusion)))
        .integers("path", all().map(|(_, _, k)| Some(k as i64)))
        .numbers("action", all().map(|(e, _, k)| Some(e.action[k])))
        .numbers("action_excess", all().map(|(e, row, k)| Some(e.action[k] - row.action_least)))
        .numbers("neg_ln_p", all().map(|(e, _, k)| Some(e.neg_ln_p[k])))
        .flags("first", all().map(|(e, _, k)| Some(e.first[k])));
    table.write(ctx.output("cells")?)
}

#[derive(Serialize)]
struct Summary<'a> {
    potential: &'a str,
    steps: usize,
    cell: f64,
    /// dH/d ln D over the D with σ above two cells, with its 95 % interval; (N − 1)/2 for fine cells.
    slope: Option<[f64; 3]>,
    slope_expected: f64,
}

fn write_entropy(p: &Params, rows: &[Row], ctx: &Context) -> Result<(), StageError> {
    let column = |f: &dyn Fn(&Row) -> f64| rows.iter().map(|row| Some(f(row))).collect::<Vec<Option<f64>>>();
    let maximum = |f: &dyn Fn(&Row, &MaximumEntropy) -> f64| -> Vec<Option<f64>> {
        rows.iter().map(|row| row.maximum.as_ref().map(|maximum| f(row, maximum))).collect()
    };
    let mut table = Columns::default();
    table
        .texts("potential", rows.iter().map(|_| p.potential.name()))
        .numbers("diffusion", column(&|row| row.diffusion))
        .numbers("sigma", column(&|row| p.sigma(row.diffusion)))
        .numbers("cell", column(&|_| p.cell))
        .numbers("entropy", column(&|row| row.entropy[0]))
        .numbers("entropy_error", column(&|row| row.entropy[1]))
        .numbers("entropy_lower", column(&|row| row.entropy[0] - NORMAL_QUANTILE * row.entropy[1]))
        .numbers("entropy_upper", column(&|row| row.entropy[0] + NORMAL_QUANTILE * row.entropy[1]))
        .numbers("entropy_fine", column(&|row| row.entropy_fine))
        .numbers("action_least", column(&|row| row.action_least))
        .numbers("action_excess", column(&|row| row.action_excess[0]))
        .numbers("action_excess_error", column(&|row| row.action_excess[1]))
        .numbers("action_variance", column(&|row| row.action_variance))
        .numbers("gamma_expected", column(&|row| 1.0 / row.two_m_d(p)))
        .integers("distinct", rows.iter().map(|row| Some(row.distinct as i64)))
        .numbers("covered", column(&|row| row.covered))
        .numbers("set_entropy", rows.iter().map(|row| row.set_entropy))
        .numbers("maximum_entropy", maximum(&|_, maximum| maximum.entropy))
        .numbers("multiplier", maximum(&|_, maximum| maximum.multiplier))
        .numbers("multiplier_2md", maximum(&|row, maximum| maximum.multiplier * row.two_m_d(p)));
    table.write(ctx.output("entropy")?)?;

    let fine: Vec<&Row> = rows.iter().filter(|row| p.sigma(row.diffusion) >= 2.0 * p.cell).collect();
    let weights: Vec<f64> = fine.iter().map(|row| 1.0 / (row.entropy[1] * row.entropy[1])).collect();
    let line = Line::fit_known(
        &fine.iter().map(|row| libm::log(row.diffusion)).collect::<Vec<_>>(),
        &fine.iter().map(|row| row.entropy[0]).collect::<Vec<_>>(),
        &weights,
    );
    let summary = Summary {
        potential: p.potential.name(),
        steps: p.steps,
        cell: p.cell,
        slope: line.map(|line| {
            let reach = NORMAL_QUANTILE * line.slope_error;
            [line.slope, line.slope - reach, line.slope + reach]
        }),
        slope_expected: 0.5 * (p.steps - 1) as f64,
    };
    let mut text = serde_json::to_string_pretty(&summary)?;
    text.push('\n');
    Ok(fs::write(ctx.output("summary")?, text)?)
}
