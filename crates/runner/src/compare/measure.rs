//! The values of metrics, read from the results in the store.

use crate::pipeline::spec::metrics::{Aggregate, Metric, Pick};
use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::files::StoreError;
use crate::store::objects::{Content, Shape};
use onsager_tables::columns::Columns;
use onsager_tables::error::TableError;
use onsager_tables::read::{self, Parquet};
use onsager_tables::value::Value;
use std::collections::HashMap;
use std::path::PathBuf;

/// Why a result that is there has no number for a metric.
#[derive(Debug, thiserror::Error)]
pub enum NoNumber {
    #[error("cannot read `{from}`: {}", source.without_path())]
    Table { from: String, source: TableError },
    #[error("{0}")]
    Rows(TableError),
    #[error(
        "`{from}` is damaged in the store; `onsager store verify` finds all that is, and the next run makes it again"
    )]
    Damaged { from: String },
    #[error("cannot read `{from}`: {source}")]
    Store { from: String, source: StoreError },
    #[error("`{from}` is a folder, not a file")]
    Folder { from: String },
    #[error("`{from}` has no row")]
    NoRow { from: String },
    #[error(
        "{rows} rows of `{from}` where one is needed; choose one with `where`, or add `aggregate: mean`, `min`, \
         `max` or `last`"
    )]
    ManyRows { from: String, rows: usize },
    #[error("no row of `{from}` has a value of `{column}`")]
    NoValue { from: String, column: String },
    #[error("cannot read the JSON of `{from}`: {message}")]
    Json { from: String, message: String },
    #[error("`{from}` has no field `{field}`; {there}")]
    NoField { from: String, field: String, there: String },
    #[error("field `{field}` of `{from}` is not one value, but {what}")]
    NotOne { from: String, field: String, what: &'static str },
    #[error("field `{field}` of `{from}` is null")]
    Null { from: String, field: String },
    #[error("it is not finite, but {value}")]
    NotFinite { value: f64 },
}

/// What a point has of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    pub metric: String,
    /// Null where there is none.
    pub value: Value,
    /// Why there is no finite number.
    pub reason: Option<String>,
}

/// Reads metrics; a file that several are read from is read once.
pub struct Measurer<'a> {
    store: &'a Store,
    parquet: Option<&'a dyn Parquet>,
    tables: HashMap<Digest, Columns>,
    documents: HashMap<Digest, serde_json::Value>,
}

