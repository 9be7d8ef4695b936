//! A number as a result has it: a cell of a table, several rows made one, a field of a JSON file, with its interval where one is told.

use crate::numbers::seeds::is_seed;
use crate::pipeline::spec::metrics::{Aggregate, Pick, Spread};
use crate::store::files::StoreError;
use onsager_tables::columns::Columns;
use onsager_tables::error::TableError;
use onsager_tables::names::did_you_mean;
use onsager_tables::read::{self, Parquet};
use onsager_tables::value::{Filter, Value};
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
    #[error("`{from}` has {rows} rows for a mean, and an interval for each of them; leave out the intervals")]
    ManySpreads { from: String, rows: usize },
    #[error("`{spread}` of `{from}`, which tells the interval, is no number")]
    NoSpread { from: String, spread: String },
}

/// An artifact that a number is read from.
pub struct Part<'p> {
    /// What tells it from all others; it is opened once.
    pub id: String,
    /// What messages call it.
    pub name: String,
    pub labels: &'p [(String, serde_json::Value)],
    /// Where it lies, once it was looked at.
    pub open: &'p dyn Fn() -> Result<PathBuf, NoNumber>,
}

/// What is read, and what messages call it.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub from: &'a str,
    pub pick: &'a Pick,
    pub spread: Option<&'a Spread>,
}

/// What a result says of a number.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    pub value: Value,
    /// The ends of its 95 % interval.
    pub ends: Option<(f64, f64)>,
    /// Its standard error.
    pub error: Option<f64>,
    /// The values that a mean is of, each with the seeds of its row.
    pub samples: Vec<(String, f64)>,
}

/// Reads numbers; a file that several are read from is read once.
pub struct Reader<'a> {
    parquet: Option<&'a dyn Parquet>,
    tables: HashMap<String, Columns>,
    documents: HashMap<String, serde_json::Value>,
}

impl<'a> Reader<'a> {
    pub fn new(parquet: Option<&'a dyn Parquet>) -> Reader<'a> {
        Reader { parquet, tables: HashMap::new(), documents: HashMap::new() }
    }

    /// Reads a number from the artifacts that it is in.
    pub fn read(&mut self, asked: Asked, parts: &[Part]) -> Result<Reading, NoNumber> {
        let from = || asked.from.to_owned();
        match (asked.pick, parts) {
            (Pick::Field { field }, [only, ..]) => self.fields(asked, only, field),
            (Pick::Field { .. }, []) => Err(NoNumber::NoRow { from: from() }),
            (Pick::Column { column, filter, aggregate }, parts) => {
                self.cells(asked, parts, column, filter, *aggregate)
            }
        }
    }

    fn cells(
        &mut self,
        asked: Asked,
        parts: &[Part],
        column: &str,
        filter: &Filter,
        aggregate: Option<Aggregate>,
    ) -> Result<Reading, NoNumber> {
        let from = || asked.from.to_owned();
        let table = format!("`{}`", asked.from);
        let rows = self.rows(parts, asked.from)?.filter(filter, &table).map_err(NoNumber::Rows)?;
        let values = rows.numbers(column, &table).map_err(NoNumber::Rows)?;
        let number = match (values.as_slice(), aggregate) {
            ([], _) => return Err(NoNumber::NoRow { from: from() }),
            ([only], None) => *only,
            (values, Some(aggregate)) => pick(values, aggregate),
            (values, None) => return Err(NoNumber::ManyRows { from: from(), rows: values.len() }),
        };
        let number = number.ok_or_else(|| NoNumber::NoValue { from: from(), column: column.to_owned() })?;
        let there = values.iter().flatten().count();
        let mean = aggregate == Some(Aggregate::Mean) && there > 1;
        if mean && asked.spread.is_some() {
            return Err(NoNumber::ManySpreads { from: from(), rows: there });
        }
        // The row that the value is of: the last one of those that have it.
        let row =
            values.iter().rposition(|value| value.is_some_and(|value| value.to_bits() == number.to_bits()));
        let beside = |column: &str| {
            let none = || NoNumber::NoSpread { from: from(), spread: column.to_owned() };
            let values = rows.numbers(column, &table).map_err(NoNumber::Rows)?;
            row.and_then(|row| values[row]).filter(|value| value.is_finite()).ok_or_else(none)
        };
        let (ends, error) = spread(asked.spread, &beside)?;
        let samples = if mean { samples(&rows, &values, &table)? } else { Vec::new() };
        Ok(Reading { value: Value::Number(number), ends, error, samples })
    }

    /// The tables of several artifacts, one below the other, with their labels as columns.
    fn rows(&mut self, parts: &[Part], whole: &str) -> Result<Columns, NoNumber> {
        let mut stacked = Vec::with_capacity(parts.len());
        for part in parts {
            let table = match self.tables.get(&part.id) {
                Some(table) => table.clone(),
                None => {
                    // Of several it is told which.
                    let from = || if parts.len() == 1 { whole.to_owned() } else { part.name.clone() };
                    let path = (part.open)()?;
                    let wrong = |source| NoNumber::Table { from: from(), source };
                    let table = read::load(&path, self.parquet).map_err(wrong)?;
                    self.tables.insert(part.id.clone(), table.clone());
                    table
                }
            };
            let labels = part.labels.iter().map(|(axis, label)| (axis.clone(), Value::from(label)));
            stacked.push((table, labels.collect::<Vec<_>>()));
        }
        match stacked.as_slice() {
            [(table, labels)] if labels.is_empty() => Ok(table.clone()),
            parts => Ok(Columns::stack(parts)),
        }
    }

    fn fields(&mut self, asked: Asked, part: &Part, field: &str) -> Result<Reading, NoNumber> {
        let document = self.document(asked.from, part)?;
        let value = field_of(document, asked.from, field)?;
        let beside = |field: &str| {
            let none = || NoNumber::NoSpread { from: asked.from.to_owned(), spread: field.to_owned() };
            field_of(document, asked.from, field)?.number().filter(|value| value.is_finite()).ok_or_else(none)
        };
        let (ends, error) = spread(asked.spread, &beside)?;
        Ok(Reading { value, ends, error, samples: Vec::new() })
    }

    fn document(&mut self, from: &str, part: &Part) -> Result<&serde_json::Value, NoNumber> {
        match self.documents.entry(part.id.clone()) {
            std::collections::hash_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let wrong = |source| NoNumber::Table { from: from.to_owned(), source };
                let text = read::text(&(part.open)()?).map_err(wrong)?;
                match read::json::parse(&text) {
                    Ok(document) => Ok(entry.insert(document)),
                    Err(message) => Err(NoNumber::Json { from: from.to_owned(), message }),
                }
            }
        }
    }
}

