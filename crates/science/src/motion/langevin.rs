//! Motion with dissipation: Langevin's equation, overdamped or with inertia, in steps of δt. A step's noise is normal, so the
//! probability density of a path is `exp(−S)/(s√(2π))^N` with `S = Σ (x_i − x̂_i)²/(2s²)`, x̂_i being where the step leads
//! without noise: the Onsager–Machlup action in its discrete (Itô) form, exact at any δt.

use super::systems::System;
use super::tube_integral::{Gate, ln_tube_integral, rule_for};
use onsager_numerics::random::Streams;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// How a particle moves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Dynamics {
    /// dx = μF dt + √(2D) dW: s² = 2Dδt, x̂_i = x_{i−1} + μF(x_{i−1}) δt.
    Overdamped { mobility: f64, diffusion: f64 },
    /// m dv = (F − γv) dt + √(2γkT) dW, dx = v dt. By differences of position, v_i = (x_i − x_{i−1})/δt:
    /// s² = 2γkT δt³/m², x̂_i = 2x_{i−1} − x_{i−2} + (δt²/m)(F(x_{i−1}) − γ(x_{i−1} − x_{i−2})/δt).
    Underdamped { mass: f64, friction: f64, thermal_energy: f64 },
}

/// A process in steps of `dt`, from rest at `start`; any consistent units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Langevin {
    pub system: System,
    pub dynamics: Dynamics,
    pub dt: f64,
    pub start: f64,
}

/// How many of the particles stayed in each tube.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stayed {
    pub particles: u64,
    pub tubes: Vec<u64>,
}

impl Langevin {
    /// s, the standard deviation of a step.
    pub fn deviation(&self) -> f64 {
        let dt = self.dt;
        match self.dynamics {
            Dynamics::Overdamped { diffusion, .. } => (2.0 * diffusion * dt).sqrt(),
            Dynamics::Underdamped { mass, friction, thermal_energy } => {
                (2.0 * friction * thermal_energy * dt * dt * dt).sqrt() / mass
            }
        }
    }

    /// x̂: where the step from `now` leads without noise, after `before`.
    pub fn drifted(&self, before: f64, now: f64) -> f64 {
        let force = -self.system.slope(now);
        match self.dynamics {
            Dynamics::Overdamped { mobility, .. } => now + mobility * force * self.dt,
            Dynamics::Underdamped { mass, friction, .. } => {
                let step = now - before;
                now + step + self.dt / mass * (self.dt * force - friction * step)
            }
        }
    }

    /// Where the step leads without noise, force and friction: what the action compares with if both are left out.
    fn coasted(&self, before: f64, now: f64) -> f64 {
        match self.dynamics {
            Dynamics::Overdamped { .. } => now,
            Dynamics::Underdamped { .. } => 2.0 * now - before,
        }
    }

    /// S of a path x_0 … x_N.
    pub fn action(&self, path: &[f64]) -> f64 {
        self.squares(path, |before, now| self.drifted(before, now))
    }

    /// S with force and friction left out: that of a particle that only the noise moves.
    pub fn action_without_force(&self, path: &[f64]) -> f64 {
        self.squares(path, |before, now| self.coasted(before, now))
    }

    fn squares(&self, path: &[f64], to: impl Fn(f64, f64) -> f64) -> f64 {
        let s = self.deviation();
        let mut before = path[0];
        path.windows(2)
            .map(|x| {
                let z = (x[1] - to(before, x[0])) / s;
                before = x[0];
                0.5 * z * z
            })
            .sum()
    }

    /// Path `index` of this family, x_0 … x_N.
    pub fn path(&self, streams: &Streams, index: u64, steps: usize) -> Vec<f64> {
        let mut stream = streams.stream(index);
        let s = self.deviation();
        let (mut before, mut now) = (self.start, self.start);
        let mut path = vec![now];
        for _ in 0..steps {
            (before, now) = (now, self.drifted(before, now) + s * stream.normal());
            path.push(now);
        }
        path
    }

    /// −ln of the probability that a path stays within half of `width` (in units of s) of `centres` at every step.
    pub fn neg_ln_p(&self, centres: &[f64], width: f64) -> f64 {
        let s = self.deviation();
        let gates: Vec<Gate> =
            centres[1..].iter().map(|&centre| Gate { centre, half: 0.5 * width * s }).collect();
        let norm = libm::log(s * std::f64::consts::TAU.sqrt());
        let ln_step = |_: usize, [before, now, next]: [f64; 3]| {
            let z = (next - self.drifted(before, now)) / s;
            -0.5 * z * z - norm
        };
        -ln_tube_integral([self.start; 2], &gates, &rule_for(width), ln_step)
    }

    /// −ln p of a tube so narrow that the density is the same all over it: S + N ln(s√(2π)/δ), δ = `width` s.
    pub fn narrow_neg_ln_p(&self, path: &[f64], width: f64) -> f64 {
        let norm = libm::log(std::f64::consts::TAU.sqrt() / width);
        self.action(path) + (path.len() - 1) as f64 * norm
    }

