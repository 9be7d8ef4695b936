//! Incomplete beta and gamma functions: continued fractions and series of Abramowitz and Stegun, chapters 6 and 26, evaluated by
//! Lentz's method.

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
    use crate::statistics::close;

    /// Closed forms: I_x(a, 1) = x^a; and the symmetry of I.
    #[test]
    fn incomplete_beta_has_its_closed_forms() {
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
}
