//! The training of a [`SwishMlp`](super::swish_mlp::SwishMlp) in `f32`, with its gradient written out: for a network of this
//! size the bookkeeping of an automatic gradient would cost more than the arithmetic.
//!
//! A batch is cut into parts of fixed size whose gradients are added in order, so the result does not depend on
//! the number of threads.

use super::error::NnError;
use super::gemm::{Left, Right, Size, multiply, panels_len, transpose_to_panels};
use super::pointwise::{add_bias, add_row_sums, silu, silu_gradient, vectorised, without_subnormal};
use super::swish_mlp::{SwishMlpConfig, layer_name};
use super::weights::{Weight, Weights};
use onsager_numerics::random::Streams;
use rayon::prelude::*;
use std::path::Path;

/// Points that are computed together on one thread.
const PART: usize = 128;

/// Adam (Kingma and Ba 2015).
const BETA_1: f64 = 0.9;
const BETA_2: f64 = 0.999;

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

/// The state of a training between two steps.
#[derive(Debug)]
pub struct SwishTraining {
    config: SwishMlpConfig,
    size: usize,
    step: u64,
    /// Weights [in, out] and biases [out] of each layer in turn, with Adam's two moments.
    values: Vec<Vec<f32>>,
    first: Vec<Vec<f32>>,
    second: Vec<Vec<f32>>,
}

/// The loss of a part of the batch and its gradient, in the order of the values.
struct Gradient {
    loss: f64,
    values: Vec<Vec<f32>>,
}

impl SwishTraining {
    /// A training that has not begun: weights from N(0, 1/inputs), biases zero.
    pub fn new(config: SwishMlpConfig, size: usize, seed: u64) -> SwishTraining {
        let streams = Streams::new(seed, "initial weights");
        let mut values = Vec::new();
        for (i, (outputs, inputs)) in config.shapes(size).into_iter().enumerate() {
            let mut w = vec![0.0; inputs * outputs];
            streams.stream(i as u64).fill_normal(&mut w);
            let scale = 1.0 / (inputs as f32).sqrt();
            w.iter_mut().for_each(|w| *w *= scale);
            values.extend([w, vec![0.0; outputs]]);
        }
        let zeros: Vec<Vec<f32>> = values.iter().map(|v| vec![0.0; v.len()]).collect();
        SwishTraining { config, size, step: 0, first: zeros.clone(), second: zeros, values }
    }

    /// The number of steps done.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The number of trainable numbers.
    pub fn parameter_count(&self) -> usize {
        self.values.iter().map(Vec::len).sum()
    }

    /// One step of Adam on the mean of weight · ‖output − target‖². Returns that mean before the step.
    pub fn update(&mut self, examples: &Examples, learning_rate: f64) -> Result<f64, NnError> {
        let gradient = self.gradient(examples);
        self.step += 1;
        if !gradient.loss.is_finite() {
            return Err(NnError::Diverged { step: self.step });
        }
        let bias = |beta: f64| 1.0 - libm::pow(beta, self.step as f64);
        let size = (learning_rate / bias(BETA_1)) as f32;
        let root = (1.0 / bias(BETA_2).sqrt()) as f32;
        for (i, gradient) in gradient.values.iter().enumerate() {
            adam(&mut self.values[i], &mut self.first[i], &mut self.second[i], gradient, size, root);
        }
        Ok(gradient.loss)
    }

    /// The mean of weight · ‖output − target‖².
    pub fn loss(&self, examples: &Examples) -> f64 {
        self.gradient(examples).loss
    }

    /// The mean loss and its gradient, the parts added in order.
    fn gradient(&self, examples: &Examples) -> Gradient {
        let turned = self.turned();
        let count = examples.weights.len();
        let starts: Vec<usize> = (0..count).step_by(PART).collect();
        let parts: Vec<Gradient> = starts
            .into_par_iter()
            .map(|start| self.part(&turned, examples, start..(start + PART).min(count)))
            .collect();
        let mut total =
            Gradient { loss: 0.0, values: self.values.iter().map(|v| vec![0.0; v.len()]).collect() };
        for part in parts {
            total.loss += part.loss;
            for (total, part) in total.values.iter_mut().zip(&part.values) {
                for (total, x) in total.iter_mut().zip(part) {
                    *total += x;
                }
            }
        }
        total
    }

