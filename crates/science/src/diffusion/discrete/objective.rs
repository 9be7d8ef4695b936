//! What a network is trained on.

use super::action_matching::{ActionMatching, PotentialPredictor};
use super::batch::{Batch, BatchLoss, Predictor};
use super::bound_loss::{Hybrid, Vlb};
use super::bridge_matching::BridgeMatching;
use super::flow_matching::{FlowMatching, Pairing, PathWeighted};
use super::importance::Importance;
use super::own_path::OwnPath;
use super::path_segment::PathAction;
use super::simple::Simple;
use super::v_prediction::VPrediction;
use crate::nn::networks::network::NetworkConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A training objective.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// E ‖ε − ε_θ(x_t, t)‖² (Ho 2020, eq. 14).
    Simple(Simple),
    /// E ‖v − v_θ(x_t, t)‖², v = √ᾱ ε − √(1 − ᾱ) x_0 (Salimans and Ho 2022).
    VPrediction(VPrediction),
    /// The variational bound (Sohl-Dickstein 2015; Ho 2020, eq. 5).
    Vlb(Vlb),
    /// `simple` and a share of the bound, which trains the variance (Nichol and Dhariwal 2021).
    Hybrid(Hybrid),
    /// The action of path segments and of the model's own mean path.
    PathAction(PathAction),
    /// The action on the path that the model itself takes.
    OwnPath(OwnPath),
    /// The velocity of straight paths from noise to data (Lipman 2023), with optimal pairs if wanted (Tong 2024).
    FlowMatching(FlowMatching),
    /// Flow matching with each path weighted by its probability exp(−γ · action) (after Calvo-Ordoñez 2025).
    PathWeighted(PathWeighted),
    /// The flow of the Schrödinger bridge from noise to data (Tong 2024).
    BridgeMatching(BridgeMatching),
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
    /// v = √ᾱ ε − √(1 − ᾱ) x_0; time is that of the noise.
    V,
    /// The velocity x_0 − z of the straight path x = (1 − τ) z + τ x_0 from noise z to data; time is 1000·τ.
    Velocity,
    /// A potential s whose gradient is dx/dθ for x = cos θ x_0 + sin θ ε; time is 10·θ/(π/2).
    Potential,
}

/// Calls of the network for one sample.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Calls {
    pub forward: f64,
    /// Those that are differentiated by the weights.
    pub backward: f64,
}

impl Objective {
    /// What the network's output is.
    pub fn output(&self) -> Output {
        match self {
            Objective::Simple(_)
            | Objective::Vlb(_)
            | Objective::Hybrid(_)
            | Objective::PathAction(_)
            | Objective::OwnPath(_) => Output::Noise,
            Objective::VPrediction(_) => Output::V,
            Objective::FlowMatching(_) | Objective::PathWeighted(_) | Objective::BridgeMatching(_) => {
                Output::Velocity
            }
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

    /// Whether it takes the noise of each sample as given.
    pub fn takes_noise(&self) -> bool {
        matches!(self, Objective::FlowMatching(FlowMatching { pairing: Pairing::Given }))
    }

    /// How often the network is evaluated for one sample at most, for the memory that it takes.
    pub fn evaluations(&self, network: &NetworkConfig) -> usize {
        match self {
            Objective::PathAction(p) => p.k,
            // The ends, and between them the rate.
            Objective::ActionMatching(_) => match network {
                NetworkConfig::Mlp(_) => 3,
                NetworkConfig::Unet(_) => 4,
            },
            _ => 1,
        }
    }

    /// Whether the pairs of each batch are found by a transport problem, which costs no call of the network.
    pub fn pairs_batches(&self) -> bool {
        let optimal = Objective::FlowMatching(FlowMatching { pairing: Pairing::OptimalTransport });
        *self == optimal || matches!(self, Objective::BridgeMatching(_))
    }

    /// How often this network is called for one sample of a step of T = `timesteps`, on average.
    pub fn calls(&self, timesteps: usize, network: &NetworkConfig) -> Calls {
        let same = |calls: f64| Calls { forward: calls, backward: calls };
        match self {
            // Of the K steps of a segment those in 1 … T; the roll-out begins with the first of them.
            Objective::PathAction(p) => {
                let kept = (p.k * timesteps) as f64 / (timesteps + p.k - 1) as f64;
                same(if p.lambda > 0.0 { kept + (p.k - 1) as f64 } else { kept })
            }
            Objective::OwnPath(p) => Calls { forward: p.k as f64, backward: 1.0 },
            // The gradient ∇s at a point between the ends, the values at both, and the rate, which takes a U-Net two calls.
            Objective::ActionMatching(_) => same(match network {
                NetworkConfig::Mlp(_) => 4.0,
                NetworkConfig::Unet(_) => 5.0,
            }),
            _ => same(1.0),
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
            Objective::OwnPath(p) => {
                ensure(
                    (1..=100).contains(&p.k),
                    "own-path.k",
                    format!("must be from 1 to 100, but is {}", p.k),
                );
                let message = format!("must be from 1 to `timesteps` ({timesteps}), but is {}", p.stride);
                ensure((1..=timesteps.max(1)).contains(&p.stride), "own-path.stride", message);
            }
            Objective::BridgeMatching(p) => {
                let fits = p.sigma >= 0.0 && p.sigma.is_finite();
                ensure(fits, "bridge-matching.sigma", format!("must be 0 or more, but is {}", p.sigma));
            }
            Objective::Simple(_)
            | Objective::VPrediction(_)
            | Objective::FlowMatching(_)
            | Objective::ActionMatching(_) => {}
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
            Objective::VPrediction(p) => p.batch(batch, network),
            Objective::OwnPath(p) => p.batch(batch, network),
            Objective::BridgeMatching(p) => p.batch(batch, network),
            Objective::Vlb(vlb) => vlb.batch(batch, network),
            Objective::Hybrid(hybrid) => hybrid.batch(batch, network),
            Objective::PathAction(p) => p.batch(batch, network),
            Objective::FlowMatching(flow) => flow.batch(batch, network),
            Objective::PathWeighted(p) => p.batch(batch, network),
            Objective::ActionMatching(p) => p.batch(batch, network),
        }
    }
}
