//! What differs between two runs: parameters, metrics, what entered the keys, outputs.

use crate::compare::gather;
use crate::compare::history::Past;
use crate::compare::measure::Measurer;
use crate::plan::error::EngineError;
use crate::plan::explanation::{self, Change};
use crate::plan::folders;
use crate::store::Store;
use crate::store::actions::Action;
use crate::store::digest::Digest;
use onsager_tables::read::Parquet;
use onsager_tables::value::Value;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// What differs between an old run and a new one.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Difference {
    pub old: Side,
    pub new: Side,
    /// Parameters, version and kernel level.
    pub params: Vec<Change>,
    pub metrics: Vec<Change>,
    /// The tasks that differ, by name.
    pub tasks: Vec<TaskDifference>,
    pub only_old: Vec<String>,
    pub only_new: Vec<String>,
    /// How many tasks have the same key in both.
    pub same: usize,
}

/// One of the two runs.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Side {
    pub run: String,
    /// When it started.
    pub at: String,
    pub pipeline: String,
    pub version: String,
    pub kernel: String,
}

/// A task whose key differs.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TaskDifference {
    pub task: String,
    /// The old key.
    #[schemars(with = "String")]
    pub old: Digest,
    /// The new one.
    #[schemars(with = "String")]
    pub new: Digest,
    /// What entered the key: code, parameters, inputs.
    pub changes: Vec<Change>,
    pub outputs: Vec<OutputDifference>,
    /// The store knows both results; else `changes` and `outputs` are empty.
    pub known: bool,
}

/// An output of such a task.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct OutputDifference {
    pub output: String,
    /// The digest of its content; null where the result has no such output.
    #[schemars(with = "Option<String>")]
    pub old: Option<Digest>,
    #[schemars(with = "Option<String>")]
    pub new: Option<Digest>,
    pub same: bool,
}

/// Compares two runs.
pub fn difference(
    store: &Store,
    parquet: Option<&dyn Parquet>,
    old: &Past,
    new: &Past,
) -> Result<Difference, EngineError> {
    let before = old.tasks(store).map_err(EngineError::from)?;
    let after = new.tasks(store).map_err(EngineError::from)?;
    let mut tasks = Vec::new();
    let mut same = 0;
    for (task, new) in &after {
        match before.get(task) {
            Some(old) if old == new => same += 1,
            Some(old) => tasks.push(changed(store, task, *old, *new)?),
            None => {}
        }
    }
    let only = |here: &BTreeMap<String, Digest>, there: &BTreeMap<String, Digest>| {
        here.keys().filter(|task| !there.contains_key(*task)).cloned().collect()
    };
    Ok(Difference {
        old: side(old),
        new: side(new),
        params: explanation::changes(&params(old), &params(new)),
        metrics: explanation::changes(
            &metrics(store, parquet, old, &before)?,
            &metrics(store, parquet, new, &after)?,
        ),
        tasks,
        only_old: only(&before, &after),
        only_new: only(&after, &before),
        same,
    })
}

fn side(past: &Past) -> Side {
    Side {
        run: past.run.clone(),
        at: past.at.clone(),
        pipeline: past.pipeline.clone(),
        version: past.version.clone(),
        kernel: past.kernel.clone(),
    }
}

/// The name of something of a point.
fn within(point: &str, name: &str) -> String {
    if point.is_empty() { name.to_owned() } else { format!("{point}/{name}") }
}

fn params(past: &Past) -> Vec<(String, String)> {
    let mut lines = vec![
        ("(version of onsager)".to_owned(), past.version.clone()),
        ("(kernel level)".to_owned(), past.kernel.clone()),
    ];
    for point in &past.points {
        for (name, value) in &point.params {
            lines.push((within(&point.name, name), Value::from(value).to_string()));
        }
    }
    lines
}

/// The metrics of a run, as far as their results are there.
pub fn metrics_of(
    store: &Store,
    parquet: Option<&dyn Parquet>,
    past: &Past,
) -> Result<Vec<(String, String)>, EngineError> {
    metrics(store, parquet, past, &past.tasks(store).map_err(EngineError::from)?)
}

fn metrics(
    store: &Store,
    parquet: Option<&dyn Parquet>,
    past: &Past,
    tasks: &BTreeMap<String, Digest>,
) -> Result<Vec<(String, String)>, EngineError> {
    let mut measurer = Measurer::new(store, parquet);
    let mut failed = None;
    let mut lines = Vec::new();
    for point in &past.grown_points().map_err(EngineError::from)? {
        let mut content = |task: &str, output: &str| match store.actions().get(tasks.get(task)?) {
            Ok(action) => {
                action?.outputs.iter().find(|(name, _)| name == output).map(|(_, content)| *content)
            }
            Err(error) => {
                failed = Some(error);
                None
            }
        };
        for measure in gather::measure(&mut measurer, point, &mut content) {
            let text = match (&measure.value, measure.reason) {
                (Value::Null, Some(reason)) => format!("no value ({reason})"),
                (value, _) => value.to_string(),
            };
            lines.push((within(&point.name, &measure.metric), text));
        }
    }
    match failed {
        Some(error) => Err(error.into()),
        None => Ok(lines),
    }
}

fn changed(store: &Store, task: &str, old: Digest, new: Digest) -> Result<TaskDifference, EngineError> {
    let get = |key: &Digest| store.actions().get(key).map_err(EngineError::from);
    let mut difference = TaskDifference {
        task: task.to_owned(),
        old,
        new,
        changes: Vec::new(),
        outputs: Vec::new(),
        known: false,
    };
    if let (Some(before), Some(after)) = (get(&old)?, get(&new)?) {
        let changes = explanation::changes(&before.lines(), &after.lines());
        difference.changes = folders::name_files(store, changes);
        difference.outputs = outputs(&before, &after);
        difference.known = true;
    }
    Ok(difference)
}

fn outputs(before: &Action, after: &Action) -> Vec<OutputDifference> {
    let find = |action: &Action, name: &str| {
        action.outputs.iter().find(|(other, _)| other == name).map(|(_, content)| content.digest)
    };
    let gone = before.outputs.iter().filter(|(name, _)| find(after, name).is_none());
    let names = after.outputs.iter().chain(gone).map(|(name, _)| name);
    names
        .map(|name| {
            let (old, new) = (find(before, name), find(after, name));
            OutputDifference { output: name.clone(), old, new, same: old == new }
        })
        .collect()
}
