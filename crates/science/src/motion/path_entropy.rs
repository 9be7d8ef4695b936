//! Path information (Wang 2004): the Shannon entropy H = −Σ p ln p of random paths, and the distribution that maximises it.
//!
//! The alphabet: at every time between the ends, space is cut into cells of a fixed length ℓ, one of them centred on the
//! least-action path f, and a path is the sequence of its cells. At the last time only paths that arrive in the cell of
//! the end b count, so p is a probability given arrival, and Σ p = 1 over all sequences. The entropy is the mean of
//! −ln p over random paths, p being computed exactly for the sequence that each path falls into; so the estimate
//! has no bias and its error is that of a mean.

use super::quadrature::Quadrature;
use super::tubes::Tube;
use onsager_numerics::random::Streams;

/// The cells of a random walk around the least-action path, in units of its step σ.
#[derive(Debug, Clone)]
pub struct Cells {
    /// ℓ/σ.
    length: f64,
    steps: usize,
    quadrature: Quadrature,
}

impl Cells {
    /// Cells of length ℓ = `length` σ > 0 over `steps` ≥ 2 steps.
    pub fn new(length: f64, steps: usize) -> Cells {
        Cells { length, steps, quadrature: Quadrature::new(length) }
    }

    /// The sequence of cells that random path `index` falls into, as the tube around their centres.
    pub fn sample(&self, streams: &Streams, index: u64) -> Tube {
        let mut stream = streams.stream(index);
        let n = self.steps as f64;
        let half = 0.5 * self.length;
        // The end, normal of variance N given |w| ≤ ℓ/2, by rejection from the better of the two laws.
        let end = loop {
            if half > n.sqrt() {
                let w = n.sqrt() * stream.normal();
                if w.abs() <= half {
                    break w;
                }
            } else {
                let w = self.length * (stream.uniform() - 0.5);
                if stream.uniform() < libm::exp(-0.5 * w * w / n) {
                    break w;
                }
            }
        };
        let mut w = 0.0;
        let mut offsets = vec![0.0];
        for i in 1..self.steps {
            let left = (self.steps - i) as f64;
            let pull = 1.0 / (left + 1.0);
            w += pull * (end - w) + (left * pull).sqrt() * stream.normal();
            offsets.push(self.length * libm::round(w / self.length));
        }
        offsets.push(0.0);
        Tube { offsets }
    }

    /// −ln p of a sequence of cells, exactly.
    pub fn neg_ln_p(&self, cells: &Tube) -> f64 {
        self.quadrature.neg_ln_p(cells)
    }

    /// H of cells much shorter than σ: `((N − 1)/2) ln(2πe σ²/ℓ²) − ½ ln N`, the entropy of the normal law of a bridge's N − 1
    /// inner points less (N − 1) ln ℓ. Where paths spread over less than a cell, H falls to zero instead.
    pub fn fine_entropy(&self) -> f64 {
        let inner = (self.steps - 1) as f64;
        let two_pi_e = std::f64::consts::TAU * std::f64::consts::E;
        0.5 * inner * libm::log(two_pi_e / (self.length * self.length)) - 0.5 * libm::log(self.steps as f64)
    }
}

/// The distribution of largest entropy over a set of paths at a given mean action.
#[derive(Debug, Clone, PartialEq)]
pub struct MaximumEntropy {
    /// γ of p ∝ exp(−γA), the multiplier of the mean action, 1/action.
    pub multiplier: f64,
    /// Its H.
    pub entropy: f64,
    /// p of each path.
    pub probabilities: Vec<f64>,
}

impl MaximumEntropy {
    /// Over paths of these actions, for this mean action. The stationary point of H − γ'ΣpA − αΣp is p ∝ exp(−γA); its γ is
    /// found by Newton's method on the concave dual, ln Σ exp(−γA) + γ⟨A⟩ → minimum. Nothing for a mean outside the range
    /// of the actions.
    pub fn new(actions: &[f64], mean: f64) -> Option<MaximumEntropy> {
        let (low, high) = actions
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &a| (low.min(a), high.max(a)));
        if !(low < mean && mean < high) {
            return None;
        }
        let at = |gamma: f64| -> (Vec<f64>, f64, f64, f64) {
            // Counted from the end that has the largest weight.
            let origin = if gamma >= 0.0 { low } else { high };
            let mut p: Vec<f64> = actions.iter().map(|a| libm::exp(-gamma * (a - origin))).collect();
            let sum: f64 = p.iter().sum();
            p.iter_mut().for_each(|p| *p /= sum);
            let first: f64 = p.iter().zip(actions).map(|(p, a)| p * (a - origin)).sum();
            let second: f64 = p.iter().zip(actions).map(|(p, a)| p * (a - origin) * (a - origin)).sum();
            let dual = libm::log(sum) + gamma * (mean - origin);
            (p, origin + first, second - first * first, dual)
        };
        let mut gamma = 0.0;
        for _ in 0..200 {
            let (_, found, variance, dual) = at(gamma);
            let step = (found - mean) / variance.max(1e-12 * (high - low) * (high - low));
            // Half steps until the dual falls, so that Newton's method converges from anywhere.
            let mut length = 1.0;
            while length > 1e-10 && at(gamma + length * step).3 > dual {
                length *= 0.5;
            }
            gamma += length * step;
            if (length * step).abs() <= 1e-14 * gamma.abs() {
                break;
            }
        }
        let (probabilities, ..) = at(gamma);
        Some(MaximumEntropy { multiplier: gamma, entropy: entropy(&probabilities), probabilities })
    }
}

