//! The U-Net of Ho 2020: residual blocks with group norm and a time embedding, joined across the levels; with
//! attention, dropout, scale-shift norm and a learned variance where they are asked for (Nichol and Dhariwal 2021).
//!
//! Parameters, by name (`d0.0` is the first block of the first level on the way down, `m` the middle, `u0.0`
//! on the way up): `time.1.{w,b}`, `time.2.{w,b}`, `class.w` [classes + 1, embedding] (the last row for 'no class'),
//! `in.{w,b}`, `d0.0.norm1.{gamma,beta}`, `d0.0.conv1.w`, `d0.0.time.{w,b}` (the projection of the embedding; its sum with b
//! is the first convolution's bias, or with `scale_shift`, where there is a `d0.0.conv1.b` too, the scale and the shift),
//! `d0.0.norm2.{gamma,beta}`, `d0.0.conv2.{w,b}`, `d0.0.skip.{w,b}` where the number of channels changes,
//! `d0.0.attention.norm.{gamma,beta}`, `d0.0.attention.qkv.{w,b}` and `d0.0.attention.out.{w,b}` after a block with attention
//! (then a second block of the middle, `m2`, follows `m`), `out.norm.{gamma,beta}`, `out.{w,b}`. Filters are [3, 3, in, out]
//! and matrices [in, out]: for PyTorch, permute to (3, 2, 0, 1) and transpose.

use super::buffer::Buffer;
use super::conv::Conv3x3;
use super::conv_layer::ConvLayer;
use super::error::NnError;
use super::network::Head;
use super::norm::Norm;
use super::operation::{Conditions, Layers, apply};
use super::parameters::{Gradients, Init, Packed, Parameters, View};
use super::pointwise::add_assign;
use super::residual::{Block, BlockTape, Told};
use super::resize::{ImageShape, double, halve, join, part};
use super::time_embedding::{TimeLayers, TimeTape};
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
    /// The levels, counted from 0 at full resolution, whose residual blocks are each followed by self-attention; if there
    /// is one, the middle has attention too, between two blocks.
    pub attention: Vec<usize>,
    /// Heads of the attention; they divide the channels of its levels.
    pub heads: usize,
    /// Whether the time embedding scales and shifts the second norm of a block, in place of a bias before it.
    pub scale_shift: bool,
    /// The probability that training drops a number before the second convolution of a block, 0 to below 1.
    pub dropout: f64,
}

impl Default for UnetConfig {
    fn default() -> UnetConfig {
        UnetConfig {
            channels: 32,
            multipliers: vec![1, 1],
            blocks: 1,
            groups: 8,
            embedding: 64,
            attention: Vec::new(),
            heads: 1,
            scale_shift: false,
            dropout: 0.0,
        }
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
    /// The same with as many channels as the result has.
    result: ImageShape,
    time: TimeLayers,
    enter: ConvLayer,
    down: Vec<Vec<Block>>,
    middle: Vec<Block>,
    up: Vec<Vec<Block>>,
    norm: Norm,
    leave: ConvLayer,
    /// The channels at the end of each level.
    widths: Vec<usize>,
}

/// What the reverse pass needs.
struct UnetTape {
    images: Buffer,
    time: TimeTape,
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
    fn new(c: &UnetConfig, shape: &[usize], head: Head, p: &mut Parameters) -> Result<UnetLayers, NnError> {
        let (&[channels, height, width], levels @ 1..) = (shape, c.multipliers.len()) else {
            let expected = "[channels, height, width] for a U-Net of one level or more".into();
            return Err(NnError::Shape { what: "the data", found: shape.to_vec(), expected });
        };
        let image = ImageShape { channels, height, width, multiple: 1 << (levels - 1) };
        let outputs = if head.variance { 2 * channels } else { channels };
        let (h, w) = image.padded();
        let conv = |level: usize, inputs, outputs| Conv3x3 { h: h >> level, w: w >> level, inputs, outputs };
        let widths: Vec<usize> = c.multipliers.iter().map(|m| m * c.channels).collect();
        let attends = |level: usize| c.attention.contains(&level);
        let time = TimeLayers::new(p, c.embedding, head.classes)?;
        let enter = ConvLayer::new(p, "in", conv(0, channels, c.channels), Init::FanIn(9 * channels))?;
        let mut current = c.channels;
        let mut skips = Vec::new();
        let mut down = Vec::new();
        for (level, &width) in widths.iter().enumerate() {
            let mut blocks = Vec::new();
            for block in 0..c.blocks {
                let name = format!("d{level}.{block}");
                blocks.push(Block::new(p, &name, conv(level, current, width), c, attends(level))?);
                current = width;
                skips.push(width);
            }
            down.push(blocks);
        }
        let deepest = conv(levels - 1, current, current);
        let mut middle = vec![Block::new(p, "m", deepest, c, !c.attention.is_empty())?];
        if !c.attention.is_empty() {
            middle.push(Block::new(p, "m2", deepest, c, false)?);
        }
        let mut up = Vec::new();
        for (level, &width) in widths.iter().enumerate().rev() {
            let mut blocks = Vec::new();
            for block in 0..c.blocks {
                let joined = current + skips.pop().unwrap_or(0);
                let name = format!("u{level}.{block}");
                blocks.push(Block::new(p, &name, conv(level, joined, width), c, attends(level))?);
                current = width;
            }
            up.push(blocks);
        }
        let norm = Norm::new(p, "out.norm", current, c.groups)?;
        let leave = ConvLayer::new(p, "out", conv(0, current, outputs), Init::Zeros)?;
        let result = ImageShape { channels: outputs, ..image };
        Ok(UnetLayers { image, result, time, enter, down, middle, up, norm, leave, widths })
    }

