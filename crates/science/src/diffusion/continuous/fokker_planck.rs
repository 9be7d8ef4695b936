//! The density q^h of the reverse process in one dimension, on a grid that moves with the probability flow.
//!
//! In the frame of the flow only the part of order h is left of the Fokker–Planck equation: the mass of a cell changes by
//! the flux (h/2) g² (s q − ∂q/∂x) through its ends. So h = 0 is exact but for the flow's own integration, there is no
//! numerical diffusion at small h, and with the exact score the flux vanishes. The flux is that of Scharfetter and Gummel (1969),
//! the time steps an implicit, L-stable Runge–Kutta method of order 2 (Alexander 1977).

use super::mixture::Mixture;
use super::score::Score;
use super::sde::Sde;
use crate::nn::kernels::lane::{LANES, Lane};
use onsager_numerics::statistics::normal_cdf;
use rayon::prelude::*;

/// The grid: equal cells between two ends at t_min, and equal steps of t.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid {
    pub low: f64,
    pub high: f64,
    pub cells: usize,
    pub steps: usize,
}

/// q^h at t_min.
#[derive(Debug, Clone, PartialEq)]
pub struct GridDensity {
    pub h: f64,
    /// ln of the mean density of each cell.
    pub log_density: Vec<f64>,
    /// The mass that starts, and stays, outside of the grid.
    pub outside: f64,
    grid: Grid,
}

/// The diagonal coefficient of the time step.
const GAMMA: f64 = 1.0 - std::f64::consts::FRAC_1_SQRT_2;

/// q^h for each of these h, from the density `terminal` at t_max.
pub fn densities(
    score: &impl Score<1>,
    sde: &Sde,
    terminal: &Mixture<1>,
    grid: Grid,
    hs: &[f64],
) -> Vec<GridDensity> {
    let levels = Levels::new(score, sde, grid);
    let start: Vec<f64> =
        levels.edges[2 * grid.steps].windows(2).map(|e| mass(terminal, e[0], e[1])).collect();
    let outside = 1.0 - start.iter().sum::<f64>();
    hs.par_iter()
        .map(|&h| {
            let mut masses = start.clone();
            for step in (0..grid.steps).rev() {
                levels.advance(sde, h, step, &mut masses);
            }
            let width = (grid.high - grid.low) / grid.cells as f64;
            let log_density = masses.iter().map(|&m| libm::log(m.max(f64::MIN_POSITIVE) / width)).collect();
            GridDensity { h, log_density, outside, grid }
        })
        .collect()
}

impl GridDensity {
    /// ln q^h(x) by cubic interpolation between the cells; `None` off the grid.
    pub fn at(&self, x: f64) -> Option<f64> {
        let place = (x - self.grid.low) / (self.grid.high - self.grid.low) * self.grid.cells as f64 - 0.5;
        let i = place.floor();
        if !(i >= 1.0 && i + 2.0 < self.grid.cells as f64) {
            return None;
        }
        let (u, [a, b, c, d]) = (place - i, std::array::from_fn(|k| self.log_density[i as usize - 1 + k]));
        let slopes = [0.5 * (c - a), 0.5 * (d - b)];
        let (end, rest) = (c - b - slopes[0], slopes[1] - 2.0 * (c - b) + slopes[0]);
        Some(b + u * (slopes[0] + u * (end + (u - 1.0) * rest)))
    }
}

/// The mass of a mixture between two points.
fn mass(of: &Mixture<1>, low: f64, high: f64) -> f64 {
    let between = |c: &super::mixture::Component<1>| {
        let [a, b] = [low, high].map(|x| (x - c.mean[0]) / c.variance.sqrt());
        // Differences of small tails, not of numbers near 1.
        let tail = if a > 0.0 { normal_cdf(-a) - normal_cdf(-b) } else { normal_cdf(b) - normal_cdf(a) };
        c.weight * tail
    };
    of.components.iter().map(between).sum()
}

/// The moving edges of the cells and the score there, at every time that a step needs: `t_min + (k + 1) dt` less
/// γ dt at 2k + 1, and `t_min + k dt` at 2k.
struct Levels {
    times: Vec<f64>,
    dt: f64,
    edges: Vec<Vec<f64>>,
    scores: Vec<Vec<f64>>,
}

