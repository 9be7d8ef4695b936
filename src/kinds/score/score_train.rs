//! The `score-train` kind.

use crate::kinds::choice;
use crate::kinds::columns::Columns;
use crate::kinds::training::TrainingHost;
use candle_core::Tensor;
use onsager_numerics::random::Streams;
use onsager_runner::kind::context::Context;
use onsager_runner::kind::stage::{Checks, Input, Inputs, Issue, Output, Stage, StageError};
use onsager_science::data::dataset::Dataset;
use onsager_science::diffusion::continuous::score_matching::{Epochs, Weighting, noised};
use onsager_science::diffusion::continuous::score_model::{ScoreConfig, ScoreModel, Source};
use onsager_science::diffusion::continuous::sde::Sde;
use onsager_science::nn::device::DeviceClass;
use onsager_science::nn::error::NnError;
use onsager_science::nn::layers::parameters::Parameters;
use onsager_science::nn::networks::score_net::{BLOCK, Examples, ScoreNet};
use onsager_science::nn::networks::swish_mlp::SwishMlpConfig;
use onsager_science::nn::training::adamw::AdamWConfig;
use onsager_science::nn::training::fit::{Plan, Step, Task, fit};
use onsager_science::nn::training::trainer::Trainer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

/// Trains a score in continuous time.
pub struct ScoreTrain;

/// Parameters of `score-train`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// The forward process: `simple`, `cosine`, `vp`, `sub-vp` or `ve`.
    #[serde(deserialize_with = "choice::read")]
    #[schemars(schema_with = "choice::schema::<Sde>")]
    pub sde: Sde,
    /// The network: a multilayer perceptron on (x, t) with swish, whose output is the score.
    pub network: SwishMlpConfig,
    /// The weight of each time in the loss.
    pub weighting: Weighting,
    /// Number of optimiser steps. An epoch of n points is n/batch of them, rounded down.
    pub steps: u64,
    /// Points in a step.
    pub batch: usize,
    /// Adam's learning rate.
    pub learning_rate: f64,
    /// Where the network runs while it is trained: `auto`, `cpu`, `cuda` or `metal`.
    #[schemars(extend("default" = "auto"))]
    pub device: DeviceClass,
    /// Selects the random streams: initial weights, order of the data, times and noise.
    pub seed: u64,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
    /// Steps between rows of the loss table.
    pub validate_every: u64,
}

impl Default for Params {
    fn default() -> Params {
        Params {
            sde: Sde::default(),
            network: SwishMlpConfig::default(),
            weighting: Weighting::default(),
            steps: 80_000,
            batch: 512,
            learning_rate: 1e-3,
            device: DeviceClass::default(),
            seed: 0,
            checkpoint_every: 5000,
            validate_every: 1000,
        }
    }
}

impl Stage for ScoreTrain {
    type Params = Params;
    const KIND: &'static str = "score-train";
    const SUMMARY: &'static str = "Trains a score model in continuous time on points of one or two coordinates, by denoising score matching.";
    const NUMERIC: bool = true;

    fn inputs() -> Inputs {
        Inputs::of(vec![
            Input::one("data", "the points to train on"),
            Input::one("validation", "points for the validation loss").optional(),
        ])
    }

    fn outputs(_: &Params) -> Vec<Output> {
        vec![
            Output::file("model", "model.safetensors", "the weights, with the model's description"),
            Output::file(
                "loss",
                "loss.parquet",
                "step, train_loss (mean since the last row), validation_loss (fixed times and noise)",
            ),
            Output::file("info", "info.json", "the number of parameters and the settings"),
        ]
    }

    fn check(p: &Params) -> Vec<Issue> {
        let mut checks = Checks(sde_issues("sde", &p.sde));
        let sizes =
            [("network.width", p.network.width), ("network.layers", p.network.layers), ("batch", p.batch)];
        for (field, value) in sizes {
            checks.ensure(value >= 1, field, || "must be at least 1, but is 0".into());
        }
        let counts = [
            ("steps", p.steps),
            ("checkpoint_every", p.checkpoint_every),
            ("validate_every", p.validate_every),
        ];
        for (field, value) in counts {
            checks.ensure(value >= 1, field, || "must be at least 1, but is 0".into());
        }
        checks.positive(&[("learning_rate", p.learning_rate)]);
        checks.0
    }

