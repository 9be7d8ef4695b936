//! The `likelihood` kind.

use crate::kinds::choice;
use crate::kinds::columns::Columns;
use crate::kinds::diffusion::guided_model::{GuidedModel, Stop, differentiable, stopped};
use crate::kinds::diffusion::sample::sampling_steps;
use crate::kinds::rounds::Rounds;
use onsager_numerics::random::Streams;
use onsager_numerics::statistics::{deviation, mean, mean_interval, standard_error};
use onsager_runner::kind::context::Context;
use onsager_runner::kind::stage::{Checks, Input, Inputs, Issue, Output, Stage, StageError};
use onsager_science::data::dataset::Dataset;
use onsager_science::diffusion::discrete::bound::Bound;
use onsager_science::diffusion::discrete::flow_likelihood::{Divergence, log_densities};
use onsager_science::diffusion::discrete::node::Node;
use onsager_science::diffusion::discrete::sample_batch::Batch;
use onsager_science::diffusion::discrete::schedule::{Schedule, Spacing};
use onsager_science::nn::device::DeviceClass;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::LN_2;

/// The likelihood of data under a trained model.
pub struct Likelihood;

/// Parameters of `likelihood`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// `bound` or `flow`.
    #[serde(deserialize_with = "choice::read")]
    #[schemars(schema_with = "choice::schema::<Method>")]
    pub method: Method,
    /// How many of the items are taken, the first ones; all if left out.
    pub count: Option<usize>,
    /// Where the networks run: `auto`, `cpu`, `cuda` or `metal`.
    #[schemars(extend("default" = "auto"))]
    pub device: DeviceClass,
    /// Selects the random streams of each item.
    pub seed: u64,
    /// Items computed together on one thread; the result does not depend on it.
    pub batch: usize,
}

/// How the likelihood is found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The variational bound of the reverse chain, term by term. σ_t² is the model's own where it learned one, else β_t for t ≥ 2 and β̃_2 at t = 1.
    Bound(BoundMethod),
    /// The density that the probability flow carries from N(0, I), of uniformly dequantised data if they have grey levels.
    Flow(FlowMethod),
}

/// The bound.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BoundMethod {
    /// Draws of the noise for each item and step.
    pub draws: usize,
    /// Cuts the predicted clean sample to [−1, 1] at each step; for images only, and by default so.
    pub clip_denoised: Option<bool>,
}

/// The probability flow.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FlowMethod {
    /// Steps of Heun's method; at most as many as the model has.
    pub steps: usize,
    /// Where the steps lie.
    pub spacing: Spacing,
    /// Draws of the uniform noise for each item; one for data without grey levels.
    pub dequantisations: usize,
    /// Draws of the vectors of Hutchinson's estimator for each of these; up to three dimensions the divergence is exact and one is all.
    pub probes: usize,
    /// The flow ends at the first step with ᾱ at most this, where the law is taken for N(0, I); at T if there is none.
    pub last_alpha_bar: f64,
}

impl Default for BoundMethod {
    fn default() -> BoundMethod {
        BoundMethod { draws: 1, clip_denoised: None }
    }
}

impl Default for FlowMethod {
    fn default() -> FlowMethod {
        FlowMethod {
            steps: 100,
            spacing: Spacing::LogSnr,
            dequantisations: 2,
            probes: 2,
            last_alpha_bar: 1e-4,
        }
    }
}

impl Default for Method {
    fn default() -> Method {
        Method::Bound(BoundMethod::default())
    }
}

impl Default for Params {
    fn default() -> Params {
        Params { method: Method::default(), count: None, device: DeviceClass::default(), seed: 0, batch: 16 }
    }
}

/// Items of a round, if a batch is not larger.
const PER_ROUND: usize = 64;
/// Up to so many dimensions the divergence is computed exactly.
const EXACT: usize = 3;

impl Stage for Likelihood {
    type Params = Params;
    const KIND: &'static str = "likelihood";
    const SUMMARY: &'static str = "The likelihood of data under a trained model in bits per dimension: by the variational bound or by the probability flow.";
    const NUMERIC: bool = true;

    fn inputs() -> Inputs {
        Inputs::of(vec![
            Input::one("model", "a model of a `train` stage; a conditional one is asked without class"),
            Input::one("data", "images or points, such as the test part of a `dataset` stage"),
        ])
    }

