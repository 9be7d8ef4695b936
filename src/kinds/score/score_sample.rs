//! The `score-sample` kind.

use crate::kinds::columns::Columns;
use crate::kinds::rounds::Rounds;
use onsager_numerics::random::Streams;
use onsager_numerics::statistics::{chi_square_cdf, chi_square_quantile, kolmogorov_smirnov};
use onsager_runner::kind::context::Context;
use onsager_runner::kind::stage::{Checks, Input, Inputs, Issue, Output, Stage, StageError};
use onsager_science::data::dataset::Dataset;
use onsager_science::diffusion::continuous::ode::{OdeError, Tolerance};
use onsager_science::diffusion::continuous::reverse::{Reverse, Scheme, probability_flow};
use onsager_science::diffusion::continuous::score_model::{ModelScore, ScoreModel};
use onsager_science::diffusion::continuous::sde::Sde;
use onsager_science::diffusion::continuous::time_spacing::TimeSpacing;
use onsager_science::nn::device::CpuDevice;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Samples a score model by a reverse process.
pub struct ScoreSample;

/// How the reverse process is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Steps with the drift at their beginning.
    #[default]
    EulerMaruyama,
    /// Steps with the mean of the drifts at both ends; two evaluations each.
    Heun,
    /// Runge-Kutta steps of order 5 with error control, for h = 0 only.
    Adaptive,
}

/// Parameters of `score-sample`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Number of samples.
    pub count: usize,
    /// h: 0 is the probability flow, 1 the reverse SDE; 0 or more.
    pub h: f64,
    /// How the process is followed.
    pub method: Method,
    /// Number of steps; `adaptive` chooses its own.
    pub steps: usize,
    /// Where the steps' times lie; `adaptive` chooses its own.
    pub spacing: TimeSpacing,
    /// The error per step of `adaptive`, absolute and relative.
    pub tolerance: f64,
    /// How many samples' whole paths are kept; with more than 0 there are the outputs `paths` and, with `euler-maruyama` at h > 0,
    /// `actions`.
    pub paths: usize,
    /// Where the score is computed: on the CPU only, in f64.
    pub device: CpuDevice,
    /// Selects the random stream of each sample. Runs that differ in h alone start from the same points.
    pub seed: u64,
}

impl Default for Params {
    fn default() -> Params {
        Params {
            count: 3000,
            h: 1.0,
            method: Method::default(),
            steps: 1000,
            spacing: TimeSpacing::default(),
            tolerance: 1e-5,
            paths: 0,
            device: CpuDevice::Cpu,
            seed: 0,
        }
    }
}

impl Params {
    fn reverse(&self, sde: Sde) -> Reverse {
        let scheme = if self.method == Method::Heun { Scheme::Heun } else { Scheme::EulerMaruyama };
        Reverse { sde, h: self.h, times: self.spacing.times(&sde, self.steps), scheme }
    }

    fn has_actions(&self) -> bool {
        self.paths > 0 && self.method == Method::EulerMaruyama && self.h > 0.0
    }
}

/// Samples of a round, and samples that are computed together.
const PER_ROUND: u64 = 8192;
const BLOCK: usize = 128;

impl Stage for ScoreSample {
    type Params = Params;
    const KIND: &'static str = "score-sample";
    const NUMERIC: bool = true;
    const SUMMARY: &'static str = "Draws samples from a score model by the reverse process with noise h, from the probability flow (0) to the SDE (1) and beyond.";

    fn inputs() -> Inputs {
        Inputs::of(vec![Input::one("model", "a model of `score-train` or `exact-score`")])
    }

    fn outputs(p: &Params) -> Vec<Output> {
        let mut outputs =
            vec![Output::file("samples", "samples.safetensors", "the samples, laid out as a data set")];
        if p.paths > 0 {
            let about = "path, step, time, x (and y): every state of the first samples";
            outputs.push(Output::file("paths", "paths.parquet", about));
        }
        if p.has_actions() {
            let about =
                "path, action A, twice_action_over_h, chi_square (its quantile under the law of χ²), p_value";
            outputs.push(Output::file("actions", "actions.parquet", about));
        }
        outputs
    }

