//! The systems: one particle in one dimension, in a potential V(x).

/// A potential with its parameters, in the units of the caller.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum System {
    /// V = 0.
    Free,
    /// V = F x; a weight m g pulls towards negative x.
    ConstantForce { force: f64 },
    /// V = ½ k x².
    Harmonic { stiffness: f64 },
    /// V = ⅓ C x³.
    Cubic { coefficient: f64 },
    /// V = ¼ C x⁴.
    Quartic { coefficient: f64 },
    /// V = C (1 − e^(−α x))².
    Morse { depth: f64, alpha: f64 },
    /// V = C (x² − 1)².
    DoubleWell { coefficient: f64 },
    /// V = Σ c_n xⁿ, c_0 first; unused ones are zero.
    Polynomial { coefficients: [f64; TERMS] },
}

/// The most coefficients of a polynomial potential: degree 8.
pub const TERMS: usize = 9;

impl System {
    /// V(x), an energy.
    pub fn potential(&self, x: f64) -> f64 {
        match *self {
            System::Free => 0.0,
            System::ConstantForce { force } => force * x,
            System::Harmonic { stiffness } => 0.5 * stiffness * x * x,
            System::Cubic { coefficient } => coefficient * x * x * x / 3.0,
            System::Quartic { coefficient } => 0.25 * coefficient * (x * x) * (x * x),
            System::Morse { depth, alpha } => {
                let gap = -libm::expm1(-alpha * x);
                depth * gap * gap
            }
            System::DoubleWell { coefficient } => {
                let gap = x * x - 1.0;
                coefficient * gap * gap
            }
            System::Polynomial { coefficients } => taylor(coefficients, x)[0],
        }
    }

    /// V'(x), minus the force.
    pub fn slope(&self, x: f64) -> f64 {
        match *self {
            System::Free => 0.0,
            System::ConstantForce { force } => force,
            System::Harmonic { stiffness } => stiffness * x,
            System::Cubic { coefficient } => coefficient * x * x,
            System::Quartic { coefficient } => coefficient * x * x * x,
            System::Morse { depth, alpha } => {
                -2.0 * depth * alpha * libm::exp(-alpha * x) * libm::expm1(-alpha * x)
            }
            System::DoubleWell { coefficient } => 4.0 * coefficient * x * (x * x - 1.0),
            System::Polynomial { coefficients } => taylor(coefficients, x)[1],
        }
    }

    /// V''(x).
    pub fn curvature(&self, x: f64) -> f64 {
        match *self {
            System::Free | System::ConstantForce { .. } => 0.0,
            System::Harmonic { stiffness } => stiffness,
            System::Cubic { coefficient } => 2.0 * coefficient * x,
            System::Quartic { coefficient } => 3.0 * coefficient * x * x,
            System::Morse { depth, alpha } => {
                let e = libm::exp(-alpha * x);
                2.0 * depth * alpha * alpha * e * (2.0 * e - 1.0)
            }
            System::DoubleWell { coefficient } => 4.0 * coefficient * (3.0 * x * x - 1.0),
            System::Polynomial { coefficients } => 2.0 * taylor(coefficients, x)[2],
        }
    }

    /// V(z) − V(f) − V'(f)(z − f), the part of V(z) beyond first order; for a linear potential exactly zero.
    pub fn beyond_linear(&self, z: f64, f: f64) -> f64 {
        let u = z - f;
        match *self {
            System::Free | System::ConstantForce { .. } => 0.0,
            System::Harmonic { stiffness } => 0.5 * stiffness * u * u,
            System::Cubic { coefficient } => coefficient * u * u * (f + u / 3.0),
            System::Quartic { coefficient } => coefficient * u * u * (1.5 * f * f + f * u + 0.25 * u * u),
            System::Morse { .. } => self.potential(z) - self.potential(f) - self.slope(f) * u,
            System::DoubleWell { coefficient } => {
                coefficient * u * u * (6.0 * f * f - 2.0 + 4.0 * f * u + u * u)
            }
            System::Polynomial { coefficients } => {
                let higher = taylor(coefficients, f);
                u * u * higher[2..].iter().rev().fold(0.0, |sum, c| sum * u + c)
            }
        }
    }

