//! The next points of a search: its command is told what the points so far came to, and says which to try.
//!
//! The command runs in the project's root, in a shell. On its standard input it reads one JSON object:
//! `{"seed": 7, "goal": "minimize", "metric": "loss", "params": {"lr": {"log-uniform": [0.0001, 0.1]}}, "count": 2,
//! "points": [{"params": {"lr": 0.01}, "value": 0.3}]}`; the value is null where the metric has none. It writes a JSON list of the
//! next points, at most `count` of them: `[{"lr": 0.02}]`. An empty list ends the search.

use crate::compare::gather::{self, GatherError};
use crate::pipeline::experiments::sweep::search::{Search, State};
use crate::pipeline::graph::Graph;
use crate::plan::resolve::Resolver;
use crate::store::Store;
use crate::store::files::{self, StoreError};
use onsager_tables::names::list;
use onsager_tables::read::Parquet;
use serde_json::{Map, Value, json};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Why a search does not go on.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    #[error(transparent)]
    Gather(#[from] GatherError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot start the search's command `{ask}`: {source}")]
    Start { ask: String, source: std::io::Error },
    #[error(
        "the search's command `{ask}` failed: {status}; its points so far are kept, so the same `run` asks again"
    )]
    Failed { ask: String, status: std::process::ExitStatus },
    #[error(
        "the search's command `{ask}` wrote no list of points: {reason}; it must write for example `{example}`"
    )]
    Answer { ask: String, reason: String, example: String },
}

/// Asks for the next points of the graph's search, after a run of all its points, and keeps them. None when the search is complete;
/// else how many points there are now.
pub fn advance(
    graph: &Graph,
    resolver: &mut Resolver,
    store: &Store,
    parquet: Option<&dyn Parquet>,
) -> Result<Option<usize>, SearchError> {
    let Some(search) = &graph.search else { return Ok(None) };
    let (mut known, mut exhausted) = (search.known.clone(), search.exhausted);
    let complete = search.complete();
    if !complete {
        let count = search.batch.min(search.points - known.len());
        let values = values(graph, search, resolver, store, parquet)?;
        let answer = ask(search, &graph.root, &values, count)?;
        exhausted = answer.is_empty();
        known.extend(answer);
    }
    let points = known.len();
    let state = State { search: search.identity.clone(), points: known, exhausted };
    keep(&search.state, &state)?;
    Ok((!complete && !exhausted).then_some(points))
}

/// What each point of the search came to: the mean over the points of the graph that belong to it. None where one has no value.
fn values(
    graph: &Graph,
    search: &Search,
    resolver: &mut Resolver,
    store: &Store,
    parquet: Option<&dyn Parquet>,
) -> Result<Vec<Option<f64>>, GatherError> {
    let (mut samples, mut missing) = (Vec::new(), Vec::new());
    gather::points(resolver, store, parquet, &mut samples, &mut missing)?;
    let value = |point: &str| {
        let sample = samples.iter().find(|sample| sample.point == point)?;
        let measure = sample.metrics.iter().find(|measure| measure.metric == search.metric)?;
        measure.value.number().filter(|value| value.is_finite())
    };
    let mean = |at: usize| {
        let own = graph.points.iter().zip(&search.of_points).filter(|(_, of)| **of == at);
        let values: Vec<f64> = own.map(|(point, _)| value(&point.name)).collect::<Option<_>>()?;
        Some(values.iter().sum::<f64>() / values.len() as f64)
    };
    Ok((0..search.known.len()).map(mean).collect())
}

fn ask(
    search: &Search,
    root: &Path,
    values: &[Option<f64>],
    count: usize,
) -> Result<Vec<Map<String, Value>>, SearchError> {
    let points: Vec<Value> = search
        .known
        .iter()
        .zip(values)
        .map(|(params, value)| json!({"params": params, "value": value}))
        .collect();
    let question = json!({
        "seed": search.seed,
        "goal": search.goal,
        "metric": search.metric,
        "params": search.params,
        "count": count,
        "points": points,
    });
    let ask = || search.ask.clone();
    let start = |source| SearchError::Start { ask: ask(), source };
    let mut child = Command::new("sh")
        .args(["-c", &search.ask])
        .current_dir(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(start)?;
    // A command that does not read all of the question is no fault; one that fails is told by its status.
    if let Some(mut input) = child.stdin.take() {
        let _ = input.write_all(format!("{question}\n").as_bytes());
    }
    let output = child.wait_with_output().map_err(start)?;
    if !output.status.success() {
        return Err(SearchError::Failed { ask: ask(), status: output.status });
    }
    let wrong = |reason: String| {
        let example = search.known.first().map_or_else(String::new, |first| json!([first]).to_string());
        SearchError::Answer { ask: ask(), reason, example }
    };
    let points: Vec<Map<String, Value>> =
        serde_json::from_slice(&output.stdout).map_err(|error| wrong(error.to_string()))?;
    if points.len() > count {
        return Err(wrong(format!("{} points, where at most {count} were asked for", points.len())));
    }
    let names: Vec<&String> = search.params.keys().collect();
    for (at, point) in points.iter().enumerate() {
        let fits = point.len() == names.len() && names.iter().all(|name| point.contains_key(*name));
        if !fits {
            return Err(wrong(format!("point {} is not of {}", at + 1, list(&names))));
        }
    }
    Ok(points)
}

/// Writes the state, unless it is as it was.
fn keep(path: &Path, state: &State) -> Result<(), StoreError> {
    let text = format!("{:#}\n", json!(state));
    if std::fs::read(path).is_ok_and(|old| old == text.as_bytes()) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        files::create_folder(folder)?;
    }
    files::write_atomic(path, text.as_bytes())
}