    /// The width in pixels of the images of a level.
    fn pixels(&self, level: usize) -> usize {
        self.image.padded().1 >> level
    }
}

impl Layers for UnetLayers {
    type Tape = UnetTape;

    fn outputs(&self) -> usize {
        self.result.channels * self.result.height * self.result.width
    }

    fn classes(&self) -> usize {
        self.time.classes()
    }

    fn forward(&self, p: View<'_>, x: &[f32], on: &Conditions, keep: bool) -> (Buffer, Option<UnetTape>) {
        let n = on.times.len();
        let (embedded, time) = self.time.forward(p, on);
        let told = Told { n, embedded: &embedded, dropout: &on.dropout };
        let mut tape = Vec::new();
        let mut block =
            |block: &Block, x: &Arc<Buffer>| Arc::new(block.forward(p, told, x, keep.then_some(&mut tape)));

        let images = self.image.enter(x);
        let mut h = Arc::new(self.enter.forward(p, &images));
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
        for layer in &self.middle {
            h = block(layer, &h);
        }
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
        let active = self.norm.forward(p, &h, n);
        let y = self.result.leave(&self.leave.forward(p, &active));
        let tape = keep.then(|| UnetTape { images, time, embedded, blocks: tape, last: h, active });
        (y, tape)
    }

    fn backward(
        &self,
        p: View<'_>,
        on: &Conditions,
        tape: UnetTape,
        dy: &[f32],
        gradients: &mut Gradients<'_>,
        input: bool,
    ) -> Option<Buffer> {
        let UnetTape { images, time, embedded, mut blocks, last, active } = tape;
        let n = on.times.len();
        let told = Told { n, embedded: &embedded, dropout: &on.dropout };
        let mut dembedded = Buffer::zeros(embedded.len());
        let mut block = |block: &Block, dy: Buffer, gradients: &mut Gradients<'_>| {
            let tape = blocks.pop().expect("a tape for each block");
            block.backward(p, told, tape, dy, gradients, &mut dembedded)
        };

