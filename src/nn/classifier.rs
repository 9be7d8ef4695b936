//! A small convolutional classifier of images; its penultimate layer gives the features of Fréchet and kernel
//! distances.
//!
//! Parameters, by name: `conv1.{w,b}`, `norm1.{gamma,beta}`, `conv2.{w,b}`, `norm2.{gamma,beta}`,
//! `conv3.{w,b}`, `norm3.{gamma,beta}`, `features.{w,b}`, `out.{w,b}`; layouts as in [`super::unet`].

use super::conv::conv3x3;
use super::error::NnError;
use super::linear::linear;
use super::network::block_size;
use super::parameters::{Init, Parameters};
use super::pointwise::silu;
use super::raw;
use super::resize::{ImageShape, halve};
use super::unet::{Dense, Norm};
use super::weights::Weights;
use candle_core::Tensor;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Everything about a classifier but its weights: the JSON in its file's metadata, under `onsager`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassifierConfig {
    /// The data that it was trained on.
    pub data: String,
    /// [channels, height, width].
    pub shape: Vec<usize>,
    pub classes: usize,
    /// Channels of the convolutions, a multiple of 8.
    pub channels: usize,
    /// Width of the penultimate layer.
    pub features: usize,
}

/// Three 3×3 convolutions with group norm, two halvings, two dense layers.
#[derive(Debug)]
pub struct Classifier {
    pub config: ClassifierConfig,
    image: ImageShape,
    convs: Vec<(Dense, Norm)>,
    features: Dense,
    out: Dense,
}

/// What a classifier says of n images.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The penultimate layer, [n, dimension] row-major.
    pub features: Vec<f32>,
    pub dimension: usize,
    /// The logits, [n, classes] row-major.
    pub logits: Vec<f32>,
    pub classes: usize,
}

/// The channels of one group of the normalisation.
const GROUP: usize = 8;

impl Classifier {
    /// The classifier of this description, with parameters from `p`.
    pub fn new(config: ClassifierConfig, p: &mut Parameters) -> Result<Classifier, NnError> {
        let &[channels, height, width] = &config.shape[..] else {
            let expected = "[channels, height, width]".into();
            return Err(NnError::Shape { what: "the images", found: config.shape.clone(), expected });
        };
        let image = ImageShape { channels, height, width, multiple: 4 };
        let mut inputs = channels;
        let mut convs = Vec::new();
        for i in 1..=3 {
            let fan = Init::FanIn(9 * inputs);
            let conv = Dense::filter(p, &format!("conv{i}"), inputs, config.channels, fan)?;
            let norm = Norm::new(p, &format!("norm{i}"), config.channels, (config.channels / GROUP).max(1))?;
            convs.push((conv, norm));
            inputs = config.channels;
        }
        let flat = config.channels * height.div_ceil(4) * width.div_ceil(4);
        let features = Dense::matrix(p, "features", flat, config.features, Init::FanIn(flat))?;
        let out = Dense::matrix(p, "out", config.features, config.classes, Init::FanIn(config.features))?;
        Ok(Classifier { image, convs, features, out, config })
    }

    /// Reads a classifier that a `classifier` stage wrote.
    pub fn load(path: &Path) -> Result<Classifier, NnError> {
        let weights = Weights::load(path)?;
        let config = serde_json::from_str(&weights.description)
            .map_err(|source| NnError::Description { path: path.into(), source: Some(source) })?;
        Classifier::new(config, &mut Parameters::from_weights(weights))
    }

    /// Features [n, features] and logits [n, classes] of images x [n, channels·height·width], differentiable.
    pub fn forward(&self, x: &Tensor) -> Result<(Tensor, Tensor), NnError> {
        let mut h = self.image.enter(x)?;
        for (i, (conv, norm)) in self.convs.iter().enumerate() {
            h = norm.forward(&conv3x3(&h, &conv.w, &conv.b)?)?;
            if i < 2 {
                h = halve(&h)?;
            }
        }
        let h = h.flatten_from(1)?;
        let features = silu(&linear(&h, &self.features.w, &self.features.b)?)?;
        let logits = linear(&features, &self.out.w, &self.out.b)?;
        Ok((features, logits))
    }

    /// Features and logits of images of `shape` [n, channels, height, width], row-major in [−1, 1].
    pub fn evaluate(&self, images: &[f32], shape: &[usize]) -> Result<Evaluation, NnError> {
        let size: usize = self.config.shape.iter().product();
        if shape.get(1..) != Some(&self.config.shape[..]) || images.len() != shape[0] * size {
            let expected = format!("[n, {:?}]", self.config.shape);
            return Err(NnError::Shape { what: "the images", found: shape.to_vec(), expected });
        }
        let parts: Vec<(Vec<f32>, Vec<f32>)> = images
            .par_chunks(size * block_size(&self.config.shape))
            .map(|block| {
                let x = raw::tensor(block.to_vec(), (block.len() / size, size))?;
                let (features, logits) = self.forward(&x)?;
                Ok((raw::values(&features)?, raw::values(&logits)?))
            })
            .collect::<Result<_, NnError>>()?;
        let mut evaluation = Evaluation {
            features: Vec::with_capacity(shape[0] * self.config.features),
            dimension: self.config.features,
            logits: Vec::with_capacity(shape[0] * self.config.classes),
            classes: self.config.classes,
        };
        for (features, logits) in parts {
            evaluation.features.extend(features);
            evaluation.logits.extend(logits);
        }
        Ok(evaluation)
    }
}

impl Evaluation {
    /// The most likely class of each image; the lowest of equals.
    pub fn predictions(&self) -> Vec<u32> {
        let best = |row: &[f32]| {
            (0..row.len()).fold(0, |best, class| if row[class] > row[best] { class } else { best }) as u32
        };
        self.logits.chunks_exact(self.classes.max(1)).map(best).collect()
    }
}
