//! A small convolutional classifier of images; its penultimate layer gives the features of Fréchet and kernel
//! distances, and one that is given the time, trained on noisy images, guides sampling (Dhariwal and Nichol 2021).
//!
//! Parameters, by name: `time.1.{w,b}`, `time.2.{w,b}` where there is a time embedding, `conv1.{w,b}`, `conv1.time.w` (the
//! embedding's share in the bias), `norm1.{gamma,beta}`, `conv2.{w,b}`, …, `norm3.{gamma,beta}`, `features.{w,b}`,
//! `out.{w,b}`; layouts as in [`super::unet`].

use super::rows::{block_size, evaluation_block};
use crate::nn::error::NnError;
use crate::nn::kernels::conv3x3::Conv3x3;
use crate::nn::kernels::raw;
use crate::nn::kernels::resample::ImageShape;
use crate::nn::layers::conditions::Conditions;
use crate::nn::layers::conv_norm::ConvNorm;
use crate::nn::layers::hidden::Hidden;
use crate::nn::layers::linear::Linear;
use crate::nn::layers::parameters::{Init, Parameters, Path as Operations};
use crate::nn::layers::resize::{Downsample, to_images};
use crate::nn::layers::time_embedding::TimeEmbedding;
use crate::nn::training::loss::cross_entropy;
use crate::nn::training::weights::Weights;
use candle_core::{Device, Module, Tensor, Var};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::ops::Range;
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
    /// What a classifier of noisy images knows of the noise; none for one of clean images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<TimeConfig>,
}

/// The time of a classifier of noisy images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimeConfig {
    /// Width of the time embedding, even.
    pub embedding: usize,
    /// The name of the noise schedule whose times, scaled to 0 … 1000, it was trained with: it knows no other's.
    pub schedule: String,
}

/// Three 3×3 convolutions with group norm, each of the first two followed by downsampling, and two dense layers.
#[derive(Debug)]
pub struct Classifier {
    pub config: ClassifierConfig,
    device: Device,
    path: Operations,
    image: ImageShape,
    time: Option<TimeEmbedding>,
    stages: Vec<ConvNorm>,
    features: Hidden,
    out: Linear,
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
    /// The classifier of this description, with these parameters, on their device.
    pub fn new(config: ClassifierConfig, parameters: &Parameters) -> Result<Classifier, NnError> {
        let &[channels, height, width] = &config.shape[..] else {
            let expected = "[channels, height, width]".into();
            return Err(NnError::Shape { what: "the images", found: config.shape.clone(), expected });
        };
        let image = ImageShape { channels, height, width, multiple: 4 };
        let (h, w) = image.padded();
        let embedding = config.time.as_ref().map(|time| time.embedding);
        parameters.build(|vb| {
            let time = match embedding {
                Some(width) => Some(TimeEmbedding::new(&vb, width, 0)?),
                None => None,
            };
            let mut inputs = channels;
            let mut stages = Vec::new();
            for (i, level) in [(1, 0), (2, 1), (3, 2)] {
                let conv = Conv3x3 { h: h >> level, w: w >> level, inputs, outputs: config.channels };
                stages.push(ConvNorm::new(&vb, i, conv, (config.channels / GROUP).max(1), embedding)?);
                inputs = config.channels;
            }
            let flat = config.channels * (h / 4) * (w / 4);
            let features = Hidden::plain(&vb, &[("features".into(), flat, config.features)])?;
            let fan = Init::FanIn(config.features);
            let out = Linear::new(&vb, "out", config.features, config.classes, fan)?;
            let (device, path) = (vb.device().clone(), out.path());
            Ok(Classifier { config, device, path, image, time, stages, features, out })
        })
    }

    /// Reads a classifier that a `classifier` stage wrote.
    pub fn load(path: &Path, device: &Device) -> Result<Classifier, NnError> {
        let weights = Weights::load(path)?;
        let config = serde_json::from_str(&weights.description)
            .map_err(|source| NnError::Description { path: path.into(), source: Some(source) })?;
        Classifier::new(config, &Parameters::fixed(weights, device))
    }

