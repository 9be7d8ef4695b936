//! What would run, and why: the run's own decisions, taken without executing anything.

use super::events::RunOutputs;
use super::key::{self, Change};
use super::resolve::{EngineError, Resolver};
use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::view::View;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::HashSet;

/// What would happen to a task, and why.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// Its result is there, and in the view.
    Current,
    /// Its result is there; the view would be brought up to it.
    Restore,
    /// It would be executed.
    Execute { reasons: Vec<Reason> },
    /// Tasks that it takes artifacts from would be executed; it would be, too, unless they make the same bytes as before.
    Depends { on: Vec<String>, reasons: Vec<Reason> },
}

/// Why a task would be executed.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum Reason {
    /// It was never executed in this pipeline.
    New,
    /// Something that enters its key changed.
    Changed(Change),
    /// Its key had a result, which the store no longer holds.
    Missing,
    /// It was asked for.
    Forced,
    /// An earlier attempt left a checkpoint to go on from.
    Unfinished,
}

/// A task of the plan.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Planned {
    pub task: String,
    /// Missing while an input is not known.
    #[schemars(with = "Option<String>")]
    pub key: Option<Digest>,
    #[serde(flatten)]
    pub verdict: Verdict,
    /// Everything that enters the key.
    #[serde(skip)]
    pub material: Vec<(String, String)>,
    #[serde(skip)]
    pub outputs: Option<RunOutputs>,
}

/// Plans the selected tasks; the others of the graph get `None`.
pub fn plan(
    resolver: &mut Resolver,
    store: &Store,
    view: &View,
    selected: &[bool],
    forced: &HashSet<usize>,
) -> Result<Vec<Option<Planned>>, EngineError> {
    let graph = resolver.graph;
    let mut planned: Vec<Option<Planned>> = Vec::with_capacity(graph.tasks.len());
    for (number, task) in graph.tasks.iter().enumerate() {
        if !selected[number] {
            planned.push(None);
            continue;
        }
        let outputs =
            |number: usize| planned.get(number).and_then(Option::as_ref).and_then(|p| p.outputs.as_ref());
        let material = resolver.material(task, &outputs)?;
        let lines = material.lines();
        let key = material.key();
        let result = match (&key, forced.contains(&number)) {
            (Some(key), false) => resolver.result(key)?,
            _ => None,
        };
        let shown = view.shown(&task.id);
        let mut reasons = Vec::new();
        if forced.contains(&number) {
            reasons.push(Reason::Forced);
        }
        match shown {
            None => reasons.push(Reason::New),
            Some(shown) if Some(shown.key) == key && reasons.is_empty() => reasons.push(Reason::Missing),
            Some(shown) => {
                reasons.extend(key::changes(&shown.material, &lines).into_iter().map(Reason::Changed))
            }
        }
        if let Some(key) = &key
            && result.is_none()
            && store.checkpoints(key).exists()
        {
            reasons.push(Reason::Unfinished);
        }
        let verdict = match (&key, &result) {
            (Some(key), Some(_)) if view.is_current(&task.id, key) => Verdict::Current,
            (Some(_), Some(_)) => Verdict::Restore,
            (Some(_), None) => Verdict::Execute { reasons },
            (None, _) => {
                let open = graph
                    .dependencies(number)
                    .into_iter()
                    .filter(|up| planned[*up].as_ref().is_some_and(|up| up.outputs.is_none()));
                let on = open.map(|up| graph.tasks[up].id.clone()).collect();
                Verdict::Depends { on, reasons }
            }
        };
        planned.push(Some(Planned {
            task: task.id.clone(),
            key,
            verdict,
            material: lines,
            outputs: result.map(|action| action.outputs),
        }));
    }
    Ok(planned)
}
