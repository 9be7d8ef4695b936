//! Noise schedules: x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε.

use onsager_numerics::arithmetic::square;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The family of a schedule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// The same for the data at hand, by their mean of x²: `train` makes it `least-action-of`.
    LeastActionOfData,
    /// The same for data whose mean of x² is this: with √ᾱ = cos θ, dθ/dt ∝ 1/√(cos²θ + m sin²θ).
    LeastActionOf(f64),
    /// β_1 … β_T as they are given, for models that were trained elsewhere: T of them, each above 0 and below 1.
    Betas(Vec<f64>),
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
    pub fn new(kind: &ScheduleKind, timesteps: usize) -> Schedule {
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
            ScheduleKind::LeastAction | ScheduleKind::LeastActionOfData | ScheduleKind::LeastActionOf(_) => {
                let moment = if let ScheduleKind::LeastActionOf(moment) = kind { *moment } else { 1.0 };
                let last: f64 = (1..=timesteps).map(|t| 1.0 - linear(t)).product();
                let angles = least_action_angles(libm::acos(last.sqrt()), moment, timesteps);
                Schedule::from_alpha_bars(angles.into_iter().map(|angle| square(libm::cos(angle))))
            }
            ScheduleKind::Betas(betas) => Schedule::from_betas(betas.iter().copied()),
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

    /// The schedule with these β_1 … β_T, each above 0 and below 1.
    pub fn from_betas(betas: impl Iterator<Item = f64>) -> Schedule {
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

impl ScheduleKind {
    /// The schedule for data whose mean of x² is this.
    pub fn of_data(self, second_moment: f64) -> ScheduleKind {
        match self {
            ScheduleKind::LeastActionOfData => ScheduleKind::LeastActionOf(second_moment),
            other => other,
        }
    }

    /// What is wrong with it for T = `timesteps`.
    pub fn issue(&self, timesteps: usize) -> Option<String> {
        match self {
            ScheduleKind::LeastActionOf(moment) => (!(*moment > 0.0 && moment.is_finite()))
                .then(|| format!("`least-action-of` must be above 0, but is {moment}")),
            ScheduleKind::Betas(betas) => match betas.iter().position(|beta| !(*beta > 0.0 && *beta < 1.0)) {
                Some(at) => {
                    Some(format!("`betas` must be above 0 and below 1, but β_{} is {}", at + 1, betas[at]))
                }
                None => (betas.len() != timesteps).then(|| {
                    format!("`betas` must be as many as `timesteps` ({timesteps}), but are {}", betas.len())
                }),
            },
            _ => None,
        }
    }
}

impl std::fmt::Display for ScheduleKind {
    /// As in the YAML file.
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ScheduleKind::Linear => out.write_str("linear"),
            ScheduleKind::Cosine => out.write_str("cosine"),
            ScheduleKind::LeastAction => out.write_str("least-action"),
            ScheduleKind::LeastActionOfData => out.write_str("least-action-of-data"),
            ScheduleKind::LeastActionOf(moment) => write!(out, "{{least-action-of: {moment}}}"),
            ScheduleKind::Betas(betas) => write!(out, "{{betas: {betas:?}}}"),
            ScheduleKind::Straight => out.write_str("straight"),
        }
    }
}

