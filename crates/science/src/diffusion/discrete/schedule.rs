//! Noise schedules: x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε.

use onsager_numerics::arithmetic::square;
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
    /// √ᾱ = cos θ with θ linear in t, from 0 to the last angle of `linear`: of all schedules with these ends the one of
    /// least kinetic action for data of unit variance, (Δθ)².
    LeastAction,
    /// √ᾱ : √(1 − ᾱ) = τ : 1 − τ with τ falling linearly from 1 to 0.001: with DDIM, Euler's steps along the straight paths
    /// of flow matching.
    Straight,
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
    /// As the square of even numbers from 1 to T, rounded: denser where there is little noise.
    Quadratic,
    /// Evenly in ln(ᾱ/(1 − ᾱ)), from 1 to T, the nearest step: what solvers of order 2 need for their order.
    LogSnr,
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
        let linear = |t: usize| {
            let at = if timesteps > 1 { (t - 1) as f64 / (total - 1.0) } else { 0.0 };
            (1000.0 / total * (1e-4 + (0.02 - 1e-4) * at)).min(0.999)
        };
        match kind {
            ScheduleKind::Linear => Schedule::from_betas((1..=timesteps).map(linear)),
            ScheduleKind::Cosine => Schedule::from_betas((1..=timesteps).map(|t| {
                let f = |t: f64| libm::cos((t / total + 0.008) / 1.008 * std::f64::consts::FRAC_PI_2);
                let ratio = f(t as f64) / f(t as f64 - 1.0);
                (1.0 - ratio * ratio).min(0.999)
            })),
            ScheduleKind::LeastAction => {
                let last: f64 = (1..=timesteps).map(|t| 1.0 - linear(t)).product();
                let angle = libm::acos(last.sqrt());
                let root = |t: usize| libm::cos(angle * t as f64 / total);
                Schedule::from_alpha_bars((1..=timesteps).map(|t| root(t) * root(t)))
            }
            ScheduleKind::Straight => Schedule::from_alpha_bars((1..=timesteps).map(|t| {
                let at = 1.0 - (1.0 - 1e-3) * t as f64 / total;
                at * at / (at * at + (1.0 - at) * (1.0 - at))
            })),
        }
    }

    fn from_alpha_bars(alpha_bars: impl Iterator<Item = f64>) -> Schedule {
        let mut last = 1.0;
        Schedule::from_betas(alpha_bars.map(|alpha_bar| {
            let beta = 1.0 - alpha_bar / last;
            last = alpha_bar;
            beta
        }))
    }

    fn from_betas(betas: impl Iterator<Item = f64>) -> Schedule {
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
        Schedule::from_alpha_bars(retained.iter().map(|&t| self.alpha_bar[t]))
    }

    /// The time that a network is told for step t: 1000·t/T.
    pub fn network_time(&self, t: usize) -> f32 {
        (t as f64 * (1000.0 / self.timesteps() as f64)) as f32
    }

    /// The kinetic action of the interpolant a x_0 + b ε, a = √ᾱ and b = √(1 − ᾱ), per number for data of this second moment
    /// and over a unit of time: T Σ_t ((a_t − a_{t−1})² E‖x_0‖²/d + (b_t − b_{t−1})²).
    pub fn kinetic_action(&self, second_moment: f64) -> f64 {
        let squared = |f: &dyn Fn(f64) -> f64| -> f64 {
            self.alpha_bar.windows(2).map(|pair| square(f(pair[1]) - f(pair[0]))).sum()
        };
        let moved = second_moment * squared(&f64::sqrt) + squared(&|bar| (1.0 - bar).sqrt());
        self.timesteps() as f64 * moved
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
    pub fn retained(self, schedule: &Schedule, steps: usize) -> Vec<usize> {
        let timesteps = schedule.timesteps();
        let steps = steps.clamp(1, timesteps);
        let (total, count) = (timesteps as f64, steps as f64);
        // From 0 to 1.
        let even = (0..steps).map(|i| i as f64 / (count - 1.0));
        match self {
            Spacing::Leading => (0..steps).map(|i| 1 + i * (timesteps / steps)).collect(),
            Spacing::Trailing => {
                (0..steps).rev().map(|i| (total - i as f64 * total / count).round() as usize).collect()
            }
            _ if steps == 1 => vec![timesteps],
            Spacing::Linspace => even.map(|u| 1 + (u * (total - 1.0)).round() as usize).collect(),
            Spacing::Quadratic => {
                distinct(even.map(|u| 1 + (u * u * (total - 1.0)).round() as usize).collect(), timesteps)
            }
            Spacing::LogSnr => {
                let log_snr = |t: usize| libm::log(schedule.alpha_bar(t) / (1.0 - schedule.alpha_bar(t)));
                let all: Vec<f64> = (1..=timesteps).map(log_snr).collect();
                let (first, last) = (all[0], all[timesteps - 1]);
                let nearest = |u: f64| {
                    let wanted = first + u * (last - first);
                    let after = all.partition_point(|&x| x > wanted).clamp(1, timesteps - 1);
                    if all[after - 1] - wanted < wanted - all[after] { after } else { after + 1 }
                };
                distinct(even.map(nearest).collect(), timesteps)
            }
        }
    }
}

