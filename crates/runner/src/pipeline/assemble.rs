//! From a tree with everything laid over it to a graph.

use crate::kind::registry::Registry;
use crate::pipeline::expand::claims;
use crate::pipeline::expand::interpolate::Scope;
use crate::pipeline::expand::items::Known;
use crate::pipeline::expand::link::{self, Links};
use crate::pipeline::expand::metrics;
use crate::pipeline::expand::numbers::{self, Given};
use crate::pipeline::expand::publish;
use crate::pipeline::expand::tasks;
use crate::pipeline::expand::when;
use crate::pipeline::experiments::overrides::Overlaid;
use crate::pipeline::graph::{Fanned, Graph, Open, Point, StageInfo, Task};
use crate::pipeline::spec;
use crate::pipeline::spec::about::About;
use crate::pipeline::spec::resources;
use crate::pipeline::yaml::sink::Sink;
use crate::store::short::short;
use std::path::Path;
use std::sync::Arc;

/// What every step of loading knows.
#[derive(Clone, Copy)]
pub struct Site<'a> {
    /// As the user gave it.
    pub file: &'a Path,
    /// The project root, absolute.
    pub root: &'a Path,
    pub registry: &'a Registry,
}

/// The graph, grown by the items that are known; with errors reported it may be none, and is not to be used.
pub fn build(overlaid: &Overlaid, site: &Site, known: &Known, sink: &Sink) -> Option<Graph> {
    let Site { file, root, registry } = *site;
    let spec = spec::read(&overlaid.tree, registry, sink)?;
    let about = About::read(&overlaid.tree, sink);
    let params = tasks::params(spec.params, registry, sink);
    let scope = Scope { registry, params: &params, declared: spec.params, instance: None, files: None };
    let pools = resources::pools(spec.pools, &scope, sink);
    let mut drafts = tasks::expand(&spec, &params, &pools, known, registry, sink);
    let metrics = metrics::resolve(&spec, &drafts, &scope, sink);
    let declared: Vec<&str> = spec.metrics.iter().map(|metric| metric.key.as_str()).collect();
    let claims = claims::read(spec.claims, &declared, sink);
    let given = Given { metrics: &metrics, declared: &declared, claims: &claims, swept: &[] };
    numbers::give(&spec, &mut drafts, given, registry, sink);
    let linked = link::link(&spec, &drafts, &params, root, registry, sink);
    let outputs = drafts.stages.iter().map(|range| {
        let first = range.as_ref().and_then(|range| drafts.tasks.get(range.start));
        first.and_then(|draft| draft.outputs.clone())
    });
    let publish = spec.stages.iter().zip(outputs);
    let mut publish: Vec<_> = publish
        .map(|(stage, outputs)| publish::read(stage, outputs.as_deref().map(Vec::as_slice), sink))
        .collect();
    let order = link::order(&spec, &drafts, &linked, sink)?;
    if sink.count() > 0 {
        return None;
    }
    let mut position = vec![0; order.len()];
    for (at, &draft) in order.iter().enumerate() {
        position[draft] = at;
    }
    let stages = spec.stages.iter().zip(drafts.stages.iter().zip(&drafts.axes)).zip(&mut publish).map(
        |((stage, (range, axes)), publish)| {
            let range = range.clone().unwrap_or_default();
            let mut tasks: Vec<usize> = range.map(|draft| position[draft]).collect();
            tasks.sort_unstable();
            StageInfo {
                name: stage.name.to_owned(),
                kind: stage.kind.map_or_else(String::new, |(kind, _)| kind.to_owned()),
                description: stage.description.map(str::to_owned),
                axes: axes.clone(),
                publish: std::mem::take(publish),
                tasks,
            }
        },
    );
    let stages = stages.collect();
    let fanned = drafts.fanned.into_iter();
    let fanned = fanned.map(|(at, over)| Fanned { stage: spec.stages[at].name.to_owned(), over });
    let fanned = fanned.collect();
    let mut tasks: Vec<Option<Task>> = Vec::with_capacity(order.len());
    tasks.resize_with(order.len(), || None);
    for ((at, draft), Links { inputs, after, when, items }) in
        drafts.tasks.into_iter().enumerate().zip(linked)
    {
        let stage = &spec.stages[draft.stage];
        let open = draft.instance.coordinates.iter().filter(|coordinate| coordinate.open);
        let axes: Vec<String> = open.map(|coordinate| coordinate.axis.to_string()).collect();
        // What never runs waits for nothing.
        let never = when.as_deref().is_some_and(when::never);
        let mut task = Task {
            labels: draft.instance.labels(),
            folder: folder(stage.name, &draft.id),
            id: draft.id,
            stage: stage.name.to_owned(),
            point: Some(0),
            kind: stage.kind?.0.to_owned(),
            params: draft.params,
            inputs: if never { Vec::new() } else { inputs },
            after: if never { Vec::new() } else { after },
            outputs: match (draft.outputs, &items) {
                (Some(outputs), _) => outputs,
                (None, Some(_)) => Arc::default(),
                (None, None) => return None,
            },
            when,
            open: items.map(|items| Box::new(Open { items: *items, axes })),
            resources: draft.resources,
            sandbox: draft.sandbox,
        };
        task.renumber(|task| position[task]);
        tasks[position[at]] = Some(task);
    }
    let mut recorded = params;
    recorded.extend(overlaid.inside.clone());
    Some(Graph {
        name: spec.name.to_owned(),
        file: file.to_owned(),
        root: root.to_owned(),
        experiment: false,
        points: vec![Point { name: String::new(), params: recorded, metrics, fanned }],
        swept: Vec::new(),
        tasks: tasks.into_iter().collect::<Option<_>>()?,
        stages,
        about,
        pools,
        claims,
        search: None,
        sources: Vec::new(),
        recipe: None,
        identities: Vec::new(),
        env: Vec::new(),
        warnings: Vec::new(),
    })
}

/// Where the outputs of a task go, below the pipeline's folder: `motion/system=free`.
fn folder(stage: &str, id: &str) -> String {
    match id[stage.len()..].strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(instance) => format!("{stage}/{}", short(instance)),
        None => stage.to_owned(),
    }
}