/// The angles θ_1 … θ_T = `last` of √ᾱ = cos θ that make the length ∫ √(cos²θ + m sin²θ) dθ grow evenly: the kinetic action of
/// the interpolant for a mean of x² of m is the integral of its square, least where it is constant. By Runge and Kutta's steps
/// for dθ/dl, l being the length, each of an eighth of a step of t.
fn least_action_angles(last: f64, moment: f64, timesteps: usize) -> Vec<f64> {
    if moment == 1.0 {
        return (1..=timesteps).map(|t| last * t as f64 / timesteps as f64).collect();
    }
    const PARTS: usize = 8;
    let speed = |angle: f64| {
        let (cos, sin) = (libm::cos(angle), libm::sin(angle));
        (cos * cos + moment * sin * sin).sqrt()
    };
    // Simpson's rule.
    let cells = 2 * PARTS * timesteps.max(64);
    let width = last / cells as f64;
    let weight = |i: usize| if i == 0 || i == cells { 1.0 } else { 2.0 + 2.0 * (i % 2) as f64 };
    let length: f64 = (0..=cells).map(|i| weight(i) * speed(i as f64 * width)).sum::<f64>() * width / 3.0;
    let h = length / (timesteps * PARTS) as f64;
    let mut angle = 0.0;
    let mut angles: Vec<f64> = (0..timesteps)
        .map(|_| {
            for _ in 0..PARTS {
                let a = 1.0 / speed(angle);
                let b = 1.0 / speed(angle + 0.5 * h * a);
                let c = 1.0 / speed(angle + 0.5 * h * b);
                let d = 1.0 / speed(angle + h * c);
                angle += h / 6.0 * (a + 2.0 * b + 2.0 * c + d);
            }
            angle
        })
        .collect();
    // The end is what it was asked to be, to the last bit.
    angles[timesteps - 1] = last;
    angles
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
        let linear = Schedule::new(&ScheduleKind::Linear, 1000);
        assert!((linear.beta(1) - 1e-4).abs() < 1e-15 && (linear.beta(1000) - 0.02).abs() < 1e-15);
        let log: f64 = (0..1000).map(|i| (1.0 - (1e-4 + 0.0199 * f64::from(i) / 999.0)).ln()).sum();
        assert!((linear.alpha_bar(1000) / log.exp() - 1.0).abs() < 1e-12);
        assert!((linear.alpha_bar(1000) - 4.0358e-5).abs() < 1e-8);
        let cosine = Schedule::new(&ScheduleKind::Cosine, 1000);
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
        let schedule = Schedule::new(&ScheduleKind::Cosine, 50);
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
            [ScheduleKind::Linear, ScheduleKind::LeastAction].map(|k| Schedule::new(&k, 1000));
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

    /// For data whose mean of x² is not 1, the even length has the least action: its square, by Simpson's sum here, within the error of sums over
    /// 500 steps; less than that of the angles that grow evenly and of shifted ones. At 1 it is `least-action`.
    #[test]
    fn least_action_of_data() {
        let unit = Schedule::new(&ScheduleKind::LeastAction, 500);
        assert_eq!(Schedule::new(&ScheduleKind::LeastActionOf(1.0), 500), unit);
        let last = libm::acos(unit.alpha_bar(500).sqrt());
        for moment in [0.05, 0.3, 4.0] {
            let schedule = Schedule::new(&ScheduleKind::LeastActionOfData.of_data(moment), 500);
            assert!((schedule.alpha_bar(500) / unit.alpha_bar(500) - 1.0).abs() < 1e-9);
            let speed = |angle: f64| (libm::cos(angle).powi(2) + moment * libm::sin(angle).powi(2)).sqrt();
            let weight = |i: u32| if i == 0 || i == 20_000 { 1.0 } else { 2.0 + 2.0 * f64::from(i % 2) };
            let length = (0..=20_000).map(|i| weight(i) * speed(last * f64::from(i) / 20_000.0)).sum::<f64>()
                * last
                / 60_000.0;
            let found = schedule.kinetic_action(moment);
            assert!((found / (length * length) - 1.0).abs() < 1e-4, "{moment}: {found} {}", length * length);
            assert!(unit.kinetic_action(moment) > found);
            for shift in [0.01, -0.01] {
                let angle = |t: usize| {
                    let moved = shift * libm::sin(std::f64::consts::PI * t as f64 / 500.0);
                    libm::acos(schedule.alpha_bar(t).sqrt()) + moved
                };
                let other = Schedule::from_alpha_bars((1..=500).map(|t| libm::cos(angle(t)).powi(2)));
                assert!(other.kinetic_action(moment) > found, "{moment} {shift}");
            }
        }
    }

    /// Given β are the schedule's own; wrong ones are refused.
    #[test]
    fn given_betas() {
        let linear = Schedule::new(&ScheduleKind::Linear, 20);
        let betas: Vec<f64> = (1..=20).map(|t| linear.beta(t)).collect();
        let given = ScheduleKind::Betas(betas);
        assert_eq!(Schedule::new(&given, 20), linear);
        assert_eq!(given.issue(20), None);
        assert!(
            given.issue(21).is_some_and(|text| text.ends_with("as many as `timesteps` (21), but are 20"))
        );
        let wrong = ScheduleKind::Betas(vec![0.1, 1.0]).issue(2);
        assert_eq!(wrong.as_deref(), Some("`betas` must be above 0 and below 1, but β_2 is 1"));
    }

    /// √ᾱ/(√ᾱ + √(1 − ᾱ)) falls linearly.
    #[test]
    fn straight() {
        let schedule = Schedule::new(&ScheduleKind::Straight, 50);
        for t in 1..=50 {
            let (a, b) = (schedule.alpha_bar(t).sqrt(), (1.0 - schedule.alpha_bar(t)).sqrt());
            assert!((a / (a + b) - (1.0 - 0.999 * t as f64 / 50.0)).abs() < 1e-10);
        }
    }

    #[test]
    fn spacings() {
        let ten = Schedule::new(&ScheduleKind::Linear, 10);
        assert_eq!(Spacing::Leading.retained(&ten, 5), [1, 3, 5, 7, 9]);
        assert_eq!(Spacing::Trailing.retained(&ten, 5), [2, 4, 6, 8, 10]);
        assert_eq!(Spacing::Linspace.retained(&ten, 4), [1, 4, 7, 10]);
        assert_eq!(Spacing::Quadratic.retained(&ten, 4), [1, 2, 5, 10]);
        let all =
            [Spacing::Leading, Spacing::Trailing, Spacing::Linspace, Spacing::Quadratic, Spacing::LogSnr];
        for kind in [ScheduleKind::Linear, ScheduleKind::Cosine] {
            let schedule = Schedule::new(&kind, 37);
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
        let schedule = Schedule::new(&ScheduleKind::Linear, 1000);
        let log = |t: usize| libm::log(schedule.alpha_bar(t) / (1.0 - schedule.alpha_bar(t)));
        let retained = Spacing::LogSnr.retained(&schedule, 12);
        assert_eq!((retained[0], retained[11]), (1, 1000));
        for (i, &t) in retained.iter().enumerate().take(11).skip(1) {
            let wanted = log(1) + i as f64 / 11.0 * (log(1000) - log(1));
            assert!((log(t) - wanted).abs() <= 0.5 * (log(t - 1) - log(t + 1)), "{i}");
        }
    }
}
