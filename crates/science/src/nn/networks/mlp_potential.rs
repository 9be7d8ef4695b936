//! A potential s(x, t) that is a multilayer perceptron with one output. Its rate along a moving point is exact: the network runs
//! forward with tangents, and in reverse once through both.
//!
//! Parameters, by name: `0.{w,b}` … for the layers [in, out], `time.0.w` … for the embedding's share in them, `out.w`.

use super::mlp::MlpConfig;
use super::moving_points::MovingPoints;
use crate::nn::error::NnError;
use crate::nn::kernels::buffer::Buffer;
use crate::nn::kernels::pointwise::{add_bias, add_row_sums, sigmoid, silu, silu_gradient, vectorised};
use crate::nn::kernels::raw;
use crate::nn::kernels::resample::{concat, split};
use crate::nn::layers::linear::Dense;
use crate::nn::layers::operation::{Fused, apply1};
use crate::nn::layers::parameters::{Init, Pack, PackBuilder, PackGradient, Parameters, Slot, View};
use crate::nn::layers::time_embedding::{time_embedding, time_embedding_rate};
use candle_core::Tensor;
use std::sync::Arc;

/// A perceptron that is a potential.
#[derive(Debug)]
pub struct MlpPotential {
    layers: Arc<PotentialLayers>,
    pack: Pack,
}

#[derive(Debug)]
struct PotentialLayers {
    size: usize,
    embedding: usize,
    layers: Vec<HiddenLayer>,
    out: Dense,
}

#[derive(Debug)]
struct HiddenLayer {
    matrix: Dense,
    time: Dense,
    b: Slot,
}

/// What the reverse pass needs of a layer: its input and what its SiLU gets, both with their rates.
struct LayerTape {
    x: [Buffer; 2],
    hidden: [Buffer; 2],
}

/// What the reverse pass needs.
struct PotentialTape {
    embedded: [Buffer; 2],
    layers: Vec<LayerTape>,
    last: [Buffer; 2],
}

impl MlpPotential {
    /// A potential of data of any `shape`, taken as one vector.
    pub fn new(c: &MlpConfig, shape: &[usize], parameters: &Parameters) -> Result<MlpPotential, NnError> {
        let size: usize = shape.iter().product();
        let mut p = PackBuilder::default();
        let mut layers = Vec::new();
        let mut inputs = size;
        for i in 0..c.layers {
            let matrix = Dense::without_bias(&mut p, &i.to_string(), inputs, c.width, Init::FanIn(inputs));
            let fan = Init::FanIn(c.embedding);
            let time = Dense::without_bias(&mut p, &format!("time.{i}"), c.embedding, c.width, fan);
            let b = p.get(&format!("{i}.b"), &[c.width], Init::Zeros);
            layers.push(HiddenLayer { matrix, time, b });
            inputs = c.width;
        }
        let out = Dense::without_bias(&mut p, "out", inputs, 1, Init::FanIn(inputs));
        let layers = Arc::new(PotentialLayers { size, embedding: c.embedding, layers, out });
        let pack = parameters.build(|vb| p.build(&vb))?;
        Ok(MlpPotential { layers, pack })
    }

    /// Σ weights·(s, ṡ) over moving points as [1, 1]; see [`super::potential::Potential::weighted`].
    pub fn weighted(&self, at: MovingPoints<'_>, weights: &[[f32; 2]]) -> Result<Tensor, NnError> {
        let n = weights.len();
        let moving: Vec<f32> = at.rows().flat_map(|(x, v)| [x, v].concat()).collect();
        let rates = self.rates(&raw::tensor(moving, (n, 2 * self.layers.size))?, at.times, at.rate)?;
        let weights = raw::tensor(weights.as_flattened().to_vec(), (n, 2))?;
        Ok((rates * weights)?.sum_all()?.reshape((1, 1))?)
    }

    /// s and its rate along the rows' tangents, [n, 2], for x [n, 2d]: the points, each with its velocity. Time passes
    /// at `rate`. Differentiable once in x and in trainable parameters.
    fn rates(&self, x: &Tensor, times: &[f32], rate: f64) -> Result<Tensor, NnError> {
        let call = RatesCall { layers: self.layers.clone(), times: times.to_vec(), rate };
        Ok(apply1(call, &self.pack, x)?)
    }

    /// ∇s [n, d] at the points x [n, d].
    pub fn gradient(&self, x: &[f32], times: &[f32]) -> Result<Vec<f32>, NnError> {
        let prepared = self.pack.prepared();
        let gradient =
            raw::read(self.pack.tensor(), |values| self.layers.gradient(prepared.view(values), x, times))?;
        Ok(gradient.into_vec())
    }
}

impl PotentialLayers {
    fn gradient(&self, p: View<'_>, x: &[f32], times: &[f32]) -> Buffer {
        let embedded = time_embedding(times, self.embedding);
        let mut h = Buffer::of(x);
        let mut tape = Vec::new();
        for layer in &self.layers {
            let hidden = layer.forward(p, &h, &embedded, true);
            h = silu(&hidden);
            tape.push(hidden);
        }
        let mut dh = self.out.input_gradient(p, &vec![1.0; times.len()]);
        for (layer, hidden) in self.layers.iter().zip(&tape).rev() {
            silu_gradient(hidden, &mut dh);
            dh = layer.matrix.input_gradient(p, &dh);
        }
        dh
    }
}

impl HiddenLayer {
    /// What the layer's SiLU gets; with `bias` the value, without it the rate.
    fn forward(&self, p: View<'_>, x: &[f32], embedded: &[f32], bias: bool) -> Buffer {
        let mut hidden = self.time.forward(p, embedded);
        self.matrix.add_forward(p, x, &mut hidden);
        if bias {
            let b = self.b.of(p.values);
            add_bias(&mut hidden, b, b.len());
        }
        hidden
    }
}

