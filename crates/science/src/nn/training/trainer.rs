//! One training: parameters, optimiser, moving average, and the file that holds all of it.

use super::adamw::{AdamW, AdamWConfig, Moments, norm};
use super::weights::{Weight, Weights};
use crate::nn::error::NnError;
use crate::nn::kernels::buffer::{self, Buffer};
use crate::nn::kernels::pointwise::add_assign;
use crate::nn::kernels::raw;
use crate::nn::layers::parameters::{Parameters, Part, Path as Operations};
use crate::nn::networks::rows::evaluation_block;
use candle_core::{Device, Tensor};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;

/// The state of a training between two steps.
#[derive(Debug)]
pub struct Trainer {
    parameters: Parameters,
    optimiser: AdamW,
    /// Of each pack.
    moments: Vec<Moments>,
    /// The parts of each pack.
    parts: Vec<Vec<Part>>,
    step: u64,
}

/// The numbers that one thread adds at a time.
const CHUNK: usize = 1 << 14;

/// The gradient of a loss: numbers for each pack of the parameters.
pub type Gradient = Vec<Buffer>;

impl Trainer {
    /// A training that has not begun, of the trainable parameters of a network. `ema` is the decay of the moving average.
    pub fn new(parameters: Parameters, config: AdamWConfig, ema: f64) -> Result<Trainer, NnError> {
        buffer::keep_freed_memory();
        let parts = parameters.parts();
        let moments = parameters.values()?.into_iter().zip(&parts).map(|(values, parts)| {
            let mut decays = vec![false; values.len()];
            for part in parts.iter().filter(|part| part.shape.len() > 1) {
                decays[part.slot.range()].fill(true);
            }
            Moments::new(values, decays)
        });
        let moments = moments.collect();
        Ok(Trainer { parameters, optimiser: AdamW { config, ema }, moments, parts, step: 0 })
    }

    /// The number of steps done.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The learning rate of the latest step.
    pub fn learning_rate(&self) -> f64 {
        self.optimiser.rate(self.step)
    }

    /// The number of trainable numbers.
    pub fn parameter_count(&self) -> usize {
        self.parameters.count()
    }

    /// Where the network is.
    pub fn device(&self) -> &Device {
        self.parameters.device()
    }

    /// The number of samples of a batch that are computed together: `block` on the CPU, by candle's operations all.
    pub fn block(&self, block: usize, batch: usize) -> usize {
        match self.parameters.path() {
            Operations::Fused => block,
            Operations::Generic => batch,
        }
    }

    /// The same of a data set that is evaluated, which may be much larger than a batch.
    pub fn evaluation_block(&self, block: usize, count: usize) -> usize {
        evaluation_block(self.parameters.path(), block, count)
    }

    /// The sum of the losses of the blocks 0 … `blocks` − 1, added in order, without a gradient.
    pub fn loss(
        &self,
        blocks: usize,
        loss: impl Fn(usize) -> Result<Tensor, NnError> + Sync,
    ) -> Result<f64, NnError> {
        let value = |block| Ok(f64::from(raw::values(&loss(block)?)?[0]));
        let losses: Vec<f64> = (0..blocks).into_par_iter().map(value).collect::<Result<_, NnError>>()?;
        Ok(losses.iter().sum())
    }

    /// The sum of the losses of the blocks 0 … `blocks` − 1 and its gradient: each block on one thread, added
    /// in order.
    pub fn gradient(
        &self,
        blocks: usize,
        loss: impl Fn(usize) -> Result<Tensor, NnError> + Sync,
    ) -> Result<(f64, Gradient), NnError> {
        let packs = self.parameters.packs();
        let parts: Vec<(f32, Vec<Option<Tensor>>)> = (0..blocks)
            .into_par_iter()
            .map(|block| {
                let loss = loss(block)?;
                let mut store = loss.backward()?;
                let gradients = packs.iter().map(|pack| match store.remove(pack.tensor()) {
                    Some(gradient) => Ok(Some(gradient.to_device(&Device::Cpu)?.contiguous()?)),
                    None => Ok(None),
                });
                Ok((raw::values(&loss)?[0], gradients.collect::<Result<_, NnError>>()?))
            })
            .collect::<Result<_, NnError>>()?;
        let total = parts.iter().map(|(loss, _)| f64::from(*loss)).sum();
        let sums = packs.par_iter().enumerate().map(|(i, pack)| {
            let mut gradients = parts.iter().filter_map(|(_, gradients)| gradients[i].as_ref());
            let mut sum = match gradients.next() {
                Some(first) => Buffer::from_vec(raw::take(first)?),
                None => Buffer::zeros(pack.tensor().elem_count()),
            };
            for gradient in gradients {
                let gradient = Buffer::from_vec(raw::take(gradient)?);
                let chunks = sum.par_chunks_mut(CHUNK).zip(gradient.par_chunks(CHUNK));
                chunks.for_each(|(sum, gradient)| add_assign(sum, gradient));
            }
            Ok(sum)
        });
        Ok((total, sums.collect::<Result<_, NnError>>()?))
    }

