//! Ordinary differential equations whose coefficients depend on time alone and are dear: each is evaluated once, at a node of a
//! mesh, for many trajectories together.
//!
//! A step takes the classical Runge–Kutta method of order 4 once over the whole and twice over its halves, which need the
//! coefficients at five equal distances; the difference is the error, and is taken off (Richardson's extrapolation). A step
//! with too large an error is halved, and three of the five nodes of each half are known.

use super::ode::{Arrival, OdeError, Tolerance};
use onsager_numerics::arithmetic::square;

/// Where coefficients are wanted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Node {
    pub trajectory: usize,
    pub t: f64,
}

/// The most steps of a trajectory, those that were halved included.
const ATTEMPTS: u32 = 10_000;

/// A step with its nodes, by their places in the table.
#[derive(Debug, Clone, Copy)]
struct Step {
    from: f64,
    to: f64,
    nodes: [usize; 5],
}

/// A trajectory under way.
#[derive(Debug)]
struct Trip<const M: usize> {
    y: [f64; M],
    /// The steps to come, the next one last.
    waiting: Vec<Step>,
    steps: u32,
    rejected: u32,
    lost: Option<OdeError>,
}

/// Coefficients that are known, and the nodes of those that are wanted next.
struct Table<N> {
    known: Vec<N>,
    wanted: Vec<Node>,
}

impl<N> Table<N> {
    /// The place that the coefficients will have.
    fn want(&mut self, trajectory: usize, t: f64) -> usize {
        self.wanted.push(Node { trajectory, t });
        self.known.len() + self.wanted.len() - 1
    }

    /// The step between two known or wanted ends.
    fn step(
        &mut self,
        trajectory: usize,
        [from, to]: [f64; 2],
        [first, middle, last]: [Option<usize>; 3],
    ) -> Step {
        let at = |part: f64| from + part * (to - from);
        let nodes = [
            first.unwrap_or_else(|| self.want(trajectory, from)),
            self.want(trajectory, at(0.25)),
            middle.unwrap_or_else(|| self.want(trajectory, at(0.5))),
            self.want(trajectory, at(0.75)),
            last.unwrap_or_else(|| self.want(trajectory, to)),
        ];
        Step { from, to, nodes }
    }
}

/// Follows ẏ = slope(coefficients, y) from every start along its mesh of times, from the first to the last, with steps no longer than the
/// mesh's. `tabulate` gives the coefficients at nodes. A trajectory that cannot be followed leaves the others alone. Of the M components of y,
/// `used` are in use, and the others stay 0.
pub fn solve_tabulated<N, const M: usize>(
    meshes: &[Vec<f64>],
    starts: &[[f64; M]],
    tabulate: impl Fn(&[Node]) -> Vec<N>,
    slope: impl Fn(&N, &[f64; M]) -> [f64; M],
    used: usize,
    tolerance: Tolerance,
) -> Vec<Result<Arrival<M>, OdeError>> {
    let mut table = Table { known: Vec::new(), wanted: Vec::new() };
    let mut trips: Vec<Trip<M>> = Vec::new();
    for (trajectory, (mesh, &y)) in meshes.iter().zip(starts).enumerate() {
        let mut waiting = Vec::new();
        let mut first = None;
        for ends in mesh.windows(2) {
            let step = table.step(trajectory, [ends[0], ends[1]], [first, None, None]);
            first = Some(step.nodes[4]);
            waiting.push(step);
        }
        waiting.reverse();
        trips.push(Trip { y, waiting, steps: 0, rejected: 0, lost: None });
    }
    while !table.wanted.is_empty() {
        let wanted = std::mem::take(&mut table.wanted);
        table.known.append(&mut tabulate(&wanted));
        for (trajectory, trip) in trips.iter_mut().enumerate() {
            // Until it arrives, or needs nodes that are not known yet.
            while let Some(step) = trip.waiting.pop() {
                let n = step.nodes.map(|node| &table.known[node]);
                let size = step.to - step.from;
                let whole = runge_kutta(&slope, [n[0], n[2], n[4]], size, &trip.y);
                let half = runge_kutta(&slope, [n[0], n[1], n[2]], 0.5 * size, &trip.y);
                let fine = runge_kutta(&slope, [n[2], n[3], n[4]], 0.5 * size, &half);
                let error: [f64; M] = std::array::from_fn(|m| (fine[m] - whole[m]) / 15.0);
                let scaled = |m: usize| {
                    error[m] / (tolerance.absolute + tolerance.relative * trip.y[m].abs().max(fine[m].abs()))
                };
                let mean = (0..M).map(|m| square(scaled(m))).sum::<f64>() / used as f64;
                if mean <= 1.0 {
                    trip.y = std::array::from_fn(|m| fine[m] + error[m]);
                    trip.steps += 1;
                    continue;
                }
                trip.rejected += 1;
                let span = meshes[trajectory].last().unwrap_or(&step.to) - meshes[trajectory][0];
                if size.abs() < 1e-13 * span.abs() || trip.steps + trip.rejected > ATTEMPTS {
                    trip.lost = Some(OdeError { t: step.from });
                    trip.waiting.clear();
                    break;
                }
                let middle = 0.5 * (step.from + step.to);
                let [a, b, c, d, e] = step.nodes.map(Some);
                let second = table.step(trajectory, [middle, step.to], [c, d, e]);
                let first = table.step(trajectory, [step.from, middle], [a, b, c]);
                trip.waiting.extend([second, first]);
                break;
            }
        }
    }
    let arrival = |trip: Trip<M>| match trip.lost {
        Some(error) => Err(error),
        None => Ok(Arrival { y: trip.y, steps: trip.steps, rejected: trip.rejected }),
    };
    trips.into_iter().map(arrival).collect()
}

