//! Runs as MLflow knows them: an experiment for each pipeline, a run for each point of its parameters.

use crate::compare::gather;
use crate::compare::history::Past;
use crate::compare::measure::Measurer;
use crate::export::server::{Server, ServerError};
use crate::pipeline::graph::Point;
use crate::run::account::Account;
use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::files::StoreError;
use onsager_tables::read::Parquet;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// How many metrics, and how many parameters or tags, one request may have.
const METRICS: usize = 1000;
const PARAMS: usize = 100;
/// The longest value of a parameter, in characters.
const LONGEST: usize = 6000;

/// Why a run was not sent.
#[derive(Debug, thiserror::Error)]
pub enum MlflowError {
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A run of MLflow that was made, or was there.
#[derive(Debug, Clone)]
pub struct Sent {
    /// As MLflow calls it.
    pub id: String,
    pub name: String,
    /// Whether it was there already, and was left as it is.
    pub there: bool,
    pub params: usize,
    /// How many points its curves and results have.
    pub points: usize,
}

/// Sends a run: with several points of the parameters one of MLflow's for each of them, below one for all.
pub fn send(
    server: &Server,
    store: &Store,
    parquet: Option<&dyn Parquet>,
    past: &Past,
    account: &Account,
) -> Result<Vec<Sent>, MlflowError> {
    let experiment = experiment(server, &account.pipeline)?;
    let sender = Sender { server, store, account, experiment };
    let points = past.grown_points()?;
    let known = past.tasks(store)?;
    let mut measurer = Measurer::new(store, parquet);
    let mut results = |point: &Point| -> Vec<(String, f64)> {
        let mut content = |task: &str, output: &str| {
            // What cannot be read is not there.
            let action = store.actions().get(known.get(task)?).ok()??;
            action.outputs.iter().find(|(name, _)| name == output).map(|(_, content)| *content)
        };
        let measured = gather::measure(&mut measurer, point, &mut content);
        measured.into_iter().filter_map(|measure| Some((measure.metric, measure.value.number()?))).collect()
    };
    if let [point] = &points[..] {
        let all = account.tasks.keys().map(|task| (task.clone(), task.as_str()));
        return Ok(vec![sender.send(account.run.clone(), None, Some(point), results(point), all)?]);
    }
    let point_of = |task: &str| points.iter().position(|point| within(task, &point.name).is_some());
    let shared = account.tasks.keys().filter(|task| point_of(task).is_none());
    let shared = shared.map(|task| (task.clone(), task.as_str()));
    let parent = sender.send(account.run.clone(), None, None, Vec::new(), shared)?;
    let id = parent.id.clone();
    let mut sent = vec![parent];
    for point in &points {
        let tasks = account.tasks.keys().filter_map(|task| Some((task.clone(), within(task, &point.name)?)));
        let name = format!("{}/{}", account.run, point.name);
        sent.push(sender.send(name, Some(&id), Some(point), results(point), tasks)?);
    }
    Ok(sent)
}

/// The name of a task of this point without the point's.
fn within<'t>(task: &'t str, point: &str) -> Option<&'t str> {
    task.strip_prefix(point)?.strip_prefix('/')
}

/// The experiment of this name, which is made where there is none.
fn experiment(server: &Server, name: &str) -> Result<String, ServerError> {
    let filter = format!("name = '{}'", name.replace('\'', "\\'"));
    let found = server.call("experiments/search", &json!({ "filter": filter, "max_results": 1 }))?;
    if let Some(id) = found["experiments"][0]["experiment_id"].as_str() {
        return Ok(id.to_owned());
    }
    text_of(server, "experiments/create", &json!({ "name": name }), &["experiment_id"])
}

/// Makes a call whose answer has a text that is needed.
fn text_of(
    server: &Server,
    call: &'static str,
    document: &Value,
    path: &[&str],
) -> Result<String, ServerError> {
    let answer = server.call(call, document)?;
    let text = path.iter().fold(&answer, |value, field| &value[*field]).as_str();
    text.map(str::to_owned).ok_or_else(|| ServerError::Answer { uri: server.uri().to_owned(), call })
}

struct Sender<'a> {
    server: &'a Server,
    store: &'a Store,
    account: &'a Account,
    experiment: String,
}

