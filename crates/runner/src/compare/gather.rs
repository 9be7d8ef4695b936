//! What `compare` compares: parameters and metrics of the finished points of experiments, and of the runs of pipelines.

use crate::compare::history::{self, Past};
use crate::compare::measure::{Measure, Measurer};
use crate::pipeline::graph::Point;
use crate::plan::error::EngineError;
use crate::plan::planned::plan;
use crate::plan::resolve::Resolver;
use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::files::StoreError;
use crate::store::objects::Content;
use onsager_tables::read::Parquet;
use onsager_tables::value::Value;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The parameters and metrics of one finished point or run.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The name of the experiment or pipeline.
    pub experiment: String,
    /// The point's name, or the run's.
    pub point: String,
    pub params: Vec<(String, Value)>,
    /// Those whose results are there.
    pub metrics: Vec<Measure>,
}

/// A point that has no finite number for a metric.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Note {
    /// The name of the experiment or pipeline.
    pub experiment: String,
    /// The name of the point or of the run; empty for the only point of an experiment.
    pub point: String,
    pub metric: String,
    /// Why.
    pub reason: String,
}

/// A point whose metrics are not all there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Missing {
    pub experiment: String,
    /// Empty for the only point of an experiment.
    pub point: String,
}

/// Why nothing can be compared.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("no metric has a value at any point: `{metric}`: {reason}")]
    Nothing { metric: String, reason: String },
    #[error(
        "`{experiment}` has no metrics; add for example `metrics: {{loss: {{from: train.loss, column: loss}}}}`"
    )]
    NoMetrics { experiment: String },
}

/// The points of an experiment, with the results of the keys that their tasks have now.
pub fn points(
    resolver: &mut Resolver,
    store: &Store,
    parquet: Option<&dyn Parquet>,
    samples: &mut Vec<Sample>,
    missing: &mut Vec<Missing>,
) -> Result<(), GatherError> {
    let graph = resolver.graph;
    check(&graph.name, &graph.points)?;
    let numbers: HashMap<&str, usize> =
        graph.tasks.iter().enumerate().map(|(at, task)| (task.id.as_str(), at)).collect();
    let read = graph.points.iter().flat_map(|point| &point.metrics).flat_map(|metric| &metric.tasks);
    let wanted: Vec<usize> = read.filter_map(|task| numbers.get(task.task.as_str()).copied()).collect();
    let mut selected = vec![false; graph.tasks.len()];
    graph.ancestors(&wanted).into_iter().for_each(|task| selected[task] = true);
    let view = store.view(&graph.name).map_err(EngineError::from)?;
    let planned = plan(resolver, store, &view, &selected, &HashSet::new())?;
    let mut content = |task: &str, output: &str| {
        let &number = numbers.get(task)?;
        let known = planned[number].as_ref()?.outputs.as_ref()?;
        let at = graph.tasks[number].outputs.iter().position(|declared| declared.name == output)?;
        known.get(at).copied()
    };
    // What they fan out over is not made yet.
    let open: HashSet<(Option<usize>, &str)> = graph
        .tasks
        .iter()
        .filter(|task| task.open.is_some())
        .map(|task| (task.point, task.stage.as_str()))
        .collect();
    let mut measurer = Measurer::new(store, parquet);
    for (at, point) in graph.points.iter().enumerate() {
        if point.metrics.iter().any(|metric| open.contains(&(Some(at), metric.stage()))) {
            missing.push(Missing { experiment: graph.name.clone(), point: point.name.clone() });
            continue;
        }
        let metrics = measure(&mut measurer, point, &mut content);
        if metrics.len() < point.metrics.len() {
            missing.push(Missing { experiment: graph.name.clone(), point: point.name.clone() });
        } else {
            samples.push(sample(&graph.name, &point.name, point, metrics));
        }
    }
    Ok(())
}

/// What the samples lack. It is an error that none of them has any value: then the metrics are wrong.
pub fn notes(samples: &[Sample]) -> Result<Vec<Note>, GatherError> {
    let mut notes = Vec::new();
    let mut some = false;
    for sample in samples {
        for measure in &sample.metrics {
            some |= measure.value != Value::Null;
            notes.extend(measure.reason.clone().map(|reason| Note {
                experiment: sample.experiment.clone(),
                point: sample.point.clone(),
                metric: measure.metric.clone(),
                reason,
            }));
        }
    }
    match notes.first() {
        Some(Note { metric, reason, .. }) if !some => {
            Err(GatherError::Nothing { metric: metric.clone(), reason: reason.clone() })
        }
        _ => Ok(notes),
    }
}