/// The layers with points that move.
struct RatesCall {
    layers: Arc<PotentialLayers>,
    times: Vec<f32>,
    rate: f64,
}

vectorised! {
    /// From the gradients of silu(x) and of its rate to those of x and ẋ, in place.
    fn silu_rate_gradient(x: &[f32], rate: &[f32], dy: &mut [f32], drate: &mut [f32]) {
        for i in 0..x.len() {
            let s = sigmoid(x[i]);
            let first = s * (1.0 + x[i] * (1.0 - s));
            let second = s * (1.0 - s) * (2.0 + x[i] * (1.0 - 2.0 * s));
            dy[i] = dy[i] * first + drate[i] * second * rate[i];
            drate[i] *= first;
        }
    }
}

impl Fused<1> for RatesCall {
    const NAME: &'static str = "rates of a potential";
    type Tape = PotentialTape;

    fn shape(&self, [x]: [&[usize]; 1]) -> candle_core::Result<Vec<usize>> {
        match *x {
            [n, width] if n == self.times.len() && width == 2 * self.layers.size => Ok(vec![n, 2]),
            _ => candle_core::bail!("{} times and points {x:?}", self.times.len()),
        }
    }

    fn forward(&self, p: View<'_>, [x]: [&[f32]; 1], keep: bool) -> (Buffer, Option<PotentialTape>) {
        let PotentialLayers { size, embedding, layers, out } = &*self.layers;
        let embedded = [
            time_embedding(&self.times, *embedding),
            time_embedding_rate(&self.times, self.rate, *embedding),
        ];
        let (h, rate) = split(x, *size, *size);
        let mut h = [h, rate];
        let mut tape = Vec::new();
        for layer in layers {
            let hidden =
                [layer.forward(p, &h[0], &embedded[0], true), layer.forward(p, &h[1], &embedded[1], false)];
            let mut rate = Buffer::of(&hidden[1]);
            // silu'(x)·ẋ: the same factor carries rates forward and gradients back.
            silu_gradient(&hidden[0], &mut rate);
            let active = [silu(&hidden[0]), rate];
            tape.push(LayerTape { x: std::mem::replace(&mut h, active), hidden });
        }
        let y = concat(&out.forward(p, &h[0]), 1, &out.forward(p, &h[1]), 1);
        (y, keep.then_some(PotentialTape { embedded, layers: tape, last: h }))
    }

    fn backward(
        &self,
        p: View<'_>,
        _: [&[f32]; 1],
        tape: PotentialTape,
        dy: Buffer,
        gradients: &mut PackGradient<'_>,
        [wanted]: [bool; 1],
    ) -> [Option<Buffer>; 1] {
        let PotentialLayers { size, layers, out, .. } = &*self.layers;
        let (ds, drate) = split(&dy, 1, 1);
        out.add_gradients(&tape.last[0], &ds, gradients);
        out.add_gradients(&tape.last[1], &drate, gradients);
        let mut dh = [out.input_gradient(p, &ds), out.input_gradient(p, &drate)];
        for (layer, LayerTape { x, hidden }) in layers.iter().zip(&tape.layers).rev() {
            let [dy, drate] = &mut dh;
            silu_rate_gradient(&hidden[0], &hidden[1], dy, drate);
            if let Some(b) = gradients.at(layer.b) {
                add_row_sums(dy, b.len(), b);
            }
            for i in 0..2 {
                layer.time.add_gradients(&tape.embedded[i], &dh[i], gradients);
                layer.matrix.add_gradients(&x[i], &dh[i], gradients);
            }
            dh = [layer.matrix.input_gradient(p, &dh[0]), layer.matrix.input_gradient(p, &dh[1])];
        }
        [wanted.then(|| concat(&dh[0], *size, &dh[1], *size))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::gradient_check::{check_network, normal};
    use candle_core::Device;

    const C: MlpConfig = MlpConfig { width: 9, layers: 2, embedding: 4, dropout: 0.0 };

    #[test]
    fn gradient_of_every_parameter() {
        let parameters = Parameters::random(2, &Device::Cpu);
        let potential = MlpPotential::new(&C, &[3], &parameters).unwrap();
        check_network(&parameters, 3, 6, |x| potential.rates(x, &[1.0, 400.0, 900.0], 0.5).unwrap());
    }

    /// The rate along (v, 1) is v·∇s plus the rate along (0, 1), which is a difference quotient of s in time (with step h =
    /// 1/64 its truncation, h²/6 of a third derivative, and its rounding stay below 1e-3).
    #[test]
    fn rates_and_gradients_agree() {
        let potential = MlpPotential::new(&C, &[3], &Parameters::random(2, &Device::Cpu)).unwrap();
        let (x, v) = (normal(1, 3), normal(2, 3));
        let rates = |v: &[f32], time: f32| {
            let moving = raw::tensor([&x[..], v].concat(), (1, 6)).unwrap();
            raw::values(&potential.rates(&moving, &[time], 1.0).unwrap()).unwrap()
        };
        let gradient = potential.gradient(&x, &[3.0]).unwrap();
        let along: f32 = gradient.iter().zip(&v).map(|(g, v)| g * v).sum();
        let (moving, still) = (rates(&v, 3.0), rates(&[0.0; 3], 3.0));
        assert!((moving[1] - still[1] - along).abs() < 1e-5 * (1.0 + along.abs()));
        let quotient = (rates(&v, 3.0 + 1.0 / 64.0)[0] - rates(&v, 3.0 - 1.0 / 64.0)[0]) * 32.0;
        assert!((still[1] - quotient).abs() < 1e-3, "{} {quotient}", still[1]);
        assert!(quotient.abs() > 0.01);
    }
}