    /// The same system with its potential multiplied by `factor`.
    pub fn scaled(&self, factor: f64) -> System {
        match *self {
            System::Free => System::Free,
            System::ConstantForce { force } => System::ConstantForce { force: force * factor },
            System::Harmonic { stiffness } => System::Harmonic { stiffness: stiffness * factor },
            System::Cubic { coefficient } => System::Cubic { coefficient: coefficient * factor },
            System::Quartic { coefficient } => System::Quartic { coefficient: coefficient * factor },
            System::Morse { depth, alpha } => System::Morse { depth: depth * factor, alpha },
            System::DoubleWell { coefficient } => System::DoubleWell { coefficient: coefficient * factor },
            System::Polynomial { coefficients } => {
                System::Polynomial { coefficients: coefficients.map(|c| c * factor) }
            }
        }
    }
}

/// The coefficients of the polynomial in powers of x − `at`: V^(n)(at)/n!, by repeated synthetic division.
fn taylor(mut coefficients: [f64; TERMS], at: f64) -> [f64; TERMS] {
    for low in 0..TERMS {
        for n in (low..TERMS - 1).rev() {
            coefficients[n] += at * coefficients[n + 1];
        }
    }
    coefficients
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const ALL: [System; 8] = [
        System::Free,
        System::ConstantForce { force: 0.3 },
        System::Harmonic { stiffness: 0.02 },
        System::Cubic { coefficient: 0.001 },
        System::Quartic { coefficient: 0.0002 },
        System::Morse { depth: 1.0, alpha: 0.1 },
        System::DoubleWell { coefficient: 0.0001 },
        System::Polynomial { coefficients: [0.2, -0.1, 0.01, 1e-3, 1e-4, 0.0, 1e-7, 0.0, 1e-9] },
    ];

    /// A polynomial is the potential of the same shape; powers by hand: 1 − 2 + 3·4 − 8 = 3 at 2, slope −1 + 12 − 12 = −1,
    /// curvature 6 − 12 = −6.
    #[test]
    fn polynomials() {
        let quartic = System::Polynomial { coefficients: [0.0, 0.0, 0.0, 0.0, 0.25, 0.0, 0.0, 0.0, 0.0] };
        let named = System::Quartic { coefficient: 1.0 };
        for x in [-2.5, 0.0, 0.75, 4.0] {
            assert_eq!(quartic.potential(x), named.potential(x));
            assert_eq!(quartic.slope(x), named.slope(x));
            assert_eq!(quartic.curvature(x), named.curvature(x));
            assert!((quartic.beyond_linear(x + 0.5, x) - named.beyond_linear(x + 0.5, x)).abs() < 1e-14);
        }
        let cubic = System::Polynomial { coefficients: [1.0, -1.0, 3.0, -1.0, 0.0, 0.0, 0.0, 0.0, 0.0] };
        assert_eq!((cubic.potential(2.0), cubic.slope(2.0), cubic.curvature(2.0)), (3.0, -1.0, -6.0));
    }

    /// Slope and curvature against central differences (error h² V''''/6 and rounding, both below 1e-8 here), and the part
    /// beyond first order against its definition.
    #[test]
    fn derivatives() {
        let h = 1e-4;
        for system in ALL {
            for x in [-3.0, -0.5, 0.0, 1.7, 8.0] {
                let slope = (system.potential(x + h) - system.potential(x - h)) / (2.0 * h);
                let curvature = (system.slope(x + h) - system.slope(x - h)) / (2.0 * h);
                assert!((slope - system.slope(x)).abs() < 1e-8, "{system:?} at {x}");
                assert!((curvature - system.curvature(x)).abs() < 1e-8, "{system:?} at {x}");
                let z = x + 1.3;
                let beyond = system.potential(z) - system.potential(x) - system.slope(x) * (z - x);
                assert!((system.beyond_linear(z, x) - beyond).abs() < 1e-12, "{system:?} at {x}");
                assert!((0.5 * system.potential(x) - system.scaled(0.5).potential(x)).abs() < 1e-14);
            }
        }
    }
}