    fn outputs(p: &Params) -> Vec<Output> {
        let items = Output::file("items", "items.parquet", "item, bits_per_dim");
        let about = "items, dimensions, levels (of grey), bits_per_dim with its standard_error, lower and upper (the 95 % interval over items)";
        let (more, terms) = match p.method {
            Method::Bound(_) => (
                "; the sums decoder, kl and prior, and draws",
                Output::file(
                    "terms",
                    "terms.parquet",
                    "term (decoder, kl, prior), t, bits_per_dim, standard_error (over items); the sum of all is the bound",
                ),
            ),
            Method::Flow(_) => (
                "; dequantisations, probes, probe_spread (the largest less the smallest value over probes, over their mean), probe_deviation (the \
                 deviation between probes of one item, averaged), dequantised (whether the model was trained on such data)",
                Output::file(
                    "draws",
                    "draws.parquet",
                    "dequantisation, probe, bits_per_dim, standard_error (over items)",
                ),
            ),
        };
        vec![Output::file("summary", "summary.parquet", &format!("{about}{more}")), terms, items]
    }

    fn check(p: &Params) -> Vec<Issue> {
        let mut checks = Checks::default();
        checks.ensure(p.count != Some(0), "count", || "must be at least 1".into());
        checks.ensure(p.batch >= 1, "batch", || "must be at least 1".into());
        match p.method {
            Method::Bound(b) => checks.range("method.bound.draws", b.draws as u64, 1..=1000),
            Method::Flow(f) => {
                checks.ensure(f.steps >= 1, "method.flow.steps", || "must be at least 1".into());
                checks.range("method.flow.dequantisations", f.dequantisations as u64, 1..=1000);
                checks.range("method.flow.probes", f.probes as u64, 1..=1000);
                checks.ensure(
                    f.last_alpha_bar > 0.0 && f.last_alpha_bar < 1.0,
                    "method.flow.last_alpha_bar",
                    || format!("must be between 0 and 1, but is {}", f.last_alpha_bar),
                );
            }
        }
        checks.0
    }

    fn run(p: &Params, ctx: &Context) -> Result<(), StageError> {
        let guided = GuidedModel::without_classes(ctx, p.device)?;
        let data = items(ctx, &guided, p.count)?;
        let job =
            Job { p, ctx, guided: &guided, data: &data, levels: data.levels.filter(|_| data.is_images()) };
        if job.levels.is_some_and(|levels| levels < 2) {
            return Err(StageError::with_help("images of one grey level", "give data of two levels or more"));
        }
        let kept = job.kept()?;
        let values = job.values()?;
        let rows: Vec<&[f64]> = values.chunks_exact(kept).collect();
        match p.method {
            Method::Bound(b) => job.write_bound(&b, &rows),
            Method::Flow(f) => job.write_flow(&f, &rows),
        }
    }
}

/// The first `count` items of the input `data`, which must be what the model makes.
fn items(ctx: &Context, guided: &GuidedModel, count: Option<usize>) -> Result<Dataset, StageError> {
    let data = Dataset::load(&ctx.input("data")?.path)?;
    let wanted = &guided.model.config.shape;
    if data.shape.get(1..) != Some(&wanted[..]) {
        return Err(StageError::with_help(
            format!(
                "the data have the shape {:?}, the model {wanted:?}",
                data.shape.get(1..).unwrap_or_default()
            ),
            "give the data that the model was trained for",
        ));
    }
    let count = count.unwrap_or(data.count());
    if count > data.count() || count == 0 {
        let message = format!("{count} items are asked for, and there are {}", data.count());
        return Err(StageError::with_help(message, "lower `count`, or give more data"));
    }
    Ok(data.select(&(0..count).collect::<Vec<_>>()))
}

struct Job<'a> {
    p: &'a Params,
    ctx: &'a Context,
    guided: &'a GuidedModel,
    data: &'a Dataset,
    levels: Option<u32>,
}