    /// Simulates the particles of this range, and counts those that stay in each of the tubes, `width` in units of s.
    pub fn count(&self, streams: &Streams, particles: Range<u64>, tubes: &[Vec<f64>], width: f64) -> Stayed {
        const PIECE: u64 = 1 << 14;
        let half = 0.5 * width * self.deviation();
        let steps = tubes.first().map_or(0, |tube| tube.len() - 1);
        let pieces = (particles.end - particles.start).div_ceil(PIECE);
        let piece = |k: u64| {
            let first = particles.start + k * PIECE;
            let mut counts = vec![0; tubes.len()];
            for particle in first..particles.end.min(first + PIECE) {
                let path = self.path(streams, particle, steps);
                for (count, tube) in counts.iter_mut().zip(tubes) {
                    let stays = path[1..].iter().zip(&tube[1..]).all(|(x, z)| (x - z).abs() <= half);
                    *count += u64::from(stays);
                }
            }
            counts
        };
        // Sums of integers: the order does not matter.
        let tubes = (0..pieces).into_par_iter().map(piece).reduce(
            || vec![0; tubes.len()],
            |mut a, b| {
                a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
                a
            },
        );
        Stayed { particles: particles.end - particles.start, tubes }
    }
}

impl Stayed {
    /// No particles yet.
    pub fn zero(tubes: usize) -> Stayed {
        Stayed { particles: 0, tubes: vec![0; tubes] }
    }

    pub fn add(&mut self, other: &Stayed) {
        self.particles += other.particles;
        self.tubes.iter_mut().zip(&other.tubes).for_each(|(a, b)| *a += b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::regression::Line;

    const BOTH: [Langevin; 2] = [
        Langevin {
            system: System::DoubleWell { coefficient: 0.25 },
            dynamics: Dynamics::Overdamped { mobility: 1.3, diffusion: 0.4 },
            dt: 0.2,
            start: 0.2,
        },
        Langevin {
            system: System::Harmonic { stiffness: 2.0 },
            dynamics: Dynamics::Underdamped { mass: 1.5, friction: 0.8, thermal_energy: 0.7 },
            dt: 0.3,
            start: -0.5,
        },
    ];

    /// The underdamped action as an integral of the squared residual force, Σ (m a − F + γv)² δt/(4γkT), term by term.
    #[test]
    fn residual_force() {
        let motion = BOTH[1];
        let path = [-0.5, -0.3, 0.2, 0.1];
        let (m, g, kt, dt) = (1.5, 0.8, 0.7, 0.3);
        let extended = [-0.5, -0.5, -0.3, 0.2, 0.1];
        let exact: f64 = extended
            .windows(3)
            .map(|x| {
                let residual =
                    m * (x[2] - 2.0 * x[1] + x[0]) / (dt * dt) + 2.0 * x[1] + g * (x[1] - x[0]) / dt;
                residual * residual * dt / (4.0 * g * kt)
            })
            .sum();
        assert!((motion.action(&path) - exact).abs() < 1e-13);
        // Without force and friction: m a alone.
        let free: f64 =
            extended.windows(3).map(|x| m * (x[2] - 2.0 * x[1] + x[0]) / (dt * dt)).map(|f| f * f).sum();
        assert!((motion.action_without_force(&path) - free * dt / (4.0 * g * kt)).abs() < 1e-13);
    }

    /// The law with dissipation: −ln P of tubes around simulated paths against S has slope 1 in narrow tubes, and the
    /// constant N ln(s√(2π)/δ). A tube's width averages the density: −ln P is off by about (δ/s)²/24 · |∇S|² s², with
    /// |∇S|² s² of the order 2N + 2S; at δ = 0.05 s that is below 0.01.
    #[test]
    fn law_with_dissipation() {
        for motion in BOTH {
            let paths: Vec<Vec<f64>> =
                (0..60).map(|k| motion.path(&Streams::new(4, "paths"), k, 8)).collect();
            let exact: Vec<f64> = paths.iter().map(|path| motion.neg_ln_p(path, 0.05)).collect();
            let actions: Vec<f64> = paths.iter().map(|path| motion.action(path)).collect();
            let line = Line::fit(&actions, &exact, None).unwrap();
            assert!((line.slope - 1.0).abs() < 0.003, "{line:?}");
            for (path, exact) in paths.iter().zip(&exact) {
                assert!((motion.narrow_neg_ln_p(path, 0.05) - exact).abs() < 0.02);
            }
        }
    }

    /// Counted particles against the exact probability of the tube, two wide tubes each: within 4.5 binomial errors.
    #[test]
    fn counting_agrees() {
        for motion in BOTH {
            let tubes: Vec<Vec<f64>> = (0..2).map(|k| motion.path(&Streams::new(9, "paths"), k, 4)).collect();
            let n = 200_000;
            let stayed = motion.count(&Streams::new(4, "particles"), 0..n, &tubes, 2.0);
            for (tube, &count) in tubes.iter().zip(&stayed.tubes) {
                let p = libm::exp(-motion.neg_ln_p(tube, 2.0));
                let z = (count as f64 - n as f64 * p) / (n as f64 * p * (1.0 - p)).sqrt();
                assert!(z.abs() < 4.5 && count > 100, "{count} {p}");
            }
        }
    }

    /// S of simulated paths is ½ χ² of N degrees of freedom: mean N/2, variance N/2.
    #[test]
    fn actions_are_chi_squared() {
        for motion in BOTH {
            let (count, steps) = (4000, 8);
            let streams = Streams::new(2, "paths");
            let actions: Vec<f64> =
                (0..count).map(|k| motion.action(&motion.path(&streams, k, steps))).collect();
            let mean = actions.iter().sum::<f64>() / count as f64;
            assert!((mean - 4.0).abs() < 4.5 * 2.0 / (count as f64).sqrt(), "{mean}");
        }
    }
}
