//! Metrics: the numbers of a pipeline by which its runs are compared.
//!
//! ```yaml
//! metrics:
//!   slope: {from: law.slopes, column: slope, where: {system: free, estimator: counting}}   # a cell of a table
//!   loss: {from: train.loss, column: validation_loss, where: {model: ddpm}, aggregate: last}
//!   accuracy: {from: classifier.metrics, field: test.accuracy}                             # a field of a JSON file
//!   free.slope: {from: law.slopes, column: slope, lower: slope_lower, upper: slope_upper, digits: 3, unit: "1/s"}
//! ```
//! They are read from results and enter no key, but that of the stages that are [given them](crate::kind::stage::Stage::METRICS).

use onsager_tables::value::Filter;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The fields of a metric.
pub const FIELDS: [&str; 14] = [
    "from",
    "field",
    "column",
    "where",
    "aggregate",
    "lower",
    "upper",
    "error",
    "digits",
    "decimals",
    "form",
    "unit",
    "thousands",
    "about",
];
/// The names of the aggregates.
pub const AGGREGATES: [&str; 4] = ["mean", "min", "max", "last"];
/// The names of the forms.
pub const FORMS: [&str; 4] = ["auto", "plain", "scientific", "percent"];

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
    /// Where its interval stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spread: Option<Spread>,
    /// How it is written.
    #[serde(default, skip_serializing_if = "Show::is_default")]
    pub show: Show,
}

/// What is read beside a value: columns or fields, as the value itself is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Spread {
    /// The ends of its 95 % interval.
    Ends { lower: String, upper: String },
    /// Its standard error.
    Error(String),
}

/// How a number is written in a text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Show {
    /// Significant digits.
    pub digits: Option<usize>,
    /// Digits after the point.
    pub decimals: Option<usize>,
    pub form: Form,
    /// Written upright behind the number, as in `m^2/s`.
    pub unit: Option<String>,
    /// Whether there is a space between thousands.
    pub thousands: bool,
    /// What the number is, in words.
    pub about: Option<String>,
}

impl Show {
    fn is_default(&self) -> bool {
        *self == Show::default()
    }
}

/// The notation of a number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// Powers of ten for the very large and the very small.
    #[default]
    Auto,
    /// Never powers of ten.
    Plain,
    /// Always powers of ten.
    Scientific,
    /// Times 100, with a percent sign.
    Percent,
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "pick", rename_all = "kebab-case")]
pub enum Pick {
    /// A field of a JSON file, with dots between the steps.
    Field { field: String },
    /// A column of a table, in the rows that pass the filter.
    Column { column: String, filter: Filter, aggregate: Option<Aggregate> },
}

/// One value from several rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Aggregate {
    Mean,
    Min,
    Max,
    Last,
}
