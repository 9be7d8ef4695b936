//! From stages to tasks: the instances of every matrix, each with its parameters parsed by the kind.

use crate::kind::registry::{Kind, Registry};
use crate::pipeline::expand::draft::{Draft, Drafts};
use crate::pipeline::expand::fan;
use crate::pipeline::expand::instance::Instance;
use crate::pipeline::expand::interpolate::Scope;
use crate::pipeline::expand::items::Known;
use crate::pipeline::expand::lint;
use crate::pipeline::expand::matrix;
use crate::pipeline::expand::parts::Parts;
use crate::pipeline::expand::product::{Fanned, FromAxis};
use crate::pipeline::spec::{Spec, Stage};
use crate::pipeline::yaml::node::{Entry, Node};
use crate::pipeline::yaml::sink::Sink;
use onsager_tables::names::did_you_mean;
use serde_json::{Map, Value};
use std::collections::{BTreeSet, HashMap};

/// A pipeline beyond this is a mistake.
pub const TASKS: usize = 2_000_000;
/// More stages that fan out over each other are a mistake.
const DEPTH: usize = 100;

/// The pipeline's parameters; each may use those before it.
pub fn params(entries: &[Entry], registry: &Registry, sink: &Sink) -> Map<String, Value> {
    let mut params = Map::new();
    for entry in entries {
        let mut sound = true;
        let scope = Scope { registry, params: &params, declared: entries, instance: None, files: None };
        if let Some(value) = scope.value(&entry.value, sink, &mut sound)
            && sound
        {
            params.insert(entry.key.clone(), value);
        } else {
            sink.wrong(entry.value.span);
        }
    }
    params
}

/// Expands every stage. `known` has the items of outputs that stages fan out over.
pub fn expand(
    spec: &Spec,
    params: &Map<String, Value>,
    pools: &[(String, u32)],
    known: &Known,
    registry: &Registry,
    sink: &Sink,
) -> Drafts {
    let kinds = registry.iter().map(|kind| (kind.name(), kind)).collect();
    let stages = spec.stages.iter().map(|_| Progress::Open).collect();
    let mut expander = Expander {
        spec,
        params,
        pools,
        known,
        registry,
        sink,
        kinds,
        stages,
        tasks: 0,
        depth: 0,
        fanned: BTreeSet::new(),
    };
    for at in 0..spec.stages.len() {
        expander.stage(at);
        if expander.tasks > TASKS {
            sink.error(spec.stages[at].span, format!("the pipeline has more than {TASKS} tasks"));
            break;
        }
    }
    let mut drafts = Drafts { fanned: expander.fanned.into_iter().collect(), ..Drafts::default() };
    let mut starts = Vec::with_capacity(spec.stages.len());
    for (progress, stage) in expander.stages.into_iter().zip(&spec.stages) {
        let start = drafts.tasks.len();
        starts.push(start);
        let tasks = match progress {
            Progress::Done(tasks) => tasks,
            Progress::Open | Progress::Begun => None,
        };
        drafts.axes.push(axes(stage, tasks.as_deref().unwrap_or_default()));
        drafts.stages.push(tasks.map(|tasks| {
            drafts.tasks.extend(tasks);
            start..drafts.tasks.len()
        }));
    }
    for draft in &mut drafts.tasks {
        draft.open = draft.instance.open.map(|open| (starts[open.stage] + open.place, open.output));
    }
    drafts
}

/// The names of the axes: those of any instance, and as written where there is none.
fn axes(stage: &Stage, tasks: &[Draft]) -> Vec<String> {
    if let Some(first) = tasks.first() {
        return first.instance.coordinates.iter().map(|coordinate| coordinate.axis.to_string()).collect();
    }
    let written = stage.matrix.and_then(Node::entries).unwrap_or_default().iter().map(|entry| &entry.key);
    written.filter(|key| !matches!(key.as_str(), "zip" | "include" | "exclude")).cloned().collect()
}

