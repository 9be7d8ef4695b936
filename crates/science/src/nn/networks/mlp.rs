//! A multilayer perceptron on points, with the time embedding entering at every layer.
//!
//! Parameters, by name: `class.w` [classes + 1, embedding] (the last row for 'no class'; added to the time embedding),
//! `0.{w,b}` … for the layers [in, out], `time.0.w` … for the embedding's share in them (its sum with the layer's b is the
//! bias), `out.{w,b}`.

use super::head::Head;
use crate::nn::error::NnError;
use crate::nn::layers::conditions::Conditions;
use crate::nn::layers::hidden::Hidden;
use crate::nn::layers::linear::Linear;
use crate::nn::layers::parameters::{Init, VarBuilder};
use crate::nn::layers::time_embedding::PlainEmbedding;
use candle_core::{Module, Tensor};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The size of an MLP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MlpConfig {
    /// Width of the hidden layers.
    pub width: usize,
    /// Number of hidden layers.
    pub layers: usize,
    /// Width of the time embedding, even.
    pub embedding: usize,
    /// The probability that training drops a number after the activation of a layer, 0 to below 1.
    pub dropout: f64,
}

impl Default for MlpConfig {
    fn default() -> MlpConfig {
        MlpConfig { width: 128, layers: 3, embedding: 32, dropout: 0.0 }
    }
}

/// An MLP that predicts the noise of points.
#[derive(Debug)]
pub struct Mlp {
    embedding: PlainEmbedding,
    hidden: Hidden,
    out: Linear,
    classes: usize,
}

impl Mlp {
    /// An MLP for data of any `shape`, taken as one vector.
    pub fn new(c: &MlpConfig, shape: &[usize], head: Head, vb: VarBuilder) -> Result<Mlp, NnError> {
        let size: usize = shape.iter().product();
        let embedding = PlainEmbedding::new(&vb, c.embedding, head.classes)?;
        let inputs = |i: usize| if i == 0 { size } else { c.width };
        let sizes: Vec<_> = (0..c.layers).map(|i| (i.to_string(), inputs(i), c.width)).collect();
        let hidden = Hidden::timed(&vb, &sizes, c.embedding, c.dropout)?;
        let outputs = if head.variance { 2 * size } else { size };
        let out = Linear::new(&vb, "out", inputs(c.layers), outputs, Init::Zeros)?;
        Ok(Mlp { embedding, hidden, out, classes: head.classes })
    }

    /// The noise in points x [n, d]; see [`super::network::Network::forward`].
    pub fn forward(&self, x: &Tensor, on: &Conditions) -> Result<Tensor, NnError> {
        on.check(x.dim(0)?, self.classes)?;
        let embedded = self.embedding.forward(on)?;
        let h = self.hidden.forward_with(x, &embedded, &on.dropout)?;
        Ok(self.out.forward(&h)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::gradient_check::{check_fixed, check_network, fixed, moved};
    use crate::nn::layers::parameters::Parameters;
    use candle_core::Device;

    fn network(head: Head, parameters: &Parameters) -> Mlp {
        let config = MlpConfig { width: 9, layers: 3, embedding: 4, dropout: 0.2 };
        parameters.build(|vb| Mlp::new(&config, &[2], head, vb)).unwrap()
    }

    #[test]
    fn gradient_of_every_parameter() {
        let parameters = Parameters::random(2, &Device::Cpu);
        let mlp = network(Head::default(), &parameters);
        check_network(&parameters, 3, 2, |x| mlp.forward(x, &Conditions::at(&[1.0, 400.0, 900.0])).unwrap());
    }

    /// With classes, dropout and a variance; fixed parameters give the same gradient of x.
    #[test]
    fn with_everything() {
        let head = Head { variance: true, classes: 2 };
        let parameters = Parameters::random(2, &Device::Cpu);
        let mlp = network(head, &parameters);
        let on =
            Conditions { times: vec![1.0, 400.0, 900.0], classes: vec![1, 2, 1], dropout: vec![1, 2, 3] };
        check_network(&parameters, 3, 2, |x| mlp.forward(x, &on).unwrap());
        moved(&parameters);
        let still = network(head, &fixed(&parameters));
        check_fixed(3, 2, |x| mlp.forward(x, &on).unwrap(), |x| still.forward(x, &on).unwrap());
    }
}
