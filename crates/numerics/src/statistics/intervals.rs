//! Confidence intervals.

use super::distributions::{NORMAL_QUANTILE, student_quantile};
use super::moments::{mean, quantile, standard_error};
use crate::random::Streams;

/// An interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    pub lower: f64,
    pub upper: f64,
}

/// Student's t interval of the mean with this confidence (0.95); `None` for fewer than two values.
pub fn mean_interval(values: &[f64], confidence: f64) -> Option<Interval> {
    if values.len() < 2 {
        return None;
    }
    let reach = student_quantile(0.5 + 0.5 * confidence, (values.len() - 1) as f64) * standard_error(values);
    let centre = mean(values);
    Some(Interval { lower: centre - reach, upper: centre + reach })
}

/// The percentile bootstrap interval of a statistic of `values` (Efron 1979), with `replicates` resamples.
pub fn bootstrap_interval(
    values: &[f64],
    statistic: impl Fn(&[f64]) -> f64,
    replicates: usize,
    confidence: f64,
    streams: Streams,
) -> Option<Interval> {
    if values.is_empty() || replicates == 0 {
        return None;
    }
    let mut found: Vec<f64> = (0..replicates)
        .map(|replicate| {
            let mut stream = streams.stream(replicate as u64);
            let drawn: Vec<f64> =
                values.iter().map(|_| values[stream.below(values.len() as u64) as usize]).collect();
            statistic(&drawn)
        })
        .collect();
    found.sort_by(f64::total_cmp);
    let tail = 0.5 * (1.0 - confidence);
    Some(Interval { lower: quantile(&found, tail), upper: quantile(&found, 1.0 - tail) })
}

/// Wilson's 95 % interval of a proportion `count` of `total` > 0 (Wilson 1927).
pub fn wilson(count: u64, total: u64) -> Interval {
    let (k, n, z) = (count as f64, total as f64, NORMAL_QUANTILE);
    let p = k / n;
    let centre = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let reach = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    // Exactly zero and one at the ends, where rounding would leave a remainder.
    let lower = if count == 0 { 0.0 } else { centre - reach };
    let upper = if count == total { 1.0 } else { centre + reach };
    Interval { lower: lower.max(0.0), upper: upper.min(1.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The 95 % interval of the mean of 5 normals holds the truth in 95 % of 4,000 trials, within 4.5 binomial deviations.
    #[test]
    fn the_mean_interval_covers() {
        let streams = Streams::new(5, "coverage");
        let trials = 4000;
        let covered = (0..trials)
            .filter(|&trial| {
                let mut stream = streams.stream(trial);
                let values: Vec<f64> = (0..5).map(|_| 1.0 + stream.normal()).collect();
                mean_interval(&values, 0.95).is_some_and(|i| i.lower <= 1.0 && 1.0 <= i.upper)
            })
            .count();
        let tolerance = 4.5 * (0.95 * 0.05 / trials as f64).sqrt();
        assert!((covered as f64 / trials as f64 - 0.95).abs() < tolerance, "{covered}");
        assert_eq!(mean_interval(&[1.0], 0.95), None);
    }

    /// Of three seeds, by the closed form for two degrees of freedom.
    #[test]
    fn the_mean_interval_of_three() {
        let interval = mean_interval(&[1.0, 2.0, 3.0], 0.95).unwrap();
        let half = 4.302_652_729_911_275 / 3f64.sqrt();
        assert!((interval.upper - 2.0 - half).abs() < 1e-9 && (2.0 - interval.lower - half).abs() < 1e-9);
    }

    /// The bootstrap deviation of a mean is σ/√n: the 95 % interval's width is 3.92 σ/√n within 10 % at 4,000 replicates.
    #[test]
    fn the_bootstrap_has_the_width_of_the_mean() {
        let mut stream = Streams::new(2, "values").stream(0);
        let values: Vec<f64> = (0..200).map(|_| stream.normal()).collect();
        let found = bootstrap_interval(&values, mean, 4000, 0.95, Streams::new(2, "bootstrap"));
        let width = found.map_or(0.0, |interval| interval.upper - interval.lower);
        assert!((width / (3.92 * standard_error(&values)) - 1.0).abs() < 0.1, "{width}");
    }

    /// Wilson's interval holds the p for which (k/n − p)² = z² p (1 − p)/n, at both ends.
    #[test]
    fn wilson_solves_its_equation() {
        let Interval { lower, upper } = wilson(7, 50);
        for p in [lower, upper] {
            let left = (0.14 - p) * (0.14 - p);
            assert!((left - NORMAL_QUANTILE * NORMAL_QUANTILE * p * (1.0 - p) / 50.0).abs() < 1e-14);
        }
        assert_eq!(wilson(0, 9).lower, 0.0);
        assert_eq!(wilson(9, 9).upper, 1.0);
    }
}