impl<'a> Measurer<'a> {
    pub fn new(store: &'a Store, parquet: Option<&'a dyn Parquet>) -> Measurer<'a> {
        Measurer { store, parquet, tables: HashMap::new(), documents: HashMap::new() }
    }

    /// A metric, given the contents of the outputs of tasks; none while one of them is not there.
    pub fn measure(
        &mut self,
        metric: &Metric,
        content: &mut dyn FnMut(&str, &str) -> Option<Content>,
    ) -> Option<Measure> {
        let mut contents = Vec::with_capacity(metric.tasks.len());
        for task in &metric.tasks {
            match content(&task.task, &metric.output) {
                Some(content) if self.store.objects().contains(&content.digest) => contents.push(content),
                _ => return None,
            }
        }
        let (value, reason) = match self.value(metric, &contents) {
            Ok(Value::Number(value)) if !value.is_finite() => {
                (Value::Number(value), Some(NoNumber::NotFinite { value }))
            }
            Ok(value) => (value, None),
            Err(reason) => (Value::Null, Some(reason)),
        };
        let reason = reason.map(|reason| reason.to_string());
        Some(Measure { metric: metric.name.clone(), value, reason })
    }

    fn value(&mut self, metric: &Metric, contents: &[Content]) -> Result<Value, NoNumber> {
        let from = || metric.from.clone();
        if contents.iter().any(|content| content.shape == Shape::Folder) {
            return Err(NoNumber::Folder { from: from() });
        }
        match (&metric.pick, contents) {
            (Pick::Field { field }, [only, ..]) => self.field(metric, only, field),
            (Pick::Field { .. }, []) => Err(NoNumber::NoRow { from: from() }),
            (Pick::Column { column, filter, aggregate }, contents) => {
                let name = format!("`{}`", metric.from);
                let rows = self.rows(metric, contents)?;
                let rows = rows.filter(filter, &name).map_err(NoNumber::Rows)?;
                let values = rows.numbers(column, &name).map_err(NoNumber::Rows)?;
                let number = match (values.as_slice(), aggregate) {
                    ([], _) => return Err(NoNumber::NoRow { from: from() }),
                    ([only], None) => *only,
                    (values, Some(aggregate)) => pick(values, *aggregate),
                    (values, None) => return Err(NoNumber::ManyRows { from: from(), rows: values.len() }),
                };
                let none = || NoNumber::NoValue { from: from(), column: column.clone() };
                number.map(Value::Number).ok_or_else(none)
            }
        }
    }

    /// The tables of a metric's tasks, one below the other, with the labels of the tasks as columns.
    fn rows(&mut self, metric: &Metric, contents: &[Content]) -> Result<Columns, NoNumber> {
        let mut parts = Vec::with_capacity(contents.len());
        for (task, content) in metric.tasks.iter().zip(contents) {
            let table = match self.tables.get(&content.digest) {
                Some(table) => table.clone(),
                None => {
                    // Of several it is told which.
                    let from = || match metric.tasks.as_slice() {
                        [_] => metric.from.clone(),
                        _ => format!("{}.{}", task.task, metric.output),
                    };
                    let path = sound(self.store, content, &from)?;
                    let wrong = |source| NoNumber::Table { from: from(), source };
                    let table = read::load(&path, self.parquet).map_err(wrong)?;
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

    fn field(&mut self, metric: &Metric, content: &Content, field: &str) -> Result<Value, NoNumber> {
        let from = metric.from.clone();
        let document = match self.documents.entry(content.digest) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let read = read::text(&sound(self.store, content, &|| from.clone())?);
                let text = read.map_err(|source| NoNumber::Table { from: from.clone(), source })?;
                match read::json::parse(&text) {
                    Ok(document) => entry.insert(document),
                    Err(message) => return Err(NoNumber::Json { from, message }),
                }
            }
        };
        let mut value = &*document;
        for step in field.split('.') {
            let next = match value {
                serde_json::Value::Array(items) => step.parse().ok().and_then(|at: usize| items.get(at)),
                value => value.get(step),
            };
            value = next.ok_or_else(|| NoNumber::NoField {
                from: from.clone(),
                field: field.to_owned(),
                there: there(value, step),
            })?;
        }
        let what = match value {
            serde_json::Value::Array(_) => "a list",
            serde_json::Value::Object(_) => "a mapping",
            serde_json::Value::Null => return Err(NoNumber::Null { from, field: field.to_owned() }),
            value => return Ok(Value::from(value)),
        };
        Err(NoNumber::NotOne { from, field: field.to_owned(), what })
    }
}

/// Where the object of a file is whose bytes are those of its name.
fn sound(store: &Store, content: &Content, from: &dyn Fn() -> String) -> Result<PathBuf, NoNumber> {
    store.objects().checked_file(&content.digest).map_err(|error| match error {
        StoreError::DamagedObject { .. } => NoNumber::Damaged { from: from() },
        source => NoNumber::Store { from: from(), source },
    })
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

/// One value from those of the rows. Missing ones are left out; one that is not a number makes the outcome that.
fn pick(values: &[Option<f64>], aggregate: Aggregate) -> Option<f64> {
    let there: Vec<f64> = values.iter().copied().flatten().collect();
    let last = *there.last()?;
    let ends = |better: fn(f64, f64) -> bool| {
        let keep = |best: f64, value: f64| if value.is_nan() || better(value, best) { value } else { best };
        there.iter().copied().reduce(|best, value| if best.is_nan() { best } else { keep(best, value) })
    };
    match aggregate {
        Aggregate::Last => Some(last),
        Aggregate::Min => ends(|value, best| value < best),
        Aggregate::Max => ends(|value, best| value > best),
        Aggregate::Mean => Some(there.iter().sum::<f64>() / there.len() as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_number_stays_that_and_what_is_missing_is_left_out() {
        for aggregate in [Aggregate::Min, Aggregate::Max, Aggregate::Mean] {
            for values in [[f64::NAN, 1.0], [1.0, f64::NAN]] {
                assert!(pick(&values.map(Some), aggregate).is_some_and(f64::is_nan), "{aggregate:?}");
            }
            assert_eq!(pick(&[None, Some(3.0), None], aggregate), Some(3.0));
            assert_eq!(pick(&[None], aggregate), None);
        }
        assert!(pick(&[Some(9.0), Some(f64::NAN)], Aggregate::Last).is_some_and(f64::is_nan));
        assert_eq!(pick(&[Some(9.0), None], Aggregate::Last), Some(9.0));
        let ends = [Some(2.0), Some(-1.0), Some(5.0)];
        assert_eq!((pick(&ends, Aggregate::Min), pick(&ends, Aggregate::Max)), (Some(-1.0), Some(5.0)));
    }
}
