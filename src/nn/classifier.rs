//! A small convolutional classifier of images; its penultimate layer gives the features of Fréchet and kernel
//! distances.
//!
//! Parameters, by name: `conv1.{w,b}`, `norm1.{gamma,beta}`, `conv2.{w,b}`, `norm2.{gamma,beta}`,
//! `conv3.{w,b}`, `norm3.{gamma,beta}`, `features.{w,b}`, `out.{w,b}`; layouts as in [`super::unet`].

use super::buffer::Buffer;
use super::conv::Conv3x3;
use super::error::NnError;
use super::linear::Dense;
use super::network::block_size;
use super::norm::Norm;
use super::operation::{Conditions, Layers, View, apply};
use super::parameters::{FilterSlot, Init, Packed, Parameters, Slot};
use super::pointwise::{add_row_sums, silu, silu_gradient};
use super::raw;
use super::resize::{ImageShape, double, halve, join, part};
use super::weights::Weights;
use candle_core::Tensor;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
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
    convs: Vec<ConvLayer>,
    features: Dense,
    out: Dense,
    widths: [usize; 2],
}

#[derive(Debug)]
struct ConvLayer {
    conv: Conv3x3,
    w: FilterSlot,
    b: Slot,
    norm: Norm,
}

/// What the reverse pass needs: the inputs of all layers.
struct ClassifierTape {
    /// Of each convolution and of its norm.
    convs: Vec<(Buffer, Buffer)>,
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
        let mut inputs = channels;
        let mut convs = Vec::new();
        for i in 1..=3 {
            let level = (i - 1).min(2);
            let conv = Conv3x3 { h: h >> level, w: w >> level, inputs, outputs: config.channels };
            convs.push(ConvLayer {
                conv,
                w: p.filters(&format!("conv{i}.w"), conv, Init::FanIn(9 * inputs))?,
                b: p.get(&format!("conv{i}.b"), &[config.channels], Init::Zeros)?,
                norm: Norm::new(p, &format!("norm{i}"), config.channels, (config.channels / GROUP).max(1))?,
            });
            inputs = config.channels;
        }
        let flat = config.channels * (h / 4) * (w / 4);
        let features = Dense::new(p, "features", flat, config.features, Init::FanIn(flat))?;
        let out = Dense::new(p, "out", config.features, config.classes, Init::FanIn(config.features))?;
        let widths = [config.features, config.classes];
        let layers = Arc::new(ClassifierLayers { image, convs, features, out, widths });
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

    /// Features [n, features] and logits [n, classes] of images x [n, channels·height·width], differentiable.
    pub fn forward(&self, x: &Tensor) -> Result<(Tensor, Tensor), NnError> {
        let both = apply(&self.layers, &self.packed, x, &Conditions::at(&vec![0.0; x.dims()[0]]))?;
        let [features, classes] = self.layers.widths;
        Ok((both.narrow(1, 0, features)?.contiguous()?, both.narrow(1, features, classes)?.contiguous()?))
    }

    /// Features and logits of images of `shape` [n, channels, height, width], row-major in [−1, 1].
    pub fn evaluate(&self, images: &[f32], shape: &[usize]) -> Result<Evaluation, NnError> {
        let size: usize = self.config.shape.iter().product();
        if shape.get(1..) != Some(&self.config.shape[..]) || images.len() != shape[0] * size {
            let expected = format!("[n, {:?}]", self.config.shape);
            return Err(NnError::Shape { what: "the images", found: shape.to_vec(), expected });
        }
        let parts: Vec<(Vec<f32>, Vec<f32>)> = images
            .par_chunks(size * block_size(&self.config.shape, images.len() / size))
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

/// A row of the result is the features and the logits; time does not matter.
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
        let mut h = self.image.enter(x);
        let mut convs = Vec::new();
        for (i, ConvLayer { conv, w, b, norm }) in self.convs.iter().enumerate() {
            let mut hidden = Buffer::stale(h.len() / conv.inputs * conv.outputs);
            conv.forward(&h, w.of(p.filters), b.of(p.values), false, &mut hidden);
            let active = norm.forward(p.values, &hidden, n);
            if keep {
                convs.push((h, hidden));
            }
            h = if i < 2 { halve(&active, conv.w / 2, conv.outputs, 0.25) } else { active };
        }
        let hidden = self.features.forward(p.values, &h);
        let features = silu(&hidden);
        let logits = self.out.forward(p.values, &features);
        let [a, b] = self.widths;
        let y = join(&features, a, &logits, b);
        (y, keep.then_some(ClassifierTape { convs, flat: h, hidden, features }))
    }

    fn backward(
        &self,
        p: View<'_>,
        tape: ClassifierTape,
        dy: &[f32],
        gradients: &mut [f32],
        input: bool,
    ) -> Option<Buffer> {
        let [a, b] = self.widths;
        let (mut dfeatures, dlogits) = part(dy, a, b);
        let n = dlogits.len() / b;
        self.out.add_gradients(&tape.features, &dlogits, gradients);
        self.out.input_gradient(p.values, &dlogits, true, &mut dfeatures);
        silu_gradient(&tape.hidden, &mut dfeatures);
        self.features.add_gradients(&tape.flat, &dfeatures, gradients);
        let mut dh = Buffer::stale(tape.flat.len());
        self.features.input_gradient(p.values, &dfeatures, false, &mut dh);
        for (i, (layer, (x, hidden))) in self.convs.iter().zip(&tape.convs).enumerate().rev() {
            let ConvLayer { conv, w, b, norm } = layer;
            if i < 2 {
                dh = double(&dh, conv.w / 2, conv.outputs, 0.25);
            }
            let dhidden = norm.backward(p.values, hidden, n, dh, gradients);
            add_row_sums(&dhidden, conv.outputs, b.of_mut(gradients));
            conv.add_filter_gradient(x, &dhidden, w.slot.of_mut(gradients));
            if i == 0 && !input {
                return None;
            }
            dh = Buffer::stale(x.len());
            conv.image_gradient(&dhidden, w.of(p.filters), &mut dh);
        }
        Some(self.image.leave(&dh))
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
    use crate::nn::gradient_check::check_network;

    /// Of features and logits together.
    #[test]
    fn gradient_of_every_parameter() {
        let config = ClassifierConfig {
            data: "noise".into(),
            shape: vec![1, 7, 6],
            classes: 3,
            channels: 16,
            features: 5,
        };
        let network = Classifier::new(config, &mut Parameters::random(2)).unwrap();
        check_network(network.packed(), 2, 42, |x| {
            let (features, logits) = network.forward(x).unwrap();
            Tensor::cat(&[features, logits], 1).unwrap()
        });
    }
}
