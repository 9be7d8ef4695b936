//! `action-law`: fits −ln P = γ A + c to every ensemble of `random-motion`, and γ against 1/D over them.

use super::columns::{Columns, Table};
use super::context::{Context, Item};
use super::stage::{Checks, Input, Inputs, Issue, Output, Stage, StageError};
use crate::motion::law::{Estimate, Law, Sample, Sweep, counting_variance};
use crate::motion::regression::wilson;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The `action-law` kind.
pub struct ActionLaw;

/// Parameters of `action-law`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Params {
    /// Tubes with fewer counts than this, at least 1, are left out of counting's fit: below about 20 the logarithm of a
    /// count is biased and its error no longer normal.
    pub minimum_count: u64,
}

impl Default for Params {
    fn default() -> Params {
        Params { minimum_count: 20 }
    }
}

/// The estimators in the order of the outputs; the second is exact at counting's width, its control.
const ESTIMATORS: [&str; 3] = ["counting", "quadrature-at-width", "quadrature"];

impl Stage for ActionLaw {
    type Params = Params;
    const KIND: &'static str = "action-law";
    const SUMMARY: &'static str = "fits −ln P = γ A + c to ensembles of random paths, and γ against 1/D";

    fn inputs() -> Inputs {
        Inputs::of(vec![
            Input::many("tubes", "the `tubes` of one or more `random-motion` tasks"),
            Input::many("paths", "their `paths`; not needed for the fits").optional(),
        ])
    }

    fn outputs(_: &Params) -> Vec<Output> {
        vec![
            Output::file(
                "fit",
                "fit.parquet",
                "one row per ensemble and estimator: γ, γ · 2mD, correlations",
            ),
            Output::file("points", "points.parquet", "every tube with its fitted and its predicted −ln P"),
            Output::file("slopes", "slopes.parquet", "γ against 1/D, per system and estimator"),
        ]
    }

    fn check(p: &Params) -> Vec<Issue> {
        let mut checks = Checks::default();
        checks.ensure(p.minimum_count >= 1, "minimum_count", || "must be at least 1, but is 0".to_owned());
        checks.0
    }

    fn run(p: &Params, ctx: &Context) -> Result<(), StageError> {
        let mut fits = Vec::new();
        for item in ctx.items("tubes") {
            let ensemble = Ensemble::read(item)?;
            for estimator in ESTIMATORS {
                if let Some(fit) = ensemble.fit(estimator, p.minimum_count) {
                    fits.push(fit);
                }
            }
            ctx.progress(fits.len() as u64, (ctx.items("tubes").len() * ESTIMATORS.len()) as u64, "fits");
        }
        if fits.is_empty() {
            return Err(StageError::with_help(
                "no ensemble has any estimate of −ln P",
                "give the `tubes` of a `random-motion` stage with more particles or wider tubes",
            ));
        }
        write_fit(&fits, ctx)?;
        write_points(&fits, ctx)?;
        write_slopes(&fits, ctx)
    }
}

/// One table of tubes.
struct Ensemble {
    labels: Vec<(String, Value)>,
    system: String,
    units: String,
    diffusion: f64,
    mass: f64,
    tube: Vec<f64>,
    action: Vec<f64>,
    action_hamiltonian: Vec<f64>,
    kinetic: Vec<f64>,
    deviation: Vec<f64>,
    action_least: f64,
    width: Option<f64>,
    quadrature_width: Option<f64>,
    arrived: Option<u64>,
    count: Vec<Option<u64>>,
    lower: Vec<Option<f64>>,
    upper: Vec<Option<f64>>,
    expected: Vec<Option<f64>>,
    z_score: Vec<Option<f64>>,
    /// −ln P by each of [`ESTIMATORS`].
    neg_ln_p: [Vec<Option<f64>>; 3],
}

/// The tubes of one ensemble by one estimator, with the law where it could be fitted.
struct Fit {
    labels: Vec<(String, Value)>,
    estimator: &'static str,
    system: String,
    units: String,
    diffusion: f64,
    mass: f64,
    width: f64,
    action_least: f64,
    sample: Sample,
    law: Option<Law>,
    rows: Vec<Row>,
    coverage: Option<f64>,
    coverage_tubes: Option<usize>,
    worst_z: Option<f64>,
}

