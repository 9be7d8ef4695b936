//! `sample-quality`: sets of samples against real data, between the floor (real against real) and the ceiling (noise).

use super::quality_tables::{write_measurements, write_summaries};
use onsager_numerics::random::Streams;
use onsager_runner::kind::context::{Context, Item};
use onsager_runner::kind::stage::{Checks, Input, Inputs, Issue, Output, Stage, StageError};
use onsager_science::data::dataset::Dataset;
use onsager_science::metrics::classifier_score::Probabilities;
use onsager_science::metrics::comparison::summarise;
use onsager_science::metrics::features::{Features, disjoint_subsets};
use onsager_science::metrics::measurements::{Measurement, Set};
use onsager_science::metrics::quality::{Reference, SampleSet, Score, Settings, memorisation};
use onsager_science::nn::device::DeviceClass;
use onsager_science::nn::networks::classifier::Classifier;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What the ceiling consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Noise {
    /// Uniform: on [-1, 1] for images, on the reference's bounding box for points.
    Uniform,
    /// Standard normal.
    Gaussian,
}

/// What distances and overlap are computed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum On {
    /// The items themselves, and the penultimate layer of the classifier where there is one.
    All,
    /// The classifier's penultimate layer alone, without the distances to training images: on pixels of large images all this takes long.
    Classifier,
}

/// The parameters of `sample-quality`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Items of every set that is compared, and of the reference. Left out: as many as the smallest of the sample sets, the
    /// test items and half the training items allow.
    pub count: Option<usize>,
    /// At most this many disjoint subsets of every set (as many as it has items for) and of noise, 1 or more.
    pub subsets: usize,
    /// Blocks of the reference and of every set, 2 or more: leaving them out one by one tells the error that the finite reference has,
    /// and the bias of the Fréchet distance.
    pub blocks: usize,
    /// What distances and overlap are computed on.
    pub on: On,
    /// Neighbours of precision, recall, density and coverage, 1 or more.
    pub k: usize,
    /// Random directions of the sliced transport distance, 1 or more.
    pub directions: usize,
    /// What the ceiling consists of.
    pub noise: Noise,
    /// The label axes that are averaged over, and whose spread gives the intervals.
    pub over: Vec<String>,
    /// Labels that mark the baseline, for example `{model: ddpm}` (`null`: without this label). Every other group is
    /// compared with the baseline's group that has the same remaining labels. Left out: no comparison.
    pub baseline: BTreeMap<String, Value>,
    /// For metrics by name, the difference from the baseline that counts as none, more than 0: whether a set is as good as the baseline
    /// is tested against it. For example `{frechet_distance: 0.5}`.
    pub margins: BTreeMap<String, f64>,
    /// Where the classifier runs, if there is one: `auto`, `cpu`, `cuda` or `metal`.
    #[schemars(extend("default" = "auto"))]
    pub device: DeviceClass,
    /// The seed of subsets, noise and directions.
    pub seed: u64,
}

impl Default for Params {
    fn default() -> Params {
        Params {
            count: None,
            subsets: 5,
            blocks: 5,
            on: On::All,
            k: 5,
            directions: 200,
            noise: Noise::Uniform,
            over: vec!["seed".to_owned()],
            baseline: BTreeMap::new(),
            margins: BTreeMap::new(),
            device: DeviceClass::default(),
            seed: 0,
        }
    }
}

impl Params {
    /// As many items are too few.
    fn few(&self) -> usize {
        self.k.max(self.blocks + 1)
    }
}

/// The columns of the tables, which labels must not be named after.
const COLUMNS: [&str; 26] = [
    "set",
    "replicate",
    "features",
    "metric",
    "value",
    "standard_error",
    "degrees",
    "mean",
    "lower",
    "upper",
    "n",
    "basis",
    "fraction",
    "floor_deviations",
    "difference",
    "difference_lower",
    "difference_upper",
    "pairs",
    "p_value",
    "p_corrected",
    "within_noise",
    "detectable",
    "p_equivalent",
    "equivalent",
    "baseline",
    "count",
];

/// See [`Params`].
pub struct SampleQuality;

