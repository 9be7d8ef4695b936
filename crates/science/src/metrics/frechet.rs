//! The Fréchet distance between Gaussians fitted to two sets (Dowson and Landau 1982; for generative models Heusel et al.
//! 2017, whose features are Inception's: on other features it is not the 'FID').

use super::features::{Features, blocks};
use super::linalg::{cholesky, congruence, moments, symmetric_eigenvalues, trace};
use onsager_numerics::statistics;
use rayon::prelude::*;

/// A reference set, prepared once for any number of comparisons.
#[derive(Debug, Clone)]
pub struct FrechetReference {
    mean: Vec<f64>,
    trace: f64,
    columns: Vec<f64>,
}

impl FrechetReference {
    /// Fits a Gaussian to the rows (at least two).
    pub fn new(reference: &Features) -> FrechetReference {
        let d = reference.dimension();
        let (mean, covariance) = moments(reference);
        FrechetReference { mean, trace: trace(&covariance, d), columns: cholesky(&covariance, d) }
    }

    /// The squared Fréchet distance |μ₁ − μ₂|² + Tr(C₁ + C₂ − 2 (C₁ C₂)^½) to the rows of `set` (at least two, of the same
    /// dimension). With C₁ = L Lᵀ the root's trace is the sum of the roots of the eigenvalues of Lᵀ C₂ L, as many as the
    /// rank of C₁. Rounding leaves about 1e-7 of the traces where the distance vanishes.
    pub fn distance(&self, set: &Features) -> f64 {
        let d = set.dimension();
        let (mean, covariance) = moments(set);
        let shift: f64 = self.mean.iter().zip(&mean).map(|(a, b)| (a - b) * (a - b)).sum();
        let product = congruence(&self.columns, &covariance, d);
        let root: f64 = symmetric_eigenvalues(product, self.columns.len() / d)
            .iter()
            .map(|value| value.max(0.0).sqrt())
            .sum();
        shift + self.trace + trace(&covariance, d) - 2.0 * root
    }
}

/// A reference whose rows, in random order, are divided into blocks: leaving them out one by one tells the bias and the error
/// of the distance.
#[derive(Debug, Clone)]
pub struct BlockedFrechet {
    whole: FrechetReference,
    without: Vec<FrechetReference>,
}

/// A Fréchet distance between laws, estimated from samples.
#[derive(Debug, Clone, PartialEq)]
pub struct FrechetEstimate {
    /// The distance between the Gaussians fitted to the samples. It lies too high, by about a/n of n samples.
    pub plain: f64,
    /// Without that bias: B F(n) − (B − 1) mean F(n − n/B), where a block of both sets is left out in each of B ways. A bias of the order 1/n²
    /// is left.
    pub value: f64,
    /// `plain` with one block of both sets left out each.
    pub without_both: Vec<f64>,
    /// `plain` with one block of the reference left out each.
    pub without_reference: Vec<f64>,
}

impl BlockedFrechet {
    /// Prepares a reference of `parts` ≥ 2 blocks; `None` where one block less would leave fewer than two rows.
    pub fn new(reference: &Features, parts: usize) -> Option<BlockedFrechet> {
        if parts < 2 || reference.count() < parts || reference.count() - reference.count().div_ceil(parts) < 2
        {
            return None;
        }
        let without = blocks(reference.count(), parts)
            .par_iter()
            .map(|block| FrechetReference::new(&reference.without(block)))
            .collect();
        Some(BlockedFrechet { whole: FrechetReference::new(reference), without })
    }

