//! Noise schedules: x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The family of a schedule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ScheduleKind {
    /// β from 1e-4·(1000/T) to 0.02·(1000/T), linear in t (Ho 2020, scaled so that ᾱ_T hardly depends on T).
    #[default]
    Linear,
    /// ᾱ_t ∝ cos²(π/2·(t/T + 0.008)/1.008) with β ≤ 0.999 (Nichol and Dhariwal 2021, eq. 17).
    Cosine,
}

/// The variance σ_t² of a reverse step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Variance {
    /// β_t, optimal for x_0 ~ N(0, I).
    #[default]
    Beta,
    /// β̃_t = β_t (1 − ᾱ_{t−1})/(1 − ᾱ_t), optimal for a fixed x_0; at t = 1, where it vanishes, that of t = 2.
    BetaTilde,
}

/// Which steps a shorter chain keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Spacing {
    /// Every ⌊T/S⌋-th, from 1.
    Leading,
    /// Every T/S-th, rounded, down from T.
    Trailing,
    /// Evenly from 1 to T, rounded.
    #[default]
    Linspace,
}

/// A noise schedule with its coefficients for t = 1 … T. Those of t outside that range are a programming
/// error and panic.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    alpha_bar: Vec<f64>,
    beta: Vec<f64>,
}

