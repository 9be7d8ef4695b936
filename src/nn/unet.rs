//! The U-Net of Ho 2020 in small: residual blocks with group norm and a time embedding, joined across the
//! levels.
//!
//! Parameters, by name (`d0.0` is the first block of the first level on the way down, `m` the middle, `u0.0`
//! on the way up): `time.1.{w,b}`, `time.2.{w,b}`, `in.{w,b}`, `d0.0.norm1.{gamma,beta}`, `d0.0.conv1.w`,
//! `d0.0.time.{w,b}` (the projection of the time embedding; its sum with b is the first convolution's bias),
//! `d0.0.norm2.{gamma,beta}`, `d0.0.conv2.{w,b}`, `d0.0.skip.{w,b}` where the number of channels changes,
//! `out.norm.{gamma,beta}`, `out.{w,b}`. Filters are [3, 3, in, out] and matrices [in, out]: for PyTorch,
//! permute to (3, 2, 0, 1) and transpose.

use super::conv::conv3x3;
use super::error::NnError;
use super::linear::linear;
use super::norm::group_norm_silu;
use super::parameters::{Init, Parameters};
use super::pointwise::silu;
use super::resize::{ImageShape, double, halve, join};
use super::time_embedding::time_embedding;
use candle_core::Tensor;
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
}

impl Default for UnetConfig {
    fn default() -> UnetConfig {
        UnetConfig { channels: 32, multipliers: vec![1, 1], blocks: 1, groups: 8, embedding: 64 }
    }
}

/// A U-Net that predicts the noise of images.
#[derive(Debug)]
pub struct Unet {
    image: ImageShape,
    embedding: usize,
    time: [Dense; 2],
    enter: Dense,
    down: Vec<Vec<Block>>,
    middle: Block,
    up: Vec<Vec<Block>>,
    norm: Norm,
    leave: Dense,
}

/// A matrix or a filter with its bias.
#[derive(Debug)]
pub(crate) struct Dense {
    pub w: Tensor,
    pub b: Tensor,
}

impl Dense {
    pub(crate) fn matrix(
        p: &mut Parameters,
        name: &str,
        inputs: usize,
        outputs: usize,
        init: Init,
    ) -> Result<Dense, NnError> {
        Ok(Dense {
            w: p.get(&format!("{name}.w"), &[inputs, outputs], init)?,
            b: p.get(&format!("{name}.b"), &[outputs], Init::Zeros)?,
        })
    }

    pub(crate) fn filter(
        p: &mut Parameters,
        name: &str,
        inputs: usize,
        outputs: usize,
        init: Init,
    ) -> Result<Dense, NnError> {
        Ok(Dense {
            w: p.get(&format!("{name}.w"), &[3, 3, inputs, outputs], init)?,
            b: p.get(&format!("{name}.b"), &[outputs], Init::Zeros)?,
        })
    }
}

/// Group norm and SiLU.
#[derive(Debug)]
pub(crate) struct Norm {
    gamma: Tensor,
    beta: Tensor,
    groups: usize,
}

impl Norm {
    pub(crate) fn new(
        p: &mut Parameters,
        name: &str,
        channels: usize,
        groups: usize,
    ) -> Result<Norm, NnError> {
        Ok(Norm {
            gamma: p.get(&format!("{name}.gamma"), &[channels], Init::Ones)?,
            beta: p.get(&format!("{name}.beta"), &[channels], Init::Zeros)?,
            groups,
        })
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor, NnError> {
        Ok(group_norm_silu(x, &self.gamma, &self.beta, self.groups)?)
    }
}

#[derive(Debug)]
struct Block {
    norm1: Norm,
    conv1: Tensor,
    time: Dense,
    norm2: Norm,
    conv2: Dense,
    skip: Option<Dense>,
}

impl Block {
    fn new(
        p: &mut Parameters,
        name: &str,
        inputs: usize,
        outputs: usize,
        c: &UnetConfig,
    ) -> Result<Block, NnError> {
        let at = |part: &str| format!("{name}.{part}");
        Ok(Block {
            norm1: Norm::new(p, &at("norm1"), inputs, c.groups)?,
            conv1: p.get(&at("conv1.w"), &[3, 3, inputs, outputs], Init::FanIn(9 * inputs))?,
            time: Dense::matrix(p, &at("time"), c.embedding, outputs, Init::FanIn(c.embedding))?,
            norm2: Norm::new(p, &at("norm2"), outputs, c.groups)?,
            conv2: Dense::filter(p, &at("conv2"), outputs, outputs, Init::Zeros)?,
            skip: match inputs == outputs {
                true => None,
                false => Some(Dense::matrix(p, &at("skip"), inputs, outputs, Init::FanIn(inputs))?),
            },
        })
    }

