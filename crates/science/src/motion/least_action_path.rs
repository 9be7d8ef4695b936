//! The path of least action between two given ends: the discrete Euler–Lagrange equations of the trapezoidal action,
//! `m (f_{i+1} − 2 f_i + f_{i−1}) / δt² = −V'(f_i)`, solved by Newton's method on the tridiagonal system, the potential
//! being turned on by degrees where the full problem does not converge at once.

use super::action::Motion;

/// A path at which the action is stationary.
#[derive(Debug, Clone, PartialEq)]
pub struct LeastActionPath {
    /// f_0 = a, …, f_N = b.
    pub path: Vec<f64>,
    /// The largest residual of an Euler–Lagrange equation, relative to the largest of its terms.
    pub residual: f64,
    /// Newton steps taken, over all degrees of the potential.
    pub iterations: usize,
    /// Whether the second variation of the action is positive, so that the stationary path is a minimum. It is lost
    /// beyond the first conjugate point, ω T = π in a harmonic potential.
    pub minimum: bool,
}

/// Why there is no path.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PathError {
    #[error(
        "no path of stationary action from {start} to {end} in {steps} steps was found (relative residual \
         {residual:.1e}): shorten the time or weaken the potential"
    )]
    NotConverged { start: f64, end: f64, steps: usize, residual: f64 },
}

/// What counts as stationary, relative to the largest term of each equation.
const TOLERANCE: f64 = 1e-9;

/// The least-action path from `start` to `end` in `steps` ≥ 1 steps.
pub fn least_action_path(
    motion: &Motion,
    start: f64,
    end: f64,
    steps: usize,
) -> Result<LeastActionPath, PathError> {
    let straight: Vec<f64> = (0..=steps)
        .map(|i| {
            let part = i as f64 / steps as f64;
            if i == steps { end } else { start + (end - start) * part }
        })
        .collect();
    let mut iterations = 0;
    // The whole potential at once, else in 4, 16 and 64 equal degrees.
    let mut worst = f64::INFINITY;
    for degrees in [1u32, 4, 16, 64] {
        let mut path = straight.clone();
        let mut done = true;
        for degree in 1..=degrees {
            let part =
                Motion { system: motion.system.scaled(f64::from(degree) / f64::from(degrees)), ..*motion };
            let (residual, count) = newton(&part, &mut path);
            iterations += count;
            if residual.is_nan() || residual > TOLERANCE {
                worst = residual;
                done = false;
                break;
            }
            worst = residual;
        }
        if done {
            let minimum = is_minimum(motion, &path);
            return Ok(LeastActionPath { path, residual: worst, iterations, minimum });
        }
    }
    Err(PathError::NotConverged { start, end, steps, residual: worst })
}

/// The residual of equation i and the size of its largest term.
fn equation(motion: &Motion, path: &[f64], i: usize) -> (f64, f64) {
    let stiffness = motion.mass / (motion.dt * motion.dt);
    let slope = motion.system.slope(path[i]);
    let residual = stiffness * (path[i + 1] - 2.0 * path[i] + path[i - 1]) + slope;
    let largest = path[i + 1].abs().max(2.0 * path[i].abs()).max(path[i - 1].abs());
    (residual, (stiffness * largest).max(slope.abs()))
}

/// The largest relative residual.
pub fn residual(motion: &Motion, path: &[f64]) -> f64 {
    let mut worst: f64 = 0.0;
    for i in 1..path.len() - 1 {
        let (residual, size) = equation(motion, path, i);
        if residual != 0.0 {
            let relative = residual.abs() / size;
            worst = if relative.is_nan() { f64::INFINITY } else { worst.max(relative) };
        }
    }
    worst
}

/// Newton's method with step halving; returns the last relative residual and the number of steps.
fn newton(motion: &Motion, path: &mut Vec<f64>) -> (f64, usize) {
    let norm = |path: &[f64]| -> f64 {
        (1..path.len() - 1).map(|i| equation(motion, path, i).0).map(|r| r * r).sum()
    };
    let mut now = norm(path);
    let mut count = 0;
    // Past the tolerance the steps go on until they bring nothing, so the path is stationary to rounding.
    while count < 100 && now > 0.0 {
        let Some(step) = newton_step(motion, path) else { break };
        count += 1;
        let mut length = 1.0;
        let better = loop {
            let mut trial = path.clone();
            trial[1..].iter_mut().zip(&step).for_each(|(x, dx)| *x -= length * dx);
            let there = norm(&trial);
            if there < now {
                now = there;
                *path = trial;
                break true;
            }
            length *= 0.5;
            if length < 1e-6 {
                break false;
            }
        };
        if !better {
            break;
        }
    }
    (residual(motion, path), count)
}

