//! A trained model: its network and its schedule, in one file that says what it is.

use super::objective::{Objective, Predictor};
use super::sampler::Denoiser;
use super::schedule::{Schedule, ScheduleKind};
use crate::nn::error::NnError;
use crate::nn::network::{Network, NetworkConfig};
use crate::nn::parameters::Parameters;
use crate::nn::raw;
use crate::nn::weights::Weights;
use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Everything about a model but its weights: the JSON in its file's metadata, under `onsager`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// The data that it was trained on.
    pub data: String,
    /// The shape of one sample: [channels, height, width], or [2].
    pub shape: Vec<usize>,
    /// The grey levels of the data, for images.
    pub levels: Option<u32>,
    pub network: NetworkConfig,
    pub schedule: ScheduleKind,
    /// T.
    pub timesteps: usize,
    pub objective: Objective,
}

/// A network that predicts the noise of a diffusion process.
#[derive(Debug)]
pub struct Model {
    pub config: ModelConfig,
    pub schedule: Schedule,
    network: Network,
}

impl Model {
    /// The model of this description, with parameters from `p`.
    pub fn new(config: ModelConfig, p: &mut Parameters) -> Result<Model, NnError> {
        let network = Network::new(&config.network, &config.shape, p)?;
        let schedule = Schedule::new(config.schedule, config.timesteps);
        Ok(Model { config, schedule, network })
    }

    /// Reads a model that a `train` stage wrote.
    pub fn load(path: &Path) -> Result<Model, NnError> {
        Model::from_weights(Weights::load(path)?).map_err(|error| match error {
            NnError::Description { source, .. } => NnError::Description { path: path.into(), source },
            error => error,
        })
    }

    /// The model of weights whose description is a [`ModelConfig`].
    pub fn from_weights(weights: Weights) -> Result<Model, NnError> {
        let config = serde_json::from_str(&weights.description)
            .map_err(|source| NnError::Description { path: "weights".into(), source: Some(source) })?;
        Model::new(config, &mut Parameters::from_weights(weights))
    }

    /// The numbers of one sample.
    pub fn size(&self) -> usize {
        self.config.shape.iter().product()
    }
}

impl Predictor for Model {
    fn predict(&self, x: &Tensor, t: &[usize]) -> Result<Tensor, NnError> {
        let scale = 1000.0 / self.config.timesteps as f64;
        let times: Vec<f32> = t.iter().map(|&t| (t as f64 * scale) as f32).collect();
        self.network.forward(x, &times)
    }
}

impl Denoiser for Model {
    type Error = NnError;

    fn noise(&self, x: &[f32], t: &[usize]) -> Result<Vec<f32>, NnError> {
        let x = raw::tensor(x.to_vec(), (t.len(), self.size()))?;
        Ok(raw::values(&self.predict(&x, t)?.detach())?)
    }
}
