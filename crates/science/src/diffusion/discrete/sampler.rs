//! Samplers: functions of a denoiser, a start, a schedule and a noise stream, for any denoiser.
//!
//! [`Sampler::plan`] turns a choice into coefficients, [`sample`] and [`sample_paths`] follow them. States are f64 and are
//! rounded to f32 for the network alone, so that rounding does not add up over steps. The noise of sample i at step t comes from its
//! own stream: neither batches nor threads change a sample.
//!
//! ```
//! use onsager_science::diffusion::discrete::sampler::{Batch, Denoiser, Sampler, sample};
//! use onsager_science::diffusion::discrete::schedule::{Schedule, ScheduleKind};
//! use onsager_numerics::random::Streams;
//! use std::convert::Infallible;
//!
//! /// The exact noise of data from N(0, I): ε = √(1 − ᾱ_t) x.
//! struct Normal(Schedule);
//!
//! impl Denoiser for Normal {
//!     type Error = Infallible;
//!
//!     fn noise(&self, x: &[f32], t: &[usize]) -> Result<Vec<f32>, Infallible> {
//!         let rows = x.chunks_exact(2).zip(t);
//!         let noise = |(row, &t): (&[f32], &usize)| [0, 1].map(|i| (1.0 - self.0.alpha_bar(t)).sqrt() as f32 * row[i]);
//!         Ok(rows.flat_map(noise).collect())
//!     }
//! }
//!
//! let schedule = Schedule::new(ScheduleKind::Linear, 1000);
//! let plan = Sampler::default().plan(&schedule, 50);
//! let streams = Streams::new(1, "example");
//! let batch = Batch { streams: &streams, first: 0, count: 1000, size: 2 };
//! let x = sample(&Normal(schedule), &plan, batch, false, || Ok(()))?;
//! let variance = x.iter().map(|x| x * x).sum::<f64>() / 2000.0;
//! assert!((variance - 1.0).abs() < 0.2);
//! # Ok::<(), onsager_science::diffusion::discrete::sampler::SamplingError<Infallible>>(())
//! ```

pub use super::denoiser::{Batch, Denoiser, Differentiable, Node, Prediction, SamplingError, rounded};
pub use super::plan::{Plan, follow, sample, sample_paths};

use super::ancestral::Ancestral;
use super::ddim::Ddim;
use super::dpm_solver::DpmSolver;
use super::h_family::HFamily;
use super::heun::Heun;
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