/// One tube in the table of points.
struct Row {
    tube: f64,
    kinetic: f64,
    count: Option<u64>,
    lower: Option<f64>,
    upper: Option<f64>,
    z_score: Option<f64>,
    used: bool,
}

impl Ensemble {
    fn read(item: &Item) -> Result<Ensemble, StageError> {
        let table = Table::read(&item.path, &item.name)?;
        let all = |name: &str| -> Result<Vec<f64>, StageError> {
            let values: Option<Vec<f64>> = table.numbers(name)?.into_iter().collect();
            Ok(values.ok_or_else(|| format!("column `{name}` of `{}` has missing values", item.name))?)
        };
        let empty = || StageError::from(format!("`{}` has no rows", item.name));
        let first = |name: &str| -> Result<f64, StageError> { all(name)?.first().copied().ok_or_else(empty) };
        let maybe = |name: &str| -> Result<Option<f64>, StageError> {
            Ok(table.numbers(name)?.first().copied().flatten())
        };
        let text = |name: &str| -> Result<String, StageError> {
            table.texts(name)?.into_iter().next().ok_or_else(empty)
        };
        Ok(Ensemble {
            labels: item.labels.clone(),
            system: text("system")?,
            units: text("units")?,
            diffusion: first("diffusion")?,
            mass: first("mass")?,
            tube: all("tube")?,
            action: all("action")?,
            action_hamiltonian: all("action_hamiltonian")?,
            kinetic: all("kinetic")?,
            deviation: all("deviation")?,
            action_least: first("action_least")?,
            width: maybe("width")?,
            quadrature_width: maybe("quadrature_width")?,
            arrived: maybe("arrived")?.map(|arrived| arrived as u64),
            count: table.numbers("count")?.into_iter().map(|count| count.map(|count| count as u64)).collect(),
            lower: table.numbers("neg_ln_p_lower")?,
            upper: table.numbers("neg_ln_p_upper")?,
            expected: table.numbers("expected_count")?,
            z_score: table.numbers("z_score")?,
            neg_ln_p: [
                table.numbers("neg_ln_p")?,
                table.numbers("quadrature_neg_ln_p_at_width")?,
                table.numbers("quadrature_neg_ln_p")?,
            ],
        })
    }

    /// The fit by this estimator; nothing where the ensemble has none of its values.
    fn fit(&self, estimator: &'static str, minimum_count: u64) -> Option<Fit> {
        let position = ESTIMATORS.iter().position(|&name| name == estimator)?;
        let values = &self.neg_ln_p[position];
        let counting = estimator == "counting";
        let width = if estimator == "quadrature" { self.quadrature_width } else { self.width }?;
        // Points in the order of their action, so that the lines of a figure run from left to right.
        let mut tubes: Vec<usize> = (0..self.tube.len()).filter(|&k| values[k].is_some()).collect();
        tubes.sort_by(|&a, &b| self.action[a].total_cmp(&self.action[b]));
        if tubes.is_empty() {
            return None;
        }
        let used = |k: usize| !counting || self.count[k].is_some_and(|count| count >= minimum_count);
        let sample_of = |tubes: &[usize]| Sample {
            action: tubes.iter().map(|&k| self.action[k]).collect(),
            action_hamiltonian: tubes.iter().map(|&k| self.action_hamiltonian[k]).collect(),
            deviation: tubes.iter().map(|&k| self.deviation[k]).collect(),
            neg_ln_p: tubes.iter().filter_map(|&k| values[k]).collect(),
            variance: counting.then(|| {
                let variance =
                    |k: usize| Some(counting_variance(self.count[k]?, self.arrived?)).filter(|v| *v > 0.0);
                tubes.iter().map(|&k| variance(k).unwrap_or(f64::INFINITY)).collect()
            }),
        };
        let fitted: Vec<usize> = tubes.iter().copied().filter(|&k| used(k)).collect();
        let law = Law::fit(&sample_of(&fitted), 2.0 * self.mass * self.diffusion);
        // Counting against the exact values: all tubes whose expected count is at least 20.
        let compared: Vec<usize> = (0..self.tube.len())
            .filter(|&k| counting && self.expected[k].is_some_and(|expected| expected >= 20.0))
            .collect();
        let covers = |k: &&usize| -> bool {
            let (Some(count), Some(arrived), Some(exact)) =
                (self.count[**k], self.arrived, self.neg_ln_p[1][**k])
            else {
                return false;
            };
            let (lower, upper) = wilson(count, arrived);
            (lower..=upper).contains(&libm::exp(-exact))
        };
        let covered = compared.iter().filter(covers).count();
        let any = !compared.is_empty();
        Some(Fit {
            labels: self.labels.clone(),
            estimator,
            system: self.system.clone(),
            units: self.units.clone(),
            diffusion: self.diffusion,
            mass: self.mass,
            width,
            action_least: self.action_least,
            sample: sample_of(&tubes),
            law,
            rows: tubes
                .iter()
                .map(|&k| Row {
                    tube: self.tube[k],
                    kinetic: self.kinetic[k],
                    count: self.count[k].filter(|_| counting),
                    lower: self.lower[k].filter(|_| counting),
                    upper: self.upper[k].filter(|_| counting),
                    z_score: self.z_score[k].filter(|_| counting),
                    used: used(k),
                })
                .collect(),
            coverage: any.then(|| covered as f64 / compared.len() as f64),
            coverage_tubes: counting.then_some(compared.len()),
            worst_z: compared
                .iter()
                .filter_map(|&k| self.z_score[k])
                .max_by(|a, b| a.abs().total_cmp(&b.abs())),
        })
    }
}

