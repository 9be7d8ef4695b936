//! Denoising diffusion implicit models.

use super::chain::{Guided, Sigma, Step};
use super::denoiser::Node;
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
}

impl Ddim {
    /// The steps from noise to data.
    pub fn plan(&self, schedule: &Schedule, steps: usize) -> Vec<Step> {
        let nodes = Node::list(schedule, self.spacing, steps);
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
