//! A line through logarithms of probabilities of which only counts are known.
//!
//! The logarithm of a small count is biased, has no value where nothing was counted, and weighs more where the count came out large by
//! chance. Leaving the small ones out keeps of the rare events those that came out large, and makes the line too flat. So the
//! line is fitted to the counts themselves.

use super::regression::Line;
use onsager_numerics::statistics::{deviation, mean};

/// The line −ln p = slope · x + offset + intercept, where the count at x is one of `trials` with the probability p.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CountLine {
    /// χ² is that of the counts over their variances.
    pub line: Line,
    /// The variance of ln p around the line that the counts show beyond their own.
    pub scatter: f64,
}

/// What is counted.
#[derive(Debug, Clone, Copy)]
pub struct Counted<'a> {
    pub counts: &'a [f64],
    pub trials: f64,
}

impl CountLine {
    /// Fits the line by the quasi-likelihood of the counts: their mean is μ = trials · p and their variance μ (1 − p) + s² μ², with the
    /// binomial's 1 − p, and s² the scatter of ln p around the line. s² is what makes the squared deviations what they should be
    /// (Breslow 1984), and 0 where they are no larger without. The equations Σ (count − μ) μ/variance = 0 = Σ (count − μ) μ x/variance
    /// hold on average whatever the variances are, so small counts and none at all bias nothing.
    ///
    /// Nothing where fewer than three x have a count.
    pub fn fit(x: &[f64], offset: &[f64], counted: Counted) -> Option<CountLine> {
        let n = x.len();
        if offset.len() != n || counted.counts.len() != n {
            return None;
        }
        let met: Vec<f64> =
            x.iter().zip(counted.counts).filter_map(|(x, count)| (*count > 0.0).then_some(*x)).collect();
        let (middle, spread) = (mean(x), deviation(x));
        // Two different x with counts make the slope finite; x that differ by rounding are not different.
        let differ = deviation(&met) > 1e-12 * spread;
        if met.len() < 3 || !differ {
            return None;
        }
        let problem = Problem {
            x: &x.iter().map(|x| (x - middle) / spread).collect::<Vec<_>>(),
            offset,
            missed: &counted
                .counts
                .iter()
                .map(|count| (1.0 - count / counted.trials).max(1.0 / counted.trials))
                .collect::<Vec<_>>(),
            counted,
        };
        let mut scatter = 0.0;
        let mut solution = problem.solve(scatter)?;
        if solution.chi_squared > 1.0 {
            let (mut low, mut high) = (0.0, 1.0);
            while problem.solve(high)?.chi_squared > 1.0 {
                (low, high) = (high, 2.0 * high);
                if high > LARGEST_SCATTER {
                    return None;
                }
            }
            for _ in 0..60 {
                let half = 0.5 * (low + high);
                if problem.solve(half)?.chi_squared > 1.0 { low = half } else { high = half }
            }
            scatter = high;
            solution = problem.solve(scatter)?;
        }
        // From the x of mean 0 and spread 1 to those given.
        let Solution {
            slope, intercept, variances: [slope_variance, covariance, intercept_variance], ..
        } = solution;
        let shift = middle / spread;
        Some(CountLine {
            line: Line {
                slope: slope / spread,
                intercept: intercept - shift * slope,
                slope_error: slope_variance.sqrt() / spread,
                intercept_error: (intercept_variance - 2.0 * shift * covariance
                    + shift * shift * slope_variance)
                    .sqrt(),
                chi_squared: solution.chi_squared,
                points: n,
            },
            scatter,
        })
    }
}

/// A scatter of ln p above this is no line.
const LARGEST_SCATTER: f64 = 1e4;

/// The counts against x of mean 0 and spread 1; `missed` is 1 − p of each.
struct Problem<'a> {
    x: &'a [f64],
    offset: &'a [f64],
    missed: &'a [f64],
    counted: Counted<'a>,
}

struct Solution {
    slope: f64,
    intercept: f64,
    /// Of the slope, of both, of the intercept.
    variances: [f64; 3],
    chi_squared: f64,
}