    /// Features [n, features] and logits [n, classes] of images x [n, channels·height·width], differentiable. The times do
    /// not matter to a classifier of clean images. x and the results are on the CPU.
    pub fn forward(&self, x: &Tensor, on: &Conditions) -> Result<(Tensor, Tensor), NnError> {
        on.check(x.dim(0)?, 0)?;
        let embedded = match &self.time {
            Some(time) => Some(time.forward(on)?),
            None => None,
        };
        let downsample = Downsample { path: self.path };
        let mut h = to_images(self.path, &x.to_device(&self.device)?, self.image)?;
        for (i, stage) in self.stages.iter().enumerate() {
            if i > 0 {
                h = downsample.forward(&h)?;
            }
            h = stage.forward(&h, embedded.as_ref())?;
        }
        // The flat order is that of channels-last images.
        let features = self.features.forward(&h.flatten_from(1)?)?;
        let logits = self.out.forward(&features)?;
        Ok((features.to_device(&Device::Cpu)?, logits.to_device(&Device::Cpu)?))
    }

    /// Features and logits of clean images of `shape` [n, channels, height, width], row-major in [−1, 1].
    pub fn evaluate(&self, images: &[f32], shape: &[usize]) -> Result<Evaluation, NnError> {
        let count = shape.first().copied().unwrap_or(0);
        self.evaluate_at(images, shape, &vec![0.0; count])
    }

