//! What the store's tools read of the records of runs: when they ran, and which results they stand on.

use super::{Store, log};
use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
use crate::store::names;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
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