impl Levels {
    fn new(score: &impl Score<1>, sde: &Sde, grid: Grid) -> Levels {
        let (t_min, t_max) = sde.times();
        let dt = (t_max - t_min) / grid.steps as f64;
        let time = |level: usize| {
            let k = level.div_ceil(2) as f64;
            t_min + dt * if level.is_multiple_of(2) { k } else { k - GAMMA }
        };
        let times: Vec<f64> = (0..=2 * grid.steps).map(time).collect();
        let edge = |i: usize| grid.low + (grid.high - grid.low) * i as f64 / grid.cells as f64;
        let starts: Vec<Lane> = (0..=grid.cells)
            .step_by(LANES)
            .map(|first| Lane(std::array::from_fn(|i| edge((first + i).min(grid.cells)))))
            .collect();
        // Eight edges at all levels, with their scores.
        let groups: Vec<Vec<[Lane; 2]>> = starts
            .into_par_iter()
            .map(|mut x| {
                let s = |t: f64, x: Lane| score.score(Lane::splat(t), [x])[0];
                let slope = |t: f64, x: Lane| sde.drift(t) * x - 0.5 * sde.diffusion(t) * s(t, x);
                let mut levels = vec![[x, s(times[0], x)]];
                for pair in times.windows(2) {
                    let (t, step) = (pair[0], pair[1] - pair[0]);
                    let a = slope(t, x);
                    let b = slope(t + 0.5 * step, x + 0.5 * step * a);
                    let c = slope(t + 0.5 * step, x + 0.5 * step * b);
                    let d = slope(pair[1], x + step * c);
                    x += step / 6.0 * (a + 2.0 * (b + c) + d);
                    levels.push([x, s(pair[1], x)]);
                }
                levels
            })
            .collect();
        let column = |level: usize, which: usize| -> Vec<f64> {
            let all = groups.iter().flat_map(|group| group[level][which].0);
            all.take(grid.cells + 1).collect()
        };
        let edges = (0..times.len()).map(|level| column(level, 0)).collect();
        let scores = (0..times.len()).map(|level| column(level, 1)).collect();
        Levels { times, dt, edges, scores }
    }

    /// From t_min + (step + 1) dt to t_min + step dt.
    fn advance(&self, sde: &Sde, h: f64, step: usize, masses: &mut [f64]) {
        let before = masses.to_vec();
        self.solve(sde, h, 2 * step + 1, masses);
        for (m, before) in masses.iter_mut().zip(&before) {
            *m = before + (1.0 - GAMMA) / GAMMA * (*m - before);
        }
        self.solve(sde, h, 2 * step, masses);
    }

    /// Solves (I − γ dt A) y = masses with the operator A of this level, in place (Thomas's algorithm; the matrix is an
    /// M-matrix, so no pivoting is needed).
    fn solve(&self, sde: &Sde, h: f64, level: usize, masses: &mut [f64]) {
        let (edges, scores) = (&self.edges[level], &self.scores[level]);
        let n = masses.len();
        let scale = GAMMA * self.dt * 0.5 * h * sde.diffusion(self.times[level]);
        let width = |j: usize| edges[j + 1] - edges[j];
        // What flows over edge j per unit of the masses of the cells on its left and on its right.
        let flow = |j: usize| {
            let distance = 0.5 * (edges[j + 1] - edges[j - 1]);
            let rise = scores[j] * distance;
            let rate = scale / distance;
            [rate * bernoulli(-rise) / width(j - 1), rate * bernoulli(rise) / width(j)]
        };
        let mut upper = vec![0.0; n];
        let mut from_left = [0.0; 2];
        for j in 0..n {
            let to_right = if j + 1 < n { flow(j + 1) } else { [0.0; 2] };
            let lower = -from_left[0];
            let mut pivot = 1.0 + from_left[1] + to_right[0];
            if j > 0 {
                pivot -= lower * upper[j - 1];
                masses[j] -= lower * masses[j - 1];
            }
            upper[j] = -to_right[1] / pivot;
            masses[j] /= pivot;
            from_left = to_right;
        }
        for j in (0..n - 1).rev() {
            masses[j] -= upper[j] * masses[j + 1];
        }
    }
}

