//! `transition-paths`: paths of overdamped motion that reach a given end, against the instanton of the Onsager–Machlup action.

use crate::kinds::choice;
use crate::kinds::columns::Columns;
use crate::kinds::motion::potential::Potential;
use crate::kinds::rounds::Rounds;
use onsager_numerics::random::Streams;
use onsager_numerics::statistics::NORMAL_QUANTILE;
use onsager_runner::kind::context::Context;
use onsager_runner::kind::stage::{Checks, Inputs, Issue, Output, Stage, StageError};
use onsager_science::motion::onsager_machlup::{ClosedForm, Instanton, OnsagerMachlup};
use onsager_science::motion::polynomial::{Curve, Polynomial};
use onsager_science::motion::transition::{Mean, PIECE, Sums, Transition};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fs;

/// The `transition-paths` kind.
pub struct TransitionPaths;

/// Parameters of `transition-paths`; any consistent units.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// The potential V(x), any polynomial one; the force is F = −V'.
    #[serde(deserialize_with = "choice::read")]
    #[schemars(schema_with = "choice::schema::<Potential>")]
    pub potential: Potential,
    /// The mobility μ > 0, velocity per force. A well of curvature V'' relaxes in the time 1/(μV'').
    pub mobility: f64,
    /// The diffusion constants D > 0 of dx = μF dt + √(2D) dW, from 1 to 32 of them, all different.
    ///
    /// The mean sampled path differs from the instanton by the order D, with a correction of the order D². A line and a parabola
    /// are fitted; the value of each at D = 0 is zero within its error where all D are small enough for it. The difference is
    /// measured by its second Fourier coefficient, (2/N) Σ ⟨x_i − x*_i⟩ sin(2π i/N), which noise does not bias as it biases a
    /// length.
    pub diffusions: Vec<f64>,
    /// Where every path begins.
    pub start: f64,
    /// Where every path ends.
    pub end: f64,
    /// The time T > 0 that a path takes.
    pub time: f64,
    /// The number of steps N, from 4 to 4,000. Averages and the instanton have an error of the order (T/N)².
    pub steps: usize,
    /// The number of pairs of sampled paths for each D, from 100 to 1e9.
    pub pairs: u64,
    /// The number of sampled paths written out for each D, at most 1,000.
    pub shown: usize,
    /// Selects the samples.
    pub seed: u64,
}

impl Default for Params {
    fn default() -> Params {
        Params {
            potential: Potential::DoubleWell { coefficient: 1.0 },
            mobility: 1.0,
            diffusions: vec![0.02, 0.01, 0.005, 0.0025],
            start: -1.0,
            end: 1.0,
            time: 0.125,
            steps: 64,
            pairs: 500_000,
            shown: 20,
            seed: 0,
        }
    }
}

/// Pairs sampled between two looks at the interruption flag.
const ROUND: u64 = 1 << 16;
/// Pairs from which the paths that are written out are chosen.
const CANDIDATES: u64 = 4096;

impl Stage for TransitionPaths {
    type Params = Params;
    const KIND: &'static str = "transition-paths";
    const SUMMARY: &'static str =
        "transition paths of overdamped motion: sampled ones against the instanton, over the noise";

    fn inputs() -> Inputs {
        Inputs::none()
    }

    fn outputs(_: &Params) -> Vec<Output> {
        vec![
            Output::file("paths", "paths.parquet", "the instanton and the mean sampled path, per D and time"),
            Output::file("samples", "samples.parquet", "some sampled paths"),
            Output::file(
                "difference",
                "difference.parquet",
                "mean path less instanton against D, and actions",
            ),
            Output::file("fit", "fit.parquet", "the line and the parabola through that difference"),
            Output::file("curve", "curve.parquet", "both from D = 0 on, and one loop, for a figure"),
            Output::file("summary", "summary.json", "the same in short"),
        ]
    }

