//! Ordinary differential equations by the embedded Runge–Kutta pair 5(4) of Dormand and Prince (1980), with error control.
//!
//! Eight trajectories run side by side, each with its own time and step; one that arrives makes room for the next. So the
//! result of a trajectory does not depend on the others.

use crate::nn::kernels::lane::{LANES, Lane};

/// The error that a step may make: absolute + relative · |y|, as the root mean square over the components (Hairer, Nørsett and
/// Wanner, Solving Ordinary Differential Equations I, eq. II.4.11).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    pub absolute: f64,
    pub relative: f64,
}

/// Where a trajectory arrived.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arrival<const M: usize> {
    pub y: [f64; M],
    /// Steps that were taken, and steps that were tried again with a smaller size.
    pub steps: u32,
    pub rejected: u32,
}

/// Why a trajectory does not arrive.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("the trajectory cannot be followed beyond t = {t}: its steps become too small or too many")]
pub struct OdeError {
    pub t: f64,
}

/// The most attempts of a step.
const ATTEMPTS: u32 = 10_000;

/// Nodes, stages and the two solutions' difference of the pair.
const C: [f64; 7] = [0.0, 1.0 / 5.0, 3.0 / 10.0, 4.0 / 5.0, 8.0 / 9.0, 1.0, 1.0];
const A: [[f64; 6]; 7] = [
    [0.0; 6],
    [1.0 / 5.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    [3.0 / 40.0, 9.0 / 40.0, 0.0, 0.0, 0.0, 0.0],
    [44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0, 0.0, 0.0, 0.0],
    [19372.0 / 6561.0, -25360.0 / 2187.0, 64448.0 / 6561.0, -212.0 / 729.0, 0.0, 0.0],
    [9017.0 / 3168.0, -355.0 / 33.0, 46732.0 / 5247.0, 49.0 / 176.0, -5103.0 / 18656.0, 0.0],
    [35.0 / 384.0, 0.0, 500.0 / 1113.0, 125.0 / 192.0, -2187.0 / 6784.0, 11.0 / 84.0],
];
const E: [f64; 7] =
    [71.0 / 57600.0, 0.0, -71.0 / 16695.0, 71.0 / 1920.0, -17253.0 / 339200.0, 22.0 / 525.0, -1.0 / 40.0];

/// The stages' weights in the fifth term of the dense output (Hairer, Nørsett and Wanner, section II.6).
const DENSE: [f64; 7] = [
    -12715105075.0 / 11282082432.0,
    0.0,
    87487479700.0 / 32700410799.0,
    -10690763975.0 / 1880347072.0,
    701980252875.0 / 199316789632.0,
    -1453857185.0 / 822651844.0,
    69997945.0 / 29380423.0,
];

/// A step of a trajectory, from `t` to `t + step`, with the solution in between.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Piece<const M: usize> {
    pub t: f64,
    pub step: f64,
    terms: [[f64; M]; 5],
}

impl<const M: usize> Piece<M> {
    /// y at a time of the step, to the fourth order.
    pub fn at(&self, t: f64) -> [f64; M] {
        let (on, back) = ((t - self.t) / self.step, (self.t + self.step - t) / self.step);
        let [a, b, c, d, e] = &self.terms;
        std::array::from_fn(|m| a[m] + on * (b[m] + back * (c[m] + on * (d[m] + back * e[m]))))
    }
}

/// A trajectory under way.
#[derive(Debug, Clone, Copy)]
struct Trip {
    point: usize,
    steps: u32,
    rejected: u32,
}

