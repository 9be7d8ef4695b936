//! Path integrals over imaginary time by numerical matrix multiplication: the short-time kernel
//! `k(x, y) = exp(−(x − y)²/(2s²) − (u(x) + u(y))/2)/√(2π s²)` on a grid, applied step by step. With spacing s/2 the
//! trapezoidal rule is exact to rounding, so this gives the value of the discrete path integral itself, the control of
//! every sampled one.

/// The short-time kernel on a grid.
#[derive(Debug, Clone)]
pub struct Transfer {
    /// The grid, evenly spaced.
    grid: Vec<f64>,
    /// s, the standard deviation of a free step.
    deviation: f64,
    /// exp(−u/2) at each point.
    damping: Vec<f64>,
    /// Spacing times the free kernel at 0, 1, 2, … points apart.
    band: Vec<f64>,
}

/// Beyond this many standard deviations the free kernel is below the smallest number.
const REACH: f64 = 38.0;

impl Transfer {
    /// For free steps of variance s² = `variance` > 0 and the weight exp(−u(x)) of each point, on a grid over [`low`, `high`],
    /// which must hold all of the paths' weight.
    pub fn new(variance: f64, low: f64, high: f64, u: impl Fn(f64) -> f64) -> Transfer {
        let deviation = variance.sqrt();
        let points = (2.0 * (high - low) / deviation).ceil() as usize + 1;
        let spacing = (high - low) / (points - 1) as f64;
        let grid: Vec<f64> = (0..points).map(|i| low + spacing * i as f64).collect();
        let damping = grid.iter().map(|&x| libm::exp(-0.5 * u(x))).collect();
        let near = (REACH * deviation / spacing).floor() as usize;
        let band = (0..=near).map(|i| spacing * free_kernel(spacing * i as f64, deviation)).collect();
        Transfer { grid, deviation, damping, band }
    }

    /// ln of the discrete path integral from `start` to `end` with u at the ends given, after each of these numbers of steps
    /// (each ≥ 2, ascending): `∫ Π dx_i Π exp(−Δx²/(2s²))/√(2π s²) exp(−Σ' u(x_i))`, Σ' giving the ends weight ½.
    pub fn ln_kernels(&self, [start, end]: [f64; 2], u_at_ends: [f64; 2], steps: &[usize]) -> Vec<f64> {
        let mut state = self.damped(self.towards(start));
        let mut ln_scale = rescale(&mut state) - 0.5 * u_at_ends[0];
        let last = self.damped(self.towards(end));
        let mut taken = 1;
        let mut results = Vec::with_capacity(steps.len());
        for &wanted in steps {
            while taken + 1 < wanted {
                state = self.apply(&state);
                ln_scale += rescale(&mut state);
                taken += 1;
            }
            let sum: f64 = state.iter().zip(&last).map(|(a, b)| a * b).sum();
            results.push(ln_scale + libm::log(sum) - 0.5 * u_at_ends[1]);
        }
        results
    }

    /// The mean of y_0 = 0, y_1, …, y_N = 0 over paths of free steps from 0 to 0 with the weight exp(−Σ u(i, y_i)), i = 1 …
    /// N − 1: a weight of its own for every step.
    pub fn mean_loop(&self, steps: usize, u: impl Fn(usize, f64) -> f64) -> Vec<f64> {
        let weights = |i: usize| -> Vec<f64> { self.grid.iter().map(|&y| libm::exp(-u(i, y))).collect() };
        let weighted = |mut state: Vec<f64>, i: usize| {
            state.iter_mut().zip(weights(i)).for_each(|(a, weight)| *a *= weight);
            rescale(&mut state);
            state
        };
        let first = self.towards(0.0);
        let mut forward = vec![weighted(first.clone(), 1)];
        let mut backward = vec![first];
        for i in 1..steps - 1 {
            forward.push(weighted(self.convolve(&forward[i - 1]), i + 1));
            backward.push(self.convolve(&weighted(backward[i - 1].clone(), steps - i)));
        }
        let mean = |i: usize| -> f64 {
            let densities = forward[i - 1].iter().zip(&backward[steps - 1 - i]).map(|(a, b)| a * b);
            let (mut sum, mut moment) = (0.0, 0.0);
            for (density, y) in densities.zip(&self.grid) {
                sum += density;
                moment += density * y;
            }
            moment / sum
        };
        std::iter::once(0.0).chain((1..steps).map(mean)).chain(std::iter::once(0.0)).collect()
    }

