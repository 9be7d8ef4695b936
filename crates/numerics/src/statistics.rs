//! Means, intervals and the distributions behind them, in `f64` with `libm`, so that the bits are the same on every system.
//!
//! Incomplete beta and gamma functions: continued fractions and series of Abramowitz and Stegun, chapters 6 and 26,
//! evaluated by Lentz's method.

use crate::random::Streams;

/// An interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    pub lower: f64,
    pub upper: f64,
}

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

/// The quantile of values in ascending order, linear between them; NaN for no values.
pub fn quantile(sorted: &[f64], p: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let position = p.clamp(0.0, 1.0) * last as f64;
    let below = position.floor() as usize;
    let weight = position - below as f64;
    sorted[below] + weight * (sorted[(below + 1).min(last)] - sorted[below])
}

/// Pearson's correlation of the pairs (`x[i]`, `y[i]`); NaN where one of them does not vary.
pub fn pearson(x: &[f64], y: &[f64]) -> f64 {
    let (mx, my) = (mean(x), mean(y));
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for (a, b) in x.iter().zip(y) {
        xx += (a - mx) * (a - mx);
        yy += (b - my) * (b - my);
        xy += (a - mx) * (b - my);
    }
    xy / (xx * yy).sqrt()
}

/// The two-sided p-value of Welch's test that two means agree, from their standard errors and degrees of freedom (infinite
/// for an error that is known). Welch 1947; the combined degrees of freedom are Satterthwaite's.
pub fn welch_p_value(difference: f64, errors: [f64; 2], degrees: [f64; 2]) -> f64 {
    let squares = errors.map(|error| error * error);
    let total = squares[0] + squares[1];
    if total == 0.0 {
        return if difference == 0.0 { 1.0 } else { 0.0 };
    }
    let share = |i: usize| squares[i] * squares[i] / degrees[i];
    let combined = total * total / (share(0) + share(1));
    2.0 * student_cdf(-difference.abs() / total.sqrt(), combined)
}

/// The distribution function of the standard normal law.
pub fn normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
}

/// The quantile of the standard normal law, 0 < p < 1.
pub fn normal_quantile(p: f64) -> f64 {
    symmetric_quantile(p, |x| normal_cdf(-x))
}

/// The distribution function of Student's t with `degrees` degrees of freedom, which may be infinite.
pub fn student_cdf(t: f64, degrees: f64) -> f64 {
    if degrees.is_infinite() {
        return normal_cdf(t);
    }
    let tail = 0.5 * incomplete_beta(0.5 * degrees, 0.5, degrees / (degrees + t * t));
    if t > 0.0 { 1.0 - tail } else { tail }
}

/// The quantile of Student's t, 0 < p < 1.
pub fn student_quantile(p: f64, degrees: f64) -> f64 {
    symmetric_quantile(p, |t| student_cdf(-t, degrees))
}

/// The distribution function of χ² with `degrees` degrees of freedom.
pub fn chi_square_cdf(x: f64, degrees: f64) -> f64 {
    incomplete_gamma(0.5 * degrees, 0.5 * x)
}

/// The quantile of χ² with `degrees` degrees of freedom, 0 < p < 1.
pub fn chi_square_quantile(p: f64, degrees: f64) -> f64 {
    falling_root(|x| (1.0 - chi_square_cdf(x, degrees)) - (1.0 - p))
}