    fn forward(&self, x: &Tensor, time: &Tensor) -> Result<Tensor, NnError> {
        let bias = linear(time, &self.time.w, &self.time.b)?;
        let h = conv3x3(&self.norm1.forward(x)?, &self.conv1, &bias)?;
        let h = conv3x3(&self.norm2.forward(&h)?, &self.conv2.w, &self.conv2.b)?;
        let x = match &self.skip {
            Some(skip) => linear(x, &skip.w, &skip.b)?,
            None => x.clone(),
        };
        Ok((h + x)?)
    }
}

impl Unet {
    /// A U-Net for images of `shape` [channels, height, width]; sizes that the levels do not divide are
    /// padded inside.
    pub fn new(c: &UnetConfig, shape: &[usize], p: &mut Parameters) -> Result<Unet, NnError> {
        let (&[channels, height, width], levels @ 1..) = (shape, c.multipliers.len()) else {
            let expected = "[channels, height, width] for a U-Net of one level or more".into();
            return Err(NnError::Shape { what: "the data", found: shape.to_vec(), expected });
        };
        let widths: Vec<usize> = c.multipliers.iter().map(|m| m * c.channels).collect();
        let fan = Init::FanIn;
        let time = [
            Dense::matrix(p, "time.1", c.embedding, c.embedding, fan(c.embedding))?,
            Dense::matrix(p, "time.2", c.embedding, c.embedding, fan(c.embedding))?,
        ];
        let enter = Dense::filter(p, "in", channels, c.channels, fan(9 * channels))?;
        let mut current = c.channels;
        let mut skips = Vec::new();
        let mut down = Vec::new();
        for (level, &width) in widths.iter().enumerate() {
            let mut blocks = Vec::new();
            for block in 0..c.blocks {
                blocks.push(Block::new(p, &format!("d{level}.{block}"), current, width, c)?);
                current = width;
                skips.push(width);
            }
            down.push(blocks);
        }
        let middle = Block::new(p, "m", current, current, c)?;
        let mut up = Vec::new();
        for (level, &width) in widths.iter().enumerate().rev() {
            let mut blocks = Vec::new();
            for block in 0..c.blocks {
                let joined = current + skips.pop().unwrap_or(0);
                blocks.push(Block::new(p, &format!("u{level}.{block}"), joined, width, c)?);
                current = width;
            }
            up.push(blocks);
        }
        Ok(Unet {
            image: ImageShape { channels, height, width, multiple: 1 << (levels - 1) },
            embedding: c.embedding,
            time,
            enter,
            down,
            middle,
            up,
            norm: Norm::new(p, "out.norm", current, c.groups)?,
            leave: Dense::filter(p, "out", current, channels, Init::Zeros)?,
        })
    }

