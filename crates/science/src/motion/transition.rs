//! The paths of overdamped motion that reach a given end: a conditioned diffusion, sampled around its instanton.
//!
//! A path's probability is ∝ exp(−S). Paths are drawn from the normal law of the second variation of S at the instanton x*,
//! y = x − x* of covariance (∂²S)⁻¹, and weighted by exp(−(S − its expansion to second order)), a function of the potential's
//! third and higher derivatives alone: so the weights tend to one as D → 0, and samples are independent. Each draw is used
//! with both signs, which takes the leading error off the mean path.

use super::onsager_machlup::{Instanton, OnsagerMachlup};
use super::transfer::Transfer;
use onsager_numerics::random::Streams;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// The conditioned diffusion in steps of `dt` around its instanton.
#[derive(Debug, Clone)]
pub struct Transition<'a> {
    instanton: &'a Instanton,
    diffusion: f64,
    dt: f64,
    /// δt U'' at each inner point.
    curvature: Vec<f64>,
    /// δt U in powers of y from the third on, at each inner point.
    beyond: Vec<Vec<f64>>,
    streams: Streams,
}

/// Weighted sums over pairs (y, −y); the last entry of each list is the projection of the path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    pub pairs: u64,
    /// Σ (w₊ + w₋), its squares, and Σ (w₊² + w₋²).
    weight: f64,
    weight_squared: f64,
    squares: f64,
    /// Σ (w₊ − w₋) y, its squares, and its products with the weight.
    moment: Vec<f64>,
    moment_squared: Vec<f64>,
    product: Vec<f64>,
    /// Σ (w₊ + w₋) y².
    spread: Vec<f64>,
}

/// A mean and its standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mean {
    pub value: f64,
    pub error: f64,
}

/// How far from the instanton paths are followed on the grid, in standard deviations of the widest spread around it. A
/// well's walls hold them closer than their normal law does.
const RANGE: f64 = 12.0;
/// Pairs in one piece of work: reductions go piece by piece, in order.
pub const PIECE: u64 = 2048;

impl Sums {
    /// No pairs yet, for `steps` steps.
    pub fn zero(steps: usize) -> Sums {
        let zero = vec![0.0; steps];
        Sums {
            pairs: 0,
            weight: 0.0,
            weight_squared: 0.0,
            squares: 0.0,
            moment: zero.clone(),
            moment_squared: zero.clone(),
            product: zero.clone(),
            spread: zero,
        }
    }

    /// The sums over both.
    pub fn add(&mut self, other: &Sums) {
        let plus = |a: &mut [f64], b: &[f64]| a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        self.pairs += other.pairs;
        self.weight += other.weight;
        self.weight_squared += other.weight_squared;
        self.squares += other.squares;
        plus(&mut self.moment, &other.moment);
        plus(&mut self.moment_squared, &other.moment_squared);
        plus(&mut self.product, &other.product);
        plus(&mut self.spread, &other.spread);
    }

    /// The mean of x_i − x*_i, i = 1 … N−1, and as the last entry that of the projection. The error is that of a ratio of
    /// two means over independent pairs, to first order.
    pub fn difference(&self) -> Vec<Mean> {
        (0..self.moment.len())
            .map(|i| {
                let value = self.moment[i] / self.weight;
                let residual = self.moment_squared[i] - 2.0 * value * self.product[i]
                    + value * value * self.weight_squared;
                Mean { value, error: residual.max(0.0).sqrt() / self.weight }
            })
            .collect()
    }

    /// The standard deviation of x_i over the weighted paths, i = 1 … N−1.
    pub fn deviation(&self) -> Vec<f64> {
        let inner = self.moment.len() - 1;
        let mean = |i: usize| self.moment[i] / self.weight;
        (0..inner).map(|i| (self.spread[i] / self.weight - mean(i) * mean(i)).max(0.0).sqrt()).collect()
    }

    /// The effective number of paths as a fraction of those drawn, (Σ w)²/(n Σ w²).
    pub fn efficiency(&self) -> f64 {
        self.weight * self.weight / (2.0 * self.pairs as f64 * self.squares)
    }
}

