//! Symmetric positive tridiagonal matrices: the second variation of an action, whose inverse is the covariance of paths.

/// The Cholesky factor of a positive tridiagonal matrix H = L Lᵀ, L lower bidiagonal.
#[derive(Debug, Clone, PartialEq)]
pub struct Cholesky {
    /// L_ii.
    diagonal: Vec<f64>,
    /// L_{i+1,i}.
    lower: Vec<f64>,
}

impl Cholesky {
    /// Factors the matrix of this diagonal (n ≥ 1 entries) and this constant beside it; nothing where it is not positive.
    pub fn new(diagonal: &[f64], off: f64) -> Option<Cholesky> {
        let mut factor = Cholesky { diagonal: Vec::with_capacity(diagonal.len()), lower: Vec::new() };
        for (i, &d) in diagonal.iter().enumerate() {
            let below = if i == 0 { 0.0 } else { off / factor.diagonal[i - 1] };
            let pivot = d - below * below;
            if !(pivot > 0.0 && pivot.is_finite()) {
                return None;
            }
            if i > 0 {
                factor.lower.push(below);
            }
            factor.diagonal.push(pivot.sqrt());
        }
        Some(factor)
    }

    /// H⁻¹ b.
    pub fn solve(&self, b: &[f64]) -> Vec<f64> {
        let mut x = b.to_vec();
        for i in 0..x.len() {
            let before = if i == 0 { 0.0 } else { self.lower[i - 1] * x[i - 1] };
            x[i] = (x[i] - before) / self.diagonal[i];
        }
        self.solve_upper(&mut x);
        x
    }

    /// L⁻ᵀ ξ in place: of covariance H⁻¹ when ξ are independent standard normal numbers.
    pub fn solve_upper(&self, x: &mut [f64]) {
        for i in (0..x.len()).rev() {
            let after = x.get(i + 1).map_or(0.0, |next| self.lower[i] * next);
            x[i] = (x[i] - after) / self.diagonal[i];
        }
    }

    /// The diagonal of H⁻¹.
    pub fn inverse_diagonal(&self) -> Vec<f64> {
        // From the last row of L⁻ᵀ upwards: y_i = (ξ_i − L_{i+1,i} y_{i+1})/L_ii.
        let mut variance = vec![0.0; self.diagonal.len()];
        for i in (0..variance.len()).rev() {
            let after =
                if i + 1 < variance.len() { self.lower[i] * self.lower[i] * variance[i + 1] } else { 0.0 };
            variance[i] = (1.0 + after) / (self.diagonal[i] * self.diagonal[i]);
        }
        variance
    }

    /// ln det H, for closed forms of Gaussian integrals.
    #[cfg(test)]
    pub(super) fn ln_determinant(&self) -> f64 {
        2.0 * self.diagonal.iter().map(|&d| libm::log(d)).sum::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The second difference on n points: determinant n + 1, inverse min(i, j) (n + 1 − max(i, j))/(n + 1).
    #[test]
    fn second_difference() {
        let n = 9;
        let factor = Cholesky::new(&vec![2.0; n], -1.0).unwrap();
        assert!((factor.ln_determinant() - libm::log(10.0)).abs() < 1e-14);
        let exact = |i: usize, j: usize| ((i.min(j) + 1) * (n - i.max(j))) as f64 / 10.0;
        for j in 0..n {
            let unit: Vec<f64> = (0..n).map(|i| if i == j { 1.0 } else { 0.0 }).collect();
            let column = factor.solve(&unit);
            assert!((0..n).all(|i| (column[i] - exact(i, j)).abs() < 1e-13));
            assert!((factor.inverse_diagonal()[j] - exact(j, j)).abs() < 1e-13);
        }
        assert_eq!(Cholesky::new(&[1.0, 1.0, 1.0], -1.0), None);
    }
}
