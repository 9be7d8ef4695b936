//! Polynomials of one variable: potentials whose derivatives of every order are needed, and curves through points.

use super::systems::System;

/// c_0 + c_1 x + c_2 x² + …
#[derive(Debug, Clone, PartialEq)]
pub struct Polynomial {
    pub coefficients: Vec<f64>,
}

impl Polynomial {
    pub fn new(coefficients: &[f64]) -> Polynomial {
        Polynomial { coefficients: coefficients.to_vec() }
    }

    /// The potential of a system; nothing where it is no polynomial.
    pub fn of(system: &System) -> Option<Polynomial> {
        let coefficients = match *system {
            System::Free => vec![],
            System::ConstantForce { force } => vec![0.0, force],
            System::Harmonic { stiffness } => vec![0.0, 0.0, 0.5 * stiffness],
            System::Cubic { coefficient } => vec![0.0, 0.0, 0.0, coefficient / 3.0],
            System::Quartic { coefficient } => vec![0.0, 0.0, 0.0, 0.0, 0.25 * coefficient],
            System::DoubleWell { coefficient: c } => vec![c, 0.0, -2.0 * c, 0.0, c],
            System::Polynomial { coefficients } => coefficients.to_vec(),
            System::Morse { .. } => return None,
        };
        Some(Polynomial { coefficients })
    }

    pub fn value(&self, x: f64) -> f64 {
        self.coefficients.iter().rev().fold(0.0, |sum, c| sum * x + c)
    }

    pub fn derivative(&self) -> Polynomial {
        let coefficients =
            self.coefficients.iter().enumerate().skip(1).map(|(power, c)| power as f64 * c).collect();
        Polynomial { coefficients }
    }

    /// The coefficients in powers of y = x − `centre`.
    pub fn around(&self, centre: f64) -> Polynomial {
        // Horner's scheme on polynomials: multiply by (centre + y), add the next coefficient.
        let mut shifted: Vec<f64> = Vec::with_capacity(self.coefficients.len());
        for &c in self.coefficients.iter().rev() {
            shifted.insert(0, 0.0);
            for i in 0..shifted.len() - 1 {
                shifted[i] += centre * shifted[i + 1];
            }
            shifted[0] += c;
        }
        Polynomial { coefficients: shifted }
    }

    pub fn scaled(&self, factor: f64) -> Polynomial {
        Polynomial { coefficients: self.coefficients.iter().map(|c| factor * c).collect() }
    }

    pub fn plus(&self, other: &Polynomial) -> Polynomial {
        let at = |p: &Polynomial, i: usize| p.coefficients.get(i).copied().unwrap_or(0.0);
        let length = self.coefficients.len().max(other.coefficients.len());
        Polynomial { coefficients: (0..length).map(|i| at(self, i) + at(other, i)).collect() }
    }

    pub fn times(&self, other: &Polynomial) -> Polynomial {
        if self.coefficients.is_empty() || other.coefficients.is_empty() {
            return Polynomial { coefficients: Vec::new() };
        }
        let mut coefficients = vec![0.0; self.coefficients.len() + other.coefficients.len() - 1];
        for (i, a) in self.coefficients.iter().enumerate() {
            for (j, b) in other.coefficients.iter().enumerate() {
                coefficients[i + j] += a * b;
            }
        }
        Polynomial { coefficients }
    }
}

/// A curve y = c_0 + c_1 x + … through points of known errors.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    pub coefficients: Vec<f64>,
    /// Standard errors of the coefficients, from the errors of the points alone.
    pub errors: Vec<f64>,
    /// χ² of the residuals.
    pub chi_squared: f64,
    /// Points less coefficients.
    pub freedom: usize,
}

