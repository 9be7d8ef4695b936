//! The `score-density` kind.

use crate::kinds::choice;
use crate::kinds::columns::{Columns, Table};
use crate::kinds::rounds::Rounds;
use crate::kinds::score::score_likelihood::{Terminal, points, terminal_density};
use onsager_numerics::random::Streams;
use onsager_numerics::statistics::mean;
use onsager_runner::kind::context::Context;
use onsager_runner::kind::stage::{Checks, Input, Inputs, Issue, Output, Stage, StageError};
use onsager_science::diffusion::continuous::fokker_planck::{self, Grid};
use onsager_science::diffusion::continuous::mixture::Mixture;
use onsager_science::diffusion::continuous::reverse::{Reverse, Scheme};
use onsager_science::diffusion::continuous::score_model::{ModelScore, ScoreModel};
use onsager_science::diffusion::continuous::time_spacing::TimeSpacing;
use onsager_science::diffusion::continuous::transition_density::{self, Batch, Measured, Noise};
use onsager_science::nn::device::CpuDevice;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;
use std::ops::Range;

/// The likelihood of the reverse process at each h, measured.
pub struct ScoreDensity;

/// How it is measured.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The Fokker-Planck equation on a moving grid; one dimension only.
    Grid(GridParams),
    /// The average of the last step's normal law over sampled paths; h > 0 only.
    Paths(PathParams),
}

/// The grid.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GridParams {
    /// Number of cells, at least 10.
    pub cells: usize,
    /// Number of time steps.
    pub steps: usize,
    /// How far the grid reaches beyond the points on either side.
    pub margin: f64,
}

/// The paths.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PathParams {
    /// Number of paths, in 20 batches.
    pub paths: usize,
    /// Steps of a path: Heun's, and Euler-Maruyama's for the last. Longer steps have wider last laws, which more paths reach.
    pub steps: usize,
    /// A point is measured where at least this many paths come near it: where the likelihood at h = 0 expects so many, if it
    /// is given, so that the choice does not depend on the paths; else where so many came.
    pub least: f64,
}

impl Default for GridParams {
    fn default() -> GridParams {
        GridParams { cells: 1000, steps: 400, margin: 0.5 }
    }
}

impl Default for PathParams {
    fn default() -> PathParams {
        PathParams { paths: 100_000, steps: 250, least: 10.0 }
    }
}

/// Parameters of `score-density`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// The values of h.
    pub h: Vec<f64>,
    /// How the density is measured: `grid` or `paths`.
    #[serde(deserialize_with = "choice::read")]
    #[schemars(schema_with = "choice::schema::<Method>")]
    pub method: Method,
    /// How many of the points are taken, the first ones; all if left out.
    pub count: Option<usize>,
    /// The density that the process starts from.
    pub terminal: Terminal,
    /// Where the score is computed: on the CPU only, in f64.
    pub device: CpuDevice,
    /// The seed of the paths.
    pub seed: u64,
}

impl Default for Params {
    fn default() -> Params {
        Params {
            h: vec![0.1, 0.2, 0.5, 1.0],
            method: Method::Paths(PathParams::default()),
            count: None,
            terminal: Terminal::Prior,
            device: CpuDevice::Cpu,
            seed: 0,
        }
    }
}

/// Batches of paths, for the jackknife.
const BATCHES: usize = 20;

/// NLL at one h.
struct Row {
    h: f64,
    log_density: Vec<Option<f64>>,
    /// The mean over the points that have a density, and its standard error; none without such points.
    nll: Option<f64>,
    error: Option<f64>,
}

impl Row {
    fn new(h: f64, log_density: Vec<Option<f64>>, nll: f64, error: f64) -> Row {
        let any = log_density.iter().any(Option::is_some);
        Row { h, log_density, nll: any.then_some(nll), error: any.then_some(error) }
    }
}

impl Stage for ScoreDensity {
    type Params = Params;
    const KIND: &'static str = "score-density";
    const NUMERIC: bool = true;
    const SUMMARY: &'static str = "The negative log-likelihood of points under the reverse process at each h, measured on a grid or by sampled paths.";

    fn inputs() -> Inputs {
        Inputs::of(vec![
            Input::one("model", "a model of `score-train` or `exact-score`"),
            Input::one("points", "the points, such as a data set's test part"),
            Input::one(
                "likelihood",
                "the `points` of a `score-likelihood` of the same points, for the line of the first order",
            )
            .optional(),
        ])
    }

    fn outputs(_: &Params) -> Vec<Output> {
        vec![Output::file(
            "nll",
            "nll.parquet",
            "per h: nll over the points that are resolved, its standard error from the paths and 95 % interval, how many points are \
             resolved, and on the same points order_0 and first_order, which are the likelihood's lines",
        )]
    }

