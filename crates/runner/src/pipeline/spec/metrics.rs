//! Metrics: the numbers of a pipeline by which its runs are compared.
//!
//! ```yaml
//! metrics:
//!   slope: {from: law.slopes, column: slope, where: {system: free, estimator: counting}}   # a cell of a table
//!   loss: {from: train.loss, column: validation_loss, where: {model: ddpm}, aggregate: last}
//!   accuracy: {from: classifier.metrics, field: test.accuracy}                             # a field of a JSON file
//! ```
//! They are read from results and enter no key.

use onsager_tables::value::Filter;
use serde::{Deserialize, Serialize};

/// The fields of a metric.
pub const FIELDS: [&str; 5] = ["from", "field", "column", "where", "aggregate"];
/// The names of the aggregates.
pub const AGGREGATES: [&str; 4] = ["mean", "min", "max", "last"];

/// A number of a result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    pub name: String,
    /// The artifact as written: `law.fit`.
    pub from: String,
    /// The tasks that make it, with their labels.
    pub tasks: Vec<MetricTask>,
    pub output: String,
    #[serde(flatten)]
    pub pick: Pick,
}

impl Metric {
    /// The stage whose tasks make it.
    pub fn stage(&self) -> &str {
        self.from.split(['.', '[']).next().unwrap_or_default()
    }
}

/// A task that a metric is read from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricTask {
    pub task: String,
    pub labels: Vec<(String, serde_json::Value)>,
}

/// Which part of the artifact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "pick", rename_all = "kebab-case")]
pub enum Pick {
    /// A field of a JSON file, with dots between the steps.
    Field { field: String },
    /// A column of a table, in the rows that pass the filter.
    Column { column: String, filter: Filter, aggregate: Option<Aggregate> },
}

/// One value from several rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aggregate {
    Mean,
    Min,
    Max,
    Last,
}
