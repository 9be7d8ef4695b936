//! The values of metrics, read from the results in the store.

use crate::pipeline::spec::metrics::{Aggregate, Metric, Pick};
use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::objects::{Content, Shape};
use onsager_tables::columns::Columns;
use onsager_tables::error::TableError;
use onsager_tables::read::{self, Parquet};
use onsager_tables::value::Value;
use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fs;

/// A metric that cannot be read from a result that is there.
#[derive(Debug, thiserror::Error)]
pub enum MetricError {
    #[error("metric `{metric}`: {}", chain(source))]
    Table { metric: String, source: TableError },
    #[error("metric `{metric}`: `{from}` is a folder, not a file")]
    Folder { metric: String, from: String },
    #[error("metric `{metric}`: no row of `{from}` passes `where`, at no point")]
    NoRow { metric: String, from: String },
    #[error(
        "metric `{metric}`: {rows} rows of `{from}` where one is needed; choose one with `where`, or add \
         `aggregate: mean`, `min`, `max` or `last`"
    )]
    Rows { metric: String, from: String, rows: usize },
    #[error("metric `{metric}`: cannot read the JSON of `{from}`: {message}")]
    Json { metric: String, from: String, message: String },
    #[error("metric `{metric}`: `{from}` has no field `{field}`; {there}")]
    NoField { metric: String, from: String, field: String, there: String },
    #[error("metric `{metric}`: field `{field}` of `{from}` is not one value, but {what}")]
    NotOne { metric: String, from: String, field: String, what: &'static str },
}

/// An error with what caused it.
fn chain(error: &TableError) -> String {
    error.source().map_or(error.to_string(), |source| format!("{error}: {source}"))
}

/// Reads metrics; a file that several are read from is read once.
pub struct Measurer<'a> {
    store: &'a Store,
    parquet: Option<&'a dyn Parquet>,
    tables: HashMap<Digest, Columns>,
    documents: HashMap<Digest, serde_json::Value>,
    /// Metrics, with their artifacts, for which some table had no row: one point may well lack what another has.
    no_row: BTreeMap<String, String>,
}