    fn check(p: &Params) -> Vec<Issue> {
        let mut checks = Checks::default();
        checks.ensure(!p.h.is_empty(), "h", || "must hold at least one value".into());
        let paths = matches!(p.method, Method::Paths(_));
        for (i, &h) in p.h.iter().enumerate() {
            checks.not_negative(&[(&format!("h[{i}]"), h)]);
            checks.ensure(!paths || h != 0.0, &format!("h[{i}]"), || {
                "must be positive: without noise a path has no last law; `score-likelihood` gives h = 0"
                    .into()
            });
        }
        match &p.method {
            Method::Grid(g) => {
                checks.ensure(g.cells >= 10, "method.grid.cells", || {
                    format!("must be at least 10, but is {}", g.cells)
                });
                checks.ensure(g.steps >= 1, "method.grid.steps", || "must be at least 1, but is 0".into());
                checks.positive(&[("method.grid.margin", g.margin)]);
            }
            Method::Paths(m) => {
                checks.ensure(m.paths >= BATCHES, "method.paths.paths", || {
                    format!("must be at least {BATCHES}, but is {}", m.paths)
                });
                checks.ensure(m.steps >= 2, "method.paths.steps", || {
                    format!("must be at least 2, but is {}", m.steps)
                });
                checks.ensure(m.least >= 1.0, "method.paths.least", || {
                    format!("must be at least 1, but is {}", m.least)
                });
            }
        }
        checks.0
    }

    fn run(p: &Params, ctx: &Context) -> Result<(), StageError> {
        let model = ScoreModel::load(&ctx.input("model")?.path)?;
        let rows = match (&p.method, model.config.size) {
            (Method::Grid(grid), 1) => on_grid(p, grid, ctx, &model)?,
            (Method::Grid(_), size) => {
                return Err(StageError::with_help(
                    format!("the grid has one dimension, the model {size}"),
                    "set `method: paths`",
                ));
            }
            (Method::Paths(paths), 1) => by_paths::<1>(p, paths, ctx, &model)?,
            (Method::Paths(paths), _) => by_paths::<2>(p, paths, ctx, &model)?,
        };
        write(ctx, &rows)
    }
}

fn on_grid(p: &Params, grid: &GridParams, ctx: &Context, model: &ScoreModel) -> Result<Vec<Row>, StageError> {
    let score = model.score::<1>()?;
    let points = points::<1>(ctx, p.count)?;
    let terminal = terminal_density(p.terminal, model, &score)?;
    let [low, high] = [f64::min, f64::max].map(|f| points.iter().map(|x| x[0]).reduce(f).unwrap_or(0.0));
    let grid =
        Grid { low: low - grid.margin, high: high + grid.margin, cells: grid.cells, steps: grid.steps };
    let found = fokker_planck::densities(&score, &model.config.sde, &terminal, grid, &p.h);
    let row = |q: &fokker_planck::GridDensity| {
        let log_density: Vec<Option<f64>> = points.iter().map(|x| q.at(x[0])).collect();
        let known: Vec<f64> = log_density.iter().filter_map(|q| q.map(|q| -q)).collect();
        Row::new(q.h, log_density, mean(&known), 0.0)
    };
    Ok(found.iter().map(row).collect())
}

fn by_paths<const D: usize>(
    p: &Params,
    paths: &PathParams,
    ctx: &Context,
    model: &ScoreModel,
) -> Result<Vec<Row>, StageError> {
    let score = model.score::<D>()?;
    let points = points::<D>(ctx, p.count)?;
    let terminal = terminal_density(p.terminal, model, &score)?;
    let count = paths.paths / BATCHES;
    let sde = model.config.sde;
    let times = TimeSpacing::Equal.times(&sde, paths.steps);
    let streams = ["starts", "noise"].map(|part| Streams::new(p.seed, &format!("score-density {part}")));
    let noise = Noise { starts: &streams[0], steps: &streams[1] };
    // Sums and squares of every batch done, h by h.
    let rounds = Rounds::of((p.h.len() * BATCHES) as u64, 1, "batches");
    let sums = rounds.run(ctx, Vec::new(), |sums: &mut Vec<f64>, round| {
        let (h, batch) = (p.h[round.start as usize / BATCHES], round.start as usize % BATCHES);
        let reverse = Reverse { sde, h, times: times.clone(), scheme: Scheme::Heun };
        let batch = (batch * count) as u64..((batch + 1) * count) as u64;
        let found = in_parts(ctx, &score, &reverse, &terminal, noise, batch, &points)?;
        sums.extend(found.sums);
        sums.extend(found.squares);
        Ok(())
    })?;
    let batches: Vec<Batch> = sums
        .chunks_exact(2 * points.len())
        .map(|both| {
            let (sums, squares) = both.split_at(points.len());
            Batch { paths: count, sums: sums.to_vec(), squares: squares.to_vec() }
        })
        .collect();
    let likelihood = likelihood(ctx, points.len())?;
    let row = |(&h, batches): (&f64, &[Batch])| {
        let last = Reverse { sde, h, times: times.clone(), scheme: Scheme::EulerMaruyama };
        let reach =
            libm::pow(TAU * last.noise_variance(paths.steps - 1), 0.5 * D as f64) * paths.paths as f64;
        let near = |point: usize| match &likelihood {
            Some(lines) => reach * libm::exp(-lines.nll[point]),
            None => transition_density::effective_paths(batches, point),
        };
        let Measured { log_density, nll, error, .. } =
            transition_density::measured(batches, |point| near(point) >= paths.least);
        Row::new(h, log_density, nll, error)
    };
    Ok(p.h.iter().zip(batches.chunks_exact(BATCHES)).map(row).collect())
}

