//! One training: parameters, optimiser, moving average, and the file that holds all of it.

use super::adamw::{AdamW, AdamWConfig};
use super::ema;
use super::error::NnError;
use super::parameters::Parameters;
use super::raw;
use super::weights::{Weight, Weights};
use candle_core::Tensor;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

/// The state of a training between two steps.
#[derive(Debug)]
pub struct Trainer {
    parameters: Parameters,
    values: Vec<Vec<f32>>,
    average: Vec<Vec<f32>>,
    optimiser: AdamW,
    decay: f64,
    step: u64,
}

impl Trainer {
    /// A training that has not begun. `decay` is the moving average's.
    pub fn new(parameters: Parameters, config: AdamWConfig, decay: f64) -> Result<Trainer, NnError> {
        let mut values = Vec::new();
        for (_, var) in parameters.entries() {
            values.push(raw::values(var)?);
        }
        let lengths: Vec<usize> = values.iter().map(Vec::len).collect();
        let optimiser = AdamW::new(config, &lengths);
        Ok(Trainer { parameters, average: values.clone(), values, optimiser, decay, step: 0 })
    }

    /// The number of steps done.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The number of trainable numbers.
    pub fn parameter_count(&self) -> usize {
        self.parameters.count()
    }

    /// The sum of the losses of the blocks 0 … `blocks` − 1 and its gradient: each block on one thread, added
    /// in order.
    pub fn gradient(
        &self,
        blocks: usize,
        loss: impl Fn(usize) -> Result<Tensor, NnError> + Sync,
    ) -> Result<(f64, Vec<Vec<f32>>), NnError> {
        let parts: Vec<(f32, Vec<Vec<f32>>)> = (0..blocks)
            .into_par_iter()
            .map(|block| {
                let loss = loss(block)?;
                let store = loss.backward()?;
                let gradients = self.parameters.entries().iter().map(|(_, var)| match store.get(var) {
                    Some(gradient) => raw::values(gradient),
                    None => Ok(vec![0.0; var.elem_count()]),
                });
                Ok((raw::values(&loss)?[0], gradients.collect::<Result<_, _>>()?))
            })
            .collect::<Result<_, NnError>>()?;
        let mut parts = parts.into_iter();
        let (mut total, mut sum) = match parts.next() {
            Some((loss, gradients)) => (f64::from(loss), gradients),
            None => (0.0, self.values.iter().map(|v| vec![0.0; v.len()]).collect()),
        };
        for (loss, gradients) in parts {
            total += f64::from(loss);
            for (sum, gradient) in sum.iter_mut().zip(gradients) {
                for (sum, x) in sum.iter_mut().zip(gradient) {
                    *sum += x;
                }
            }
        }
        Ok((total, sum))
    }

    /// One step of the optimiser and of the moving average. Returns the gradient's norm.
    pub fn update(&mut self, gradients: &[Vec<f32>]) -> Result<f64, NnError> {
        self.step += 1;
        let decays: Vec<bool> = self.parameters.entries().iter().map(|(_, var)| var.rank() > 1).collect();
        let norm = self.optimiser.update(self.step, &mut self.values, gradients, &decays);
        if !norm.is_finite() {
            return Err(NnError::Diverged { step: self.step });
        }
        ema::update(&mut self.average, &self.values, self.decay, self.step);
        self.publish()?;
        Ok(norm)
    }

    /// The averaged weights, with a description for their file.
    pub fn averaged(&self, description: String) -> Weights {
        Weights { tensors: self.named("", &self.average), description }
    }

    /// Saves everything that the next step depends on, and the caller's `description` (JSON).
    pub fn save(&self, path: &Path, description: String) -> Result<(), NnError> {
        let mut tensors = self.named("weight.", &self.values);
        tensors.append(&mut self.named("average.", &self.average));
        tensors.append(&mut self.named("first-moment.", &self.optimiser.first));
        tensors.append(&mut self.named("second-moment.", &self.optimiser.second));
        Weights { tensors, description }.save(path)
    }

