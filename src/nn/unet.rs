//! The U-Net of Ho 2020 in small: residual blocks with group norm and a time embedding, joined across the
//! levels.
//!
//! Parameters, by name (`d0.0` is the first block of the first level on the way down, `m` the middle, `u0.0`
//! on the way up): `time.1.{w,b}`, `time.2.{w,b}`, `in.{w,b}`, `d0.0.norm1.{gamma,beta}`, `d0.0.conv1.w`,
//! `d0.0.time.{w,b}` (the projection of the time embedding; its sum with b is the first convolution's bias),
//! `d0.0.norm2.{gamma,beta}`, `d0.0.conv2.{w,b}`, `d0.0.skip.{w,b}` where the number of channels changes,
//! `out.norm.{gamma,beta}`, `out.{w,b}`. Filters are [3, 3, in, out] and matrices [in, out]: for PyTorch,
//! permute to (3, 2, 0, 1) and transpose.

use super::buffer::Buffer;
use super::conv::Conv3x3;
use super::error::NnError;
use super::linear::Dense;
use super::network::Head;
use super::norm::Norm;
use super::operation::{Conditions, Layers, View, apply};
use super::parameters::{FilterSlot, Init, Packed, Parameters, Slot};
use super::pointwise::{add_assign, add_row_sums, silu, silu_gradient};
use super::residual::{Block, BlockTape};
use super::resize::{ImageShape, double, halve, join, part};
use super::time_embedding::time_embedding;
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The size of a U-Net.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UnetConfig {
    /// Channels at full resolution, a multiple of `groups`.
    pub channels: usize,
    /// Channels of each level as multiples of `channels`; each level after the first has half the resolution.
    pub multipliers: Vec<usize>,
    /// Residual blocks of each level, on the way down and on the way up.
    pub blocks: usize,
    /// Groups of the group normalisation.
    pub groups: usize,
    /// Width of the time embedding, even.
    pub embedding: usize,
}

impl Default for UnetConfig {
    fn default() -> UnetConfig {
        UnetConfig { channels: 32, multipliers: vec![1, 1], blocks: 1, groups: 8, embedding: 64 }
    }
}

/// A U-Net that predicts the noise of images.
#[derive(Debug)]
pub struct Unet {
    layers: Arc<UnetLayers>,
    packed: Arc<Packed>,
}

#[derive(Debug)]
struct UnetLayers {
    image: ImageShape,
    embedding: usize,
    time: [Dense; 2],
    enter: (Conv3x3, FilterSlot, Slot),
    down: Vec<Vec<Block>>,
    middle: Block,
    up: Vec<Vec<Block>>,
    norm: Norm,
    leave: (Conv3x3, FilterSlot, Slot),
    /// The channels at the end of each level.
    widths: Vec<usize>,
}

/// What the reverse pass needs.
struct UnetTape {
    images: Buffer,
    /// The input of each layer of the time embedding, and what its SiLU gets.
    time: [(Buffer, Buffer); 2],
    embedded: Buffer,
    /// In the order of the blocks.
    blocks: Vec<BlockTape>,
    last: Arc<Buffer>,
    active: Buffer,
}

impl Unet {
    /// A U-Net for images of `shape` [channels, height, width]; sizes that the levels do not divide are
    /// padded inside.
    pub fn new(c: &UnetConfig, shape: &[usize], head: Head, p: &mut Parameters) -> Result<Unet, NnError> {
        let layers = Arc::new(UnetLayers::new(c, shape, head, p)?);
        Ok(Unet { layers, packed: p.pack()? })
    }

    /// Its parameters.
    pub fn packed(&self) -> &Arc<Packed> {
        &self.packed
    }

    /// The noise in images x [n, channels·height·width]; see [`super::network::Network::forward`].
    pub fn forward(&self, x: &Tensor, on: &Conditions) -> Result<Tensor, NnError> {
        apply(&self.layers, &self.packed, x, on)
    }
}

