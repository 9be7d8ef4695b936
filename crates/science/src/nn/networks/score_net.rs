//! The score network in training, in `f32`: the layers of a [`SwishMlp`](super::swish_mlp::SwishMlp), whose file it writes.

use super::swish_mlp::{SwishMlpConfig, layer_name};
use crate::nn::error::NnError;
use crate::nn::kernels::raw;
use crate::nn::layers::hidden::Hidden;
use crate::nn::layers::linear::Linear;
use crate::nn::layers::parameters::{Init, Parameters};
use crate::nn::training::loss::squared_error;
use candle_core::{Device, Module, Result, Tensor};
use std::ops::Range;

/// Points that are computed together on one thread.
pub const BLOCK: usize = 128;

/// A batch for weighted least squares.
#[derive(Debug, Clone, Default)]
pub struct Examples {
    /// x, then t, of each point: [n, size + 1].
    pub inputs: Vec<f32>,
    /// What the network should give: [n, size].
    pub targets: Vec<f32>,
    /// The weight of each squared distance: `[n]`.
    pub weights: Vec<f32>,
}

/// From rows (x, t) of `size` + 1 numbers through hidden layers with swish to a vector of `size`.
#[derive(Debug)]
pub struct ScoreNet {
    hidden: Hidden,
    out: Linear,
    size: usize,
    device: Device,
}

impl ScoreNet {
    /// The network for points of `size` coordinates, with these parameters, on their device.
    pub fn new(
        config: SwishMlpConfig,
        size: usize,
        parameters: &Parameters,
    ) -> std::result::Result<ScoreNet, NnError> {
        let mut shapes = config.shapes(size);
        let (outputs, last) = shapes.pop().unwrap_or((size, size + 1));
        parameters.build(|vb| {
            let name = |i: usize| layer_name(i, config.layers);
            let sizes = shapes.iter().enumerate().map(|(i, &(outputs, inputs))| (name(i), inputs, outputs));
            let hidden = Hidden::plain(&vb, &sizes.collect::<Vec<_>>())?;
            let out = Linear::new(&vb, &name(config.layers), last, outputs, Init::FanIn(last))?;
            Ok(ScoreNet { hidden, out, size, device: vb.device().clone() })
        })
    }

    /// `scale` · Σ weight · ‖output − target‖² over the examples of this range, as a scalar.
    pub fn loss(
        &self,
        examples: &Examples,
        range: Range<usize>,
        scale: f64,
    ) -> std::result::Result<Tensor, NnError> {
        let rows = |numbers: &[f32], width: usize| {
            raw::tensor(numbers[range.start * width..range.end * width].to_vec(), (range.len(), width))
        };
        let y = self.forward(&rows(&examples.inputs, self.size + 1)?)?;
        let weights: Vec<f32> = examples.weights[range.clone()].iter().map(|w| w * scale as f32).collect();
        Ok(squared_error(&y, &rows(&examples.targets, self.size)?, &weights)?)
    }
}

