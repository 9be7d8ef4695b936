//! Denoising diffusion implicit models. Where the predicted clean sample is cut to [−1, 1], the noise is what goes with the cut one, as in OpenAI's
//! programs (and here in every sampler); diffusers keeps the predicted noise.

use super::chain::{Guided, Sigma, Step};
use super::node::Node;
use super::schedule::{Schedule, Spacing};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// DDIM sampling.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ddim {
    /// 0 is deterministic, 1 has the noise of ancestral sampling with β̃.
    pub eta: f64,
    /// Which steps are kept.
    pub spacing: Spacing,
    /// ᾱ where the last step ends.
    pub last_alpha_bar: LastAlphaBar,
}

/// ᾱ where the last step ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LastAlphaBar {
    /// 1: clean data.
    #[default]
    One,
    /// ᾱ_1, as diffusers has it with `set_alpha_to_one=False`: the noise of the first step stays.
    First,
}

impl Ddim {
    /// The steps from noise to data.
    pub fn plan(&self, schedule: &Schedule, steps: usize) -> Vec<Step> {
        let mut nodes = Node::list(schedule, self.spacing, steps);
        if let (LastAlphaBar::First, Some(last)) = (self.last_alpha_bar, nodes.last_mut()) {
            last.alpha_bar = schedule.alpha_bar(1);
        }
        let step = |pair: &[Node]| {
            let (now, next) = (pair[0].alpha_bar, pair[1].alpha_bar);
            let variance = self.eta * self.eta * (1.0 - next) / (1.0 - now) * (1.0 - now / next);
            // ε = (x − √ᾱ_t x̂_0)/√(1 − ᾱ_t), so its factor is shared between x and x̂_0.
            let state = ((1.0 - next - variance).max(0.0) / (1.0 - now)).sqrt();
            Step {
                t: pair[0].t,
                alpha_bar: now,
                clean: next.sqrt() - state * now.sqrt(),
                state,
                sigma: Sigma::Fixed(variance.sqrt()),
                guided: Guided::Noise,
            }
        };
        nodes.windows(2).map(step).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::discrete::schedule::ScheduleKind;

    /// The last of the steps from T = 4, 2 ends at clean data, or keeps √(1 − ᾱ_1) of the noise: the factor of ε is then
    /// √(1 − ᾱ_1) and not 0, by the factors of x and ε.
    #[test]
    fn the_last_alpha_bar() {
        let schedule = Schedule::new(&ScheduleKind::Linear, 4);
        let last = |last_alpha_bar| {
            let ddim = Ddim { last_alpha_bar, spacing: Spacing::Trailing, ..Ddim::default() };
            *ddim.plan(&schedule, 2).last().unwrap()
        };
        let (one, first) = (last(LastAlphaBar::One), last(LastAlphaBar::First));
        assert_eq!((one.t, one.clean, one.state), (2, 1.0, 0.0));
        let (bar, bar_1) = (schedule.alpha_bar(2), schedule.alpha_bar(1));
        let (x, noise) = first.factors();
        let ratio = (bar_1 / bar).sqrt();
        assert!((x - ratio).abs() < 1e-12);
        assert!((noise - (1.0 - bar_1).sqrt() + ratio * (1.0 - bar).sqrt()).abs() < 1e-12);
    }
}