    /// Goes on from a saved state after `step` steps; returns its description.
    pub fn resume(&mut self, path: &Path, step: u64) -> Result<String, NnError> {
        let mut file = Weights::load(path)?;
        let parts = [
            ("weight.", &mut self.values),
            ("average.", &mut self.average),
            ("first-moment.", &mut self.optimiser.first),
            ("second-moment.", &mut self.optimiser.second),
        ];
        for (prefix, part) in parts {
            for ((name, var), values) in self.parameters.entries().iter().zip(part) {
                let name = format!("{prefix}{name}");
                let Some(weight) = file.tensors.remove(&name) else {
                    return Err(NnError::MissingWeight { name });
                };
                if weight.shape != var.dims() {
                    let expected = var.dims().to_vec();
                    return Err(NnError::WeightShape { name, found: weight.shape, expected });
                }
                *values = weight.values;
            }
        }
        self.step = step;
        self.publish()?;
        Ok(file.description)
    }

    /// Gives the network the current values.
    fn publish(&self) -> Result<(), NnError> {
        for ((_, var), values) in self.parameters.entries().iter().zip(&self.values) {
            var.set(&raw::tensor(values.clone(), var.shape().clone())?)?;
        }
        Ok(())
    }

    fn named(&self, prefix: &str, values: &[Vec<f32>]) -> BTreeMap<String, Weight> {
        let entries = self.parameters.entries().iter().zip(values);
        entries
            .map(|((name, var), values)| {
                (format!("{prefix}{name}"), Weight { shape: var.dims().to_vec(), values: values.clone() })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::loss::weighted_squares;
    use crate::nn::mlp::{Mlp, MlpConfig};
    use crate::random::Streams;

    fn start() -> (Mlp, Trainer) {
        let mut p = Parameters::random(1);
        let mlp = Mlp::new(&MlpConfig { width: 16, layers: 2, embedding: 4 }, &[2], &mut p).unwrap();
        let config = AdamWConfig { learning_rate: 0.01, warmup: 5, weight_decay: 0.1, clip: 1.0 };
        (mlp, Trainer::new(p, config, 0.9).unwrap())
    }

    fn run(mlp: &Mlp, trainer: &mut Trainer, steps: u64) {
        while trainer.step() < steps {
            let step = trainer.step();
            let (_, gradients) = trainer
                .gradient(4, |block| {
                    let mut x = vec![0.0; 6];
                    Streams::new(step, "trainer test").stream(block as u64).fill_normal(&mut x);
                    let x = raw::tensor(x, (3, 2))?;
                    let missed = (mlp.forward(&x, &[1.0, 2.0, 3.0])? - x)?;
                    Ok(weighted_squares(&missed, &[1.0; 3])?)
                })
                .unwrap();
            trainer.update(&gradients).unwrap();
        }
    }

    fn bytes(trainer: &Trainer) -> Vec<u8> {
        let file = tempfile::NamedTempFile::new().unwrap();
        trainer.save(file.path(), "{}".into()).unwrap();
        std::fs::read(file.path()).unwrap()
    }

    /// The same bytes for one thread and three, and after a stop and a resumption.
    #[test]
    fn threads_and_resumption_leave_no_trace() {
        let pool = |n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap();
        let (mlp, mut one) = start();
        pool(1).install(|| run(&mlp, &mut one, 20));
        let (mlp, mut three) = start();
        pool(3).install(|| run(&mlp, &mut three, 20));
        assert!(bytes(&one) == bytes(&three));

        let (mlp, mut half) = start();
        run(&mlp, &mut half, 9);
        let file = tempfile::NamedTempFile::new().unwrap();
        half.save(file.path(), "\"note\"".into()).unwrap();
        let (mlp, mut resumed) = start();
        assert_eq!(resumed.resume(file.path(), 9).unwrap(), "\"note\"");
        run(&mlp, &mut resumed, 20);
        assert!(bytes(&one) == bytes(&resumed));
    }
}