impl Stage for SampleQuality {
    type Params = Params;
    const KIND: &'static str = "sample-quality";
    const SUMMARY: &'static str = "Compares samples with real data: distances, overlap, a classifier's view, memorisation; with floor and ceiling.";
    const NUMERIC: bool = true;

    fn inputs() -> Inputs {
        Inputs::of(vec![
            Input::many("samples", "sample files; their labels tell them apart"),
            Input::one(
                "train",
                "the training items: for memorisation, and for the floor where there is no `held_out`",
            ),
            Input::one("test", "real items that no model has seen: the reference"),
            Input::one(
                "held_out",
                "real items that the classifier has not seen, nor has the reference: the floor",
            )
            .optional(),
            Input::one("classifier", "a classifier whose penultimate layer gives features (images only)")
                .optional(),
        ])
    }

    fn outputs(_: &Params) -> Vec<Output> {
        vec![
            Output::file("quality", "quality.parquet", "one row per set, subset and metric"),
            Output::file("summary", "summary.parquet", "means over seeds with 95 % intervals"),
        ]
    }

    fn check(p: &Params) -> Vec<Issue> {
        let mut checks = Checks::default();
        for (field, value) in [("subsets", p.subsets), ("k", p.k), ("directions", p.directions)] {
            checks.ensure(value >= 1, field, || "must be at least 1, but is 0".to_owned());
        }
        checks.ensure(p.blocks >= 2, "blocks", || format!("must be at least 2, but is {}", p.blocks));
        checks.ensure(p.count.is_none_or(|count| count > p.few()), "count", || {
            format!("must be more than {}, for `k` and `blocks`, but is {}", p.few(), p.count.unwrap_or(0))
        });
        for (metric, margin) in &p.margins {
            checks.ensure(*margin > 0.0 && margin.is_finite(), &format!("margins.{metric}"), || {
                format!("must be more than 0, but is {margin}")
            });
        }
        for axis in p.over.iter().filter(|axis| p.baseline.contains_key(*axis)) {
            checks.ensure(false, "baseline", || {
                format!("`{axis}` is averaged over (`over`), so it marks nothing")
            });
        }
        checks.0
    }

    fn run(p: &Params, ctx: &Context) -> Result<(), StageError> {
        let items = ctx.items("samples");
        let axes = axes(items)?;
        let position = |axis: &String| axes.iter().position(|name| name == axis);
        let mut baseline = Vec::new();
        for (axis, value) in &p.baseline {
            let Some(position) = position(axis) else {
                let help = format!("the samples have the labels {}", listed(&axes));
                return Err(StageError::with_help(
                    format!("`baseline` names `{axis}`, which is no label"),
                    help,
                ));
            };
            baseline.push((position, value.clone()));
        }
        let measurements = measure(p, ctx, items, &axes)?;
        let over: Vec<usize> = p.over.iter().filter_map(position).collect();
        let summaries = summarise(&measurements, &over, &baseline, &p.margins);
        write_measurements(ctx.output("quality")?, &axes, &measurements)?;
        let kept: Vec<usize> = (0..axes.len()).filter(|axis| !over.contains(axis)).collect();
        write_summaries(ctx.output("summary")?, &axes, &kept, &summaries)
    }
}

/// The label axes in the order of their first appearance; the labels must tell the items apart.
fn axes(items: &[Item]) -> Result<Vec<String>, StageError> {
    let mut axes: Vec<String> = Vec::new();
    for (name, _) in items.iter().flat_map(|item| &item.labels) {
        if COLUMNS.contains(&name.as_str()) {
            let help = format!("rename the matrix axis; these names are taken: {}", COLUMNS.join(", "));
            return Err(StageError::with_help(format!("the label `{name}` has the name of a column"), help));
        }
        if !axes.contains(name) {
            axes.push(name.clone());
        }
    }
    for (i, item) in items.iter().enumerate() {
        let same = |other: &&Item| axes.iter().all(|axis| other.label(axis) == item.label(axis));
        if let Some(other) = items[..i].iter().find(same) {
            return Err(StageError::with_help(
                format!("`{}` and `{}` have the same labels ({})", other.name, item.name, described(item)),
                "give the stages a matrix axis that tells them apart, for example `model: [ddpm]`",
            ));
        }
    }
    Ok(axes)
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "(none)".to_owned() } else { names.join(", ") }
}

