//! The normal law, Student's t and χ².

use super::special::{incomplete_beta, incomplete_gamma};

/// The standard normal's 97.5 % quantile, for 95 % intervals.
pub const NORMAL_QUANTILE: f64 = 1.959_963_984_540_054;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::close;

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

    /// The published table: Abramowitz and Stegun 26.10.
    #[test]
    fn quantiles_match_the_published_table() {
        for (freedom, value) in [(3, 3.182), (4, 2.776), (5, 2.571), (10, 2.228), (30, 2.042), (120, 1.980)] {
            assert!((student_quantile(0.975, f64::from(freedom)) - value).abs() < 6e-4, "{freedom}");
        }
    }

    /// Two have closed forms: tan(0.475 π) for 1 degree of freedom, and for 2 with q = 0.95 the root of t/√(2 + t²) = q.
    #[test]
    fn student_quantiles() {
        let quantile = |degrees| student_quantile(0.975, degrees);
        assert!((quantile(1.0) - libm::tan(0.475 * std::f64::consts::PI)).abs() < 1e-9);
        assert!((quantile(2.0) - 0.95 * (2.0f64 / (1.0 - 0.95 * 0.95)).sqrt()).abs() < 1e-9);
        assert!((quantile(10.0) - 2.228_138_852).abs() < 1e-8);
        assert!((quantile(1e7) - NORMAL_QUANTILE).abs() < 1e-6);
    }

    /// Closed forms: t with 1 and 2 degrees, χ² with 2 and 4, large degrees against the normal law.
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
    }
}
