//! The `--json` documents of the commands that show curves, or hand runs on: see [`crate::cli::documents`].

use crate::store::curves::number;
use crate::store::digest::Digest;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The curves of a run.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MetricsDocument {
    pub run: String,
    pub pipeline: String,
    /// Those that have any, in the order of their names.
    pub tasks: Vec<MetricsTask>,
}

/// The curves of a task.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MetricsTask {
    pub task: String,
    #[schemars(with = "String")]
    pub key: Digest,
    /// By name; the steps of each ascend.
    pub curves: BTreeMap<String, Vec<MetricsPoint>>,
}

/// A point of a curve.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MetricsPoint {
    pub step: u64,
    /// One of the texts `NaN`, `Infinity` and `-Infinity` where it is not finite.
    #[serde(serialize_with = "number::serialize")]
    #[schemars(extend("type" = ["number", "string"]))]
    pub value: f64,
    /// When it was measured, in milliseconds since 1970.
    pub at: i64,
}

/// What `export crate` wrote.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CrateDocument {
    pub run: String,
    pub pipeline: String,
    /// The archive.
    pub file: PathBuf,
    /// How many have a result in it.
    pub tasks: usize,
    /// How many.
    pub objects: usize,
    /// Of the objects.
    pub bytes: u64,
    /// What is not in it, and why.
    pub notes: Vec<String>,
}

/// What `export tensorboard` wrote.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TensorboardDocument {
    pub run: String,
    /// The folder that TensorBoard is to be given.
    pub folder: PathBuf,
    pub tasks: usize,
    pub curves: usize,
    pub points: usize,
}

/// What `export mlflow` sent.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MlflowDocument {
    pub run: String,
    /// The name of the experiment.
    pub experiment: String,
    /// The runs of MLflow: with several points of the parameters the first is the one that the others are below.
    pub runs: Vec<MlflowRun>,
}

/// A run of MLflow.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MlflowRun {
    /// As MLflow calls it.
    pub id: String,
    pub name: String,
    /// Whether it was there already, and was left as it is.
    pub there: bool,
    pub params: usize,
    /// How many points its curves and results have.
    pub points: usize,
}
