//! The `--json` documents: one type each, from which `schema/output/` and `docs/json.md` are generated.
//!
//! A command that prints another one: give it a type here, a line in `documents_tests.rs`, and run
//! `ONSAGER_UPDATE=1 cargo test --release -p onsager-runner --features remote documents`.

use crate::cli::facts::{AttemptFacts, RunFacts};
use crate::compare::gather::{Missing, Note};
use crate::compare::rows::Measured;
use crate::paper::check::Finding;
use crate::plan::planned::{Planned, Verdict};
use crate::run::claims::Checked;
use crate::run::rerun::Rerun;
use crate::run::result::{Found, Standing};
use crate::store::digest::Digest;
use crate::store::gc::Collected;
use crate::store::names::{self, Written};
use crate::store::objects::Outputs;
#[cfg(feature = "remote")]
use crate::store::remote::elsewhere::Difference;
use crate::store::tail;
use crate::worker::cluster::overview::JobView;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::path::PathBuf;

/// What every command prints when the request is wrong, or when it fails as a whole.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ErrorDocument {
    /// The exit code: 1 failed, 2 the request or a file is wrong.
    pub exit: u8,
    /// At least one; of a pipeline file everything that is wrong with it.
    pub errors: Vec<ErrorItem>,
}

/// One thing that is wrong.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ErrorItem {
    pub message: String,
    /// The YAML file, or the argument like `--set key=value`, if it is about a place in one.
    pub file: Option<String>,
    /// From 1.
    pub line: Option<usize>,
    /// From 1, in characters.
    pub column: Option<usize>,
    /// What to do.
    pub help: Option<String>,
}

/// The jobs of clusters; of `cancel`, those that are to end.
#[derive(Debug, Serialize, JsonSchema)]
pub struct JobsDocument {
    pub jobs: Vec<JobView>,
}

/// What a run did.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RunDocument {
    /// The run's name.
    pub run: String,
    pub pipeline: String,
    /// The exit code: 0 done, 1 a task failed, 3 a claim fails or is stale (with `--check-claims`), 130 interrupted.
    pub exit: u8,
    pub interrupted: bool,
    pub seconds: f64,
    pub tasks: RunTasks,
    /// The outputs of every executed or cached task, by task and by the output's name.
    pub outputs: BTreeMap<String, BTreeMap<String, RunOutput>>,
    /// What became of the pipeline's claims, in its order.
    pub claims: Vec<Checked>,
}

/// A paper beside its run: `paper check --json`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PaperCheck {
    /// The pipeline's file.
    pub pipeline: String,
    /// The exit code: 0 nothing is wrong, 1 something is.
    pub exit: u8,
    pub findings: Vec<Finding>,
    /// Numbers, figures and tables that the text does not use.
    pub unused: Vec<String>,
    /// How often the text names something of the run.
    pub used: usize,
}

/// A paper as one archive: `paper tarball --json`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PaperTarball {
    pub output: PathBuf,
    /// Their paths in the archive.
    pub files: Vec<String>,
    #[schemars(with = "String")]
    pub sha256: Digest,
}

/// The tasks by how they ended, each list in the order of the graph.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct RunTasks {
    pub executed: Vec<String>,
    pub cached: Vec<String>,
    /// Those of the cached ones whose result came from a remote store.
    pub fetched: Vec<String>,
    pub failed: Vec<FailedTask>,
    /// Not to run, as the pipeline says.
    pub skipped: Vec<SkippedTask>,
    /// Interrupted, or not tried.
    pub not_run: Vec<String>,
}

/// A task that went wrong.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FailedTask {
    pub task: String,
    pub message: String,
}

/// A task that is not to run.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SkippedTask {
    pub task: String,
    pub because: String,
}

/// An output.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RunOutput {
    /// The SHA-256 of a file's bytes; of a folder, that of its list of files.
    #[schemars(with = "String")]
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
    /// Where it is found.
    #[serde(serialize_with = "names::optional::serialize")]
    #[schemars(with = "Option<String>")]
    pub path: Option<PathBuf>,
}

/// What a run would do.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PlanDocument {
    pub pipeline: String,
    /// How many tasks would be executed for certain.
    pub execute: usize,
    /// How many would be, unless what they need gives the same bytes as before.
    pub depends: usize,
    pub cached: usize,
    /// How many a remote store has the result of.
    pub fetch: usize,
    /// How many stand for one task for each item of an output that is not made yet.
    pub each: usize,
    /// How many the pipeline says are not to run.
    pub skipped: usize,
    /// How many would fail, since what they are to read is not there.
    pub fail: usize,
    /// In the order of the graph.
    pub tasks: Vec<Planned>,
}

