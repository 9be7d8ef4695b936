//! The `train` kind.

use super::choice;
use super::context::Context;
use super::stage::{Checks, Input, Inputs, Issue, Output, Stage, StageError};
use crate::data::dataset::Dataset;
use crate::diffusion::model::{Model, ModelConfig};
use crate::diffusion::objective::{Objective, Predictor, noised};
use crate::diffusion::schedule::ScheduleKind;
use crate::nn::adamw::AdamWConfig;
use crate::nn::error::NnError;
use crate::nn::network::{NetworkConfig, block_size};
use crate::nn::parameters::Parameters;
use crate::nn::raw;
use crate::nn::trainer::Trainer;
use crate::random::Streams;
use polars::prelude::*;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fs::File;

/// Trains a diffusion model.
pub struct Train;

/// Parameters of `train`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// The network that predicts the noise: `unet` for images, `mlp` for points.
    #[serde(deserialize_with = "choice::read")]
    #[schemars(schema_with = "choice::schema::<NetworkConfig>")]
    pub network: NetworkConfig,
    /// The noise schedule.
    pub schedule: ScheduleKind,
    /// T, the number of diffusion steps, 1 to 10,000.
    pub timesteps: usize,
    /// What the network is trained on: `simple`, or `path-action` with K and λ.
    #[serde(deserialize_with = "choice::read")]
    #[schemars(schema_with = "choice::schema::<Objective>")]
    pub objective: Objective,
    /// Number of optimiser steps.
    pub steps: u64,
    /// Samples in a step (segments of K steps with `path-action`, so a step costs K times as much).
    pub batch: usize,
    /// AdamW's learning rate.
    pub learning_rate: f64,
    /// Steps over which the learning rate grows from zero.
    pub warmup: u64,
    /// AdamW's decoupled weight decay.
    pub weight_decay: f64,
    /// Decay of the moving average of the weights, 0 to below 1; the average is the model.
    pub ema: f64,
    /// The gradient's norm is cut to this; 0 leaves it alone.
    pub clip: f64,
    /// Selects the random streams: initial weights, order of the data, noise.
    pub seed: u64,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
    /// Steps between rows of the loss table.
    pub validate_every: u64,
}

impl Default for Params {
    fn default() -> Params {
        Params {
            network: NetworkConfig::default(),
            schedule: ScheduleKind::Linear,
            timesteps: 200,
            objective: Objective::default(),
            steps: 3000,
            batch: 64,
            learning_rate: 2e-3,
            warmup: 100,
            weight_decay: 0.0,
            ema: 0.995,
            clip: 1.0,
            seed: 0,
            checkpoint_every: 500,
            validate_every: 100,
        }
    }
}

/// What a checkpoint holds beside the trainer's state.
#[derive(Debug, Default, Serialize, Deserialize)]
struct History {
    rows: Vec<Row>,
    /// The bits of the sum of the losses since the last row.
    pending: u64,
}

/// A row of the loss table; losses as the bits of their f64, which JSON keeps exactly.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Row {
    step: u64,
    train: u64,
    validation: Option<u64>,
}

#[derive(Serialize)]
struct Info<'a> {
    data: &'a str,
    shape: &'a [usize],
    parameters: usize,
    network: &'a NetworkConfig,
    schedule: ScheduleKind,
    timesteps: usize,
    objective: Objective,
    steps: u64,
    batch: usize,
    learning_rate: f64,
    warmup: u64,
    weight_decay: f64,
    ema: f64,
    clip: f64,
    seed: u64,
}

impl Stage for Train {
    type Params = Params;
    const KIND: &'static str = "train";
    const SUMMARY: &'static str =
        "Trains a diffusion model on a data set: DDPM (`simple`) or action-based (`path-action`).";
    const NUMERIC: bool = true;

    fn inputs() -> Inputs {
        Inputs::of(vec![
            Input::one("data", "the data set to train on"),
            Input::one("validation", "a data set for the validation loss").optional(),
        ])
    }

    fn outputs(_: &Params) -> Vec<Output> {
        vec![
            Output::file("model", "model.safetensors", "the averaged weights, with the model's description"),
            Output::file(
                "loss",
                "loss.parquet",
                "step, train_loss (the objective, mean since the last row), validation_loss (`simple`, of the averaged \
                 weights, fixed noise)",
            ),
            Output::file("info", "info.json", "the number of parameters and the settings"),
        ]
    }

