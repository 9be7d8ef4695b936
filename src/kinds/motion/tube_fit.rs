//! The law −ln P = slope · S + constant over tubes, S the action that is the exponent itself: what `langevin` and `propagator`
//! fit, with slope 1 in narrow tubes.

use crate::kinds::columns::Columns;
use onsager_numerics::statistics::pearson;
use onsager_science::stats::regression::Line;
use serde::Serialize;

/// The fit by one estimator.
#[derive(Debug, Serialize)]
pub struct TubeFit {
    pub estimator: &'static str,
    /// The tubes' width in units of a step's standard deviation.
    pub width: f64,
    pub tubes: usize,
    /// The slope with its 95 % interval.
    pub slope: f64,
    pub slope_lower: f64,
    pub slope_upper: f64,
    pub intercept: f64,
    /// The correlation of ln P with the action, −1 for a perfect law.
    pub r: f64,
    /// The correlation of ln P with another action, where there is one to compare with.
    pub r_other: Option<f64>,
}

/// One estimator's values.
pub struct Estimates<'a> {
    pub estimator: &'static str,
    pub width: f64,
    /// −ln P of each tube; nothing where a tube is left out.
    pub neg_ln_p: &'a [Option<f64>],
    /// The standard error of each, where they are sampled.
    pub errors: Option<&'a [f64]>,
}

impl TubeFit {
    /// Fits the line, by the errors where there are any; nothing for fewer than three tubes.
    pub fn new(action: &[f64], other: Option<&[f64]>, estimates: &Estimates) -> Option<TubeFit> {
        let used: Vec<usize> = (0..action.len()).filter(|&k| estimates.neg_ln_p[k].is_some()).collect();
        let of = |column: &[f64]| -> Vec<f64> { used.iter().map(|&k| column[k]).collect() };
        let value: Vec<f64> = estimates.neg_ln_p.iter().copied().flatten().collect();
        let weights: Option<Vec<f64>> =
            estimates.errors.map(|errors| of(errors).iter().map(|error| 1.0 / (error * error)).collect());
        let line = Line::fit(&of(action), &value, weights.as_deref())?;
        let (slope_lower, slope_upper) = line.slope_interval();
        Some(TubeFit {
            estimator: estimates.estimator,
            width: estimates.width,
            tubes: used.len(),
            slope: line.slope,
            slope_lower,
            slope_upper,
            intercept: line.intercept,
            r: -pearson(&of(action), &value)?,
            r_other: other.and_then(|other| pearson(&of(other), &value)).map(|r| -r),
        })
    }
}

/// The fits as a table; `other` names the column of the other action's correlation.
pub fn table(fits: &[TubeFit], potential: &str, other: Option<&str>) -> Columns {
    let column =
        |f: &dyn Fn(&TubeFit) -> f64| fits.iter().map(|fit| Some(f(fit))).collect::<Vec<Option<f64>>>();
    let mut table = Columns::default();
    table
        .texts("potential", vec![potential; fits.len()])
        .texts("estimator", fits.iter().map(|fit| fit.estimator))
        .numbers("width", column(&|fit| fit.width))
        .integers("tubes", fits.iter().map(|fit| Some(fit.tubes as i64)))
        .numbers("slope", column(&|fit| fit.slope))
        .numbers("slope_lower", column(&|fit| fit.slope_lower))
        .numbers("slope_upper", column(&|fit| fit.slope_upper))
        .numbers("intercept", column(&|fit| fit.intercept))
        .numbers("r", column(&|fit| fit.r));
    if let Some(name) = other {
        table.numbers(name, fits.iter().map(|fit| fit.r_other));
    }
    table
}
