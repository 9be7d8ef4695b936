//! The tables of `action-law`: fits, points, and slopes against 1/D.

use crate::kinds::columns::Columns;
use crate::kinds::motion::ensemble::Fit;
use onsager_runner::kind::context::Context;
use onsager_runner::kind::stage::StageError;
use onsager_science::motion::law::{Estimate, Law, Sweep};

/// One row for each ensemble and estimator.
pub fn write_fit(fits: &[Fit], ctx: &Context) -> Result<(), StageError> {
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
        .numbers("worst_z", fits.iter().map(|fit| fit.scores.map(|scores| scores.worst)))
        .numbers("z_mean", fits.iter().map(|fit| fit.scores.map(|scores| scores.mean)))
        .numbers("z_deviation", fits.iter().map(|fit| fit.scores.map(|scores| scores.deviation)))
        .numbers("omega_t", fits.iter().map(|fit| Some(fit.omega_t)))
        .numbers("deviation_share", fits.iter().map(|fit| fit.sample.deviation_share()));
    table.labels(&fits.iter().map(|fit| fit.labels.as_slice()).collect::<Vec<_>>());
    table.write(ctx.output("fit")?)
}

/// Every tube of every fit.
pub fn write_points(fits: &[Fit], ctx: &Context) -> Result<(), StageError> {
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
    let shifted = |fit: &Fit, exponents: Vec<f64>| -> Vec<f64> {
        let level = fit.sample.level(&exponents);
        exponents.into_iter().map(|exponent| exponent + level).collect()
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
        .numbers("exact_neg_ln_p", rows().map(|(_, row)| row.exact))
        .numbers("neg_ln_p_lower", rows().map(|(_, row)| row.lower))
        .numbers("neg_ln_p_upper", rows().map(|(_, row)| row.upper))
        .numbers("z_score", rows().map(|(_, row)| row.z_score))
        .flags("used", rows().map(|(_, row)| Some(row.used)))
        .numbers("fitted", of_sample(&fitted))
        .numbers("predicted", of_sample(&predicted))
        .numbers("predicted_line", of_sample(&predicted_line))
        .numbers("residual", of_sample(&residual));
    table.labels(&rows().map(|(fit, _)| fit.labels.as_slice()).collect::<Vec<_>>());
    table.write(ctx.output("points")?)
}

/// One row for each combination of system, estimator, width and mass that has at least two diffusion constants.
pub fn write_slopes(fits: &[Fit], ctx: &Context) -> Result<(), StageError> {
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
