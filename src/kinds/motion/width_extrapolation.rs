//! `width-extrapolation`: γ and −ln P for δ → 0, from ensembles of the same tubes at several widths.

use crate::kinds::columns::Columns;
use crate::kinds::motion::tube_table::TubeTable;
use onsager_runner::kind::context::{Context, Item};
use onsager_runner::kind::stage::{Input, Inputs, Output, Stage, StageError};
use onsager_science::motion::extrapolation::{NarrowLimit, Widths};
use onsager_science::motion::law::{Estimate, Law, Sample};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::Path;

/// The `width-extrapolation` kind.
pub struct WidthExtrapolation;

/// `width-extrapolation` has no parameters: the widths are those of its inputs.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {}

impl Stage for WidthExtrapolation {
    type Params = Params;
    const KIND: &'static str = "width-extrapolation";
    const SUMMARY: &'static str =
        "takes γ and −ln P to tubes of zero width, from the same tubes at several widths";
    const PARALLEL: bool = false;

    fn inputs() -> Inputs {
        let about = "the `tubes` of `random-motion` tasks that differ in `width`, four or more up to 1 σ or so; without \
                     sampling, in `quadrature_width`, three or more";
        Inputs::of(vec![Input::many("tubes", about)])
    }

    fn outputs(_: &Params) -> Vec<Output> {
        vec![
            Output::file(
                "gamma",
                "gamma.parquet",
                "γ · 2mD at each width, and for zero width, with intervals",
            ),
            Output::file("fit", "fit.parquet", "one row per ensemble and estimator: the law for zero width"),
            Output::file("tubes", "tubes.parquet", "every tube: its extrapolated −ln P and its residual"),
        ]
    }

    fn run(_: &Params, ctx: &Context) -> Result<(), StageError> {
        let mut groups: Vec<Vec<AtWidth>> = Vec::new();
        for item in ctx.items("tubes") {
            let ensemble = AtWidth::read(item)?;
            match groups.iter_mut().find(|group| group[0].same_tubes(&ensemble)) {
                Some(group) => group.push(ensemble),
                None => groups.push(vec![ensemble]),
            }
        }
        let mut limits = Vec::new();
        for group in &mut groups {
            group.sort_by(|a, b| a.width.total_cmp(&b.width));
            limits.extend((0..ESTIMATORS.len()).filter_map(|estimator| Limit::of(group, estimator)));
        }
        if limits.is_empty() {
            return Err(StageError::with_help(
                "no ensemble has enough widths to extrapolate from",
                "give `random-motion` a matrix of `width`, with four widths up to 1, and the estimators `splitting` and \
                 `quadrature`; or of `quadrature_width`, with three, and `quadrature` alone",
            ));
        }
        write_gamma(&limits, ctx)?;
        write_fit(&limits, ctx)?;
        write_tubes(&limits, ctx)
    }
}

const ESTIMATORS: [&str; 2] = ["splitting", "quadrature"];

/// One table of tubes.
struct AtWidth {
    labels: Vec<(String, Value)>,
    system: String,
    units: String,
    /// D, m, ωT and A[f].
    diffusion: f64,
    mass: f64,
    omega_t: f64,
    action_least: f64,
    steps: usize,
    width: f64,
    sample: Sample,
    /// −ln P by each of [`ESTIMATORS`], where it has all tubes.
    neg_ln_p: [Option<Vec<f64>>; 2],
    /// The standard errors of the first.
    errors: Option<Vec<f64>>,
}

impl AtWidth {
    fn read(item: &Item) -> Result<AtWidth, StageError> {
        let tubes = TubeTable::read(item)?;
        // Exact values alone come at the quadrature's own width.
        let (width, exact) = match tubes.whole("width")? {
            Some(_) => ("width", "quadrature_neg_ln_p_at_width"),
            None => ("quadrature_width", "quadrature_neg_ln_p"),
        };
        Ok(AtWidth {
            labels: item.labels.clone(),
            system: tubes.text("system")?,
            units: tubes.text("units")?,
            diffusion: tubes.first("diffusion")?,
            mass: tubes.first("mass")?,
            omega_t: tubes.first("omega_t")?,
            action_least: tubes.first("action_least")?,
            steps: tubes.first("steps")? as usize,
            width: tubes.first(width)?,
            sample: Sample {
                action: tubes.all("action")?,
                action_hamiltonian: tubes.all("action_hamiltonian")?,
                deviation: tubes.all("deviation")?,
                ..Sample::default()
            },
            neg_ln_p: [tubes.whole("splitting_neg_ln_p")?, tubes.whole(exact)?],
            errors: tubes.whole("splitting_error")?,
        })
    }

