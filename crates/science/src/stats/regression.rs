//! Straight lines through points: least squares with confidence intervals, and the quantiles that they need.

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
        let reach = student_quantile((self.points - 2) as f64) * self.slope_error;
        (self.slope - reach, self.slope + reach)
    }
}

/// Pearson's correlation; nothing where one of the two does not vary.
pub fn pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    let n = x.len().min(y.len()) as f64;
    let (x_mean, y_mean) = (x.iter().sum::<f64>() / n, y.iter().sum::<f64>() / n);
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        xx += (x - x_mean) * (x - x_mean);
        yy += (y - y_mean) * (y - y_mean);
        xy += (x - x_mean) * (y - y_mean);
    }
    let r = xy / (xx * yy).sqrt();
    r.is_finite().then(|| r.clamp(-1.0, 1.0))
}

/// The standard normal's 97.5 % quantile, for 95 % intervals.
pub const NORMAL_QUANTILE: f64 = 1.959_963_984_540_054;

/// The 97.5 % quantile of Student's t with `freedom` degrees of freedom, by bisection of its tail.
pub fn student_quantile(freedom: f64) -> f64 {
    let (mut low, mut high) = (0.0, 1e3);
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if student_tails(middle, freedom) > 0.05 { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// P(|T| > t) = I_x(ν/2, 1/2) with x = ν/(ν + t²).
fn student_tails(t: f64, freedom: f64) -> f64 {
    incomplete_beta(freedom / (freedom + t * t), 0.5 * freedom, 0.5)
}

/// The regularised incomplete beta function I_x(a, b), by its continued fraction (Abramowitz and Stegun 26.5.8), evaluated
/// by Lentz's method.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(1.0 - x, b, a);
    }
    let ln_front =
        libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b) + a * libm::log(x) + b * libm::log1p(-x);
    let tiny = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / tiny(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for m in 1..10_000 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut last = 1.0;
        for term in [even, odd] {
            d = 1.0 / tiny(1.0 + term * d);
            c = tiny(1.0 + term / c);
            last = c * d;
            fraction *= last;
        }
        if (last - 1.0).abs() < 1e-15 {
            break;
        }
    }
    libm::exp(ln_front) * fraction / a
}

/// Wilson's 95 % interval of a proportion `count` of `total` > 0 (Wilson 1927).
pub fn wilson(count: u64, total: u64) -> (f64, f64) {
    let (k, n, z) = (count as f64, total as f64, NORMAL_QUANTILE);
    let p = k / n;
    let centre = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let reach = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    // Exactly zero and one at the ends, where rounding would leave a remainder.
    let lower = if count == 0 { 0.0 } else { centre - reach };
    let upper = if count == total { 1.0 } else { centre + reach };
    (lower.max(0.0), upper.min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tabulated quantiles; two have closed forms: tan(0.475 π) for 1, and for 2 with q = 0.95 the root of
    /// t/√(2 + t²) = q.
    #[test]
    fn student_quantiles() {
        assert!((student_quantile(1.0) - libm::tan(0.475 * std::f64::consts::PI)).abs() < 1e-9);
        assert!((student_quantile(2.0) - 0.95 * (2.0f64 / (1.0 - 0.95 * 0.95)).sqrt()).abs() < 1e-9);
        assert!((student_quantile(10.0) - 2.228_138_852).abs() < 1e-8);
        assert!((student_quantile(1e7) - NORMAL_QUANTILE).abs() < 1e-6);
    }

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
        assert!((pearson(&x, &y).unwrap() - 7.0 / 50f64.sqrt()).abs() < 1e-14);
        assert_eq!(Line::fit(&[1.0; 4], &y, None), None);
        assert_eq!(pearson(&[1.0; 4], &y), None);
    }

    /// Wilson's interval holds the p for which (k/n − p)² = z² p (1 − p)/n, at both ends.
    #[test]
    fn wilson_solves_its_equation() {
        let (low, high) = wilson(7, 50);
        for p in [low, high] {
            let left = (0.14 - p) * (0.14 - p);
            assert!((left - NORMAL_QUANTILE * NORMAL_QUANTILE * p * (1.0 - p) / 50.0).abs() < 1e-14);
        }
        assert_eq!(wilson(0, 9).0, 0.0);
        assert_eq!(wilson(9, 9).1, 1.0);
    }
}
