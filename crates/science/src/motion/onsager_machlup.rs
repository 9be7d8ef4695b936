//! The Onsager–Machlup action of overdamped motion dx = μ F(x) dt + √(2D) dW in a polynomial potential,
//! `S = ∫ (ẋ − μF)²/(4D) + μF'/2 dt`, and its minimum between two ends: the most probable transition path, an instanton.
//!
//! Multiplied out, `S = μ (V(b) − V(a))/(2D) + ∫ ẋ²/(4D) + U(x) dt` with `U = (μF)²/(4D) + μF'/2`: the cross term is the
//! work, whatever the path. In steps of δt, ẋ² as differences and U by the trapezoidal rule, the error is of order δt²,
//! in the minimum as in averages over paths (a rule that discretises the cross term has averages of order δt only).

use super::polynomial::Polynomial;
use super::quadrature::GaussLegendre;
use super::tridiagonal::Cholesky;

/// Overdamped motion in a potential; any consistent units.
#[derive(Debug, Clone, PartialEq)]
pub struct OnsagerMachlup {
    /// V, an energy.
    potential: Polynomial,
    /// U, a rate.
    effective: Polynomial,
    /// μ: velocity per force.
    mobility: f64,
    /// D > 0.
    diffusion: f64,
}

/// A path of least action.
#[derive(Debug, Clone, PartialEq)]
pub struct Instanton {
    /// x_0 = a, …, x_N = b.
    pub path: Vec<f64>,
    /// S, a number.
    pub action: f64,
    /// The second variation of S over x_1 … x_{N−1}, positive.
    pub second_variation: Cholesky,
    pub iterations: usize,
}

/// The instanton by quadrature, without steps.
#[derive(Debug, Clone, PartialEq)]
pub struct ClosedForm {
    /// The constant E of ẋ² = (μF)² + 2DμF' + E, in units of velocity squared.
    pub constant: f64,
    /// S.
    pub action: f64,
    /// x at i T/N, i = 0 … N.
    pub path: Vec<f64>,
}

/// Why there is no instanton.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InstantonError {
    #[error(
        "no path of least action from {start} to {end} in {steps} steps was found (largest residual {residual:.1e} of its \
         terms): shorten the time or take more steps"
    )]
    NotConverged { start: f64, end: f64, steps: usize, residual: f64 },
    #[error(
        "the path of least action from {start} to {end} in a time {time} turns back on its way: a path that does not takes \
         less than {longest:.4}"
    )]
    TurnsBack { start: f64, end: f64, time: f64, longest: f64 },
}

/// What counts as stationary, relative to the largest term of each equation.
const TOLERANCE: f64 = 1e-9;

impl OnsagerMachlup {
    pub fn new(potential: Polynomial, mobility: f64, diffusion: f64) -> OnsagerMachlup {
        let slope = potential.derivative();
        let squared = slope.times(&slope).scaled(mobility * mobility / (4.0 * diffusion));
        let effective = squared.plus(&slope.derivative().scaled(-0.5 * mobility));
        OnsagerMachlup { potential, effective, mobility, diffusion }
    }

    /// U = (μF)²/(4D) + μF'/2, a rate.
    pub fn effective(&self) -> &Polynomial {
        &self.effective
    }

    pub fn diffusion(&self) -> f64 {
        self.diffusion
    }

    /// S of a path in steps of `dt`.
    pub fn action(&self, path: &[f64], dt: f64) -> f64 {
        let (first, last) = (path[0], path[path.len() - 1]);
        let squares: f64 = path.windows(2).map(|x| (x[1] - x[0]) * (x[1] - x[0])).sum();
        let inner: f64 = path[1..path.len() - 1].iter().map(|&x| self.effective.value(x)).sum();
        let ends = 0.5 * (self.effective.value(first) + self.effective.value(last));
        self.work(first, last) + squares / (4.0 * self.diffusion * dt) + dt * (inner + ends)
    }

    /// μ (V(b) − V(a))/(2D), the part of the action that depends on the ends alone.
    fn work(&self, start: f64, end: f64) -> f64 {
        self.mobility * (self.potential.value(end) - self.potential.value(start)) / (2.0 * self.diffusion)
    }