/// The labels of an item, for messages.
fn described(item: &Item) -> String {
    let labels: Vec<String> = item.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    listed(&labels)
}

/// What every set is prepared and scored with.
struct Bench {
    classifier: Option<Classifier>,
    reference: Reference,
    /// For the distances to the nearest training item; none where they are left out.
    training: Option<Features>,
    /// `pixels` or `points`.
    view: &'static str,
    on: On,
}

fn measure(
    p: &Params,
    ctx: &Context,
    items: &[Item],
    axes: &[String],
) -> Result<Vec<Measurement>, StageError> {
    let train = load(ctx.input("train")?, None)?;
    let test = load(ctx.input("test")?, Some(&train))?;
    let held_out = match ctx.items("held_out") {
        [item] => Some(load(item, Some(&train))?),
        _ => None,
    };
    let real = held_out.as_ref().unwrap_or(&train);
    let samples: Vec<Dataset> =
        items.iter().map(|item| load(item, Some(&train))).collect::<Result<_, StageError>>()?;
    let count = count(p, &samples, real, &test)?;
    // A device that there is not is an error without a classifier too.
    let device = p.device.device()?;
    let classifier = match ctx.items("classifier") {
        [item] => Some(Classifier::load(&item.path, &device)?),
        _ => None,
    };
    let parts = |of: &Dataset, purpose: &str| {
        let mut stream = Streams::new(p.seed, purpose).stream(0);
        disjoint_subsets(of.count(), count, p.subsets, &mut stream)
    };
    if p.on == On::Classifier && classifier.is_none() {
        return Err(StageError::with_help(
            "`on: classifier` needs the input `classifier`",
            "give it, or leave `on` out",
        ));
    }
    let view = if train.is_images() { "pixels" } else { "points" };
    // The subsets of the test items: the first is the reference, all are controls of memorisation.
    let unseen: Vec<Dataset> =
        parts(&test, "quality test subsets").iter().map(|part| test.select(part)).collect();
    let settings = Settings { k: p.k, blocks: p.blocks, directions: p.directions, seed: p.seed };
    let reference = Reference::new(prepare(&unseen[0], view, p.on, classifier.as_ref())?, settings);
    let training = (p.on == On::All).then(|| Features::from_f32(&train.x, train.size()));
    let bench = Bench { classifier, reference, training, view, on: p.on };

    let total = (items.len() + 2) as u64;
    let mut done = 0;
    let mut step = || {
        done += 1;
        ctx.progress(done, total, "sets");
        if ctx.cancelled() { Err(StageError::Cancelled) } else { Ok(()) }
    };
    let mut rows = Vec::new();
    let mut add = |set, labels: &[Value], replicate: usize, scores: Vec<Score>| {
        rows.extend(scores.into_iter().map(|score| Measurement {
            set,
            labels: labels.to_vec(),
            replicate: replicate as u32,
            score,
        }));
    };
    for (item, set) in items.iter().zip(&samples) {
        let labels: Vec<Value> =
            axes.iter().map(|axis| item.label(axis).cloned().unwrap_or(Value::Null)).collect();
        for (replicate, part) in parts(set, "quality sample subsets").iter().enumerate() {
            let part = set.select(part);
            add(Set::Generated, &labels, replicate, bench.scores(&part)?);
            add(Set::Generated, &labels, replicate, bench.memorisation(&part));
        }
        step()?;
    }
    let labels = vec![Value::Null; axes.len()];
    for (replicate, part) in parts(real, "quality real subsets").iter().enumerate() {
        add(Set::Real, &labels, replicate, bench.scores(&real.select(part))?);
    }
    for (replicate, part) in unseen.iter().enumerate() {
        add(Set::Real, &labels, replicate, bench.memorisation(part));
    }
    step()?;
    for replicate in 0..p.subsets {
        let part = noise(p, replicate as u64, &unseen[0]);
        add(Set::Noise, &labels, replicate, bench.scores(&part)?);
        add(Set::Noise, &labels, replicate, bench.memorisation(&part));
    }
    step()?;
    Ok(rows)
}

