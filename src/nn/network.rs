//! The choice of a network.

use super::error::NnError;
use super::mlp::{Mlp, MlpConfig};
use super::operation::Conditions;
use super::parameters::{Packed, Parameters};
use super::unet::{Unet, UnetConfig};
use candle_core::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A network and its size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkConfig {
    /// A U-Net, for images.
    Unet(UnetConfig),
    /// A multilayer perceptron, for points.
    Mlp(MlpConfig),
}

impl Default for NetworkConfig {
    fn default() -> NetworkConfig {
        NetworkConfig::Unet(UnetConfig::default())
    }
}

impl NetworkConfig {
    /// What is wrong with the sizes, as (field, message).
    pub fn issues(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        let mut ensure = |holds: bool, field, message: String| {
            if !holds {
                found.push((field, message));
            }
        };
        match self {
            NetworkConfig::Unet(c) => {
                let even = c.embedding >= 2 && c.embedding % 2 == 0;
                ensure(even, "unet.embedding", format!("must be even and positive, but is {}", c.embedding));
                ensure(c.groups >= 1, "unet.groups", "must be at least 1".into());
                let fits = c.channels >= 1 && c.channels % c.groups.max(1) == 0;
                let groups = c.groups;
                ensure(
                    fits,
                    "unet.channels",
                    format!("must be a multiple of {groups} groups, but is {}", c.channels),
                );
                let levels = (1..=6).contains(&c.multipliers.len()) && c.multipliers.iter().all(|m| *m >= 1);
                ensure(levels, "unet.multipliers", "must be one to six positive numbers".into());
                ensure(c.blocks >= 1, "unet.blocks", "must be at least 1".into());
            }
            NetworkConfig::Mlp(c) => {
                let even = c.embedding >= 2 && c.embedding % 2 == 0;
                ensure(even, "mlp.embedding", format!("must be even and positive, but is {}", c.embedding));
                ensure(c.width >= 1, "mlp.width", "must be at least 1".into());
                ensure(c.layers >= 1, "mlp.layers", "must be at least 1".into());
            }
        }
        found
    }
}

/// What a network takes and gives beside x and the noise in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Whether it predicts a variance too: the rows of the result are then the noise and, after it, v (Nichol and Dhariwal
    /// 2021, eq. 15).
    pub variance: bool,
    /// The number of classes that it can be told; 0 for none.
    pub classes: usize,
}

/// A network that predicts noise.
#[derive(Debug)]
pub enum Network {
    Unet(Unet),
    Mlp(Mlp),
}

impl Network {
    /// The network for data of `shape` (one sample's), asking `p` for its parameters.
    pub fn new(
        config: &NetworkConfig,
        shape: &[usize],
        head: Head,
        p: &mut Parameters,
    ) -> Result<Network, NnError> {
        Ok(match config {
            NetworkConfig::Unet(c) => Network::Unet(Unet::new(c, shape, head, p)?),
            NetworkConfig::Mlp(c) => Network::Mlp(Mlp::new(c, shape, head, p)?),
        })
    }

    /// Its parameters.
    pub fn packed(&self) -> &Arc<Packed> {
        match self {
            Network::Unet(network) => network.packed(),
            Network::Mlp(network) => network.packed(),
        }
    }

    /// The noise in x [n, d] as [n, d]; with a predicted variance, the noise and v as [n, 2d].
    pub fn forward(&self, x: &Tensor, on: &Conditions) -> Result<Tensor, NnError> {
        match self {
            Network::Unet(network) => network.forward(x, on),
            Network::Mlp(network) => network.forward(x, on),
        }
    }
}

/// The number of samples of a batch that are computed together: as many as share the cost of streaming the weights
/// through the caches, but at most an eighth of an image batch, so that threads have work. It depends on the shape of
/// the data and the batch alone, because it fixes the order in which gradients are added.
pub fn block_size(shape: &[usize], batch: usize) -> usize {
    match shape {
        [_, height, width] => (8192 / (height * width).max(1)).clamp(1, batch.div_ceil(8).max(1)),
        _ => 256,
    }
}