    /// −ln of the largest eigenvalue: the decay per step of the path integral over long times. By power iteration until it
    /// stands still.
    pub fn decay(&self) -> f64 {
        let mut state: Vec<f64> = self.damping.clone();
        let mut decay = f64::INFINITY;
        for _ in 0..200_000 {
            let next = self.apply(&state);
            // Rayleigh's quotient, whose error is the square of the state's.
            let (mut over, mut under) = (0.0, 0.0);
            for (a, b) in state.iter().zip(&next) {
                over += a * b;
                under += a * a;
            }
            let now = -libm::log(over / under);
            state = next;
            rescale(&mut state);
            if (now - decay).abs() < 1e-14 {
                return now;
            }
            decay = now;
        }
        decay
    }

    /// The free step to or from a point, times the root of the spacing.
    fn towards(&self, point: f64) -> Vec<f64> {
        let root = (self.grid[1] - self.grid[0]).sqrt();
        self.grid.iter().map(|x| root * free_kernel(x - point, self.deviation)).collect()
    }

    fn damped(&self, mut state: Vec<f64>) -> Vec<f64> {
        state.iter_mut().zip(&self.damping).for_each(|(a, damping)| *a *= damping);
        state
    }

    /// One step on the grid, half-damped before and after.
    fn apply(&self, state: &[f64]) -> Vec<f64> {
        self.damped(self.convolve(&self.damped(state.to_vec())))
    }

    /// One free step on the grid.
    fn convolve(&self, state: &[f64]) -> Vec<f64> {
        let n = state.len();
        let mut next = vec![0.0; n];
        for (offset, &weight) in self.band.iter().enumerate().take(n) {
            next[offset..].iter_mut().zip(state).for_each(|(sum, x)| *sum += weight * x);
            if offset > 0 {
                next[..n - offset].iter_mut().zip(&state[offset..]).for_each(|(sum, x)| *sum += weight * x);
            }
        }
        next
    }
}

/// The density of a free step.
fn free_kernel(distance: f64, deviation: f64) -> f64 {
    let z = distance / deviation;
    libm::exp(-0.5 * z * z) / (deviation * std::f64::consts::TAU.sqrt())
}

/// Divides by the largest entry; returns its logarithm.
fn rescale(state: &mut [f64]) -> f64 {
    let largest = state.iter().fold(0.0, |largest: f64, x| largest.max(*x));
    state.iter_mut().for_each(|x| *x /= largest);
    libm::log(largest)
}

#[cfg(test)]
mod tests {
    use super::super::tridiagonal::Cholesky;
    use super::*;

    /// A quadratic weight u = ½ k x²: the Gaussian integral by the determinant of its tridiagonal matrix and the path of
    /// least action, exact for any number of steps; its decay is 2 arsinh(√(k s²)/2)/2 per step.
    #[test]
    fn gaussian_integrals() {
        let (k, s2, a, b) = (0.03, 0.25, 0.4, -0.9);
        let transfer = Transfer::new(s2, -12.0, 12.0, |x| 0.5 * k * x * x);
        let u = |x: f64| 0.5 * k * x * x;
        let steps = [2, 3, 10, 40];
        let found = transfer.ln_kernels([a, b], [u(a), u(b)], &steps);
        for (&n, found) in steps.iter().zip(&found) {
            let second = Cholesky::new(&vec![2.0 / s2 + k; n - 1], -1.0 / s2).unwrap();
            let mut force = vec![0.0; n - 1];
            force[0] += a / s2;
            force[n - 2] += b / s2;
            let centre = second.solve(&force);
            let mut path = vec![a];
            path.extend(&centre);
            path.push(b);
            let least: f64 = path.windows(2).map(|x| (x[1] - x[0]) * (x[1] - x[0]) / (2.0 * s2)).sum::<f64>()
                + centre.iter().map(|&x| u(x)).sum::<f64>()
                + 0.5 * (u(a) + u(b));
            // n factors 1/√(2π s²), n − 1 integrals √(2π)/√det.
            let ln_2pi = libm::log(std::f64::consts::TAU);
            let exact =
                -least - 0.5 * ln_2pi - 0.5 * n as f64 * libm::log(s2) - 0.5 * second.ln_determinant();
            assert!((found - exact).abs() < 1e-12, "{n}: {found} {exact}");
            // The same around its least-action path, with a linear weight to displace it: y = H⁻¹ (−c).
            let mean = transfer.mean_loop(n, |i, y| 0.5 * k * y * y + 0.001 * i as f64 * y);
            let shift = second.solve(&(1..n).map(|i| -0.001 * i as f64).collect::<Vec<_>>());
            assert!(shift.iter().zip(&mean[1..]).all(|(exact, y)| (y - exact).abs() < 1e-12));
        }
        let angle = 2.0 * libm::asinh(0.5 * (k * s2).sqrt());
        assert!((transfer.decay() - 0.5 * angle).abs() < 1e-12, "{} {angle}", transfer.decay());
    }
}