    /// One step of the optimiser and of the moving average. Returns the gradient's norm before it is clipped.
    pub fn update(&mut self, gradient: &[Buffer]) -> Result<f64, NnError> {
        self.step += 1;
        let parts: Vec<&[f32]> = gradient.iter().map(|pack| &pack[..]).collect();
        let norm = norm(&parts);
        let update = self.optimiser.step(self.step, norm);
        let mut states: Vec<(&mut Moments, &[f32])> = self.moments.iter_mut().zip(parts).collect();
        self.parameters.change_with(&mut states, |(moments, gradient), values| {
            moments.update(update, values, gradient);
        })?;
        if norm.is_finite() { Ok(norm) } else { Err(NnError::Diverged { step: self.step }) }
    }

    /// The averaged weights, with a description for their file.
    pub fn averaged(&self, description: String) -> Weights {
        Weights { tensors: self.named("", self.moments.iter().map(|m| &m.average)), description }
    }

    /// Saves everything that the next step depends on, and the caller's `description`.
    pub fn save(&self, path: &Path, description: String) -> Result<(), NnError> {
        let mut tensors = self.named("weight.", &self.parameters.values()?);
        tensors.append(&mut self.named("average.", self.moments.iter().map(|m| &m.average)));
        tensors.append(&mut self.named("first-moment.", self.moments.iter().map(|m| &m.first)));
        tensors.append(&mut self.named("second-moment.", self.moments.iter().map(|m| &m.second)));
        Weights { tensors, description }.save(path)
    }

    /// Goes on from a saved state after `step` steps; returns its description.
    pub fn resume(&mut self, path: &Path, step: u64) -> Result<String, NnError> {
        let mut file = Weights::load(path)?;
        let mut values = self.parameters.values()?;
        for (parts, (values, moments)) in self.parts.iter().zip(values.iter_mut().zip(&mut self.moments)) {
            let kinds = [
                ("weight.", values),
                ("average.", &mut moments.average),
                ("first-moment.", &mut moments.first),
                ("second-moment.", &mut moments.second),
            ];
            for (prefix, numbers) in kinds {
                for part in parts {
                    let name = format!("{prefix}{}", part.name);
                    let Some(weight) = file.tensors.remove(&name) else {
                        return Err(NnError::MissingWeight { name });
                    };
                    if weight.shape != part.shape {
                        let expected = part.shape.clone();
                        return Err(NnError::WeightShape { name, found: weight.shape, expected });
                    }
                    part.slot.of_mut(numbers).copy_from_slice(&weight.values);
                }
            }
        }
        self.step = step;
        self.parameters.change(|pack, to| to.copy_from_slice(&values[pack]))?;
        Ok(file.description)
    }