/// The matrix coordinates as columns, one value per row, where the table has no column of that name.
fn add_labels(table: &mut Columns, labels: &[&[(String, Value)]]) {
    let mut names: Vec<&String> = Vec::new();
    for (name, _) in labels.iter().copied().flatten() {
        if !names.contains(&name) && !table.has(name) {
            names.push(name);
        }
    }
    for name in names {
        let values: Vec<Option<&Value>> = labels
            .iter()
            .map(|row| row.iter().find(|(label, _)| label == name).map(|(_, value)| value))
            .collect();
        if values.iter().flatten().all(|value| value.is_number()) {
            table.numbers(name, values.iter().map(|value| value.and_then(Value::as_f64)));
        } else {
            table.texts(
                name,
                values.iter().map(|value| match value {
                    None => String::new(),
                    Some(Value::String(text)) => text.clone(),
                    Some(other) => other.to_string(),
                }),
            );
        }
    }
}

fn write_fit(fits: &[Fit], ctx: &Context) -> Result<(), StageError> {
    let law = |f: &dyn Fn(&Fit, &Law) -> f64| -> Vec<Option<f64>> {
        fits.iter().map(|fit| fit.law.as_ref().map(|law| f(fit, law))).collect()
    };
    let residual = |f: &dyn Fn(&Estimate) -> f64| -> Vec<Option<f64>> {
        fits.iter().map(|fit| fit.law.and_then(|law| law.residual_slope).as_ref().map(f)).collect()
    };
    let two_m_d = |fit: &Fit| 2.0 * fit.mass * fit.diffusion;
    let mut table = Columns::default();
    table
        .texts("system", fits.iter().map(|fit| &fit.system))
        .texts("units", fits.iter().map(|fit| &fit.units))
        .texts("estimator", fits.iter().map(|fit| fit.estimator))
        .numbers("diffusion", fits.iter().map(|fit| Some(fit.diffusion)))
        .numbers("inverse_diffusion", fits.iter().map(|fit| Some(1.0 / fit.diffusion)))
        .numbers("mass", fits.iter().map(|fit| Some(fit.mass)))
        .numbers("width", fits.iter().map(|fit| Some(fit.width)))
        .integers("tubes", fits.iter().map(|fit| Some(fit.law.map_or(0, |law| law.tubes) as i64)))
        .numbers("gamma", law(&|_, law| law.gamma.value))
        .numbers("gamma_lower", law(&|_, law| law.gamma.lower))
        .numbers("gamma_upper", law(&|_, law| law.gamma.upper))
        .numbers("gamma_expected", fits.iter().map(|fit| Some(1.0 / two_m_d(fit))))
        .numbers("gamma_2md", law(&|fit, law| law.gamma.value * two_m_d(fit)))
        .numbers("gamma_2md_lower", law(&|fit, law| law.gamma.lower * two_m_d(fit)))
        .numbers("gamma_2md_upper", law(&|fit, law| law.gamma.upper * two_m_d(fit)))
        .numbers("intercept", law(&|_, law| law.intercept))
        .numbers("r", law(&|_, law| law.r))
        .numbers("r_hamiltonian", law(&|_, law| law.r_hamiltonian))
        .numbers("gamma_corrected_2md", law(&|fit, law| law.gamma_corrected.value * two_m_d(fit)))
        .numbers("gamma_corrected_2md_lower", law(&|fit, law| law.gamma_corrected.lower * two_m_d(fit)))
        .numbers("gamma_corrected_2md_upper", law(&|fit, law| law.gamma_corrected.upper * two_m_d(fit)))
        .numbers("r_corrected", law(&|_, law| law.r_corrected))
        .numbers("chi_squared", law(&|_, law| law.chi_squared))
        .numbers("residual_slope", residual(&|slope| slope.value))
        .numbers("residual_slope_lower", residual(&|slope| slope.lower))
        .numbers("residual_slope_upper", residual(&|slope| slope.upper))
        .numbers("residual_r", fits.iter().map(|fit| fit.law.and_then(|law| law.residual_r)))
        .numbers("coverage", fits.iter().map(|fit| fit.coverage))
        .integers("coverage_tubes", fits.iter().map(|fit| fit.coverage_tubes.map(|n| n as i64)))
        .numbers("worst_z", fits.iter().map(|fit| fit.worst_z));
    add_labels(&mut table, &fits.iter().map(|fit| fit.labels.as_slice()).collect::<Vec<_>>());
    table.write(ctx.output("fit")?)
}

