//! The reverse processes of noise h of a model in discrete time: dx = [f − ((1 + h)/2) g² s] dt + √h g dw̄ (Hirono, Tanaka and Fukushima
//! 2024, section 3) with the score s = −ε_θ/√(1 − ᾱ), as steps along the model's schedule.
//!
//! With x̂_0 held over a step, e = (x − √ᾱ x̂_0)/√(1 − ᾱ) is an Ornstein–Uhlenbeck process of unit variance, so the step is exact:
//! e' = ρ e + √(1 − ρ²) z with ρ² = exp(−h Δλ), λ = ln(ᾱ/(1 − ᾱ)). h = 0 is DDIM with η = 0, and h = 1 the ancestral chain with the
//! variance β̃.

use super::chain::{Guided, Sigma, Step};
use super::node::Node;
use super::schedule::{Schedule, Spacing};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A member of the family.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HFamily {
    /// 0 is the probability flow, 1 the reverse SDE; 0 or more.
    pub h: f64,
    /// Which steps are kept.
    pub spacing: Spacing,
}

impl Default for HFamily {
    fn default() -> HFamily {
        HFamily { h: 1.0, spacing: Spacing::default() }
    }
}

impl HFamily {
    /// The steps from noise to data.
    pub fn plan(&self, schedule: &Schedule, steps: usize) -> Vec<Step> {
        let nodes = Node::list(schedule, self.spacing, steps);
        let step = |pair: &[Node]| {
            let (now, next) = (pair[0].alpha_bar, pair[1].alpha_bar);
            // exp(−Δλ); 0 at the last step, where `next` is 1 and no noise is left whatever ρ is.
            let fall = now * (1.0 - next) / (next * (1.0 - now));
            let kept = libm::pow(fall, self.h);
            let state = (kept * (1.0 - next) / (1.0 - now)).sqrt();
            Step {
                t: pair[0].t,
                alpha_bar: now,
                clean: next.sqrt() - state * now.sqrt(),
                state,
                sigma: Sigma::Fixed(((1.0 - next) * (1.0 - kept)).max(0.0).sqrt()),
                guided: Guided::Noise,
            }
        };
        nodes.windows(2).map(step).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::discrete::ancestral::{Ancestral, ReverseVariance};
    use crate::diffusion::discrete::ddim::Ddim;
    use crate::diffusion::discrete::schedule::ScheduleKind;

    fn plan(schedule: &Schedule, h: f64, spacing: Spacing, steps: usize) -> Vec<Step> {
        HFamily { h, spacing }.plan(schedule, steps)
    }

    fn noise(step: &Step) -> f64 {
        match step.sigma {
            Sigma::Fixed(sigma) => sigma,
            Sigma::Learned { .. } => panic!("nothing is learned here"),
        }
    }

    /// To rounding: differences of ᾱ near 1 lose a few digits.
    fn same(a: &[Step], b: &[Step]) {
        assert_eq!(a.len(), b.len());
        for (a, b) in a.iter().zip(b) {
            assert_eq!(a.t, b.t);
            for (x, y) in
                [(a.alpha_bar, b.alpha_bar), (a.clean, b.clean), (a.state, b.state), (noise(a), noise(b))]
            {
                assert!((x - y).abs() < 1e-9, "{a:?} {b:?}");
            }
        }
    }

    #[test]
    fn h_0_is_ddim_and_h_1_the_ancestral_chain() {
        for kind in [ScheduleKind::Linear, ScheduleKind::Cosine] {
            let schedule = Schedule::new(&kind, 200);
            for (steps, spacing) in [(200, Spacing::Linspace), (13, Spacing::Trailing)] {
                let ddim = Ddim { eta: 0.0, spacing, ..Ddim::default() };
                same(&plan(&schedule, 0.0, spacing, steps), &ddim.plan(&schedule, steps));
                let ancestral = Ancestral { variance: ReverseVariance::BetaTilde, spacing };
                same(&plan(&schedule, 1.0, spacing, steps), &ancestral.plan(&schedule, steps));
            }
        }
    }

    /// On data N(0, v) with the exact ε(x, t) = √(1 − ᾱ) x/(ᾱ v + 1 − ᾱ) every step is linear, and the samples' variance comes to v at
    /// first order in the step: halved steps halve the error, up to the next order (1 at 400 steps is 5 %).
    #[test]
    fn every_h_has_the_variance_of_the_data() {
        let schedule = Schedule::new(&ScheduleKind::Cosine, 1600);
        let v = 0.25;
        let error = |h: f64, steps: usize| {
            let plan = plan(&schedule, h, Spacing::Trailing, steps);
            let marginal = |bar: f64| bar * v + 1.0 - bar;
            let end = plan.iter().fold(marginal(plan[0].alpha_bar), |variance, step| {
                let bar = step.alpha_bar;
                let clean = (1.0 - (1.0 - bar) / marginal(bar)) / bar.sqrt();
                let factor = step.clean * clean + step.state;
                factor * factor * variance + noise(step) * noise(step)
            });
            end - v
        };
        for h in [0.0, 0.25, 0.5, 1.0, 1.5, 2.0] {
            let (coarse, fine) = (error(h, 400), error(h, 800));
            assert!(fine.abs() < 0.005, "{h}: {fine}");
            assert!((1.88..2.01).contains(&(coarse / fine)), "{h}: {coarse} {fine}");
        }
    }
}
