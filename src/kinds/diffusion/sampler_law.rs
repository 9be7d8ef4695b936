//! The `sampler-law` kind.

use crate::kinds::choice;
use crate::kinds::columns::Columns;
use crate::kinds::diffusion::guided_model::{GuidedModel, Stop, stopped};
use crate::kinds::diffusion::sample::{check_sampler, fits, sampling_steps};
use crate::kinds::rounds::Rounds;
use onsager_numerics::random::Streams;
use onsager_numerics::statistics::{
    chi_square_cdf, chi_square_quantile, kolmogorov_smirnov, mean, standard_error,
};
use onsager_runner::kind::context::Context;
use onsager_runner::kind::stage::{Checks, Input, Inputs, Issue, Output, Stage, StageError};
use onsager_science::data::dataset::Dataset;
use onsager_science::diffusion::discrete::chain::Step;
use onsager_science::diffusion::discrete::path_action::{kinetic_actions, path_actions};
use onsager_science::diffusion::discrete::plan::{Plan, sample_paths};
use onsager_science::diffusion::discrete::sample_batch::Batch;
use onsager_science::diffusion::discrete::sampler::Sampler;
use onsager_science::nn::device::DeviceClass;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The law of the paths of a sampler.
pub struct SamplerLaw;

/// Parameters of `sampler-law`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Number of paths.
    pub paths: usize,
    /// A sampler with noise: `ancestral`, `ddim` with η above 0 or `h-family` with h above 0.
    #[serde(deserialize_with = "choice::read")]
    #[schemars(schema_with = "choice::schema::<Sampler>")]
    pub sampler: Sampler,
    /// Number of sampling steps, 2 to the model's T; T if left out.
    pub steps: Option<usize>,
    /// Where the networks run: `auto`, `cpu`, `cuda` or `metal`.
    #[schemars(extend("default" = "auto"))]
    pub device: DeviceClass,
    /// Selects the random stream of each path.
    pub seed: u64,
    /// Paths computed together on one thread; the result does not depend on it.
    pub batch: usize,
}

impl Default for Params {
    fn default() -> Params {
        Params {
            paths: 1000,
            sampler: Sampler::default(),
            steps: None,
            device: DeviceClass::default(),
            seed: 0,
            batch: 16,
        }
    }
}

/// Paths of a round, if a batch is not larger.
const PER_ROUND: usize = 256;
/// Numbers kept of each path: action, normaliser, kinetic action, and the action of a forward path.
const KEPT: usize = 4;

impl Stage for SamplerLaw {
    type Params = Params;
    const KIND: &'static str = "sampler-law";
    const SUMMARY: &'static str = "The action A of a sampler's paths, from their states and fresh calls of the network: 2A against the law of χ², and the action of forward paths of data.";
    const NUMERIC: bool = true;

    fn inputs() -> Inputs {
        Inputs::of(vec![
            Input::one("model", "a model of a `train` stage; a conditional one takes all classes in turn"),
            Input::one(
                "data",
                "data whose forward paths are measured too, such as the test part of a `dataset` stage",
            )
            .optional(),
        ])
    }

    fn outputs(_: &Params) -> Vec<Output> {
        vec![
            Output::file(
                "actions",
                "actions.parquet",
                "in the order of the actions: path, action A, twice_action, chi_square (its quantile under the law of χ²), degrees, p_value, kinetic_action, \
                 forward_action (of the data's path of this number)",
            ),
            Output::file(
                "summary",
                "summary.parquet",
                "paths, degrees, twice_action (mean) with its error, distance and p_value (Kolmogorov–Smirnov), the means kinetic_action and forward_action with \
                 their errors, forward_ratio (twice the forward action over the degrees), and negative_log_path (the mean −ln p of a forward path given its end)",
            ),
        ]
    }

    fn check(p: &Params) -> Vec<Issue> {
        let mut checks = Checks::default();
        checks.ensure(p.paths >= 1, "paths", || "must be at least 1".into());
        checks.ensure(p.batch >= 1, "batch", || "must be at least 1".into());
        checks.ensure(p.steps.is_none_or(|steps| steps >= 2), "steps", || {
            "must be at least 2: the last step has no noise".into()
        });
        check_sampler(&p.sampler, &mut checks);
        let quiet = match p.sampler {
            Sampler::Ancestral(_) => false,
            Sampler::Ddim(d) => d.eta == 0.0,
            Sampler::HFamily(f) => f.h == 0.0,
            _ => true,
        };
        checks.ensure(!quiet, "sampler", || {
            "must have noise, so that paths have a probability: `ancestral`, `ddim` with `eta` above 0 or `h-family` with `h` above 0"
                .into()
        });
        checks.0
    }

    fn run(p: &Params, ctx: &Context) -> Result<(), StageError> {
        let guided = GuidedModel::unguided(ctx, p.device)?;
        let steps = sampling_steps(p.steps, guided.model.config.timesteps)?;
        fits(&p.sampler, &guided)?;
        let Plan::Chain(chain) = p.sampler.plan(&guided.model.schedule, steps) else {
            return Err("the sampler has no noise".into());
        };
        let noisy = chain.iter().filter(|step| step.sigma.is_noisy()).count();
        if noisy == 0 {
            return Err(StageError::with_help("no step has noise", "take more `steps`"));
        }
        let data = match ctx.items("data").first() {
            None => None,
            Some(item) => Some(Dataset::load(&item.path)?),
        };
        if let Some(data) = &data
            && (data.shape.get(1..) != Some(&guided.model.config.shape[..]) || data.count() == 0)
        {
            return Err(StageError::with_help(
                format!(
                    "the data have the shape {:?}, the model {:?}",
                    data.shape, guided.model.config.shape
                ),
                "give the data that the model was trained for",
            ));
        }
        let job = Job { p, ctx, guided: &guided, chain, data };
        let values = job.values()?;
        let degrees = (noisy * guided.model.size()) as f64;
        job.write(&values.chunks_exact(KEPT).collect::<Vec<_>>(), degrees)
    }
}

