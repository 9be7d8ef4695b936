//! The `train` kind.

use super::train_params::Params;
use crate::kinds::diffusion::compute::Compute;
use crate::kinds::training::TrainingHost;
use onsager_numerics::random::Streams;
use onsager_report::tables::parquet;
use onsager_runner::kind::context::Context;
use onsager_runner::kind::stage::{Checks, Input, Inputs, Issue, Output, Stage, StageError};
use onsager_science::data::dataset::Dataset;
use onsager_science::diffusion::discrete::batch::{Batch, Example, noised};
use onsager_science::diffusion::discrete::importance::Importance;
use onsager_science::diffusion::discrete::model::{Model, ModelConfig};
use onsager_science::diffusion::discrete::objective::Objective;
use onsager_science::diffusion::discrete::schedule::ScheduleKind;
use onsager_science::nn::device::DeviceClass;
use onsager_science::nn::error::NnError;
use onsager_science::nn::kernels::raw;
use onsager_science::nn::layers::parameters::Parameters;
use onsager_science::nn::networks::head::Head;
use onsager_science::nn::networks::network::NetworkConfig;
use onsager_science::nn::networks::rows::block_size;
use onsager_science::nn::training::adamw::AdamWConfig;
use onsager_science::nn::training::fit::{Plan, Row, Step, Task, fit};
use onsager_science::nn::training::trainer::Trainer;
use polars::prelude::*;
use rayon::prelude::*;
use serde::Serialize;
use std::borrow::Cow;

/// Trains a diffusion model.
pub struct Train;

#[derive(Serialize)]
struct Info<'a> {
    data: &'a str,
    shape: &'a [usize],
    parameters: usize,
    network: &'a NetworkConfig,
    schedule: &'a ScheduleKind,
    timesteps: usize,
    objective: Objective,
    conditional: bool,
    drop_class: f64,
    dequantise: bool,
    /// The kinetic action of the schedule's interpolant per number, for data of unit variance.
    kinetic_action: f64,
    /// The same for these data.
    kinetic_action_of_data: f64,
    #[serde(flatten)]
    compute: Compute,
    /// Calls for the validation loss.
    validation_calls: f64,
    /// Batches whose pairs were found by a transport problem.
    paired_batches: u64,
    steps: u64,
    batch: usize,
    learning_rate: f64,
    warmup: u64,
    weight_decay: f64,
    ema: f64,
    clip: f64,
    device: DeviceClass,
    seed: u64,
}

impl Stage for Train {
    type Params = Params;
    const KIND: &'static str = "train";
    const SUMMARY: &'static str = "Trains a diffusion model on a data set: the usual ones (`simple`, `v-prediction`, `vlb`, `hybrid`, `flow-matching`) and the action-based \
         ones (`path-action`, `own-path`, `path-weighted`, `bridge-matching`, `action-matching`).";
    const NUMERIC: bool = true;

    fn inputs() -> Inputs {
        Inputs::of(vec![
            Input::one("data", "the data set to train on"),
            Input::one("validation", "a data set for the validation loss").optional(),
            Input::one("noise", "with `pairing: given`, the noise from which each sample of `data` was drawn: the `start` of `sample`")
                .optional(),
            Compute::spent_input(),
        ])
    }

