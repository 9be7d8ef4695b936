//! The `sample` kind.

use crate::kinds::choice;
use crate::kinds::columns::Columns;
use crate::kinds::diffusion::compute::Compute;
use crate::kinds::diffusion::guided_model::{Guidance, GuidedModel, differentiable, no_variance, stopped};
use crate::kinds::rounds::{Rounds, Steps};
use onsager_numerics::random::Streams;
use onsager_runner::kind::context::Context;
use onsager_runner::kind::stage::{Checks, Input, Inputs, Issue, Output, Stage, StageError};
use onsager_science::data::dataset::Dataset;
use onsager_science::diffusion::discrete::ancestral::ReverseVariance;
use onsager_science::diffusion::discrete::denoiser::rounded;
use onsager_science::diffusion::discrete::plan::{Plan, sample, sample_paths};
use onsager_science::diffusion::discrete::refinement::refine;
use onsager_science::diffusion::discrete::sample_batch::Batch;
use onsager_science::diffusion::discrete::sampler::Sampler;
use onsager_science::nn::device::DeviceClass;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Samples a trained model.
pub struct Sample;

/// Parameters of `sample`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Number of samples.
    pub count: usize,
    /// `ancestral`, `ddim`, `heun`, `dpm-solver`, `refined` or `h-family`.
    #[serde(deserialize_with = "choice::read")]
    #[schemars(schema_with = "choice::schema::<Sampler>")]
    pub sampler: Sampler,
    /// Number of sampling steps, 1 to the model's T; T if left out.
    pub steps: Option<usize>,
    /// What draws samples towards their class: `none`, `classifier-free` or `classifier`.
    #[serde(deserialize_with = "choice::read")]
    #[schemars(schema_with = "choice::schema::<Guidance>")]
    pub guidance: Guidance,
    /// The classes that samples take in turn, for a conditional model or guidance by a classifier; all if left out.
    pub classes: Option<Vec<u32>>,
    /// Where the networks run: `auto`, `cpu`, `cuda` or `metal`.
    #[schemars(extend("default" = "auto"))]
    pub device: DeviceClass,
    /// Keeps the noise that each sample began with, for training on pairs of noise and sample (`pairing: given`).
    pub keep_start: bool,
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
            guidance: Guidance::default(),
            classes: None,
            device: DeviceClass::default(),
            keep_start: false,
            seed: 0,
            batch: 16,
            clip_denoised: None,
        }
    }
}

/// The purpose of the random streams.
const STREAM: &str = "sampling noise";
/// Samples of a round, if a batch is not larger.
const PER_ROUND: usize = 256;

impl Stage for Sample {
    type Params = Params;
    const KIND: &'static str = "sample";
    const SUMMARY: &'static str = "Draws samples from a trained model: by the reverse chain, by the probability flow, or along paths of least action.";
    const NUMERIC: bool = true;

    fn inputs() -> Inputs {
        let classifier =
            "with `guidance: classifier`, a model of a `classifier` stage that was trained on noisy images";
        Inputs::of(vec![
            Input::one("model", "a model of a `train` stage"),
            Input::one("classifier", classifier).optional(),
        ])
    }

    fn outputs(p: &Params) -> Vec<Output> {
        let about = "the samples, laid out as a data set, with `y` the intended classes where there are any; images are cut to [−1, 1] at the end";
        let cost = "the calls of the networks: `evaluations` of one sample, and all";
        let mut outputs = vec![
            Output::file("samples", "samples.safetensors", about),
            Output::file("info", "info.json", cost),
        ];
        if p.keep_start {
            let about = "with `keep_start`, the noise that each sample began with";
            outputs.push(Output::file("start", "start.safetensors", about));
        }
        if matches!(p.sampler, Sampler::Refined(_)) {
            let about = "sample, and the action of its path before and after refinement";
            outputs.push(Output::file("actions", "actions.parquet", about));
        }
        outputs
    }

