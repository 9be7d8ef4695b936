//! Ancestral sampling: the reverse chain itself.

use super::chain::{Guided, Sigma, Step};
use super::schedule::{Schedule, Spacing, Variance};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Ancestral sampling.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ancestral {
    /// σ_t².
    pub variance: ReverseVariance,
    /// Which steps are kept when there are fewer than T; β is recomputed from their ᾱ.
    pub spacing: Spacing,
}

/// The variance σ_t² of a step of the reverse chain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReverseVariance {
    /// β_t, optimal for x_0 ~ N(0, I).
    #[default]
    Beta,
    /// β̃_t, optimal for a fixed x_0.
    BetaTilde,
    /// Between the two, by the model's own prediction; for models with a learned variance.
    Learned,
}

impl From<Variance> for ReverseVariance {
    fn from(variance: Variance) -> ReverseVariance {
        match variance {
            Variance::Beta => ReverseVariance::Beta,
            Variance::BetaTilde => ReverseVariance::BetaTilde,
        }
    }
}

impl ReverseVariance {
    /// σ of step i ≥ 1 of a chain.
    pub fn sigma(self, schedule: &Schedule, i: usize) -> Sigma {
        let fixed = |variance| schedule.sigma_squared(i, variance);
        match self {
            ReverseVariance::Beta => Sigma::Fixed(fixed(Variance::Beta).sqrt()),
            ReverseVariance::BetaTilde => Sigma::Fixed(fixed(Variance::BetaTilde).sqrt()),
            ReverseVariance::Learned => Sigma::Learned {
                log_beta: libm::log(fixed(Variance::Beta)),
                log_beta_tilde: libm::log(fixed(Variance::BetaTilde)),
            },
        }
    }
}

impl Ancestral {
    /// The steps from noise to data, the last one without noise.
    pub fn plan(&self, schedule: &Schedule, steps: usize) -> Vec<Step> {
        let retained = self.spacing.retained(schedule, steps);
        let mut plan = reverse_chain(schedule, &retained, self.variance);
        if let Some(last) = plan.last_mut() {
            last.sigma = Sigma::Fixed(0.0);
        }
        plan
    }
}

/// The steps p(x_{i−1} given x_i) = N(μ_θ, σ_i²), from noise to data, of the chain that keeps the steps `retained` (increasing). The last one has
/// noise too, as the likelihood of a path needs it.
pub fn reverse_chain(schedule: &Schedule, retained: &[usize], variance: ReverseVariance) -> Vec<Step> {
    let short = schedule.respaced(retained);
    let step = |(i, &t): (usize, &usize)| {
        let (now, next) = (short.alpha_bar(i + 1), short.alpha_bar(i));
        Step {
            t,
            alpha_bar: now,
            clean: next.sqrt() * short.beta(i + 1) / (1.0 - now),
            state: short.alpha(i + 1).sqrt() * (1.0 - next) / (1.0 - now),
            sigma: variance.sigma(&short, i + 1),
            guided: Guided::Mean,
        }
    };
    retained.iter().enumerate().rev().map(step).collect()
}
