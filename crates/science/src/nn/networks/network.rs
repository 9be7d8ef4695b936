//! The choice of a network.

use super::head::Head;
use super::mlp::{Mlp, MlpConfig};
use super::unet::{Unet, UnetConfig};
use crate::nn::error::NnError;
use crate::nn::layers::conditions::Conditions;
use crate::nn::layers::parameters::Parameters;
use candle_core::{Device, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
                let deepest = c.multipliers.len().saturating_sub(1);
                let exist = c.attention.iter().all(|level| *level <= deepest);
                ensure(exist, "unet.attention", format!("must be levels from 0 to {deepest}"));
                // The middle, in the deepest level, attends with the others.
                let middle = (!c.attention.is_empty()).then_some(deepest);
                let mut widths = c.attention.iter().copied().chain(middle);
                let width = |level: usize| c.multipliers.get(level).map_or(0, |m| m * c.channels);
                let divide = c.heads >= 1 && widths.all(|level| width(level).is_multiple_of(c.heads));
                let heads =
                    format!("must divide the channels of the levels with attention, but is {}", c.heads);
                ensure(divide, "unet.heads", heads);
                ensure(is_rate(c.dropout), "unet.dropout", rate_message(c.dropout));
            }
            NetworkConfig::Mlp(c) => {
                let even = c.embedding >= 2 && c.embedding % 2 == 0;
                ensure(even, "mlp.embedding", format!("must be even and positive, but is {}", c.embedding));
                ensure(c.width >= 1, "mlp.width", "must be at least 1".into());
                ensure(c.layers >= 1, "mlp.layers", "must be at least 1".into());
                ensure(is_rate(c.dropout), "mlp.dropout", rate_message(c.dropout));
            }
        }
        found
    }
}

fn is_rate(dropout: f64) -> bool {
    (0.0..1.0).contains(&dropout)
}

fn rate_message(dropout: f64) -> String {
    format!("must be from 0 to below 1, but is {dropout}")
}

/// A network that predicts noise.
#[derive(Debug)]
pub struct Network {
    body: Body,
    device: Device,
}

#[derive(Debug)]
enum Body {
    Unet(Box<Unet>),
    Mlp(Mlp),
}

impl Network {
    /// The network for data of `shape` (one sample's), with these parameters, on their device.
    pub fn new(
        config: &NetworkConfig,
        shape: &[usize],
        head: Head,
        parameters: &Parameters,
    ) -> Result<Network, NnError> {
        let body = parameters.build(|vb| {
            Ok(match config {
                NetworkConfig::Unet(c) => Body::Unet(Box::new(Unet::new(c, shape, head, vb)?)),
                NetworkConfig::Mlp(c) => Body::Mlp(Mlp::new(c, shape, head, vb)?),
            })
        })?;
        Ok(Network { body, device: parameters.device().clone() })
    }

    /// The noise in x [n, d] as [n, d]; with a predicted variance, the noise and v as [n, 2d]. x and the result are on the
    /// CPU, wherever the network is.
    pub fn forward(&self, x: &Tensor, on: &Conditions) -> Result<Tensor, NnError> {
        let x = x.to_device(&self.device)?;
        let y = match &self.body {
            Body::Unet(network) => network.forward(&x, on)?,
            Body::Mlp(network) => network.forward(&x, on)?,
        };
        Ok(y.to_device(&Device::Cpu)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(config: &str) -> Vec<&'static str> {
        let config: NetworkConfig = serde_json::from_str(config).unwrap();
        config.issues().into_iter().map(|(field, _)| field).collect()
    }

    #[test]
    fn sizes_that_cannot_be() {
        assert!(fields(r#"{"unet": {}}"#).is_empty() && fields(r#"{"mlp": {}}"#).is_empty());
        assert!(fields(r#"{"unet": {"attention": [1], "heads": 4}}"#).is_empty());
        assert_eq!(fields(r#"{"unet": {"attention": [2]}}"#), ["unet.attention"]);
        assert_eq!(fields(r#"{"unet": {"attention": [0], "heads": 5}}"#), ["unet.heads"]);
        // The middle attends too, and its 16 channels are not a multiple of 32.
        let middle = r#"{"unet": {"channels": 16, "groups": 4, "multipliers": [2, 1], "attention": [0], "heads": 32}}"#;
        assert_eq!(fields(middle), ["unet.heads"]);
        assert_eq!(fields(r#"{"unet": {"heads": 0}}"#), ["unet.heads"]);
        assert_eq!(fields(r#"{"unet": {"dropout": 1.0}}"#), ["unet.dropout"]);
        assert_eq!(fields(r#"{"mlp": {"dropout": -0.1}}"#), ["mlp.dropout"]);
        assert_eq!(serde_json::from_str::<Head>("{}").unwrap(), Head::default());
    }
}
