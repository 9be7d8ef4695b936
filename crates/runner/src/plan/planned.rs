//! What would run, and why: the run's own decisions, taken without executing anything.

use crate::pipeline::graph::Source;
use crate::plan::error::EngineError;
use crate::plan::explanation::{Change, changes};
use crate::plan::folders;
use crate::plan::resolve::Resolver;
use crate::store::Store;
use crate::store::actions::Action;
use crate::store::digest::Digest;
use crate::store::objects::{Content, Held};
use crate::store::view::View;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::fmt;

/// What would happen to a task, and why.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// Its result is there, and in the view.
    Current,
    /// Its result is there; the view would be brought up to it.
    Restore,
    /// A remote store has its result; its bytes would be fetched as far as somebody needs them.
    Fetch {
        remote: String,
        /// The machine that made it.
        host: String,
    },
    /// It would be executed.
    Execute { reasons: Vec<Reason> },
    /// Tasks that it takes artifacts from would be executed; it would be, too, unless they make the same bytes as before.
    Depends { on: Vec<String>, reasons: Vec<Reason> },
    /// It stands for one task for each of the items of an output that is not made yet.
    Each { axes: Vec<String>, of: String },
    /// It would be skipped: the pipeline says that it is not to run.
    Skip { because: String },
    /// It would fail: what it is to read is not in what it is to be read from.
    Fail { message: String },
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
    /// A tool of the task does not say what it is: as it is now, the task would fail.
    Tool { message: String },
}

/// A reason in a few words.
impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::New => f.write_str("never executed before"),
            Reason::Missing => f.write_str("its result is no longer in the store"),
            Reason::Forced => f.write_str("forced"),
            Reason::Tool { message } => f.write_str(message),
            Reason::Unfinished => f.write_str("goes on from a checkpoint of an earlier attempt"),
            Reason::Changed(change) => change.fmt(f),
        }
    }
}

/// A task of the plan.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Planned {
    pub task: String,
    /// Missing while an input is not known.
    #[schemars(with = "Option<String>")]
    pub key: Option<Digest>,
    #[serde(flatten)]
    pub verdict: Verdict,
    /// In declared order; missing while they are not known.
    #[serde(skip)]
    pub outputs: Option<Vec<Content>>,
}

/// Results that a remote store has.
#[derive(Debug, Default)]
pub struct Far {
    /// The name of that store.
    pub remote: String,
    /// By their keys.
    pub records: HashMap<Digest, Action>,
}

/// Plans the selected tasks; the others of the graph get `None`.
pub fn plan(
    resolver: &mut Resolver,
    store: &Store,
    view: &View,
    selected: &[bool],
    forced: &HashSet<usize>,
) -> Result<Vec<Option<Planned>>, EngineError> {
    plan_with(resolver, store, view, selected, forced, &Far::default())
}

