//! The records of runs, looked back at: which runs there were, and what each of them knew.

use crate::pipeline::graph::Point;
use crate::run::events::{Event, Stamped};
use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
use crate::store::log;
use onsager_tables::names::advice;
use onsager_tables::names::did_you_mean;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

/// A run, by the first line of its record.
#[derive(Debug, Clone)]
pub struct Past {
    pub run: String,
    /// When it started: RFC 3339, UTC.
    pub at: String,
    /// The name of its pipeline or experiment.
    pub pipeline: String,
    pub version: String,
    pub kernel: String,
    pub points: Vec<Point>,
    record: PathBuf,
}

/// A word that names no run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    #[error("there is no run yet{}; `onsager run` makes one", of(.pipeline))]
    NoRun { pipeline: Option<String> },
    #[error("there is no run `{word}`{}{}", of(.pipeline), advice(.help))]
    Unknown { word: String, pipeline: Option<String>, help: Option<String> },
    #[error(
        "`{word}` is the beginning of {count} runs, of `{first}` and `{second}` for example; write more of it"
    )]
    Ambiguous { word: String, count: usize, first: String, second: String },
    #[error("`{word}` goes back too far: there {}{}", counted(*.count), of(.pipeline))]
    TooFar { word: String, count: usize, pipeline: Option<String> },
}

fn counted(runs: usize) -> String {
    if runs == 1 { "is 1 run".to_owned() } else { format!("are {runs} runs") }
}

fn of(pipeline: &Option<String>) -> String {
    pipeline.as_ref().map_or(String::new(), |pipeline| format!(" of `{pipeline}`"))
}

/// The runs of a pipeline, or of all, oldest first.
pub fn runs(store: &Store, pipeline: Option<&str>) -> Result<Vec<Past>, StoreError> {
    let mut runs = Vec::new();
    for path in files::list(&store.runs())? {
        if path.extension().is_some_and(|extension| extension == "jsonl")
            && let Some(past) = first_line(&path)?
            && pipeline.is_none_or(|name| name == past.pipeline)
        {
            runs.push(past);
        }
    }
    runs.sort_by(|a, b| (&a.at, &a.run).cmp(&(&b.at, &b.run)));
    Ok(runs)
}

/// What the first line of a record says; none if it is torn.
fn first_line(path: &Path) -> Result<Option<Past>, StoreError> {
    let file = File::open(path).map_err(StoreError::io("open", path))?;
    let mut line = Vec::new();
    BufReader::new(file).read_until(b'\n', &mut line).map_err(StoreError::io("read", path))?;
    let Ok(Stamped { at, event: Event::RunStarted { run, pipeline, version, kernel, points, .. } }) =
        serde_json::from_slice(&line)
    else {
        return Ok(None);
    };
    Ok(Some(Past { run, at, pipeline, version, kernel, points, record: path.to_owned() }))
}

impl Past {
    /// Its points, with the tasks that the metrics are read from: those of stages that fan out were known only when the run had grown.
    pub fn grown_points(&self) -> Result<Vec<Point>, StoreError> {
        let metrics = self.points.iter().flat_map(|point| &point.metrics);
        if metrics.into_iter().all(|metric| !metric.tasks.is_empty()) {
            return Ok(self.points.clone());
        }
        let grown =
            log::read_lines::<Stamped>(&self.record)?.into_iter().rev().find_map(|line| match line.event {
                Event::RunGrew { points, .. } => Some(points),
                _ => None,
            });
        Ok(grown.unwrap_or_else(|| self.points.clone()))
    }

    /// The key of every task whose result the run knew. Of a run that was killed only what it executed itself.
    pub fn tasks(&self, store: &Store) -> Result<BTreeMap<String, Digest>, StoreError> {
        let mut tasks = BTreeMap::new();
        for line in log::read_lines::<Stamped>(&self.record)? {
            match line.event {
                Event::TaskFinished { task, key, .. } => _ = tasks.insert(task, key),
                Event::RunFinished { manifest, .. } => {
                    let listed = store.manifests().get(&manifest)?.unwrap_or_default();
                    tasks.extend(listed.into_iter().map(|listed| (listed.task, listed.key)));
                }
                _ => {}
            }
        }
        Ok(tasks)
    }
}

/// The run that a word names: a name or the beginning of one, `last`, or `last~2` for the second before the last.
pub fn find<'p>(runs: &'p [Past], word: &str, pipeline: Option<&str>) -> Result<&'p Past, HistoryError> {
    let pipeline = || pipeline.map(str::to_owned);
    let Some(last) = runs.last() else { return Err(HistoryError::NoRun { pipeline: pipeline() }) };
    if word == "last" {
        return Ok(last);
    }
    if let Some(back) = word.strip_prefix("last~").and_then(|back| back.parse::<usize>().ok()) {
        let found = runs.len().checked_sub(1).and_then(|newest| newest.checked_sub(back));
        return found.map(|at| &runs[at]).ok_or_else(|| HistoryError::TooFar {
            word: word.to_owned(),
            count: runs.len(),
            pipeline: pipeline(),
        });
    }
    if let Some(exact) = runs.iter().find(|past| past.run == word) {
        return Ok(exact);
    }
    let found: Vec<&Past> = runs.iter().filter(|past| past.run.starts_with(word)).collect();
    match found.as_slice() {
        [only] if !word.is_empty() => Ok(only),
        [first, second, ..] => Err(HistoryError::Ambiguous {
            word: word.to_owned(),
            count: found.len(),
            first: first.run.clone(),
            second: second.run.clone(),
        }),
        _ => {
            let names = runs.iter().rev().map(|past| past.run.as_str());
            let help = did_you_mean(word, names, "the latest are");
            Err(HistoryError::Unknown { word: word.to_owned(), pipeline: pipeline(), help })
        }
    }
}