/// Follows ẏ = slope(t, y) from every start at time `from` to the time `to`, which may be earlier; one that cannot be followed leaves the
/// others alone. `each` is given the steps of every start.
pub fn solve<const M: usize>(
    slope: impl Fn(Lane, &[Lane; M]) -> [Lane; M],
    from: f64,
    to: f64,
    starts: &[[f64; M]],
    tolerance: Tolerance,
    mut each: impl FnMut(usize, Piece<M>),
) -> Vec<Result<Arrival<M>, OdeError>> {
    let mut arrivals = vec![Err(OdeError { t: from }); starts.len()];
    let mut waiting = starts.iter().enumerate();
    let mut trips: [Option<Trip>; LANES] = [None; LANES];
    let (mut t, mut step, mut y) = (Lane::splat(from), Lane::ZERO, [Lane::ZERO; M]);
    let mut first = [Lane::ZERO; M];
    loop {
        // Empty places are filled; the slope there is needed before the first step.
        let mut boarded = [false; LANES];
        for i in 0..LANES {
            if trips[i].is_none()
                && let Some((point, start)) = waiting.next()
            {
                trips[i] = Some(Trip { point, steps: 0, rejected: 0 });
                boarded[i] = true;
                t[i] = from;
                (0..M).for_each(|m| y[m][i] = start[m]);
            }
        }
        if boarded.contains(&true) {
            let slope = slope(t, &y);
            for i in (0..LANES).filter(|&i| boarded[i]) {
                (0..M).for_each(|m| first[m][i] = slope[m][i]);
                step[i] = first_step(&y.map(|y| y[i]), &first.map(|f| f[i]), to - from, tolerance);
            }
        }
        if trips.iter().all(Option::is_none) {
            return arrivals;
        }
        let Attempt { y: next, slopes, error } = attempt(&slope, t, step, &y, &first, tolerance);
        for i in 0..LANES {
            let Some(trip) = &mut trips[i] else { continue };
            let scale = if error[i].is_finite() { 0.9 * libm::pow(error[i].max(1e-10), -0.2) } else { 0.0 };
            let accepted = error[i] <= 1.0;
            let reached = t[i] + step[i];
            if accepted {
                trip.steps += 1;
                let number = |x: &[Lane; M]| x.map(|x| x[i]);
                each(
                    trip.point,
                    piece(t[i], step[i], number(&y), number(&next), &slopes.map(|s| number(&s))),
                );
                t[i] = reached;
                for m in 0..M {
                    y[m][i] = next[m][i];
                    first[m][i] = slopes[6][m][i];
                }
            } else {
                trip.rejected += 1;
            }
            let left = to - t[i];
            if accepted && left.abs() <= 1e-14 * (to - from).abs() {
                let y = y.map(|y| y[i]);
                arrivals[trip.point] = Ok(Arrival { y, steps: trip.steps, rejected: trip.rejected });
                trips[i] = None;
                step[i] = 0.0;
                continue;
            }
            step[i] *= scale.clamp(0.2, 5.0);
            if step[i].abs() < 1e-13 * (to - from).abs() || trip.steps + trip.rejected > ATTEMPTS {
                arrivals[trip.point] = Err(OdeError { t: t[i] });
                trips[i] = None;
                step[i] = 0.0;
                continue;
            }
            if step[i].abs() > left.abs() {
                step[i] = left;
            }
        }
    }
}

/// A step small enough for the start: a hundredth of |y|/|ẏ|, in the largest component.
fn first_step<const M: usize>(y: &[f64; M], slope: &[f64; M], span: f64, tolerance: Tolerance) -> f64 {
    let size = |v: &[f64; M]| {
        let scaled =
            v.iter().zip(y).map(|(v, y)| v.abs() / (tolerance.absolute + tolerance.relative * y.abs()));
        scaled.fold(0.0, f64::max)
    };
    let step = 0.01 * size(y) / size(slope).max(1e-300);
    span.signum() * step.clamp(1e-6 * span.abs(), 0.1 * span.abs())
}

/// The dense output of a step from `y` to `end`.
fn piece<const M: usize>(t: f64, step: f64, y: [f64; M], end: [f64; M], slopes: &[[f64; M]; 7]) -> Piece<M> {
    let moved: [f64; M] = std::array::from_fn(|m| end[m] - y[m]);
    let bent: [f64; M] = std::array::from_fn(|m| step * slopes[0][m] - moved[m]);
    let third = std::array::from_fn(|m| moved[m] - step * slopes[6][m] - bent[m]);
    let fourth = std::array::from_fn(|m| step * (0..7).map(|j| DENSE[j] * slopes[j][m]).sum::<f64>());
    Piece { t, step, terms: [y, moved, bent, third, fourth] }
}

/// The result of one step of every trajectory.
struct Attempt<const M: usize> {
    y: [Lane; M],
    /// Those of the stages; the last is that at the new y.
    slopes: [[Lane; M]; 7],
    /// In units of the tolerance.
    error: Lane,
}