    fn check(p: &Params) -> Vec<Issue> {
        let mut checks = Checks::default();
        for (field, message) in p.network.issues() {
            checks.ensure(false, &format!("network.{field}"), || message);
        }
        let timesteps = p.timesteps;
        checks.ensure((1..=10_000).contains(&timesteps), "timesteps", || {
            format!("must be from 1 to 10000, but is {timesteps}")
        });
        if let Objective::PathAction(a) = p.objective {
            checks.ensure((1..=timesteps.max(1)).contains(&a.k), "objective.path-action.k", || {
                format!("must be from 1 to `timesteps` ({timesteps}), but is {}", a.k)
            });
            checks.ensure(a.lambda >= 0.0 && a.lambda.is_finite(), "objective.path-action.lambda", || {
                format!("must be 0 or more, but is {}", a.lambda)
            });
        }
        checks.ensure(p.steps >= 1, "steps", || "must be at least 1".into());
        checks.ensure(p.batch >= 1, "batch", || "must be at least 1".into());
        checks.positive(&[("learning_rate", p.learning_rate)]);
        checks.ensure(p.weight_decay >= 0.0 && p.weight_decay.is_finite(), "weight_decay", || {
            format!("must be 0 or more, but is {}", p.weight_decay)
        });
        checks.ensure((0.0..1.0).contains(&p.ema), "ema", || {
            format!("must be from 0 to below 1, but is {}", p.ema)
        });
        checks.ensure(p.clip >= 0.0, "clip", || format!("must be 0 or more, but is {}", p.clip));
        checks.ensure(p.checkpoint_every >= 1, "checkpoint_every", || "must be at least 1".into());
        checks.ensure(p.validate_every >= 1, "validate_every", || "must be at least 1".into());
        checks.0
    }

    fn run(p: &Params, ctx: &Context) -> Result<(), StageError> {
        let data = Dataset::load(&ctx.input("data")?.path)?;
        if data.count() == 0 {
            return Err("the data set is empty".into());
        }
        let validation = match ctx.items("validation") {
            [] => None,
            [item, ..] => {
                let validation = Dataset::load(&item.path)?;
                if validation.shape[1..] != data.shape[1..] {
                    let (found, wanted) = (&validation.shape[1..], &data.shape[1..]);
                    return Err(
                        format!("`validation` has samples of shape {found:?}, `data` of {wanted:?}").into()
                    );
                }
                Some(validation)
            }
        };
        let mut parameters = Parameters::random(p.seed);
        let config = ModelConfig {
            data: data.name.clone(),
            shape: data.shape[1..].to_vec(),
            levels: data.levels,
            network: p.network.clone(),
            schedule: p.schedule,
            timesteps: p.timesteps,
            objective: p.objective,
        };
        let model = Model::new(config, &mut parameters)?;
        let adamw = AdamWConfig {
            learning_rate: p.learning_rate,
            warmup: p.warmup,
            weight_decay: p.weight_decay,
            clip: p.clip,
        };
        let mut trainer = Trainer::new(model.packed().clone(), adamw, p.ema)?;
        let history = fit(p, ctx, &model, &mut trainer, &data, validation.as_ref())?;

        let description = serde_json::to_string(&model.config)?;
        trainer.averaged(description).save(ctx.output("model")?)?;
        write_losses(&history.rows, ctx)?;
        let info = Info {
            data: &data.name,
            shape: &model.config.shape,
            parameters: trainer.parameter_count(),
            network: &p.network,
            schedule: p.schedule,
            timesteps: p.timesteps,
            objective: p.objective,
            steps: p.steps,
            batch: p.batch,
            learning_rate: p.learning_rate,
            warmup: p.warmup,
            weight_decay: p.weight_decay,
            ema: p.ema,
            clip: p.clip,
            seed: p.seed,
        };
        std::fs::write(ctx.output("info")?, serde_json::to_string_pretty(&info)? + "\n")?;
        Ok(())
    }
}