/// The points of a run, with the results that it had: what its record says, whatever the pipeline says now.
pub fn recorded(
    past: &Past,
    store: &Store,
    parquet: Option<&dyn Parquet>,
    samples: &mut Vec<Sample>,
    missing: &mut Vec<Missing>,
) -> Result<(), GatherError> {
    let points = past.grown_points().map_err(EngineError::from)?;
    check(&past.pipeline, &points)?;
    let tasks = past.tasks(store).map_err(EngineError::from)?;
    let mut results = Results { store, tasks: &tasks, failed: None };
    let mut measurer = Measurer::new(store, parquet);
    for point in &points {
        let metrics = measure(&mut measurer, point, &mut |task, output| results.content(task, output));
        if metrics.len() < point.metrics.len() {
            missing.push(Missing { experiment: past.pipeline.clone(), point: point.name.clone() });
        } else {
            samples.push(sample(&past.pipeline, &point.name, point, metrics));
        }
    }
    results.end()
}

/// The results of the tasks of a run, by their action records.
struct Results<'a> {
    store: &'a Store,
    tasks: &'a BTreeMap<String, Digest>,
    failed: Option<StoreError>,
}

impl Results<'_> {
    fn content(&mut self, task: &str, output: &str) -> Option<Content> {
        match self.store.actions().get(self.tasks.get(task)?) {
            Ok(action) => {
                action?.outputs.iter().find(|(name, _)| name == output).map(|(_, content)| *content)
            }
            Err(error) => {
                self.failed = Some(error);
                None
            }
        }
    }

    /// Whether all could be read.
    fn end(self) -> Result<(), GatherError> {
        self.failed.map_or(Ok(()), |error| Err(EngineError::from(error).into()))
    }
}

/// The runs of a pipeline, with the metrics that it has now: for each setting of the parameters the latest of those that have the most.
pub fn runs(
    pipeline: &str,
    now: &Point,
    store: &Store,
    parquet: Option<&dyn Parquet>,
    samples: &mut Vec<Sample>,
) -> Result<(), GatherError> {
    check(pipeline, std::slice::from_ref(now))?;
    let mut measurer = Measurer::new(store, parquet);
    let mut found: Vec<Sample> = Vec::new();
    let mut by_params: HashMap<String, usize> = HashMap::new();
    let past = history::runs(store, Some(pipeline)).map_err(EngineError::from)?;
    for past in past.iter().rev() {
        let Some(point) = past.points.first() else { continue };
        // The order in which parameters are written is no difference.
        let mut params: Vec<_> = point.params.iter().map(|(name, value)| format!("{name}={value}")).collect();
        params.sort();
        let at = by_params.get(&params.join("\n")).copied();
        if at.is_some_and(|at| found[at].count() == now.metrics.len()) {
            continue;
        }
        let tasks = past.tasks(store).map_err(EngineError::from)?;
        let mut results = Results { store, tasks: &tasks, failed: None };
        let then = as_then(now, &past.grown_points().map_err(EngineError::from)?);
        let metrics = measure(&mut measurer, &then, &mut |task, output| results.content(task, output));
        results.end()?;
        let sample = sample(pipeline, &past.run, point, metrics);
        match at {
            Some(at) if sample.count() > found[at].count() => found[at] = sample,
            Some(_) => {}
            None if sample.metrics.is_empty() => {}
            None => {
                by_params.insert(params.join("\n"), found.len());
                found.push(sample);
            }
        }
    }
    samples.extend(found.into_iter().rev());
    Ok(())
}

/// The metrics of now, those of stages that fan out read from the instances that a run had.
fn as_then(now: &Point, then: &[Point]) -> Point {
    let mut point = now.clone();
    for metric in &mut point.metrics {
        let before = then.first().into_iter().flat_map(|point| &point.metrics);
        let mut before = before.filter(|before| before.name == metric.name && before.from == metric.from);
        if let Some(before) = before.next_back().filter(|before| !before.tasks.is_empty()) {
            metric.tasks.clone_from(&before.tasks);
            metric.output.clone_from(&before.output);
        }
    }
    point
}

impl Sample {
    /// How many metrics it has a value of.
    fn count(&self) -> usize {
        self.metrics.iter().filter(|measure| measure.value != Value::Null).count()
    }
}

fn check(experiment: &str, points: &[Point]) -> Result<(), GatherError> {
    match points.iter().all(|point| point.metrics.is_empty()) {
        true => Err(GatherError::NoMetrics { experiment: experiment.to_owned() }),
        false => Ok(()),
    }
}

/// The metrics of a point whose results are there.
pub fn measure(
    measurer: &mut Measurer,
    point: &Point,
    content: &mut dyn FnMut(&str, &str) -> Option<Content>,
) -> Vec<Measure> {
    point.metrics.iter().filter_map(|metric| measurer.measure(metric, content)).collect()
}

fn sample(experiment: &str, name: &str, point: &Point, metrics: Vec<Measure>) -> Sample {
    Sample {
        experiment: experiment.to_owned(),
        point: name.to_owned(),
        params: point.params.iter().map(|(name, value)| (name.clone(), Value::from(value))).collect(),
        metrics,
    }
}
