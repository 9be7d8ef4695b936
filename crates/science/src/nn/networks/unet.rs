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

use super::head::Head;
use crate::nn::error::NnError;
use crate::nn::kernels::conv3x3::Conv3x3;
use crate::nn::kernels::resample::ImageShape;
use crate::nn::layers::attention::Attention;
use crate::nn::layers::conditions::Conditions;
use crate::nn::layers::image_conv::{InputConv, OutputConv};
use crate::nn::layers::parameters::VarBuilder;
use crate::nn::layers::residual::{ResidualBlock, ResidualConfig};
use crate::nn::layers::resize::{Downsample, concat_channels, upsample_and_concat};
use crate::nn::layers::time_embedding::TimeEmbedding;
use candle_core::{Module, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    time: TimeEmbedding,
    enter: InputConv,
    /// The blocks of each level, the first level first.
    down: Vec<Vec<Block>>,
    middle: Vec<Block>,
    /// The blocks of each level, the last level first.
    up: Vec<Vec<Block>>,
    leave: OutputConv,
    downsample: Downsample,
    classes: usize,
}

/// A residual block, and the attention after it where there is one.
#[derive(Debug)]
struct Block {
    residual: ResidualBlock,
    attention: Option<Attention>,
}

impl Block {
    fn new(vb: VarBuilder, conv: Conv3x3, c: &UnetConfig, attends: bool) -> Result<Block, NnError> {
        let UnetConfig { embedding, groups, scale_shift, dropout, heads, .. } = *c;
        let residual =
            ResidualBlock::new(&vb, conv, ResidualConfig { embedding, groups, scale_shift, dropout })?;
        let attention = match attends {
            true => Some(Attention::new(&vb.pp("attention"), conv.outputs, groups, heads)?),
            false => None,
        };
        Ok(Block { residual, attention })
    }

    fn forward(&self, x: &Tensor, embedded: &Tensor, on: &Conditions) -> Result<Tensor, NnError> {
        let y = self.residual.forward(x, embedded, &on.dropout)?;
        match &self.attention {
            Some(attention) => Ok(attention.forward(&y)?),
            None => Ok(y),
        }
    }
}

impl Unet {
    /// A U-Net for images of `shape` [channels, height, width]; sizes that the levels do not divide are
    /// padded inside.
    pub fn new(c: &UnetConfig, shape: &[usize], head: Head, vb: VarBuilder) -> Result<Unet, NnError> {
        let (&[channels, height, width], levels @ 1..) = (shape, c.multipliers.len()) else {
            let expected = "[channels, height, width] for a U-Net of one level or more".into();
            return Err(NnError::Shape { what: "the data", found: shape.to_vec(), expected });
        };
        let image = ImageShape { channels, height, width, multiple: 1 << (levels - 1) };
        let result = ImageShape { channels: if head.variance { 2 * channels } else { channels }, ..image };
        let (h, w) = image.padded();
        let conv = |level: usize, inputs, outputs| Conv3x3 { h: h >> level, w: w >> level, inputs, outputs };
        let widths: Vec<usize> = c.multipliers.iter().map(|m| m * c.channels).collect();
        let attends = |level: usize| c.attention.contains(&level);
        let time = TimeEmbedding::new(&vb, c.embedding, head.classes)?;
        let enter = InputConv::new(&vb.pp("in"), image, c.channels)?;
        let mut current = c.channels;
        let mut skips = Vec::new();
        let mut down = Vec::new();
        for (level, &width) in widths.iter().enumerate() {
            let mut blocks = Vec::new();
            for block in 0..c.blocks {
                let vb = vb.pp(format!("d{level}")).pp(block);
                blocks.push(Block::new(vb, conv(level, current, width), c, attends(level))?);
                current = width;
                skips.push(width);
            }
            down.push(blocks);
        }
        let deepest = conv(levels - 1, current, current);
        let mut middle = vec![Block::new(vb.pp("m"), deepest, c, !c.attention.is_empty())?];
        if !c.attention.is_empty() {
            middle.push(Block::new(vb.pp("m2"), deepest, c, false)?);
        }
        let mut up = Vec::new();
        for (level, &width) in widths.iter().enumerate().rev() {
            let mut blocks = Vec::new();
            for block in 0..c.blocks {
                let both = current + skips.pop().unwrap_or(0);
                let vb = vb.pp(format!("u{level}")).pp(block);
                blocks.push(Block::new(vb, conv(level, both, width), c, attends(level))?);
                current = width;
            }
            up.push(blocks);
        }
        let leave = OutputConv::new(&vb.pp("out"), result, current, c.groups)?;
        let downsample = Downsample { path: leave.path() };
        Ok(Unet { time, enter, down, middle, up, leave, downsample, classes: head.classes })
    }

