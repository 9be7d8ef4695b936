//! Straight lines through points: least squares with confidence intervals.

use onsager_numerics::statistics::student_quantile;

/// A line y = slope · x + intercept, fitted by (weighted) least squares.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    pub slope: f64,
    pub intercept: f64,
    /// Standard errors, scaled by the scatter of the points around the line.
    pub slope_error: f64,
    pub intercept_error: f64,
    /// χ² per degree of freedom: (weighted) squared residuals over n − 2.
    pub chi_squared: f64,
    pub points: usize,
}

impl Line {
    /// Fits points (x, y), with weights 1/variance or with equal ones. Nothing for fewer than three points, values that are
    /// not finite, or x that do not vary.
    pub fn fit(x: &[f64], y: &[f64], weights: Option<&[f64]>) -> Option<Line> {
        if x.len() < 3 {
            return None;
        }
        let (mut line, unit) = Line::through(x, y, weights)?;
        line.slope_error = unit[0] * line.chi_squared.sqrt();
        line.intercept_error = unit[1] * line.chi_squared.sqrt();
        Some(line)
    }

    /// Fits points of known variances 1/`weights`. The errors follow from the variances alone, and are scaled up where the
    /// points scatter more than those say. Nothing for fewer than two points, or x that do not vary.
    pub fn fit_known(x: &[f64], y: &[f64], weights: &[f64]) -> Option<Line> {
        let (mut line, unit) = Line::through(x, y, Some(weights))?;
        let scale = line.chi_squared.max(1.0).sqrt();
        line.slope_error = unit[0] * scale;
        line.intercept_error = unit[1] * scale;
        Some(line)
    }

    /// The line without errors, and what its errors would be for points of variance 1/weight.
    fn through(x: &[f64], y: &[f64], weights: Option<&[f64]>) -> Option<(Line, [f64; 2])> {
        let n = x.len();
        if n < 2 || y.len() != n || weights.is_some_and(|w| w.len() != n) {
            return None;
        }
        let weight = |i: usize| weights.map_or(1.0, |w| w[i]);
        let sum = |f: &dyn Fn(usize) -> f64| -> f64 { (0..n).map(|i| weight(i) * f(i)).sum() };
        let total = sum(&|_| 1.0);
        let (x_mean, y_mean) = (sum(&|i| x[i]) / total, sum(&|i| y[i]) / total);
        let xx = sum(&|i| (x[i] - x_mean) * (x[i] - x_mean));
        let xy = sum(&|i| (x[i] - x_mean) * (y[i] - y_mean));
        let scale = sum(&|i| x[i] * x[i]);
        // Spread that is only rounding is no spread.
        if !(total > 0.0 && xx.is_finite() && xy.is_finite() && xx > 1e-24 * scale) {
            return None;
        }
        let slope = xy / xx;
        let squares = sum(&|i| {
            let residual = y[i] - y_mean - slope * (x[i] - x_mean);
            residual * residual
        });
        let line = Line {
            slope,
            intercept: y_mean - slope * x_mean,
            slope_error: 0.0,
            intercept_error: 0.0,
            chi_squared: if n > 2 { squares / (n - 2) as f64 } else { 0.0 },
            points: n,
        };
        Some((line, [(1.0 / xx).sqrt(), (1.0 / total + x_mean * x_mean / xx).sqrt()]))
    }

    /// The 95 % interval of the slope, by the t distribution of n − 2 degrees of freedom.
    pub fn slope_interval(&self) -> (f64, f64) {
        let reach = student_quantile(0.975, (self.points - 2) as f64) * self.slope_error;
        (self.slope - reach, self.slope + reach)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line by hand: x = 0, 1, 2, 3 and y = 1, 2, 4, 5 give slope 1.4, intercept 0.9, residual squares 0.2.
    #[test]
    fn line_by_hand() {
        let (x, y) = ([0.0, 1.0, 2.0, 3.0], [1.0, 2.0, 4.0, 5.0]);
        let line = Line::fit(&x, &y, None).unwrap();
        assert!((line.slope - 1.4).abs() < 1e-14 && (line.intercept - 0.9).abs() < 1e-14);
        assert!((line.chi_squared - 0.1).abs() < 1e-14);
        assert!((line.slope_error - (0.1f64 / 5.0).sqrt()).abs() < 1e-14);
        // Doubled weights are the same line with the same errors.
        let weighted = Line::fit(&x, &y, Some(&[2.0; 4])).unwrap();
        assert!((weighted.slope_error - line.slope_error).abs() < 1e-14);
        assert_eq!(Line::fit(&[1.0; 4], &y, None), None);
    }
}
