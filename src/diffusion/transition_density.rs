//! The density q^h of a sampler's chain, measured: its last step, always by Euler–Maruyama here, is a normal law around the mean that
//! the state before it gives, so the average of these laws over sampled paths is q^h(x), without bias for the chain.

use super::reverse::{Reverse, Scheme};
use super::score::Score;
use crate::nn::lane::{LANES, Lane};
use crate::random::Streams;
use rayon::prelude::*;
use std::f64::consts::TAU;

/// The sums of a batch of paths, for each point.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Number of paths.
    pub paths: usize,
    /// Σ of the normal densities, and of their squares.
    pub sums: Vec<f64>,
    pub squares: Vec<f64>,
}

/// The measured density.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// ln q^h at each point; `None` where it was not measured.
    pub log_density: Vec<Option<f64>>,
    /// The mean of −ln q^h over the points that have one, with the bias of the logarithm removed by the jackknife over
    /// batches.
    pub nll: f64,
    /// The jackknife's standard error from the finite number of paths, at these points.
    pub error: f64,
    /// The number of points that have a value.
    pub resolved: usize,
}

/// The batch of the paths `first` … `first + count − 1` at `points`; h > 0.
pub fn batch<const D: usize>(
    score: &impl Score<D>,
    reverse: &Reverse,
    streams: &Streams,
    first: u64,
    count: usize,
    points: &[[f64; D]],
) -> Batch {
    let before = reverse.points(score, streams, first, count, reverse.steps - 1);
    let last = Reverse { scheme: Scheme::EulerMaruyama, ..*reverse };
    let means = last.last_means(score, &before);
    let variance = last.noise_variance(reverse.steps - 1);
    // Means eight by eight; what is missing in the last group is infinitely far away.
    let groups: Vec<[Lane; D]> = means
        .chunks(LANES)
        .map(|group| {
            std::array::from_fn(|d| {
                Lane(std::array::from_fn(|i| group.get(i).map_or(f64::INFINITY, |m| m[d])))
            })
        })
        .collect();
    let scale = libm::pow(TAU * variance, -0.5 * D as f64);
    let (sums, squares) = points
        .par_iter()
        .map(|x| {
            let (mut sum, mut square) = (Lane::ZERO, Lane::ZERO);
            for group in &groups {
                let away = |d: usize| (group[d] - x[d]) * (group[d] - x[d]);
                let distance = (1..D).fold(away(0), |sum, d| sum + away(d));
                // e^−708 is what infinity gives; it must not count.
                let density = (distance * (-0.5 / variance)).exp().map(|w| if w < 1e-300 { 0.0 } else { w });
                sum += density;
                square += density * density;
            }
            (scale * sum.0.iter().sum::<f64>(), scale * scale * square.0.iter().sum::<f64>())
        })
        .unzip();
    Batch { paths: count, sums, squares }
}

/// How many paths come near a point: (Σw)²/Σw².
pub fn effective_paths(batches: &[Batch], point: usize) -> f64 {
    let sum: f64 = batches.iter().map(|batch| batch.sums[point]).sum();
    let square: f64 = batches.iter().map(|batch| batch.squares[point]).sum();
    if square > 0.0 { sum * sum / square } else { 0.0 }
}

/// The density from batches of equal numbers of paths, at the points that are chosen. A choice that does not depend on these paths
/// makes no bias; a chosen point that fewer than two batches reach is left out all the same.
pub fn measured(batches: &[Batch], chosen: impl Fn(usize) -> bool) -> Measured {
    let points = batches.first().map_or(0, |batch| batch.sums.len());
    let total = |of: &dyn Fn(&Batch) -> f64| batches.iter().map(of).sum::<f64>();
    let paths = total(&|batch| batch.paths as f64);
    let mut log_density = vec![None; points];
    // Σ over the points of ln q, with all batches and without each.
    let (mut whole, mut without, mut resolved) = (0.0, vec![0.0; batches.len()], 0);
    for (point, log_density) in log_density.iter_mut().enumerate() {
        let sum = total(&|batch| batch.sums[point]);
        let most = batches.iter().map(|batch| batch.sums[point]).fold(0.0, f64::max);
        if !chosen(point) || most >= sum {
            continue;
        }
        resolved += 1;
        *log_density = Some(libm::log(sum / paths));
        whole += libm::log(sum / paths);
        for (without, batch) in without.iter_mut().zip(batches) {
            *without += libm::log((sum - batch.sums[point]) / (paths - batch.paths as f64));
        }
    }
    let (n, count) = (batches.len() as f64, f64::from(resolved as u32).max(1.0));
    let left_out = without.iter().sum::<f64>() / n;
    let spread: f64 = without.iter().map(|w| (w - left_out) * (w - left_out)).sum();
    Measured {
        log_density,
        nll: -(n * whole - (n - 1.0) * left_out) / count,
        error: ((n - 1.0) / n * spread).sqrt() / count,
        resolved,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::linear_control::LinearControl;
    use crate::diffusion::mixture::{Mixture, MixtureScore};
    use crate::diffusion::sde::{Sde, Simple};

    /// The linear control: ln q^h is that of the normal law with the variance of the same chain, and the mean over points lies
    /// within 4.5 of its standard errors.
    #[test]
    fn linear_chain() {
        let sde = Sde::Simple(Simple::default());
        let control = LinearControl { variance: 0.5, error: 0.3, sde };
        let score = MixtureScore { data: Mixture::<1>::normal(0.5), sde, error: 0.3 };
        let points: Vec<[f64; 1]> = (0..40).map(|i| [0.05 * f64::from(i) - 1.0]).collect();
        for h in [0.2, 1.0] {
            let reverse = Reverse { sde, h, steps: 50, scheme: Scheme::EulerMaruyama };
            let streams = Streams::new(3, "transition");
            let batches: Vec<Batch> =
                (0..10).map(|b| batch(&score, &reverse, &streams, b * 400, 400, &points)).collect();
            let found = measured(&batches, |point| effective_paths(&batches, point) >= 10.0);
            let exact = Mixture::<1>::normal(control.chain_variance(h, 50));
            let nll = -points.iter().map(|&x| exact.log_density(x)).sum::<f64>() / 40.0;
            assert_eq!(found.resolved, 40);
            assert!(
                (found.nll - nll).abs() < 4.5 * found.error,
                "{h}: {} ± {} {nll}",
                found.nll,
                found.error
            );
            assert!(found.error < 0.02);
        }
        let reverse = Reverse { sde, h: 0.2, steps: 5, scheme: Scheme::Heun };
        let far = batch(&score, &reverse, &Streams::new(3, "far"), 0, 99, &[[50.0]]);
        assert_eq!(measured(&[far.clone(), far], |_| true).log_density, [None]);
    }
}