struct Job<'a> {
    p: &'a Params,
    ctx: &'a Context,
    guided: &'a GuidedModel,
    chain: Vec<Step>,
    data: Option<Dataset>,
}

impl Job<'_> {
    /// The numbers kept of all paths, batch by batch on the threads granted.
    fn values(&self) -> Result<Vec<f64>, StageError> {
        let rounds = Rounds {
            items: self.p.paths as u64,
            per_round: PER_ROUND.max(self.p.batch) as u64,
            steps: self.chain.len() as u64,
            unit: "path steps",
        };
        rounds.collect(self.ctx, self.p.batch, |batch, steps| {
            self.batch(batch.start, batch.len(), || Ok(steps.step(batch.len())?))
        })
    }

    fn batch(
        &self,
        first: usize,
        count: usize,
        step_done: impl FnMut() -> Result<(), Stop>,
    ) -> Result<Vec<f64>, StageError> {
        let streams = Streams::new(self.p.seed, "sampling noise");
        let batch = Batch { streams: &streams, first, count, size: self.guided.model.size() };
        let model = self.guided.batch(first..first + count);
        let states = sample_paths(&model, &Plan::Chain(self.chain.clone()), batch, false, step_done)
            .map_err(stopped)?;
        let actions = path_actions(&model, &self.chain, &states, count).map_err(stopped)?;
        let kinetic = kinetic_actions(&self.chain, &states, count);
        let forward = match &self.data {
            None => vec![None; count],
            Some(data) => {
                let states = self.forward_paths(data, batch);
                path_actions(&model, &self.chain, &states, count)
                    .map_err(stopped)?
                    .into_iter()
                    .map(Some)
                    .collect()
            }
        };
        let rows = actions.iter().zip(&kinetic).zip(&forward).flat_map(|((path, &kinetic), forward)| {
            // The normaliser is wanted of forward paths alone: that of the sampled ones is their entropy.
            let forward = forward.map_or([f64::NAN; 2], |path| [path.action, path.normaliser]);
            [path.action, forward[1], kinetic, forward[0]]
        });
        Ok(rows.collect())
    }

    /// Paths of the forward process over the steps of the chain, drawn jointly, from noise to data; path i begins in item i, and so on around.
    fn forward_paths(&self, data: &Dataset, batch: Batch<'_>) -> Vec<Vec<f64>> {
        let streams = Streams::new(self.p.seed, "forward noise");
        let batch = Batch { streams: &streams, ..batch };
        let item = |i: usize| data.item((batch.first + i) % data.count());
        let mut states: Vec<Vec<f64>> =
            vec![(0..batch.count).flat_map(item).map(|&x| f64::from(x)).collect()];
        let mut last = 1.0;
        for step in self.chain.iter().rev() {
            let alpha: f64 = step.alpha_bar / last;
            last = step.alpha_bar;
            let noise = batch.noise(step.t);
            let from = &states[states.len() - 1];
            let next =
                from.iter().zip(&noise).map(|(x, &z)| alpha.sqrt() * x + (1.0 - alpha).sqrt() * f64::from(z));
            let next = next.collect();
            states.push(next);
        }
        states.reverse();
        states
    }

    fn write(&self, rows: &[&[f64]], degrees: f64) -> Result<(), StageError> {
        let column = |k: usize| rows.iter().map(|row| row[k]).collect::<Vec<f64>>();
        let twice: Vec<f64> = rows.iter().map(|row| 2.0 * row[0]).collect();
        let (distance, p_value) = kolmogorov_smirnov(&twice, |x| chi_square_cdf(x, degrees));
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by(|&a, &b| twice[a].total_cmp(&twice[b]));
        let n = rows.len();
        let ordered = |k: usize| order.iter().map(move |&path| Some(rows[path][k])).collect::<Vec<_>>();
        let quantile = |i: usize| chi_square_quantile((i as f64 + 0.5) / n as f64, degrees);
        let mut table = Columns::default();
        table
            .integers("path", order.iter().map(|&path| Some(path as i64)))
            .numbers("action", ordered(0))
            .numbers("twice_action", order.iter().map(|&path| Some(twice[path])))
            .numbers("chi_square", (0..n).map(|i| Some(quantile(i))))
            .numbers("degrees", vec![Some(degrees); n])
            .numbers("p_value", vec![Some(p_value); n])
            .numbers("kinetic_action", ordered(2))
            .numbers("forward_action", ordered(3));
        table.write(self.ctx.output("actions")?)?;
        let (kinetic, forward) = (column(2), column(3));
        let unlikely: Vec<f64> = rows.iter().map(|row| row[1] + row[3]).collect();
        let mut summary = Columns::default();
        summary
            .integers("paths", [Some(n as i64)])
            .numbers("degrees", [Some(degrees)])
            .numbers("twice_action", [Some(mean(&twice))])
            .numbers("twice_action_error", [Some(standard_error(&twice))])
            .numbers("distance", [Some(distance)])
            .numbers("p_value", [Some(p_value)])
            .numbers("kinetic_action", [Some(mean(&kinetic))])
            .numbers("kinetic_action_error", [Some(standard_error(&kinetic))])
            .numbers("forward_action", [Some(mean(&forward))])
            .numbers("forward_action_error", [Some(standard_error(&forward))])
            .numbers("forward_ratio", [Some(2.0 * mean(&forward) / degrees)])
            .numbers("negative_log_path", [Some(mean(&unlikely))]);
        summary.write(self.ctx.output("summary")?)
    }
}