fn write_points(fits: &[Fit], ctx: &Context) -> Result<(), StageError> {
    let rows = || fits.iter().flat_map(|fit| fit.rows.iter().map(move |row| (fit, row)));
    let of_sample = |f: &dyn Fn(&Fit) -> Vec<f64>| -> Vec<Option<f64>> {
        fits.iter().flat_map(|fit| f(fit).into_iter().map(Some)).collect()
    };
    let two_m_d = |fit: &Fit| 2.0 * fit.mass * fit.diffusion;
    let fitted = |fit: &Fit| -> Vec<f64> {
        // A missing law gives a missing value.
        let line = |action: &f64| fit.law.map_or(f64::NAN, |law| law.gamma.value * action + law.intercept);
        fit.sample.action.iter().map(line).collect()
    };
    // What is predicted up to a constant gets the one that makes its mean that of the tubes used.
    let shifted = |fit: &Fit, exponents: Vec<f64>| -> Vec<f64> {
        let used: Vec<f64> = fit
            .rows
            .iter()
            .zip(fit.sample.neg_ln_p.iter().zip(&exponents))
            .filter_map(|(row, (value, exponent))| row.used.then_some(value - exponent))
            .collect();
        let shift = used.iter().sum::<f64>() / used.len() as f64;
        exponents.into_iter().map(|exponent| exponent + shift).collect()
    };
    let predicted =
        |fit: &Fit| shifted(fit, fit.sample.corrected().iter().map(|action| action / two_m_d(fit)).collect());
    let predicted_line =
        |fit: &Fit| shifted(fit, fit.sample.action.iter().map(|action| action / two_m_d(fit)).collect());
    // 2mD (−ln P) − A less its constant, so that it is the deviation plus the error of the estimate.
    let residual = |fit: &Fit| -> Vec<f64> {
        let both = fit.sample.neg_ln_p.iter().zip(predicted(fit)).zip(&fit.sample.deviation);
        both.map(|((value, predicted), deviation)| two_m_d(fit) * (value - predicted) + deviation).collect()
    };
    let mut table = Columns::default();
    table
        .texts("system", rows().map(|(fit, _)| &fit.system))
        .texts("units", rows().map(|(fit, _)| &fit.units))
        .texts("estimator", rows().map(|(fit, _)| fit.estimator))
        .numbers("diffusion", rows().map(|(fit, _)| Some(fit.diffusion)))
        .numbers("mass", rows().map(|(fit, _)| Some(fit.mass)))
        .numbers("width", rows().map(|(fit, _)| Some(fit.width)))
        .integers("tube", rows().map(|(_, row)| Some(row.tube as i64)))
        .numbers("action", of_sample(&|fit| fit.sample.action.clone()))
        .numbers(
            "action_excess",
            of_sample(&|fit| fit.sample.action.iter().map(|action| action - fit.action_least).collect()),
        )
        .numbers("action_hamiltonian", of_sample(&|fit| fit.sample.action_hamiltonian.clone()))
        .numbers("kinetic", rows().map(|(_, row)| Some(row.kinetic)))
        .numbers("deviation", of_sample(&|fit| fit.sample.deviation.clone()))
        .numbers("action_corrected", of_sample(&|fit| fit.sample.corrected()))
        .integers("count", rows().map(|(_, row)| row.count.map(|count| count as i64)))
        .numbers("neg_ln_p", of_sample(&|fit| fit.sample.neg_ln_p.clone()))
        .numbers("neg_ln_p_lower", rows().map(|(_, row)| row.lower))
        .numbers("neg_ln_p_upper", rows().map(|(_, row)| row.upper))
        .numbers("z_score", rows().map(|(_, row)| row.z_score))
        .flags("used", rows().map(|(_, row)| Some(row.used)))
        .numbers("fitted", of_sample(&fitted))
        .numbers("predicted", of_sample(&predicted))
        .numbers("predicted_line", of_sample(&predicted_line))
        .numbers("residual", of_sample(&residual));
    add_labels(&mut table, &rows().map(|(fit, _)| fit.labels.as_slice()).collect::<Vec<_>>());
    table.write(ctx.output("points")?)
}

