//! The exact probability of a tube by a chain of integrals: a path's weight is a product of steps, each depending on three
//! neighbouring points (on two for a first-order process), and is integrated over every point's interval on
//! Gauss–Legendre nodes.

use super::quadrature::GaussLegendre;

/// The interval of one point: a centre and half a width; of half width zero, the point itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gate {
    pub centre: f64,
    pub half: f64,
}

/// ln ∫ Π dx_i exp(Σ_i ln_step(i, x_{i−2}, x_{i−1}, x_i)) over the gates i = 1 … N of a path that comes from `before`
/// (x_{−1}) and `start` (x_0); points that are fixed are not integrated over. Sixteen nodes for gates up to the width
/// of a step's standard deviation, four more for every further one.
pub fn ln_tube_integral(
    [before, start]: [f64; 2],
    gates: &[Gate],
    rule: &GaussLegendre,
    ln_step: impl Fn(usize, [f64; 3]) -> f64,
) -> f64 {
    let nodes_of = |gate: &Gate| -> (Vec<f64>, Vec<f64>) {
        if gate.half == 0.0 {
            return (vec![gate.centre], vec![1.0]);
        }
        let nodes = rule.nodes.iter().map(|x| gate.centre + gate.half * x).collect();
        (nodes, rule.weights.iter().map(|w| gate.half * w).collect())
    };
    let mut older = vec![before];
    let mut newer = vec![start];
    // The mass of (older node j, newer node k) at [j * newer + k], rescaled after every step so that nothing underflows.
    let mut mass = vec![1.0];
    let mut ln_total = 0.0;
    for (i, gate) in gates.iter().enumerate() {
        let (next, weights) = nodes_of(gate);
        let exponents: Vec<f64> = older
            .iter()
            .flat_map(|&x| newer.iter().map(move |&y| (x, y)))
            .flat_map(|(x, y)| next.iter().map(move |&z| [x, y, z]))
            .map(|points| ln_step(i + 1, points))
            .collect();
        let largest = exponents.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let mut sums = vec![0.0; newer.len() * next.len()];
        for j in 0..older.len() {
            for k in 0..newer.len() {
                let from = j * newer.len() + k;
                for (l, weight) in weights.iter().enumerate() {
                    let step = libm::exp(exponents[from * next.len() + l] - largest);
                    sums[k * next.len() + l] += mass[from] * weight * step;
                }
            }
        }
        let total: f64 = sums.iter().sum();
        sums.iter_mut().for_each(|sum| *sum /= total);
        ln_total += largest + libm::log(total);
        (older, newer, mass) = (newer, next, sums);
    }
    ln_total
}

/// The rule for gates of this width, in units of a step's standard deviation.
pub fn rule_for(width: f64) -> GaussLegendre {
    GaussLegendre::new(12 + 4 * width.ceil() as usize)
}

#[cfg(test)]
mod tests {
    use super::super::quadrature::{Quadrature, arrival_probability};
    use super::super::tubes::Tube;
    use super::*;
    use onsager_numerics::random::Streams;

    fn ln_normal(z: f64) -> f64 {
        -0.5 * z * z - 0.5 * libm::log(std::f64::consts::TAU)
    }

    /// A free walk in tubes: the same as the first-order transfer operator, whose own tests hold it to error functions.
    #[test]
    fn free_walk() {
        for width in [0.25, 1.0, 3.0] {
            let tube = Tube::sample(&Streams::new(5, "tube"), 0, 10, 1.5);
            let gates: Vec<Gate> =
                tube.offsets[1..].iter().map(|&centre| Gate { centre, half: 0.5 * width }).collect();
            let found = ln_tube_integral([0.0; 2], &gates, &rule_for(width), |_, [_, x, y]| ln_normal(y - x));
            let exact = -Quadrature::new(width).neg_ln_p(&tube) + libm::log(arrival_probability(width, 10));
            assert!((found - exact).abs() < 1e-10, "{width}: {found} {exact}");
        }
    }

    /// A second-order process whose steps' differences are independent, x_1 = u_1, x_2 = 2x_1 + u_2, seen through two
    /// gates: ∫ φ(x) [Φ(h − c − 2x) − Φ(−h − c − 2x)] dx by Simpson's rule; and a fixed point is a factor.
    #[test]
    fn second_order_and_fixed_points() {
        let (half, centre) = (0.4, 1.0);
        let gates = [Gate { centre: 0.5, half }, Gate { centre, half }];
        let ln_step = |_: usize, [x, y, z]: [f64; 3]| ln_normal(z - 2.0 * y + x);
        let found = ln_tube_integral([0.0; 2], &gates, &rule_for(0.8), ln_step);
        let cdf = |x: f64| 0.5 * libm::erfc(-x / 2f64.sqrt());
        let inner =
            |x: f64| libm::exp(ln_normal(x)) * (cdf(centre + half - 2.0 * x) - cdf(centre - half - 2.0 * x));
        let n = 2000;
        let h = 2.0 * half / f64::from(n);
        let simpson: f64 = (0..=n)
            .map(|i| {
                let weight = if i == 0 || i == n {
                    1.0
                } else if i % 2 == 1 {
                    4.0
                } else {
                    2.0
                };
                weight * inner(0.5 - half + h * f64::from(i))
            })
            .sum();
        assert!((found - libm::log(simpson * h / 3.0)).abs() < 1e-10);
        let fixed = [Gate { centre: 0.5, half: 0.0 }, Gate { centre: 0.9, half: 0.0 }];
        let found = ln_tube_integral([0.0; 2], &fixed, &rule_for(1.0), ln_step);
        assert!((found - ln_normal(0.5) - ln_normal(0.9 - 1.0)).abs() < 1e-13);
    }
}