    fn check(p: &Params) -> Vec<Issue> {
        let mut checks = Checks::default();
        p.potential.check(&mut checks);
        checks.ensure(Polynomial::of(&p.potential.system()).is_some(), "potential", || {
            format!("must be a polynomial, but is `{}`", p.potential.name())
        });
        checks.positive(&[("mobility", p.mobility), ("time", p.time)]);
        checks.finite(&[("start", p.start), ("end", p.end)]);
        checks.ensure((1..=32).contains(&p.diffusions.len()), "diffusions", || {
            format!("must hold from 1 to 32 values, but holds {}", p.diffusions.len())
        });
        for (i, &diffusion) in p.diffusions.iter().enumerate() {
            let field = format!("diffusions[{i}]");
            checks.positive(&[(&field, diffusion)]);
            checks.ensure(!p.diffusions[..i].contains(&diffusion), &field, || {
                format!("must differ from the others, but {diffusion} is there twice")
            });
        }
        checks.range("steps", p.steps as u64, 4..=4000);
        checks.range("pairs", p.pairs, 100..=1_000_000_000);
        checks.range("shown", p.shown as u64, 0..=1000);
        checks.0
    }

    fn run(p: &Params, ctx: &Context) -> Result<(), StageError> {
        let polynomial = Polynomial::of(&p.potential.system())
            .ok_or_else(|| format!("the potential `{}` is no polynomial", p.potential.name()))?;
        let dt = p.time / p.steps as f64;
        let mut motions = Vec::new();
        for &diffusion in &p.diffusions {
            let motion = OnsagerMachlup::new(polynomial.clone(), p.mobility, diffusion);
            let instanton = motion.instanton(p.start, p.end, p.steps, dt)?;
            let closed = match motion.closed_form(p.start, p.end, p.steps, dt) {
                Ok(closed) => Some(closed),
                Err(error) => {
                    tracing::warn!("no closed form at D = {diffusion}: {error}");
                    None
                }
            };
            motions.push((diffusion, motion, instanton, closed));
        }
        let transitions: Vec<Transition> = motions
            .iter()
            .map(|(diffusion, motion, instanton, _)| {
                let streams =
                    Streams::new(p.seed, &format!("transition-paths T={:?} D={diffusion:?}", p.time));
                Transition::new(motion, instanton, dt, streams)
            })
            .collect();
        let per_motion = p.pairs.div_ceil(ROUND);
        let zero = vec![Sums::zero(p.steps); motions.len()];
        let rounds = per_motion * motions.len() as u64;
        let sums = Rounds::of(rounds, 1, "rounds of paths").run(ctx, zero, |sums, round| {
            let (k, round) = ((round.start / per_motion) as usize, round.start % per_motion);
            let (first, last) = (round * ROUND, p.pairs.min((round + 1) * ROUND));
            let pieces: Vec<u64> = (first..last).step_by(PIECE as usize).collect();
            let pieces: Vec<Sums> = pieces
                .into_par_iter()
                .map(|start| transitions[k].sample(start..last.min(start + PIECE)))
                .collect();
            pieces.iter().for_each(|piece| sums[k].add(piece));
            Ok(())
        })?;
        let results: Vec<Ensemble> = motions
            .iter()
            .zip(&transitions)
            .zip(&sums)
            .map(|(((diffusion, _, instanton, closed), transition), sums)| Ensemble {
                diffusion: *diffusion,
                instanton,
                closed: closed.as_ref(),
                difference: sums.difference(),
                deviation: sums.deviation(),
                efficiency: sums.efficiency(),
                exact: transition.exact(),
                one_loop: transition.one_loop(),
            })
            .collect();
        write_paths(p, &results, ctx)?;
        write_samples(p, &transitions, ctx)?;
        write_difference(p, &results, ctx)
    }
}

/// What is known at one D. Lists over the inner points have their projection as the last entry.
struct Ensemble<'a> {
    diffusion: f64,
    instanton: &'a Instanton,
    closed: Option<&'a ClosedForm>,
    difference: Vec<Mean>,
    deviation: Vec<f64>,
    efficiency: f64,
    exact: Vec<f64>,
    one_loop: Vec<f64>,
}

