//! A score of continuous time in one file that says what it is: a trained network, or the exact score of a mixture.

use super::mixture::{Component, Mixture, MixtureScore};
use super::score::{Score, SmoothScore};
use super::score_matching::Weighting;
use super::sde::Sde;
use crate::nn::error::NnError;
use crate::nn::kernels::jet::Jet;
use crate::nn::kernels::lane::Lane;
use crate::nn::networks::swish_mlp::{SwishMlp, SwishMlpConfig};
use crate::nn::training::weights::Weights;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// Everything about a score but its weights: the JSON in its file's metadata, under `onsager`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoreConfig {
    /// The name of the data.
    pub data: String,
    /// The coordinates of a point: 1 or 2.
    pub size: usize,
    pub sde: Sde,
    pub source: Source,
}

/// Where the score comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    Trained { network: SwishMlpConfig, weighting: Weighting },
    Exact { components: Vec<Spot>, error: f64 },
}

/// A Gaussian of a mixture, N(mean, variance I).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spot {
    /// Its share; the shares are divided by their sum.
    pub weight: f64,
    /// One number, or two.
    pub mean: Vec<f64>,
    /// The variance of each coordinate.
    pub variance: f64,
}

/// A score that was read from its file.
#[derive(Debug, Clone)]
pub struct ScoreModel {
    pub config: ScoreConfig,
    weights: Weights,
}

/// The score of a model of D coordinates.
#[derive(Debug, Clone)]
pub enum ModelScore<const D: usize> {
    Trained(SwishMlp),
    Exact(MixtureScore<D>),
}

impl ScoreModel {
    /// A model with these weights; none for an exact one.
    pub fn new(config: ScoreConfig, tensors: Weights) -> ScoreModel {
        ScoreModel { config, weights: tensors }
    }

    /// The exact score of a mixture.
    pub fn exact(config: ScoreConfig) -> ScoreModel {
        ScoreModel { config, weights: Weights { tensors: BTreeMap::new(), description: String::new() } }
    }

    /// Reads a file.
    pub fn load(path: &Path) -> Result<ScoreModel, NnError> {
        let weights = Weights::load(path)?;
        let config: ScoreConfig = serde_json::from_str(&weights.description)
            .map_err(|source| NnError::Description { path: path.into(), source: Some(source) })?;
        match config.size {
            1 | 2 => Ok(ScoreModel { config, weights }),
            _ => Err(NnError::Description { path: path.into(), source: None }),
        }
    }

    /// Writes the file.
    pub fn save(mut self, path: &Path) -> Result<(), NnError> {
        self.weights.description = serde_json::to_string(&self.config)
            .map_err(|source| NnError::Description { path: path.into(), source: Some(source) })?;
        self.weights.save(path)
    }

    /// The score; D is `config.size`.
    pub fn score<const D: usize>(&self) -> Result<ModelScore<D>, NnError> {
        match &self.config.source {
            Source::Trained { network, .. } => {
                Ok(ModelScore::Trained(SwishMlp::new(*network, D, &self.weights)?))
            }
            Source::Exact { components, error } => Ok(ModelScore::Exact(MixtureScore {
                data: mixture(components)?,
                sde: self.config.sde,
                error: *error,
            })),
        }
    }
}

/// The mixture of these Gaussians, their weights divided by the sum.
pub fn mixture<const D: usize>(spots: &[Spot]) -> Result<Mixture<D>, NnError> {
    let total: f64 = spots.iter().map(|spot| spot.weight).sum();
    let component = |spot: &Spot| match spot.mean.first_chunk::<D>() {
        Some(mean) if spot.mean.len() == D => {
            Ok(Component { weight: spot.weight / total, mean: *mean, variance: spot.variance })
        }
        _ => Err(NnError::Shape {
            what: "a mean of the mixture",
            found: vec![spot.mean.len()],
            expected: D.to_string(),
        }),
    };
    Ok(Mixture { components: spots.iter().map(component).collect::<Result<_, _>>()? })
}

impl<const D: usize> ModelScore<D> {
    /// The law of the data at time 0, where it is known.
    pub fn data(&self) -> Option<&Mixture<D>> {
        match self {
            ModelScore::Trained(_) => None,
            ModelScore::Exact(exact) => Some(&exact.data),
        }
    }
}

impl<const D: usize> Score<D> for ModelScore<D> {
    fn score(&self, t: Lane, x: [Lane; D]) -> [Lane; D] {
        match self {
            ModelScore::Trained(network) => network.score(t, x),
            ModelScore::Exact(exact) => exact.score(t, x),
        }
    }
}

impl<const D: usize> SmoothScore<D> for ModelScore<D> {
    fn jets<const ORDER: usize>(&self, t: Lane, x: [Lane; D]) -> [Jet<D, ORDER>; D] {
        match self {
            ModelScore::Trained(network) => network.jets(t, x),
            ModelScore::Exact(exact) => exact.jets(t, x),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::gradient_check::weights;
    use crate::nn::layers::parameters::Parameters;
    use crate::nn::networks::score_net::ScoreNet;
    use candle_core::Device;

    /// Models read back from their files give the same scores.
    #[test]
    fn file_round_trip() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let (t, x) = (Lane::splat(0.4), [Lane::splat(0.3), Lane::splat(-1.2)]);
        let network = SwishMlpConfig { width: 8, layers: 2 };
        let spots = [0.5, -0.5].map(|x| Spot { weight: 2.0, mean: vec![x, 0.1], variance: 0.2 });
        let sources = [
            Source::Trained { network, weighting: Weighting::Likelihood },
            Source::Exact { components: spots.to_vec(), error: 0.1 },
        ];
        for source in sources {
            let config = ScoreConfig { data: "two".into(), size: 2, sde: Sde::default(), source };
            let parameters = Parameters::random(5, &Device::Cpu);
            ScoreNet::new(network, 2, &parameters).unwrap();
            let weights = weights(&parameters);
            let model = match config.source {
                Source::Trained { .. } => ScoreModel::new(config.clone(), weights),
                Source::Exact { .. } => ScoreModel::exact(config.clone()),
            };
            let before = model.score::<2>().unwrap().score(t, x);
            model.save(file.path()).unwrap();
            let read = ScoreModel::load(file.path()).unwrap();
            assert_eq!(read.config, config);
            assert_eq!(read.score::<2>().unwrap().score(t, x), before);
            assert!(before[0][0] != 0.0);
            assert!(read.score::<1>().is_err());
        }
        std::fs::write(file.path(), "no model").unwrap();
        assert!(ScoreModel::load(file.path()).is_err());
    }
}
