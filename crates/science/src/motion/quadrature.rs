//! Tube probabilities by the exact transfer operator: the density of the offset (x − f)/σ is carried from tube to tube on
//! Gauss–Legendre nodes, `p_i(w') = ∫ p_{i−1}(w) φ(w' − w) dw` over the tube's width.

use super::tubes::Tube;

/// Gauss–Legendre nodes and weights on [−1, 1].
#[derive(Debug, Clone, PartialEq)]
pub struct GaussLegendre {
    pub nodes: Vec<f64>,
    pub weights: Vec<f64>,
}

impl GaussLegendre {
    /// The rule of `n` ≥ 1 nodes, exact for polynomials of degree 2n − 1: the roots of the Legendre polynomial P_n by
    /// Newton's method, weights 2 / ((1 − x²) P_n'(x)²).
    pub fn new(n: usize) -> GaussLegendre {
        let mut rule = GaussLegendre { nodes: vec![0.0; n], weights: vec![0.0; n] };
        for i in 0..n {
            let mut x = libm::cos(std::f64::consts::PI * (i as f64 + 0.75) / (n as f64 + 0.5));
            let mut derivative = 1.0;
            for _ in 0..100 {
                let (mut before, mut value) = (1.0, x);
                for k in 2..=n {
                    let k = k as f64;
                    (before, value) = (value, ((2.0 * k - 1.0) * x * value - (k - 1.0) * before) / k);
                }
                derivative = n as f64 * (x * value - before) / (x * x - 1.0);
                let step = value / derivative;
                x -= step;
                if step.abs() < 1e-16 {
                    break;
                }
            }
            // Ascending order; the middle root of an odd rule is zero.
            rule.nodes[n - 1 - i] = if 2 * i + 1 == n { 0.0 } else { x };
            rule.weights[n - 1 - i] = 2.0 / ((1.0 - x * x) * derivative * derivative);
        }
        rule
    }
}

/// The exact probabilities of tubes of one width.
#[derive(Debug, Clone)]
pub struct Quadrature {
    half: f64,
    rule: GaussLegendre,
}

impl Quadrature {
    /// For tubes of the width δ = `width` σ > 0. Twelve nodes reach 1e-10 for narrow tubes; wider ones get more.
    pub fn new(width: f64) -> Quadrature {
        Quadrature { half: 0.5 * width, rule: GaussLegendre::new(16 + 4 * width.ceil() as usize) }
    }

    /// −ln P of the tube, `P = P(|x_i − z_i| ≤ δ/2 for all i = 1..N) / P(|x_N − b| ≤ δ/2)`.
    pub fn neg_ln_p(&self, tube: &Tube) -> f64 {
        let last = tube.offsets.len() - 1;
        self.neg_ln_joint(tube) + libm::log(arrival_probability(2.0 * self.half, last))
    }

    /// −ln of the joint probability of all N steps.
    fn neg_ln_joint(&self, tube: &Tube) -> f64 {
        let ln_norm = 0.5 * libm::log(std::f64::consts::TAU);
        let nodes = &self.rule.nodes;
        // The mass at each node, scaled to a sum of one after every step, so that nothing underflows.
        let mut mass = vec![1.0; 1];
        let mut from = vec![tube.offsets[0]];
        let mut neg_ln = 0.0;
        for &centre in &tube.offsets[1..] {
            let to: Vec<f64> = nodes.iter().map(|x| centre + self.half * x).collect();
            // Exponents are counted from the smallest one of this step.
            let nearest = from
                .iter()
                .flat_map(|a| to.iter().map(move |b| 0.5 * (b - a) * (b - a)))
                .fold(f64::INFINITY, f64::min);
            let mut next: Vec<f64> = to
                .iter()
                .zip(&self.rule.weights)
                .map(|(b, weight)| {
                    let density: f64 = from
                        .iter()
                        .zip(&mass)
                        .map(|(a, m)| m * libm::exp(nearest - 0.5 * (b - a) * (b - a)))
                        .sum();
                    self.half * weight * density
                })
                .collect();
            let total: f64 = next.iter().sum();
            next.iter_mut().for_each(|m| *m /= total);
            neg_ln += nearest + ln_norm - libm::log(total);
            (from, mass) = (to, next);
        }
        neg_ln
    }
}