    /// Compares rows in random order, at least as many as the reference must have.
    pub fn estimate(&self, set: &Features) -> FrechetEstimate {
        let parts = self.without.len();
        let plain = self.whole.distance(set);
        let without_both: Vec<f64> = blocks(set.count(), parts)
            .par_iter()
            .zip(&self.without)
            .map(|(block, reference)| reference.distance(&set.without(block)))
            .collect();
        let without_reference = self.without.par_iter().map(|reference| reference.distance(set)).collect();
        let value = parts as f64 * plain - (parts as f64 - 1.0) * statistics::mean(&without_both);
        FrechetEstimate { plain, value, without_both, without_reference }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::features::normal_features;

    fn scaled(set: &Features, scale: f64, shift: f64) -> Features {
        Features::new(set.rows().flatten().map(|v| scale * v + shift).collect(), set.dimension())
    }

    /// In the plane the trace of the root of M is sqrt(tr M + 2 sqrt(det M)), for any two covariances.
    #[test]
    fn in_the_plane_it_has_a_closed_form() {
        let a = normal_features(1, 60, 2, 0.0);
        let b = Features::new(
            normal_features(2, 50, 2, 0.3).rows().flat_map(|r| [2.0 * r[0] + r[1], 0.5 * r[1]]).collect(),
            2,
        );
        let ((ma, ca), (mb, cb)) = (moments(&a), moments(&b));
        let product = ca[0] * cb[0] + ca[1] * cb[2] + ca[2] * cb[1] + ca[3] * cb[3];
        let determinant = |c: &[f64]| c[0] * c[3] - c[1] * c[2];
        let root = (product + 2.0 * (determinant(&ca) * determinant(&cb)).sqrt()).sqrt();
        let shift = (ma[0] - mb[0]).powi(2) + (ma[1] - mb[1]).powi(2);
        let wanted = shift + ca[0] + ca[3] + cb[0] + cb[3] - 2.0 * root;
        let found = FrechetReference::new(&a).distance(&b);
        assert!((found - wanted).abs() < 1e-12, "{found} {wanted}");
        assert!((found - FrechetReference::new(&b).distance(&a)).abs() < 1e-12);
    }

    /// A copy scaled by s and moved by m has the distance d m'² + (1 − s)² tr C, also where there are fewer rows than
    /// dimensions, so that both covariances are singular.
    #[test]
    fn of_a_scaled_copy() {
        for rows in [40, 12] {
            let a = normal_features(3, rows, 20, 0.0);
            let (mean, covariance) = moments(&a);
            let shift: f64 = mean.iter().map(|m| (0.5 - 0.25 * m).powi(2)).sum();
            let wanted = shift + 0.0625 * trace(&covariance, 20);
            let found = FrechetReference::new(&a).distance(&scaled(&a, 0.75, 0.5));
            assert!((found - wanted).abs() < 1e-6 * wanted, "{found} {wanted}");
            assert!(FrechetReference::new(&a).distance(&a).abs() < 1e-6 * trace(&covariance, 20));
        }
    }

    /// Far fewer rows than dimensions, whose scales span eight orders, as the pixels of images do. The covariances are Aᵀ A
    /// and Bᵀ B of centred rows, so the root's trace is the sum of the singular values of the small matrix A Bᵀ.
    #[test]
    fn of_few_rows_in_many_dimensions() {
        let (n, d) = (30, 300);
        let set = |seed: u64, mix: usize| {
            let raw = normal_features(seed, n, d, 0.0);
            let mixed = |row: &[f64], j: usize| row[j] + 0.9 * row[(j + mix) % d];
            let scale = |j: usize| 10f64.powf(-8.0 * j as f64 / d as f64);
            Features::new(
                raw.rows().flat_map(|row| (0..d).map(move |j| scale(j) * mixed(row, j))).collect(),
                d,
            )
        };
        let (a, b) = (set(4, 1), set(5, 7));
        let ((ma, ca), (mb, cb)) = (moments(&a), moments(&b));
        let dot = |p: &[f64], q: &[f64]| p.iter().zip(q).map(|(p, q)| p * q).sum::<f64>();
        let centred = |set: &Features, mean: &[f64]| -> Vec<Vec<f64>> {
            set.rows()
                .map(|row| row.iter().zip(mean).map(|(v, m)| (v - m) / ((n - 1) as f64).sqrt()).collect())
                .collect()
        };
        let (rows_a, rows_b) = (centred(&a, &ma), centred(&b, &mb));
        let small: Vec<Vec<f64>> =
            rows_a.iter().map(|p| rows_b.iter().map(|q| dot(p, q)).collect()).collect();
        let square =
            small.iter().flat_map(|p| small.iter().map(|q| dot(p, q)).collect::<Vec<f64>>()).collect();
        let root: f64 = symmetric_eigenvalues(square, n).iter().map(|value| value.max(0.0).sqrt()).sum();
        let shift: f64 = ma.iter().zip(&mb).map(|(p, q)| (p - q) * (p - q)).sum();
        let traces = trace(&ca, d) + trace(&cb, d);
        let wanted = shift + traces - 2.0 * root;
        let found = FrechetReference::new(&a).distance(&b);
        assert!((found - wanted).abs() < 1e-6 * traces, "{found} {wanted}");
    }

    /// Between equal laws, in 8 dimensions with 100 rows each, the distance lies near d(d + 5)/(4 n) · 2 … of bias; without it the
    /// mean of 200 draws lies within 4.5 of its standard errors of the distance, and at most a tenth of the bias is left.
    #[test]
    fn the_bias_is_extrapolated_away() {
        for (shift, wanted) in [(0.0, 0.0), (0.5, 2.0)] {
            let found: Vec<FrechetEstimate> = (0..200)
                .map(|i| {
                    let reference = normal_features(2 * i, 100, 8, 0.0);
                    let reference = BlockedFrechet::new(&reference, 5).unwrap();
                    reference.estimate(&normal_features(2 * i + 1, 100, 8, shift))
                })
                .collect();
            let of = |f: fn(&FrechetEstimate) -> f64| found.iter().map(f).collect::<Vec<f64>>();
            let (plain, value) = (of(|e| e.plain), of(|e| e.value));
            let bias = statistics::mean(&plain) - wanted;
            let left = statistics::mean(&value) - wanted;
            println!("{shift}: bias {bias}, left {left} ± {}", statistics::standard_error(&value));
            assert!(bias > 0.3, "{bias}");
            assert!(left.abs() < 0.1 * bias + 4.5 * statistics::standard_error(&value), "{left} of {bias}");
        }
    }
}
