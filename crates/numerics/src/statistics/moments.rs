//! Means, deviations, quantiles and correlations of samples.

/// The arithmetic mean; NaN for no values.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The unbiased sample variance (divisor n − 1); NaN for fewer than two values.
pub fn variance(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return f64::NAN;
    }
    let centre = mean(values);
    values.iter().map(|value| (value - centre) * (value - centre)).sum::<f64>() / (values.len() - 1) as f64
}

/// The sample standard deviation; NaN for fewer than two values.
pub fn deviation(values: &[f64]) -> f64 {
    variance(values).sqrt()
}

/// The standard error of the mean; NaN for fewer than two values.
pub fn standard_error(values: &[f64]) -> f64 {
    (variance(values) / values.len() as f64).sqrt()
}

/// The quantile of values in ascending order, linear between them; NaN for no values.
pub fn quantile(sorted: &[f64], p: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let position = p.clamp(0.0, 1.0) * last as f64;
    let below = position.floor() as usize;
    let weight = position - below as f64;
    sorted[below] + weight * (sorted[(below + 1).min(last)] - sorted[below])
}

/// Pearson's correlation of the pairs (`x[i]`, `y[i]`); nothing where one of them does not vary.
pub fn pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    let (mx, my) = (mean(x), mean(y));
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (a, b) in x.iter().zip(y) {
        xx += (a - mx) * (a - mx);
        yy += (b - my) * (b - my);
        xy += (a - mx) * (b - my);
    }
    let r = xy / (xx * yy).sqrt();
    r.is_finite().then(|| r.clamp(-1.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::close;

    #[test]
    fn correlation_of_a_line_is_one() {
        let x = [1.0, 2.0, 4.0, 8.0];
        close(pearson(&x, &x.map(|v| 3.0 - 2.0 * v)).unwrap(), -1.0, 1e-15);
        close(pearson(&[1.0, 2.0, 3.0], &[1.0, 3.0, 2.0]).unwrap(), 0.5, 1e-15);
        close(pearson(&[0.0, 1.0, 2.0, 3.0], &[1.0, 2.0, 4.0, 5.0]).unwrap(), 7.0 / 50f64.sqrt(), 1e-14);
        assert_eq!(pearson(&[1.0; 4], &x), None);
    }
}