    fn check(p: &Params) -> Vec<Issue> {
        let mut checks = Checks::default();
        checks.ensure(p.count >= 1, "count", || "must be at least 1".into());
        checks.ensure(p.batch >= 1, "batch", || "must be at least 1".into());
        checks.ensure(p.steps != Some(0), "steps", || "must be at least 1".into());
        check_sampler(&p.sampler, &mut checks);
        checks.not_negative(p.guidance.scale().as_slice());
        checks.ensure(p.classes.as_ref().is_none_or(|classes| !classes.is_empty()), "classes", || {
            "must have one class or more".into()
        });
        let refined = matches!((p.sampler, p.guidance), (Sampler::Refined(_), Guidance::Classifier(_)));
        checks.ensure(!refined, "guidance", || {
            "must not be `classifier` with the sampler `refined`, which would need the classifier's second derivatives".into()
        });
        checks.0
    }

    fn run(p: &Params, ctx: &Context) -> Result<(), StageError> {
        let guided = GuidedModel::load(ctx, p.device, p.guidance, p.classes.as_deref())?;
        let model = &guided.model;
        let steps = sampling_steps(p.steps, model.config.timesteps)?;
        fits(&p.sampler, &guided)?;
        let images = model.config.shape.len() == 3;
        let clip = p.clip_denoised.unwrap_or(images);
        let job = Job { p, ctx, guided: &guided, plan: p.sampler.plan(&model.schedule, steps), steps, clip };
        let Drawn { mut x, before, after } = job.samples()?;
        if images {
            x.iter_mut().for_each(|x| *x = x.clamp(-1.0, 1.0));
        }
        let mut shape = vec![p.count];
        shape.extend(&model.config.shape);
        let (y, classes) = guided.classes(0..p.count).unzip();
        let name = model.config.data.clone();
        let samples = Dataset { x, shape, y, name, levels: model.config.levels, classes };
        samples.save(ctx.output("samples")?)?;
        let text = serde_json::to_string_pretty(&job.info())? + "\n";
        std::fs::write(ctx.output("info")?, text)?;
        if p.keep_start {
            let streams = Streams::new(p.seed, STREAM);
            let batch = Batch { streams: &streams, first: 0, count: p.count, size: model.size() };
            Dataset { x: rounded(&batch.start()), ..samples }.save(ctx.output("start")?)?;
        }
        if matches!(p.sampler, Sampler::Refined(_)) {
            let numbers = |values: &[f32]| values.iter().map(|&x| Some(f64::from(x))).collect::<Vec<_>>();
            let mut table = Columns::default();
            table
                .integers("sample", (0..p.count).map(|i| Some(i as i64)))
                .numbers("before", numbers(&before))
                .numbers("after", numbers(&after));
            table.write(ctx.output("actions")?)?;
        }
        Ok(())
    }
}

/// Refuses settings of a sampler.
pub fn check_sampler(sampler: &Sampler, checks: &mut Checks) {
    if let Sampler::Ddim(d) = sampler {
        checks.ensure((0.0..=1.0).contains(&d.eta), "sampler.ddim.eta", || {
            format!("must be from 0 to 1, but is {}", d.eta)
        });
    }
    if let Sampler::HFamily(f) = sampler {
        checks.not_negative(&[("sampler.h-family.h", f.h)]);
    }
    if let Sampler::Refined(r) = sampler {
        checks.positive(&[("sampler.refined.rate", r.rate)]);
    }
}

/// The number of sampling steps of a model of T = `timesteps`.
pub fn sampling_steps(wanted: Option<usize>, timesteps: usize) -> Result<usize, StageError> {
    let steps = wanted.unwrap_or(timesteps);
    if steps > timesteps {
        let help = format!("give {timesteps} or less, or train with a larger `timesteps`");
        return Err(StageError::with_help(format!("{steps} sampling steps of a model of {timesteps}"), help));
    }
    Ok(steps)
}

/// Refuses a sampler that the model is not fit for.
pub fn fits(sampler: &Sampler, guided: &GuidedModel) -> Result<(), StageError> {
    match sampler {
        Sampler::Ancestral(a)
            if a.variance == ReverseVariance::Learned && !guided.model.config.head.variance =>
        {
            Err(no_variance())
        }
        Sampler::Refined(_) => differentiable(&guided.model, "the sampler `refined`"),
        _ => Ok(()),
    }
}

