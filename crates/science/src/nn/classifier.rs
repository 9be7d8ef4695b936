//! A small convolutional classifier of images; its penultimate layer gives the features of Fréchet and kernel
//! distances, and one that is told the time, trained on noisy images, guides sampling (Dhariwal and Nichol 2021).
//!
//! Parameters, by name: `time.1.{w,b}`, `time.2.{w,b}` where there is a time embedding, `conv1.{w,b}`, `conv1.time.w` (the
//! embedding's share in the bias), `norm1.{gamma,beta}`, `conv2.{w,b}`, …, `norm3.{gamma,beta}`, `features.{w,b}`,
//! `out.{w,b}`; layouts as in [`super::unet`].

use super::buffer::Buffer;
use super::conv::Conv3x3;
use super::conv_layer::ConvLayer;
use super::error::NnError;
use super::linear::Dense;
use super::loss::cross_entropy;
use super::network::block_size;
use super::norm::Norm;
use super::operation::{Conditions, Layers, apply};
use super::parameters::{Gradients, Init, Packed, Parameters, Slot, View};
use super::pointwise::{add_row_sums, silu, silu_gradient};
use super::raw;
use super::resize::{ImageShape, double, halve, join, part};
use super::time_embedding::{TimeLayers, TimeTape};
use super::weights::Weights;
use candle_core::{Tensor, Var};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

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
    /// What a classifier of noisy images is told of the noise; none for one of clean images.
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

/// Three 3×3 convolutions with group norm, two halvings, two dense layers.
#[derive(Debug)]
pub struct Classifier {
    pub config: ClassifierConfig,
    layers: Arc<ClassifierLayers>,
    packed: Arc<Packed>,
}

#[derive(Debug)]
struct ClassifierLayers {
    image: ImageShape,
    time: Option<TimeLayers>,
    stages: Vec<Stage>,
    features: Dense,
    out: Dense,
    widths: [usize; 2],
}

/// A convolution with its norm.
#[derive(Debug)]
struct Stage {
    conv: ConvLayer,
    bias: Slot,
    /// From the time embedding to the bias of each image; the bias above is its own.
    time: Option<Dense>,
    norm: Norm,
}