impl Sender<'_> {
    /// Sends one run with the results and the curves of these tasks: their names, and how they are called in it.
    fn send<'t>(
        &self,
        name: String,
        parent: Option<&str>,
        point: Option<&Point>,
        results: Vec<(String, f64)>,
        tasks: impl Iterator<Item = (String, &'t str)>,
    ) -> Result<Sent, MlflowError> {
        if let Some(id) = self.there(&name)? {
            return Ok(Sent { id, name, there: true, params: 0, points: 0 });
        }
        let account = self.account;
        let millisecond = |at: Option<jiff::Timestamp>| at.unwrap_or_default().as_millisecond();
        let (start, end) = (millisecond(account.started), millisecond(account.last));
        let user = account.facts.as_ref().and_then(|facts| facts.user.clone()).unwrap_or_default();
        let create = json!({
            "experiment_id": self.experiment,
            "run_name": name,
            "user_id": user,
            "start_time": start,
            "tags": self.tags(&name, parent),
        });
        let id = text_of(self.server, "runs/create", &create, &["run", "info", "run_id"])?;
        let params: Vec<Value> = point
            .into_iter()
            .flat_map(|point| &point.params)
            .map(|(key, value)| {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                json!({ "key": plain(key), "value": text.chars().take(LONGEST).collect::<String>() })
            })
            .collect();
        let metric = |key: &str, value: f64, at: i64, step: u64| json!({ "key": plain(key), "value": finite(value), "timestamp": at, "step": step });
        let mut metrics: Vec<Value> =
            results.iter().map(|(name, value)| metric(name, *value, end, 0)).collect();
        for (task, called) in tasks {
            let key: Option<Digest> = account.tasks.get(&task).and_then(|task| task.key);
            let Some(key) = key else { continue };
            for (curve, points) in self.store.curves(&key)?.0 {
                let name = format!("{called}/{curve}");
                metrics.extend(points.iter().map(|point| metric(&name, point.value, point.at, point.step)));
            }
        }
        for params in params.chunks(PARAMS) {
            self.server.call("runs/log-batch", &json!({ "run_id": id, "params": params }))?;
        }
        for metrics in metrics.chunks(METRICS) {
            self.server.call("runs/log-batch", &json!({ "run_id": id, "metrics": metrics }))?;
        }
        let ended = json!({ "run_id": id, "status": self.status(), "end_time": end });
        self.server.call("runs/update", &ended)?;
        Ok(Sent { id, name, there: false, params: params.len(), points: metrics.len() })
    }

    /// The run that was sent under this name before, whole. One that was cut off is removed.
    fn there(&self, name: &str) -> Result<Option<String>, ServerError> {
        let filter = format!("tags.`onsager.name` = '{}'", name.replace('\'', "\\'"));
        let ask = json!({ "experiment_ids": [self.experiment], "filter": filter, "max_results": 1 });
        let found = self.server.call("runs/search", &ask)?;
        let info = &found["runs"][0]["info"];
        let Some(id) = info["run_id"].as_str() else { return Ok(None) };
        if info["status"] != "RUNNING" {
            return Ok(Some(id.to_owned()));
        }
        self.server.call("runs/delete", &json!({ "run_id": id }))?;
        Ok(None)
    }

    fn status(&self) -> &'static str {
        match &self.account.ended {
            Some(ended) if ended.interrupted => "KILLED",
            Some(ended) if ended.failed > 0 => "FAILED",
            Some(_) => "FINISHED",
            None if self.store.is_going(&self.account.run) => "RUNNING",
            None => "KILLED",
        }
    }

    fn tags(&self, name: &str, parent: Option<&str>) -> Vec<Value> {
        let account = self.account;
        let mut tags: BTreeMap<&str, String> = BTreeMap::from([
            ("mlflow.runName", name.to_owned()),
            ("mlflow.source.name", account.file.display().to_string()),
            ("mlflow.source.type", "LOCAL".to_owned()),
            ("onsager.name", name.to_owned()),
            ("onsager.run", account.run.clone()),
            ("onsager.version", account.version.clone()),
            ("onsager.kernel", account.kernel.clone()),
            ("onsager.host", account.host.clone()),
        ]);
        tags.extend(parent.map(|id| ("mlflow.parentRunId", id.to_owned())));
        if let Some(facts) = &account.facts {
            tags.extend(facts.user.clone().map(|user| ("mlflow.user", user)));
            tags.extend(facts.program.map(|program| ("onsager.program", program.to_string())));
        }
        if let Some(commit) = &account.commit {
            tags.insert("mlflow.source.git.commit", commit.commit.clone());
            tags.extend(commit.branch.clone().map(|branch| ("mlflow.source.git.branch", branch)));
            tags.insert("onsager.dirty", commit.dirty.to_string());
            tags.extend(commit.difference.map(|digest| ("onsager.difference", digest.to_string())));
        }
        tags.into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| json!({ "key": key, "value": value }))
            .collect()
    }
}

/// A number as MLflow's JSON has it.
fn finite(value: f64) -> Value {
    match value {
        value if value.is_finite() => json!(value),
        value if value.is_nan() => json!("NaN"),
        value if value > 0.0 => json!("Infinity"),
        _ => json!("-Infinity"),
    }
}

/// A name as MLflow takes it: a path of letters, digits, `_`, `-`, `.` and blanks. `train[seed=1]/loss` is `train/seed-1/loss`.
fn plain(name: &str) -> String {
    let changed = name.chars().filter(|c| *c != ']').map(|c| match c {
        '[' | ',' | '/' => '/',
        '=' => '-',
        c if c.is_ascii_alphanumeric() || "_-. ".contains(c) => c,
        _ => '_',
    });
    let changed: String = changed.collect();
    let parts = changed.split('/').filter(|part| !part.is_empty());
    let parts: Vec<String> = parts
        .map(|part| if part.trim_matches('.').is_empty() { "_".repeat(part.len()) } else { part.into() })
        .collect();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_paths() {
        for (name, path) in [
            ("loss", "loss"),
            ("train[seed=1,width=0.5]/loss", "train/seed-1/width-0.5/loss"),
            ("a/../b//c", "a/__/b/c"),
            ("größe: %", "gr__e_ _"),
        ] {
            assert_eq!(plain(name), path);
        }
    }
}