    /// The same of noisy images at these times, one for each, from 0 to 1000.
    pub fn evaluate_at(&self, images: &[f32], shape: &[usize], times: &[f32]) -> Result<Evaluation, NnError> {
        if shape.get(1..) != Some(&self.config.shape[..]) || shape[0] != times.len() {
            let expected = format!("[{}, {:?}]", times.len(), self.config.shape);
            return Err(NnError::Shape { what: "the images", found: shape.to_vec(), expected });
        }
        let parts = self.by_blocks(images, times, |x, block| {
            let (features, logits) = self.forward(&x, &Conditions::at(&times[block]))?;
            Ok((raw::values(&features)?, raw::values(&logits)?))
        })?;
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

    /// ∇_x log p(y | x, t) for images x [n, d] at these times and for these classes y, one of each for each image: [n, d].
    /// Blocks of images run in parallel; an image's result does not depend on the others.
    pub fn log_probability_gradient(
        &self,
        x: &[f32],
        times: &[f32],
        classes: &[u32],
    ) -> Result<Vec<f32>, NnError> {
        if classes.len() != times.len() {
            let expected = format!("[{}]", times.len());
            return Err(NnError::Shape { what: "the classes", found: vec![classes.len()], expected });
        }
        let count = self.config.classes;
        if let Some(&class) = classes.iter().find(|&&class| class as usize >= count) {
            return Err(NnError::Class { class, classes: count });
        }
        let parts = self.by_blocks(x, times, |x, block| {
            let x = Var::from_tensor(&x)?;
            let (_, logits) = self.forward(&x, &Conditions::at(&times[block.clone()]))?;
            let log_probability = (cross_entropy(&logits, &classes[block])? * -1.0)?;
            let gradients = log_probability.backward()?;
            let missing = || candle_core::Error::Msg("no gradient of the images".into());
            Ok(raw::values(gradients.get(&x).ok_or_else(missing)?)?)
        })?;
        Ok(parts.concat())
    }

    /// Runs `f` for each block of images, one row of x for each time, and gives the results in order.
    fn by_blocks<R: Send>(
        &self,
        x: &[f32],
        times: &[f32],
        f: impl Fn(Tensor, Range<usize>) -> Result<R, NnError> + Sync,
    ) -> Result<Vec<R>, NnError> {
        let (n, size) = (times.len(), self.config.shape.iter().product::<usize>());
        if x.len() != n * size {
            let expected = format!("[{n}, {size}]");
            return Err(NnError::Shape { what: "the images", found: vec![x.len()], expected });
        }
        let block = evaluation_block(self.path, block_size(&self.config.shape, n), n);
        (0..n.div_ceil(block))
            .into_par_iter()
            .map(|i| {
                let rows = i * block..(i * block + block).min(n);
                let x = raw::tensor(x[rows.start * size..rows.end * size].to_vec(), (rows.len(), size))?;
                f(x, rows)
            })
            .collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::gradient_check::{check_fixed, check_network, fixed, moved, normal};

    fn config(timed: bool) -> ClassifierConfig {
        ClassifierConfig {
            data: "noise".into(),
            shape: vec![1, 7, 6],
            classes: 3,
            channels: 16,
            features: 5,
            time: timed.then(|| TimeConfig { embedding: 6, schedule: "cosine".into() }),
        }
    }

    fn network_of(timed: bool, parameters: &Parameters) -> Classifier {
        Classifier::new(config(timed), parameters).unwrap()
    }

    fn both(network: &Classifier, x: &Tensor) -> Tensor {
        let (features, logits) = network.forward(x, &Conditions::at(&[100.0, 800.0])).unwrap();
        Tensor::cat(&[features, logits], 1).unwrap()
    }

    /// Of features and logits together.
    #[test]
    fn gradient_of_every_parameter() {
        for timed in [false, true] {
            let parameters = Parameters::random(2, &Device::Cpu);
            let network = network_of(timed, &parameters);
            check_network(&parameters, 2, 42, |x| both(&network, x));
            moved(&parameters);
            let still = network_of(timed, &fixed(&parameters));
            check_fixed(2, 42, |x| both(&network, x), |x| both(&still, x));
        }
    }

    /// ln p of the given classes by the definition in f64, at images moved along single pixels; the rows, of two blocks,
    /// do not disturb each other.
    #[test]
    fn log_probability_gradient_against_differences() {
        let parameters = Parameters::random(2, &Device::Cpu);
        let network = network_of(true, &parameters);
        moved(&parameters);
        let (n, d, step) = (9, 42, 0.02f32);
        let (x, times) = (normal(1, n * d), (0..n).map(|i| 100.0 * i as f32).collect::<Vec<f32>>());
        let classes: Vec<u32> = (0..n as u32).map(|i| i % 3).collect();
        let gradient = network.log_probability_gradient(&x, &times, &classes).unwrap();
        let values = |x: &[f32]| -> Vec<f64> {
            let logits = network.evaluate_at(x, &[n, 1, 7, 6], &times).unwrap().logits;
            let rows = logits.chunks_exact(3).zip(&classes);
            rows.map(|(row, &class)| {
                let total: f64 = row.iter().map(|&l| f64::from(l).exp()).sum();
                f64::from(row[class as usize]) - total.ln()
            })
            .collect()
        };
        for pixel in [0, 10, 41] {
            let moved = |step: f32| {
                let mut x = x.clone();
                x.chunks_exact_mut(d).for_each(|row| row[pixel] += step);
                values(&x)
            };
            let (up, down) = (moved(step), moved(-step));
            for i in 0..n {
                // Rounding, 1e-6/0.04, and the third derivative times 0.02²/6.
                let expected = (up[i] - down[i]) / f64::from(2.0 * step);
                let found = f64::from(gradient[i * d + pixel]);
                assert!((found - expected).abs() < 1e-3 * (1.0 + expected.abs()), "{found}, {expected}");
            }
        }
        assert!(gradient.iter().any(|g| g.abs() > 0.01));
        assert!(network.log_probability_gradient(&x, &times, &[3; 9]).is_err());
        assert!(network.log_probability_gradient(&x, &times, &[1]).is_err());
    }

    /// A description from before there was a time.
    #[test]
    fn old_descriptions() {
        let old = r#"{"data": "noise", "shape": [1, 7, 6], "classes": 3, "channels": 16, "features": 5}"#;
        assert_eq!(serde_json::from_str::<ClassifierConfig>(old).unwrap(), config(false));
        assert_eq!(
            serde_json::to_value(config(false)).unwrap(),
            serde_json::from_str::<serde_json::Value>(old).unwrap()
        );
    }
}