    fn run(p: &Params, ctx: &Context) -> Result<(), StageError> {
        let data = Dataset::load(&ctx.input("data")?.path)?;
        if data.is_images() || !(1..=2).contains(&data.size()) {
            let help = "give points in one or two dimensions; `train` takes images";
            return Err(StageError::with_help(
                format!("`data` has items of shape {:?}", &data.shape[1..]),
                help,
            ));
        }
        if data.count() < p.batch {
            let help = format!("set `batch` to at most {}, or draw more points", data.count());
            return Err(StageError::with_help(
                format!("a batch of {} from {} points", p.batch, data.count()),
                help,
            ));
        }
        let validation = match ctx.items("validation") {
            [item, ..] => Some(validation_examples(p, &Dataset::load(&item.path)?, &data)?),
            [] => None,
        };
        let parameters = Parameters::random(p.seed, &p.device.device()?);
        let network = ScoreNet::new(p.network, data.size(), &parameters)?;
        // Plain Adam, without weight decay, clipping and moving average.
        let adam = AdamWConfig { learning_rate: p.learning_rate, warmup: 0, weight_decay: 0.0, clip: 0.0 };
        let mut trainer = Trainer::new(parameters, adam, 0.0)?;
        let plan = Plan {
            steps: p.steps,
            checkpoint_every: p.checkpoint_every,
            validate_every: Some(p.validate_every),
        };
        let epochs = Epochs::new(p.seed, data.count(), p.batch);
        let mut task = Scores { p, data: &data, validation, network: &network, epochs };
        let history = fit(&TrainingHost(ctx), plan, &mut trainer, &mut task, ())?;

        let config = ScoreConfig {
            data: data.name.clone(),
            size: data.size(),
            sde: p.sde,
            source: Source::Trained { network: p.network, weighting: p.weighting },
        };
        ScoreModel::new(config, trainer.averaged(String::new())).save(ctx.output("model")?)?;
        let mut table = Columns::default();
        table
            .integers("step", history.rows.iter().map(|row| Some(row.step as i64)))
            .numbers("train_loss", history.rows.iter().map(|row| Some(row.train)))
            .numbers("validation_loss", history.rows.iter().map(|row| row.validation));
        table.write(ctx.output("loss")?)?;
        let info = json!({
            "data": data.name,
            "points": data.count(),
            "parameters": trainer.parameter_count(),
            "settings": p,
        });
        std::fs::write(ctx.output("info")?, serde_json::to_string_pretty(&info)? + "\n")?;
        Ok(())
    }
}

/// What is wrong with a forward process, at its fields.
pub fn sde_issues(field: &str, sde: &Sde) -> Vec<Issue> {
    let at = |(name, message): (&str, String)| Issue::new(&format!("{field}.{}.{name}", sde.name()), message);
    sde.issues().into_iter().map(at).collect()
}

/// Every validation point once, at a fixed time with fixed noise, so that models and seeds are compared on the same draws.
fn validation_examples(p: &Params, points: &Dataset, data: &Dataset) -> Result<Examples, StageError> {
    if points.shape[1..] != data.shape[1..] {
        let (found, wanted) = (&points.shape[1..], &data.shape[1..]);
        return Err(format!("`validation` has points of shape {found:?}, `data` of {wanted:?}").into());
    }
    let streams = Streams::new(0, "score validation noise");
    let mut examples = Examples::default();
    for i in 0..points.count() {
        noised(points.item(i), &p.sde, p.weighting, &mut streams.stream(i as u64), &mut examples);
    }
    Ok(examples)
}

/// The training of a score.
struct Scores<'a> {
    p: &'a Params,
    data: &'a Dataset,
    validation: Option<Examples>,
    network: &'a ScoreNet,
    epochs: Epochs,
}

impl Scores<'_> {
    /// The share of the `b`-th block of so many examples in their mean loss.
    fn part(&self, examples: &Examples, block: usize, b: usize) -> Result<Tensor, NnError> {
        let count = examples.weights.len();
        let range = b * block..(b * block + block).min(count);
        self.network.loss(examples, range, 1.0 / count as f64)
    }
}

impl Task for Scores<'_> {
    type State = ();

    fn step(&mut self, trainer: &Trainer, (): &mut ()) -> Result<Step, NnError> {
        let p = self.p;
        let noise = Streams::new(p.seed, "score training noise");
        let mut examples = Examples::default();
        let first = trainer.step() * p.batch as u64;
        for (i, &item) in self.epochs.batch(trainer.step()).iter().enumerate() {
            let mut stream = noise.stream(first + i as u64);
            noised(self.data.item(item), &p.sde, p.weighting, &mut stream, &mut examples);
        }
        let block = trainer.block(BLOCK, p.batch);
        let (loss, gradient) =
            trainer.gradient(p.batch.div_ceil(block), |b| self.part(&examples, block, b))?;
        Ok(Step { loss, gradient, more: Vec::new() })
    }

    fn validation(&self, trainer: &Trainer) -> Result<Option<f64>, NnError> {
        let loss = |examples: &Examples| {
            let count = examples.weights.len();
            let block = trainer.evaluation_block(BLOCK, count);
            trainer.loss(count.div_ceil(block), |b| self.part(examples, block, b))
        };
        self.validation.as_ref().map(loss).transpose()
    }
}