        let dy = self.result.enter(dy);
        self.leave.add_gradients(&active, &dy, gradients);
        let dactive = self.leave.input_gradient(p, &dy);
        let mut dh = self.norm.backward(p, &last, n, dactive, gradients);
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
        for layer in self.middle.iter().rev() {
            dh = block(layer, dh, gradients);
        }
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
        self.enter.add_gradients(&images, &dh, gradients);
        if gradients.wanted() {
            self.time.backward(p, on, &time, dembedded, gradients);
        }
        input.then(|| self.image.leave(&self.enter.input_gradient(p, &dh)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::gradient_check::{check_fixed, check_network, moved, normal};
    use crate::nn::raw;

    fn config(channels: usize) -> UnetConfig {
        UnetConfig {
            channels,
            multipliers: vec![1, 2],
            blocks: 2,
            groups: 2,
            embedding: 8,
            ..UnetConfig::default()
        }
    }

    fn network(c: &UnetConfig, head: Head, shape: &[usize]) -> Unet {
        Unet::new(c, shape, head, &mut Parameters::random(2)).unwrap()
    }

    /// All that a U-Net can have.
    fn everything(channels: usize) -> (UnetConfig, Head) {
        let (attention, heads, scale_shift, dropout) = (vec![1], 2, true, 0.3);
        let c = UnetConfig { attention, heads, scale_shift, dropout, blocks: 1, ..config(channels) };
        (c, Head { variance: true, classes: 3 })
    }

    fn conditions() -> Conditions {
        Conditions { times: vec![100.0, 900.0], classes: vec![2, 3], dropout: vec![5, 6] }
    }

    /// With 16 channels through Winograd's transform.
    #[test]
    fn gradient_of_every_parameter() {
        for channels in [4, 16] {
            let unet = network(&config(channels), Head::default(), &[1, 7, 5]);
            let on = Conditions::at(&[100.0, 900.0]);
            check_network(unet.packed(), 2, 35, |x| unet.forward(x, &on).unwrap());
            let (c, head) = everything(channels);
            let unet = network(&c, head, &[2, 7, 5]);
            check_network(unet.packed(), 2, 70, |x| unet.forward(x, &conditions()).unwrap());
        }
    }

    /// A fixed network gives the same gradient of its input, bit by bit.
    #[test]
    fn fixed_parameters() {
        let (c, head) = everything(16);
        let unet = network(&c, head, &[1, 8, 6]);
        moved(unet.packed());
        let fixed = Unet::new(&c, &[1, 8, 6], head, &mut unet.packed().fixed()).unwrap();
        check_fixed(
            2,
            48,
            |x| unet.forward(x, &conditions()).unwrap(),
            |x| fixed.forward(x, &conditions()).unwrap(),
        );
    }

    /// A sample's result does not depend on those computed with it.
    #[test]
    fn samples_are_independent() {
        let (c, head) = everything(16);
        for (c, head) in [(config(16), Head::default()), (c, head)] {
            let unet = network(&c, head, &[1, 8, 8]);
            moved(unet.packed());
            let x = normal(3, 3 * 64);
            let classes = if head.classes > 0 { vec![0, 1, 3] } else { vec![] };
            let on = Conditions { times: vec![1.0, 500.0, 1000.0], classes, dropout: vec![1, 2, 3] };
            let result = |x: Vec<f32>, on: &Conditions| {
                let x = raw::tensor(x, (on.times.len(), 64)).unwrap();
                raw::values(&unet.forward(&x, on).unwrap()).unwrap()
            };
            let all = result(x.clone(), &on);
            let size = all.len() / 3;
            for i in 0..3 {
                let classes = on.classes.get(i).copied().into_iter().collect();
                let one = Conditions { times: vec![on.times[i]], classes, dropout: vec![on.dropout[i]] };
                assert_eq!(result(x[i * 64..][..64].to_vec(), &one), all[i * size..][..size]);
            }
        }
    }

    /// What a row is told matters: its class, its dropout; 'no class' is what it is without classes; and a class that does
    /// not exist is refused.
    #[test]
    fn conditions_matter() {
        let (c, head) = everything(4);
        let unet = network(&c, head, &[1, 4, 4]);
        moved(unet.packed());
        let x = raw::tensor(normal(3, 16), (1, 16)).unwrap();
        let result = |classes: &[u32], dropout: &[u64]| {
            let on = Conditions { times: vec![300.0], classes: classes.into(), dropout: dropout.into() };
            unet.forward(&x, &on).map(|y| raw::values(&y).unwrap())
        };
        let plain = result(&[], &[]).unwrap();
        assert_eq!(plain.len(), 32);
        assert_eq!(result(&[3], &[]).unwrap(), plain);
        assert_ne!(result(&[0], &[]).unwrap(), plain);
        assert_ne!(result(&[0], &[]).unwrap(), result(&[1], &[]).unwrap());
        assert_ne!(result(&[], &[4]).unwrap(), plain);
        assert_ne!(result(&[], &[4]).unwrap(), result(&[], &[5]).unwrap());
        assert!(matches!(result(&[4], &[]), Err(NnError::Class { class: 4, classes: 3 })));
        assert!(result(&[0, 1], &[]).is_err());
    }

    /// The default network on 8×8 images stays within 150,000 parameters.
    #[test]
    fn default_size() {
        let unet = network(&UnetConfig::default(), Head::default(), &[1, 8, 8]);
        let count = unet.packed().count();
        assert!((100_000..150_000).contains(&count), "{count}");
    }
}