/// What the reverse pass needs: the inputs of all layers.
struct ClassifierTape {
    time: Option<(Buffer, TimeTape)>,
    /// Of each convolution and of its norm.
    stages: Vec<(Buffer, Buffer)>,
    flat: Buffer,
    hidden: Buffer,
    features: Buffer,
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
        let (h, w) = image.padded();
        let time = match &config.time {
            Some(time) => Some(TimeLayers::new(p, time.embedding, 0)?),
            None => None,
        };
        let mut inputs = channels;
        let mut stages = Vec::new();
        for i in 1..=3 {
            let level = (i - 1).min(2);
            let (name, outputs) = (format!("conv{i}"), config.channels);
            let conv = Conv3x3 { h: h >> level, w: w >> level, inputs, outputs };
            let conv = ConvLayer::without_bias(p, &name, conv, Init::FanIn(9 * inputs))?;
            let bias = p.get(&format!("{name}.b"), &[outputs], Init::Zeros)?;
            let time = match &config.time {
                Some(time) => {
                    let (width, fan) = (time.embedding, Init::FanIn(time.embedding));
                    let share = Dense::without_bias(p, &format!("{name}.time"), width, outputs, fan)?;
                    Some(share.with_bias(bias))
                }
                None => None,
            };
            let norm = Norm::new(p, &format!("norm{i}"), outputs, (outputs / GROUP).max(1))?;
            stages.push(Stage { conv, bias, time, norm });
            inputs = outputs;
        }
        let flat = config.channels * (h / 4) * (w / 4);
        let features = Dense::new(p, "features", flat, config.features, Init::FanIn(flat))?;
        let out = Dense::new(p, "out", config.features, config.classes, Init::FanIn(config.features))?;
        let widths = [config.features, config.classes];
        let layers = Arc::new(ClassifierLayers { image, time, stages, features, out, widths });
        Ok(Classifier { config, layers, packed: p.pack()? })
    }

    /// Its parameters.
    pub fn packed(&self) -> &Arc<Packed> {
        &self.packed
    }

    /// Reads a classifier that a `classifier` stage wrote.
    pub fn load(path: &Path) -> Result<Classifier, NnError> {
        let weights = Weights::load(path)?;
        let config = serde_json::from_str(&weights.description)
            .map_err(|source| NnError::Description { path: path.into(), source: Some(source) })?;
        Classifier::new(config, &mut Parameters::from_weights(weights))
    }

    /// Features [n, features] and logits [n, classes] of images x [n, channels·height·width], differentiable. The times do
    /// not matter to a classifier of clean images.
    pub fn forward(&self, x: &Tensor, on: &Conditions) -> Result<(Tensor, Tensor), NnError> {
        let both = apply(&self.layers, &self.packed, x, on)?;
        let [features, classes] = self.layers.widths;
        Ok((both.narrow(1, 0, features)?.contiguous()?, both.narrow(1, features, classes)?.contiguous()?))
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
        let block = block_size(&self.config.shape, n);
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

/// A row of the result is the features and the logits.
impl Layers for ClassifierLayers {
    type Tape = ClassifierTape;

    fn outputs(&self) -> usize {
        self.widths.iter().sum()
    }

    fn forward(
        &self,
        p: View<'_>,
        x: &[f32],
        on: &Conditions,
        keep: bool,
    ) -> (Buffer, Option<ClassifierTape>) {
        let n = on.times.len();
        let time = self.time.as_ref().map(|layers| layers.forward(p, on));
        let mut h = self.image.enter(x);
        let mut stages = Vec::new();
        for (i, Stage { conv, bias, time: share, norm }) in self.stages.iter().enumerate() {
            let hidden = match (share, &time) {
                (Some(share), Some((embedded, _))) => conv.forward_with(p, &h, &share.forward(p, embedded)),
                _ => conv.forward_with(p, &h, bias.of(p.values)),
            };
            let active = norm.forward(p, &hidden, n);
            if keep {
                stages.push((h, hidden));
            }
            h = if i < 2 { halve(&active, conv.conv.w / 2, conv.conv.outputs, 0.25) } else { active };
        }
        let hidden = self.features.forward(p, &h);
        let features = silu(&hidden);
        let logits = self.out.forward(p, &features);
        let [a, b] = self.widths;
        let y = join(&features, a, &logits, b);
        (y, keep.then_some(ClassifierTape { time, stages, flat: h, hidden, features }))
    }

    fn backward(
        &self,
        p: View<'_>,
        on: &Conditions,
        tape: ClassifierTape,
        dy: &[f32],
        gradients: &mut Gradients<'_>,
        input: bool,
    ) -> Option<Buffer> {
        let [a, b] = self.widths;
        let n = on.times.len();
        let (mut dfeatures, dlogits) = part(dy, a, b);
        self.out.add_gradients(&tape.features, &dlogits, gradients);
        self.out.add_input_gradient(p, &dlogits, &mut dfeatures);
        silu_gradient(&tape.hidden, &mut dfeatures);
        self.features.add_gradients(&tape.flat, &dfeatures, gradients);
        let mut dh = self.features.input_gradient(p, &dfeatures);
        let mut dembedded = tape.time.as_ref().map(|(embedded, _)| Buffer::zeros(embedded.len()));
        let mut dx = None;
        for (i, (stage, (x, hidden))) in self.stages.iter().zip(&tape.stages).enumerate().rev() {
            let Stage { conv, bias, time: share, norm } = stage;
            let outputs = conv.conv.outputs;
            if i < 2 {
                dh = double(&dh, conv.conv.w / 2, outputs, 0.25);
            }
            let dhidden = norm.backward(p, hidden, n, dh, gradients);
            match (share, &tape.time, &mut dembedded) {
                (Some(share), Some((embedded, _)), Some(dembedded)) if gradients.wanted() => {
                    let mut sums = Buffer::zeros(n * outputs);
                    add_row_sums(&dhidden, outputs, &mut sums);
                    share.add_gradients(embedded, &sums, gradients);
                    share.add_input_gradient(p, &sums, dembedded);
                }
                (None, ..) => {
                    if let Some(db) = gradients.at(*bias) {
                        add_row_sums(&dhidden, outputs, db);
                    }
                }
                _ => {}
            }
            conv.add_gradients(x, &dhidden, gradients);
            if i > 0 {
                dh = conv.input_gradient(p, &dhidden);
            } else {
                dx = input.then(|| self.image.leave(&conv.input_gradient(p, &dhidden)));
                break;
            }
        }
        if let (Some(layers), Some((_, time)), Some(dembedded)) = (&self.time, &tape.time, dembedded)
            && gradients.wanted()
        {
            layers.backward(p, on, time, dembedded, gradients);
        }
        dx
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
    use crate::nn::gradient_check::{check_fixed, check_network, moved, normal};

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

    fn network(timed: bool) -> Classifier {
        Classifier::new(config(timed), &mut Parameters::random(2)).unwrap()
    }

    fn both(network: &Classifier, x: &Tensor) -> Tensor {
        let (features, logits) = network.forward(x, &Conditions::at(&[100.0, 800.0])).unwrap();
        Tensor::cat(&[features, logits], 1).unwrap()
    }

    /// Of features and logits together.
    #[test]
    fn gradient_of_every_parameter() {
        for timed in [false, true] {
            let network = network(timed);
            check_network(network.packed(), 2, 42, |x| both(&network, x));
            moved(network.packed());
            let fixed = Classifier::new(config(timed), &mut network.packed().fixed()).unwrap();
            check_fixed(2, 42, |x| both(&network, x), |x| both(&fixed, x));
        }
    }

    /// ln p of the given classes by the definition in f64, at images moved along single pixels; the rows, of two blocks,
    /// do not disturb each other.
    #[test]
    fn log_probability_gradient_against_differences() {
        let network = network(true);
        moved(network.packed());
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
