//! Imaginary time: the propagator as an average over Brownian bridges (Feynman–Kac),
//! `K(b,T|a) = K_free · E_bridge[exp(−δt Σ' V(x_i)/ħ)]`, the steps of a bridge having the variance ħδt/m; and the probabilities
//! of the weighted bridges' tubes, which follow exp(−S_E/ħ).

use super::action::Motion;
use super::systems::System;
use super::transfer::Transfer;
use super::tube_integral::{Gate, ln_tube_integral, rule_for};
use onsager_numerics::random::{LANES, Streams};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// Paths from a to b in imaginary time; any consistent units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bridges {
    pub motion: Motion,
    /// ħ > 0, an action.
    pub hbar: f64,
    pub start: f64,
    pub end: f64,
}

/// The weight of bridges, and of those inside each tube.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Weights {
    pub bridges: u64,
    /// Σ w and Σ w².
    total: [f64; 2],
    /// The same over the bridges in each tube.
    tubes: Vec<[f64; 2]>,
}

impl Bridges {
    /// s = √(ħδt/m), the standard deviation of a free step.
    pub fn deviation(&self) -> f64 {
        (self.hbar * self.motion.dt / self.motion.mass).sqrt()
    }

    /// δt V(x)/ħ.
    fn site(&self, x: f64) -> f64 {
        self.motion.dt * self.motion.system.potential(x) / self.hbar
    }

    /// S_E/ħ, the Euclidean action (kinetic plus potential) of a path.
    pub fn action(&self, path: &[f64]) -> f64 {
        self.motion.action_hamiltonian(path) / self.hbar
    }

    /// ln of the free propagator over `steps` steps.
    pub fn ln_free(&self, steps: usize) -> f64 {
        let variance = self.deviation() * self.deviation() * steps as f64;
        let gap = self.end - self.start;
        -0.5 * gap * gap / variance - 0.5 * libm::log(std::f64::consts::TAU * variance)
    }

    /// ln of one population's estimate of `E_bridge[weight]` over `steps` ≥ 2 steps: the walkers move as bridges, gather their
    /// weights, and are resampled (systematically) whenever the effective number of them falls below half. The estimate
    /// itself, not its logarithm, has no bias, so estimates of populations are averaged before the logarithm.
    pub fn population(&self, streams: &Streams, population: u64, walkers: usize, steps: usize) -> f64 {
        let s = self.deviation();
        // Of this population alone: walker k has the stream of slot k, the last slot is the resampling's.
        let slots = (walkers.next_multiple_of(LANES) + LANES) as u64;
        let first = population * slots;
        let mut chooser = streams.stream(first + slots - 1);
        let mut x = vec![self.start; walkers];
        let mut ln_weights = vec![0.0; walkers];
        let mut second_normals = vec![[0.0; LANES]; walkers.div_ceil(LANES)];
        let mut ln_total = -0.5 * (self.site(self.start) + self.site(self.end));
        for i in 1..steps {
            let left = (steps - i) as f64;
            let pull = 1.0 / (left + 1.0);
            let deviation = s * (left * pull).sqrt();
            for (piece, second) in second_normals.iter_mut().enumerate() {
                let mut normals = *second;
                if i % 2 == 1 {
                    streams.normal_lanes(first + (piece * LANES) as u64, i as u64 / 2, &mut normals, second);
                }
                let range = piece * LANES..walkers.min((piece + 1) * LANES);
                let walkers = x[range.clone()].iter_mut().zip(&mut ln_weights[range]);
                for ((x, ln_weight), normal) in walkers.zip(&normals) {
                    *x += pull * (self.end - *x) + deviation * normal;
                    *ln_weight -= self.site(*x);
                }
            }
            let largest = ln_weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = ln_weights.iter().map(|ln| libm::exp(ln - largest)).collect();
            let sum: f64 = weights.iter().sum();
            let squares: f64 = weights.iter().map(|w| w * w).sum();
            let last = i + 1 == steps;
            if last || sum * sum < 0.5 * walkers as f64 * squares {
                ln_total += largest + libm::log(sum / walkers as f64);
                if !last {
                    x = resample(&x, &weights, sum, chooser.uniform());
                    ln_weights.fill(0.0);
                }
            }
        }
        ln_total
    }