    fn outputs(_: &Params) -> Vec<Output> {
        vec![
            Output::file("model", "model.safetensors", "the averaged weights, with the model's description"),
            Output::file(
                "loss",
                "loss.parquet",
                "step, train_loss (the objective, mean since the last row), validation_loss (`simple`, of the averaged \
                 weights, fixed noise), effective_share and shift (of `path-weighted`: (Σ w)²/(n Σ w²) of a batch, and how far \
                 the weights move the mean of x²)",
            ),
            Output::file(
                "info",
                "info.json",
                "the number of parameters, the settings, and the calls of the network",
            ),
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
        if let Some(message) = p.schedule.issue(timesteps) {
            checks.ensure(false, "schedule", || message);
        }
        for (field, message) in p.objective.issues(timesteps) {
            let field = if field.is_empty() { "objective".to_owned() } else { format!("objective.{field}") };
            checks.ensure(false, &field, || message);
        }
        let potential = p.potential();
        let (name, dropout) = match &p.network {
            NetworkConfig::Unet(c) => ("network.unet.dropout", c.dropout),
            NetworkConfig::Mlp(c) => ("network.mlp.dropout", c.dropout),
        };
        checks.ensure(!potential || dropout == 0.0, name, || {
            format!(
                "must be 0 for `action-matching`, whose potential is the same at every call, but is {dropout}"
            )
        });
        checks.ensure(!potential || !p.conditional, "conditional", || {
            "must be false for `action-matching`, whose potential is not told classes".into()
        });
        checks.ensure(!potential || p.place() == DeviceClass::Cpu, "device", || {
            format!(
                "must be `cpu` or left out for `action-matching`, whose potential is computed on the CPU only, but is `{}`",
                p.device.name()
            )
        });
        checks.ensure((0.0..1.0).contains(&p.drop_class), "drop_class", || {
            format!("must be from 0 to below 1, but is {}", p.drop_class)
        });
        checks.ensure(p.steps >= 1, "steps", || "must be at least 1".into());
        checks.ensure(p.batch >= 1, "batch", || "must be at least 1".into());
        checks.positive(&[("learning_rate", p.learning_rate)]);
        checks.not_negative(&[("weight_decay", p.weight_decay)]);
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
        let noise = noise(p, ctx, &data)?;
        let second_moment =
            data.x.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>() / data.x.len() as f64;
        let head = Head { variance: p.objective.learns_variance(), classes: classes(p, &data)? };
        if p.dequantise && data.levels.is_none() {
            return Err("`dequantise` needs images with grey levels".into());
        }
        let parameters = Parameters::random(p.seed, &p.place().device()?);
        let config = ModelConfig {
            data: data.name.clone(),
            shape: data.shape[1..].to_vec(),
            levels: data.levels,
            network: p.network.clone(),
            head,
            schedule: p.schedule.clone().of_data(second_moment),
            timesteps: p.timesteps,
            objective: p.objective,
            dequantised: p.dequantise,
        };
        let model = Model::new(config, &parameters)?;
        let adamw = AdamWConfig {
            learning_rate: p.learning_rate,
            warmup: p.warmup,
            weight_decay: p.weight_decay,
            clip: p.clip,
        };
        let mut trainer = Trainer::new(parameters, adamw, p.ema)?;
        let plan = Plan {
            steps: p.steps,
            checkpoint_every: p.checkpoint_every,
            validate_every: Some(p.validate_every),
        };
        let order = Order::new(p.seed, data.count());
        let (data, validation) = (&data, validation.as_ref());
        let mut task = Diffusion { p, model: &model, data, noise: noise.as_ref(), validation, order };
        let importance = p.objective.importance(p.timesteps);
        let history = fit(&TrainingHost(ctx), plan, &mut trainer, &mut task, importance)?;

        let description = serde_json::to_string(&model.config)?;
        trainer.averaged(description).save(ctx.output("model")?)?;
        write_losses(&history.rows, ctx)?;
        let (calls, samples) = (p.objective.calls(p.timesteps, &p.network), p.steps as f64 * p.batch as f64);
        let compute = Compute {
            forward_calls: (samples * calls.forward).round(),
            backward_calls: (samples * calls.backward).round(),
            ..Compute::default()
        };
        let validations = history.rows.iter().filter(|row| row.validation.is_some()).count();
        let info = Info {
            data: &data.name,
            shape: &model.config.shape,
            parameters: trainer.parameter_count(),
            network: &p.network,
            schedule: &model.config.schedule,
            timesteps: p.timesteps,
            objective: p.objective,
            conditional: p.conditional,
            drop_class: p.drop_class,
            dequantise: p.dequantise,
            kinetic_action: model.schedule.kinetic_action(1.0),
            kinetic_action_of_data: model.schedule.kinetic_action(second_moment),
            compute: compute.with_spent(ctx)?,
            validation_calls: (validations * validation.map_or(0, Dataset::count)) as f64,
            paired_batches: if p.objective.pairs_batches() { p.steps } else { 0 },
            steps: p.steps,
            batch: p.batch,
            learning_rate: p.learning_rate,
            warmup: p.warmup,
            weight_decay: p.weight_decay,
            ema: p.ema,
            clip: p.clip,
            device: p.place(),
            seed: p.seed,
        };
        std::fs::write(ctx.output("info")?, serde_json::to_string_pretty(&info)? + "\n")?;
        Ok(())
    }
}

/// The noise of each sample, for an objective that takes it.
fn noise(p: &Params, ctx: &Context, data: &Dataset) -> Result<Option<Dataset>, StageError> {
    match (p.objective.takes_noise(), ctx.items("noise")) {
        (true, [item, ..]) => {
            let noise = Dataset::load(&item.path)?;
            if noise.shape != data.shape {
                let (found, wanted) = (&noise.shape, &data.shape);
                let message = format!("`noise` has the shape {found:?}, `data` {wanted:?}");
                return Err(StageError::with_help(
                    message,
                    "give `samples` and `start` of the same `sample` stage",
                ));
            }
            Ok(Some(noise))
        }
        (true, []) => Err(StageError::with_help(
            "`pairing: given` needs the noise of each sample",
            "give the input `noise`: the output `start` of the `sample` stage that drew `data`, with `keep_start: true`",
        )),
        (false, _) => Ok(None),
    }
}

/// The number of classes that the network is told; 0 for none.
fn classes(p: &Params, data: &Dataset) -> Result<usize, StageError> {
    match (p.conditional, data.classes, &data.y) {
        (false, _, _) => Ok(0),
        (true, Some(classes), Some(_)) => Ok(classes as usize),
        (true, _, _) => {
            let message =
                format!("`conditional` needs a labelled data set, but `{}` has no labels", data.name);
            Err(StageError::with_help(message, "set `conditional: false`, or train on labelled data"))
        }
    }
}

/// The training of a diffusion model.
struct Diffusion<'a> {
    p: &'a Params,
    model: &'a Model,
    data: &'a Dataset,
    noise: Option<&'a Dataset>,
    validation: Option<&'a Dataset>,
    order: Order,
}