/// How far the expansion of a stage is.
enum Progress {
    Open,
    Begun,
    /// Its tasks; none when its matrix has errors.
    Done(Option<Vec<Draft>>),
}

struct Expander<'a> {
    spec: &'a Spec<'a>,
    params: &'a Map<String, Value>,
    pools: &'a [(String, u32)],
    known: &'a Known,
    registry: &'a Registry,
    sink: &'a Sink,
    kinds: HashMap<&'a str, &'a dyn Kind>,
    stages: Vec<Progress>,
    tasks: usize,
    /// How many stages wait for one that they fan out over.
    depth: usize,
    /// The stages that fan out over known items, and the tasks that make these.
    fanned: BTreeSet<(usize, String)>,
}

impl<'a> Expander<'a> {
    fn scope(&self) -> Scope<'a> {
        let (registry, params, declared) = (self.registry, self.params, self.spec.params);
        Scope { registry, params, declared, instance: None, files: None }
    }

    /// Expands a stage, after those that it fans out over.
    fn stage(&mut self, at: usize) {
        if matches!(self.stages[at], Progress::Done(_)) || self.tasks > TASKS {
            return;
        }
        self.stages[at] = Progress::Begun;
        let (stage, sink) = (&self.spec.stages[at], self.sink);
        let kind = stage.kind.and_then(|(name, span)| {
            let kind = self.kinds.get(name).copied();
            if kind.is_none() {
                let help = did_you_mean(name, self.registry.iter().map(Kind::name), "there are");
                sink.add(Some(span), format!("there is no kind `{name}`"), help);
            }
            kind
        });
        let scope = self.scope();
        let instances = match stage.matrix {
            None => Some(vec![Instance::default()]),
            Some(node) => {
                matrix::expand(node, &scope, &mut |from, instance| self.fan_out(at, from, instance), sink)
            }
        };
        let Some(instances) = instances else {
            self.stages[at] = Progress::Done(None);
            return;
        };
        self.tasks += instances.len();
        if self.tasks > TASKS {
            return;
        }
        let mut parts = Parts::of(stage, sink);
        lint::pipes(stage, sink);
        let mut drafts = Vec::with_capacity(instances.len());
        for instance in instances {
            let scope = Scope { instance: Some(&instance), ..scope };
            let draft = parts.draft(at, kind, &scope, &instance, self.pools, sink);
            drafts.push(Draft { instance, ..draft });
        }
        self.stages[at] = Progress::Done(Some(drafts));
    }

    /// The values of an axis of a stage over what another one makes.
    fn fan_out(&mut self, stage: usize, from: &FromAxis, instance: &Instance) -> Option<Fanned> {
        let (sink, span) = (self.sink, from.span);
        let (text, reference) = fan::read(from, &Scope { instance: Some(instance), ..self.scope() }, sink)?;
        let stages = &self.spec.stages;
        let Some(&at) = self.spec.by_name.get(reference.stage.as_str()) else {
            let help =
                did_you_mean(&reference.stage, stages.iter().map(|stage| stage.name), "the stages are");
            sink.add(Some(span), format!("there is no stage `{}`", reference.stage), help);
            return None;
        };
        if matches!(self.stages[at], Progress::Begun) {
            let message =
                format!("the axis is over what `{}` makes, which fans out over this stage", reference.stage);
            sink.help(span, message, "remove one of the two");
            return None;
        }
        if self.depth >= DEPTH {
            sink.error(span, format!("more than {DEPTH} stages fan out over each other"));
            return None;
        }
        self.depth += 1;
        self.stage(at);
        self.depth -= 1;
        let Progress::Done(Some(drafts)) = &self.stages[at] else { return None };
        let place = fan::one(&reference, &text, drafts, instance, span, sink)?;
        let made = &drafts[place];
        let fanned = fan::values(from, (&text, &reference), (at, place, made), self.known, sink);
        if let Some(Fanned::Known(_)) = fanned {
            self.fanned.insert((stage, made.id.clone()));
        }
        fanned
    }
}