/// What has been drawn.
#[derive(Default, Serialize, Deserialize)]
struct Drawn {
    x: Vec<f32>,
    /// The actions of refined paths.
    before: Vec<f32>,
    after: Vec<f32>,
}

impl Drawn {
    fn append(&mut self, other: Drawn) {
        self.x.extend(other.x);
        self.before.extend(other.before);
        self.after.extend(other.after);
    }
}

/// What a sampling has cost.
#[derive(Serialize)]
struct Info {
    samples: usize,
    steps: usize,
    /// Calls of the network for one sample.
    evaluations: usize,
    #[serde(flatten)]
    compute: Compute,
}

/// What all batches share.
struct Job<'a> {
    p: &'a Params,
    ctx: &'a Context,
    guided: &'a GuidedModel,
    plan: Plan,
    steps: usize,
    clip: bool,
}

impl Job<'_> {
    /// The evaluations that one sample takes, for the progress.
    fn work(&self) -> usize {
        match self.p.sampler {
            Sampler::Refined(r) => self.plan.steps() + (r.iterations + 1) * (self.steps - 1),
            _ => self.plan.steps(),
        }
    }

    /// The calls of the model's network for one sample, and of these the differentiated ones. A scale of classifier-free guidance takes
    /// two calls for one; of guidance by a classifier, its own network is called and differentiated as often as the model's is called.
    fn info(&self) -> Info {
        let (coarse, relaxed) = match self.p.sampler {
            Sampler::Refined(r) => (self.plan.evaluations(), (r.iterations + 1) * (self.steps - 1)),
            _ => (self.plan.evaluations(), 0),
        };
        let (twice, differentiated) = match self.p.guidance {
            Guidance::ClassifierFree(_) => (2, 0),
            Guidance::Classifier(_) => (2, coarse),
            _ => (1, 0),
        };
        let evaluations = twice * (coarse + relaxed);
        let calls = |of_one: usize| of_one as f64 * self.p.count as f64;
        let compute = Compute {
            forward_calls: calls(evaluations),
            backward_calls: calls(relaxed * twice + differentiated),
            ..Compute::default()
        };
        Info { samples: self.p.count, steps: self.steps, evaluations, compute }
    }

    /// All samples, batch by batch on the threads granted.
    fn samples(&self) -> Result<Drawn, StageError> {
        let streams = Streams::new(self.p.seed, STREAM);
        let rounds = Rounds {
            items: self.p.count as u64,
            per_round: PER_ROUND.max(self.p.batch) as u64,
            steps: self.work() as u64,
            unit: "sample steps",
        };
        rounds.run(self.ctx, Drawn::default(), |drawn, round| {
            let batches = rounds.blocks(self.ctx, round, self.p.batch, |range, steps| {
                let size = self.guided.model.size();
                self.batch(Batch { streams: &streams, first: range.start, count: range.len(), size }, steps)
            })?;
            batches.into_iter().for_each(|batch| drawn.append(batch));
            Ok(())
        })
    }

    fn batch(&self, batch: Batch<'_>, steps: &Steps<'_>) -> Result<Drawn, StageError> {
        let step_done = || Ok(steps.step(batch.count)?);
        let model = self.guided.batch(batch.first..batch.first + batch.count);
        let Sampler::Refined(r) = self.p.sampler else {
            let x = sample(&model, &self.plan, batch, self.clip, step_done).map_err(stopped)?;
            return Ok(Drawn { x: rounded(&x), ..Drawn::default() });
        };
        let states = sample_paths(&model, &self.plan, batch, self.clip, step_done).map_err(stopped)?;
        let chain = r.chain(&self.guided.model.schedule, self.steps);
        let refined =
            refine(&model, &chain, states, batch.count, &r, self.clip, step_done).map_err(stopped)?;
        Ok(Drawn { x: rounded(&refined.x), before: rounded(&refined.before), after: rounded(&refined.after) })
    }
}