impl Module for ScoreNet {
    /// x and the result are on the CPU, wherever the network is.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let h = self.hidden.forward(&x.to_device(&self.device)?)?;
        self.out.forward(&h)?.to_device(&Device::Cpu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::gradient_check::weights;
    use crate::nn::kernels::lane::Lane;
    use crate::nn::networks::swish_mlp::SwishMlp;
    use crate::nn::training::adamw::AdamWConfig;
    use crate::nn::training::trainer::Trainer;
    use onsager_numerics::random::Streams;

    fn examples(count: usize) -> Examples {
        let mut stream = Streams::new(4, "examples").stream(0);
        let mut normal = |n: usize| (0..n).map(|_| stream.normal() as f32).collect::<Vec<_>>();
        let (inputs, targets) = (normal(3 * count), normal(2 * count));
        Examples { inputs, targets, weights: (0..count).map(|i| 0.5 + (i % 3) as f32).collect() }
    }

    const CONFIG: SwishMlpConfig = SwishMlpConfig { width: 9, layers: 2 };

    /// The loss by the `f64` network.
    fn exact_loss(parameters: &Parameters, examples: &Examples) -> f64 {
        let network = SwishMlp::new(CONFIG, 2, &weights(parameters)).unwrap();
        let count = examples.weights.len();
        let each = (0..count).map(|i| {
            let input = |j: usize| Lane::splat(f64::from(examples.inputs[3 * i + j]));
            let y = network.evaluate::<2, 0>(input(2), [input(0), input(1)]);
            let error = |j: usize| (y[j].value()[0] - f64::from(examples.targets[2 * i + j])).powi(2);
            f64::from(examples.weights[i]) * (error(0) + error(1))
        });
        each.sum::<f64>() / count as f64
    }

    /// The gradient against central differences of the loss of the `f64` network: the error is that of `f32` sums, below 1e-4 of
    /// the largest component, plus h² ~ 1e-6. 150 points leave a block that is not full.
    #[test]
    fn gradient_and_loss() {
        let parameters = Parameters::random(3, &Device::Cpu);
        let network = ScoreNet::new(CONFIG, 2, &parameters).unwrap();
        let adamw = AdamWConfig { learning_rate: 0.01, warmup: 0, weight_decay: 0.0, clip: 0.0 };
        let trainer = Trainer::new(parameters.clone(), adamw, 0.0).unwrap();
        let examples = examples(150);
        let block = |b: usize| network.loss(&examples, b * BLOCK..((b + 1) * BLOCK).min(150), 1.0 / 150.0);
        let (loss, gradient) = trainer.gradient(2, block).unwrap();
        assert!((loss / exact_loss(&parameters, &examples) - 1.0).abs() < 1e-5);
        let largest = gradient.iter().flat_map(|pack| pack.iter()).fold(0.0, |a: f32, x| a.max(x.abs()));
        let before = parameters.values().unwrap();
        for (p, gradient) in gradient.iter().enumerate() {
            for i in (0..gradient.len()).step_by(5) {
                let at = |x: f32| {
                    let moved = |pack: usize, to: &mut [f32]| {
                        to.copy_from_slice(&before[pack]);
                        if pack == p {
                            to[i] = x;
                        }
                    };
                    parameters.change(moved).unwrap();
                    (f64::from(x), exact_loss(&parameters, &examples))
                };
                let (above, below) = (at(before[p][i] + 1e-3), at(before[p][i] - 1e-3));
                at(before[p][i]);
                let difference = (above.1 - below.1) / (above.0 - below.0);
                let error = f64::from(gradient[i]) - difference;
                assert!(error.abs() < 1e-4 * f64::from(largest), "{p} {i}: {error} of {largest}");
            }
        }
    }

    /// A training that is saved and taken up again goes on with the same numbers, and it learns: a hundred steps on one batch
    /// halve the loss.
    #[test]
    fn resumed_training() {
        let mut examples = examples(200);
        examples.targets = examples.inputs.chunks(3).flat_map(|x| [x[1], x[0] * x[2]]).collect();
        let start = |seed: u64| {
            let parameters = Parameters::random(seed, &Device::Cpu);
            let config = SwishMlpConfig { width: 16, layers: 2 };
            let network = ScoreNet::new(config, 2, &parameters).unwrap();
            let adamw = AdamWConfig { learning_rate: 0.01, warmup: 0, weight_decay: 0.0, clip: 0.0 };
            (network, Trainer::new(parameters, adamw, 0.0).unwrap())
        };
        let update = |(network, trainer): &mut (ScoreNet, Trainer)| {
            let block =
                |b: usize| network.loss(&examples, b * BLOCK..((b + 1) * BLOCK).min(200), 1.0 / 200.0);
            let (loss, gradient) = trainer.gradient(2, block).unwrap();
            trainer.update(&gradient).unwrap();
            loss
        };
        let mut whole = start(1);
        let mut losses = Vec::new();
        let file = tempfile::NamedTempFile::new().unwrap();
        for step in 0..100 {
            if step == 40 {
                whole.1.save(file.path(), "here".into()).unwrap();
            }
            losses.push(update(&mut whole));
        }
        let mut resumed = start(2);
        assert_eq!(resumed.1.resume(file.path(), 40).unwrap(), "here");
        for loss in &losses[40..] {
            assert_eq!(update(&mut resumed), *loss);
        }
        assert_eq!(resumed.1.averaged(String::new()), whole.1.averaged(String::new()));
        assert!(losses[99] < 0.5 * losses[0], "{losses:?}");
    }
}
