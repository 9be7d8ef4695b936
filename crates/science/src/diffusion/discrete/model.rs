//! A trained model: its network and its schedule, in one file that says what it is.

use super::action_matching::{PotentialPredictor, angle, angle_time};
use super::batch::Predictor;
use super::objective::{Objective, Output};
use super::schedule::{Schedule, ScheduleKind};
use crate::nn::error::NnError;
use crate::nn::kernels::raw;
use crate::nn::layers::conditions::Conditions;
use crate::nn::layers::parameters::Parameters;
use crate::nn::networks::head::Head;
use crate::nn::networks::moving_points::MovingPoints;
use crate::nn::networks::network::{Network, NetworkConfig};
use crate::nn::networks::potential::Potential;
use crate::nn::training::loss::combine;
use crate::nn::training::weights::Weights;
use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};
use std::path::Path;

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
    /// Whether it predicts a variance, and of how many classes it can be told.
    #[serde(default)]
    pub head: Head,
    pub schedule: ScheduleKind,
    /// T.
    pub timesteps: usize,
    pub objective: Objective,
    /// Whether the data were dequantised uniformly: noise of a grey level's width added to each pixel.
    #[serde(default)]
    pub dequantised: bool,
}

/// A network that predicts the noise of a diffusion process, or what the noise follows from.
#[derive(Debug)]
pub struct Model {
    pub config: ModelConfig,
    pub schedule: Schedule,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Network(Box<Network>),
    Potential(Potential),
}

impl Model {
    /// The model of this description, with these parameters, on their device.
    pub fn new(config: ModelConfig, parameters: &Parameters) -> Result<Model, NnError> {
        let (network, shape) = (&config.network, &config.shape);
        let body = match config.objective.output() {
            Output::Potential => Body::Potential(Potential::new(network, shape, parameters)?),
            _ => Body::Network(Box::new(Network::new(network, shape, config.head, parameters)?)),
        };
        let schedule = Schedule::new(&config.schedule, config.timesteps);
        Ok(Model { config, schedule, body })
    }

    /// Reads a model that a `train` stage wrote.
    pub fn load(path: &Path, device: &Device) -> Result<Model, NnError> {
        let weights = Weights::load(path)?;
        let config = serde_json::from_str(&weights.description)
            .map_err(|source| NnError::Description { path: path.into(), source: Some(source) })?;
        Model::with_weights(config, weights, device)
    }

    /// The model of this description with fixed weights. A potential is on the CPU whatever the device.
    pub fn with_weights(config: ModelConfig, weights: Weights, device: &Device) -> Result<Model, NnError> {
        let device = if config.objective.output() == Output::Potential { &Device::Cpu } else { device };
        Model::new(config, &Parameters::fixed(weights, device))
    }

    /// The numbers of one sample.
    pub fn size(&self) -> usize {
        self.config.shape.iter().product()
    }

    /// The noise ε in x = √ᾱ_t x_0 + √(1 − ᾱ_t) ε [n, d] at the steps t (1 … T) of each row, as [n, d]; with learned
    /// variance the noise and v, [n, 2d]. `classes` are those of the rows, or none. Differentiable in x, except for a potential.
    pub fn predict_on(&self, x: &Tensor, t: &[usize], classes: &[u32]) -> Result<Tensor, NnError> {
        let on = |times: Vec<f32>| Conditions { times, classes: classes.to_vec(), dropout: Vec::new() };
        let each = |f: &dyn Fn(f64) -> f64| -> Vec<f32> {
            t.iter().map(|&t| f(self.schedule.alpha_bar(t)) as f32).collect()
        };
        let (a, b) = (f64::sqrt, |bar: f64| (1.0 - bar).sqrt());
        match self.config.objective.output() {
            Output::Noise => self.predict(x, &on(t.iter().map(|&t| self.schedule.network_time(t)).collect())),
            // ε = √(1 − ᾱ) x + √ᾱ v.
            Output::V => {
                let v = self.predict(x, &on(t.iter().map(|&t| self.schedule.network_time(t)).collect()))?;
                Ok(combine(x, &each(&b), &v, &each(&a))?)
            }
            // x_τ = x/(a + b) with τ = a/(a + b), where z = x_τ − τ·velocity.
            Output::Velocity => {
                let n = t.len();
                let straight = combine(x, &each(&|bar| 1.0 / (a(bar) + b(bar))), x, &vec![0.0; n])?;
                let velocity =
                    self.predict(&straight, &on(each(&|bar| 1000.0 * a(bar) / (a(bar) + b(bar)))))?;
                let share = each(&|bar| -a(bar) / (a(bar) + b(bar)));
                Ok(combine(&straight, &vec![1.0; n], &velocity, &share)?)
            }
            // x = cos θ x_0 + sin θ ε and dx/dθ = −sin θ x_0 + cos θ ε.
            Output::Potential => {
                let times: Vec<f32> =
                    t.iter().map(|&t| angle_time(angle(self.schedule.alpha_bar(t)))).collect();
                let slope = raw::tensor(self.gradient(&raw::values(x)?, &times)?, x.shape().clone())?;
                Ok(combine(&x.detach(), &each(&b), &slope, &each(&a))?)
            }
        }
    }
}

impl Predictor for Model {
    fn predict(&self, x: &Tensor, on: &Conditions) -> Result<Tensor, NnError> {
        match &self.body {
            Body::Network(network) => network.forward(x, on),
            Body::Potential(_) => Err(NnError::Potential),
        }
    }
}

impl PotentialPredictor for Model {
    fn weighted(&self, at: MovingPoints<'_>, weights: &[[f32; 2]]) -> Result<Tensor, NnError> {
        match &self.body {
            Body::Potential(potential) => potential.weighted(at, weights),
            Body::Network(_) => Err(NnError::Potential),
        }
    }

    fn gradient(&self, x: &[f32], times: &[f32]) -> Result<Vec<f32>, NnError> {
        match &self.body {
            Body::Potential(potential) => potential.gradient(x, times),
            Body::Network(_) => Err(NnError::Potential),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::discrete::denoiser::Denoiser;
    use crate::nn::networks::mlp::MlpConfig;
    use crate::nn::training::adamw::AdamWConfig;
    use crate::nn::training::trainer::Trainer;

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
            head: Head::default(),
            dequantised: false,
        };
        let parameters = Parameters::random(4, &Device::Cpu);
        let model = Model::new(config, &parameters).unwrap();
        parameters.change(|_, values| values.iter_mut().for_each(|x| *x += 0.1)).unwrap();
        let adamw = AdamWConfig { learning_rate: 0.1, warmup: 0, weight_decay: 0.0, clip: 0.0 };
        let trainer = Trainer::new(parameters, adamw, 0.0).unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        let write = || {
            let description = serde_json::to_string(&model.config).unwrap();
            trainer.averaged(description).save(file.path()).unwrap();
            std::fs::read(file.path()).unwrap()
        };
        assert!(write() == write());
        let read = Model::load(file.path(), &Device::Cpu).unwrap();
        assert_eq!(read.config, model.config);
        let (x, t) = ([0.5, -1.0, 2.0, 0.0], [3, 10]);
        let noise = model.noise(&x, &t).unwrap();
        assert!(noise.iter().all(|e| e.abs() > 1e-3));
        assert_eq!(read.noise(&x, &t).unwrap(), noise);
    }
}