#[inline(always)]
fn attempt<const M: usize>(
    slope: &impl Fn(Lane, &[Lane; M]) -> [Lane; M],
    t: Lane,
    step: Lane,
    y: &[Lane; M],
    first: &[Lane; M],
    tolerance: Tolerance,
) -> Attempt<M> {
    let mut slopes = [*first; 7];
    let mut at = *y;
    for stage in 1..7 {
        for m in 0..M {
            let sum = (0..stage).fold(Lane::ZERO, |sum, j| sum + A[stage][j] * slopes[j][m]);
            at[m] = y[m] + step * sum;
        }
        slopes[stage] = slope(t + C[stage] * step, &at);
    }
    let mut squares = Lane::ZERO;
    for m in 0..M {
        let difference = (0..7).fold(Lane::ZERO, |sum, j| sum + E[j] * slopes[j][m]) * step;
        let size = y[m].map(f64::abs).max(at[m].map(f64::abs));
        let scaled = difference / (tolerance.absolute + tolerance.relative * size);
        squares += scaled * scaled;
    }
    Attempt { y: at, slopes, error: (squares / M as f64).map(f64::sqrt) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIGHT: Tolerance = Tolerance { absolute: 1e-11, relative: 1e-11 };

    fn arrived<const M: usize>(all: Vec<Result<Arrival<M>, OdeError>>) -> Vec<Arrival<M>> {
        all.into_iter().collect::<Result<_, _>>().unwrap()
    }

    /// y' = y cos t, z' = −z² from many starts, forth and back: y = y_0 exp(sin t), z = z_0/(1 + z_0 t). Tolerances hold per
    /// step, so ~50 steps leave up to a hundred times the tolerance. A start's result is the same alone.
    #[test]
    fn known_solutions() {
        let slope = |t: Lane, y: &[Lane; 2]| [y[0] * t.map(libm::cos), -(y[1] * y[1])];
        let starts: Vec<[f64; 2]> = (0..21).map(|i| [f64::from(i) - 3.0, 0.1 * f64::from(i)]).collect();
        let there = arrived(solve(slope, 0.0, 4.0, &starts, TIGHT, |_, _| {}));
        for (start, end) in starts.iter().zip(&there) {
            assert!((end.y[0] - start[0] * 4f64.sin().exp()).abs() < 1e-9, "{end:?}");
            assert!((end.y[1] - start[1] / (1.0 + 4.0 * start[1])).abs() < 1e-9, "{end:?}");
        }
        let ends: Vec<[f64; 2]> = there.iter().map(|end| end.y).collect();
        for (start, back) in starts.iter().zip(arrived(solve(slope, 4.0, 0.0, &ends, TIGHT, |_, _| {}))) {
            assert!((back.y[0] - start[0]).abs() < 1e-8 && (back.y[1] - start[1]).abs() < 1e-8);
        }
        assert_eq!(solve(slope, 0.0, 4.0, &starts[13..14], TIGHT, |_, _| {})[0], Ok(there[13]));
    }

    /// The pair is of order 5: the number of steps grows as tolerance^(−1/5).
    #[test]
    fn order() {
        let slope = |t: Lane, y: &[Lane; 1]| [y[0] * t.map(|t| libm::cos(9.0 * t))];
        let steps = |tolerance: f64| {
            let tolerance = Tolerance { absolute: tolerance, relative: tolerance };
            f64::from(arrived(solve(slope, 0.0, 20.0, &[[1.0]], tolerance, |_, _| {}))[0].steps)
        };
        let ratio = steps(1e-11) / steps(1e-6);
        assert!((8.0..12.5).contains(&ratio), "{ratio}");
    }

    /// y' = y² from 1 reaches infinity at t = 1.
    #[test]
    fn a_singularity_is_an_error() {
        let found = solve(|_, y: &[Lane; 1]| [y[0] * y[0]], 0.0, 2.0, &[[0.1], [1.0]], TIGHT, |_, _| {});
        assert!((found[0].unwrap().y[0] - 0.125).abs() < 1e-9);
        assert!((found[1].unwrap_err().t - 1.0).abs() < 1e-6);
    }
}
