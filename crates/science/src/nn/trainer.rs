//! One training: parameters, optimiser, moving average, and the file that holds all of it.

use super::adamw::{AdamW, AdamWConfig};
use super::buffer::{self, Buffer};
use super::error::NnError;
use super::operation::collect;
use super::parameters::Packed;
use super::pointwise::add_assign;
use super::raw;
use super::weights::{Weight, Weights};
use candle_core::Tensor;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The state of a training between two steps.
#[derive(Debug)]
pub struct Trainer {
    parameters: Arc<Packed>,
    optimiser: AdamW,
    /// For each number, whether weight decay acts on it.
    decays: Vec<bool>,
    step: u64,
}

/// The numbers that one thread adds up at a time.
const CHUNK: usize = 1 << 14;

impl Trainer {
    /// A training that has not begun, of the trainable parameters of a network. `decay` is the moving average's.
    pub fn new(parameters: Arc<Packed>, config: AdamWConfig, decay: f64) -> Result<Trainer, NnError> {
        let optimiser = AdamW::new(config, decay, raw::values(parameters.tensor())?);
        let mut decays = vec![false; parameters.count()];
        for entry in parameters.entries().iter().filter(|entry| entry.shape.len() > 1) {
            decays[entry.slot.range()].fill(true);
        }
        Ok(Trainer { parameters, optimiser, decays, step: 0 })
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
    ) -> Result<(f64, Buffer), NnError> {
        let parts: Vec<(f32, Buffer)> = (0..blocks)
            .into_par_iter()
            .map(|block| {
                let loss = loss(block)?;
                let (store, gradient) = collect(self.parameters.count(), || loss.backward());
                store?;
                Ok((raw::values(&loss)?[0], gradient))
            })
            .collect::<Result<_, NnError>>()?;
        let total = parts.iter().map(|(loss, _)| f64::from(*loss)).sum();
        let mut gradients = parts.into_iter().map(|(_, gradient)| gradient);
        let mut sum = gradients.next().unwrap_or_else(|| Buffer::zeros(self.parameters.count()));
        let rest: Vec<Buffer> = gradients.collect();
        sum.par_chunks_mut(CHUNK).enumerate().for_each(|(i, sum)| {
            for gradient in &rest {
                add_assign(sum, &gradient[i * CHUNK..][..sum.len()]);
            }
        });
        Ok((total, sum))
    }

    /// One step of the optimiser and of the moving average. Returns the gradient's norm.
    pub fn update(&mut self, gradients: &[f32]) -> Result<f64, NnError> {
        self.step += 1;
        let Trainer { parameters, optimiser, decays, step } = self;
        let norm = parameters.change(|values| optimiser.update(*step, values, gradients, decays))?;
        if norm.is_finite() { Ok(norm) } else { Err(NnError::Diverged { step: *step }) }
    }

    /// The averaged weights, with a description for their file.
    pub fn averaged(&self, description: String) -> Weights {
        Weights { tensors: self.named("", &self.optimiser.average), description }
    }

    /// Saves everything that the next step depends on, and the caller's `description` (JSON).
    pub fn save(&self, path: &Path, description: String) -> Result<(), NnError> {
        let mut tensors = raw::read(self.parameters.tensor(), |values| self.named("weight.", values))?;
        tensors.append(&mut self.named("average.", &self.optimiser.average));
        tensors.append(&mut self.named("first-moment.", &self.optimiser.first));
        tensors.append(&mut self.named("second-moment.", &self.optimiser.second));
        Weights { tensors, description }.save(path)
    }

    /// Goes on from a saved state after `step` steps; returns its description.
    pub fn resume(&mut self, path: &Path, step: u64) -> Result<String, NnError> {
        let mut file = Weights::load(path)?;
        let mut values = vec![0.0; self.parameters.count()];
        let parts = [
            ("weight.", &mut values),
            ("average.", &mut self.optimiser.average),
            ("first-moment.", &mut self.optimiser.first),
            ("second-moment.", &mut self.optimiser.second),
        ];
        for (prefix, part) in parts {
            for entry in self.parameters.entries() {
                let name = format!("{prefix}{}", entry.name);
                let Some(weight) = file.tensors.remove(&name) else {
                    return Err(NnError::MissingWeight { name });
                };
                if weight.shape != entry.shape {
                    let expected = entry.shape.clone();
                    return Err(NnError::WeightShape { name, found: weight.shape, expected });
                }
                entry.slot.of_mut(part).copy_from_slice(&weight.values);
            }
        }
        self.step = step;
        self.parameters.change(|to| to.copy_from_slice(&values))?;
        Ok(file.description)
    }

    fn named(&self, prefix: &str, values: &[f32]) -> BTreeMap<String, Weight> {
        let entries = self.parameters.entries().iter();
        entries
            .map(|entry| {
                let weight = Weight { shape: entry.shape.clone(), values: entry.slot.of(values).to_vec() };
                (format!("{prefix}{}", entry.name), weight)
            })
            .collect()
    }
}

impl Drop for Trainer {
    fn drop(&mut self) {
        buffer::release();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::loss::weighted_squares;
    use crate::nn::mlp::{Mlp, MlpConfig};
    use crate::nn::network::Head;
    use crate::nn::operation::Conditions;
    use crate::nn::parameters::Parameters;
    use onsager_numerics::random::Streams;

    fn start() -> (Mlp, Trainer) {
        let mut p = Parameters::random(1);
        let mlp = Mlp::new(
            &MlpConfig { width: 16, layers: 2, embedding: 4, ..MlpConfig::default() },
            &[2],
            Head::default(),
            &mut p,
        )
        .unwrap();
        let config = AdamWConfig { learning_rate: 0.01, warmup: 5, weight_decay: 0.1, clip: 1.0 };
        let trainer = Trainer::new(mlp.packed().clone(), config, 0.9).unwrap();
        (mlp, trainer)
    }

    fn run(mlp: &Mlp, trainer: &mut Trainer, steps: u64) {
        while trainer.step() < steps {
            let step = trainer.step();
            let (_, gradients) = trainer
                .gradient(4, |block| {
                    let mut x = vec![0.0; 6];
                    Streams::new(step, "trainer test").stream(block as u64).fill_normal(&mut x);
                    let x = raw::tensor(x, (3, 2))?;
                    let missed = (mlp.forward(&x, &Conditions::at(&[1.0, 2.0, 3.0]))? - x)?;
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