    /// The parts of the packs, of which these are the numbers, by name.
    fn named<'a>(
        &self,
        prefix: &str,
        packs: impl IntoIterator<Item = &'a Vec<f32>>,
    ) -> BTreeMap<String, Weight> {
        let packs = self.parts.iter().zip(packs);
        let parts = packs.flat_map(|(parts, values)| parts.iter().map(move |part| (part, values)));
        parts
            .map(|(part, values)| {
                let weight = Weight { shape: part.shape.clone(), values: part.slot.of(values).to_vec() };
                (format!("{prefix}{}", part.name), weight)
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
    use crate::nn::layers::conditions::Conditions;
    use crate::nn::networks::head::Head;
    use crate::nn::networks::mlp::{Mlp, MlpConfig};
    use crate::nn::networks::unet::{Unet, UnetConfig};
    use crate::nn::training::loss::weighted_squares;
    use onsager_numerics::random::Streams;

    fn start() -> (Mlp, Trainer) {
        let parameters = Parameters::random(1, &Device::Cpu);
        let c = MlpConfig { width: 16, layers: 2, embedding: 4, ..MlpConfig::default() };
        let mlp = parameters.build(|vb| Mlp::new(&c, &[2], Head::default(), vb)).unwrap();
        let config = AdamWConfig { learning_rate: 0.01, warmup: 5, weight_decay: 0.1, clip: 1.0 };
        let trainer = Trainer::new(parameters, config, 0.9).unwrap();
        (mlp, trainer)
    }

    fn run(mlp: &Mlp, trainer: &mut Trainer, steps: u64) {
        while trainer.step() < steps {
            let step = trainer.step();
            let (_, gradient) = trainer
                .gradient(4, |block| {
                    let mut x = vec![0.0; 6];
                    Streams::new(step, "trainer test").stream(block as u64).fill_normal(&mut x);
                    let x = raw::tensor(x, (3, 2))?;
                    let missed = (mlp.forward(&x, &Conditions::at(&[1.0, 2.0, 3.0]))? - x)?;
                    Ok(weighted_squares(&missed, &[1.0; 3])?)
                })
                .unwrap();
            trainer.update(&gradient).unwrap();
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

    /// Training by candle's operations, with the batch as one block, does what training by our own does, to rounding; and
    /// gradients that no block of ours uses again are not kept.
    #[test]
    fn training_by_candles_operations() {
        let c = MlpConfig { width: 23, layers: 2, embedding: 4, ..MlpConfig::default() };
        let config = AdamWConfig { learning_rate: 0.01, warmup: 5, weight_decay: 0.1, clip: 1.0 };
        let train = |parameters: Parameters| {
            let mlp = parameters.build(|vb| Mlp::new(&c, &[2], Head::default(), vb)).unwrap();
            let mut trainer = Trainer::new(parameters, config, 0.9).unwrap();
            let block = trainer.block(3, 12);
            let mut free = Vec::new();
            while trainer.step() < 8 {
                let mut all = vec![0.0; 24];
                Streams::new(trainer.step(), "path test").stream(0).fill_normal(&mut all);
                let loss = |b: usize| {
                    let x = raw::tensor(all[2 * b * block..2 * (b + 1) * block].to_vec(), (block, 2))?;
                    let missed = (mlp.forward(&x, &Conditions::at(&vec![7.0; block]))? - x)?;
                    Ok(weighted_squares(&missed, &vec![1.0; block])?)
                };
                let (total, gradient) = trainer.gradient(12 / block, loss).unwrap();
                assert!((trainer.loss(12 / block, loss).unwrap() - total).abs() < 1e-9);
                trainer.update(&gradient).unwrap();
                drop(gradient);
                free.push(
                    trainer
                        .parts
                        .iter()
                        .map(|parts| buffer::free(parts[parts.len() - 1].slot.range().end))
                        .sum::<usize>(),
                );
            }
            (block, free, trainer.averaged(String::new()).tensors)
        };
        let random = Parameters::random(1, &Device::Cpu);
        let (block, free, generic) = train(random.generic());
        assert_eq!(block, 12);
        // Other tests take some of them for a while; what was kept would grow with every step.
        assert!(free[7] <= free[..7].iter().copied().max().unwrap(), "{free:?}");
        let (block, _, fused) = train(random);
        assert_eq!(block, 3);
        for (name, fused) in &fused {
            // AdamW divides by the gradient's size, so the rounding of small gradients is seen whole.
            let apart = fused.values.iter().zip(&generic[name].values).map(|(a, b)| (a - b).abs());
            assert!(apart.fold(0.0, f32::max) < 1e-3, "{name}");
        }
    }

    /// The bytes of a U-Net with every kind of layer after some steps do not depend on the number of threads.
    #[test]
    fn threads_of_a_unet() {
        let c = UnetConfig {
            channels: 16,
            multipliers: vec![1, 2],
            groups: 4,
            embedding: 8,
            attention: vec![1],
            scale_shift: true,
            dropout: 0.2,
            ..UnetConfig::default()
        };
        let trained = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let parameters = Parameters::random(1, &Device::Cpu);
                let head = Head { variance: false, classes: 2 };
                let unet = parameters.build(|vb| Unet::new(&c, &[1, 8, 8], head, vb)).unwrap();
                let config = AdamWConfig { learning_rate: 0.01, warmup: 0, weight_decay: 0.1, clip: 1.0 };
                let mut trainer = Trainer::new(parameters, config, 0.9).unwrap();
                while trainer.step() < 3 {
                    let (_, gradient) = trainer
                        .gradient(5, |block| {
                            let mut x = vec![0.0; 2 * 64];
                            Streams::new(trainer.step(), "unet test")
                                .stream(block as u64)
                                .fill_normal(&mut x);
                            let x = raw::tensor(x, (2, 64))?;
                            let (times, seeds) = (vec![10.0, 700.0], vec![block as u64, 9]);
                            let on = Conditions { times, classes: vec![0, 2], dropout: seeds };
                            Ok(weighted_squares(&(unet.forward(&x, &on)? - x)?, &[0.1; 2])?)
                        })
                        .unwrap();
                    trainer.update(&gradient).unwrap();
                }
                bytes(&trainer)
            })
        };
        let one = trained(1);
        assert!(one == trained(2) && one == trained(3));
    }
}