    /// Whether the other holds the same tubes, of another width.
    fn same_tubes(&self, other: &AtWidth) -> bool {
        self.system == other.system
            && self.units == other.units
            && self.diffusion == other.diffusion
            && self.mass == other.mass
            && self.sample == other.sample
            && self.width != other.width
    }
}

/// One ensemble by one estimator for δ → 0.
struct Limit {
    /// The labels that all widths share.
    labels: Vec<(String, Value)>,
    estimator: &'static str,
    system: String,
    units: String,
    diffusion: f64,
    two_m_d: f64,
    omega_t: f64,
    action_least: f64,
    widths: Vec<f64>,
    /// Against the action, and against the action with the deviation of the potential's curvature.
    plain: NarrowLimit,
    corrected: NarrowLimit,
    sample: Sample,
    law: Option<Law>,
}

impl Limit {
    /// Nothing where there are too few widths with this estimator.
    fn of(group: &[AtWidth], estimator: usize) -> Option<Limit> {
        let used: Vec<&AtWidth> = group.iter().filter(|of| of.neg_ln_p[estimator].is_some()).collect();
        let first = used.first()?;
        let splitting = estimator == 0;
        let errors: Option<Vec<Vec<f64>>> = used.iter().map(|of| of.errors.clone()).collect();
        let widths = Widths {
            widths: used.iter().map(|of| of.width).collect(),
            steps: first.steps,
            neg_ln_p: used.iter().filter_map(|of| of.neg_ln_p[estimator].clone()).collect(),
            errors: if splitting { Some(errors?) } else { None },
        };
        let plain = widths.narrow_limit(&first.sample.action)?;
        let corrected = widths.narrow_limit(&first.sample.corrected())?;
        let two_m_d = 2.0 * first.mass * first.diffusion;
        let sample = Sample { neg_ln_p: plain.neg_ln_density.clone(), ..first.sample.clone() };
        let shared = |label: &&(String, Value)| used.iter().all(|of| of.labels.contains(label));
        Some(Limit {
            labels: first.labels.iter().filter(shared).cloned().collect(),
            estimator: ESTIMATORS[estimator],
            system: first.system.clone(),
            units: first.units.clone(),
            diffusion: first.diffusion,
            two_m_d,
            omega_t: first.omega_t,
            action_least: first.action_least,
            widths: widths.widths,
            plain,
            corrected,
            law: Law::fit(&sample, two_m_d),
            sample,
        })
    }

    /// γ · 2mD.
    fn scaled(&self, gamma: Estimate) -> Estimate {
        let times = |value: f64| value * self.two_m_d;
        Estimate { value: times(gamma.value), lower: times(gamma.lower), upper: times(gamma.upper) }
    }
}

/// The columns `{name}`, `{name}_lower` and `{name}_upper`.
fn estimates(table: &mut Columns, name: &str, of: &[Option<Estimate>]) {
    let column =
        |f: fn(&Estimate) -> f64| -> Vec<Option<f64>> { of.iter().map(|e| e.as_ref().map(f)).collect() };
    table
        .numbers(name, column(|e| e.value))
        .numbers(&format!("{name}_lower"), column(|e| e.lower))
        .numbers(&format!("{name}_upper"), column(|e| e.upper));
}

/// The columns that name a row's ensemble.
fn table_of(rows: &[&Limit]) -> Columns {
    let mut table = Columns::default();
    table
        .texts("system", rows.iter().map(|of| &of.system))
        .texts("units", rows.iter().map(|of| &of.units))
        .texts("estimator", rows.iter().map(|of| of.estimator))
        .numbers("diffusion", rows.iter().map(|of| Some(of.diffusion)))
        .numbers("omega_t", rows.iter().map(|of| Some(of.omega_t)));
    table
}

/// Adds the labels' columns and writes the table.
fn finish(mut table: Columns, rows: &[&Limit], path: &Path) -> Result<(), StageError> {
    table.labels(&rows.iter().map(|of| of.labels.as_slice()).collect::<Vec<_>>());
    table.write(path)
}

