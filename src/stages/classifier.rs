//! The `classifier` kind.

use super::context::Context;
use super::stage::{Checks, Input, Inputs, Issue, Output, Stage, StageError};
use crate::data::dataset::Dataset;
use crate::nn::adamw::AdamWConfig;
use crate::nn::classifier::{Classifier as Network, ClassifierConfig};
use crate::nn::loss::cross_entropy;
use crate::nn::network::block_size;
use crate::nn::parameters::Parameters;
use crate::nn::raw;
use crate::nn::trainer::Trainer;
use crate::random::Streams;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Trains a classifier of images.
pub struct Classifier;

/// Parameters of `classifier`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Channels of the convolutions, a multiple of 8.
    pub channels: usize,
    /// Width of the penultimate layer, whose values are the features.
    pub features: usize,
    /// Number of optimiser steps.
    pub steps: u64,
    /// Images in a step.
    pub batch: usize,
    /// AdamW's learning rate.
    pub learning_rate: f64,
    /// Steps over which the learning rate grows from zero.
    pub warmup: u64,
    /// AdamW's decoupled weight decay.
    pub weight_decay: f64,
    /// Decay of the moving average of the weights, 0 to below 1; the average is the classifier.
    pub ema: f64,
    /// Standard deviation of the normal noise that is added to the training images.
    pub noise: f64,
    /// Selects the random streams: initial weights, choice of images, noise.
    pub seed: u64,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
}

impl Default for Params {
    fn default() -> Params {
        Params {
            channels: 32,
            features: 32,
            steps: 600,
            batch: 64,
            learning_rate: 2e-3,
            warmup: 50,
            weight_decay: 0.01,
            ema: 0.99,
            noise: 0.1,
            seed: 0,
            checkpoint_every: 500,
        }
    }
}

#[derive(Serialize)]
struct Accuracy {
    /// The fraction of the test images whose class is right.
    accuracy: f64,
    right: usize,
    test_images: usize,
    train_accuracy: f64,
    train_images: usize,
    parameters: usize,
    features: usize,
    steps: u64,
}

impl Stage for Classifier {
    type Params = Params;
    const KIND: &'static str = "classifier";
    const SUMMARY: &'static str =
        "Trains a small convolutional classifier, whose features and classes `sample-quality` uses.";
    const NUMERIC: bool = true;

    fn inputs() -> Inputs {
        Inputs::of(vec![
            Input::one("train", "labelled images to train on"),
            Input::one("test", "labelled images to measure the accuracy on"),
        ])
    }

    fn outputs(_: &Params) -> Vec<Output> {
        vec![
            Output::file(
                "model",
                "model.safetensors",
                "the averaged weights, with the classifier's description",
            ),
            Output::file("accuracy", "accuracy.json", "accuracy on both sets"),
        ]
    }

    fn check(p: &Params) -> Vec<Issue> {
        let mut checks = Checks::default();
        checks.ensure(p.channels >= 8 && p.channels.is_multiple_of(8), "channels", || {
            format!("must be a positive multiple of 8, but is {}", p.channels)
        });
        checks.ensure(p.features >= 1, "features", || "must be at least 1".into());
        checks.ensure(p.steps >= 1, "steps", || "must be at least 1".into());
        checks.ensure(p.batch >= 1, "batch", || "must be at least 1".into());
        checks.positive(&[("learning_rate", p.learning_rate)]);
        checks.ensure(p.weight_decay >= 0.0 && p.weight_decay.is_finite(), "weight_decay", || {
            format!("must be 0 or more, but is {}", p.weight_decay)
        });
        checks.ensure((0.0..1.0).contains(&p.ema), "ema", || {
            format!("must be from 0 to below 1, but is {}", p.ema)
        });
        checks.ensure(p.noise >= 0.0 && p.noise.is_finite(), "noise", || {
            format!("must be 0 or more, but is {}", p.noise)
        });
        checks.ensure(p.checkpoint_every >= 1, "checkpoint_every", || "must be at least 1".into());
        checks.0
    }