impl Problem<'_> {
    /// Solves the equations for a given s² by Fisher's scoring, from the line without slope that has the right total.
    fn solve(&self, scatter: f64) -> Option<Solution> {
        let Counted { counts, trials } = self.counted;
        let total: f64 = self.offset.iter().map(|offset| trials * libm::exp(-offset)).sum();
        let (mut slope, mut intercept) = (0.0, libm::log(total / counts.iter().sum::<f64>()));
        for _ in 0..500 {
            // The sums of the equations and of their expected derivatives.
            let (mut score, mut information) = ([0.0; 2], [0.0; 3]);
            let mut squares = 0.0;
            for (i, &x) in self.x.iter().enumerate() {
                let expected = trials * libm::exp(-(intercept + slope * x + self.offset[i]));
                let share = self.missed[i] + scatter * expected;
                let excess = counts[i] - expected;
                score[0] += excess / share;
                score[1] += excess / share * x;
                information[0] += expected / share;
                information[1] += expected / share * x;
                information[2] += expected / share * x * x;
                squares += excess * excess / (expected * share);
            }
            let [all, cross, second] = information;
            let determinant = all * second - cross * cross;
            if !(determinant > 0.0 && determinant.is_finite()) {
                return None;
            }
            // More counts than expected: −ln p falls.
            let step = [
                -(score[0] * second - score[1] * cross) / determinant,
                -(score[1] * all - score[0] * cross) / determinant,
            ];
            let largest = self.x.iter().map(|x| (step[0] + step[1] * x).abs()).fold(0.0, f64::max);
            if largest < 1e-11 {
                let freedom = (self.x.len() - 2) as f64;
                return Some(Solution {
                    slope,
                    intercept,
                    variances: [all / determinant, -cross / determinant, second / determinant],
                    chi_squared: squares / freedom,
                });
            }
            // Far from the solution the steps are too long.
            let part = (1.0 / largest).min(1.0);
            intercept += part * step[0];
            slope += part * step[1];
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use onsager_numerics::random::{Stream, Streams};

    const TUBES: usize = 50;
    const TRIALS: f64 = 250_000.0;

    /// A Poisson number, by the gaps of a process of unit rate.
    fn poisson(stream: &mut Stream, mean: f64) -> f64 {
        let (mut at, mut count) = (0.0, 0.0);
        loop {
            at -= libm::log(1.0 - stream.uniform());
            if at > mean {
                return count;
            }
            count += 1.0;
        }
    }

    /// Paths like those of the small experiments: −ln p from 8 to 14, so 80 counts down to a quarter of one.
    fn x() -> Vec<f64> {
        (0..TUBES)
            .map(|k| 6.0 * ((k as f64 + 0.5) / TUBES as f64) * ((k as f64 + 0.5) / TUBES as f64))
            .collect()
    }

    fn draw(stream: &mut Stream, x: &[f64], scatter: f64) -> Vec<f64> {
        let mut count = |x: &f64| {
            // Of mean 1, so that it moves the intercept by nothing.
            let factor = libm::exp(scatter.sqrt() * stream.normal() - 0.5 * scatter);
            poisson(stream, factor * TRIALS * libm::exp(-8.0 - x))
        };
        x.iter().map(&mut count).collect()
    }

    /// 1,000 draws of 50 counts: the mean slope is the true one within 4.5 of its standard errors, the errors are as large as the
    /// spread of the slopes says within 12 % (a standard deviation of 1,000 has an error of 2.2 %; the rest is the width that t adds for
    /// small counts), and the 95 % intervals hold the truth in at least 93 % (3 standard errors of a share of 1,000 below 95 %).
    #[test]
    fn intervals_cover_the_slope_and_nothing_is_biased() {
        let (x, offset) = (x(), vec![0.0; TUBES]);
        let draws = 1000;
        for scatter in [0.0, 0.05] {
            let mut stream = Streams::new(3, "count lines").stream((100.0 * scatter) as u64);
            let lines: Vec<Line> = (0..draws)
                .filter_map(|_| {
                    let counts = draw(&mut stream, &x, scatter);
                    Some(CountLine::fit(&x, &offset, Counted { counts: &counts, trials: TRIALS })?.line)
                })
                .collect();
            assert_eq!(lines.len(), draws);
            let n = draws as f64;
            let slopes: Vec<f64> = lines.iter().map(|line| line.slope).collect();
            let (mean, spread) = (mean(&slopes), deviation(&slopes));
            assert!((mean - 1.0).abs() < 4.5 * spread / n.sqrt(), "{scatter}: {mean} {spread}");
            let error = lines.iter().map(|line| line.slope_error).sum::<f64>() / n;
            assert!((error / spread - 1.0).abs() < 0.12, "{scatter}: {error} {spread}");
            let held = |line: &&Line| {
                let (lower, upper) = line.slope_interval();
                (lower..=upper).contains(&1.0)
            };
            let covered = lines.iter().filter(held).count();
            assert!(covered as f64 >= 0.93 * n, "{scatter}: {covered} of {draws}");
        }
    }

    /// Counts that are their means lie on the line, in any units and with any offset.
    #[test]
    fn exact_counts_give_the_line() {
        let x: Vec<f64> = x().iter().map(|x| 1e-21 * (5.0 + x)).collect();
        let offset: Vec<f64> = (0..TUBES).map(|k| 0.01 * k as f64).collect();
        let counts: Vec<f64> =
            x.iter().zip(&offset).map(|(x, offset)| TRIALS * libm::exp(-(3.0 + 1e21 * x + offset))).collect();
        let CountLine { line, scatter } =
            CountLine::fit(&x, &offset, Counted { counts: &counts, trials: TRIALS }).unwrap();
        assert!((line.slope / 1e21 - 1.0).abs() < 1e-9 && (line.intercept - 3.0).abs() < 1e-8, "{line:?}");
        assert!(line.chi_squared < 1e-12 && scatter == 0.0, "{line:?}");
        let none = vec![0.0; TUBES];
        assert_eq!(CountLine::fit(&x, &offset, Counted { counts: &none, trials: TRIALS }), None);
    }

    /// 2,000 large counts: the scatter comes out within 4.5 of its relative errors √(2/n).
    #[test]
    fn scatter_beyond_the_counts_is_found() {
        let x: Vec<f64> = (0..2000).map(|k| 3.0 * f64::from(k) / 2000.0).collect();
        let counts = draw(&mut Streams::new(8, "scatter").stream(0), &x, 0.04);
        let counted = Counted { counts: &counts, trials: TRIALS };
        let CountLine { line, scatter } = CountLine::fit(&x, &vec![0.0; 2000], counted).unwrap();
        // A lognormal factor of mean 1 has the variance e^0.04 − 1; the counts of 4 to 84 add their own errors to its.
        let (expected, error) = (libm::expm1(0.04), (0.041 + 0.06) * (2.0f64 / 2000.0).sqrt());
        assert!((scatter - expected).abs() < 4.5 * error, "{scatter}");
        assert!((line.chi_squared - 1.0).abs() < 1e-9);
    }
}