/// Where the tasks of a pipeline stand.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StatusDocument {
    pub pipeline: String,
    /// The name of the last run; null before the first.
    pub last_run: Option<String>,
    /// Who ran it, and where.
    pub facts: Option<RunFacts>,
    /// In the order of the graph.
    pub tasks: Vec<StatusTask>,
}

/// Where a task stands.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StatusTask {
    pub task: String,
    /// One of `running`, `done`, `failed`, `to do`, `waiting`, `skipped`, `to fail`.
    pub state: String,
    /// How long its execution took, for a task that is done.
    pub seconds: Option<f64>,
    /// The message of its latest failure, if no execution has succeeded since.
    pub failure: Option<String>,
    /// The run that tried it last; null where none has.
    pub run: Option<String>,
    /// The tries of that run, in their order.
    pub attempts: Vec<AttemptFacts>,
}

/// The pipelines and experiments of a project.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ListDocument {
    /// The project.
    pub folder: PathBuf,
    /// In the order of their names.
    pub files: Vec<ListedFile>,
}

/// A pipeline or an experiment.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct ListedFile {
    /// Where it is in the project.
    pub file: PathBuf,
    /// Its name; null where it cannot be read.
    pub name: Option<String>,
    pub experiment: bool,
    /// How many tasks it has.
    pub tasks: usize,
    pub done: usize,
    pub failed: usize,
    pub running: usize,
    /// The name of its last run; null before the first.
    pub last_run: Option<String>,
    /// What is wrong with the file.
    pub error: Option<String>,
}

/// A result that `get` found; the document is a list of these.
#[derive(Debug, Serialize, JsonSchema)]
pub struct GetResult {
    pub task: String,
    pub output: String,
    /// The coordinates of the task in its matrix, by axis.
    pub labels: serde_json::Map<String, Value>,
    pub path: PathBuf,
    pub folder: bool,
    /// Whether it is what the pipeline says now.
    pub current: bool,
    /// Of a result that is current: the SHA-256 of a file's bytes; of a folder, that of its list of files.
    #[schemars(with = "Option<String>")]
    pub digest: Option<Digest>,
}

impl GetResult {
    pub fn of(found: Found) -> GetResult {
        GetResult {
            folder: found.path.is_dir(),
            task: found.task,
            output: found.output,
            labels: found.labels.into_iter().collect(),
            path: found.path,
            current: found.standing == Standing::Current,
            digest: found.content.map(|content| content.digest),
        }
    }
}

/// What makes the key of a task; the document is a list of these.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ExplainTask {
    pub task: String,
    /// Null while an input is still to be made.
    #[schemars(with = "Option<String>")]
    pub key: Option<Digest>,
    pub verdict: Verdict,
    /// Every field that enters the key, and its value.
    pub material: serde_json::Map<String, Value>,
    /// The outputs, once there is a result: pairs of a name and its content.
    #[schemars(with = "Option<Vec<(String, OutputContent)>>")]
    pub outputs: Option<Outputs>,
}

/// The content of an output.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OutputContent {
    pub digest: String,
    /// `file` or `folder`.
    pub shape: String,
    /// In bytes; of a folder, the sum over its files.
    pub size: u64,
}

/// The log of a task's latest execution; the document is a list of these.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LogTask {
    pub task: String,
    /// The run that executed it.
    pub run: String,
    #[serde(serialize_with = "names::serialize")]
    #[schemars(with = "String")]
    pub path: PathBuf,
    /// The log's text.
    #[schemars(with = "String")]
    pub log: LogText,
    /// The tries of that run, in their order.
    pub attempts: Vec<AttemptFacts>,
}

/// The text of a log, which is read when it is written: it may be large.
#[derive(Debug)]
pub struct LogText {
    pub path: PathBuf,
    /// Only so many lines at its end.
    pub tail: Option<u64>,
}

impl fmt::Display for LogText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut read = || -> io::Result<fmt::Result> {
            let mut file = File::open(&self.path)?;
            let start = self.tail.map_or(Ok(0), |lines| tail::start_of_tail(&mut file, lines))?;
            file.seek(SeekFrom::Start(start))?;
            tail::for_each_text(&mut file, |text| f.write_str(text))
        };
        // Serde's way to say that a value cannot be written; the file was there a moment ago.
        read().unwrap_or(Err(fmt::Error))
    }
}