/// The field of a document, with dots between the steps.
fn field_of(document: &serde_json::Value, from: &str, field: &str) -> Result<Value, NoNumber> {
    let from = || from.to_owned();
    let mut value = document;
    for step in field.split('.') {
        let next = match value {
            serde_json::Value::Array(items) => step.parse().ok().and_then(|at: usize| items.get(at)),
            value => value.get(step),
        };
        value = next.ok_or_else(|| NoNumber::NoField {
            from: from(),
            field: field.to_owned(),
            there: there(value, step),
        })?;
    }
    let what = match value {
        serde_json::Value::Array(_) => "a list",
        serde_json::Value::Object(_) => "a mapping",
        serde_json::Value::Null => return Err(NoNumber::Null { from: from(), field: field.to_owned() }),
        value => return Ok(Value::from(value)),
    };
    Err(NoNumber::NotOne { from: from(), field: field.to_owned(), what })
}

/// What there is in place of a field.
fn there(value: &serde_json::Value, step: &str) -> String {
    match value {
        serde_json::Value::Object(fields) => {
            did_you_mean(step, fields.keys().map(String::as_str), "there are")
                .unwrap_or_else(|| "it is empty".to_owned())
        }
        serde_json::Value::Array(items) => format!("there is a list of {} before `{step}`", items.len()),
        _ => format!("there is a single value before `{step}`"),
    }
}

/// The interval, or the standard error.
type Read = (Option<(f64, f64)>, Option<f64>);

fn spread(spread: Option<&Spread>, beside: &dyn Fn(&str) -> Result<f64, NoNumber>) -> Result<Read, NoNumber> {
    Ok(match spread {
        None => (None, None),
        Some(Spread::Ends { lower, upper }) => (Some((beside(lower)?, beside(upper)?)), None),
        Some(Spread::Error(error)) => (None, Some(beside(error)?)),
    })
}

/// The values of the rows, each with the seeds of its row.
fn samples(rows: &Columns, values: &[Option<f64>], table: &str) -> Result<Vec<(String, f64)>, NoNumber> {
    let names = rows.names();
    let seeds: Vec<&String> = names.iter().filter(|name| is_seed(name)).collect();
    let mut columns = Vec::with_capacity(seeds.len());
    for name in &seeds {
        columns.push(rows.values(name, table).map_err(NoNumber::Rows)?);
    }
    let key = |row: usize| {
        let seeds = seeds.iter().zip(&columns).map(|(name, cells)| format!("{name}={}", cells[row]));
        seeds.collect::<Vec<_>>().join(",")
    };
    let there = values.iter().enumerate().filter_map(|(row, value)| Some((key(row), (*value)?)));
    Ok(there.collect())
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
