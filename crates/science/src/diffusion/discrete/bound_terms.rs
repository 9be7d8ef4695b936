//! The two kinds of terms of the variational bound, in nats of one number, with their slopes.

use std::f64::consts::{SQRT_2, TAU};

/// A term and its slopes in the mean and in the logarithm of the variance of the model's normal law.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Term {
    pub value: f64,
    pub by_mean: f64,
    pub by_log_variance: f64,
}

/// KL(N(a, e^p) ‖ N(b, e^q)), where the model is N(b, e^q).
pub fn divergence(a: f64, p: f64, b: f64, q: f64) -> Term {
    let (difference, precision) = (b - a, libm::exp(-q));
    let ratio = libm::exp(p - q) + difference * difference * precision;
    Term {
        value: 0.5 * (q - p + ratio - 1.0),
        by_mean: difference * precision,
        by_log_variance: 0.5 * (1.0 - ratio),
    }
}

/// −ln of the probability that N(b, e^q) gives to the bin of the grey level at `x`: of width 2/(L − 1) around it, the outermost ones open
/// (Ho 2020, eq. 13); or of its density, where there are no `levels` L.
pub fn decoder(x: f64, b: f64, q: f64, levels: Option<u32>) -> Term {
    let Some(levels) = levels else {
        let (difference, precision) = (b - x, libm::exp(-q));
        let squared = difference * difference * precision;
        return Term {
            value: 0.5 * (libm::log(TAU) + q + squared),
            by_mean: difference * precision,
            by_log_variance: 0.5 * (1.0 - squared),
        };
    };
    let (half, deviation) = (1.0 / f64::from(levels.max(2) - 1), libm::exp(0.5 * q));
    let lower = if x < -1.0 + half { f64::NEG_INFINITY } else { (x - half - b) / deviation };
    let upper = if x > 1.0 - half { f64::INFINITY } else { (x + half - b) / deviation };
    // On the side of small probabilities, where differences are exact.
    let log = if lower + upper > 0.0 { log_between(-upper, -lower) } else { log_between(lower, upper) };
    // φ over the probability, as a difference of logarithms: both may be far too small for f64.
    let density = |z: f64| libm::exp(-0.5 * z * z - 0.5 * libm::log(TAU) - log);
    let [below, above] =
        [lower, upper].map(|z| if z.is_finite() { [density(z), z * density(z)] } else { [0.0; 2] });
    Term {
        value: -log,
        by_mean: (above[0] - below[0]) / deviation,
        by_log_variance: 0.5 * (above[1] - below[1]),
    }
}

/// ln(Φ(b) − Φ(a)) for a < b with a + b ≤ 0 or infinite.
fn log_between(a: f64, b: f64) -> f64 {
    let below = |z: f64| 0.5 * libm::erfc(-z / SQRT_2);
    if b > -30.0 {
        return libm::log(below(b) - below(a));
    }
    // Φ(b) = φ(b)/|b| (1 − 1/b² + …), and Φ(a) likewise.
    let log_tail = |z: f64| -0.5 * z * z - 0.5 * libm::log(TAU) - libm::log(-z) + libm::log1p(-1.0 / (z * z));
    let drop = if a.is_finite() { libm::exp(log_tail(a) - log_tail(b)) } else { 0.0 };
    log_tail(b) + libm::log1p(-drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_probability(x: f64, mean: f64, deviation: f64, levels: u32) -> f64 {
        -decoder(x, mean, 2.0 * libm::log(deviation), Some(levels)).value
    }

    /// The probabilities of all levels add up to 1, far from the mean too, and the tails are those of tables: ln Φ(−40) = −804.608442.
    #[test]
    fn levels_share_all_probability() {
        for levels in [2, 17, 256] {
            for mean in [-1.3, -0.2, 0.0, 0.99] {
                for deviation in [1e-3, 0.05, 2.0] {
                    let level = |l: u32| 2.0 * f64::from(l) / f64::from(levels - 1) - 1.0;
                    let all =
                        (0..levels).map(|l| libm::exp(log_probability(level(l), mean, deviation, levels)));
                    let total: f64 = all.sum();
                    assert!((total - 1.0).abs() < 1e-12, "{levels} {mean} {deviation}: {total}");
                }
            }
        }
        // The lowest of two levels has all below 0: 40 deviations from the mean.
        let tail = log_probability(-1.0, 40.0, 1.0, 2);
        assert!((tail + 804.608442).abs() < 1e-5, "{tail}");
        // Both sides of where the asymptotic form begins.
        let [a, b] = [29.999_999, 30.000_001].map(|z| log_probability(-1.0, z, 1.0, 2));
        assert!((a - b).abs() < 1e-4 && a > b, "{a} {b}");
        assert!(log_probability(0.0, 500.0, 1.0, 17).is_finite());
    }

    /// The slopes are those of the value, also where the probability is below the least f64: central differences of step 1e-5,
    /// whose truncation and rounding stay below 1e-5 relative here.
    #[test]
    fn slopes() {
        let check = |f: &dyn Fn(f64, f64) -> Term, b: f64, q: f64| {
            let (term, h) = (f(b, q), 1e-5);
            let by_mean = (f(b + h, q).value - f(b - h, q).value) / (2.0 * h);
            let by_log_variance = (f(b, q + h).value - f(b, q - h).value) / (2.0 * h);
            for (found, expected) in [(term.by_mean, by_mean), (term.by_log_variance, by_log_variance)] {
                assert!((found - expected).abs() < 1e-5 * (1.0 + expected.abs()), "{found} {expected}");
            }
        };
        for (b, q) in [(0.1, -3.0), (-0.9, -5.0), (0.95, -1.0), (0.9, -8.5), (-3.0, -6.0)] {
            check(&|b, q| divergence(0.3, -2.0, b, q), b, q);
            for x in [-1.0, 0.125, 1.0] {
                for levels in [None, Some(17), Some(256)] {
                    check(&|b, q| decoder(x, b, q, levels), b, q);
                }
            }
        }
    }

    /// ∫ p ln(p/q) by a sum over a fine grid (error below 1e-8 for smooth functions).
    #[test]
    fn divergence_of_normal_laws() {
        let ln = |x: f64, m: f64, v: f64| -0.5 * ((x - m).powi(2) / v + libm::log(TAU * v));
        let h = 1e-3;
        let sum: f64 = (-3000..3000)
            .map(|i| {
                let x = f64::from(i) * h;
                let own = ln(x, 0.3, 0.04);
                h * libm::exp(own) * (own - ln(x, -0.1, 0.09))
            })
            .sum();
        let found = divergence(0.3, libm::log(0.04), -0.1, libm::log(0.09)).value;
        assert!((found - sum).abs() < 1e-8);
    }
}
