//! The science of onsager: random motion and its action, diffusion models in discrete and in continuous time, the networks
//! that they train, and the measures that compare their samples. It knows nothing of pipelines and stages.

pub mod data;
pub mod diffusion;
pub mod metrics;
pub mod motion;
pub mod nn;
pub mod stats;