    /// The transposed weights of each layer, in panels, for all parts of the batch.
    fn turned(&self) -> Vec<Vec<f32>> {
        let turn = |(i, (outputs, inputs)): (usize, (usize, usize))| {
            let mut turned = vec![0.0; panels_len(outputs, inputs)];
            transpose_to_panels(&self.values[2 * i], outputs, &mut turned);
            turned
        };
        self.config.shapes(self.size).into_iter().enumerate().map(turn).collect()
    }

    /// The share of the points `range` in the mean loss and its gradient.
    fn part(&self, turned: &[Vec<f32>], examples: &Examples, range: std::ops::Range<usize>) -> Gradient {
        let (rows, total) = (range.len(), examples.weights.len());
        let shapes = self.config.shapes(self.size);
        let columns = |set: &[f32], width: usize| set[range.start * width..range.end * width].to_vec();
        // The inputs of each layer, and what went into its swish.
        let mut inputs = vec![columns(&examples.inputs, self.size + 1)];
        let mut sums = Vec::new();
        for (i, &(outputs, width)) in shapes.iter().enumerate() {
            let size = Size { m: rows, k: width, n: outputs };
            let x = Left { data: &inputs[i], row: width, col: 1 };
            let mut sum = vec![0.0; rows * outputs];
            multiply(size, x, Right::rows(&self.values[2 * i], outputs), &mut sum, false);
            add_bias(&mut sum, &self.values[2 * i + 1], outputs);
            inputs.push(if i + 1 < shapes.len() { silu(&sum).to_vec() } else { sum.clone() });
            sums.push(sum);
        }
        let mut back = inputs.pop().unwrap_or_default();
        let mut loss = 0.0;
        let targets = columns(&examples.targets, self.size);
        for (i, (y, target)) in
            back.chunks_exact_mut(self.size).zip(targets.chunks_exact(self.size)).enumerate()
        {
            let weight = examples.weights[range.start + i];
            for (y, target) in y.iter_mut().zip(target) {
                let error = *y - target;
                loss += f64::from(weight * error * error) / total as f64;
                *y = 2.0 * weight * error / total as f32;
            }
        }
        let mut values = vec![Vec::new(); self.values.len()];
        for (i, &(outputs, width)) in shapes.iter().enumerate().rev() {
            if i + 1 < shapes.len() {
                silu_gradient(&sums[i], &mut back);
            }
            let size = Size { m: width, k: rows, n: outputs };
            let x = Left { data: &inputs[i], row: 1, col: width };
            values[2 * i] = vec![0.0; width * outputs];
            multiply(size, x, Right::rows(&back, outputs), &mut values[2 * i], false);
            let mut bias = vec![0.0; outputs];
            add_row_sums(&back, outputs, &mut bias);
            values[2 * i + 1] = bias;
            if i > 0 {
                let size = Size { m: rows, k: outputs, n: width };
                let mut dx = vec![0.0; rows * width];
                let dy = Left { data: &back, row: outputs, col: 1 };
                multiply(size, dy, Right::panels(&turned[i], outputs), &mut dx, false);
                back = dx;
            }
        }
        Gradient { loss, values }
    }

    /// The weights, for a [`SwishMlp`](super::swish_mlp::SwishMlp) and its file.
    pub fn weights(&self, description: String) -> Weights {
        Weights { tensors: self.tensors("", &self.values).collect(), description }
    }

    /// Writes the whole state.
    pub fn save(&self, path: &Path, description: String) -> Result<(), NnError> {
        let parts = [("", &self.values), ("first.", &self.first), ("second.", &self.second)];
        let tensors = parts.into_iter().flat_map(|(prefix, values)| self.tensors(prefix, values)).collect();
        Weights { tensors, description }.save(path)
    }

    /// Takes up the state that was saved after `step` steps; returns its description.
    pub fn resume(&mut self, path: &Path, step: u64) -> Result<String, NnError> {
        let saved = Weights::load(path)?;
        let read = |prefix: &str, values: &[Vec<f32>]| -> Result<Vec<Vec<f32>>, NnError> {
            self.tensors(prefix, values)
                .map(|(name, weight)| match saved.tensors.get(&name) {
                    Some(found) if found.shape == weight.shape => Ok(found.values.clone()),
                    _ => Err(NnError::MissingWeight { name }),
                })
                .collect()
        };
        let state = [read("", &self.values)?, read("first.", &self.first)?, read("second.", &self.second)?];
        [self.values, self.first, self.second] = state;
        self.step = step;
        Ok(saved.description)
    }

