//! The actions of a discrete path x_0 … x_N, and the deviation from the law that a curved potential predicts.

use super::systems::System;

/// A particle in a potential, observed at steps of `dt`; any consistent units.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Motion {
    pub system: System,
    /// m > 0.
    pub mass: f64,
    /// δt > 0.
    pub dt: f64,
}

impl Motion {
    /// Σ (m/2) (x_i − x_{i−1})² / δt, the time integral of the kinetic energy.
    pub fn kinetic(&self, path: &[f64]) -> f64 {
        let squares: f64 = path.windows(2).map(|x| (x[1] - x[0]) * (x[1] - x[0])).sum();
        0.5 * self.mass * squares / self.dt
    }

    /// δt Σ' V(x_i), the time integral of the potential energy by the trapezoidal rule.
    pub fn potential(&self, path: &[f64]) -> f64 {
        self.dt * trapezoid(path.iter().map(|&x| self.system.potential(x)))
    }

    /// The action A_L: the time integral of the Lagrangian.
    pub fn action(&self, path: &[f64]) -> f64 {
        self.kinetic(path) - self.potential(path)
    }

    /// A_H: the time integral of the Hamiltonian, the other candidate.
    pub fn action_hamiltonian(&self, path: &[f64]) -> f64 {
        self.kinetic(path) + self.potential(path)
    }

    /// `δt Σ' [V(z_i) − V(f_i) − V'(f_i)(z_i − f_i)]` of a path z around the least-action path f: for narrow tubes
    /// `2 m D (−ln P) = A[z] + deviation + constant`, exactly.
    pub fn deviation(&self, path: &[f64], least: &[f64]) -> f64 {
        self.dt * trapezoid(path.iter().zip(least).map(|(&z, &f)| self.system.beyond_linear(z, f)))
    }
}

/// The sum with half weight on the two ends.
fn trapezoid(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let last = values.len().saturating_sub(1);
    values.enumerate().map(|(i, value)| if i == 0 || i == last { 0.5 * value } else { value }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: the steps are 1 and 3, V = ½ x² at 0, 1, 4 is 0, ½, 8.
    #[test]
    fn by_hand() {
        let motion = Motion { system: System::Harmonic { stiffness: 1.0 }, mass: 2.0, dt: 0.5 };
        let path = [0.0, 1.0, 4.0];
        assert_eq!(motion.kinetic(&path), 20.0);
        assert_eq!(motion.potential(&path), 2.25);
        assert_eq!(motion.action(&path), 17.75);
        assert_eq!(motion.action_hamiltonian(&path), 22.25);
        assert_eq!(motion.deviation(&[0.0, 2.0, 4.0], &path), 0.25);
    }
}
