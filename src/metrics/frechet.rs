//! The Fréchet distance between Gaussians fitted to two sets (Dowson and Landau 1982; for generative models Heusel et al.
//! 2017, whose features are Inception's: on other features it is not the 'FID').

use super::features::Features;
use super::linalg::{cholesky, congruence, moments, symmetric_eigenvalues, trace};

/// A reference set, prepared once for any number of comparisons.
#[derive(Debug, Clone)]
pub struct FrechetReference {
    mean: Vec<f64>,
    trace: f64,
    factor: Vec<f64>,
}

impl FrechetReference {
    /// Fits a Gaussian to the rows (at least two).
    pub fn new(reference: &Features) -> FrechetReference {
        let d = reference.dimension();
        let (mean, covariance) = moments(reference);
        FrechetReference { mean, trace: trace(&covariance, d), factor: cholesky(&covariance, d) }
    }

    /// The squared Fréchet distance |μ₁ − μ₂|² + Tr(C₁ + C₂ − 2 (C₁ C₂)^½) to the rows of `set` (at least two, of the same
    /// dimension). With C₁ = L Lᵀ the root's trace is the sum of the roots of the eigenvalues of Lᵀ C₂ L. Rounding leaves
    /// about 1e-7 of the traces where the distance vanishes.
    pub fn distance(&self, set: &Features) -> f64 {
        let d = set.dimension();
        let (mean, covariance) = moments(set);
        let shift: f64 = self.mean.iter().zip(&mean).map(|(a, b)| (a - b) * (a - b)).sum();
        let product = congruence(&self.factor, &covariance, d);
        let root: f64 = symmetric_eigenvalues(product, d).iter().map(|value| value.max(0.0).sqrt()).sum();
        shift + self.trace + trace(&covariance, d) - 2.0 * root
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
}