/// The Kolmogorov–Smirnov distance between a sample and a distribution function, and its asymptotic p-value with
/// Stephens' correction for small samples (Stephens 1970); NaN for no values.
pub fn kolmogorov_smirnov(values: &[f64], cdf: impl Fn(f64) -> f64) -> (f64, f64) {
    if values.is_empty() {
        return (f64::NAN, f64::NAN);
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len() as f64;
    let distance = sorted.iter().enumerate().fold(0.0f64, |distance, (i, &value)| {
        let p = cdf(value);
        distance.max(p - i as f64 / n).max((i + 1) as f64 / n - p)
    });
    let lambda = (n.sqrt() + 0.12 + 0.11 / n.sqrt()) * distance;
    (distance, kolmogorov_tail(lambda))
}

/// P(K > λ) of the Kolmogorov distribution: 2 Σ (−1)^{j−1} exp(−2 j² λ²).
fn kolmogorov_tail(lambda: f64) -> f64 {
    if lambda < 0.2 {
        return 1.0; // 1 − 5e-13 or more, where the series converges slowly
    }
    let mut sum = 0.0;
    for j in 1..=100 {
        let term = libm::exp(-2.0 * f64::from(j * j) * lambda * lambda);
        sum += if j % 2 == 1 { term } else { -term };
        if term < 1e-17 {
            break;
        }
    }
    (2.0 * sum).clamp(0.0, 1.0)
}

/// The quantile of a law symmetric about 0 from its upper tail P(X > x).
fn symmetric_quantile(p: f64, tail: impl Fn(f64) -> f64) -> f64 {
    if p == 0.5 {
        0.0
    } else if p < 0.5 {
        -falling_root(|x| tail(x) - p)
    } else {
        falling_root(|x| tail(x) - (1.0 - p))
    }
}

/// The positive root of a falling function, by doubling and bisection to the last bit; infinite where there is none.
fn falling_root(f: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    while f(high) > 0.0 {
        low = high;
        high *= 2.0;
        if high > 1e300 {
            return f64::INFINITY;
        }
    }
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if f(middle) > 0.0 { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// The regularised incomplete beta function I_x(a, b).
pub fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    // The fraction converges fast below the mean of the law; above it, use the symmetry.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(b, a, 1.0 - x);
    }
    let front = libm::exp(a * libm::log(x) + b * libm::log1p(-x) - log_beta(a, b));
    // I_x = front / a · 1/(1 + d_1/(1 + d_2/(1 + …))), A&S 26.5.8.
    let fraction = continued_fraction(1.0, |n| {
        let m = (n / 2) as f64;
        let numerator = if n % 2 == 0 {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        };
        (numerator, 1.0)
    });
    front / a / fraction
}

/// ln B(a, b). For a large argument the difference of two logarithms of Γ is taken by Stirling's series, term by term, since
/// each is far larger than their difference.
fn log_beta(a: f64, b: f64) -> f64 {
    let (small, large) = (a.min(b), a.max(b));
    let sum = small + large;
    if large < 100.0 {
        return libm::lgamma(small) + libm::lgamma(large) - libm::lgamma(sum);
    }
    let correction = |x: f64| (1.0 / 12.0 - (1.0 / 360.0 - 1.0 / (1260.0 * x * x)) / (x * x)) / x;
    let rise = (large - 0.5) * libm::log1p(small / large) + small * libm::log(sum) - small;
    libm::lgamma(small) - rise - correction(sum) + correction(large)
}

/// The regularised lower incomplete gamma function P(a, x).
pub fn incomplete_gamma(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    let front = libm::exp(a * libm::log(x) - x - libm::lgamma(a));
    if x < a + 1.0 {
        let (mut term, mut sum) = (1.0 / a, 1.0 / a);
        for n in 1..100_000 {
            term *= x / (a + f64::from(n));
            sum += term;
            if term < sum * 1e-17 {
                break;
            }
        }
        return front * sum;
    }
    // 1 − P = front / (x + 1 − a − 1·(1−a)/(x + 3 − a − …)), A&S 6.5.31 contracted.
    let fraction = continued_fraction(x + 1.0 - a, |n| {
        let n = n as f64;
        (-n * (n - a), x + 2.0 * n + 1.0 - a)
    });
    1.0 - front / fraction
}

/// b_0 + a_1/(b_1 + a_2/(b_2 + …)) by the modified Lentz method; `term(n)` is (a_n, b_n).
fn continued_fraction(first: f64, term: impl Fn(u32) -> (f64, f64)) -> f64 {
    let nonzero = |value: f64| if value == 0.0 { 1e-300 } else { value };
    let mut value = nonzero(first);
    let (mut c, mut d) = (value, 0.0);
    for n in 1..100_000 {
        let (a, b) = term(n);
        d = 1.0 / nonzero(b + a * d);
        c = nonzero(b + a / c);
        value *= c * d;
        if (c * d - 1.0).abs() < 1e-16 {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, wanted: f64, tolerance: f64) {
        assert!((found - wanted).abs() <= tolerance * wanted.abs().max(1.0), "{found} instead of {wanted}");
    }

    /// Published tables of t, normal and χ².
    #[test]
    fn quantiles_of_the_tables() {
        for (degrees, wanted) in
            [(1.0, 12.706204736), (2.0, 4.302652730), (10.0, 2.228138852), (30.0, 2.042272456)]
        {
            close(student_quantile(0.975, degrees), wanted, 1e-9);
            close(student_quantile(0.025, degrees), -wanted, 1e-9);
        }
        close(student_quantile(0.975, f64::INFINITY), 1.959963984540054, 1e-13);
        close(normal_quantile(0.975), 1.959963984540054, 1e-13);
        close(normal_quantile(1e-10), -6.361340902404056, 1e-12);
        close(chi_square_cdf(3.841458820694124, 1.0), 0.95, 1e-13);
        close(chi_square_quantile(0.95, 10.0), 18.30703805327515, 1e-12);
    }

    /// Closed forms: t with 1 and 2 degrees, χ² with 2 and 4, I_x(a, 1) = x^a, large degrees against the normal law.
    #[test]
    fn distributions_have_their_closed_forms() {
        for t in [-30.0, -2.0, -0.3, 0.0, 0.1, 1.0, 7.0] {
            close(student_cdf(t, 1.0), 0.5 + t.atan() / std::f64::consts::PI, 1e-14);
            close(student_cdf(t, 2.0), 0.5 + 0.5 * t / (2.0 + t * t).sqrt(), 1e-14);
            close(student_cdf(t, 1e9), normal_cdf(t), 1e-8);
        }
        for x in [0.01f64, 0.5, 2.0, 9.0, 40.0] {
            close(chi_square_cdf(x, 2.0), 1.0 - (-x / 2.0).exp(), 1e-14);
            close(chi_square_cdf(x, 4.0), 1.0 - (-x / 2.0).exp() * (1.0 + x / 2.0), 1e-14);
        }
        for x in [0.05f64, 0.4, 0.93] {
            close(incomplete_beta(3.5, 1.0, x), x.powf(3.5), 1e-14);
            close(
                log_beta(x, 99.99) - log_beta(x, 100.01),
                x * (100.0f64 / 99.99 * 100.01 / 100.0).ln(),
                1e-6,
            );
            close(incomplete_beta(40.0, 7.0, x), 1.0 - incomplete_beta(7.0, 40.0, 1.0 - x), 1e-13);
        }
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

    /// With equal sizes and equal variances Welch's test is the two-sample t-test; for {1,2,3} and {3,4,5} t = −√6 with 4
    /// degrees of freedom, whose tails have a closed form.
    #[test]
    fn welch_agrees_with_the_two_sample_test() {
        let (a, b) = ([1.0, 2.0, 3.0], [3.0, 4.0, 5.0]);
        let p = welch_p_value(-2.0, [standard_error(&a), standard_error(&b)], [2.0, 2.0]);
        let u: f64 = 6.0 / (4.0 + 6.0);
        // P(|T| > t) with 4 degrees: 1 − sin θ (1 + cos²θ/2), sin²θ = t²/(4 + t²).
        close(p, 1.0 - u.sqrt() * (1.0 + 0.5 * (1.0 - u)), 1e-13);
        assert_eq!(welch_p_value(0.0, [0.0, 0.0], [2.0, 2.0]), 1.0);
    }

    /// The p-values of uniform samples are uniform: their own KS distance has no small p-value, and a shift is seen.
    #[test]
    fn kolmogorov_smirnov_accepts_the_truth_and_refuses_a_shift() {
        let streams = Streams::new(9, "ks");
        let draw = |index| {
            let mut stream = streams.stream(index);
            (0..100).map(|_| stream.uniform()).collect::<Vec<f64>>()
        };
        let p: Vec<f64> = (0..300).map(|i| kolmogorov_smirnov(&draw(i), |x| x.clamp(0.0, 1.0)).1).collect();
        assert!(kolmogorov_smirnov(&p, |x| x).1 > 1e-4);
        assert!(kolmogorov_smirnov(&draw(0), |x| (x * x).clamp(0.0, 1.0)).1 < 1e-3);
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

    #[test]
    fn correlation_of_a_line_is_one() {
        let x = [1.0, 2.0, 4.0, 8.0];
        close(pearson(&x, &x.map(|v| 3.0 - 2.0 * v)), -1.0, 1e-15);
        close(pearson(&[1.0, 2.0, 3.0], &[1.0, 3.0, 2.0]), 0.5, 1e-15);
    }

    /// The published table: Abramowitz and Stegun 26.10; three seeds by the closed form for two degrees of freedom.
    #[test]
    fn quantiles_match_the_published_table() {
        for (freedom, value) in [(3, 3.182), (4, 2.776), (5, 2.571), (10, 2.228), (30, 2.042), (120, 1.980)] {
            assert!((student_quantile(0.975, f64::from(freedom)) - value).abs() < 6e-4, "{freedom}");
        }
        let interval = mean_interval(&[1.0, 2.0, 3.0], 0.95).unwrap();
        let half = 4.302_652_729_911_275 / 3f64.sqrt();
        assert!((interval.upper - 2.0 - half).abs() < 1e-9 && (2.0 - interval.lower - half).abs() < 1e-9);
    }
}