/// The probability that the last of `steps` steps ends within half the `width` (in units of σ) of its centre b = f_N.
pub fn arrival_probability(width: f64, steps: usize) -> f64 {
    libm::erf(0.5 * width / (2.0 * steps as f64).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::motion::action::Motion;
    use crate::motion::systems::System;
    use crate::motion::tubes::AMPLITUDE;
    use crate::stats::regression::Line;
    use onsager_numerics::random::Streams;

    /// ∫ x^k over [−1, 1] for every degree that the rule promises, and an exponential.
    #[test]
    fn gauss_legendre_is_exact() {
        for n in [1, 2, 5, 12, 24, 48] {
            let rule = GaussLegendre::new(n);
            for k in 0..2 * n as i32 {
                let sum: f64 = rule.nodes.iter().zip(&rule.weights).map(|(x, w)| w * x.powi(k)).sum();
                let exact = if k % 2 == 0 { 2.0 / f64::from(k + 1) } else { 0.0 };
                assert!((sum - exact).abs() < 1e-13, "{n} nodes, degree {k}: {sum}");
            }
        }
    }

    /// One step: a difference of error functions. Two steps: the same integral by Simpson's rule on 20,000 intervals, whose
    /// error is of the order h⁴ = 1e-16.
    #[test]
    fn one_and_two_steps() {
        let normal = |x: f64| 0.5 * libm::erfc(-x / std::f64::consts::SQRT_2);
        let width = 2.0;
        let quadrature = Quadrature::new(width);
        let joint =
            |offsets: &[f64]| libm::exp(-quadrature.neg_ln_joint(&Tube { offsets: offsets.to_vec() }));
        assert!((joint(&[0.0, 0.7]) - (normal(1.7) - normal(-0.3))).abs() < 1e-13);
        let (n, first, second) = (20_000, 0.7, 0.2);
        let h = width / f64::from(n);
        let simpson: f64 = (0..=n)
            .map(|i| {
                let w = first - 0.5 * width + h * f64::from(i);
                let weight = if i == 0 || i == n { 1.0 } else { f64::from(2 + 2 * (i % 2)) };
                let density = libm::exp(-0.5 * w * w) / std::f64::consts::TAU.sqrt();
                weight * density * (normal(second + 1.0 - w) - normal(second - 1.0 - w))
            })
            .sum::<f64>()
            * h
            / 3.0;
        assert!((joint(&[0.0, first, second]) - simpson).abs() < 1e-13);
    }

    /// Twice as many nodes change nothing; a tube 50 σ away does not underflow.
    #[test]
    fn enough_nodes() {
        let streams = Streams::new(2, "tubes");
        for width in [0.1, 0.25, 1.0, 4.0, 8.0] {
            let quadrature = Quadrature::new(width);
            let finer =
                Quadrature { rule: GaussLegendre::new(2 * quadrature.rule.nodes.len()), ..quadrature };
            let quadrature = Quadrature::new(width);
            for index in 0..5 {
                let tube = Tube::sample(&streams, index, 10, AMPLITUDE);
                let (coarse, fine) = (quadrature.neg_ln_p(&tube), finer.neg_ln_p(&tube));
                assert!((coarse - fine).abs() < 1e-10, "{width}: {coarse} {fine}");
            }
        }
        let far = Tube { offsets: vec![0.0, 50.0, 0.0] };
        assert!((Quadrature::new(0.01).neg_ln_p(&far) - 2500.0).abs() < 20.0);
    }

    /// The published bias of wide tubes: γ · 2mD fitted over 200 tubes of the free particle. The mean of 8 draws must lie
    /// within three of the standard deviations that a single draw has (a tolerance of 8 of its own standard errors, or 6
    /// counting the table's).
    #[test]
    fn width_bias_of_the_free_particle() {
        let (steps, draws) = (10, 8);
        let motion = Motion { system: System::Free, mass: 1.0, dt: 1.0 };
        let table = [
            (0.25, 0.996, 0.0004),
            (0.5, 0.984, 0.0015),
            (1.0, 0.939, 0.005),
            (2.0, 0.783, 0.016),
            (3.0, 0.602, 0.023),
            (4.0, 0.445, 0.025),
        ];
        for (width, mean, deviation) in table {
            let quadrature = Quadrature::new(width);
            let fits: Vec<f64> = (0..draws)
                .map(|draw| {
                    let tubes = Tube::sample_many(&Streams::new(draw, "width bias"), 200, steps);
                    // In units of σ, with m = δt = 1: σ² = 2 D = 1, so 2mD = 1.
                    let least = vec![0.0; steps + 1];
                    let actions: Vec<f64> =
                        tubes.iter().map(|tube| motion.action(&tube.path(&least, 1.0))).collect();
                    let values: Vec<f64> = tubes.iter().map(|tube| quadrature.neg_ln_p(tube)).collect();
                    Line::fit(&actions, &values, None).unwrap().slope
                })
                .collect();
            let fit = fits.iter().sum::<f64>() / draws as f64;
            assert!((fit - mean).abs() < 3.0 * deviation, "width {width}: {fit} {fits:?}");
        }
    }
}
