//! How far a sample is from a law.

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Streams;

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
}