/// The same numbers, moved as little as makes them increase strictly and stay in 1 … `last`.
fn distinct(mut steps: Vec<usize>, last: usize) -> Vec<usize> {
    for i in 1..steps.len() {
        steps[i] = steps[i].max(steps[i - 1] + 1);
    }
    for (room, step) in steps.iter_mut().rev().enumerate() {
        *step = (*step).min(last - room);
    }
    steps
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
        let same = schedule.respaced(&Spacing::Leading.retained(&schedule, 50));
        for t in 1..=50 {
            assert!((same.beta(t) - schedule.beta(t)).abs() < 1e-12);
        }
        let retained = Spacing::Trailing.retained(&schedule, 7);
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

    /// At the ends of the linear schedule with T = 1000 the least kinetic action is (Δθ)² = 2.447, and the linear schedule has
    /// 3.755 (sums over 1,000 steps differ from the integrals by less than 2e-3). No shift of the angles does better.
    #[test]
    fn least_action() {
        let [linear, least] =
            [ScheduleKind::Linear, ScheduleKind::LeastAction].map(|k| Schedule::new(k, 1000));
        assert!((linear.alpha_bar(1000) / least.alpha_bar(1000) - 1.0).abs() < 1e-9);
        assert!((least.kinetic_action(1.0) - 2.447).abs() < 1e-3, "{}", least.kinetic_action(1.0));
        assert!((linear.kinetic_action(1.0) - 3.755).abs() < 2e-3, "{}", linear.kinetic_action(1.0));
        let angle = libm::acos(least.alpha_bar(1000).sqrt());
        for shift in [0.01, -0.01] {
            let root = |t: f64| libm::cos(angle * t + shift * libm::sin(std::f64::consts::PI * t));
            let other = Schedule::from_alpha_bars((1..=1000).map(|t| root(f64::from(t) / 1000.0).powi(2)));
            assert!(other.kinetic_action(1.0) > least.kinetic_action(1.0));
        }
    }

    /// √ᾱ/(√ᾱ + √(1 − ᾱ)) falls linearly.
    #[test]
    fn straight() {
        let schedule = Schedule::new(ScheduleKind::Straight, 50);
        for t in 1..=50 {
            let (a, b) = (schedule.alpha_bar(t).sqrt(), (1.0 - schedule.alpha_bar(t)).sqrt());
            assert!((a / (a + b) - (1.0 - 0.999 * t as f64 / 50.0)).abs() < 1e-10);
        }
    }

    #[test]
    fn spacings() {
        let ten = Schedule::new(ScheduleKind::Linear, 10);
        assert_eq!(Spacing::Leading.retained(&ten, 5), [1, 3, 5, 7, 9]);
        assert_eq!(Spacing::Trailing.retained(&ten, 5), [2, 4, 6, 8, 10]);
        assert_eq!(Spacing::Linspace.retained(&ten, 4), [1, 4, 7, 10]);
        assert_eq!(Spacing::Quadratic.retained(&ten, 4), [1, 2, 5, 10]);
        let all =
            [Spacing::Leading, Spacing::Trailing, Spacing::Linspace, Spacing::Quadratic, Spacing::LogSnr];
        for kind in [ScheduleKind::Linear, ScheduleKind::Cosine] {
            let schedule = Schedule::new(kind, 37);
            for spacing in all {
                for steps in 1..=37 {
                    let retained = spacing.retained(&schedule, steps);
                    assert!(retained.windows(2).all(|w| w[0] < w[1]) && retained.len() == steps);
                    assert!(retained[0] >= 1 && retained[steps - 1] <= 37);
                }
            }
        }
    }

    /// Evenly in the logarithm: no step is further off than half the distance to its neighbours.
    #[test]
    fn log_snr_spacing_is_even() {
        let schedule = Schedule::new(ScheduleKind::Linear, 1000);
        let log = |t: usize| libm::log(schedule.alpha_bar(t) / (1.0 - schedule.alpha_bar(t)));
        let retained = Spacing::LogSnr.retained(&schedule, 12);
        assert_eq!((retained[0], retained[11]), (1, 1000));
        for (i, &t) in retained.iter().enumerate().take(11).skip(1) {
            let wanted = log(1) + i as f64 / 11.0 * (log(1000) - log(1));
            assert!((log(t) - wanted).abs() <= 0.5 * (log(t - 1) - log(t + 1)), "{i}");
        }
    }
}