/// A row for each width, narrowest first after that of the limit, whose width is 0.
fn write_gamma(limits: &[Limit], ctx: &Context) -> Result<(), StageError> {
    let rows: Vec<&Limit> =
        limits.iter().flat_map(|of| std::iter::repeat_n(of, of.widths.len() + 1)).collect();
    let of_widths = |which: fn(&Limit) -> &NarrowLimit| -> Vec<Option<Estimate>> {
        let all = |of: &Limit| [vec![which(of).limit], which(of).gammas.clone()].concat();
        limits.iter().flat_map(|of| all(of).into_iter().map(|gamma| Some(of.scaled(gamma)))).collect()
    };
    let mut table = table_of(&rows);
    table.numbers("width", limits.iter().flat_map(|of| [&[0.0], &of.widths[..]].concat()).map(Some));
    estimates(&mut table, "gamma_2md", &of_widths(|of| &of.plain));
    estimates(&mut table, "gamma_corrected_2md", &of_widths(|of| &of.corrected));
    finish(table, &rows, ctx.output("gamma")?)
}

fn write_fit(limits: &[Limit], ctx: &Context) -> Result<(), StageError> {
    let limit = |which: fn(&Limit) -> &NarrowLimit| -> Vec<Option<Estimate>> {
        limits.iter().map(|of| Some(of.scaled(which(of).limit))).collect()
    };
    // 1 where the interval holds 1, else 0, so that a mean over seeds is the coverage.
    let covers = |which: fn(&Limit) -> &NarrowLimit| {
        let holds = |of: Estimate| f64::from(u8::from((of.lower..=of.upper).contains(&1.0)));
        limits.iter().map(|of| Some(holds(of.scaled(which(of).limit)))).collect::<Vec<_>>()
    };
    let law = |f: fn(&Law) -> f64| limits.iter().map(|of| of.law.as_ref().map(f)).collect::<Vec<_>>();
    let rows: Vec<&Limit> = limits.iter().collect();
    let mut table = table_of(&rows);
    table
        .integers("widths", limits.iter().map(|of| Some(of.widths.len() as i64)))
        .integers("tubes", limits.iter().map(|of| Some(of.sample.action.len() as i64)));
    estimates(&mut table, "gamma_2md", &limit(|of| &of.plain));
    table
        .numbers("truncation", limits.iter().map(|of| Some(of.two_m_d * of.plain.truncation)))
        .numbers("covers_1", covers(|of| &of.plain));
    estimates(&mut table, "gamma_corrected_2md", &limit(|of| &of.corrected));
    table
        .numbers("corrected_covers_1", covers(|of| &of.corrected))
        .numbers("r", law(|law| law.r))
        .numbers("r_hamiltonian", law(|law| law.r_hamiltonian))
        .numbers("r_corrected", law(|law| law.r_corrected))
        .numbers("deviation_share", limits.iter().map(|of| of.sample.deviation_share()));
    let slopes: Vec<Option<Estimate>> =
        limits.iter().map(|of| of.law.and_then(|law| law.residual_slope)).collect();
    estimates(&mut table, "residual_slope", &slopes);
    finish(table, &rows, ctx.output("fit")?)
}

fn write_tubes(limits: &[Limit], ctx: &Context) -> Result<(), StageError> {
    let rows: Vec<&Limit> =
        limits.iter().flat_map(|of| std::iter::repeat_n(of, of.sample.action.len())).collect();
    let column = |f: &dyn Fn(&Limit) -> Vec<f64>| -> Vec<Option<f64>> {
        limits.iter().flat_map(|of| f(of).into_iter().map(Some)).collect()
    };
    // Less its mean distance from the deviation, so that it is the deviation plus the error of the estimate.
    let residual = |of: &Limit| -> Vec<f64> {
        let residual = of.sample.residual(of.two_m_d);
        let gaps: Vec<f64> = residual.iter().zip(&of.sample.deviation).map(|(r, d)| r - d).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        residual.into_iter().map(|r| r - mean).collect()
    };
    let mut table = table_of(&rows);
    table
        .integers("tube", limits.iter().flat_map(|of| (0..of.sample.action.len() as i64).map(Some)))
        .numbers(
            "action_excess",
            column(&|of| of.sample.action.iter().map(|a| a - of.action_least).collect()),
        )
        .numbers("deviation", column(&|of| of.sample.deviation.clone()))
        .numbers("neg_ln_density", column(&|of| of.sample.neg_ln_p.clone()))
        .numbers(
            "error",
            limits.iter().flat_map(|of| match &of.plain.errors {
                Some(errors) => errors.iter().copied().map(Some).collect(),
                None => vec![None; of.sample.action.len()],
            }),
        )
        .numbers("residual", column(&residual));
    finish(table, &rows, ctx.output("tubes")?)
}