    /// The path of least action from `start` to `end` in `steps` ≥ 2 steps of `dt`: Newton's method on the tridiagonal
    /// system, with a diagonal added where the second variation is not positive, from the straight line.
    pub fn instanton(
        &self,
        start: f64,
        end: f64,
        steps: usize,
        dt: f64,
    ) -> Result<Instanton, InstantonError> {
        let line = |i: usize| start + (end - start) * i as f64 / steps as f64;
        let mut path: Vec<f64> = (0..=steps).map(|i| if i == steps { end } else { line(i) }).collect();
        let slope = self.effective.derivative();
        let curvature = slope.derivative();
        let off = -1.0 / (2.0 * self.diffusion * dt);
        let gradient = |path: &[f64]| -> Vec<f64> {
            path.windows(3).map(|x| off * (x[0] - 2.0 * x[1] + x[2]) + dt * slope.value(x[1])).collect()
        };
        // Relative to the differences' own rounding, which is what limits the residual.
        let size = |path: &[f64]| path.iter().fold(0.0, |largest: f64, x| largest.max(x.abs())) * off.abs();
        let residual = |path: &[f64]| {
            gradient(path).iter().fold(0.0, |largest: f64, g| largest.max(g.abs())) / size(path)
        };
        let second = |path: &[f64], extra: f64| -> Option<Cholesky> {
            let diagonal: Vec<f64> =
                path[1..steps].iter().map(|&x| -2.0 * off + dt * curvature.value(x) + extra).collect();
            Cholesky::new(&diagonal, off)
        };
        let mut extra = 0.0;
        let mut action = self.action(&path, dt);
        for iterations in 0..500 {
            let undamped = second(&path, 0.0);
            if let (Some(second_variation), true) = (&undamped, residual(&path) < TOLERANCE) {
                let second_variation = second_variation.clone();
                // One more step takes what the tolerance leaves.
                let step = second_variation.solve(&gradient(&path));
                path[1..steps].iter_mut().zip(&step).for_each(|(x, dx)| *x -= dx);
                return Ok(Instanton { action: self.action(&path, dt), path, second_variation, iterations });
            }
            let Some(factor) = (if extra == 0.0 { undamped } else { second(&path, extra) }) else {
                extra = (2.0 * extra).max(-0.01 * off);
                continue;
            };
            let step = factor.solve(&gradient(&path));
            let mut trial = path.clone();
            trial[1..steps].iter_mut().zip(&step).for_each(|(x, dx)| *x -= dx);
            let there = self.action(&trial, dt);
            if there.is_finite() && there <= action + 1e-12 * action.abs() {
                (path, action) = (trial, there);
                extra = if extra < -1e-6 * off { 0.0 } else { 0.25 * extra };
            } else {
                extra = (4.0 * extra).max(-0.01 * off);
            }
        }
        Err(InstantonError::NotConverged { start, end, steps, residual: residual(&path) })
    }