    /// ln K at the same δt by numerical matrix multiplication after each of these numbers of steps (ascending, each ≥ 2),
    /// on a grid widened until it holds everything.
    pub fn ln_kernels(&self, steps: &[usize]) -> Vec<f64> {
        let longest = steps.last().copied().unwrap_or(2) as f64;
        let mut reach = 4.0 * self.deviation() * longest.sqrt();
        let mut found: Vec<f64> = Vec::new();
        for _ in 0..12 {
            let (low, high) = (self.start.min(self.end) - reach, self.start.max(self.end) + reach);
            let transfer = Transfer::new(self.deviation() * self.deviation(), low, high, |x| self.site(x));
            let ends = [self.start, self.end];
            let wider = transfer.ln_kernels(ends, ends.map(|x| self.site(x)), steps);
            let settled =
                found.len() == wider.len() && found.iter().zip(&wider).all(|(a, b)| (a - b).abs() < 1e-10);
            found = wider;
            if settled {
                break;
            }
            reach *= 1.4;
        }
        found
    }

    /// E0 at this δt: ħ/δt times the decay of the path integral per step over long times; for a potential that binds. On a
    /// grid widened until it holds the ground state.
    pub fn ground_state(&self) -> f64 {
        let mut reach = 6.0 * self.deviation();
        let mut energy = f64::INFINITY;
        for _ in 0..24 {
            let transfer =
                Transfer::new(self.deviation() * self.deviation(), -reach, reach, |x| self.site(x));
            let wider = transfer.decay() * self.hbar / self.motion.dt;
            let settled = (wider - energy).abs() < 1e-10 * wider.abs();
            energy = wider;
            if settled {
                break;
            }
            reach *= 1.3;
        }
        energy
    }

    /// ln K of the continuum in closed form, `time` > 0: the free particle, the constant force, and Mehler's for a harmonic
    /// potential; nothing for others.
    pub fn ln_continuum(&self, time: f64) -> Option<f64> {
        let (m, hbar, a, b) = (self.motion.mass, self.hbar, self.start, self.end);
        let variance = hbar * time / m;
        let free = -0.5 * (b - a) * (b - a) / variance - 0.5 * libm::log(std::f64::consts::TAU * variance);
        match self.motion.system {
            System::Free => Some(free),
            System::ConstantForce { force } => {
                let fall = force * force * time * time * time / (24.0 * m * hbar);
                Some(free - time * force * (a + b) / (2.0 * hbar) + fall)
            }
            System::Harmonic { stiffness } if stiffness > 0.0 => {
                let omega = (stiffness / m).sqrt();
                let (sinh, cosh) = (libm::sinh(omega * time), libm::cosh(omega * time));
                let norm = m * omega / (hbar * sinh);
                let exponent = 0.5 * norm * ((a * a + b * b) * cosh - 2.0 * a * b);
                Some(0.5 * libm::log(norm / std::f64::consts::TAU) - exponent)
            }
            _ => None,
        }
    }

    /// Bridge `index` of this family, x_0 … x_N.
    pub fn bridge(&self, streams: &Streams, index: u64, steps: usize) -> Vec<f64> {
        let mut stream = streams.stream(index);
        let s = self.deviation();
        let mut x = self.start;
        let mut path = vec![x];
        for i in 1..steps {
            let left = (steps - i) as f64;
            let pull = 1.0 / (left + 1.0);
            x += pull * (self.end - x) + s * (left * pull).sqrt() * stream.normal();
            path.push(x);
        }
        path.push(self.end);
        path
    }

    /// Adds up the weights of the bridges of this range, and of those within half of `width` (in units of s) of each tube's
    /// centre at every step.
    pub fn weigh(&self, streams: &Streams, bridges: Range<u64>, tubes: &[Vec<f64>], width: f64) -> Weights {
        const PIECE: u64 = 1 << 14;
        let half = 0.5 * width * self.deviation();
        let steps = tubes.first().map_or(2, |tube| tube.len() - 1);
        let pieces = (bridges.end - bridges.start).div_ceil(PIECE);
        let piece = |k: u64| {
            let mut weights = Weights::zero(tubes.len());
            let first = bridges.start + k * PIECE;
            for index in first..bridges.end.min(first + PIECE) {
                let path = self.bridge(streams, index, steps);
                let weight = libm::exp(-self.motion.potential(&path) / self.hbar);
                weights.bridges += 1;
                let add = |sums: &mut [f64; 2]| {
                    sums[0] += weight;
                    sums[1] += weight * weight;
                };
                add(&mut weights.total);
                for (sums, tube) in weights.tubes.iter_mut().zip(tubes) {
                    if path[1..].iter().zip(&tube[1..]).all(|(x, z)| (x - z).abs() <= half) {
                        add(sums);
                    }
                }
            }
            weights
        };
        let pieces: Vec<Weights> = (0..pieces).into_par_iter().map(piece).collect();
        let mut sums = Weights::zero(tubes.len());
        pieces.iter().for_each(|piece| sums.add(piece));
        sums
    }