/// Trains from the latest checkpoint, or from the beginning, to the end.
fn fit(
    p: &Params,
    ctx: &Context,
    model: &Model,
    trainer: &mut Trainer,
    data: &Dataset,
    validation: Option<&Dataset>,
) -> Result<History, StageError> {
    let mut history = History::default();
    if let Some(checkpoint) = ctx.latest_checkpoint()? {
        history = serde_json::from_str(&trainer.resume(&checkpoint.path, checkpoint.step)?)?;
    }
    let noise = Streams::new(p.seed, "training noise");
    // A segment is as many network evaluations as it has steps, so blocks hold fewer of them.
    let segment = match p.objective {
        Objective::Simple(_) => 1,
        Objective::PathAction(a) => a.k,
    };
    let block = (block_size(&model.config.shape, p.batch) / segment).max(1);
    let mut order = Order::new(p.seed, data.count());
    while trainer.step() < p.steps {
        let first = trainer.step() * p.batch as u64;
        let chosen: Vec<usize> = (0..p.batch as u64).map(|i| order.at(first + i)).collect();
        let scale = 1.0 / p.batch as f64;
        let (loss, gradients) = trainer.gradient(p.batch.div_ceil(block), |b| {
            let range = b * block..(b * block + block).min(p.batch);
            let rows: Vec<&[f32]> = chosen[range.clone()].iter().map(|&i| data.item(i)).collect();
            let mut streams: Vec<_> = range.map(|i| noise.stream(first + i as u64)).collect();
            p.objective.loss(model, &model.schedule, &rows, &mut streams, scale)
        })?;
        trainer.update(&gradients)?;
        let step = trainer.step();
        history.pending = (f64::from_bits(history.pending) + loss).to_bits();
        if step.is_multiple_of(p.validate_every) || step == p.steps {
            let since = step - history.rows.last().map_or(0, |row| row.step);
            let train = f64::from_bits(history.pending) / since as f64;
            let validation = match validation {
                Some(data) => Some(validation_loss(trainer, model, data)?.to_bits()),
                None => None,
            };
            history.rows.push(Row { step, train: train.to_bits(), validation });
            history.pending = 0f64.to_bits();
        }
        ctx.progress(step, p.steps, "steps");
        let cancelled = ctx.cancelled();
        if step < p.steps && (cancelled || step.is_multiple_of(p.checkpoint_every)) {
            let description = serde_json::to_string(&history)?;
            ctx.save_checkpoint(step, |path| Ok(trainer.save(path, description)?))?;
        }
        if cancelled && step < p.steps {
            return Err(StageError::Cancelled);
        }
    }
    Ok(history)
}

/// The order in which the data are used: a new permutation for each pass.
struct Order {
    streams: Streams,
    pass: Option<u64>,
    permutation: Vec<usize>,
}

impl Order {
    fn new(seed: u64, count: usize) -> Order {
        Order { streams: Streams::new(seed, "training order"), pass: None, permutation: (0..count).collect() }
    }

    /// The index of the sample used at this position, counted from the beginning of the training.
    fn at(&mut self, position: u64) -> usize {
        let count = self.permutation.len() as u64;
        if self.pass != Some(position / count) {
            self.pass = Some(position / count);
            self.permutation = (0..count as usize).collect();
            self.streams.stream(position / count).shuffle(&mut self.permutation);
        }
        self.permutation[(position % count) as usize]
    }
}

/// The `simple` loss of the averaged weights, per number of a sample: the i-th sample at a step t in the i-th
/// of equal parts of 1 … T and with noise that depends on i alone, so models and seeds are compared on the
/// same draws.
fn validation_loss(trainer: &Trainer, model: &Model, data: &Dataset) -> Result<f64, NnError> {
    let averaged = Model::with_weights(model.config.clone(), trainer.averaged(String::new()))?;
    let (count, size) = (data.count(), data.size());
    let streams = Streams::new(0, "validation noise");
    let indices: Vec<usize> = (0..count).collect();
    let sums: Vec<f64> = indices
        .par_chunks(block_size(&model.config.shape, count))
        .map(|block| {
            let draws: Vec<_> = block
                .iter()
                .map(|&i| {
                    let t = 1 + i * model.config.timesteps / count;
                    noised(data.item(i), &model.schedule, t, &mut streams.stream(i as u64))
                })
                .collect();
            let x = draws.iter().flat_map(|d| d.x.iter().copied()).collect();
            let steps: Vec<usize> = draws.iter().map(|d| d.s).collect();
            let predicted = raw::values(&averaged.predict(&raw::tensor(x, (block.len(), size))?, &steps)?)?;
            let targets = draws.iter().flat_map(|d| &d.target);
            Ok(predicted.iter().zip(targets).map(|(p, e)| f64::from(p - e) * f64::from(p - e)).sum())
        })
        .collect::<Result<_, NnError>>()?;
    Ok(sums.iter().sum::<f64>() / (count * size).max(1) as f64)
}

fn write_losses(rows: &[Row], ctx: &Context) -> Result<(), StageError> {
    let steps: Vec<u64> = rows.iter().map(|row| row.step).collect();
    let train: Vec<f64> = rows.iter().map(|row| f64::from_bits(row.train)).collect();
    let validation: Vec<Option<f64>> = rows.iter().map(|row| row.validation.map(f64::from_bits)).collect();
    let mut table = df!("step" => steps, "train_loss" => train, "validation_loss" => validation)?;
    ParquetWriter::new(File::create(ctx.output("loss")?)?)
        .with_compression(ParquetCompression::Uncompressed)
        .with_row_group_size(None)
        .finish(&mut table)?;
    Ok(())
}