/// The same with what a remote store has.
pub fn plan_with(
    resolver: &mut Resolver,
    store: &Store,
    view: &View,
    selected: &[bool],
    forced: &HashSet<usize>,
    far: &Far,
) -> Result<Vec<Option<Planned>>, EngineError> {
    let graph = resolver.graph;
    resolver.read_external(selected);
    let mut planned: Vec<Option<Planned>> = Vec::with_capacity(graph.tasks.len());
    for (number, task) in graph.tasks.iter().enumerate() {
        if !selected[number] {
            planned.push(None);
            continue;
        }
        let outputs =
            |number: usize| planned.get(number).and_then(Option::as_ref).and_then(|p| p.outputs.as_deref());
        if let Some(open) = &task.open {
            let (axes, of) = (open.axes.clone(), resolver.name_of(&open.items));
            let (id, verdict) = (task.id.clone(), Verdict::Each { axes, of });
            planned.push(Some(Planned { task: id, key: None, verdict, outputs: None }));
            continue;
        }
        let gap = match resolver.gap(number, &outputs) {
            Err(error @ (EngineError::NoMember { .. } | EngineError::Condition { .. })) => {
                let (task, verdict) = (task.id.clone(), Verdict::Fail { message: error.to_string() });
                planned.push(Some(Planned { task, key: None, verdict, outputs: None }));
                continue;
            }
            gap => gap?,
        };
        if let Some(because) = gap {
            let (id, outputs) = (task.id.clone(), Some(vec![Content::ABSENT; task.outputs.len()]));
            let verdict = Verdict::Skip { because };
            planned.push(Some(Planned { task: id, key: None, verdict, outputs }));
            continue;
        }
        // Whether it is to run is known later only.
        let compared = task.when.iter().flat_map(|when| &when.results);
        let unread = match compared.clone().next() {
            Some(_) => resolver.unread(number, &outputs)?,
            None => Vec::new(),
        };
        let unread = |up: usize| unread.iter().any(|other| other.task == up);
        let undecided = compared.map(|(source, _)| source).any(|source| {
            source.task().is_some_and(|up| outputs(up).is_none() || unread(up))
                || matches!(source, Source::Open { .. })
        });
        let key = match resolver.key(number, &outputs) {
            Ok(_) if undecided => None,
            Err(EngineError::Tool(error)) => {
                let verdict = Verdict::Execute { reasons: vec![Reason::Tool { message: error.to_string() }] };
                planned.push(Some(Planned { task: task.id.clone(), key: None, verdict, outputs: None }));
                continue;
            }
            Err(error @ EngineError::NoMember { .. }) => {
                let (task, verdict) = (task.id.clone(), Verdict::Fail { message: error.to_string() });
                planned.push(Some(Planned { task, key: None, verdict, outputs: None }));
                continue;
            }
            key => key?,
        };
        if !forced.contains(&number)
            && let Some(key) = &key
            && let Some(shown) = view.current(&task.id, key, task.outputs.len())
        {
            let outputs = shown.iter().map(|output| output.content).collect();
            let (task, key) = (task.id.clone(), Some(*key));
            planned.push(Some(Planned { task, key, verdict: Verdict::Current, outputs: Some(outputs) }));
            continue;
        }
        let result = match (&key, forced.contains(&number)) {
            (Some(key), false) => resolver.result(number, key)?,
            _ => None,
        };
        let elsewhere = key.filter(|_| result.is_none() && !forced.contains(&number));
        let elsewhere = elsewhere.and_then(|key| far.records.get(&key));
        let elsewhere = elsewhere.filter(|record| resolver.fits(number, record));
        let verdict = match (&key, &result) {
            (Some(_), Some(_)) => Verdict::Restore,
            (Some(_), None) if elsewhere.is_some() => fetch(far, elsewhere),
            (Some(key), None) => {
                let mut reasons = reasons(resolver, store, view, number, Some(key), forced, &outputs)?;
                if store.checkpoints(key).exists() {
                    reasons.push(Reason::Unfinished);
                }
                Verdict::Execute { reasons }
            }
            (None, _) => {
                let unread = resolver.unread(number, &outputs)?;
                let open = graph.suppliers(number).into_iter().filter(|up| {
                    let unread = unread.iter().any(|unread| unread.task == *up);
                    unread || planned[*up].as_ref().is_some_and(|up| up.outputs.is_none())
                });
                let on = open.map(|up| graph.tasks[up].id.clone()).collect();
                let mut reasons = reasons(resolver, store, view, number, None, forced, &outputs)?;
                if task.sources().any(|source| matches!(source, Source::Open { .. })) {
                    // What its inputs are is not known, so they are not compared with what they were.
                    reasons.retain(|reason| !matches!(reason, Reason::Changed(change) if change.field.starts_with("inputs.")));
                }
                Verdict::Depends { on, reasons }
            }
        };
        planned.push(Some(Planned {
            task: task.id.clone(),
            key,
            verdict,
            outputs: result
                .or_else(|| elsewhere.cloned())
                .map(|action| action.outputs.into_iter().map(|(_, content)| content).collect()),
        }));
    }
    collected(resolver, view, &mut planned, far)?;
    Ok(planned)
}

fn fetch(far: &Far, record: Option<&Action>) -> Verdict {
    let host = record.map_or_else(String::new, |record| record.host.clone());
    Verdict::Fetch { remote: far.remote.clone(), host }
}

/// Why a task would be executed: what differs from the result that the view has.
fn reasons<'o>(
    resolver: &mut Resolver,
    store: &Store,
    view: &View,
    number: usize,
    key: Option<&Digest>,
    forced: &HashSet<usize>,
    outputs: &dyn Fn(usize) -> Option<&'o [Content]>,
) -> Result<Vec<Reason>, EngineError> {
    let task = &resolver.graph.tasks[number];
    if forced.contains(&number) {
        return Ok(vec![Reason::Forced]);
    }
    let Some(shown) = view.shown(&task.id) else { return Ok(vec![Reason::New]) };
    if Some(&shown.key) == key {
        return Ok(vec![Reason::Missing]);
    }
    let Some(before) = store.actions().get(&shown.key)? else { return Ok(vec![Reason::Missing]) };
    let now = resolver.explain(number, outputs)?.material.lines();
    let changes = folders::name_files(store, changes(&before.lines(), &now));
    Ok(changes.into_iter().map(Reason::Changed).collect())
}

/// Finds the results that are known but have to be made again, because a task that would be executed needs bytes that are no
/// longer in the store, or because they are what the run is for.
fn collected(
    resolver: &Resolver,
    view: &View,
    planned: &mut [Option<Planned>],
    far: &Far,
) -> Result<(), EngineError> {
    let graph = resolver.graph;
    let mut needed = vec![false; planned.len()];
    let mut taken = vec![false; planned.len()];
    for number in (0..planned.len()).rev() {
        let Some(task) = &mut planned[number] else { continue };
        let wanted = needed[number] || (!taken[number] && task.verdict == Verdict::Restore);
        if wanted
            && !matches!(task.verdict, Verdict::Fetch { .. })
            && let Some(outputs) = &task.outputs
            && resolver.held(outputs)? != Held::Sound
            && !outputs
                .iter()
                .all(|content| view.copy_of(&task.task, content).is_some_and(|copy| copy.exists()))
        {
            let record = task.key.and_then(|key| far.records.get(&key));
            task.verdict = match record {
                Some(_) => fetch(far, record),
                None => Verdict::Execute { reasons: vec![Reason::Missing] },
            };
        }
        let executes =
            matches!(task.verdict, Verdict::Execute { .. } | Verdict::Depends { .. } | Verdict::Each { .. });
        for up in graph.suppliers(number) {
            taken[up] = true;
            needed[up] |= executes;
        }
    }
    Ok(())
}