impl<'a> Measurer<'a> {
    pub fn new(store: &'a Store, parquet: Option<&'a dyn Parquet>) -> Measurer<'a> {
        Measurer {
            store,
            parquet,
            tables: HashMap::new(),
            documents: HashMap::new(),
            no_row: BTreeMap::new(),
        }
    }

    /// The value of a metric, given the contents of the outputs of tasks; none while one of them is not there.
    pub fn value(
        &mut self,
        metric: &Metric,
        content: &mut dyn FnMut(&str, &str) -> Option<Content>,
    ) -> Result<Option<Value>, MetricError> {
        let mut contents = Vec::with_capacity(metric.tasks.len());
        for task in &metric.tasks {
            match content(&task.task, &metric.output) {
                Some(content) if self.store.objects().contains(&content.digest) => contents.push(content),
                _ => return Ok(None),
            }
        }
        if contents.iter().any(|content| content.shape == Shape::Folder) {
            return Err(MetricError::Folder { metric: metric.name.clone(), from: metric.from.clone() });
        }
        match &metric.pick {
            Pick::Field { field } => contents.first().map(|only| self.field(metric, only, field)).transpose(),
            Pick::Column { column, filter, aggregate } => {
                let table = |source| MetricError::Table { metric: metric.name.clone(), source };
                let name = format!("`{}`", metric.from);
                let rows = self.rows(metric, &contents).map_err(table)?;
                let rows = rows.filter(filter, &name).map_err(table)?;
                let values = rows.numbers(column, &name).map_err(table)?;
                if values.is_empty() {
                    self.no_row.insert(metric.name.clone(), metric.from.clone());
                    return Ok(Some(Value::Null));
                }
                pick(metric, &values, *aggregate).map(Some)
            }
        }
    }

    /// Refuses a metric that has no row anywhere: its `where` is wrong. `there` tells whether it has a value somewhere.
    pub fn check(&self, there: impl Fn(&str) -> bool) -> Result<(), MetricError> {
        match self.no_row.iter().find(|(metric, _)| !there(metric)) {
            Some((metric, from)) => Err(MetricError::NoRow { metric: metric.clone(), from: from.clone() }),
            None => Ok(()),
        }
    }

    /// The tables of a metric's tasks, one below the other, with the labels of the tasks as columns.
    fn rows(&mut self, metric: &Metric, contents: &[Content]) -> Result<Columns, TableError> {
        let mut parts = Vec::with_capacity(contents.len());
        for (task, content) in metric.tasks.iter().zip(contents) {
            let table = match self.tables.get(&content.digest) {
                Some(table) => table.clone(),
                None => {
                    let table = read::load(&self.store.objects().path(&content.digest), self.parquet)?;
                    self.tables.insert(content.digest, table.clone());
                    table
                }
            };
            let labels = task.labels.iter().map(|(axis, label)| (axis.clone(), Value::from(label)));
            parts.push((table, labels.collect::<Vec<_>>()));
        }
        match parts.as_slice() {
            [(table, labels)] if labels.is_empty() => Ok(table.clone()),
            parts => Ok(Columns::stack(parts)),
        }
    }

    fn field(&mut self, metric: &Metric, content: &Content, field: &str) -> Result<Value, MetricError> {
        let (name, from) = (metric.name.clone(), metric.from.clone());
        let document = match self.documents.entry(content.digest) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let read = fs::read(self.store.objects().path(&content.digest)).map_err(|e| e.to_string());
                let parsed =
                    read.and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string()));
                match parsed {
                    Ok(document) => entry.insert(document),
                    Err(message) => return Err(MetricError::Json { metric: name, from, message }),
                }
            }
        };
        let mut value = &*document;
        for step in field.split('.') {
            let next = match value {
                serde_json::Value::Array(items) => step.parse().ok().and_then(|at: usize| items.get(at)),
                value => value.get(step),
            };
            value = next.ok_or_else(|| MetricError::NoField {
                metric: name.clone(),
                from: from.clone(),
                field: field.to_owned(),
                there: there(value, step),
            })?;
        }
        let what = match value {
            serde_json::Value::Array(_) => "a list",
            serde_json::Value::Object(_) => "a mapping",
            value => return Ok(Value::from(value)),
        };
        Err(MetricError::NotOne { metric: name, from, field: field.to_owned(), what })
    }
}

/// What there is in place of a field.
fn there(value: &serde_json::Value, step: &str) -> String {
    match value {
        serde_json::Value::Object(fields) => {
            onsager_tables::names::did_you_mean(step, fields.keys().map(String::as_str), "there are")
                .unwrap_or_else(|| "it is empty".to_owned())
        }
        serde_json::Value::Array(items) => format!("there is a list of {} before `{step}`", items.len()),
        _ => format!("there is a single value before `{step}`"),
    }
}

/// One value from those of the rows.
fn pick(metric: &Metric, values: &[Option<f64>], aggregate: Option<Aggregate>) -> Result<Value, MetricError> {
    let (name, from) = (metric.name.clone(), metric.from.clone());
    let there = || values.iter().copied().flatten();
    let found = match aggregate {
        None if values.len() > 1 => {
            return Err(MetricError::Rows { metric: name, from, rows: values.len() });
        }
        None => values[0],
        Some(Aggregate::Last) => there().last(),
        Some(Aggregate::Min) => there().min_by(f64::total_cmp),
        Some(Aggregate::Max) => there().max_by(f64::total_cmp),
        Some(Aggregate::Mean) => {
            let count = there().count();
            (count > 0).then(|| there().sum::<f64>() / count as f64)
        }
    };
    Ok(found.map_or(Value::Null, Value::Number))
}