impl<'a> Transition<'a> {
    /// For an instanton of this motion in steps of `dt`.
    pub fn new(
        motion: &OnsagerMachlup,
        instanton: &'a Instanton,
        dt: f64,
        streams: Streams,
    ) -> Transition<'a> {
        let inner = &instanton.path[1..instanton.path.len() - 1];
        let beyond = inner
            .iter()
            .map(|&x| motion.effective().around(x).scaled(dt).coefficients.into_iter().skip(3).collect())
            .collect();
        let second = motion.effective().derivative().derivative();
        let curvature = inner.iter().map(|&x| dt * second.value(x)).collect();
        Transition { instanton, diffusion: motion.diffusion(), dt, curvature, beyond, streams }
    }

    /// Draws the pairs of this range and adds them up.
    pub fn sample(&self, pairs: Range<u64>) -> Sums {
        let n = self.beyond.len();
        let mut sums = Sums::zero(n + 1);
        let mut y = vec![0.0; n + 1];
        let sines = projection(n + 1);
        for pair in pairs {
            let [plus, minus] = self.draw(pair, &mut y[..n]);
            y[n] = y.iter().zip(&sines).map(|(y, sine)| y * sine).sum();
            let (sum, difference) = (plus + minus, plus - minus);
            sums.pairs += 1;
            sums.weight += sum;
            sums.weight_squared += sum * sum;
            sums.squares += plus * plus + minus * minus;
            for (i, &y) in y.iter().enumerate() {
                let moment = difference * y;
                sums.moment[i] += moment;
                sums.moment_squared[i] += moment * moment;
                sums.product[i] += moment * sum;
                sums.spread[i] += sum * y * y;
            }
        }
        sums
    }

    /// The draw of this index in `y`, and the weights of x* + y and x* − y.
    fn draw(&self, pair: u64, y: &mut [f64]) -> [f64; 2] {
        let mut stream = self.streams.stream(pair);
        y.iter_mut().for_each(|y| *y = stream.normal());
        self.instanton.second_variation.solve_upper(y);
        // The odd and the even powers beyond the second.
        let (mut odd, mut even) = (0.0, 0.0);
        for (y, beyond) in y.iter().zip(&self.beyond) {
            let mut power = y * y * y;
            for (k, c) in beyond.iter().enumerate() {
                if k % 2 == 0 {
                    odd += c * power
                } else {
                    even += c * power
                }
                power *= y;
            }
        }
        [libm::exp(-even - odd), libm::exp(-even + odd)]
    }

    /// `count` whole paths x_0 … x_N, drawn in proportion to their weights from the first `candidates` pairs.
    pub fn paths(&self, count: usize, candidates: u64, chooser: Streams) -> Vec<Vec<f64>> {
        let mut y = vec![0.0; self.beyond.len()];
        let weights: Vec<f64> = (0..candidates).flat_map(|pair| self.draw(pair, &mut y)).collect();
        let total: f64 = weights.iter().sum();
        let path = |k: usize| {
            let mut left = total * chooser.stream(k as u64).uniform();
            let chosen = weights.iter().position(|weight| {
                left -= weight;
                left <= 0.0
            });
            let chosen = chosen.unwrap_or(weights.len() - 1);
            let mut y = vec![0.0; self.beyond.len()];
            self.draw(chosen as u64 / 2, &mut y);
            let sign = if chosen.is_multiple_of(2) { 1.0 } else { -1.0 };
            let mut path = self.instanton.path.clone();
            path[1..].iter_mut().zip(&y).for_each(|(x, y)| *x += sign * y);
            path
        };
        (0..count).map(path).collect()
    }

    /// The mean of x_i − x*_i at this δt by numerical matrix multiplication, i = 1 … N−1; as the last entry its projection.
    pub fn exact(&self) -> Vec<f64> {
        let variances = self.instanton.second_variation.inverse_diagonal();
        let widest = variances.iter().fold(0.0, |widest: f64, v| widest.max(*v)).sqrt();
        let steps = self.beyond.len() + 1;
        let transfer =
            Transfer::new(2.0 * self.diffusion * self.dt, -RANGE * widest, RANGE * widest, |_| 0.0);
        // The weight's linear term cancels with that of the steps, the path being stationary.
        let mut shift = transfer.mean_loop(steps, |i, y| {
            let mut power = y * y;
            let mut u = 0.5 * self.curvature[i - 1] * power;
            for c in &self.beyond[i - 1] {
                power *= y;
                u += c * power;
            }
            u
        });
        shift.pop();
        shift.remove(0);
        shift.push(project(&shift));
        shift
    }

    /// The mean of x_i − x*_i to first order in D, the one-loop correction −½ H⁻¹ (δt U''' diag H⁻¹), H = ∂²S; as the last
    /// entry its projection.
    pub fn one_loop(&self) -> Vec<f64> {
        let second = &self.instanton.second_variation;
        let force: Vec<f64> = second
            .inverse_diagonal()
            .iter()
            .zip(&self.beyond)
            // The coefficient of y³ is a sixth of the third derivative.
            .map(|(variance, beyond)| -3.0 * beyond.first().unwrap_or(&0.0) * variance)
            .collect();
        let mut shift = second.solve(&force);
        shift.push(project(&shift));
        shift
    }
}