impl Serialize for LogText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A new project.
#[derive(Debug, Serialize, JsonSchema)]
pub struct InitDocument {
    pub template: String,
    /// The files that were written.
    #[schemars(with = "Vec<String>")]
    pub files: Vec<Written>,
    /// What a conversion leaves to do by hand, each with its place.
    pub left: Vec<String>,
}

/// Parameters and metrics side by side.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CompareDocument {
    /// The names of the parameters that are columns of the table.
    pub parameters: Vec<String>,
    /// The names of the metrics.
    pub metrics: Vec<String>,
    /// The parameters that were averaged over.
    pub over: Vec<String>,
    pub rows: Vec<CompareRow>,
    /// The points that have no finite number for a metric, which is null there.
    pub notes: Vec<Note>,
    /// The points that are not finished.
    pub missing: Vec<Missing>,
}

/// A row: points that agree in all parameters but those averaged over.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CompareRow {
    /// The name of the experiment or pipeline.
    pub experiment: String,
    /// By name, without those averaged over.
    pub params: serde_json::Map<String, Value>,
    /// The names of the points; of a pipeline, those of its runs.
    pub points: Vec<String>,
    /// By name.
    pub metrics: BTreeMap<String, Measured>,
}

/// A remote store of `onsager.toml`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RemoteDocument {
    pub name: String,
    pub url: String,
    /// The address of the server, where it is not the provider's own.
    pub endpoint: Option<String>,
    /// Whether it is used when none is named.
    pub default: bool,
    /// Whether results can be written there.
    pub writable: bool,
    /// Whether results count that nobody signed whom the project trusts.
    pub accepts_unsigned: bool,
}

/// The remote stores of `onsager.toml`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RemotesDocument {
    /// In the order of their names.
    pub remotes: Vec<RemoteDocument>,
}

#[cfg(feature = "remote")]
/// What `push` sent.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PushDocument {
    pub remote: String,
    /// How many results are there now that were not.
    pub new: usize,
    /// How many were there already.
    pub there: usize,
    /// How many tasks have no result to send.
    pub without: usize,
    /// The results that have other bytes than those that are there, which stay.
    pub differs: Vec<Difference>,
    /// The tasks whose results were not sent, since they came from elsewhere and nobody signed them.
    pub unsigned: Vec<String>,
    /// The results that could not be sent.
    pub failed: Vec<NotPushed>,
    /// Of the objects that were sent.
    pub bytes: u64,
    /// How many requests the server got.
    pub requests: u64,
}

#[cfg(feature = "remote")]
/// A result that could not be sent.
#[derive(Debug, Serialize, JsonSchema)]
pub struct NotPushed {
    pub task: String,
    pub message: String,
}

#[cfg(feature = "remote")]
/// What `pull` took.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PullDocument {
    pub remote: String,
    /// The tasks whose result came from there.
    pub found: Vec<String>,
    /// How many results are known here now.
    pub known: usize,
    /// The tasks that have no result, or not its bytes, here or there.
    pub missing: Vec<String>,
    /// That came.
    pub bytes: u64,
    /// How many requests the server got.
    pub requests: u64,
}

/// A task that `store verify --rerun` executed again; the document is a list of these.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RerunTask {
    pub task: String,
    pub rerun: Rerun,
}

/// What `store gc` dropped.
#[derive(Debug, Serialize, JsonSchema)]
pub struct GcDocument {
    /// Whether it was only to be told.
    pub dry_run: bool,
    pub collected: Collected,
}

/// Keys that sign, and keys that are trusted.
#[derive(Debug, Serialize, JsonSchema)]
pub struct KeyList {
    /// The user's own.
    pub own: Vec<OwnKey>,
    /// The public key that signs here: of the environment, or the user's own; null where there is none.
    pub signing: Option<String>,
    /// Those that the project trusts.
    pub trusted: Vec<TrustedKey>,
    /// The scopes whose results are taken.
    pub read: Vec<String>,
    /// The scope that results are signed for.
    pub write: String,
}

/// A key of the user's.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OwnKey {
    pub name: String,
    /// The public part.
    pub key: String,
}

/// A key that the project trusts.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TrustedKey {
    pub name: String,
    pub key: String,
    /// The last day on which what it signs counts.
    pub until: Option<String>,
    /// The scopes that it may sign for.
    pub scopes: Vec<String>,
}
