//! The `linear-score` kind.

use crate::kinds::choice;
use crate::kinds::columns::Columns;
use crate::kinds::score::score_train::sde_issues;
use onsager_numerics::random::Streams;
use onsager_runner::kind::context::Context;
use onsager_runner::kind::stage::{Checks, Inputs, Issue, Output, Stage, StageError};
use onsager_science::diffusion::continuous::linear_control::LinearControl;
use onsager_science::diffusion::continuous::mixture::{Mixture, MixtureScore};
use onsager_science::diffusion::continuous::ode::Tolerance;
use onsager_science::diffusion::continuous::reverse::{Reverse, Scheme};
use onsager_science::diffusion::continuous::sde::{Sde, Simple};
use onsager_science::diffusion::continuous::time_spacing::TimeSpacing;
use onsager_science::diffusion::continuous::wkb::likelihoods;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::TAU;

/// The one-dimensional control that is known in closed form.
pub struct LinearScore;

/// Parameters of `linear-score`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// The forward process: `simple`, `cosine` or `vp`.
    #[serde(deserialize_with = "choice::read")]
    #[schemars(schema_with = "choice::schema::<Sde>")]
    pub sde: Sde,
    /// v0, the variance of the data at time 0.
    pub variance: f64,
    /// The errors ε of the score −(1 + ε) x/v_t, each above −1, for the curves of the NLL.
    pub errors: Vec<f64>,
    /// The largest h.
    pub largest_h: f64,
    /// Number of steps of the sampled chain.
    pub steps: usize,
    /// Number of samples at each ε and h.
    pub samples: usize,
    /// The divergences, in nats, whose contours make the phase diagram.
    pub levels: Vec<f64>,
    /// The largest |ε| of the phase diagram, below 1.
    pub largest_error: f64,
    /// The seed of the samples.
    pub seed: u64,
}

impl Default for Params {
    fn default() -> Params {
        Params {
            sde: Sde::Simple(Simple { t_min: 0.0, t_max: 1.0 }),
            variance: 1.0,
            errors: vec![-0.1, 0.05, 0.1, 0.2],
            largest_h: 1.0,
            steps: 1000,
            samples: 20_000,
            levels: vec![0.001, 0.003, 0.01, 0.03, 0.1],
            largest_error: 0.3,
            seed: 0,
        }
    }
}

/// Points of a curve in h, those with samples among them, and of a contour in ε.
const CURVE: usize = 40;
const SAMPLED_EVERY: usize = 5;
const CONTOUR: usize = 120;

/// The NLL at one ε and h by every means.
struct Row {
    error: f64,
    h: f64,
    control: LinearControl,
    correction: f64,
    chain: f64,
    sampled: Option<f64>,
}

impl Stage for LinearScore {
    type Params = Params;
    const KIND: &'static str = "linear-score";
    const SUMMARY: &'static str = "The control in one dimension with a linear score of relative error ε: NLL(h) in closed form, by WKB and by samples.";

    fn inputs() -> Inputs {
        Inputs::none()
    }

    fn outputs(_: &Params) -> Vec<Output> {
        vec![
            Output::file(
                "curve",
                "curve.parquet",
                "per error and h: nll (closed form), wkb (its line at h = 0 from the WKB integration), slope and wkb_slope, variance \
                 (closed form), chain_variance (exact, of the sampled chain), sampled_variance, sampled_nll with its interval, z_score",
            ),
            Output::file(
                "phase",
                "phase.parquet",
                "per level and error: the h at which the divergence from the data falls to the level",
            ),
        ]
    }

    fn check(p: &Params) -> Vec<Issue> {
        let mut checks = Checks(sde_issues("sde", &p.sde));
        checks.ensure(matches!(p.sde, Sde::Simple(_) | Sde::Cosine(_) | Sde::Vp(_)), "sde", || {
            format!("must preserve the variance (`simple`, `cosine` or `vp`), but is `{}`", p.sde.name())
        });
        checks.positive(&[("variance", p.variance), ("largest_h", p.largest_h)]);
        checks.ensure(!p.errors.is_empty(), "errors", || "must hold at least one value".into());
        for (i, &error) in p.errors.iter().enumerate() {
            checks.ensure(error > -1.0 && error.is_finite(), &format!("errors[{i}]"), || {
                format!("must be above -1, but is {error}")
            });
        }
        for (i, &level) in p.levels.iter().enumerate() {
            checks
                .ensure(level > 0.0, &format!("levels[{i}]"), || format!("must be positive, but is {level}"));
        }
        checks.ensure(p.largest_error > 0.0 && p.largest_error < 1.0, "largest_error", || {
            format!("must be between 0 and 1, but is {}", p.largest_error)
        });
        checks.ensure(p.steps >= 1, "steps", || "must be at least 1, but is 0".into());
        checks.ensure(p.samples >= 2, "samples", || format!("must be at least 2, but is {}", p.samples));
        checks.0
    }

    fn run(p: &Params, ctx: &Context) -> Result<(), StageError> {
        let mut rows = Vec::new();
        for (i, &error) in p.errors.iter().enumerate() {
            let control = LinearControl { variance: p.variance, error, sde: p.sde };
            let correction = correction(&control)?;
            for point in 0..=CURVE {
                if ctx.cancelled() {
                    return Err(StageError::Cancelled);
                }
                let h = p.largest_h * point as f64 / CURVE as f64;
                let sampled = point.is_multiple_of(SAMPLED_EVERY).then(|| sampled_variance(p, &control, h));
                let chain = control.chain_variance(h, p.steps);
                rows.push(Row { error, h, control, correction, chain, sampled });
                ctx.progress(
                    (i * (CURVE + 1) + point) as u64 + 1,
                    (p.errors.len() * (CURVE + 1)) as u64,
                    "points",
                );
            }
        }
        write_curve(p, ctx, &rows)?;
        write_phase(p, ctx)
    }
}

