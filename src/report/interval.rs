//! Confidence intervals of a mean from few samples: Student's t.

/// A mean with the ends of its 95% interval; the ends are absent for fewer than two samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeanInterval {
    pub mean: f64,
    pub lower: Option<f64>,
    pub upper: Option<f64>,
}

/// The mean of independent samples and its 95% interval, mean ± t(0.975, n − 1) s/√n. None when there are no samples.
pub fn mean_interval(samples: &[f64]) -> Option<MeanInterval> {
    let n = samples.len();
    if n == 0 {
        return None;
    }
    let mean = samples.iter().sum::<f64>() / n as f64;
    if n < 2 {
        return Some(MeanInterval { mean, lower: None, upper: None });
    }
    let variance = samples.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (n - 1) as f64;
    let half = t_quantile(0.975, n as u32 - 1) * (variance / n as f64).sqrt();
    Some(MeanInterval { mean, lower: Some(mean - half), upper: Some(mean + half) })
}

/// The quantile of Student's t with `freedom` ≥ 1 degrees of freedom, by bisection of its distribution function.
///
/// `probability` between 0.5 and 1.
pub fn t_quantile(probability: f64, freedom: u32) -> f64 {
    let inside = 2.0 * probability - 1.0;
    let (mut low, mut high) = (0.0, 1.0);
    while t_inside(high, freedom) < inside && high < 1e15 {
        high *= 2.0;
    }
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if t_inside(middle, freedom) < inside { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// P(|t| ≤ x) for integer degrees of freedom (Abramowitz and Stegun 26.7.3 and 26.7.4).
fn t_inside(x: f64, freedom: u32) -> f64 {
    let n = f64::from(freedom);
    let theta = libm::atan(x / n.sqrt());
    let (sin, cos) = (libm::sin(theta), libm::cos(theta));
    let odd = freedom % 2 == 1;
    // The series 1 + (1/2) cos² + (1·3)/(2·4) cos⁴ + …, or cos + (2/3) cos³ + … for odd degrees of freedom.
    let mut term = if odd { cos } else { 1.0 };
    let mut sum = 0.0;
    let mut k = if odd { 1.0 } else { 0.0 };
    while k + 2.0 <= n {
        sum += term;
        k += 2.0;
        term *= cos * cos * (k - 1.0) / k;
    }
    if odd { 2.0 / std::f64::consts::PI * (theta + sin * sum) } else { sin * sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_match_the_published_table() {
        // Abramowitz and Stegun, table 26.10, and the closed forms for one and two degrees of freedom.
        let exact_1 = libm::tan(0.475 * std::f64::consts::PI);
        let exact_2 = 0.95 * (2.0f64 / (1.0 - 0.95 * 0.95)).sqrt();
        assert!((t_quantile(0.975, 1) - exact_1).abs() < 1e-9);
        assert!((t_quantile(0.975, 2) - exact_2).abs() < 1e-9);
        for (freedom, value) in [(3, 3.182), (4, 2.776), (5, 2.571), (10, 2.228), (30, 2.042), (120, 1.980)] {
            assert!((t_quantile(0.975, freedom) - value).abs() < 6e-4, "{freedom}");
        }
    }

    #[test]
    fn the_interval_of_three_seeds() {
        let m = mean_interval(&[1.0, 2.0, 3.0]).unwrap();
        assert_eq!(m.mean, 2.0);
        let half = 4.302_652_729_911_275 / 3f64.sqrt();
        assert!((m.upper.unwrap() - 2.0 - half).abs() < 1e-9 && (2.0 - m.lower.unwrap() - half).abs() < 1e-9);
        assert_eq!(mean_interval(&[5.0]).unwrap().lower, None);
        assert_eq!(mean_interval(&[]), None);
    }
}
