//! The `score-likelihood` kind.

use crate::kinds::columns::Columns;
use crate::kinds::rounds::Rounds;
use onsager_numerics::random::Streams;
use onsager_numerics::statistics::{bootstrap_interval, mean, quantile, standard_error};
use onsager_runner::kind::context::Context;
use onsager_runner::kind::stage::{Checks, Input, Inputs, Issue, Output, Stage, StageError};
use onsager_science::data::dataset::Dataset;
use onsager_science::diffusion::continuous::mixture::Mixture;
use onsager_science::diffusion::continuous::ode::{OdeError, Tolerance};
use onsager_science::diffusion::continuous::score_model::{ModelScore, ScoreModel};
use onsager_science::diffusion::continuous::wkb::{Likelihood, likelihoods};
use onsager_science::nn::device::CpuDevice;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The likelihood of a score model and its correction of the first order in h.
pub struct ScoreLikelihood;

/// The density that the reverse process starts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Terminal {
    /// The normal law that samplers start from.
    #[default]
    Prior,
    /// The forward process's own law at the last time; models of `exact-score` only.
    Exact,
}

/// Parameters of `score-likelihood`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// How many of the points are taken, the first ones; all if left out.
    pub count: Option<usize>,
    /// The error per step of the integration, absolute and relative.
    pub tolerance: f64,
    /// The density that the reverse process starts from.
    pub terminal: Terminal,
    /// Where the score is computed: on the CPU only, in f64.
    pub device: CpuDevice,
}

impl Default for Params {
    fn default() -> Params {
        Params { count: None, tolerance: 1e-5, terminal: Terminal::Prior, device: CpuDevice::Cpu }
    }
}

/// Points of a round, and points that are computed together.
const PER_ROUND: u64 = 1024;
const BLOCK: usize = 64;
/// The logarithm of the smallest positive number: a density below it is 0.
const LEAST: f64 = -745.0;
/// Numbers kept of each point: ℓ0, ℓ1, Δℓ0, closure, steps.
const KEPT: usize = 5;

impl Stage for ScoreLikelihood {
    type Params = Params;
    const KIND: &'static str = "score-likelihood";
    const NUMERIC: bool = true;
    const SUMMARY: &'static str = "The negative log-likelihood of points under a score model: at h = 0, and its first-order coefficient in h (WKB).";

    fn inputs() -> Inputs {
        Inputs::of(vec![
            Input::one("model", "a model of `score-train` or `exact-score`"),
            Input::one("points", "the points, such as a data set's test part"),
        ])
    }

    fn outputs(_: &Params) -> Vec<Output> {
        vec![
            Output::file(
                "points",
                "points.parquet",
                "per point: nll at h = 0, correction (the coefficient of h in the NLL), exact_nll where it is known, laplacian of ln q, \
                 closure (how far from the point the slope along the path leads back), steps",
            ),
            Output::file(
                "summary",
                "summary.parquet",
                "lost (how many points the flow carries away, or cannot be followed: they have no values), means of the others with standard errors, and the median correction",
            ),
        ]
    }

    fn check(p: &Params) -> Vec<Issue> {
        let mut checks = Checks::default();
        checks.ensure(p.count != Some(0), "count", || "must be at least 1, but is 0".into());
        checks.ensure((1e-13..1.0).contains(&p.tolerance), "tolerance", || {
            format!("must be from 1e-13 to below 1, but is {}", p.tolerance)
        });
        checks.0
    }

    fn run(p: &Params, ctx: &Context) -> Result<(), StageError> {
        let model = ScoreModel::load(&ctx.input("model")?.path)?;
        match model.config.size {
            1 => run::<1>(p, ctx, &model),
            _ => run::<2>(p, ctx, &model),
        }
    }
}

/// The first `count` points of the input `points`, which must have the model's dimension.
pub fn points<const D: usize>(ctx: &Context, count: Option<usize>) -> Result<Vec<[f64; D]>, StageError> {
    let set = Dataset::load(&ctx.input("points")?.path)?;
    if set.size() != D {
        return Err(StageError::with_help(
            format!("the points have {} coordinates, the model {D}", set.size()),
            "give the data that the model was made for",
        ));
    }
    let count = count.unwrap_or(set.count());
    if count > set.count() || count == 0 {
        return Err(StageError::with_help(
            format!("{count} points are asked for, and there are {}", set.count()),
            "lower `count`, or draw more points",
        ));
    }
    Ok((0..count).map(|i| std::array::from_fn(|d| f64::from(set.item(i)[d]))).collect())
}

/// The density at the last time.
pub fn terminal_density<const D: usize>(
    terminal: Terminal,
    model: &ScoreModel,
    score: &ModelScore<D>,
) -> Result<Mixture<D>, StageError> {
    let sde = &model.config.sde;
    match (terminal, score.data()) {
        (Terminal::Prior, _) => Ok(Mixture::normal(sde.prior_variance())),
        (Terminal::Exact, Some(data)) => Ok(data.at(sde, sde.times().1)),
        (Terminal::Exact, None) => Err(StageError::with_help(
            "the law of a trained model's forward process is not known",
            "set `terminal: prior`, or give a model of `exact-score`",
        )),
    }
}