/// Solves the tridiagonal Newton equations for the interior points; nothing where the matrix is singular.
fn newton_step(motion: &Motion, path: &[f64]) -> Option<Vec<f64>> {
    let interior = path.len() - 2;
    let off = motion.mass / (motion.dt * motion.dt);
    let mut diagonal = Vec::with_capacity(interior);
    let mut right = Vec::with_capacity(interior);
    for i in 1..=interior {
        diagonal.push(-2.0 * off + motion.system.curvature(path[i]));
        right.push(equation(motion, path, i).0);
    }
    for i in 1..interior {
        let factor = off / diagonal[i - 1];
        diagonal[i] -= factor * off;
        right[i] -= factor * right[i - 1];
    }
    for i in (0..interior).rev() {
        let next = if i + 1 < interior { off * right[i + 1] } else { 0.0 };
        right[i] = (right[i] - next) / diagonal[i];
    }
    right.iter().all(|x| x.is_finite()).then_some(right)
}

/// Whether the second variation of the action is positive definite: all pivots of its tridiagonal matrix are positive.
fn is_minimum(motion: &Motion, path: &[f64]) -> bool {
    let off = motion.mass / (motion.dt * motion.dt);
    let mut pivot = f64::INFINITY;
    path[1..path.len() - 1].iter().all(|&x| {
        pivot = 2.0 * off - motion.system.curvature(x) - off * off / pivot;
        pivot > 0.0
    })
}

#[cfg(test)]
mod tests {
    use super::super::systems::System;
    use super::super::systems::tests::ALL;
    use super::*;

    /// The action's derivative along every interior coordinate, by differences of the action itself: A is a sum of squares
    /// and smooth terms, so a central difference of step h is exact to h² and to rounding of A over h.
    #[test]
    fn the_action_is_stationary() {
        for system in ALL {
            let motion = Motion { system, mass: 1.3, dt: 0.7 };
            let found = least_action_path(&motion, -1.0, 9.0, 12).unwrap();
            assert!(found.residual < 1e-9 && found.minimum, "{system:?}: {found:?}");
            assert_eq!((found.path[0], found.path[12]), (-1.0, 9.0));
            let least = motion.action(&found.path);
            for i in 1..12 {
                let h = 1e-4;
                let shifted = |h: f64| {
                    let mut path = found.path.clone();
                    path[i] += h;
                    motion.action(&path)
                };
                let slope = (shifted(h) - shifted(-h)) / (2.0 * h);
                assert!(slope.abs() < 1e-8, "{system:?} at {i}: {slope}");
                assert!(shifted(0.1) > least && shifted(-0.1) > least);
            }
        }
    }

    /// Closed forms of the discrete equations: a straight line, a parabola, and sines of the discrete frequency
    /// 2 arcsin(ω δt / 2) / δt.
    #[test]
    fn closed_forms() {
        let n = 10;
        let path = |system| {
            let motion = Motion { system, mass: 2.0, dt: 0.5 };
            least_action_path(&motion, 1.0, 4.0, n).unwrap().path
        };
        let (free, falling) = (path(System::Free), path(System::ConstantForce { force: 0.6 }));
        let oscillator = path(System::Harmonic { stiffness: 0.5 });
        let angle = 2.0 * libm::asin(0.5 * 0.5 * 0.5);
        for i in 0..=n {
            let (t, total) = (0.5 * i as f64, 5.0);
            let line = 1.0 + 3.0 * t / total;
            assert!((free[i] - line).abs() < 1e-12);
            assert!((falling[i] - (line + 0.5 * 0.3 * t * (total - t))).abs() < 1e-12);
            let sines = (libm::sin(angle * (n - i) as f64) + 4.0 * libm::sin(angle * i as f64))
                / libm::sin(angle * n as f64);
            assert!((oscillator[i] - sines).abs() < 1e-12);
        }
    }

    /// Beyond ω T = π the stationary path is no minimum.
    #[test]
    fn conjugate_point() {
        let minimum = |stiffness| {
            let motion = Motion { system: System::Harmonic { stiffness }, mass: 1.0, dt: 0.01 };
            least_action_path(&motion, 0.0, 1.0, 100).unwrap().minimum
        };
        assert!(minimum(3.1 * 3.1));
        assert!(!minimum(3.2 * 3.2));
    }
}