impl UnetLayers {
    fn new(c: &UnetConfig, shape: &[usize], _head: Head, p: &mut Parameters) -> Result<UnetLayers, NnError> {
        let (&[channels, height, width], levels @ 1..) = (shape, c.multipliers.len()) else {
            let expected = "[channels, height, width] for a U-Net of one level or more".into();
            return Err(NnError::Shape { what: "the data", found: shape.to_vec(), expected });
        };
        let image = ImageShape { channels, height, width, multiple: 1 << (levels - 1) };
        let (h, w) = image.padded();
        let conv = |level: usize, inputs, outputs| Conv3x3 { h: h >> level, w: w >> level, inputs, outputs };
        let widths: Vec<usize> = c.multipliers.iter().map(|m| m * c.channels).collect();
        let fan = Init::FanIn;
        let time = [
            Dense::new(p, "time.1", c.embedding, c.embedding, fan(c.embedding))?,
            Dense::new(p, "time.2", c.embedding, c.embedding, fan(c.embedding))?,
        ];
        let enter = conv(0, channels, c.channels);
        let enter =
            (enter, p.filters("in.w", enter, fan(9 * channels))?, p.get("in.b", &[c.channels], Init::Zeros)?);
        let mut current = c.channels;
        let mut skips = Vec::new();
        let mut down = Vec::new();
        for (level, &width) in widths.iter().enumerate() {
            let mut blocks = Vec::new();
            for block in 0..c.blocks {
                let name = format!("d{level}.{block}");
                blocks.push(Block::new(p, &name, conv(level, current, width), c.groups, c.embedding)?);
                current = width;
                skips.push(width);
            }
            down.push(blocks);
        }
        let middle = Block::new(p, "m", conv(levels - 1, current, current), c.groups, c.embedding)?;
        let mut up = Vec::new();
        for (level, &width) in widths.iter().enumerate().rev() {
            let mut blocks = Vec::new();
            for block in 0..c.blocks {
                let joined = current + skips.pop().unwrap_or(0);
                let name = format!("u{level}.{block}");
                blocks.push(Block::new(p, &name, conv(level, joined, width), c.groups, c.embedding)?);
                current = width;
            }
            up.push(blocks);
        }
        let norm = Norm::new(p, "out.norm", current, c.groups)?;
        let leave = conv(0, current, channels);
        let leave =
            (leave, p.filters("out.w", leave, Init::Zeros)?, p.get("out.b", &[channels], Init::Zeros)?);
        Ok(UnetLayers { image, embedding: c.embedding, time, enter, down, middle, up, norm, leave, widths })
    }

    /// The width in pixels of the images of a level.
    fn pixels(&self, level: usize) -> usize {
        self.image.padded().1 >> level
    }

    /// Applies a 3×3 convolution with its bias.
    fn convolve(p: View<'_>, (conv, w, b): (Conv3x3, FilterSlot, Slot), x: &[f32]) -> Buffer {
        let mut y = Buffer::stale(x.len() / conv.inputs * conv.outputs);
        conv.forward(x, w.of(p.filters), b.of(p.values), false, &mut y);
        y
    }
}

impl Layers for UnetLayers {
    type Tape = UnetTape;

    fn outputs(&self) -> usize {
        self.image.channels * self.image.height * self.image.width
    }

    fn forward(&self, p: View<'_>, x: &[f32], on: &Conditions, keep: bool) -> (Buffer, Option<UnetTape>) {
        let times = &on.times;
        let n = times.len();
        let [first, second] = &self.time;
        let embedding = Buffer::of(&time_embedding(times, self.embedding));
        let hidden = first.forward(p.values, &embedding);
        let active = silu(&hidden);
        let hidden2 = second.forward(p.values, &active);
        let embedded = silu(&hidden2);
        let mut tape = Vec::new();
        let mut block = |block: &Block, x: &Arc<Buffer>| {
            Arc::new(block.forward(p, x, &embedded, n, keep.then_some(&mut tape)))
        };

        let images = self.image.enter(x);
        let mut h = Arc::new(UnetLayers::convolve(p, self.enter, &images));
        let mut skips = Vec::new();
        for (level, blocks) in self.down.iter().enumerate() {
            if level > 0 {
                h = Arc::new(halve(&h, self.pixels(level), self.widths[level - 1], 0.25));
            }
            for layer in blocks {
                h = block(layer, &h);
                skips.push((h.clone(), self.widths[level]));
            }
        }
        h = block(&self.middle, &h);
        let mut width = self.widths[self.widths.len() - 1];
        for (level, blocks) in (0..self.widths.len()).rev().zip(&self.up) {
            if level + 1 < self.widths.len() {
                h = Arc::new(double(&h, self.pixels(level + 1), width, 1.0));
            }
            for layer in blocks {
                if let Some((skip, skipped)) = skips.pop() {
                    h = Arc::new(join(&h, width, &skip, skipped));
                }
                h = block(layer, &h);
                width = self.widths[level];
            }
        }
        let active_last = self.norm.forward(p.values, &h, n);
        let y = self.image.leave(&UnetLayers::convolve(p, self.leave, &active_last));
        let tape = keep.then(|| UnetTape {
            images,
            time: [(embedding, hidden), (active, hidden2)],
            embedded,
            blocks: tape,
            last: h,
            active: active_last,
        });
        (y, tape)
    }