fn write_paths(p: &Params, ensembles: &[Ensemble], ctx: &Context) -> Result<(), StageError> {
    let rows = || ensembles.iter().flat_map(|ensemble| (0..=p.steps).map(move |i| (ensemble, i)));
    // A value at an inner point; at both ends there is no difference.
    let inner = |f: &dyn Fn(&Ensemble, usize) -> f64| -> Vec<Option<f64>> {
        rows().map(|(e, i)| Some(if i == 0 || i == p.steps { 0.0 } else { f(e, i - 1) })).collect()
    };
    let difference = inner(&|e, i| e.difference[i].value);
    let error = inner(&|e, i| e.difference[i].error);
    let interval = |sign: f64| -> Vec<Option<f64>> {
        let both = difference.iter().zip(&error);
        both.map(|(value, error)| Some((*value)? + sign * NORMAL_QUANTILE * (*error)?)).collect()
    };
    let mean: Vec<Option<f64>> =
        rows().zip(&difference).map(|((e, i), gap)| Some(e.instanton.path[i] + (*gap)?)).collect();
    let mut table = Columns::default();
    table
        .numbers("diffusion", rows().map(|(e, _)| Some(e.diffusion)))
        .integers("step", rows().map(|(_, i)| Some(i as i64)))
        .numbers("time", rows().map(|(_, i)| Some(p.time * i as f64 / p.steps as f64)))
        .numbers("instanton", rows().map(|(e, i)| Some(e.instanton.path[i])))
        .numbers("closed_form", rows().map(|(e, i)| e.closed.map(|closed| closed.path[i])))
        .numbers("mean", mean)
        .numbers("deviation", inner(&|e, i| e.deviation[i]))
        .numbers("difference", difference.clone())
        .numbers("difference_error", error.clone())
        .numbers("difference_lower", interval(-1.0))
        .numbers("difference_upper", interval(1.0))
        .numbers("difference_exact", inner(&|e, i| e.exact[i]))
        .numbers("difference_one_loop", inner(&|e, i| e.one_loop[i]));
    table.write(ctx.output("paths")?)
}

fn write_samples(p: &Params, transitions: &[Transition], ctx: &Context) -> Result<(), StageError> {
    let mut rows: Vec<(f64, usize, usize, f64)> = Vec::new();
    for (&diffusion, transition) in p.diffusions.iter().zip(transitions) {
        let chooser = Streams::new(p.seed, &format!("transition-paths choice D={diffusion:?}"));
        for (k, path) in transition.paths(p.shown, CANDIDATES, chooser).iter().enumerate() {
            rows.extend(path.iter().enumerate().map(|(i, &x)| (diffusion, k, i, x)));
        }
    }
    let mut table = Columns::default();
    table
        .numbers("diffusion", rows.iter().map(|row| Some(row.0)))
        .integers("path", rows.iter().map(|row| Some(row.1 as i64)))
        .integers("step", rows.iter().map(|row| Some(row.2 as i64)))
        .numbers("time", rows.iter().map(|row| Some(p.time * row.2 as f64 / p.steps as f64)))
        .numbers("x", rows.iter().map(|row| Some(row.3)));
    table.write(ctx.output("samples")?)
}

/// Forty steps from D = 0 to the largest one.
fn write_curves(p: &Params, fits: &[Fit], ctx: &Context) -> Result<(), StageError> {
    const POINTS: usize = 40;
    let largest = p.diffusions.iter().copied().fold(0.0, f64::max);
    let rows =
        || fits.iter().flat_map(|fit| (0..=POINTS).map(move |i| (fit, largest * i as f64 / POINTS as f64)));
    let fitted = |fit: &Fit, d: f64| fit.intercept + d * (fit.slope + d * fit.curvature.unwrap_or(0.0));
    let mut table = Columns::default();
    table
        .texts("curve", rows().map(|(fit, _)| fit.curve))
        .numbers("diffusion", rows().map(|(_, d)| Some(d)))
        .numbers("fitted", rows().map(|(fit, d)| Some(fitted(fit, d))))
        .numbers("one_loop", rows().map(|(fit, d)| Some(fit.slope_one_loop * d)));
    table.write(ctx.output("curve")?)
}

/// The difference against D, fitted with errors from the samples alone.
#[derive(Serialize)]
struct Fit {
    /// `line` or `parabola`.
    curve: &'static str,
    /// The value at D = 0, its standard error, and their ratio.
    intercept: f64,
    intercept_error: f64,
    intercept_z: f64,
    slope: f64,
    slope_error: f64,
    /// The slope of one loop at the smallest D.
    slope_one_loop: f64,
    curvature: Option<f64>,
    curvature_error: Option<f64>,
    chi_squared: f64,
    freedom: usize,
}

#[derive(Serialize)]
struct Summary<'a> {
    potential: &'a str,
    time: f64,
    steps: usize,
    pairs: u64,
    /// The largest |S of the instanton/S of its closed form − 1| over D; nothing where a path turns back.
    action_error: Option<f64>,
    /// The largest |sampled − exact|/error of the projection over D.
    worst_z: f64,
    fits: Vec<Fit>,
}

