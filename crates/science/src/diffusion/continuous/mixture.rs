//! Mixtures of isotropic Gaussians, which stay so under every forward process: their density and exact score at all times.

use super::score::{Score, SmoothScore};
use super::sde::Sde;
use crate::nn::kernels::jet::Jet;
use crate::nn::kernels::lane::Lane;
use onsager_numerics::random::Stream;
use std::f64::consts::TAU;

/// A law with the derivatives of its logarithm.
pub trait Density<const D: usize>: Sync {
    /// ln p(x), ∇ ln p and the entries (0,0), (0,1), (1,1) of ∇∇ ln p (in one dimension the first alone), of eight points.
    fn logarithm(&self, x: [Lane; D]) -> LogDensity<D>;
}

/// The logarithm of a density and its derivatives at eight points.
#[derive(Debug, Clone, Copy)]
pub struct LogDensity<const D: usize> {
    pub value: Lane,
    pub gradient: [Lane; D],
    /// [∂_i ∂_j].
    pub hessian: [[Lane; D]; D],
}

/// Gaussians N(mean, variance I) with weights that add up to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Mixture<const D: usize> {
    pub components: Vec<Component<D>>,
}

/// A Gaussian of a mixture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Component<const D: usize> {
    pub weight: f64,
    pub mean: [f64; D],
    pub variance: f64,
}

impl<const D: usize> Mixture<D> {
    /// N(0, variance I).
    pub fn normal(variance: f64) -> Mixture<D> {
        Mixture { components: vec![Component { weight: 1.0, mean: [0.0; D], variance }] }
    }

    /// The law at time t of points that have this law at time 0.
    pub fn at(&self, sde: &Sde, t: f64) -> Mixture<D> {
        let (m, spread) = (sde.mean(t), sde.variance(t));
        let moved = |c: &Component<D>| Component {
            weight: c.weight,
            mean: c.mean.map(|x| m * x),
            variance: m * m * c.variance + spread,
        };
        Mixture { components: self.components.iter().map(moved).collect() }
    }

    /// A point.
    pub fn draw(&self, stream: &mut Stream) -> [f64; D] {
        let mut left = stream.uniform();
        let mut chosen = &self.components[0];
        for component in &self.components {
            chosen = component;
            left -= component.weight;
            if left < 0.0 {
                break;
            }
        }
        chosen.mean.map(|mean| mean + chosen.variance.sqrt() * stream.normal())
    }

    /// ln p(x).
    pub fn log_density(&self, x: [f64; D]) -> f64 {
        self.logarithm(x.map(Lane::splat)).value[0]
    }
}

impl<const D: usize> Density<D> for Mixture<D> {
    fn logarithm(&self, x: [Lane; D]) -> LogDensity<D> {
        let exponents: Vec<Lane> = self
            .components
            .iter()
            .map(|c| {
                let square = |i: usize| (x[i] - c.mean[i]) * (x[i] - c.mean[i]);
                let distance = (1..D).fold(square(0), |sum, i| sum + square(i));
                let constant = libm::log(c.weight) - 0.5 * D as f64 * libm::log(TAU * c.variance);
                distance * (-0.5 / c.variance) + constant
            })
            .collect();
        let largest = exponents.iter().copied().reduce(Lane::max).unwrap_or(Lane::ZERO);
        let shares: Vec<Lane> = exponents.iter().map(|&e| (e - largest).exp()).collect();
        let total = shares.iter().fold(Lane::ZERO, |sum, &share| sum + share);
        let mut out = LogDensity {
            value: largest + total.map(libm::log),
            gradient: [Lane::ZERO; D],
            hessian: [[Lane::ZERO; D]; D],
        };
        for (c, &share) in self.components.iter().zip(&shares) {
            let share = share / total;
            let pull: [Lane; D] = std::array::from_fn(|i| (c.mean[i] - x[i]) / c.variance);
            for i in 0..D {
                out.gradient[i] += share * pull[i];
                out.hessian[i][i] += share * (-1.0 / c.variance);
                for j in 0..D {
                    out.hessian[i][j] += share * pull[i] * pull[j];
                }
            }
        }
        for i in 0..D {
            for j in 0..D {
                out.hessian[i][j] = out.hessian[i][j] - out.gradient[i] * out.gradient[j];
            }
        }
        out
    }
}

/// The score of a mixture that goes through a forward process, times 1 + error: exact where the error is 0.
#[derive(Debug, Clone, PartialEq)]
pub struct MixtureScore<const D: usize> {
    /// The law at time 0.
    pub data: Mixture<D>,
    pub sde: Sde,
    /// The relative error ε.
    pub error: f64,
}

/// A component of eight points, each at its own time.
struct Moved<const D: usize> {
    mean: [Lane; D],
    variance: Lane,
    factor: Lane,
}

impl<const D: usize> MixtureScore<D> {
    /// The component at the points' times; `factor` is weight · variance^(−D/2).
    fn moved(&self, c: &Component<D>, m: Lane, spread: Lane) -> Moved<D> {
        let variance = m * m * c.variance + spread;
        let factor = c.weight * variance.map(|v| if D == 1 { 1.0 / v.sqrt() } else { 1.0 / v });
        Moved { mean: c.mean.map(|mean| m * mean), variance, factor }
    }
}

impl<const D: usize> Score<D> for MixtureScore<D> {
    fn score(&self, t: Lane, x: [Lane; D]) -> [Lane; D] {
        self.jets::<0>(t, x).map(|s| s.value())
    }
}

impl<const D: usize> SmoothScore<D> for MixtureScore<D> {
    /// Σ_k r_k (mean_k − x)/variance_k with r_k the share of component k at x, as jets.
    fn jets<const ORDER: usize>(&self, t: Lane, x: [Lane; D]) -> [Jet<D, ORDER>; D] {
        let (m, spread) = (t.map(|t| self.sde.mean(t)), t.map(|t| self.sde.variance(t)));
        let x: [Jet<D, ORDER>; D] = std::array::from_fn(|i| Jet::variable(i, x[i]));
        let components: Vec<Moved<D>> =
            self.data.components.iter().map(|c| self.moved(c, m, spread)).collect();
        let away = |c: &Moved<D>| -> [Jet<D, ORDER>; D] {
            std::array::from_fn(|i| x[i] + Jet::constant(-c.mean[i]))
        };
        let exponent = |c: &Moved<D>| {
            let away = away(c);
            let square = away[1..].iter().fold(away[0] * away[0], |sum, &a| sum + a * a);
            square.scale(-0.5 / c.variance)
        };
        // Exponents from the largest, so that one of them stays.
        let largest = components.iter().map(|c| exponent(c).value()).reduce(Lane::max).unwrap_or(Lane::ZERO);
        let mut total = Jet::constant(Lane::ZERO);
        let mut sums = [total; D];
        for c in &components {
            let share = (exponent(c) + Jet::constant(-largest)).exp().scale(c.factor);
            total = total + share;
            let pull = away(c).map(|away| away.scale(-1.0 / c.variance));
            sums = std::array::from_fn(|i| sums[i] + share * pull[i]);
        }
        let scale = total.recip().scale(Lane::splat(1.0 + self.error));
        sums.map(|sum| sum * scale)
    }
}