impl Curve {
    /// Weighted least squares of this degree. Nothing for fewer points than coefficients, errors that are not positive, or
    /// x that do not vary enough.
    pub fn fit(x: &[f64], y: &[f64], errors: &[f64], degree: usize) -> Option<Curve> {
        let n = degree + 1;
        if x.len() < n || y.len() != x.len() || errors.len() != x.len() {
            return None;
        }
        // In x over its largest magnitude the normal equations of low degrees are well conditioned.
        let scale = x.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
        let power = |x: f64, i: usize| (0..i).fold(1.0, |product, _| product * (x / scale));
        let mut normal = vec![vec![0.0; n]; n];
        let mut right = vec![0.0; n];
        for ((&x, &y), &error) in x.iter().zip(y).zip(errors) {
            let weight = 1.0 / (error * error);
            for i in 0..n {
                right[i] += weight * power(x, i) * y;
                for (j, entry) in normal[i].iter_mut().enumerate() {
                    *entry += weight * power(x, i) * power(x, j);
                }
            }
        }
        let inverse = inverse(normal)?;
        let unit = |i: usize| (0..i).fold(1.0, |product, _| product / scale);
        let solved: Vec<f64> =
            inverse.iter().map(|row| row.iter().zip(&right).map(|(a, b)| a * b).sum::<f64>()).collect();
        let residual =
            |k: usize| (y[k] - (0..n).map(|i| solved[i] * power(x[k], i)).sum::<f64>()) / errors[k];
        Some(Curve {
            coefficients: (0..n).map(|i| solved[i] * unit(i)).collect(),
            errors: (0..n).map(|i| inverse[i][i].sqrt() * unit(i)).collect(),
            chi_squared: (0..x.len()).map(|k| residual(k) * residual(k)).sum(),
            freedom: x.len() - n,
        })
    }
}

/// The inverse of a symmetric positive matrix by elimination; nothing where a pivot vanishes.
fn inverse(mut matrix: Vec<Vec<f64>>) -> Option<Vec<Vec<f64>>> {
    let n = matrix.len();
    let mut result: Vec<Vec<f64>> =
        (0..n).map(|i| (0..n).map(|j| if i == j { 1.0 } else { 0.0 }).collect()).collect();
    let size = (0..n).map(|i| matrix[i][i]).fold(0.0, f64::max);
    for i in 0..n {
        let pivot = matrix[i][i];
        if !(pivot.is_finite() && pivot > 1e-13 * size) {
            return None;
        }
        matrix[i].iter_mut().chain(result[i].iter_mut()).for_each(|entry| *entry /= pivot);
        for k in (0..n).filter(|&k| k != i) {
            let factor = matrix[k][i];
            for j in 0..n {
                matrix[k][j] -= factor * matrix[i][j];
                result[k][j] -= factor * result[i][j];
            }
        }
    }
    Some(result)
}

#[cfg(test)]
mod tests {
    use super::super::systems::tests::ALL;
    use super::*;

    /// Value and two derivatives against the systems' own, and the expansion around a point against the value.
    #[test]
    fn potentials() {
        for system in ALL {
            let Some(v) = Polynomial::of(&system) else { continue };
            let (slope, curvature) = (v.derivative(), v.derivative().derivative());
            for x in [-2.0, 0.0, 0.3, 1.5] {
                assert!((v.value(x) - system.potential(x)).abs() < 1e-13);
                assert!((slope.value(x) - system.slope(x)).abs() < 1e-13);
                assert!((curvature.value(x) - system.curvature(x)).abs() < 1e-13);
                assert!((v.around(0.7).value(x - 0.7) - v.value(x)).abs() < 1e-13);
                let square = v.times(&v).plus(&v.scaled(2.0)).value(x);
                assert!((square - v.value(x) * (v.value(x) + 2.0)).abs() < 1e-13);
            }
        }
    }

    /// A parabola through its own points is found, and a constant through n equal errors has the error e/√n.
    #[test]
    fn curves() {
        let x = [0.1, 0.05, 0.025, 0.0125];
        let y = x.map(|x| 1.0 - 2.0 * x + 3.0 * x * x);
        let curve = Curve::fit(&x, &y, &[0.1; 4], 2).unwrap();
        for (found, exact) in curve.coefficients.iter().zip([1.0, -2.0, 3.0]) {
            assert!((found - exact).abs() < 1e-9, "{curve:?}");
        }
        assert!(curve.chi_squared < 1e-20 && curve.freedom == 1);
        let constant = Curve::fit(&x, &y, &[0.1; 4], 0).unwrap();
        assert!((constant.errors[0] - 0.05).abs() < 1e-15);
        assert_eq!(Curve::fit(&[1.0; 4], &y, &[0.1; 4], 1), None);
    }
}
