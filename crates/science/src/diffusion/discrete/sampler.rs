//! The samplers: ways from noise to data, for any denoiser.

use super::ancestral::Ancestral;
use super::ddim::Ddim;
use super::dpm_solver::DpmSolver;
use super::h_family::HFamily;
use super::heun::Heun;
use super::node::Node;
use super::plan::Plan;
use super::refinement::Refined;
use super::schedule::Schedule;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How to go from noise to data.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sampler {
    /// The reverse chain itself (Ho 2020, algorithm 2), without noise at the last step.
    Ancestral(Ancestral),
    /// Denoising diffusion implicit models (Song 2021, eq. 12).
    Ddim(Ddim),
    /// Heun's method on the probability flow: order 2, two evaluations a step.
    Heun(Heun),
    /// DPM-Solver++(2M) (Lu 2022): order 2, one evaluation a step.
    DpmSolver(DpmSolver),
    /// A path of another sampler, relaxed towards least action.
    Refined(Refined),
    /// The reverse processes with noise h, from the flow of DDIM (0) to the ancestral chain (1) and beyond.
    HFamily(HFamily),
}

impl Default for Sampler {
    fn default() -> Sampler {
        Sampler::Ancestral(Ancestral::default())
    }
}

impl Sampler {
    /// The `steps` steps of the sampler, from noise to data; of `refined`, those of the path that it begins with.
    pub fn plan(&self, schedule: &Schedule, steps: usize) -> Plan {
        match self {
            Sampler::Ancestral(p) => Plan::Chain(p.plan(schedule, steps)),
            Sampler::Ddim(p) => Plan::Chain(p.plan(schedule, steps)),
            Sampler::Heun(p) => Plan::Heun(Node::list(schedule, p.spacing, steps)),
            Sampler::DpmSolver(p) => Plan::DpmSolver(Node::list(schedule, p.spacing, steps)),
            Sampler::Refined(p) => p.coarse(schedule, steps),
            Sampler::HFamily(p) => Plan::Chain(p.plan(schedule, steps)),
        }
    }
}
