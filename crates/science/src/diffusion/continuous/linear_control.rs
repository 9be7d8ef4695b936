//! The one-dimensional control: data N(0, v0), a variance-preserving forward process, and the imperfect score
//! s = −(1 + ε) x/v_t. The reverse process is linear, so q^h is normal and everything is known exactly.

use super::sde::Sde;
use onsager_numerics::arithmetic::square;
use std::f64::consts::TAU;

/// The setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinearControl {
    /// The variance v0 of the data at time 0.
    pub variance: f64,
    /// ε.
    pub error: f64,
    /// `simple`, `cosine` or `vp`.
    pub sde: Sde,
}

impl LinearControl {
    /// v_t = 1 + (v0 − 1) ᾱ: the variance of the forward process.
    pub fn forward_variance(&self, t: f64) -> f64 {
        1.0 + (self.variance - 1.0) * square(self.sde.mean(t))
    }

    /// ᾱ/v at t_min and at t_max.
    fn ends(&self) -> [f64; 2] {
        let (t_min, t_max) = self.sde.times();
        [t_min, t_max].map(|t| square(self.sde.mean(t)) / self.forward_variance(t))
    }

    /// The variance V of q^h at t_min, from 1 at t_max: with u = ᾱ/v, κ = (1 + h)(1 + ε) and the index e for t_min,
    /// V = ᾱ_e u_e^−κ { u_T^κ/ᾱ_T + (h/(κ − 1)) [u_e^(κ−1) − u_T^(κ−1)] }.
    pub fn reverse_variance(&self, h: f64) -> f64 {
        let (t_min, t_max) = self.sde.times();
        let [alpha_end, alpha_start] = [t_min, t_max].map(|t| square(self.sde.mean(t)));
        let [end, start] = self.ends();
        let kappa = (1.0 + h) * (1.0 + self.error);
        let noise = h * power_difference(end, start, kappa - 1.0);
        alpha_end * (libm::pow(start / end, kappa) / alpha_start + noise * libm::pow(end, -kappa))
    }

    /// E[−ln q^h(x)] over x ~ N(0, v_t_min), in nats.
    pub fn nll(&self, h: f64) -> f64 {
        let (v, data) = (self.reverse_variance(h), self.forward_variance(self.sde.times().0));
        0.5 * libm::log(TAU * v) + data / (2.0 * v)
    }

    /// The derivative of the NLL by h at h = 0: minus the mean of ℓ1.
    pub fn nll_slope(&self) -> f64 {
        let (t_min, t_max) = self.sde.times();
        let [alpha_end, alpha_start] = [t_min, t_max].map(|t| square(self.sde.mean(t)));
        let [end, start] = self.ends();
        let kappa = 1.0 + self.error;
        let v = self.reverse_variance(0.0);
        let change = v * kappa * libm::log(start / end)
            + alpha_end * libm::pow(end, -kappa) * power_difference(end, start, self.error);
        debug_assert!((v - alpha_end / alpha_start * libm::pow(start / end, kappa)).abs() < 1e-9 * v);
        let data = self.forward_variance(t_min);
        0.5 * change / v - data * change / (2.0 * v * v)
    }

    /// The variance of the chain of `steps` equal Euler–Maruyama steps, exactly.
    pub fn chain_variance(&self, h: f64, steps: usize) -> f64 {
        self.chain_variance_from(1.0, h, steps)
    }

    /// The same where the chain starts from another variance than 1.
    pub fn chain_variance_from(&self, start: f64, h: f64, steps: usize) -> f64 {
        let (t_min, t_max) = self.sde.times();
        let dt = (t_max - t_min) / steps as f64;
        let mut v = start;
        for k in 0..steps {
            let t = t_max - k as f64 * dt;
            let g2 = self.sde.diffusion(t);
            let pull = 0.5 * (1.0 + h) * g2 * (1.0 + self.error) / self.forward_variance(t);
            let factor = 1.0 - dt * (self.sde.drift(t) + pull);
            v = factor * factor * v + h * g2 * dt;
        }
        v
    }

    /// The divergence of the data from q^h: the NLL less the data's entropy, in nats.
    pub fn divergence(&self, h: f64) -> f64 {
        let ratio = self.forward_variance(self.sde.times().0) / self.reverse_variance(h);
        0.5 * (ratio - 1.0 - libm::log(ratio))
    }