/// Paths that are computed together: a part of a batch.
const PART: usize = 512;

/// A batch in parts on the threads granted, added in order.
fn in_parts<const D: usize>(
    ctx: &Context,
    score: &ModelScore<D>,
    reverse: &Reverse,
    terminal: &Mixture<D>,
    noise: Noise,
    batch: Range<u64>,
    points: &[[f64; D]],
) -> Result<Batch, StageError> {
    let parts: Vec<u64> = batch.clone().step_by(PART).collect();
    let parts: Vec<Batch> = parts
        .into_par_iter()
        .map(|start| {
            if ctx.cancelled() {
                return Err(StageError::Cancelled);
            }
            let part = start..(start + PART as u64).min(batch.end);
            Ok(transition_density::batch(score, reverse, terminal, noise, part, points))
        })
        .collect::<Result<_, StageError>>()?;
    let paths = parts.iter().map(|part| part.paths).sum();
    let mut total = Batch { paths, sums: vec![0.0; points.len()], squares: vec![0.0; points.len()] };
    for part in parts {
        for i in 0..points.len() {
            total.sums[i] += part.sums[i];
            total.squares[i] += part.squares[i];
        }
    }
    Ok(total)
}

/// The columns of the input `likelihood`.
struct Likelihood {
    nll: Vec<f64>,
    correction: Vec<f64>,
}

/// The input `likelihood`, if it is given; it must have been made for the same points.
fn likelihood(ctx: &Context, count: usize) -> Result<Option<Likelihood>, StageError> {
    let [item, ..] = ctx.items("likelihood") else { return Ok(None) };
    let table = Table::read(&item.path, &item.name)?;
    let column = |name: &str| -> Result<Vec<f64>, StageError> {
        // A point that was lost has no density.
        let values = table.numbers(name)?.into_iter().map(|value| value.unwrap_or(f64::INFINITY));
        Ok(values.collect())
    };
    if table.rows() != count {
        return Err(StageError::with_help(
            format!("`likelihood` has {} rows, and there are {count} points", table.rows()),
            "give the `points` of a `score-likelihood` with the same `points` and `count`",
        ));
    }
    Ok(Some(Likelihood { nll: column("nll")?, correction: column("correction")? }))
}

fn write(ctx: &Context, rows: &[Row]) -> Result<(), StageError> {
    let lines = likelihood(ctx, rows.first().map_or(0, |row| row.log_density.len()))?;
    // The mean of the line of this order over the points that are resolved at this h.
    let line = |row: &Row, order: f64| -> Option<f64> {
        let lines = lines.as_ref()?;
        let resolved =
            (0..row.log_density.len()).filter(|&i| row.log_density[i].is_some() && lines.nll[i].is_finite());
        Some(mean(&resolved.map(|i| lines.nll[i] + order * row.h * lines.correction[i]).collect::<Vec<_>>()))
    };
    let resolved = |row: &Row| row.log_density.iter().flatten().count();
    let mut table = Columns::default();
    table
        .numbers("h", rows.iter().map(|row| Some(row.h)))
        .numbers("nll", rows.iter().map(|row| row.nll))
        .numbers("nll_error", rows.iter().map(|row| row.error))
        .numbers("nll_lower", rows.iter().map(|row| Some(row.nll? - 1.96 * row.error?)))
        .numbers("nll_upper", rows.iter().map(|row| Some(row.nll? + 1.96 * row.error?)))
        .integers("resolved", rows.iter().map(|row| Some(resolved(row) as i64)))
        .numbers(
            "share_resolved",
            rows.iter().map(|row| Some(resolved(row) as f64 / row.log_density.len() as f64)),
        )
        .numbers("order_0", rows.iter().map(|row| line(row, 0.0)))
        .numbers("first_order", rows.iter().map(|row| line(row, 1.0)));
    table.write(ctx.output("nll")?)
}