    fn run(p: &Params, ctx: &Context) -> Result<(), StageError> {
        let (train, train_labels) = labelled(ctx, "train")?;
        let (test, test_labels) = labelled(ctx, "test")?;
        if test.shape[1..] != train.shape[1..] {
            let (found, wanted) = (&test.shape[1..], &train.shape[1..]);
            return Err(format!("`test` has images of shape {found:?}, `train` of {wanted:?}").into());
        }
        let seen = train_labels.iter().chain(&test_labels).max().map_or(0, |&y| y as usize + 1);
        let config = ClassifierConfig {
            data: train.name.clone(),
            shape: train.shape[1..].to_vec(),
            classes: train.classes.map_or(seen, |classes| seen.max(classes as usize)),
            channels: p.channels,
            features: p.features,
        };
        let mut parameters = Parameters::random(p.seed);
        let network = Network::new(config, &mut parameters)?;
        let adamw = AdamWConfig {
            learning_rate: p.learning_rate,
            warmup: p.warmup,
            weight_decay: p.weight_decay,
            clip: 1.0,
        };
        let mut trainer = Trainer::new(network.packed().clone(), adamw, p.ema)?;
        fit(p, ctx, &network, &mut trainer, &train, &train_labels)?;

        let path = ctx.output("model")?;
        trainer.averaged(serde_json::to_string(&network.config)?).save(path)?;
        let averaged = Network::load(path)?;
        let right = |data: &Dataset, labels: &[u32]| -> Result<usize, StageError> {
            let predictions = averaged.evaluate(&data.x, &data.shape)?.predictions();
            Ok(predictions.iter().zip(labels).filter(|(a, b)| a == b).count())
        };
        let (right_test, right_train) = (right(&test, &test_labels)?, right(&train, &train_labels)?);
        let accuracy = Accuracy {
            accuracy: right_test as f64 / test_labels.len() as f64,
            right: right_test,
            test_images: test_labels.len(),
            train_accuracy: right_train as f64 / train_labels.len() as f64,
            train_images: train_labels.len(),
            parameters: trainer.parameter_count(),
            features: p.features,
            steps: p.steps,
        };
        std::fs::write(ctx.output("accuracy")?, serde_json::to_string_pretty(&accuracy)? + "\n")?;
        Ok(())
    }
}

/// The data set of an input and its labels.
fn labelled(ctx: &Context, input: &str) -> Result<(Dataset, Vec<u32>), StageError> {
    let item = ctx.input(input)?;
    let data = Dataset::load(&item.path)?;
    match &data.y {
        Some(labels) if !labels.is_empty() && data.is_images() => {
            let labels = labels.clone();
            Ok((data, labels))
        }
        _ => Err(format!("input `{input}` needs labelled images, and `{}` has none", item.name).into()),
    }
}

fn fit(
    p: &Params,
    ctx: &Context,
    network: &Network,
    trainer: &mut Trainer,
    data: &Dataset,
    labels: &[u32],
) -> Result<(), StageError> {
    if let Some(checkpoint) = ctx.latest_checkpoint()? {
        trainer.resume(&checkpoint.path, checkpoint.step)?;
    }
    let streams = Streams::new(p.seed, "classifier batches");
    let (block, size) = (block_size(&data.shape[1..], p.batch), data.size());
    while trainer.step() < p.steps {
        let first = trainer.step() * p.batch as u64;
        let (_, gradients) = trainer.gradient(p.batch.div_ceil(block), |b| {
            let range = b * block..(b * block + block).min(p.batch);
            let mut x = Vec::with_capacity(block * size);
            let mut y = Vec::with_capacity(block);
            for i in range {
                let mut stream = streams.stream(first + i as u64);
                let chosen = stream.below(data.count() as u64) as usize;
                x.extend(data.item(chosen).iter().map(|x| x + (p.noise * stream.normal()) as f32));
                y.push(labels[chosen]);
            }
            let (_, logits) = network.forward(&raw::tensor(x, (y.len(), size))?)?;
            Ok((cross_entropy(&logits, &y)? * (1.0 / p.batch as f64))?)
        })?;
        trainer.update(&gradients)?;
        let step = trainer.step();
        ctx.progress(step, p.steps, "steps");
        let cancelled = ctx.cancelled();
        if step < p.steps && (cancelled || step.is_multiple_of(p.checkpoint_every)) {
            ctx.save_checkpoint(step, |path| Ok(trainer.save(path, "{}".into())?))?;
        }
        if cancelled && step < p.steps {
            return Err(StageError::Cancelled);
        }
    }
    Ok(())
}
