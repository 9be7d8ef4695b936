//! The kernel distance: unbiased MMD² with the polynomial kernel (x·y/d + 1)³ (Gretton et al. 2012, eq. 3; the kernel of
//! Bińkowski et al. 2018).

use super::features::{Features, blocks, dot};
use rayon::prelude::*;
use std::ops::Range;

/// The unbiased estimate of MMD² between two sets (at least two rows each, of the same dimension). Its mean is 0 where
/// the laws agree, so it may be negative.
pub fn kernel_distance(a: &Features, b: &Features) -> f64 {
    Sums::new(a, b, 1).value(None, None)
}

/// The estimate, and what it is with one of `parts` blocks left out.
#[derive(Debug, Clone, PartialEq)]
pub struct KernelEstimate {
    pub value: f64,
    /// With one block of both sets left out each; empty where too few rows would be left.
    pub without_both: Vec<f64>,
    /// With one block of the reference left out each.
    pub without_reference: Vec<f64>,
}

/// The estimate from two sets whose rows are in random order, with its blocks.
pub fn kernel_estimate(reference: &Features, set: &Features, parts: usize) -> KernelEstimate {
    let least = reference.count().min(set.count());
    let sums = Sums::new(reference, set, parts.clamp(1, least));
    let enough = parts >= 2 && least >= parts && least - least.div_ceil(parts) >= 2;
    let each = |of: &dyn Fn(usize) -> f64| (0..parts).filter(|_| enough).map(of).collect();
    KernelEstimate {
        value: sums.value(None, None),
        without_both: each(&|b| sums.value(Some(b), Some(b))),
        without_reference: each(&|b| sums.value(Some(b), None)),
    }
}

/// The kernel's sums over pairs of different rows, block by block.
struct Sums {
    /// The rows of each block.
    counts: [Vec<f64>; 2],
    within: [Vec<Vec<f64>>; 2],
    across: Vec<Vec<f64>>,
}

impl Sums {
    fn new(a: &Features, b: &Features, parts: usize) -> Sums {
        let of = |set: &Features| blocks(set.count(), parts);
        let counts = |set| of(set).iter().map(|block| block.len() as f64).collect();
        Sums {
            counts: [counts(a), counts(b)],
            within: [a, b].map(|set| within(set, &of(set))),
            across: block_sums(a, b, &of(a), &of(b), |_, _| true),
        }
    }

    /// The estimate with a block of each set left out, or none.
    fn value(&self, a: Option<usize>, b: Option<usize>) -> f64 {
        let kept = |sums: &[Vec<f64>], left: Option<usize>, right: Option<usize>| -> f64 {
            let rows = sums.iter().enumerate().filter(|(i, _)| Some(*i) != left);
            rows.flat_map(|(_, row)| row.iter().enumerate().filter(|(j, _)| Some(*j) != right))
                .map(|(_, sum)| sum)
                .sum()
        };
        let count = |of: &[f64], left: Option<usize>| -> f64 {
            of.iter().enumerate().filter(|(i, _)| Some(*i) != left).map(|(_, count)| count).sum()
        };
        let (n, m) = (count(&self.counts[0], a), count(&self.counts[1], b));
        kept(&self.within[0], a, a) / (n * (n - 1.0)) + kept(&self.within[1], b, b) / (m * (m - 1.0))
            - 2.0 * kept(&self.across, a, b) / (n * m)
    }
}

/// The sums over the pairs of different rows of one set, for each two of its blocks.
fn within(set: &Features, parts: &[Range<usize>]) -> Vec<Vec<f64>> {
    let half = block_sums(set, set, parts, parts, |i, j| j < i);
    let both = |i: usize, j: usize| half[i][j] + half[j][i];
    (0..parts.len()).map(|i| (0..parts.len()).map(|j| both(i, j)).collect()).collect()
}

/// The sums over the chosen pairs of rows of each two blocks. The rows' sums are added in order, whatever the number of threads.
fn block_sums(
    a: &Features,
    b: &Features,
    of_a: &[Range<usize>],
    of_b: &[Range<usize>],
    chosen: impl Fn(usize, usize) -> bool + Sync,
) -> Vec<Vec<f64>> {
    let rows: Vec<Vec<f64>> = (0..a.count())
        .into_par_iter()
        .map(|i| {
            let pairs = |block: &Range<usize>| block.clone().filter(|&j| chosen(i, j));
            of_b.iter().map(|block| pairs(block).map(|j| kernel(a.row(i), b.row(j))).sum()).collect()
        })
        .collect();
    let sum = |block: &Range<usize>, j: usize| rows[block.clone()].iter().map(|row| row[j]).sum();
    of_a.iter().map(|block| (0..of_b.len()).map(|j| sum(block, j)).collect()).collect()
}

fn kernel(x: &[f64], y: &[f64]) -> f64 {
    let base = dot(x, y) / x.len() as f64 + 1.0;
    base * base * base
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::features::normal_features;
    use onsager_numerics::statistics::{mean, standard_error};

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

    /// Leaving a block out is computing the estimate without its rows, within rounding.
    #[test]
    fn a_block_left_out_is_rows_left_out() {
        let (a, b) = (normal_features(1, 61, 5, 0.0), normal_features(2, 50, 5, 0.2));
        let found = kernel_estimate(&a, &b, 4);
        assert!((found.value - kernel_distance(&a, &b)).abs() < 1e-12);
        for (i, (of_a, of_b)) in blocks(61, 4).iter().zip(blocks(50, 4)).enumerate() {
            let reference = kernel_distance(&a.without(of_a), &b);
            assert!((found.without_reference[i] - reference).abs() < 1e-12);
            let both = kernel_distance(&a.without(of_a), &b.without(&of_b));
            assert!((found.without_both[i] - both).abs() < 1e-12);
        }
        assert!(kernel_estimate(&a, &b, 1).without_both.is_empty());
    }
}