/// z/(e^z − 1).
fn bernoulli(z: f64) -> f64 {
    if z.abs() < 1e-12 { 1.0 - 0.5 * z } else { z / libm::expm1(z) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::continuous::linear_control::LinearControl;
    use crate::diffusion::continuous::mixture::{Component, MixtureScore};
    use crate::diffusion::continuous::ode::Tolerance;
    use crate::diffusion::continuous::sde::Simple;
    use crate::diffusion::continuous::wkb::likelihoods;

    const SDE: Sde = Sde::Simple(Simple { t_min: 0.01, t_max: 1.0 });
    const GRID: Grid = Grid { low: -3.0, high: 3.0, cells: 600, steps: 300 };

    fn two_spots(error: f64) -> MixtureScore<1> {
        let spot = |weight, x, variance| Component { weight, mean: [x], variance };
        let data = Mixture { components: vec![spot(0.6, -0.7, 0.1), spot(0.4, 0.8, 0.2)] };
        MixtureScore { data, sde: SDE, error }
    }

    /// The imperfect linear score leads to the normal law of the closed form. A cell of width w averages the
    /// density, which adds w²/24 · (ln q)'² to its logarithm; the steps leave 3e-4.
    #[test]
    fn linear_score() {
        let control = LinearControl { variance: 0.5, error: 0.2, sde: SDE };
        let score = MixtureScore { data: Mixture::normal(0.5), sde: SDE, error: 0.2 };
        for q in densities(&score, &SDE, &Mixture::normal(1.0), GRID, &[0.0, 0.1, 1.0, 2.0]) {
            let exact = Mixture::<1>::normal(control.reverse_variance(q.h));
            for x in [-1.0, -0.33, 0.0, 0.7] {
                let (found, exact) = (q.at(x).unwrap(), exact.log_density([x]));
                let average = 1e-4 / 24.0 * (x / control.reverse_variance(q.h)).powi(2);
                assert!((found - exact).abs() < 3e-4 + 2.0 * average, "{} {x}: {found} {exact}", q.h);
            }
            assert!(q.outside < 1e-3 && q.at(5.0).is_none());
        }
    }

    /// With the exact score and the exact terminal density, every h has the density of the data.
    #[test]
    fn exact_score_is_the_same_for_every_h() {
        let score = two_spots(0.0);
        let (start, end) = (score.data.at(&SDE, 1.0), score.data.at(&SDE, 0.01));
        for q in densities(&score, &SDE, &start, GRID, &[0.0, 0.5, 2.0]) {
            for x in [-1.2, -0.7, 0.05, 0.8, 1.3] {
                assert!((q.at(x).unwrap() - end.log_density([x])).abs() < 1e-3, "{} {x}", q.h);
            }
        }
    }

    /// The derivative of ln q^h by h at h = 0 is ℓ1 (forward difference of second order; error ~ h² of the third coefficient).
    #[test]
    fn derivative_by_h_is_the_correction() {
        let score = two_spots(0.1);
        let start = Mixture::normal(1.0);
        let h = 0.002;
        let q = densities(&score, &SDE, &start, GRID, &[0.0, h, 2.0 * h]);
        let points = [[-1.0], [-0.6], [0.3], [1.0]];
        let tolerance = Tolerance { absolute: 1e-9, relative: 1e-9 };
        for (x, exact) in points.iter().zip(likelihoods(&score, &SDE, &start, &points, tolerance)) {
            let exact = exact.unwrap();
            let at = |i: usize| q[i].at(x[0]).unwrap();
            let slope = (4.0 * at(1) - 3.0 * at(0) - at(2)) / (2.0 * h);
            assert!((at(0) - exact.order_0).abs() < 1e-3, "{x:?}: {} {exact:?}", at(0));
            assert!(
                (slope - exact.order_1).abs() < 0.01 * (1.0 + exact.order_1.abs()),
                "{x:?}: {slope} {exact:?}"
            );
        }
    }
}