    /// The same path in the continuum: ẋ = ±√((μF)² + 2DμF' + E) = ±√(4D U + E), E fixed by the time T = N δt, positions by
    /// Runge–Kutta. For paths that do not turn back.
    pub fn closed_form(
        &self,
        start: f64,
        end: f64,
        steps: usize,
        dt: f64,
    ) -> Result<ClosedForm, InstantonError> {
        let time = dt * steps as f64;
        let square = self.effective.scaled(4.0 * self.diffusion);
        let rule = GaussLegendre::new(12);
        const PANELS: usize = 400;
        let width = (end - start) / PANELS as f64;
        let integral = |f: &dyn Fn(f64) -> f64| -> f64 {
            let panel = |k: usize| -> f64 {
                let middle = start + width * (k as f64 + 0.5);
                rule.nodes.iter().zip(&rule.weights).map(|(x, w)| w * f(middle + 0.5 * width * x)).sum()
            };
            0.5 * width.abs() * (0..PANELS).map(panel).sum::<f64>()
        };
        let transit = |constant: f64| integral(&|x| 1.0 / (square.value(x) + constant).sqrt());
        // The least constant for which the speed is real all the way, and one that is fast enough.
        let points = 20 * PANELS;
        let lowest = (0..=points)
            .map(|k| square.value(start + (end - start) * k as f64 / points as f64))
            .fold(f64::INFINITY, f64::min);
        let scale = ((end - start) / time) * ((end - start) / time);
        let mut low = -lowest + 1e-9 * (scale + lowest.abs());
        let longest = transit(low);
        if longest.is_nan() || longest < time {
            return Err(InstantonError::TurnsBack { start, end, time, longest });
        }
        let mut high = low + scale;
        while transit(high) > time {
            high = low + 2.0 * (high - low);
        }
        for _ in 0..200 {
            let middle = 0.5 * (low + high);
            if transit(middle) > time { low = middle } else { high = middle }
        }
        let constant = 0.5 * (low + high);
        let speed = |x: f64| (square.value(x) + constant).max(0.0).sqrt() * (end - start).signum();
        let length = integral(&|x| speed(x).abs());
        let action = self.work(start, end) + length / (2.0 * self.diffusion)
            - constant * time / (4.0 * self.diffusion);
        let mut x = start;
        let mut path = vec![start];
        const SUBSTEPS: usize = 8;
        let h = dt / SUBSTEPS as f64;
        for _ in 0..steps {
            for _ in 0..SUBSTEPS {
                let k1 = speed(x);
                let k2 = speed(x + 0.5 * h * k1);
                let k3 = speed(x + 0.5 * h * k2);
                let k4 = speed(x + h * k3);
                x += h * (k1 + 2.0 * k2 + 2.0 * k3 + k4) / 6.0;
            }
            path.push(x);
        }
        Ok(ClosedForm { constant, action, path })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn double_well(diffusion: f64) -> OnsagerMachlup {
        OnsagerMachlup::new(Polynomial::new(&[0.25, 0.0, -0.5, 0.0, 0.25]), 1.0, diffusion)
    }

    /// By hand: V = ½x², μ = 2, D = ½: S of the straight path 0, 1, 2 in steps of ½ is
    /// work 2·2/1 + squares 2/(4·½·½) + ½ (½ U(0) + U(1) + ½ U(2)), U = 2x² − 1.
    #[test]
    fn action_by_hand() {
        let motion = OnsagerMachlup::new(Polynomial::new(&[0.0, 0.0, 0.5]), 2.0, 0.5);
        assert!(
            (motion.action(&[0.0, 1.0, 2.0], 0.5) - (4.0 + 2.0 + 0.5 * (-0.5 + 1.0 + 3.5))).abs() < 1e-14
        );
    }

    /// The instanton of the double well against its closed form: the trapezoidal rule errs by δt²/12 times the second
    /// derivatives, here below 1e-5 of the action; the path meets x(t) as well, and it is stationary.
    #[test]
    fn instanton_and_closed_form() {
        for (diffusion, time) in [(0.4, 1.0), (0.1, 1.0), (0.025, 1.0), (0.1, 0.5), (0.1, 3.0)] {
            let (steps, motion) = (400, double_well(diffusion));
            let dt = time / steps as f64;
            let found = motion.instanton(-1.0, 1.0, steps, dt).unwrap();
            let closed = motion.closed_form(-1.0, 1.0, steps, dt).unwrap();
            assert!(
                (found.action / closed.action - 1.0).abs() < 1e-4,
                "{diffusion} {time}: {found:?} {closed:?}"
            );
            assert!((closed.path[steps] - 1.0).abs() < 1e-6);
            for (x, exact) in found.path.iter().zip(&closed.path) {
                assert!((x - exact).abs() < 1e-4);
            }
            for i in (1..steps).step_by(37) {
                for h in [1e-3, -1e-3] {
                    let mut path = found.path.clone();
                    path[i] += h;
                    assert!(motion.action(&path, dt) > found.action);
                }
            }
        }
    }

    /// A harmonic well: the instanton is a sum of sinh with the rate k = μ V'', the action (b e^{kT/2} − a e^{−kT/2})²/(…) in
    /// closed form: S = k (b − a e^{−kT})²/(2D (1 − e^{−2kT})) − kT/2.
    #[test]
    fn harmonic_well() {
        let (k, diffusion, time, a, b) = (1.5, 0.3, 2.0, 0.5, 1.2);
        let motion = OnsagerMachlup::new(Polynomial::new(&[0.0, 0.0, 0.5 * k]), 1.0, diffusion);
        let decay = libm::exp(-k * time);
        let gap = b - a * decay;
        let exact = k * gap * gap / (2.0 * diffusion * (1.0 - decay * decay)) - 0.5 * k * time;
        let found = motion.instanton(a, b, 1000, time / 1000.0).unwrap();
        assert!((found.action - exact).abs() < 1e-5, "{} {exact}", found.action);
        // This path falls towards the bottom and climbs again, which the closed form refuses.
        let refused = motion.closed_form(a, b, 1000, time / 1000.0);
        assert!(matches!(refused, Err(InstantonError::TurnsBack { .. })), "{refused:?}");
        let short = motion.closed_form(a, b, 100, 0.005).unwrap();
        assert!((short.action / motion.instanton(a, b, 100, 0.005).unwrap().action - 1.0).abs() < 1e-5);
    }
}