    /// −ln of the probability of a tube of this width (in units of s) among the weighted bridges, exactly at this δt. `ln_k`
    /// is ln K over the tube's steps.
    pub fn neg_ln_p(&self, centres: &[f64], width: f64, ln_k: f64) -> f64 {
        let s = self.deviation();
        let last = centres.len() - 1;
        let gate = |(i, &centre): (usize, &f64)| Gate {
            centre,
            half: if i + 1 == last { 0.0 } else { 0.5 * width * s },
        };
        let gates: Vec<Gate> = centres[1..].iter().enumerate().map(gate).collect();
        let norm = libm::log(s * std::f64::consts::TAU.sqrt());
        let ln_step = |_: usize, [_, now, next]: [f64; 3]| {
            let z = (next - now) / s;
            -0.5 * z * z - norm - 0.5 * (self.site(now) + self.site(next))
        };
        ln_k - ln_tube_integral([self.start; 2], &gates, &rule_for(width), ln_step)
    }
}

impl Bridges {
    /// −ln P of a tube so narrow that the density is the same all over it: S_E/ħ and a constant.
    pub fn narrow_neg_ln_p(&self, centres: &[f64], width: f64, ln_k: f64) -> f64 {
        let root = std::f64::consts::TAU.sqrt();
        let inner = (centres.len() - 2) as f64 * libm::log(root / width);
        self.action(centres) + inner + libm::log(root * self.deviation()) + ln_k
    }
}

impl Weights {
    /// No bridges yet.
    pub fn zero(tubes: usize) -> Weights {
        Weights { bridges: 0, total: [0.0; 2], tubes: vec![[0.0; 2]; tubes] }
    }

    pub fn add(&mut self, other: &Weights) {
        let plus = |a: &mut [f64; 2], b: &[f64; 2]| a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        self.bridges += other.bridges;
        plus(&mut self.total, &other.total);
        self.tubes.iter_mut().zip(&other.tubes).for_each(|(a, b)| plus(a, b));
    }

    /// P of tube k, and its standard error: that of a ratio of two means over independent bridges. The error is that of no
    /// bridge at all, zero, where none was inside.
    pub fn probability(&self, k: usize) -> (f64, f64) {
        let [total, squares] = self.total;
        let [inside, inside_squares] = self.tubes[k];
        let p = inside / total;
        let variance = inside_squares * (1.0 - 2.0 * p) + p * p * squares;
        (p, variance.max(0.0).sqrt() / total)
    }
}

/// ln of the mean of exp(values), and its standard error from their scatter.
pub fn mean_of_exponentials(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let scaled: Vec<f64> = values.iter().map(|value| libm::exp(value - largest)).collect();
    let mean = scaled.iter().sum::<f64>() / n;
    let variance = scaled.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (n - 1.0);
    (largest + libm::log(mean), (variance / n).sqrt() / mean)
}

/// Walker k is copied as often as the combs (u + j)/n fall into its share of the weight.
fn resample(x: &[f64], weights: &[f64], sum: f64, u: f64) -> Vec<f64> {
    let mut chosen = Vec::with_capacity(x.len());
    let mut passed = 0.0;
    for (x, weight) in x.iter().zip(weights) {
        passed += weight / sum * weights.len() as f64;
        while chosen.len() < weights.len() && (chosen.len() as f64 + u) < passed {
            chosen.push(*x);
        }
    }
    // Rounding can leave the last place open.
    chosen.resize(weights.len(), x[x.len() - 1]);
    chosen
}

#[cfg(test)]
mod tests {
    use super::super::least_action_path::least_action_path;
    use super::super::tubes::Tube;
    use super::*;

    fn bridges(system: System, dt: f64) -> Bridges {
        Bridges { motion: Motion { system, mass: 1.3, dt }, hbar: 0.8, start: 0.3, end: -0.5 }
    }

    /// The matrix product against the continuum: equal for the free particle, F²δt²T/(24mħ) below for a constant force (the
    /// sum of the discrete walk's squares), and within (ωδt)² of Mehler's for the oscillator.
    #[test]
    fn closed_forms() {
        let (dt, steps) = (0.02, 50);
        let time = dt * steps as f64;
        let gap = |system| {
            let bridges = bridges(system, dt);
            bridges.ln_kernels(&[steps])[0] - bridges.ln_continuum(time).unwrap()
        };
        assert!(gap(System::Free).abs() < 1e-10);
        let force: f64 = 0.9;
        let missing = force * force * dt * dt * time / (24.0 * 1.3 * 0.8);
        assert!((gap(System::ConstantForce { force }) + missing).abs() < 1e-10);
        let omega: f64 = 1.4;
        let harmonic = System::Harmonic { stiffness: 1.3 * omega * omega };
        assert!(gap(harmonic).abs() < omega * omega * dt * dt);
        assert!(
            (bridges(harmonic, dt).ground_state() - 0.5 * 0.8 * omega).abs() < omega * omega * dt * dt / 20.0
        );
        assert_eq!(bridges(System::Quartic { coefficient: 1.0 }, dt).ln_continuum(1.0), None);
    }

