//! The density q^h of a sampler's chain, measured: its last step, always by Euler–Maruyama here, is a normal law around the mean that
//! the state before it gives, so the average of these laws over sampled paths is q^h(x), without bias for the chain.

use super::mixture::Mixture;
use super::reverse::{Reverse, Scheme};
use super::score::Score;
use crate::nn::kernels::lane::{LANES, Lane};
use onsager_numerics::random::Streams;
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

/// Where paths get their random numbers: path i from stream i of each.
#[derive(Debug, Clone, Copy)]
pub struct Noise<'a> {
    /// The points at t_max.
    pub starts: &'a Streams,
    /// The steps.
    pub steps: &'a Streams,
}

/// The batch of the paths `first` … `first + count − 1`, which start from the law `terminal`, at `points`; h > 0.
pub fn batch<const D: usize>(
    score: &impl Score<D>,
    reverse: &Reverse,
    terminal: &Mixture<D>,
    noise: Noise,
    paths: std::ops::Range<u64>,
    points: &[[f64; D]],
) -> Batch {
    let starts: Vec<[f64; D]> =
        paths.clone().map(|path| terminal.draw(&mut noise.starts.stream(path))).collect();
    let end = reverse.steps() - 1;
    let before = reverse.points_from(score, noise.steps, paths.start, &starts, end);
    let last = Reverse { scheme: Scheme::EulerMaruyama, ..reverse.clone() };
    let means = last.last_means(score, &before);
    let variance = last.noise_variance(end);
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
    Batch { paths: starts.len(), sums, squares }
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
    use crate::diffusion::continuous::linear_control::LinearControl;
    use crate::diffusion::continuous::mixture::MixtureScore;
    use crate::diffusion::continuous::sde::{Sde, Simple};
    use crate::diffusion::continuous::time_spacing::TimeSpacing;

    /// The linear control: ln q^h is that of the normal law with the variance of the same chain, and the mean over points lies
    /// within 4.5 of its standard errors; from another start too.
    #[test]
    fn linear_chain() {
        let sde = Sde::Simple(Simple::default());
        let control = LinearControl { variance: 0.5, error: 0.3, sde };
        let score = MixtureScore { data: Mixture::<1>::normal(0.5), sde, error: 0.3 };
        let points: Vec<[f64; 1]> = (0..40).map(|i| [0.05 * f64::from(i) - 1.0]).collect();
        let (starts, steps) = (Streams::new(3, "starts"), Streams::new(3, "transition"));
        let noise = Noise { starts: &starts, steps: &steps };
        let reverse =
            |h, steps, scheme| Reverse { sde, h, times: TimeSpacing::Equal.times(&sde, steps), scheme };
        for (h, start) in [(0.2, 1.0), (1.0, 1.0), (0.2, 4.0)] {
            let reverse = reverse(h, 50, Scheme::EulerMaruyama);
            let terminal = Mixture::normal(start);
            let batches: Vec<Batch> = (0..10)
                .map(|b| batch(&score, &reverse, &terminal, noise, b * 400..(b + 1) * 400, &points))
                .collect();
            let found = measured(&batches, |point| effective_paths(&batches, point) >= 10.0);
            let exact = Mixture::<1>::normal(control.chain_variance_from(start, h, 50));
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
        let far =
            batch(&score, &reverse(0.2, 5, Scheme::Heun), &Mixture::normal(1.0), noise, 0..99, &[[50.0]]);
        assert_eq!(measured(&[far.clone(), far], |_| true).log_density, [None]);
    }
}