    /// Named tensors with these numbers, in the order of the values.
    fn tensors(&self, prefix: &str, values: &[Vec<f32>]) -> impl Iterator<Item = (String, Weight)> {
        let layers = self.config.layers;
        let shapes = self.config.shapes(self.size);
        let named = shapes.into_iter().enumerate().flat_map(move |(i, (outputs, inputs))| {
            let name = layer_name(i, layers);
            [(format!("{name}.w"), vec![inputs, outputs]), (format!("{name}.b"), vec![outputs])]
        });
        let named: Vec<(String, Weight)> = named
            .zip(values)
            .map(|((name, shape), values)| {
                (format!("{prefix}{name}"), Weight { shape, values: values.clone() })
            })
            .collect();
        named.into_iter()
    }
}

vectorised! {
    /// `size` and `root` hold the learning rate and the corrections of the moments' bias.
    fn adam(values: &mut [f32], first: &mut [f32], second: &mut [f32], gradient: &[f32], size: f32, root: f32) {
        let (b1, b2) = (BETA_1 as f32, BETA_2 as f32);
        for (((x, m), v), &g) in values.iter_mut().zip(first).zip(second).zip(gradient) {
            *m = without_subnormal(b1 * *m + (1.0 - b1) * g);
            *v = without_subnormal(b2 * *v + (1.0 - b2) * g * g);
            *x -= size * *m / (v.sqrt() * root + 1e-8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::lane::Lane;
    use crate::nn::swish_mlp::SwishMlp;

    fn examples(count: usize) -> Examples {
        let mut stream = Streams::new(4, "examples").stream(0);
        let mut normal = |n: usize| (0..n).map(|_| stream.normal() as f32).collect::<Vec<_>>();
        let (inputs, targets) = (normal(3 * count), normal(2 * count));
        Examples { inputs, targets, weights: (0..count).map(|i| 0.5 + (i % 3) as f32).collect() }
    }

    /// The loss by the `f64` network.
    fn loss(training: &SwishTraining, examples: &Examples) -> f64 {
        let network = SwishMlp::new(training.config, 2, &training.weights("{}".into())).unwrap();
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
    /// the largest component, plus h² ~ 1e-6. 150 points leave a part that is not full.
    #[test]
    fn gradient_and_loss() {
        let config = SwishMlpConfig { width: 9, layers: 2 };
        let mut training = SwishTraining::new(config, 2, 3);
        let examples = examples(150);
        let gradient = training.gradient(&examples);
        assert!((gradient.loss / loss(&training, &examples) - 1.0).abs() < 1e-5);
        let largest = gradient.values.iter().flatten().fold(0.0, |a: f32, x| a.max(x.abs()));
        for p in 0..training.values.len() {
            for i in (0..training.values[p].len()).step_by(5) {
                let value = training.values[p][i];
                let mut at = |x: f32| {
                    training.values[p][i] = x;
                    (f64::from(x), loss(&training, &examples))
                };
                let (above, below) = (at(value + 1e-3), at(value - 1e-3));
                at(value);
                let difference = (above.1 - below.1) / (above.0 - below.0);
                let error = f64::from(gradient.values[p][i]) - difference;
                assert!(error.abs() < 1e-4 * f64::from(largest), "{p} {i}: {error} of {largest}");
            }
        }
    }

    /// A training that is saved and taken up again goes on with the same numbers, and it learns: a hundred steps on one batch
    /// halve the loss.
    #[test]
    fn resumed_training() {
        let config = SwishMlpConfig { width: 16, layers: 2 };
        let mut examples = examples(200);
        examples.targets = examples.inputs.chunks(3).flat_map(|x| [x[1], x[0] * x[2]]).collect();
        let mut whole = SwishTraining::new(config, 2, 1);
        let mut losses = Vec::new();
        let file = tempfile::NamedTempFile::new().unwrap();
        for step in 0..100 {
            if step == 40 {
                whole.save(file.path(), "here".into()).unwrap();
            }
            losses.push(whole.update(&examples, 0.01).unwrap());
        }
        let mut resumed = SwishTraining::new(config, 2, 2);
        assert_eq!(resumed.resume(file.path(), 40).unwrap(), "here");
        for loss in &losses[40..] {
            assert_eq!(resumed.update(&examples, 0.01).unwrap(), *loss);
        }
        assert_eq!(resumed.values, whole.values);
        assert!(losses[99] < 0.5 * losses[0], "{losses:?}");
    }
}
