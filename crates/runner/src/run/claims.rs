//! What a run's results make of the pipeline's claims.

use crate::compare::measure::Measurer;
use crate::numbers::claims::judge::{Judged, Outcome, judge};
use crate::numbers::claims::metric_of;
use crate::numbers::number::{AtPoint, Number, numbers};
use crate::pipeline::graph::Graph;
use crate::pipeline::spec::metrics::Metric;
use crate::store::Store;
use crate::store::objects::Content;
use onsager_tables::read::Parquet;
use onsager_tables::value::Value;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// A claim of the pipeline that a run has looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Checked {
    /// As written.
    pub claim: String,
    pub name: Option<String>,
    /// In words.
    pub text: Option<String>,
    /// The file that it stands in, as the user gave it.
    pub file: String,
    pub line: usize,
    pub column: usize,
    pub outcome: Outcome,
    /// What was reached, and by how much it fails; why it is stale.
    pub reached: String,
}

impl Checked {
    /// Where it stands and what became of it, in one line.
    pub fn line(&self) -> String {
        let what = match self.outcome {
            Outcome::Holds => "holds",
            Outcome::Fails => "fails",
            Outcome::Stale => "is stale",
        };
        let Checked { file, line, column, claim, reached, .. } = self;
        format!("{file}:{line}:{column}: `{claim}` {what}: {reached}")
    }
}

/// Judges every claim of a graph by the outputs of its tasks, as far as they are known.
pub fn check(
    graph: &Graph,
    outputs: &[Option<Vec<Content>>],
    store: &Store,
    parquet: Option<&dyn Parquet>,
) -> Vec<Checked> {
    if graph.claims.is_empty() {
        return Vec::new();
    }
    let named: BTreeSet<&str> =
        graph.claims.iter().flat_map(|claimed| claimed.claim.names()).map(metric_of).collect();
    let metrics = || graph.points.iter().flat_map(|point| &point.metrics);
    let read: BTreeSet<&str> = metrics()
        .filter(|metric| named.contains(metric.name.as_str()))
        .flat_map(|metric| &metric.tasks)
        .map(|task| task.task.as_str())
        .collect();
    let numbered = graph.tasks.iter().enumerate();
    let places: HashMap<&str, usize> =
        numbered.map(|(at, task)| (task.id.as_str(), at)).filter(|(id, _)| read.contains(id)).collect();
    let content = |task: &str, output: &str| {
        let &number = places.get(task)?;
        let at = graph.tasks[number].outputs.iter().position(|declared| declared.name == output)?;
        let content = outputs.get(number)?.as_ref()?.get(at)?;
        (!content.is_absent()).then_some(*content)
    };
    let mut measurer = Measurer::new(store, parquet);
    let mut found: BTreeMap<&str, Result<Vec<Number>, NotRead>> = BTreeMap::new();
    for name in named {
        found.insert(name, of_metric(name, graph, &mut measurer, &mut |task, output| content(task, output)));
    }
    let judged = graph.claims.iter().map(|claimed| {
        let mut numbers = Vec::new();
        let mut lacks = None;
        for name in claimed.claim.names().into_iter().map(metric_of) {
            match found.get(name) {
                Some(Ok(own)) => numbers.extend(own.iter().cloned()),
                Some(Err(why)) => lacks = lacks.or(Some(why)),
                None => {}
            }
        }
        let Judged { outcome, reached } = match lacks {
            None => judge(&claimed.claim, &numbers),
            Some(NotRead::NotThere(reached)) => Judged { outcome: Outcome::Stale, reached: reached.clone() },
            Some(NotRead::NoNumber(reached)) => Judged { outcome: Outcome::Fails, reached: reached.clone() },
        };
        Checked {
            claim: claimed.says.clone(),
            name: claimed.name.clone(),
            text: claimed.text.clone(),
            file: claimed.file.clone(),
            line: claimed.line,
            column: claimed.column,
            outcome,
            reached,
        }
    });
    judged.collect()
}

/// Why a claim has no numbers.
enum NotRead {
    /// The run did not compute them.
    NotThere(String),
    /// They are not in the results.
    NoNumber(String),
}

/// The numbers of a metric at all points.
fn of_metric(
    name: &str,
    graph: &Graph,
    measurer: &mut Measurer,
    content: &mut dyn FnMut(&str, &str) -> Option<Content>,
) -> Result<Vec<Number>, NotRead> {
    let mut points = Vec::with_capacity(graph.points.len());
    for point in &graph.points {
        let found: Option<&Metric> = point.metrics.iter().find(|metric| metric.name == name);
        let Some(metric) = found.filter(|metric| !metric.tasks.is_empty()) else {
            return Err(NotRead::NotThere(format!("the run has no results for `{name}`")));
        };
        let reading = measurer.reading(metric, content).ok_or_else(|| {
            let lost = metric.tasks.iter().find(|task| content(&task.task, &metric.output).is_none());
            let task = lost.or(metric.tasks.first()).map_or("", |task| task.task.as_str());
            NotRead::NotThere(format!("the run has no result of `{task}`"))
        })?;
        let reading =
            reading.map_err(|reason| NotRead::NoNumber(format!("`{name}` has no value: {reason}")))?;
        let value = |swept: &String| Some((swept.clone(), Value::from(point.params.get(swept)?)));
        points.push(AtPoint { varied: graph.swept.iter().filter_map(value).collect(), reading });
    }
    Ok(numbers(name, points))
}