    /// The smallest h up to `limit` where the divergence is at most `level`: a contour of the phase diagram in (ε, h).
    pub fn h_reaching(&self, level: f64, limit: f64) -> Option<f64> {
        const POINTS: usize = 400;
        let at = |i: usize| limit * i as f64 / POINTS as f64;
        let reached = (0..=POINTS).find(|&i| self.divergence(at(i)) <= level)?;
        let (mut above, mut below) = (at(reached.saturating_sub(1)), at(reached));
        for _ in 0..50 {
            let middle = 0.5 * (above + below);
            if self.divergence(middle) <= level { below = middle } else { above = middle }
        }
        Some(below)
    }
}

/// (a^n − b^n)/n, or ln(a/b) where n is 0.
fn power_difference(a: f64, b: f64, n: f64) -> f64 {
    if n.abs() < 1e-300 { libm::log(a / b) } else { libm::pow(b, n) * libm::expm1(n * libm::log(a / b)) / n }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::continuous::sde::{Cosine, Linear, Simple};

    fn simple(t_min: f64, variance: f64, error: f64) -> LinearControl {
        LinearControl { variance, error, sde: Sde::Simple(Simple { t_min, t_max: 1.0 }) }
    }

    /// Values of an independent integration of the variance's equation in higher precision.
    #[test]
    fn known_values() {
        let control = simple(0.0, 1.0, 0.1);
        for (h, nll) in [(0.0, 1.778079), (0.1, 1.536508), (0.5, 1.437689), (1.0, 1.427778)] {
            assert!((control.nll(h) - nll).abs() < 1e-6, "{h}: {}", control.nll(h));
        }
    }

    /// The chain's variance comes near the closed form with the first power of the step: Richardson's extrapolation of two
    /// chains agrees to the second power. With the exact score the variance is that of the forward process, up to the prior's error.
    #[test]
    fn chains_approach_the_closed_form() {
        let cosine = Sde::Cosine(Cosine { t_min: 0.01, t_max: 0.98 });
        let vp = Sde::Vp(Linear::default());
        let all = [
            simple(0.01, 0.3, -0.2),
            LinearControl { variance: 2.0, error: 0.3, sde: cosine },
            LinearControl { variance: 0.7, error: -0.1, sde: vp },
        ];
        for control in all {
            for h in [0.0, 0.25, 1.0, 2.0] {
                let (exact, coarse, fine) = (
                    control.reverse_variance(h),
                    control.chain_variance(h, 4000),
                    control.chain_variance(h, 8000),
                );
                let ratio = (coarse - exact) / (fine - exact);
                assert!((ratio - 2.0).abs() < 0.15, "{control:?} {h}: {ratio}");
                assert!(((2.0 * fine - coarse) / exact - 1.0).abs() < 1e-3, "{control:?} {h}");
            }
        }
        let exact = simple(0.01, 0.3, 0.0);
        assert!((exact.reverse_variance(1.0) - exact.forward_variance(0.01)).abs() < 1e-4);
    }

    /// The slope is the derivative of the closed form (central differences: error h² times third derivatives of ~10²), and a
    /// contour has its level.
    #[test]
    fn slope_and_contours() {
        for error in [-0.3, -1e-9, 0.0, 0.2] {
            let control = simple(0.02, 0.6, error);
            let difference = (control.nll(1e-5) - control.nll(-1e-5)) / 2e-5;
            let slope = control.nll_slope();
            assert!(
                (slope - difference).abs() < 1e-5 * difference.abs() + 1e-9,
                "{error}: {slope} {difference}"
            );
        }
        let control = simple(0.01, 0.5, 0.1);
        let entropy = 0.5 * (TAU * std::f64::consts::E * control.forward_variance(0.01)).ln();
        assert!((control.divergence(0.3) - (control.nll(0.3) - entropy)).abs() < 1e-12);
        let h = control.h_reaching(0.1, 2.0).unwrap();
        assert!(h > 0.0 && (control.divergence(h) - 0.1).abs() < 1e-9);
        assert_eq!((control.h_reaching(1e-9, 2.0), control.h_reaching(1e9, 2.0)), (None, Some(0.0)));
    }
}
