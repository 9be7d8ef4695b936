//! A trained model: its network and its schedule, in one file that says what it is.

use super::objective::{Objective, Predictor};
use super::sampler::Denoiser;
use super::schedule::{Schedule, ScheduleKind};
use crate::nn::error::NnError;
use crate::nn::network::{Head, Network, NetworkConfig};
use crate::nn::operation::Conditions;
use crate::nn::parameters::{Packed, Parameters};
use crate::nn::raw;
use crate::nn::weights::Weights;
use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// Everything about a model but its weights: the JSON in its file's metadata, under `onsager`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelConfig {
    /// The data that it was trained on.
    pub data: String,
    /// The shape of one sample: [channels, height, width], or `[2]`.
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
        let network = Network::new(&config.network, &config.shape, Head::default(), p)?;
        let schedule = Schedule::new(config.schedule, config.timesteps);
        Ok(Model { config, schedule, network })
    }

    /// Reads a model that a `train` stage wrote.
    pub fn load(path: &Path) -> Result<Model, NnError> {
        let weights = Weights::load(path)?;
        let config = serde_json::from_str(&weights.description)
            .map_err(|source| NnError::Description { path: path.into(), source: Some(source) })?;
        Model::with_weights(config, weights)
    }

    /// The model of this description with fixed weights.
    pub fn with_weights(config: ModelConfig, weights: Weights) -> Result<Model, NnError> {
        Model::new(config, &mut Parameters::from_weights(weights))
    }

    /// Its parameters.
    pub fn packed(&self) -> &Arc<Packed> {
        self.network.packed()
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
        self.network.forward(x, &Conditions::at(&times))
    }
}

impl Denoiser for Model {
    type Error = NnError;

    fn noise(&self, x: &[f32], t: &[usize]) -> Result<Vec<f32>, NnError> {
        let x = raw::tensor(x.to_vec(), (t.len(), self.size()))?;
        Ok(raw::values(&self.predict(&x, t)?.detach())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::adamw::AdamWConfig;
    use crate::nn::mlp::MlpConfig;
    use crate::nn::trainer::Trainer;

    /// A model read back from its file predicts the same numbers; the file's bytes are those of another
    /// writing.
    #[test]
    fn file_round_trip() {
        let config = ModelConfig {
            data: "two points".into(),
            shape: vec![2],
            levels: None,
            network: NetworkConfig::Mlp(MlpConfig {
                width: 8,
                layers: 2,
                embedding: 4,
                ..MlpConfig::default()
            }),
            schedule: ScheduleKind::Cosine,
            timesteps: 10,
            objective: Objective::default(),
        };
        let mut parameters = Parameters::random(4);
        let model = Model::new(config, &mut parameters).unwrap();
        let packed = model.packed();
        let moved: Vec<f32> = raw::values(packed.tensor()).unwrap().iter().map(|x| x + 0.1).collect();
        packed.set(&moved).unwrap();
        let adamw = AdamWConfig { learning_rate: 0.1, warmup: 0, weight_decay: 0.0, clip: 0.0 };
        let trainer = Trainer::new(packed.clone(), adamw, 0.0).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let write = || {
            let description = serde_json::to_string(&model.config).unwrap();
            trainer.averaged(description).save(file.path()).unwrap();
            std::fs::read(file.path()).unwrap()
        };
        assert!(write() == write());
        let read = Model::load(file.path()).unwrap();
        assert_eq!(read.config, model.config);
        let (x, t) = ([0.5, -1.0, 2.0, 0.0], [3, 10]);
        let noise = model.noise(&x, &t).unwrap();
        assert!(noise.iter().all(|e| e.abs() > 1e-3));
        assert_eq!(read.noise(&x, &t).unwrap(), noise);
    }
}
