//! What a stage has cost: calls of its networks, counted for one sample each.

use onsager_runner::kind::context::Context;
use onsager_runner::kind::stage::{Input, StageError};
use serde::{Deserialize, Serialize};

/// Calls of networks, of one sample each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Compute {
    /// Calls of this stage.
    pub forward_calls: f64,
    /// Of these, calls that were differentiated too.
    pub backward_calls: f64,
    /// Calls of the stages that this one builds on, as its input `spent` tells.
    #[serde(default)]
    pub spent_forward_calls: f64,
    #[serde(default)]
    pub spent_backward_calls: f64,
}

impl Compute {
    /// The input that names the stages to build on.
    pub fn spent_input() -> Input {
        let about = "the `info` of trainings and samplings on which this one builds, so that its own tells what all have cost";
        Input::many("spent", about).optional()
    }

    /// These calls, and what the input `spent` has cost.
    pub fn with_spent(self, ctx: &Context) -> Result<Compute, StageError> {
        let mut total = self;
        for item in ctx.items("spent") {
            let text = std::fs::read_to_string(&item.path)?;
            let found: Compute = serde_json::from_str(&text).map_err(|error| {
                let message = format!("`{}` does not tell what a stage has cost: {error}", item.name);
                StageError::with_help(message, "give the output `info` of a `train` or `sample` stage")
            })?;
            total.spent_forward_calls += found.forward_calls + found.spent_forward_calls;
            total.spent_backward_calls += found.backward_calls + found.spent_backward_calls;
        }
        Ok(total)
    }
}