impl Task for Diffusion<'_> {
    /// Of importance sampling, for an objective that asks for it.
    type State = Option<Importance>;

    fn step(&mut self, trainer: &Trainer, importance: &mut Option<Importance>) -> Result<Step, NnError> {
        let Diffusion { p, model, data, noise: given, order, .. } = self;
        let noise = Streams::new(p.seed, "training noise");
        // A sample can take several network evaluations; blocks hold so many fewer of them.
        let block = (block_size(&model.config.shape, p.batch) / p.objective.evaluations(&p.network)).max(1);
        let block = trainer.block(block, p.batch);
        let first = trainer.step() * p.batch as u64;
        let examples: Vec<Example<'_>> = (0..p.batch as u64)
            .map(|i| {
                let index = order.at(first + i);
                let noise = given.map(|noise| noise.item(index));
                Example { noise, ..example(p, model, data, index, first + i) }
            })
            .collect();
        let streams: Vec<_> = (0..p.batch as u64).map(|i| noise.stream(first + i)).collect();
        let batch = Batch {
            examples: &examples,
            streams: &streams,
            schedule: &model.schedule,
            levels: data.levels,
            scale: 1.0 / p.batch as f64,
            importance: importance.as_ref(),
        };
        let batch_loss = p.objective.batch(&batch, *model);
        let (loss, gradient) = trainer.gradient(p.batch.div_ceil(block), |b| {
            (batch_loss.part)(b * block..(b * block + block).min(p.batch))
        })?;
        let more = batch_loss.weighting.map_or(Vec::new(), |w| vec![w.effective, w.shift]);
        let terms: Vec<(usize, f64)> =
            batch_loss.terms.iter().filter_map(|term| term.get().copied()).collect();
        drop(batch_loss);
        if let Some(importance) = importance {
            importance.record(terms);
        }
        Ok(Step { loss, gradient, more })
    }

    fn validation(&self, trainer: &Trainer) -> Result<Option<f64>, NnError> {
        self.validation.map(|data| validation_loss(trainer, self.model, data)).transpose()
    }
}

/// The `index`-th sample of the data as the `position`-th of the training. What is drawn here has a stream of its own.
fn example<'a>(p: &Params, model: &Model, data: &'a Dataset, index: usize, position: u64) -> Example<'a> {
    let mut stream = Streams::new(p.seed, "training samples").stream(position);
    let dropout = Some(stream.bits());
    let classes = model.config.head.classes as u32;
    let class = match &data.y {
        Some(y) if classes > 0 => Some(if stream.uniform() < p.drop_class { classes } else { y[index] }),
        _ => None,
    };
    let mut x0 = Cow::Borrowed(data.item(index));
    if let (true, Some(levels)) = (p.dequantise, data.levels) {
        let half = 1.0 / f64::from(levels.max(2) - 1);
        x0.to_mut().iter_mut().for_each(|x| *x += (half * (2.0 * stream.uniform() - 1.0)) as f32);
    }
    Example { x0, class, dropout, noise: None }
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
    let averaged =
        Model::with_weights(model.config.clone(), trainer.averaged(String::new()), trainer.device())?;
    let (count, size) = (data.count(), data.size());
    let streams = Streams::new(0, "validation noise");
    let indices: Vec<usize> = (0..count).collect();
    let sums: Vec<f64> = indices
        .par_chunks(trainer.evaluation_block(block_size(&model.config.shape, count), count))
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
            let labels = data.y.as_ref().filter(|_| model.config.head.classes > 0);
            let classes: Vec<u32> = labels.map_or(Vec::new(), |y| block.iter().map(|&i| y[i]).collect());
            let x = raw::tensor(x, (block.len(), size))?;
            let predicted = averaged.predict_on(&x, &steps, &classes)?;
            let predicted = raw::values(&predicted.narrow(1, 0, size)?.contiguous()?)?;
            let targets = draws.iter().flat_map(|d| &d.target);
            Ok(predicted.iter().zip(targets).map(|(p, e)| f64::from(p - e) * f64::from(p - e)).sum())
        })
        .collect::<Result<_, NnError>>()?;
    Ok(sums.iter().sum::<f64>() / (count * size).max(1) as f64)
}

fn write_losses(rows: &[Row], ctx: &Context) -> Result<(), StageError> {
    let steps: Vec<u64> = rows.iter().map(|row| row.step).collect();
    let train: Vec<f64> = rows.iter().map(|row| row.train).collect();
    let validation: Vec<Option<f64>> = rows.iter().map(|row| row.validation).collect();
    let weighting =
        |i: usize| -> Vec<Option<f64>> { rows.iter().map(|row| row.more.get(i).copied()).collect() };
    let mut table = df!(
        "step" => steps,
        "train_loss" => train,
        "validation_loss" => validation,
        "effective_share" => weighting(0),
        "shift" => weighting(1),
    )?;
    Ok(parquet::save(&mut table, ctx.output("loss")?, Vec::new())?)
}