    /// The noise in images x [n, channels·height·width] at these times (0 to 1000).
    pub fn forward(&self, x: &Tensor, times: &[f32]) -> Result<Tensor, NnError> {
        let [first, second] = &self.time;
        let time = silu(&linear(&time_embedding(times, self.embedding)?, &first.w, &first.b)?)?;
        let time = silu(&linear(&time, &second.w, &second.b)?)?;
        let mut h = conv3x3(&self.image.enter(x)?, &self.enter.w, &self.enter.b)?;
        let mut skips = Vec::new();
        for (level, blocks) in self.down.iter().enumerate() {
            if level > 0 {
                h = halve(&h)?;
            }
            for block in blocks {
                h = block.forward(&h, &time)?;
                skips.push(h.clone());
            }
        }
        h = self.middle.forward(&h, &time)?;
        for (level, blocks) in self.up.iter().enumerate() {
            if level > 0 {
                h = double(&h)?;
            }
            for block in blocks {
                if let Some(skip) = skips.pop() {
                    h = join(&h, &skip)?;
                }
                h = block.forward(&h, &time)?;
            }
        }
        let h = conv3x3(&self.norm.forward(&h)?, &self.leave.w, &self.leave.b)?;
        Ok(self.image.leave(&h)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::raw;
    use crate::random::Streams;

    fn normal(count: usize) -> Vec<f32> {
        let mut out = vec![0.0; count];
        Streams::new(5, "unet test").stream(0).fill_normal(&mut out);
        out
    }

    /// A small U-Net whose zero-initialised filters are made random, so that every path counts.
    fn network(shape: &[usize]) -> (Unet, Parameters) {
        let c = UnetConfig { channels: 4, multipliers: vec![1, 2], blocks: 1, groups: 2, embedding: 8 };
        let mut p = Parameters::random(2);
        let unet = Unet::new(&c, shape, &mut p).unwrap();
        for (name, var) in p.entries() {
            if name.ends_with("conv2.w") || name == "out.w" {
                let values = normal(var.elem_count()).iter().map(|x| 0.2 * x).collect();
                var.set(&raw::tensor(values, var.shape().clone()).unwrap()).unwrap();
            }
        }
        (unet, p)
    }

    /// The gradient of the whole network in each of its parameters, along a random direction, against a
    /// central difference of step 0.01 (relative truncation and rounding below 1 %).
    #[test]
    fn gradient_of_every_parameter() {
        let (unet, p) = network(&[1, 7, 5]);
        let x = raw::tensor(normal(70), (2, 35)).unwrap();
        let times = [100.0, 900.0];
        let value = || -> f64 {
            let out = raw::values(&unet.forward(&x, &times).unwrap()).unwrap();
            out.iter().zip(normal(70)).map(|(&y, w)| f64::from(y) * f64::from(w)).sum()
        };
        let out = unet.forward(&x, &times).unwrap();
        let weighted = (out * raw::tensor(normal(70), (2, 35)).unwrap()).unwrap();
        let gradients = weighted.sum_all().unwrap().backward().unwrap();
        for (name, var) in p.entries() {
            let gradient = raw::values(gradients.get(var).unwrap()).unwrap();
            let before = raw::values(var).unwrap();
            let size = gradient.iter().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>().sqrt();
            let moved = |sign: f32| {
                let direction = gradient.iter().map(|g| g / size.max(1e-12) as f32);
                let values = before.iter().zip(direction).map(|(x, d)| x + sign * 0.01 * d).collect();
                var.set(&raw::tensor(values, var.shape().clone()).unwrap()).unwrap();
                value()
            };
            let slope = (moved(1.0) - moved(-1.0)) / 0.02;
            moved(0.0);
            assert!((slope - size).abs() < 0.01 * size + 2e-3, "{name}: {size}, differences give {slope}");
        }
    }

    /// A sample's result does not depend on those computed with it.
    #[test]
    fn samples_are_independent() {
        let (unet, _) = network(&[1, 8, 8]);
        let x = normal(3 * 64);
        let times = [1.0, 500.0, 1000.0];
        let all =
            raw::values(&unet.forward(&raw::tensor(x.clone(), (3, 64)).unwrap(), &times).unwrap()).unwrap();
        for i in 0..3 {
            let one = raw::tensor(x[i * 64..][..64].to_vec(), (1, 64)).unwrap();
            let one = raw::values(&unet.forward(&one, &times[i..=i]).unwrap()).unwrap();
            assert_eq!(one, all[i * 64..][..64]);
        }
    }

    /// The default network on 8×8 images stays within 150,000 parameters.
    #[test]
    fn default_size() {
        let mut p = Parameters::random(0);
        Unet::new(&UnetConfig::default(), &[1, 8, 8], &mut p).unwrap();
        assert!((100_000..150_000).contains(&p.count()), "{}", p.count());
    }
}