/// The projection of a path's inner points: its second Fourier coefficient, (2/N) Σ y_i sin(2π i/N). A transition between
/// the wells of a symmetric potential is odd about its middle, so its mean difference has no first one.
pub fn project(inner: &[f64]) -> f64 {
    inner.iter().zip(projection(inner.len() + 1)).map(|(y, sine)| y * sine).sum()
}

fn projection(steps: usize) -> Vec<f64> {
    let angle = std::f64::consts::TAU / steps as f64;
    (1..steps).map(|i| 2.0 / steps as f64 * libm::sin(angle * i as f64)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::polynomial::{Curve, Polynomial};
    use super::*;

    fn double_well(diffusion: f64) -> OnsagerMachlup {
        OnsagerMachlup::new(Polynomial::new(&[0.25, 0.0, -0.5, 0.0, 0.25]), 1.0, diffusion)
    }

    /// The mean path of the samples against that of numerical matrix multiplication at the same δt, within 4.5 standard
    /// errors at every time; and the error itself against the scatter over 16 independent parts, whose standard deviation
    /// is known to 1/√30 = 18 %.
    #[test]
    fn mean_path_is_exact() {
        let (steps, dt, diffusion) = (32, 1.0 / 32.0, 0.2);
        let motion = double_well(diffusion);
        let instanton = motion.instanton(-1.0, 1.0, steps, dt).unwrap();
        let transition = Transition::new(&motion, &instanton, dt, Streams::new(1, "transition"));
        let parts: Vec<Sums> = (0..16).map(|k| transition.sample(k * PIECE..(k + 1) * PIECE)).collect();
        let mut sums = Sums::zero(steps);
        parts.iter().for_each(|part| sums.add(part));
        let exact = transition.exact();
        for (i, mean) in sums.difference().iter().enumerate() {
            let gap = mean.value - exact[i];
            assert!(gap.abs() < 4.5 * mean.error, "{i}: {gap} {mean:?}");
        }
        assert!(sums.efficiency() > 0.5, "{}", sums.efficiency());
        let values: Vec<f64> = parts.iter().map(|part| part.difference()[steps - 1].value).collect();
        let mean = values.iter().sum::<f64>() / 16.0;
        let scatter = (values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / 15.0 / 16.0).sqrt();
        let error = sums.difference()[steps - 1].error;
        assert!((scatter / error - 1.0).abs() < 4.5 * 0.18, "{scatter} {error}");
    }

    /// The difference from the instanton vanishes linearly with D: a parabola through the exact values at D = 0.1 … 0.0125
    /// meets zero to the order D³, and one loop gives its slope.
    #[test]
    fn difference_is_linear_in_the_noise() {
        // One relaxation time 1/(μV''(1)) = 1/8 of V = (x² − 1)².
        let (steps, dt) = (32, 0.125 / 32.0);
        let diffusions = [0.1, 0.05, 0.025, 0.0125];
        let mut differences = Vec::new();
        for diffusion in diffusions {
            let motion = OnsagerMachlup::new(Polynomial::new(&[1.0, 0.0, -2.0, 0.0, 1.0]), 1.0, diffusion);
            let instanton = motion.instanton(-1.0, 1.0, steps, dt).unwrap();
            let transition = Transition::new(&motion, &instanton, dt, Streams::new(0, "unused"));
            let (exact, loops) = (transition.exact()[steps - 1], transition.one_loop()[steps - 1]);
            assert!((exact / loops - 1.0).abs() < diffusion, "{exact} {loops}");
            differences.push(exact);
        }
        let curve = Curve::fit(&diffusions, &differences, &[1e-6; 4], 2).unwrap();
        assert!(
            curve.coefficients[0].abs() < 1e-3 * curve.coefficients[1].abs() * diffusions[0],
            "{curve:?}"
        );
    }

    /// Paths drawn for display have the ends, and their spread is that of the weighted ensemble (300 paths: the standard
    /// deviation to 1/√600).
    #[test]
    fn paths_for_display() {
        let (steps, dt) = (32, 1.0 / 32.0);
        let motion = double_well(0.1);
        let instanton = motion.instanton(-1.0, 1.0, steps, dt).unwrap();
        let transition = Transition::new(&motion, &instanton, dt, Streams::new(1, "transition"));
        let paths = transition.paths(300, 4096, Streams::new(1, "choice"));
        assert!(paths.iter().all(|path| path[0] == -1.0 && path[steps] == 1.0 && path.len() == steps + 1));
        let middle = steps / 2;
        let mean = paths.iter().map(|path| path[middle]).sum::<f64>() / 300.0;
        let spread =
            paths.iter().map(|path| (path[middle] - mean) * (path[middle] - mean)).sum::<f64>() / 299.0;
        let exact = transition.sample(0..8192).deviation()[middle - 1];
        assert!((spread.sqrt() / exact - 1.0).abs() < 4.5 / 600f64.sqrt(), "{} {exact}", spread.sqrt());
    }
}
