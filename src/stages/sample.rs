//! The `sample` kind.

use super::choice;
use super::context::Context;
use super::stage::{Checks, Input, Inputs, Issue, Output, Stage, StageError};
use crate::data::dataset::Dataset;
use crate::diffusion::model::Model;
use crate::diffusion::sampler::{Batch, Denoiser, Sampler, Step, sample};
use crate::nn::error::NnError;
use crate::nn::weights::{Weight, Weights};
use crate::random::Streams;
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// Samples a trained model.
pub struct Sample;

/// Parameters of `sample`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Number of samples.
    pub count: usize,
    /// `ancestral`, `ddim` or `h-family`.
    #[serde(deserialize_with = "choice::read")]
    #[schemars(schema_with = "choice::schema::<Sampler>")]
    pub sampler: Sampler,
    /// Number of sampling steps, 1 to the model's T; T if left out.
    pub steps: Option<usize>,
    /// Selects the random stream of each sample.
    pub seed: u64,
    /// Samples computed together on one thread; the result does not depend on it.
    pub batch: usize,
    /// Cuts the predicted clean sample to [−1, 1] at each step; for images only, and by default so.
    pub clip_denoised: Option<bool>,
}

impl Default for Params {
    fn default() -> Params {
        Params {
            count: 1000,
            sampler: Sampler::default(),
            steps: None,
            seed: 0,
            batch: 16,
            clip_denoised: None,
        }
    }
}

/// Samples between checkpoints.
const CHECKPOINT_EVERY: usize = 256;

/// Why sampling stopped early.
enum Stop {
    Cancelled,
    Failed(NnError),
}

/// A model whose evaluation can be interrupted.
struct Interruptible<'a>(&'a Model);

impl Denoiser for Interruptible<'_> {
    type Error = Stop;

    fn noise(&self, x: &[f32], t: &[usize]) -> Result<Vec<f32>, Stop> {
        self.0.noise(x, t).map_err(Stop::Failed)
    }
}

impl Stage for Sample {
    type Params = Params;
    const KIND: &'static str = "sample";
    const SUMMARY: &'static str = "Draws samples from a trained model, by the reverse chain, by DDIM, or by the family between and beyond them.";
    const NUMERIC: bool = true;

    fn inputs() -> Inputs {
        Inputs::of(vec![Input::one("model", "a model of a `train` stage")])
    }

    fn outputs(_: &Params) -> Vec<Output> {
        let about = "the samples, laid out as a data set; images are cut to [−1, 1] at the end";
        vec![Output::file("samples", "samples.safetensors", about)]
    }

    fn check(p: &Params) -> Vec<Issue> {
        let mut checks = Checks::default();
        checks.ensure(p.count >= 1, "count", || "must be at least 1".into());
        checks.ensure(p.batch >= 1, "batch", || "must be at least 1".into());
        checks.ensure(p.steps != Some(0), "steps", || "must be at least 1".into());
        if let Sampler::Ddim(d) = p.sampler {
            checks.ensure((0.0..=1.0).contains(&d.eta), "sampler.ddim.eta", || {
                format!("must be from 0 to 1, but is {}", d.eta)
            });
        }
        if let Sampler::HFamily(f) = p.sampler {
            checks.ensure(f.h >= 0.0 && f.h.is_finite(), "sampler.h-family.h", || {
                format!("must be 0 or more, but is {}", f.h)
            });
        }
        checks.0
    }

    fn run(p: &Params, ctx: &Context) -> Result<(), StageError> {
        let model = Model::load(&ctx.input("model")?.path)?;
        let timesteps = model.config.timesteps;
        let steps = p.steps.unwrap_or(timesteps);
        if steps > timesteps {
            let help = format!("give {timesteps} or less, or train with a larger `timesteps`");
            return Err(StageError::with_help(
                format!("{steps} sampling steps of a model of {timesteps}"),
                help,
            ));
        }
        let images = model.config.shape.len() == 3;
        let clip = p.clip_denoised.unwrap_or(images);
        let plan = p.sampler.plan(&model.schedule, steps);
        let mut x = match ctx.latest_checkpoint()? {
            Some(checkpoint) => {
                Weights::load(&checkpoint.path)?.tensors.remove("x").map_or(Vec::new(), |w| w.values)
            }
            None => Vec::new(),
        };
        while x.len() < p.count * model.size() {
            let first = x.len() / model.size();
            let last = (first + CHECKPOINT_EVERY.max(p.batch)).min(p.count);
            x.extend(samples(p, ctx, &model, &plan, clip, first..last)?);
            if last < p.count {
                let weight = Weight { shape: vec![last, model.size()], values: x.clone() };
                let tensors = BTreeMap::from([("x".to_owned(), weight)]);
                let weights = Weights { tensors, description: "{}".into() };
                ctx.save_checkpoint(last as u64, |path| Ok(weights.save(path)?))?;
            }
        }
        if images {
            x.iter_mut().for_each(|x| *x = x.clamp(-1.0, 1.0));
        }
        let mut shape = vec![p.count];
        shape.extend(&model.config.shape);
        let name = model.config.data.clone();
        Dataset { x, shape, y: None, name, levels: model.config.levels, classes: None }
            .save(ctx.output("samples")?)?;
        Ok(())
    }
}

/// The samples of these indices, batch by batch on the threads granted.
fn samples(
    p: &Params,
    ctx: &Context,
    model: &Model,
    plan: &[Step],
    clip: bool,
    range: Range<usize>,
) -> Result<Vec<f32>, StageError> {
    let streams = Streams::new(p.seed, "sampling noise");
    let done = AtomicU64::new((range.start * plan.len()) as u64);
    let total = (p.count * plan.len()) as u64;
    let batches: Vec<Vec<f32>> = range
        .clone()
        .step_by(p.batch)
        .collect::<Vec<_>>()
        .into_par_iter()
        .map(|first| {
            let count = p.batch.min(range.end - first);
            let batch = Batch { streams: &streams, first, count, size: model.size() };
            sample(&Interruptible(model), plan, batch, clip, || {
                let done = done.fetch_add(count as u64, Ordering::Relaxed) + count as u64;
                ctx.progress(done, total, "sample steps");
                if ctx.cancelled() { Err(Stop::Cancelled) } else { Ok(()) }
            })
        })
        .collect::<Result<_, Stop>>()
        .map_err(|stop| match stop {
            Stop::Cancelled => StageError::Cancelled,
            Stop::Failed(error) => error.into(),
        })?;
    Ok(batches.concat())
}
