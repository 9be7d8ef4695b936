//! Estimates with their standard errors: intervals, differences, equivalence within a margin, and many tests at once.

use super::distributions::{student_cdf, student_quantile};
use super::intervals::Interval;
use super::moments::{mean, standard_error};

/// An estimate whose error is nearly normal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimated {
    pub value: f64,
    /// The standard error.
    pub error: f64,
    /// The degrees of freedom of the standard error; infinite for one that is known.
    pub degrees: f64,
}

impl Estimated {
    /// The mean of independent values; `None` for fewer than two.
    pub fn mean(values: &[f64]) -> Option<Estimated> {
        (values.len() > 1).then(|| Estimated {
            value: mean(values),
            error: standard_error(values),
            degrees: (values.len() - 1) as f64,
        })
    }

    /// The error of `value` from its values with one of the blocks left out each, the jackknife's: the blocks are of equal size
    /// (Quenouille 1956; Tukey 1958). `None` for fewer than two.
    pub fn jackknife(value: f64, without: &[f64]) -> Option<Estimated> {
        let blocks = without.len() as f64;
        // Their standard error is that of a mean of n; the jackknife's is n − 1 times as large.
        let spread = Estimated::mean(without)?;
        Some(Estimated { value, error: (blocks - 1.0) * spread.error, degrees: blocks - 1.0 })
    }

    /// The same value with a further, independent error. The degrees of freedom are Satterthwaite's (1946).
    pub fn widened(self, error: f64, degrees: f64) -> Estimated {
        let squares = [self.error * self.error, error * error];
        let total = squares[0] + squares[1];
        let parts = squares[0] * squares[0] / self.degrees + squares[1] * squares[1] / degrees;
        let degrees = if parts == 0.0 { self.degrees.min(degrees) } else { total * total / parts };
        Estimated { value: self.value, error: total.sqrt(), degrees }
    }

    /// The difference from an independent estimate (Welch 1947).
    pub fn minus(self, other: Estimated) -> Estimated {
        Estimated { value: self.value - other.value, ..self.widened(other.error, other.degrees) }
    }

    /// The interval with this confidence (0.95), by Student's t.
    pub fn interval(&self, confidence: f64) -> Interval {
        let reach = student_quantile(0.5 + 0.5 * confidence, self.degrees) * self.error;
        Interval { lower: self.value - reach, upper: self.value + reach }
    }

    /// The two-sided p-value of the true value being 0.
    pub fn p_value(&self) -> f64 {
        match (self.error == 0.0, self.value == 0.0) {
            (true, true) => 1.0,
            (true, false) => 0.0,
            _ => 2.0 * student_cdf(-self.value.abs() / self.error, self.degrees),
        }
    }

    /// The p-value of the true value being `margin` > 0 or more away from 0: the larger of two one-sided tests (Schuirmann
    /// 1987). Where it is below 0.05, so is the doubt in their equivalence.
    pub fn equivalence_p_value(&self, margin: f64) -> f64 {
        let inside = margin - self.value.abs();
        match self.error == 0.0 {
            true if inside > 0.0 => 0.0,
            true => 1.0,
            false => student_cdf(-inside / self.error, self.degrees),
        }
    }

    /// The smallest true value that a two-sided test at `level` (0.05) finds with this `power` (0.8), as nearly as a shifted t
    /// tells.
    pub fn detectable(&self, level: f64, power: f64) -> f64 {
        let quantile = |p| student_quantile(p, self.degrees);
        (quantile(1.0 - 0.5 * level) + quantile(power)) * self.error
    }
}

/// Student's t interval of the mean with this confidence (0.95); `None` for fewer than two values.
pub fn mean_interval(values: &[f64], confidence: f64) -> Option<Interval> {
    Some(Estimated::mean(values)?.interval(confidence))
}

