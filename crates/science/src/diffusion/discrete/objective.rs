//! What a network is trained on.

use super::action_matching::{ActionMatching, PotentialPredictor};
use super::batch::{Batch, BatchLoss, Predictor};
use super::bound_loss::{Hybrid, Vlb};
use super::flow_matching::{FlowMatching, PathWeighted};
use super::importance::Importance;
use super::path_segment::PathAction;
use super::simple::Simple;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A training objective.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// E ‖ε − ε_θ(x_t, t)‖² (Ho 2020, eq. 14).
    Simple(Simple),
    /// The variational bound (Sohl-Dickstein 2015; Ho 2020, eq. 5).
    Vlb(Vlb),
    /// `simple` and a share of the bound, which trains the variance (Nichol and Dhariwal 2021).
    Hybrid(Hybrid),
    /// The action of path segments and of the model's own mean path.
    PathAction(PathAction),
    /// The velocity of straight paths from noise to data (Lipman 2023), with optimal pairs if wanted (Tong 2024).
    FlowMatching(FlowMatching),
    /// Flow matching with each path weighted by its probability exp(−γ · action) (after Calvo-Ordoñez 2025).
    PathWeighted(PathWeighted),
    /// A potential whose gradient moves noise to data with the least kinetic action (Neklyudov 2023).
    ActionMatching(ActionMatching),
}

impl Default for Objective {
    fn default() -> Objective {
        Objective::Simple(Simple {})
    }
}

/// What the output of a network is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// The noise ε in x = √ᾱ x_0 + √(1 − ᾱ) ε; time is 1000·t/T.
    Noise,
    /// The velocity x_0 − z of the straight path x = (1 − τ) z + τ x_0 from noise z to data; time is 1000·τ.
    Velocity,
    /// A potential s whose gradient is dx/dθ for x = cos θ x_0 + sin θ ε; time is 10·θ/(π/2).
    Potential,
}

impl Objective {
    /// What the network's output is.
    pub fn output(&self) -> Output {
        match self {
            Objective::Simple(_) | Objective::Vlb(_) | Objective::Hybrid(_) | Objective::PathAction(_) => {
                Output::Noise
            }
            Objective::FlowMatching(_) | Objective::PathWeighted(_) => Output::Velocity,
            Objective::ActionMatching(_) => Output::Potential,
        }
    }

    /// Whether the network predicts a variance too.
    pub fn learns_variance(&self) -> bool {
        match self {
            Objective::Vlb(vlb) => vlb.learns_variance(),
            Objective::Hybrid(_) => true,
            _ => false,
        }
    }

    /// How often the network is evaluated for one sample.
    pub fn evaluations(&self) -> usize {
        match self {
            Objective::PathAction(p) => p.k,
            Objective::ActionMatching(_) => 3,
            _ => 1,
        }
    }

    /// The state of importance sampling, for an objective that asks for it.
    pub fn importance(&self, timesteps: usize) -> Option<Importance> {
        let wanted = match self {
            Objective::Vlb(vlb) => vlb.importance,
            Objective::Hybrid(hybrid) => hybrid.importance,
            _ => false,
        };
        wanted.then(|| Importance::new(timesteps))
    }

    /// What is wrong with the settings for T = `timesteps`, as (field, message).
    pub fn issues(&self, timesteps: usize) -> Vec<(String, String)> {
        let mut found = Vec::new();
        let mut ensure = |holds: bool, field: &str, message: String| {
            if !holds {
                found.push((field.to_owned(), message));
            }
        };
        match self {
            Objective::PathAction(p) => {
                let message = format!("must be from 1 to `timesteps` ({timesteps}), but is {}", p.k);
                ensure((1..=timesteps.max(1)).contains(&p.k), "path-action.k", message);
                let fits = p.lambda >= 0.0 && p.lambda.is_finite();
                ensure(fits, "path-action.lambda", format!("must be 0 or more, but is {}", p.lambda));
            }
            Objective::PathWeighted(p) => {
                let fits = p.gamma >= 0.0 && p.gamma.is_finite();
                ensure(fits, "path-weighted.gamma", format!("must be 0 or more, but is {}", p.gamma));
            }
            Objective::Vlb(_) | Objective::Hybrid(_) => {
                ensure(timesteps >= 2, "", "needs `timesteps` of at least 2".into());
            }
            Objective::Simple(_) | Objective::FlowMatching(_) | Objective::ActionMatching(_) => {}
        }
        found
    }

    /// Draws for a batch, and gives its loss.
    pub fn batch<'a, N: Predictor + PotentialPredictor>(
        &self,
        batch: &'a Batch<'a>,
        network: &'a N,
    ) -> BatchLoss<'a> {
        match self {
            Objective::Simple(simple) => simple.batch(batch, network),
            Objective::Vlb(vlb) => vlb.batch(batch, network),
            Objective::Hybrid(hybrid) => hybrid.batch(batch, network),
            Objective::PathAction(p) => p.batch(batch, network),
            Objective::FlowMatching(flow) => flow.batch(batch, network),
            Objective::PathWeighted(p) => p.batch(batch, network),
            Objective::ActionMatching(p) => p.batch(batch, network),
        }
    }
}