impl Job<'_> {
    fn schedule(&self) -> &Schedule {
        &self.guided.model.schedule
    }

    fn size(&self) -> usize {
        self.data.size()
    }

    /// The draws of the flow for each item: dequantisations and probes.
    fn draws(&self, f: &FlowMethod) -> [usize; 2] {
        [
            if self.levels.is_some() { f.dequantisations } else { 1 },
            if self.size() <= EXACT { 1 } else { f.probes },
        ]
    }

    /// The numbers kept of each item: the terms of the bound, or the bits per dimension of each draw.
    fn kept(&self) -> Result<usize, StageError> {
        match self.p.method {
            Method::Bound(_) => Ok(self.schedule().timesteps() + 1),
            Method::Flow(f) => {
                differentiable(&self.guided.model, "the likelihood by the flow")?;
                Ok(self.draws(&f).iter().product())
            }
        }
    }

    /// Those numbers of all items, block by block on the threads granted.
    fn values(&self) -> Result<Vec<f64>, StageError> {
        let nodes = match self.p.method {
            Method::Bound(_) => Vec::new(),
            Method::Flow(f) => self.nodes(&f)?,
        };
        let work = match self.p.method {
            Method::Bound(_) => self.schedule().timesteps(),
            Method::Flow(_) => nodes.len() - 1,
        };
        let rounds = Rounds {
            items: self.data.count() as u64,
            per_round: PER_ROUND.max(self.p.batch) as u64,
            steps: work as u64,
            unit: "steps of items",
        };
        rounds.collect(self.ctx, self.p.batch, |batch, steps| {
            let (first, count) = (batch.start, batch.len());
            let step_done = || Ok(steps.step(count)?);
            match self.p.method {
                Method::Bound(b) => self.bound(&b, first, count, step_done),
                Method::Flow(f) => self.flow(&f, &nodes, first, count, step_done),
            }
        })
    }

    fn rows(&self, first: usize, count: usize) -> &[f32] {
        &self.data.x[first * self.size()..(first + count) * self.size()]
    }

    fn bound(
        &self,
        b: &BoundMethod,
        first: usize,
        count: usize,
        step_done: impl FnMut() -> Result<(), Stop>,
    ) -> Result<Vec<f64>, StageError> {
        let streams = Streams::new(self.p.seed, "bound noise");
        let batch = Batch { streams: &streams, first, count, size: self.size() };
        let bound = Bound {
            learned: self.guided.model.config.head.variance,
            levels: self.levels,
            draws: b.draws,
            clip: b.clip_denoised.unwrap_or(self.data.is_images()),
        };
        let model = self.guided.batch(first..first + count);
        Ok(bound
            .terms(&model, self.schedule(), self.rows(first, count), batch, step_done)
            .map_err(stopped)?
            .concat())
    }

    /// The nodes of the flow, from the noise to the data.
    fn nodes(&self, f: &FlowMethod) -> Result<Vec<Node>, StageError> {
        let schedule = self.schedule();
        let timesteps = schedule.timesteps();
        let last = (1..=timesteps).find(|&t| schedule.alpha_bar(t) <= f.last_alpha_bar).unwrap_or(timesteps);
        let kept = schedule.respaced(&(1..=last).collect::<Vec<_>>());
        let steps = f.steps.min(last);
        Ok(Node::list(&kept, f.spacing, sampling_steps(Some(steps), last)?))
    }

    fn flow(
        &self,
        f: &FlowMethod,
        nodes: &[Node],
        first: usize,
        count: usize,
        step_done: impl FnMut() -> Result<(), Stop>,
    ) -> Result<Vec<f64>, StageError> {
        let (size, [dequantisations, probes]) = (self.size(), self.draws(f));
        let width = self.levels.map_or(1.0, |levels| 2.0 / f64::from(levels - 1));
        let (uniform, signs) =
            (Streams::new(self.p.seed, "dequantisation"), Streams::new(self.p.seed, "Hutchinson's vectors"));
        let draws = dequantisations * probes;
        let stream = |row: usize| ((first + row / draws) as u64) << 20 | (row % draws) as u64;
        let mut x = Vec::with_capacity(count * draws * size);
        for (i, item) in self.rows(first, count).chunks_exact(size).enumerate() {
            for dequantisation in 0..dequantisations {
                let mut noise = uniform.stream(stream(i * draws + dequantisation));
                let mut draw = || if self.levels.is_some() { width * (noise.uniform() - 0.5) } else { 0.0 };
                let moved: Vec<f32> = item.iter().map(|&x| (f64::from(x) + draw()) as f32).collect();
                x.extend(moved.repeat(probes));
            }
        }
        let vectors = |evaluation: usize| {
            let mut vectors = Vec::with_capacity(count * draws * size);
            for row in 0..count * draws {
                let mut sign = signs.stream(stream(row) << 20 | evaluation as u64);
                vectors.extend((0..size).map(|_| if sign.bits() & 1 == 0 { 1.0f32 } else { -1.0 }));
            }
            vectors
        };
        let divergence = if size <= EXACT { Divergence::Exact } else { Divergence::Probes(&vectors) };
        let model = self.guided.batch(first..first + count);
        let logs = log_densities(&model, nodes, &x, size, divergence, step_done)?;
        Ok(logs.iter().map(|log| -(log / size as f64 + libm::log(width)) / LN_2).collect())
    }

    /// The columns of the summary that both methods have.
    fn summary(&self, per_item: &[f64]) -> Columns {
        let interval = mean_interval(per_item, 0.95);
        let mut table = Columns::default();
        table
            .integers("items", [Some(per_item.len() as i64)])
            .integers("dimensions", [Some(self.size() as i64)])
            .integers("levels", [self.levels.map(i64::from)])
            .numbers("bits_per_dim", [Some(mean(per_item))])
            .numbers("standard_error", [Some(standard_error(per_item))])
            .numbers("lower", [interval.map(|i| i.lower)])
            .numbers("upper", [interval.map(|i| i.upper)]);
        table
    }

    fn write_items(&self, per_item: &[f64]) -> Result<(), StageError> {
        let mut table = Columns::default();
        table
            .integers("item", (0..per_item.len()).map(|i| Some(i as i64)))
            .numbers("bits_per_dim", per_item.iter().map(|&x| Some(x)));
        table.write(self.ctx.output("items")?)
    }

    fn write_bound(&self, b: &BoundMethod, rows: &[&[f64]]) -> Result<(), StageError> {
        let per_item: Vec<f64> = rows.iter().map(|terms| terms.iter().sum()).collect();
        let last = self.schedule().timesteps();
        let columns: Vec<Vec<f64>> =
            (0..=last).map(|k| rows.iter().map(|terms| terms[k]).collect()).collect();
        let name = |k: usize| match k {
            0 => "decoder",
            k if k == last => "prior",
            _ => "kl",
        };
        let mut terms = Columns::default();
        terms
            .texts("term", (0..=last).map(name))
            .integers("t", (0..=last).map(|k| Some((k + 1).min(last) as i64)))
            .numbers("bits_per_dim", columns.iter().map(|column| Some(mean(column))))
            .numbers("standard_error", columns.iter().map(|column| Some(standard_error(column))));
        terms.write(self.ctx.output("terms")?)?;
        let sum = |wanted: &str| {
            let of = (0..=last).filter(|&k| name(k) == wanted);
            Some(of.map(|k| mean(&columns[k])).sum::<f64>())
        };
        let mut summary = self.summary(&per_item);
        summary
            .numbers("decoder", [sum("decoder")])
            .numbers("kl", [sum("kl")])
            .numbers("prior", [sum("prior")])
            .integers("draws", [Some(b.draws as i64)]);
        summary.write(self.ctx.output("summary")?)?;
        self.write_items(&per_item)
    }

    fn write_flow(&self, f: &FlowMethod, rows: &[&[f64]]) -> Result<(), StageError> {
        let per_item: Vec<f64> = rows.iter().map(|draws| mean(draws)).collect();
        let [dequantisations, probes] = self.draws(f);
        let each =
            || (0..dequantisations * probes).map(|k| rows.iter().map(|draws| draws[k]).collect::<Vec<_>>());
        let mut draws = Columns::default();
        draws
            .integers("dequantisation", (0..dequantisations * probes).map(|k| Some((k / probes) as i64)))
            .integers("probe", (0..dequantisations * probes).map(|k| Some((k % probes) as i64)))
            .numbers("bits_per_dim", each().map(|column| Some(mean(&column))))
            .numbers("standard_error", each().map(|column| Some(standard_error(&column))));
        draws.write(self.ctx.output("draws")?)?;
        // Over items and dequantisations, for each probe.
        let by_probe: Vec<f64> = (0..probes)
            .map(|probe| {
                let of = |draws: &&[f64]| {
                    mean(&draws.iter().copied().skip(probe).step_by(probes).collect::<Vec<_>>())
                };
                mean(&rows.iter().map(of).collect::<Vec<_>>())
            })
            .collect();
        let (low, high) =
            by_probe.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &x| (a.min(x), b.max(x)));
        let deviations: Vec<f64> =
            rows.iter().flat_map(|draws| draws.chunks_exact(probes).map(deviation)).collect();
        let estimated = probes > 1;
        let mut summary = self.summary(&per_item);
        summary
            .integers("dequantisations", [Some(dequantisations as i64)])
            .integers("probes", [Some(probes as i64)])
            .numbers("probe_spread", [estimated.then(|| (high - low) / mean(&by_probe).abs())])
            .numbers("probe_deviation", [estimated.then(|| mean(&deviations))])
            .flags("dequantised", [Some(self.guided.model.config.dequantised)]);
        summary.write(self.ctx.output("summary")?)?;
        self.write_items(&per_item)
    }
}
