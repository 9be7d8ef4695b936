//! The parameters of `train`.

use crate::kinds::choice;
use onsager_science::diffusion::discrete::objective::{Objective, Output as NetworkOutput};
use onsager_science::diffusion::discrete::schedule::ScheduleKind;
use onsager_science::nn::device::DeviceClass;
use onsager_science::nn::networks::network::NetworkConfig;
use schemars::JsonSchema;
use serde::de::Deserializer;
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

/// Parameters of `train`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, remote = "Self")]
pub struct Params {
    /// The network that predicts the noise: `unet` for images, `mlp` for points.
    #[serde(deserialize_with = "choice::read")]
    #[schemars(schema_with = "choice::schema::<NetworkConfig>")]
    pub(super) network: NetworkConfig,
    /// The noise schedule.
    pub(super) schedule: ScheduleKind,
    /// T, the number of diffusion steps, 1 to 10,000.
    pub(super) timesteps: usize,
    /// What the network is trained on: `simple`, `v-prediction`, `vlb`, `hybrid`, `path-action`, `own-path`, `flow-matching`, `path-weighted`,
    /// `bridge-matching`, or `action-matching`.
    #[serde(deserialize_with = "choice::read")]
    #[schemars(schema_with = "choice::schema::<Objective>")]
    pub(super) objective: Objective,
    /// Tells the network the class of each sample, which must be labelled.
    pub(super) conditional: bool,
    /// With `conditional`, the share of the samples that are trained without their class, 0 to below 1: what classifier-free
    /// guidance needs.
    pub(super) drop_class: f64,
    /// Adds uniform noise of one grey level's width to the images, so that they have a density; for likelihoods.
    pub(super) dequantise: bool,
    /// Number of optimiser steps.
    pub(super) steps: u64,
    /// Samples in a step (segments of K steps with `path-action`, so a step costs K times as much).
    pub(super) batch: usize,
    /// AdamW's learning rate.
    pub(super) learning_rate: f64,
    /// Steps over which the learning rate grows from zero.
    pub(super) warmup: u64,
    /// AdamW's decoupled weight decay.
    pub(super) weight_decay: f64,
    /// Decay of the moving average of the weights, 0 to below 1; the average is the model.
    pub(super) ema: f64,
    /// The gradient's norm is cut to this; 0 leaves it alone.
    pub(super) clip: f64,
    /// Where the network runs: `auto`, `cpu`, `cuda` or `metal`; `action-matching` on the CPU only.
    #[schemars(extend("default" = "auto"))]
    pub(super) device: DeviceClass,
    /// Selects the random streams: initial weights, order of the data, noise.
    pub(super) seed: u64,
    /// Steps between checkpoints.
    pub(super) checkpoint_every: u64,
    /// Steps between rows of the loss table.
    pub(super) validate_every: u64,
}

impl Default for Params {
    fn default() -> Params {
        Params {
            network: NetworkConfig::default(),
            schedule: ScheduleKind::Linear,
            timesteps: 200,
            objective: Objective::default(),
            conditional: false,
            drop_class: 0.1,
            dequantise: false,
            steps: 3000,
            batch: 64,
            learning_rate: 2e-3,
            warmup: 100,
            weight_decay: 0.0,
            ema: 0.995,
            clip: 1.0,
            device: DeviceClass::default(),
            seed: 0,
            checkpoint_every: 500,
            validate_every: 100,
        }
    }
}

/// What the device `auto` is depends on the objective: a potential is on the CPU.
impl<'de> Deserialize<'de> for Params {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Params, D::Error> {
        let p = Params::deserialize(deserializer)?;
        Ok(Params { device: p.place(), ..p })
    }
}

impl Serialize for Params {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Params::serialize(self, serializer)
    }
}

impl Params {
    /// Whether the network is a potential.
    pub(super) fn potential(&self) -> bool {
        self.objective.output() == NetworkOutput::Potential
    }

    /// Where the network runs.
    pub(super) fn place(&self) -> DeviceClass {
        if self.potential() { self.device.of_cpu_only() } else { self.device }
    }
}
