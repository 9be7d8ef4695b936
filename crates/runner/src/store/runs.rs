//! What the store's tools read of the records of runs: when they ran, and which results they stand on.

use super::{Store, log};
use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
use crate::store::names;
use crate::store::proof::{Origin, Proof};
use crate::store::text;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

/// A run, as its record tells it.
#[derive(Debug, Clone)]
pub struct Run {
    pub id: String,
    /// Its record.
    pub path: PathBuf,
    pub pipeline: String,
    /// The text of the pipeline's file, in the manifests.
    pub source: Option<Digest>,
    /// Unix seconds.
    pub started: i64,
    /// Whether it ended with every task done.
    pub done: bool,
    /// For each task that it had a result of, the key.
    pub results: BTreeMap<String, Digest>,
    /// Of a finished run: see [`crate::store::manifests`].
    pub manifest: Option<Digest>,
    /// The stages that fan out, as their tasks are called before their coordinates, each with a task that makes what it is over.
    pub fanned: BTreeSet<(String, String)>,
    /// The keys that it began to compute.
    pub attempted: BTreeSet<Digest>,
}

/// The fields of a record's lines that matter here; the engine writes more.
#[derive(Deserialize)]
struct Line {
    at: String,
    event: String,
    pipeline: Option<String>,
    source: Option<Digest>,
    task: Option<String>,
    key: Option<Digest>,
    manifest: Option<Digest>,
    failed: Option<usize>,
    interrupted: Option<bool>,
    #[serde(default)]
    points: Vec<PointLine>,
}

#[derive(Deserialize)]
struct PointLine {
    #[serde(default)]
    fanned: Vec<FannedLine>,
}

#[derive(Deserialize)]
struct FannedLine {
    stage: String,
    over: String,
}

/// Where the record of a run came from that was not made here: `<run>.from.json` beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foreign {
    pub origin: Origin,
    /// Who vouches for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
}

/// Where the record of a run came from; none where it was made here.
pub fn foreign(store: &Store, run: &str) -> Result<Option<Foreign>, StoreError> {
    let path = foreign_path(store, run);
    match fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        bytes => {
            let read = serde_json::from_slice(&bytes.map_err(StoreError::io("read", &path))?);
            read.map(Some).map_err(|error| StoreError::Damaged { path, message: error.to_string() })
        }
    }
}

/// Notes where the record of a run comes from; before that is there.
pub fn note_foreign(store: &Store, run: &str, foreign: &Foreign) -> Result<(), StoreError> {
    let path = foreign_path(store, run);
    let bytes = serde_json::to_vec(foreign).map_err(|error| StoreError::io("write", &path)(error.into()))?;
    files::write_atomic(&path, &bytes)
}

fn foreign_path(store: &Store, run: &str) -> PathBuf {
    store.runs().join(format!("{run}.from.json"))
}

/// The pipeline of the record of a run that comes from elsewhere, or why it is no such record. It is printed, so it holds nothing that
/// would spoil a terminal.
pub fn check(bytes: &[u8], run: &str) -> Result<String, String> {
    // A line that is torn is passed over whenever a record is read.
    let lines: Vec<Value> = lines(bytes).collect();
    if !lines.iter().all(text::all_clean) {
        return Err("it has control characters".into());
    }
    let first = lines.first().filter(|line| line["event"] == "run-started" && line["run"] == run);
    let pipeline = first.and_then(|line| line["pipeline"].as_str()).filter(|name| names::is_plain(name));
    pipeline.map(str::to_owned).ok_or_else(|| format!("it is not that of the run `{run}`"))
}

/// The manifest that the record of a run names.
pub fn manifest_of(bytes: &[u8]) -> Option<Digest> {
    lines(bytes).find_map(|line: Line| line.manifest)
}

fn lines<T: DeserializeOwned>(bytes: &[u8]) -> impl Iterator<Item = T> {
    bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok())
}

/// Every run with a readable record, oldest first.
pub fn all(store: &Store) -> Result<Vec<Run>, StoreError> {
    let mut runs = Vec::new();
    for path in files::list(&store.runs())? {
        if path.extension().is_some_and(|extension| extension == "jsonl")
            && let Some(run) = read(store, path)?
        {
            runs.push(run);
        }
    }
    runs.sort_by(|a, b| (a.started, &a.id).cmp(&(b.started, &b.id)));
    Ok(runs)
}

fn read(store: &Store, path: PathBuf) -> Result<Option<Run>, StoreError> {
    let lines: Vec<Line> = log::read_lines(&path)?;
    let id = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let Some(first) = lines.first() else { return Ok(None) };
    let (Some(pipeline), Ok(started)) = (first.pipeline.clone(), first.at.parse::<jiff::Timestamp>()) else {
        return Ok(None);
    };
    // It names a file of the store: nothing that may lead elsewhere.
    if !names::is_plain(&pipeline) || !names::is_plain(&id) {
        return Ok(None);
    }
    let mut run = Run {
        id,
        path,
        pipeline,
        source: first.source,
        started: started.as_second(),
        done: false,
        results: BTreeMap::new(),
        manifest: None,
        fanned: BTreeSet::new(),
        attempted: BTreeSet::new(),
    };
    for line in lines {
        let fanned = line.points.into_iter().flat_map(|point| point.fanned);
        run.fanned.extend(fanned.map(|fanned| (fanned.stage, fanned.over)));
        match (line.event.as_str(), line.task, line.key) {
            ("task-finished", Some(task), Some(key)) => _ = run.results.insert(task, key),
            ("task-started", _, Some(key)) => _ = run.attempted.insert(key),
            ("run-finished", _, _) => {
                run.manifest = line.manifest;
                run.done = line.failed == Some(0) && line.interrupted == Some(false);
            }
            _ => {}
        }
    }
    // One that is gone or damaged leaves what the events tell.
    let listed = run.manifest.and_then(|manifest| store.manifests().get(&manifest).ok().flatten());
    run.results.extend(listed.into_iter().flatten().map(|listed| (listed.task, listed.key)));
    Ok(Some(run))
}
