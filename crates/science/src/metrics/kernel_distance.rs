//! The kernel distance: unbiased MMD² with the polynomial kernel (x·y/d + 1)³ (Gretton et al. 2012, eq. 3; the kernel of
//! Bińkowski et al. 2018).

use super::features::{Features, disjoint_subsets, dot};
use onsager_numerics::random::Streams;
use onsager_numerics::statistics::{mean, standard_error};
use rayon::prelude::*;

/// The unbiased estimate of MMD² between two sets (at least two rows each, of the same dimension). Its mean is 0 where
/// the laws agree, so it may be negative.
pub fn kernel_distance(a: &Features, b: &Features) -> f64 {
    let (n, m) = (a.count() as f64, b.count() as f64);
    off_diagonal(a) / (n * (n - 1.0)) + off_diagonal(b) / (m * (m - 1.0)) - 2.0 * cross(a, b) / (n * m)
}

/// The mean and its standard error of the estimates on `blocks` disjoint random pairs of subsets (Zaremba et al. 2013):
/// the blocks are independent, so the error is honest, if wider than that of the estimate on the whole sets. `None` where
/// a block would have fewer than two rows or there are fewer than two blocks.
pub fn kernel_distance_blocks(
    a: &Features,
    b: &Features,
    blocks: usize,
    streams: Streams,
) -> Option<(f64, f64)> {
    let count = a.count().min(b.count()) / blocks.max(1);
    if blocks < 2 || count < 2 {
        return None;
    }
    let of_a = disjoint_subsets(a.count(), count, blocks, &mut streams.stream(0));
    let of_b = disjoint_subsets(b.count(), count, blocks, &mut streams.stream(1));
    let values: Vec<f64> = of_a
        .par_iter()
        .zip(&of_b)
        .map(|(of_a, of_b)| kernel_distance(&a.select(of_a), &b.select(of_b)))
        .collect();
    Some((mean(&values), standard_error(&values)))
}

fn kernel(x: &[f64], y: &[f64]) -> f64 {
    let base = dot(x, y) / x.len() as f64 + 1.0;
    base * base * base
}

/// The sum over pairs of different rows. The rows' sums are added in order, whatever the number of threads.
fn off_diagonal(set: &Features) -> f64 {
    let rows: Vec<f64> = (0..set.count())
        .into_par_iter()
        .map(|i| (0..i).map(|j| kernel(set.row(i), set.row(j))).sum())
        .collect();
    2.0 * rows.iter().sum::<f64>()
}

fn cross(a: &Features, b: &Features) -> f64 {
    let rows: Vec<f64> =
        (0..a.count()).into_par_iter().map(|i| b.rows().map(|row| kernel(a.row(i), row)).sum()).collect();
    rows.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::features::normal_features;

    /// In one dimension (xy + 1)³ compares the first three moments: MMD² = 3(Δm₁)² + 3(Δm₂)² + (Δm₃)². Between N(0, 1) and
    /// N(μ, 1), μ = 1, that is 3 + 3 + 16; the mean over 400 draws lies within 4.5 of its own standard errors, and so does
    /// that between equal laws, from 0.
    #[test]
    fn it_is_unbiased() {
        for (shift, wanted) in [(0.0, 0.0), (1.0, 22.0)] {
            let values: Vec<f64> = (0..400)
                .map(|i| {
                    let a = normal_features(2 * i, 30, 1, 0.0);
                    kernel_distance(&a, &normal_features(2 * i + 1, 20, 1, shift))
                })
                .collect();
            let error = (mean(&values) - wanted) / standard_error(&values);
            assert!(error.abs() < 4.5, "{shift}: {} ± {}", mean(&values), standard_error(&values));
        }
    }

    /// The blocks' mean agrees with the estimate on the whole within 4.5 of its standard errors.
    #[test]
    fn blocks_agree_with_the_whole() {
        let (a, b) = (normal_features(1, 600, 5, 0.0), normal_features(2, 600, 5, 0.2));
        let found = kernel_distance_blocks(&a, &b, 10, Streams::new(1, "blocks"));
        assert!(found.is_some_and(|(value, error)| (value - kernel_distance(&a, &b)).abs() < 4.5 * error));
        assert_eq!(kernel_distance_blocks(&a, &b, 1, Streams::new(1, "blocks")), None);
    }
}