/// −Σ p ln p.
pub fn entropy(probabilities: &[f64]) -> f64 {
    probabilities.iter().filter(|&&p| p > 0.0).map(|&p| -p * libm::log(p)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two steps: the alphabet is one cell at the middle, so all of it can be listed. Probabilities sum to one, and the mean of
    /// −ln p over sampled paths is −Σ p ln p within 4.5 standard errors.
    #[test]
    fn listed_alphabet() {
        for length in [0.5, 2.0, 6.0] {
            let cells = Cells::new(length, 2);
            let listed: Vec<f64> = (-30..=30)
                .map(|k| libm::exp(-cells.neg_ln_p(&Tube { offsets: vec![0.0, length * f64::from(k), 0.0] })))
                .collect();
            assert!((listed.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            let streams = Streams::new(3, "cells");
            let n = 4000;
            let values: Vec<f64> = (0..n).map(|k| cells.neg_ln_p(&cells.sample(&streams, k))).collect();
            let mean = values.iter().sum::<f64>() / n as f64;
            let variance = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / (n - 1) as f64;
            let exact = entropy(&listed);
            assert!((mean - exact).abs() < 4.5 * (variance / n as f64).sqrt(), "{length}: {mean} {exact}");
        }
    }

    /// Short cells: the normal law's entropy. Sheppard's correction is ℓ²/24 of the trace of the precision, 2 per inner
    /// point over σ², here 9/12 · 0.01; the error of the mean over 2,000 paths is √(9/2/2000).
    #[test]
    fn fine_cells() {
        let cells = Cells::new(0.1, 10);
        let streams = Streams::new(3, "cells");
        let mean = (0..2000).map(|k| cells.neg_ln_p(&cells.sample(&streams, k))).sum::<f64>() / 2000.0;
        assert!((mean - cells.fine_entropy()).abs() < 0.0075 + 4.5 * (4.5f64 / 2000.0).sqrt());
    }

    /// Against a maximiser that does not know the exponential: projected gradient ascent on p itself over ten states. And
    /// moving along any direction that keeps norm and mean lowers H.
    #[test]
    fn the_exponential_is_the_maximum() {
        let actions: Vec<f64> = (0..10).map(|k| 0.3 * f64::from(k * k % 7) + 0.1 * f64::from(k)).collect();
        let mean = 0.8;
        let found = MaximumEntropy::new(&actions, mean).unwrap();
        let moment: f64 = found.probabilities.iter().zip(&actions).map(|(p, a)| p * a).sum();
        assert!((moment - mean).abs() < 1e-12);
        // A feasible start: weight on the lowest and highest states, mixed with the rest.
        let (n, centre) = (10.0, actions.iter().sum::<f64>() / 10.0);
        let spread: f64 = actions.iter().map(|a| (a - centre) * (a - centre)).sum();
        let mut p: Vec<f64> =
            actions.iter().map(|a| 1.0 / n + (mean - centre) * (a - centre) / spread).collect();
        assert!(p.iter().all(|&p| p > 0.0));
        for _ in 0..20_000 {
            let gradient: Vec<f64> = p.iter().map(|&p| -libm::log(p) - 1.0).collect();
            let along = gradient.iter().zip(&actions).map(|(g, a)| g * (a - centre)).sum::<f64>() / spread;
            let level = gradient.iter().sum::<f64>() / n;
            for ((p, g), a) in p.iter_mut().zip(&gradient).zip(&actions) {
                *p = (*p + 0.01 * (g - level - along * (a - centre))).max(1e-9);
            }
        }
        assert!((entropy(&p) - found.entropy).abs() < 1e-8, "{} {}", entropy(&p), found.entropy);
        assert!(p.iter().zip(&found.probabilities).all(|(p, q)| (p - q).abs() < 1e-4));
        let mut stream = Streams::new(1, "directions").stream(0);
        for _ in 0..20 {
            let mut direction: Vec<f64> = actions.iter().map(|_| stream.normal()).collect();
            let level = direction.iter().sum::<f64>() / n;
            let along = direction.iter().zip(&actions).map(|(d, a)| d * (a - centre)).sum::<f64>() / spread;
            direction.iter_mut().zip(&actions).for_each(|(d, a)| *d -= level + along * (a - centre));
            let moved: Vec<f64> =
                found.probabilities.iter().zip(&direction).map(|(p, d)| p + 1e-3 * d).collect();
            assert!(entropy(&moved) < found.entropy);
        }
        assert_eq!(MaximumEntropy::new(&actions, 100.0), None);
    }

    /// The paths of the free walk themselves: the multiplier found from their own probabilities is γ = 1 in units of σ, where
    /// A = Σ(Δw)²/2. A cell averages the density, so −ln p = A − (ℓ²/24) |∇A|², and |∇A|² grows as 4A for random paths: γ is
    /// lower by ℓ²/6 = 1 %; twice that is allowed for the scatter of |∇A|².
    #[test]
    fn multiplier_of_the_walk() {
        let cells = Cells::new(0.25, 8);
        let streams = Streams::new(3, "cells");
        let sampled: Vec<Tube> = (0..400).map(|k| cells.sample(&streams, k)).collect();
        let actions: Vec<f64> = sampled
            .iter()
            .map(|tube| tube.offsets.windows(2).map(|w| 0.5 * (w[1] - w[0]) * (w[1] - w[0])).sum())
            .collect();
        let ln_p: Vec<f64> = sampled.iter().map(|tube| -cells.neg_ln_p(tube)).collect();
        let largest = ln_p.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let p: Vec<f64> = ln_p.iter().map(|ln| libm::exp(ln - largest)).collect();
        let sum: f64 = p.iter().sum();
        let mean = p.iter().zip(&actions).map(|(p, a)| p * a).sum::<f64>() / sum;
        let found = MaximumEntropy::new(&actions, mean).unwrap();
        assert!((found.multiplier - 1.0).abs() < 0.02, "{}", found.multiplier);
    }
}