    fn backward(
        &self,
        p: View<'_>,
        tape: UnetTape,
        dy: &[f32],
        gradients: &mut [f32],
        input: bool,
    ) -> Option<Buffer> {
        let UnetTape { images, time, embedded, mut blocks, last, active } = tape;
        let n = embedded.len() / self.embedding;
        let mut dtime = Buffer::zeros(embedded.len());
        let mut block = |block: &Block, dy: Buffer, gradients: &mut [f32]| {
            let tape = blocks.pop().expect("a tape for each block");
            block.backward(p, tape, &embedded, dy, gradients, &mut dtime)
        };

        let dy = self.image.enter(dy);
        let (conv, w, b) = self.leave;
        add_row_sums(&dy, conv.outputs, b.of_mut(gradients));
        conv.add_filter_gradient(&active, &dy, w.slot.of_mut(gradients));
        let mut dactive = Buffer::stale(active.len());
        conv.image_gradient(&dy, w.of(p.filters), &mut dactive);
        let mut dh = self.norm.backward(p.values, &last, n, dactive, gradients);
        let mut dskips = Vec::new();
        for (level, layers) in (0..self.widths.len()).rev().zip(&self.up).rev() {
            for (i, layer) in layers.iter().enumerate().rev() {
                // The first block of a level joins what comes from the level below.
                let below = if i == 0 { (level + 1).min(self.widths.len() - 1) } else { level };
                let joined = block(layer, dh, gradients);
                let (dx, dskip) = part(&joined, self.widths[below], self.widths[level]);
                dskips.push(dskip);
                dh = dx;
            }
            if level + 1 < self.widths.len() {
                dh = halve(&dh, self.pixels(level + 1), self.widths[level + 1], 1.0);
            }
        }
        dh = block(&self.middle, dh, gradients);
        for (level, layers) in self.down.iter().enumerate().rev() {
            for layer in layers.iter().rev() {
                if let Some(dskip) = dskips.pop() {
                    add_assign(&mut dh, &dskip);
                }
                dh = block(layer, dh, gradients);
            }
            if level > 0 {
                dh = double(&dh, self.pixels(level), self.widths[level - 1], 0.25);
            }
        }
        let (conv, w, b) = self.enter;
        add_row_sums(&dh, conv.outputs, b.of_mut(gradients));
        conv.add_filter_gradient(&images, &dh, w.slot.of_mut(gradients));

        let mut dhidden = dtime;
        for (layer, (x, hidden)) in self.time.iter().zip(&time).rev() {
            silu_gradient(hidden, &mut dhidden);
            layer.add_gradients(x, &dhidden, gradients);
            let mut dx = Buffer::stale(x.len());
            layer.input_gradient(p.values, &dhidden, false, &mut dx);
            dhidden = dx;
        }
        input.then(|| {
            let mut dx = Buffer::stale(images.len());
            conv.image_gradient(&dh, w.of(p.filters), &mut dx);
            self.image.leave(&dx)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::gradient_check::check_network;
    use crate::nn::raw;
    use crate::random::Streams;

    fn normal(count: usize) -> Vec<f32> {
        let mut out = vec![0.0; count];
        Streams::new(5, "unet test").stream(0).fill_normal(&mut out);
        out
    }

    fn network(channels: usize, shape: &[usize]) -> Unet {
        let c = UnetConfig { channels, multipliers: vec![1, 2], blocks: 2, groups: 2, embedding: 8 };
        Unet::new(&c, shape, Head::default(), &mut Parameters::random(2)).unwrap()
    }

    /// With 16 channels through Winograd's transform.
    #[test]
    fn gradient_of_every_parameter() {
        for channels in [4, 16] {
            let unet = network(channels, &[1, 7, 5]);
            check_network(unet.packed(), 2, 35, |x| {
                unet.forward(x, &Conditions::at(&[100.0, 900.0])).unwrap()
            });
        }
    }

    /// A sample's result does not depend on those computed with it.
    #[test]
    fn samples_are_independent() {
        let unet = network(16, &[1, 8, 8]);
        let packed = unet.packed();
        let moved: Vec<f32> = raw::values(packed.tensor()).unwrap().iter().map(|x| x + 0.02).collect();
        packed.set(&moved).unwrap();
        let x = normal(3 * 64);
        let times = [1.0, 500.0, 1000.0];
        let result = |x: Vec<f32>, times: &[f32]| {
            let x = raw::tensor(x, (times.len(), 64)).unwrap();
            raw::values(&unet.forward(&x, &Conditions::at(times)).unwrap()).unwrap()
        };
        let all = result(x.clone(), &times);
        for i in 0..3 {
            let one = result(x[i * 64..][..64].to_vec(), &times[i..=i]);
            assert_eq!(one, all[i * 64..][..64]);
        }
    }

    /// The default network on 8×8 images stays within 150,000 parameters.
    #[test]
    fn default_size() {
        let unet = Unet::new(&UnetConfig::default(), &[1, 8, 8], Head::default(), &mut Parameters::random(0))
            .unwrap();
        let count = unet.packed().count();
        assert!((100_000..150_000).contains(&count), "{count}");
    }
}