    fn check(p: &Params) -> Vec<Issue> {
        let mut checks = Checks::default();
        checks.ensure(p.count >= 1, "count", || "must be at least 1, but is 0".into());
        checks.ensure(p.steps >= 1, "steps", || "must be at least 1, but is 0".into());
        checks.not_negative(&[("h", p.h)]);
        let adaptive = p.method == Method::Adaptive;
        checks.ensure(!adaptive || p.h == 0.0, "method", || {
            format!("`adaptive` follows the flow without noise, so h must be 0, but is {}", p.h)
        });
        checks.ensure(!adaptive || p.paths == 0, "paths", || {
            format!("`adaptive` keeps no paths, so it must be 0, but is {}", p.paths)
        });
        checks.ensure((1e-13..1.0).contains(&p.tolerance), "tolerance", || {
            format!("must be from 1e-13 to below 1, but is {}", p.tolerance)
        });
        checks.ensure(p.paths <= p.count, "paths", || {
            format!("must be at most `count` ({}), but is {}", p.count, p.paths)
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

fn run<const D: usize>(p: &Params, ctx: &Context, model: &ScoreModel) -> Result<(), StageError> {
    let score = model.score::<D>()?;
    let sde = model.config.sde;
    if p.spacing == TimeSpacing::LogSnr && sde.variance(sde.times().0) == 0.0 {
        return Err(StageError::with_help(
            "`spacing: log-snr` of a model whose times begin at 0, where there is no noise",
            "set `spacing: equal`, or train with a `t_min` above 0",
        ));
    }
    let reverse = p.reverse(sde);
    let streams = Streams::new(p.seed, "reverse noise");
    let x = Rounds::of(p.count as u64, PER_ROUND, "samples").collect(ctx, BLOCK, |block, steps| {
        let points = samples(p, &score, &reverse, &streams, block)?;
        steps.add(points.len());
        Ok(points.into_iter().flatten().collect())
    })?;
    if p.paths > 0 {
        let paths = reverse.paths(&score, &streams, 0, p.paths);
        write_paths(ctx, &reverse, &paths)?;
        if p.has_actions() {
            write_actions::<D>(ctx, &reverse, &reverse.actions(&score, &paths))?;
        }
    }
    let set = Dataset {
        x: x.iter().map(|&x| x as f32).collect(),
        shape: vec![p.count, D],
        y: None,
        name: model.config.data.clone(),
        levels: None,
        classes: None,
    };
    Ok(set.save(ctx.output("samples")?)?)
}

/// The samples of these numbers.
fn samples<const D: usize>(
    p: &Params,
    score: &ModelScore<D>,
    reverse: &Reverse,
    streams: &Streams,
    range: Range<usize>,
) -> Result<Vec<[f64; D]>, StageError> {
    let (first, count) = (range.start as u64, range.len());
    if p.method != Method::Adaptive {
        return Ok(reverse.points(score, streams, first, count, p.steps));
    }
    let tolerance = Tolerance { absolute: p.tolerance, relative: p.tolerance };
    let starts = reverse.points(score, streams, first, count, 0);
    let ends = probability_flow(score, &reverse.sde, &starts, tolerance);
    let points: Result<_, OdeError> = ends.into_iter().map(|end| Ok(end?.y)).collect();
    points.map_err(|error| {
        StageError::with_help(error, "the score is wild there: raise `tolerance`, or train the model longer")
    })
}

/// In long format.
fn write_paths<const D: usize>(
    ctx: &Context,
    reverse: &Reverse,
    paths: &[Vec<[f64; D]>],
) -> Result<(), StageError> {
    let rows = || {
        paths.iter().enumerate().flat_map(|(i, path)| path.iter().enumerate().map(move |(k, x)| (i, k, x)))
    };
    let mut table = Columns::default();
    table
        .integers("path", rows().map(|(path, _, _)| Some(path as i64)))
        .integers("step", rows().map(|(_, step, _)| Some(step as i64)))
        .numbers("time", rows().map(|(_, step, _)| Some(reverse.times[step])));
    for (d, name) in ["x", "y"].into_iter().enumerate().take(D) {
        table.numbers(name, rows().map(|(_, _, x)| Some(x[d])));
    }
    table.write(ctx.output("paths")?)
}

/// In the order of the actions, each beside the quantile of the law of χ² at its rank.
fn write_actions<const D: usize>(
    ctx: &Context,
    reverse: &Reverse,
    actions: &[f64],
) -> Result<(), StageError> {
    let degrees = (D * reverse.steps()) as f64;
    let value = |path: usize| 2.0 * actions[path] / reverse.h;
    let values: Vec<f64> = (0..actions.len()).map(value).collect();
    let (_, p_value) = kolmogorov_smirnov(&values, |x| chi_square_cdf(x, degrees));
    let mut order: Vec<usize> = (0..actions.len()).collect();
    order.sort_by(|&a, &b| actions[a].total_cmp(&actions[b]));
    let n = actions.len();
    let mut table = Columns::default();
    table
        .integers("path", order.iter().map(|&path| Some(path as i64)))
        .numbers("action", order.iter().map(|&path| Some(actions[path])))
        .numbers("twice_action_over_h", order.iter().map(|&path| Some(value(path))))
        .numbers(
            "chi_square",
            (0..n).map(|i| Some(chi_square_quantile((i as f64 + 0.5) / n as f64, degrees))),
        )
        .numbers("degrees", vec![Some(degrees); n])
        .numbers("p_value", vec![Some(p_value); n]);
    table.write(ctx.output("actions")?)
}