/// The p-values of one family, each corrected so that the chance of any false rejection is at most the level (Holm 1979).
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut corrected = vec![1.0; p_values.len()];
    let mut largest = 0.0f64;
    for (rank, &i) in order.iter().enumerate() {
        largest = largest.max((p_values.len() - rank) as f64 * p_values[i]).min(1.0);
        corrected[i] = largest;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Streams;
    use crate::statistics::close;

    fn of(values: &[f64]) -> Estimated {
        Estimated::mean(values).unwrap()
    }

    /// With equal sizes and equal variances Welch's test is the two-sample t-test; for {1,2,3} and {3,4,5} t = −√6 with 4
    /// degrees of freedom, whose tails have a closed form.
    #[test]
    fn welch_agrees_with_the_two_sample_test() {
        let difference = of(&[1.0, 2.0, 3.0]).minus(of(&[3.0, 4.0, 5.0]));
        let u: f64 = 6.0 / (4.0 + 6.0);
        // P(|T| > t) with 4 degrees: 1 − sin θ (1 + cos²θ/2), sin²θ = t²/(4 + t²).
        close(difference.p_value(), 1.0 - u.sqrt() * (1.0 + 0.5 * (1.0 - u)), 1e-13);
        close(difference.degrees, 4.0, 1e-13);
        let none = Estimated { value: 0.0, error: 0.0, degrees: 2.0 };
        assert_eq!(none.minus(none).p_value(), 1.0);
    }

    /// The jackknife of a mean is the mean's own error: of 1, 2, 3, 6 the means without one are 11/3, 10/3, 3, 2.
    #[test]
    fn the_jackknife_of_a_mean() {
        let found = Estimated::jackknife(3.0, &[11.0 / 3.0, 10.0 / 3.0, 3.0, 2.0]).unwrap();
        close(found.error, of(&[1.0, 2.0, 3.0, 6.0]).error, 1e-14);
        assert_eq!(found.degrees, 3.0);
    }

    /// A known error of the same size makes two degrees of freedom eight: (1 + 1)²/(1/2) = 8.
    #[test]
    fn widened_by_a_known_error() {
        let found = Estimated { value: 1.0, error: 3.0, degrees: 2.0 }.widened(3.0, f64::INFINITY);
        close(found.error, 18f64.sqrt(), 1e-14);
        close(found.degrees, 8.0, 1e-14);
    }

    /// TOST at level 0.05 says the same as the 90 % interval lying inside the margins.
    #[test]
    fn equivalence_is_an_interval_inside_the_margins() {
        let found = Estimated { value: 0.3, error: 0.1, degrees: 7.0 };
        let edge = found.interval(0.9).upper;
        close(found.equivalence_p_value(edge), 0.05, 1e-10);
        assert!(
            found.equivalence_p_value(edge + 0.01) < 0.05 && found.equivalence_p_value(edge - 0.01) > 0.05
        );
        assert!(found.equivalence_p_value(0.2) > 0.5);
    }

    /// By hand: 0.01 · 4, 0.03 · 3, then 0.04 · 2 raised to it, 0.5.
    #[test]
    fn holm_by_hand() {
        for (found, wanted) in holm(&[0.04, 0.01, 0.5, 0.03]).into_iter().zip([0.09, 0.04, 0.5, 0.09]) {
            close(found, wanted, 1e-15);
        }
        assert_eq!(holm(&[0.6, 0.7]), [1.0, 1.0]);
    }

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

    /// The power at the detectable difference, simulated: 4,000 paired tests of ten seeds whose true difference is the
    /// detectable one of the true deviation, 0.8 within 4.5 binomial deviations (0.028) and the 0.02 of the approximation.
    #[test]
    fn the_detectable_difference_is_detected() {
        let known = Estimated { value: 0.0, error: 1.0 / 10f64.sqrt(), degrees: 9.0 };
        let shift = known.detectable(0.05, 0.8);
        let streams = Streams::new(4, "power");
        let found = (0..4000).filter(|&trial| {
            let mut stream = streams.stream(trial);
            of(&(0..10).map(|_| shift + stream.normal()).collect::<Vec<f64>>()).p_value() < 0.05
        });
        let power = found.count() as f64 / 4000.0;
        assert!((power - 0.8).abs() < 0.048, "{power}");
    }
}
