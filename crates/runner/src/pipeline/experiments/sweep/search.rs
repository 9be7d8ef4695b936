//! A search: points that a command chooses, given what the ones before came to.
//!
//! The first points are of Sobol's sequence. After a run, the command is asked for the next ones; what it says is kept in a file of
//! the project, the state. So the points are known before anything runs, an interrupted search goes on, and results are cached as
//! those of any other point.

use crate::pipeline::experiments::sweep::draws::{self, Method};
use crate::pipeline::experiments::sweep::setting::{POINTS, Setting, whole};
use crate::pipeline::spec;
use crate::pipeline::yaml::node::{Entry, Node, Yaml};
use crate::pipeline::yaml::sink::{Sink, Span};
use crate::store::digest::{Digest, Encoder};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The fields of a search.
pub const FIELDS: [&str; 8] = ["ask", "points", "start", "batch", "seed", "metric", "goal", "params"];
/// What a search is for.
pub const GOALS: [&str; 2] = ["minimize", "maximize"];
/// How many points a search begins with, unless told.
const START: u64 = 4;

/// A search as it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// The file with the points so far.
    pub state: PathBuf,
    /// The command that is asked for more.
    pub ask: String,
    /// The number of points to try in all.
    pub points: usize,
    /// How many are asked for at a time.
    pub batch: usize,
    pub seed: u64,
    pub metric: String,
    /// `minimize` or `maximize`.
    pub goal: String,
    /// The parameters with their distributions, as written.
    pub params: Map<String, Value>,
    /// The digest of all this but for the numbers of points: with another the search starts anew.
    pub identity: String,
    /// The points so far.
    pub known: Vec<Map<String, Value>>,
    /// Whether the command has no more.
    pub exhausted: bool,
    /// For each point of the graph, the position of its point in `known`.
    pub of_points: Vec<usize>,
}

/// What the state holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The identity of the search that it belongs to.
    pub search: String,
    pub points: Vec<Map<String, Value>>,
    #[serde(default)]
    pub exhausted: bool,
}

/// A search that was read, with its points so far.
#[derive(Debug, Clone)]
pub struct Found {
    pub search: Search,
    pub points: Vec<Setting>,
    /// Where the metric is named.
    pub metric: Span,
    /// The state with its digest, of what it must be for the points to be these.
    pub source: (PathBuf, Digest),
}

impl Search {
    /// Whether no further points are wanted.
    pub fn complete(&self) -> bool {
        self.exhausted || self.known.len() >= self.points
    }
}