impl Bench {
    fn scores(&self, set: &Dataset) -> Result<Vec<Score>, StageError> {
        Ok(self.reference.scores(&prepare(set, self.view, self.on, self.classifier.as_ref())?))
    }

    fn memorisation(&self, set: &Dataset) -> Vec<Score> {
        let Some(training) = &self.training else { return Vec::new() };
        memorisation(self.view, &Features::from_f32(&set.x, set.size()), training)
    }
}

/// Reads items, which must be finite and have the shape of those in `like`.
fn load(item: &Item, like: Option<&Dataset>) -> Result<Dataset, StageError> {
    let set = Dataset::load(&item.path)?;
    if let Some(like) = like.filter(|like| like.shape[1..] != set.shape[1..]) {
        return Err(StageError::with_help(
            format!(
                "the items of `{}` ({}) have shape {:?}, but those of `train` {:?}",
                item.name,
                described(item),
                &set.shape[1..],
                &like.shape[1..]
            ),
            "compare samples with the data set that their model was trained on",
        ));
    }
    if set.x.iter().any(|value| !value.is_finite()) {
        return Err(StageError::with_help(
            format!("`{}` ({}) holds values that are not finite", item.name, described(item)),
            "the model has diverged: look at its loss curve, lower its learning rate or clip its gradients",
        ));
    }
    Ok(set)
}

/// The number of items of every set.
fn count(p: &Params, samples: &[Dataset], real: &Dataset, test: &Dataset) -> Result<usize, StageError> {
    let smallest = samples.iter().map(Dataset::count).min().unwrap_or(usize::MAX);
    let most = smallest.min(test.count());
    let (count, most) = match p.count {
        Some(count) => (count, most.min(real.count())),
        None => (most.min(real.count() / 2), most),
    };
    if count > most || count <= p.few() {
        let holds = format!(
            "the smallest sample set holds {smallest} items, `test` {} and the real items beside it {}",
            test.count(),
            real.count()
        );
        let message = format!(
            "sets of {count} items cannot be compared with `k` = {} and `blocks` = {}: {holds}",
            p.k, p.blocks
        );
        return Err(StageError::with_help(
            message,
            "draw more samples, or set `count`, `k` and `blocks` lower",
        ));
    }
    Ok(count)
}

/// All representations of a set.
fn prepare(
    set: &Dataset,
    view: &'static str,
    on: On,
    classifier: Option<&Classifier>,
) -> Result<SampleSet, StageError> {
    let mut views = match on {
        On::All => vec![(view, Features::from_f32(&set.x, set.size()))],
        On::Classifier => Vec::new(),
    };
    let mut probabilities = None;
    if let Some(classifier) = classifier {
        let found = classifier.evaluate(&set.x, &set.shape)?;
        views.insert(0, ("classifier-penultimate", Features::from_f32(&found.features, found.dimension)));
        probabilities = Some(Probabilities::from_logits(&found.logits, found.classes));
    }
    Ok(SampleSet { views, probabilities, intended: set.y.clone() })
}

/// Noise of the shape of `like`; with intended classes in turn where it has classes.
fn noise(p: &Params, index: u64, like: &Dataset) -> Dataset {
    let mut stream = Streams::new(p.seed, "quality noise").stream(index);
    let size = like.size();
    let bounds: Vec<(f32, f32)> = (0..size)
        .map(|j| match like.is_images() {
            true => (-1.0, 1.0),
            false => like.x[j..]
                .iter()
                .step_by(size)
                .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v))),
        })
        .collect();
    let mut draw = |(low, high): (f32, f32)| match p.noise {
        Noise::Uniform => low + (high - low) * stream.uniform() as f32,
        Noise::Gaussian => stream.normal() as f32,
    };
    Dataset {
        x: (0..like.count()).flat_map(|_| bounds.clone()).map(&mut draw).collect(),
        y: like.classes.filter(|&n| n > 0).map(|n| (0..like.count() as u32).map(|i| i % n).collect()),
        name: "noise".to_owned(),
        ..like.clone()
    }
}