/// One row for each combination of system, estimator, width and mass that has at least two diffusion constants.
fn write_slopes(fits: &[Fit], ctx: &Context) -> Result<(), StageError> {
    let same = |a: &Fit, b: &Fit| {
        a.system == b.system
            && a.units == b.units
            && a.estimator == b.estimator
            && a.width == b.width
            && a.mass == b.mass
    };
    let mut groups: Vec<Vec<&Fit>> = Vec::new();
    for fit in fits.iter().filter(|fit| fit.law.is_some()) {
        match groups.iter_mut().find(|group| same(group[0], fit)) {
            Some(group) => group.push(fit),
            None => groups.push(vec![fit]),
        }
    }
    let sweeps: Vec<(&Fit, Sweep)> = groups
        .iter()
        .filter_map(|group| {
            let points: Vec<(f64, f64, f64)> = group
                .iter()
                .filter_map(|fit| fit.law.map(|law| (1.0 / fit.diffusion, law.gamma.value, law.gamma_error)))
                .collect();
            Some((group[0], Sweep::fit(&points)?))
        })
        .collect();
    let column = |f: &dyn Fn(&Fit, &Sweep) -> f64| -> Vec<Option<f64>> {
        sweeps.iter().map(|(fit, sweep)| Some(f(fit, sweep))).collect()
    };
    let mut table = Columns::default();
    table
        .texts("system", sweeps.iter().map(|(fit, _)| &fit.system))
        .texts("units", sweeps.iter().map(|(fit, _)| &fit.units))
        .texts("estimator", sweeps.iter().map(|(fit, _)| fit.estimator))
        .numbers("width", column(&|fit, _| fit.width))
        .numbers("mass", column(&|fit, _| fit.mass))
        .integers("points", sweeps.iter().map(|(_, sweep)| Some(sweep.points as i64)))
        .numbers("slope", column(&|_, sweep| sweep.slope.value))
        .numbers("slope_lower", column(&|_, sweep| sweep.slope.lower))
        .numbers("slope_upper", column(&|_, sweep| sweep.slope.upper))
        .numbers("slope_expected", column(&|fit, _| 1.0 / (2.0 * fit.mass)))
        .numbers("slope_2m", column(&|fit, sweep| 2.0 * fit.mass * sweep.slope.value))
        .numbers("intercept", column(&|_, sweep| sweep.intercept.value))
        .numbers("intercept_lower", column(&|_, sweep| sweep.intercept.lower))
        .numbers("intercept_upper", column(&|_, sweep| sweep.intercept.upper));
    table.write(ctx.output("slopes")?)
}