/// Reads a search and its state; what is wrong is reported.
pub fn read(entry: &Entry, state: &Path, sink: &Sink) -> Option<Found> {
    let before = sink.count();
    for field in spec::mapping(entry, sink).iter().filter(|field| !FIELDS.contains(&field.key.as_str())) {
        spec::unknown(field, &FIELDS, "a search", sink);
    }
    let text = |field: &str, example: &str| match entry.value.get(field) {
        Some(given) => spec::text(given, sink),
        None => {
            sink.help(
                entry.span,
                format!("the search has no `{field}`"),
                format!("add `{field}: {example}`"),
            );
            None
        }
    };
    let ask = text("ask", "python3 scripts/ask.py");
    let metric = text("metric", "loss");
    let goal = text("goal", "minimize");
    if let (Some(goal), Some(given)) = (goal, entry.value.get("goal"))
        && !GOALS.contains(&goal)
    {
        sink.error(spec::shown(given), format!("`goal` must be `minimize` or `maximize`, but is `{goal}`"));
    }
    let number = |field: &str, otherwise: u64| {
        let given = whole(entry, field, sink).unwrap_or(otherwise);
        if !(1..=POINTS as u64).contains(&given) {
            let span = entry.value.get(field).map_or(entry.span, spec::shown);
            sink.error(span, format!("`{field}` must be from 1 to {POINTS}, but is {given}"));
        }
        given
    };
    if entry.value.get("points").is_none() {
        sink.help(entry.span, "the search has no `points`", "add `points: 30`, how many to try in all");
    }
    let (points, batch) = (number("points", START), number("batch", 1));
    let start = number("start", START).min(points);
    let seed = whole(entry, "seed", sink).unwrap_or(0);
    let params = draws::distributions(entry, Method::Sobol, sink);
    let (Some(ask), Some(metric), Some(goal), true) = (ask, metric, goal, sink.count() == before) else {
        return None;
    };
    let written = |(param, _): &(&Entry, _)| Some((param.key.clone(), param.value.json()?));
    let written: Map<String, Value> = params.iter().filter_map(written).collect();
    let mut identity = Encoder::new("onsager search 1");
    let all = serde_json::json!([ask, metric, goal, start, seed, written]).to_string();
    identity.field(b'S', all.as_bytes());
    let identity = identity.finish().to_string();

    let (kept, mut source) = match kept(state) {
        Ok(kept) => kept,
        Err(message) => {
            let help = format!("remove it to begin the search anew: `rm {}`", state.display());
            sink.help(
                entry.span,
                format!("cannot read the state of the search, `{}`: {message}", state.display()),
                help,
            );
            return None;
        }
    };
    let kept = kept.filter(|kept| kept.search == identity);
    let exhausted = kept.as_ref().is_some_and(|kept| kept.exhausted);
    let known: Vec<Map<String, Value>> = match kept {
        Some(kept) => kept.points.into_iter().take(points as usize).collect(),
        None => {
            let values = draws::draw(&params, Method::Sobol, seed, start);
            let point = |values: &Vec<Entry>| {
                values.iter().filter_map(|entry| Some((entry.key.clone(), entry.value.json()?))).collect()
            };
            values.iter().map(point).collect()
        }
    };
    let setting = |(at, values): (usize, &Map<String, Value>)| {
        let entry = |(param, _): &(&Entry, _)| {
            let span = param.value.span;
            let value = values.get(&param.key).map_or(Yaml::Null, |value| yaml(value, span));
            Entry { key: param.key.clone(), span: param.span, value: Node { span, value } }
        };
        let values = params.iter().map(entry).collect();
        Setting { search: Some(at), ..Setting::new(format!("search={}", at + 1), values) }
    };
    let settings = known.iter().enumerate().map(setting).collect();
    let search = Search {
        state: state.to_owned(),
        ask: ask.to_owned(),
        points: points as usize,
        batch: batch as usize,
        seed,
        metric: metric.to_owned(),
        goal: goal.to_owned(),
        params: written,
        identity,
        known,
        exhausted,
        of_points: Vec::new(),
    };
    if !search.complete() {
        // No file has these bytes: a graph that a run may add points to is never taken from a cache.
        source.1 = Digest::of(b"more points");
    }
    let metric = entry.value.get("metric").map_or(entry.span, spec::shown);
    Some(Found { search, points: settings, metric, source })
}

/// What the state holds, if there is one, with the digest of its bytes.
fn kept(state: &Path) -> Result<(Option<State>, (PathBuf, Digest)), String> {
    let bytes = match fs::read(state) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok((None, (state.to_owned(), Digest::of(b"no state"))));
        }
        Err(error) => return Err(error.to_string()),
    };
    let kept = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
    Ok((Some(kept), (state.to_owned(), Digest::of(&bytes))))
}

/// A value of the state as if it were written in the experiment.
fn yaml(value: &Value, span: Span) -> Yaml {
    let node = |value: &Value| Node { span, value: yaml(value, span) };
    match value {
        Value::Null => Yaml::Null,
        Value::Bool(value) => Yaml::Bool(*value),
        Value::Number(number) => Yaml::Number(number.clone()),
        Value::String(text) => Yaml::Text(text.clone()),
        Value::Array(items) => Yaml::List(items.iter().map(node).collect()),
        Value::Object(fields) => {
            let entry =
                |(key, value): (&String, &Value)| Entry { key: key.clone(), span, value: node(value) };
            Yaml::Map(fields.iter().map(entry).collect())
        }
    }
}