    /// Populations against the matrix product at the same δt: 16 independent ones, within 4.5 of their standard errors.
    /// For the quartic oscillator and a time of several 1/gap.
    #[test]
    fn populations_are_unbiased() {
        let motion = Motion { system: System::Quartic { coefficient: 4.0 }, mass: 1.0, dt: 0.1 };
        let bridges = Bridges { motion, hbar: 1.0, start: 0.0, end: 0.2 };
        for steps in [2, 41] {
            let streams = Streams::new(3, "population");
            let estimates: Vec<f64> =
                (0..16).map(|k| libm::exp(bridges.population(&streams, k, 4000, steps))).collect();
            let mean = estimates.iter().sum::<f64>() / 16.0;
            let error = (estimates.iter().map(|e| (e - mean) * (e - mean)).sum::<f64>() / 15.0 / 16.0).sqrt();
            let exact = libm::exp(bridges.ln_kernels(&[steps])[0] - bridges.ln_free(steps));
            assert!(
                (mean - exact).abs() < 4.5 * error && error < 0.02 * exact,
                "{steps}: {mean} ± {error}, {exact}"
            );
        }
    }

    /// E0 of ½p² + x⁴, 0.667986259 (ħ = m = 1), from the decay of the path integral: the Trotter error falls as δt², so that
    /// two δt give the limit to δt⁴.
    #[test]
    fn quartic_ground_state() {
        let energy = |dt| {
            let motion = Motion { system: System::Quartic { coefficient: 4.0 }, mass: 1.0, dt };
            Bridges { motion, hbar: 1.0, start: 0.0, end: 0.0 }.ground_state()
        };
        let (coarse, fine) = (energy(0.05), energy(0.025));
        assert!((fine / 0.667_986_259 - 1.0).abs() < 1e-3, "{coarse} {fine}");
        assert!((fine + (fine - coarse) / 3.0 - 0.667_986_259).abs() < 1e-5, "{coarse} {fine}");
    }

    /// Tubes of the weighted bridges: narrow ones follow S_E/ħ with slope 1 (within 0.3 % at δ = 0.1 s) by the exact
    /// integral, and weighed bridges agree with it within 4.5 standard errors.
    #[test]
    fn tubes_follow_the_euclidean_action() {
        let bridges = bridges(System::Quartic { coefficient: 4.0 }, 0.1);
        let (n, s) = (8, bridges.deviation());
        // The Euclidean action is the mechanical one with V turned over.
        let inverted = Motion { system: bridges.motion.system.scaled(-1.0), ..bridges.motion };
        let least = least_action_path(&inverted, 0.3, -0.5, n).unwrap().path;
        let tubes: Vec<Vec<f64>> = Tube::sample_many(&Streams::new(2, "tubes"), 40, n)
            .iter()
            .map(|tube| tube.path(&least, s))
            .collect();
        let ln_k = bridges.ln_kernels(&[n])[0];
        let actions: Vec<f64> = tubes.iter().map(|tube| bridges.action(tube)).collect();
        let exact: Vec<f64> = tubes.iter().map(|tube| bridges.neg_ln_p(tube, 0.1, ln_k)).collect();
        for (tube, exact) in tubes.iter().zip(&exact) {
            assert!((bridges.narrow_neg_ln_p(tube, 0.1, ln_k) - exact).abs() < 0.02);
        }
        let line = crate::stats::regression::Line::fit(&actions, &exact, None).unwrap();
        assert!((line.slope - 1.0).abs() < 0.003, "{line:?}");
        let weights = bridges.weigh(&Streams::new(2, "bridges"), 0..200_000, &tubes, 2.0);
        for (k, tube) in tubes.iter().enumerate() {
            let exact = libm::exp(-bridges.neg_ln_p(tube, 2.0, ln_k));
            let (p, error) = weights.probability(k);
            if exact * 200_000.0 > 50.0 {
                assert!((p - exact).abs() < 4.5 * error, "{k}: {p} ± {error}, {exact}");
            }
        }
    }
}