    /// The noise in images x [n, channels·height·width]; see [`super::network::Network::forward`].
    pub fn forward(&self, x: &Tensor, on: &Conditions) -> Result<Tensor, NnError> {
        on.check(x.dim(0)?, self.classes)?;
        let embedded = self.time.forward(on)?;
        let mut h = self.enter.forward(x)?;
        let mut skips = Vec::new();
        for (level, blocks) in self.down.iter().enumerate() {
            if level > 0 {
                h = self.downsample.forward(&h)?;
            }
            for block in blocks {
                h = block.forward(&h, &embedded, on)?;
                skips.push(h.clone());
            }
        }
        for block in &self.middle {
            h = block.forward(&h, &embedded, on)?;
        }
        let path = self.downsample.path;
        for (i, blocks) in self.up.iter().enumerate() {
            for (j, block) in blocks.iter().enumerate() {
                if let Some(skip) = skips.pop() {
                    // The first block of a level takes what comes from the level below.
                    let below = i > 0 && j == 0;
                    let concat = if below { upsample_and_concat } else { concat_channels };
                    h = concat(path, &h, &skip)?;
                }
                h = block.forward(&h, &embedded, on)?;
            }
        }
        Ok(self.leave.forward(&h)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::gradient_check::{check_fixed, check_network, fixed, moved, normal};
    use crate::nn::kernels::raw;
    use crate::nn::layers::parameters::Parameters;
    use candle_core::Device;

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

    fn network(c: &UnetConfig, head: Head, shape: &[usize]) -> (Unet, Parameters) {
        let parameters = Parameters::random(2, &Device::Cpu);
        (parameters.build(|vb| Unet::new(c, shape, head, vb)).unwrap(), parameters)
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
            let (unet, parameters) = network(&config(channels), Head::default(), &[1, 7, 5]);
            let on = Conditions::at(&[100.0, 900.0]);
            check_network(&parameters, 2, 35, |x| unet.forward(x, &on).unwrap());
            let (c, head) = everything(channels);
            let (unet, parameters) = network(&c, head, &[2, 7, 5]);
            check_network(&parameters, 2, 70, |x| unet.forward(x, &conditions()).unwrap());
        }
    }

    /// A fixed network gives the same gradient of its input, bit by bit.
    #[test]
    fn fixed_parameters() {
        let (c, head) = everything(16);
        let (unet, parameters) = network(&c, head, &[1, 8, 6]);
        moved(&parameters);
        let still = fixed(&parameters).build(|vb| Unet::new(&c, &[1, 8, 6], head, vb)).unwrap();
        check_fixed(
            2,
            48,
            |x| unet.forward(x, &conditions()).unwrap(),
            |x| still.forward(x, &conditions()).unwrap(),
        );
    }

    /// A sample's result does not depend on those computed with it.
    #[test]
    fn samples_are_independent() {
        let (c, head) = everything(16);
        for (c, head) in [(config(16), Head::default()), (c, head)] {
            let (unet, parameters) = network(&c, head, &[1, 8, 8]);
            moved(&parameters);
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

    /// The conditions of a row matter: its class, its dropout; 'no class' is what it is without classes; and a class that does
    /// not exist is refused.
    #[test]
    fn conditions_matter() {
        let (c, head) = everything(4);
        let (unet, parameters) = network(&c, head, &[1, 4, 4]);
        moved(&parameters);
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
        let (_, parameters) = network(&UnetConfig::default(), Head::default(), &[1, 8, 8]);
        let count = parameters.count();
        assert!((100_000..150_000).contains(&count), "{count}");
    }
}