/// A step of the classical method, with the coefficients at its beginning, middle and end.
fn runge_kutta<N, const M: usize>(
    slope: &impl Fn(&N, &[f64; M]) -> [f64; M],
    [first, middle, last]: [&N; 3],
    size: f64,
    y: &[f64; M],
) -> [f64; M] {
    let from = |slope: &[f64; M], part: f64| std::array::from_fn(|m| y[m] + part * size * slope[m]);
    let a = slope(first, y);
    let b = slope(middle, &from(&a, 0.5));
    let c = slope(middle, &from(&b, 0.5));
    let d = slope(last, &from(&c, 1.0));
    std::array::from_fn(|m| y[m] + size / 6.0 * (a[m] + 2.0 * (b[m] + c[m]) + d[m]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// y' = y cos t from starts with different meshes, forth: y = y_0 exp(sin t), to the tolerance of each of the steps; and back to
    /// where it began. Every node is evaluated once.
    #[test]
    fn known_solution() {
        let tolerance = Tolerance { absolute: 1e-10, relative: 1e-10 };
        let nodes = std::cell::RefCell::new(Vec::new());
        let cosines = |wanted: &[Node]| {
            nodes.borrow_mut().extend(wanted.iter().map(|node| (node.trajectory, node.t.to_bits())));
            wanted.iter().map(|node| libm::cos(node.t)).collect::<Vec<f64>>()
        };
        let slope = |c: &f64, y: &[f64; 2]| [y[0] * c, 0.0];
        let meshes = [vec![0.0, 4.0], vec![0.0, 0.1, 1.7, 4.0]];
        let there = solve_tabulated(&meshes, &[[1.5, 0.0], [-2.0, 0.0]], cosines, slope, 1, tolerance);
        let mut ends = Vec::new();
        for (arrival, start) in there.into_iter().zip([1.5, -2.0]) {
            let arrival = arrival.unwrap();
            assert!((arrival.y[0] - start * 4f64.sin().exp()).abs() < 1e-9, "{arrival:?}");
            assert!(arrival.steps < 100 && arrival.rejected > 0, "{arrival:?}");
            ends.push(arrival.y);
        }
        let mut seen = nodes.borrow().clone();
        seen.sort_unstable();
        let count = seen.len();
        seen.dedup();
        assert_eq!(seen.len(), count);
        let turned = meshes.map(|mut mesh| {
            mesh.reverse();
            mesh
        });
        for (back, start) in
            solve_tabulated(&turned, &ends, cosines, slope, 1, tolerance).into_iter().zip([1.5, -2.0])
        {
            assert!((back.unwrap().y[0] - start).abs() < 1e-8);
        }
    }

    /// The extrapolated step is of order 5: the number of steps grows as tolerance^(−1/5).
    #[test]
    fn order() {
        let steps = |tolerance: f64| {
            let cosines = |wanted: &[Node]| wanted.iter().map(|n| libm::cos(9.0 * n.t)).collect::<Vec<f64>>();
            let tolerance = Tolerance { absolute: tolerance, relative: tolerance };
            let found = solve_tabulated(
                &[vec![0.0, 20.0]],
                &[[1.0]],
                cosines,
                |c: &f64, y: &[f64; 1]| [y[0] * c],
                1,
                tolerance,
            );
            f64::from(found[0].unwrap().steps)
        };
        let ratio = steps(1e-11) / steps(1e-6);
        assert!((7.0..14.0).contains(&ratio), "{ratio}");
    }

    /// A coefficient that is no number is an error of its trajectory alone.
    #[test]
    fn a_singularity_is_an_error() {
        let inverse = |wanted: &[Node]| {
            wanted
                .iter()
                .map(|n| if n.trajectory == 0 { 1.0 } else { 1.0 / (n.t - 1.0) })
                .collect::<Vec<f64>>()
        };
        let tolerance = Tolerance { absolute: 1e-8, relative: 1e-8 };
        let mesh = vec![0.0, 2.0];
        let found = solve_tabulated(
            &[mesh.clone(), mesh],
            &[[1.0], [1.0]],
            inverse,
            |c: &f64, _: &[f64; 1]| [*c],
            1,
            tolerance,
        );
        assert!((found[0].unwrap().y[0] - 3.0).abs() < 1e-12);
        assert!((found[1].unwrap_err().t - 1.0).abs() < 1e-6);
    }
}