fn write_difference(p: &Params, ensembles: &[Ensemble], ctx: &Context) -> Result<(), StageError> {
    let last = p.steps - 1;
    let column =
        |f: &dyn Fn(&Ensemble) -> f64| ensembles.iter().map(|e| Some(f(e))).collect::<Vec<Option<f64>>>();
    let action_error = |e: &Ensemble| e.closed.map(|closed| e.instanton.action / closed.action - 1.0);
    let z = |e: &Ensemble| (e.difference[last].value - e.exact[last]) / e.difference[last].error;
    let bound =
        |sign: f64| column(&|e| e.difference[last].value + sign * NORMAL_QUANTILE * e.difference[last].error);
    let mut table = Columns::default();
    table
        .numbers("diffusion", column(&|e| e.diffusion))
        .numbers("action", column(&|e| e.instanton.action))
        .numbers("action_closed_form", ensembles.iter().map(|e| e.closed.map(|closed| closed.action)))
        .numbers("action_error", ensembles.iter().map(action_error))
        .numbers("constant", ensembles.iter().map(|e| e.closed.map(|closed| closed.constant)))
        .numbers("difference", column(&|e| e.difference[last].value))
        .numbers("difference_error", column(&|e| e.difference[last].error))
        .numbers("difference_lower", bound(-1.0))
        .numbers("difference_upper", bound(1.0))
        .numbers("difference_exact", column(&|e| e.exact[last]))
        .numbers("z_score", column(&z))
        .numbers("difference_one_loop", column(&|e| e.one_loop[last]))
        .numbers("efficiency", column(&|e| e.efficiency));
    table.write(ctx.output("difference")?)?;

    let values: Vec<f64> = ensembles.iter().map(|e| e.difference[last].value).collect();
    let errors: Vec<f64> = ensembles.iter().map(|e| e.difference[last].error).collect();
    let slope_one_loop = ensembles
        .iter()
        .min_by(|a, b| a.diffusion.total_cmp(&b.diffusion))
        .map_or(f64::NAN, |e| e.one_loop[last] / e.diffusion);
    let fits: Vec<Fit> = [("line", 1), ("parabola", 2)]
        .into_iter()
        .filter_map(|(curve, degree)| {
            let fit = Curve::fit(&p.diffusions, &values, &errors, degree)?;
            Some(Fit {
                curve,
                intercept: fit.coefficients[0],
                intercept_error: fit.errors[0],
                intercept_z: fit.coefficients[0] / fit.errors[0],
                slope: fit.coefficients[1],
                slope_error: fit.errors[1],
                slope_one_loop,
                curvature: fit.coefficients.get(2).copied(),
                curvature_error: fit.errors.get(2).copied(),
                chi_squared: fit.chi_squared,
                freedom: fit.freedom,
            })
        })
        .collect();
    let column = |f: &dyn Fn(&Fit) -> f64| fits.iter().map(|fit| Some(f(fit))).collect::<Vec<Option<f64>>>();
    let mut table = Columns::default();
    table
        .texts("curve", fits.iter().map(|fit| fit.curve))
        .numbers("intercept", column(&|fit| fit.intercept))
        .numbers("intercept_error", column(&|fit| fit.intercept_error))
        .numbers("intercept_z", column(&|fit| fit.intercept_z))
        .numbers("slope", column(&|fit| fit.slope))
        .numbers("slope_error", column(&|fit| fit.slope_error))
        .numbers("slope_one_loop", column(&|fit| fit.slope_one_loop))
        .numbers("curvature", fits.iter().map(|fit| fit.curvature))
        .numbers("curvature_error", fits.iter().map(|fit| fit.curvature_error))
        .numbers("chi_squared", column(&|fit| fit.chi_squared))
        .integers("freedom", fits.iter().map(|fit| Some(fit.freedom as i64)));
    table.write(ctx.output("fit")?)?;
    write_curves(p, &fits, ctx)?;

    let actions: Option<Vec<f64>> = ensembles.iter().map(action_error).collect();
    let summary = Summary {
        potential: p.potential.name(),
        time: p.time,
        steps: p.steps,
        pairs: p.pairs,
        action_error: actions.map(|errors| errors.iter().fold(0.0, |worst: f64, e| worst.max(e.abs()))),
        worst_z: ensembles.iter().map(z).fold(0.0, |worst: f64, z| worst.max(z.abs())),
        fits,
    };
    let mut text = serde_json::to_string_pretty(&summary)?;
    text.push('\n');
    Ok(fs::write(ctx.output("summary")?, text)?)
}