fn run<const D: usize>(p: &Params, ctx: &Context, model: &ScoreModel) -> Result<(), StageError> {
    let score = model.score::<D>()?;
    let points = points::<D>(ctx, p.count)?;
    let terminal = terminal_density(p.terminal, model, &score)?;
    let tolerance = Tolerance { absolute: p.tolerance, relative: p.tolerance };
    let rounds = Rounds::of(points.len() as u64, PER_ROUND, "points");
    let rows = rounds.collect(ctx, BLOCK, |block, steps| {
        let found = likelihoods(&score, &model.config.sde, &terminal, &points[block.clone()], tolerance);
        steps.add(block.len());
        Ok(found.into_iter().flat_map(kept).collect())
    })?;
    let exact = score.data().map(|data| data.at(&model.config.sde, model.config.sde.times().0));
    let exact = points.iter().map(|&x| exact.as_ref().map(|law| -law.log_density(x))).collect();
    write(ctx, &points, &rows, exact)
}

/// The numbers kept of a point; NaN where it is lost.
fn kept<const D: usize>(found: Result<Likelihood<D>, OdeError>) -> [f64; KEPT] {
    match found {
        Ok(l) if l.order_0 > LEAST => [l.order_0, l.order_1, l.laplacian, l.closure, f64::from(l.steps)],
        _ => [f64::NAN; KEPT],
    }
}

fn write<const D: usize>(
    ctx: &Context,
    points: &[[f64; D]],
    rows: &[f64],
    exact: Vec<Option<f64>>,
) -> Result<(), StageError> {
    let column =
        |i: usize, sign: f64| -> Vec<f64> { rows.chunks_exact(KEPT).map(|row| sign * row[i]).collect() };
    let [nll, correction] = [column(0, -1.0), column(1, -1.0)];
    let [laplacian, closure, steps] = [column(2, 1.0), column(3, 1.0), column(4, 1.0)];
    let some = |values: &[f64]| -> Vec<Option<f64>> { values.iter().copied().map(Some).collect() };
    let mut table = Columns::default();
    table.integers("point", (0..points.len()).map(|i| Some(i as i64)));
    for (d, name) in ["x", "y"].into_iter().enumerate().take(D) {
        table.numbers(name, points.iter().map(|x| Some(x[d])));
    }
    table
        .numbers("nll", some(&nll))
        .numbers("correction", some(&correction))
        .numbers("exact_nll", exact.clone())
        .numbers("laplacian", some(&laplacian))
        .numbers("closure", some(&closure))
        .integers("steps", steps.iter().map(|&n| (!n.is_nan()).then_some(n as i64)));
    table.write(ctx.output("points")?)?;

    // The means are over the points that are not lost.
    let found = |values: &[f64]| values.iter().copied().filter(|value| !value.is_nan()).collect::<Vec<f64>>();
    let exact: Option<Vec<f64>> =
        exact.into_iter().zip(&nll).filter(|(_, nll)| !nll.is_nan()).map(|(exact, _)| exact).collect();
    let [nll, correction, closure, steps] = [&nll, &correction, &closure, &steps].map(|values| found(values));
    if nll.is_empty() {
        return Err(StageError::with_help(
            "the flow carries every point away, or its steps become too small",
            "the score is wild: train the model longer, or raise `tolerance`",
        ));
    }
    let median = |values: &[f64]| {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        quantile(&sorted, 0.5)
    };
    let interval = bootstrap_interval(&correction, median, 1000, 0.95, Streams::new(0, "median correction"));
    let worst = |values: &[f64]| values.iter().map(|x| x.abs()).fold(0.0, f64::max);
    let mut table = Columns::default();
    table.integers("points", [Some(points.len() as i64)]);
    table.integers("lost", [Some((points.len() - nll.len()) as i64)]);
    let mut number = |name: &str, value: Option<f64>| _ = table.numbers(name, [value]);
    number("nll", Some(mean(&nll)));
    number("nll_error", Some(standard_error(&nll)));
    number("correction", Some(mean(&correction)));
    number("correction_error", Some(standard_error(&correction)));
    number("correction_median", Some(median(&correction)));
    number("correction_median_lower", interval.map(|i| i.lower));
    number("correction_median_upper", interval.map(|i| i.upper));
    number("correction_largest", Some(worst(&correction)));
    number("exact_nll", exact.as_ref().map(|exact| mean(exact)));
    number("excess", exact.as_ref().map(|exact| mean(&nll) - mean(exact)));
    number("closure_largest", Some(worst(&closure)));
    number("steps", Some(mean(&steps)));
    table.write(ctx.output("summary")?)
}