/// −E[ℓ1] over the data, by Gauss–Hermite with three nodes, which is exact here.
fn correction(control: &LinearControl) -> Result<f64, StageError> {
    let score =
        MixtureScore { data: Mixture::<1>::normal(control.variance), sde: control.sde, error: control.error };
    let node = (3.0 * control.forward_variance(control.sde.times().0)).sqrt();
    let tolerance = Tolerance { absolute: 1e-10, relative: 1e-10 };
    let found =
        likelihoods(&score, &control.sde, &Mixture::normal(1.0), &[[-node], [0.0], [node]], tolerance);
    let order_1 = |i: usize| found[i].map(|l| l.order_1);
    Ok(-(order_1(0)? + 4.0 * order_1(1)? + order_1(2)?) / 6.0)
}

/// The variance of samples of the Euler–Maruyama chain; their mean is known to be 0.
fn sampled_variance(p: &Params, control: &LinearControl, h: f64) -> f64 {
    const BLOCK: usize = 256;
    let score =
        MixtureScore { data: Mixture::<1>::normal(control.variance), sde: control.sde, error: control.error };
    let reverse = Reverse {
        sde: control.sde,
        h,
        times: TimeSpacing::Equal.times(&control.sde, p.steps),
        scheme: Scheme::EulerMaruyama,
    };
    // Different h and ε have different streams, so that the points of the figure are independent.
    let purpose = format!("linear-score samples {:x} {:x}", control.error.to_bits(), h.to_bits());
    let streams = Streams::new(p.seed, &purpose);
    let blocks: Vec<usize> = (0..p.samples).step_by(BLOCK).collect();
    let sums: Vec<f64> = blocks
        .into_par_iter()
        .map(|first| {
            let count = BLOCK.min(p.samples - first);
            let points = reverse.points(&score, &streams, first as u64, count, p.steps);
            points.iter().map(|x| x[0] * x[0]).sum()
        })
        .collect();
    sums.iter().sum::<f64>() / p.samples as f64
}

fn write_curve(p: &Params, ctx: &Context, rows: &[Row]) -> Result<(), StageError> {
    let data = |row: &Row| row.control.forward_variance(p.sde.times().0);
    let nll = |row: &Row, v: f64| 0.5 * libm::log(TAU * v) + data(row) / (2.0 * v);
    // The variance of n normal numbers of known mean has the relative standard error √(2/n).
    let relative = (2.0 / p.samples as f64).sqrt();
    let bound = |row: &Row, reach: f64| -> Option<f64> {
        let v = row.sampled?;
        // The NLL is curved in V: the ends of the interval are those of its values over the interval of V.
        let ends = [v * (1.0 - 1.96 * relative), v * (1.0 + 1.96 * relative)].map(|v| nll(row, v));
        let inside = (ends[0] - nll(row, data(row))) * (ends[1] - nll(row, data(row)));
        let crosses =
            inside >= 0.0 && (v * (1.0 - 1.96 * relative)..v * (1.0 + 1.96 * relative)).contains(&data(row));
        let least = if crosses { nll(row, data(row)) } else { ends[0].min(ends[1]) };
        Some(if reach < 0.0 { least } else { ends[0].max(ends[1]) })
    };
    let numbers = |of: &dyn Fn(&Row) -> Option<f64>| rows.iter().map(of).collect::<Vec<_>>();
    let mut table = Columns::default();
    table
        .numbers("error", numbers(&|row| Some(row.error)))
        .numbers("h", numbers(&|row| Some(row.h)))
        .numbers("nll", numbers(&|row| Some(row.control.nll(row.h))))
        .numbers("wkb", numbers(&|row| Some(row.control.nll(0.0) + row.h * row.correction)))
        .numbers("slope", numbers(&|row| Some(row.control.nll_slope())))
        .numbers("wkb_slope", numbers(&|row| Some(row.correction)))
        .numbers("divergence", numbers(&|row| Some(row.control.divergence(row.h))))
        .numbers("variance", numbers(&|row| Some(row.control.reverse_variance(row.h))))
        .numbers("chain_variance", numbers(&|row| Some(row.chain)))
        .numbers("chain_nll", numbers(&|row| Some(nll(row, row.chain))))
        .numbers("sampled_variance", numbers(&|row| row.sampled))
        .numbers("sampled_nll", numbers(&|row| row.sampled.map(|v| nll(row, v))))
        .numbers("sampled_nll_lower", numbers(&|row| bound(row, -1.0)))
        .numbers("sampled_nll_upper", numbers(&|row| bound(row, 1.0)))
        .numbers("z_score", numbers(&|row| row.sampled.map(|v| (v / row.chain - 1.0) / relative)));
    table.write(ctx.output("curve")?)
}

fn write_phase(p: &Params, ctx: &Context) -> Result<(), StageError> {
    let mut rows = Vec::new();
    for &level in &p.levels {
        for i in 0..=2 * CONTOUR {
            let error = p.largest_error * (i as f64 / CONTOUR as f64 - 1.0);
            let control = LinearControl { variance: p.variance, error, sde: p.sde };
            rows.push((level, error, control.h_reaching(level, p.largest_h)));
        }
    }
    let mut table = Columns::default();
    table
        .numbers("level", rows.iter().map(|row| Some(row.0)))
        .numbers("error", rows.iter().map(|row| Some(row.1)))
        .numbers("h", rows.iter().map(|row| row.2));
    table.write(ctx.output("phase")?)
}