impl Schedule {
    /// The schedule of this family with T = `timesteps` ≥ 1.
    pub fn new(kind: ScheduleKind, timesteps: usize) -> Schedule {
        let total = timesteps as f64;
        let betas = (1..=timesteps).map(|t| match kind {
            ScheduleKind::Linear => {
                let at = if timesteps > 1 { (t - 1) as f64 / (total - 1.0) } else { 0.0 };
                (1000.0 / total * (1e-4 + (0.02 - 1e-4) * at)).min(0.999)
            }
            ScheduleKind::Cosine => {
                let f = |t: f64| libm::cos((t / total + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2);
                let ratio = f(t as f64) / f(t as f64 - 1.0);
                (1.0 - ratio * ratio).min(0.999)
            }
        });
        Schedule::from_betas(betas.collect())
    }

    fn from_betas(betas: Vec<f64>) -> Schedule {
        let mut schedule = Schedule { alpha_bar: vec![1.0], beta: vec![0.0] };
        let mut alpha_bar = 1.0;
        for beta in betas {
            alpha_bar *= 1.0 - beta;
            schedule.alpha_bar.push(alpha_bar);
            schedule.beta.push(beta);
        }
        schedule
    }

    /// The schedule of the shorter chain that keeps the steps `retained` (increasing, in 1 … T): its step i
    /// has the ᾱ of `retained[i − 1]`, and β recomputed from them.
    pub fn respaced(&self, retained: &[usize]) -> Schedule {
        let mut last = 1.0;
        let betas = retained.iter().map(|&t| {
            let beta = 1.0 - self.alpha_bar[t] / last;
            last = self.alpha_bar[t];
            beta
        });
        Schedule::from_betas(betas.collect())
    }

    /// T.
    pub fn timesteps(&self) -> usize {
        self.alpha_bar.len() - 1
    }

    /// β_t.
    pub fn beta(&self, t: usize) -> f64 {
        self.beta[t]
    }

    /// α_t = 1 − β_t.
    pub fn alpha(&self, t: usize) -> f64 {
        1.0 - self.beta[t]
    }

    /// ᾱ_t = α_1 ⋯ α_t; ᾱ_0 = 1.
    pub fn alpha_bar(&self, t: usize) -> f64 {
        self.alpha_bar[t]
    }

    /// β̃_t, the variance of x_{t−1} given x_t and x_0; β̃_1 = 0.
    pub fn beta_tilde(&self, t: usize) -> f64 {
        self.beta[t] * (1.0 - self.alpha_bar[t - 1]) / (1.0 - self.alpha_bar[t])
    }

    /// σ_t² of the reverse step from t, positive at every t.
    pub fn sigma_squared(&self, t: usize, variance: Variance) -> f64 {
        match variance {
            Variance::Beta => self.beta[t],
            Variance::BetaTilde if t == 1 && self.timesteps() > 1 => self.beta_tilde(2),
            Variance::BetaTilde if t == 1 => self.beta[1],
            Variance::BetaTilde => self.beta_tilde(t),
        }
    }

    /// The factor of ‖ε − ε_θ(x_t, t)‖² in the variational bound: β_t²/(2 σ_t² α_t (1 − ᾱ_t)) (Ho 2020, eq.
    /// 12).
    pub fn bound_weight(&self, t: usize, variance: Variance) -> f64 {
        let beta = self.beta[t];
        beta * beta / (2.0 * self.sigma_squared(t, variance) * self.alpha(t) * (1.0 - self.alpha_bar[t]))
    }
}

impl Spacing {
    /// `steps` increasing steps out of 1 … T; at most T of them.
    pub fn retained(self, timesteps: usize, steps: usize) -> Vec<usize> {
        let steps = steps.clamp(1, timesteps);
        let (total, count) = (timesteps as f64, steps as f64);
        match self {
            Spacing::Leading => (0..steps).map(|i| 1 + i * (timesteps / steps)).collect(),
            Spacing::Trailing => {
                (0..steps).rev().map(|i| (total - i as f64 * total / count).round() as usize).collect()
            }
            Spacing::Linspace if steps == 1 => vec![timesteps],
            Spacing::Linspace => {
                (0..steps).map(|i| 1 + (i as f64 * (total - 1.0) / (count - 1.0)).round() as usize).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published ends at T = 1000: ᾱ_T = 4.0358e-5 for the linear schedule; β ≤ 0.999 binds only at the
    /// cosine's last step.
    #[test]
    fn published_ends() {
        let linear = Schedule::new(ScheduleKind::Linear, 1000);
        assert!((linear.beta(1) - 1e-4).abs() < 1e-15 && (linear.beta(1000) - 0.02).abs() < 1e-15);
        let log: f64 = (0..1000).map(|i| (1.0 - (1e-4 + 0.0199 * f64::from(i) / 999.0)).ln()).sum();
        assert!((linear.alpha_bar(1000) / log.exp() - 1.0).abs() < 1e-12);
        assert!((linear.alpha_bar(1000) - 4.0358e-5).abs() < 1e-8);
        let cosine = Schedule::new(ScheduleKind::Cosine, 1000);
        let f = |t: f64| (std::f64::consts::FRAC_PI_2 * (t / 1000.0 + 0.008) / 1.008).cos().powi(2);
        for t in 1..1000 {
            assert!((cosine.alpha_bar(t) - f(t as f64) / f(0.0)).abs() < 1e-12);
        }
        assert_eq!(cosine.beta(1000), 0.999);
    }

    /// Keeping every step changes nothing; keeping some keeps their ᾱ, and the posterior variance is 1/(1/a +
    /// 1/b) form.
    #[test]
    fn respacing_and_posterior() {
        let schedule = Schedule::new(ScheduleKind::Cosine, 50);
        let same = schedule.respaced(&Spacing::Leading.retained(50, 50));
        for t in 1..=50 {
            assert!((same.beta(t) - schedule.beta(t)).abs() < 1e-12);
        }
        let retained = Spacing::Trailing.retained(50, 7);
        assert_eq!((retained.len(), retained[6]), (7, 50));
        let short = schedule.respaced(&retained);
        for (i, &t) in retained.iter().enumerate() {
            assert!((short.alpha_bar(i + 1) - schedule.alpha_bar(t)).abs() < 1e-14);
        }
        // The precision of x_{t−1} given x_t and x_0 is α/β + 1/(1 − ᾱ_{t−1}).
        for t in 2..=50 {
            let precision = schedule.alpha(t) / schedule.beta(t) + 1.0 / (1.0 - schedule.alpha_bar(t - 1));
            assert!((schedule.beta_tilde(t) * precision - 1.0).abs() < 1e-10);
        }
    }

    #[test]
    fn spacings() {
        assert_eq!(Spacing::Leading.retained(10, 5), [1, 3, 5, 7, 9]);
        assert_eq!(Spacing::Trailing.retained(10, 5), [2, 4, 6, 8, 10]);
        assert_eq!(Spacing::Linspace.retained(10, 4), [1, 4, 7, 10]);
        for spacing in [Spacing::Leading, Spacing::Trailing, Spacing::Linspace] {
            for steps in 1..=37 {
                let retained = spacing.retained(37, steps);
                assert!(retained.windows(2).all(|w| w[0] < w[1]) && retained.len() == steps);
                assert!(retained[0] >= 1 && retained[steps - 1] <= 37);
            }
        }
    }
}
