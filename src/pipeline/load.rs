//! The whole way from a file to a graph.

use super::diagnostics::Diagnostics;
use super::graph::{Graph, Params, Source, StageInfo, Task};
use super::interpolate::Scope;
use super::link;
use super::node::Node;
use super::overrides;
pub use super::overrides::Override;
use super::resources;
use super::sink::{Sink, Text};
use super::spec;
use super::tasks;
use crate::stages::registry::Registry;
use crate::stages::stage::Output;
use crate::store::digest::Digest;
use std::fs;
use std::path::{Path, PathBuf};

/// A larger file is not a pipeline.
const BYTES: u64 = 1 << 30;

/// Loads a pipeline, with values from the command line laid over it. Tells everything that is wrong with it at once.
pub fn load(file: &Path, overrides: &[Override], registry: &Registry) -> Result<Graph, Diagnostics> {
    let whole = |message, help| Diagnostics::whole(file.to_owned(), message, help);
    let cannot = |reason: &dyn std::fmt::Display| format!("cannot read `{}`: {reason}", file.display());
    match fs::metadata(file) {
        Err(error) => return Err(whole(cannot(&error), nearby(file))),
        Ok(data) if data.is_dir() => {
            return Err(whole(cannot(&"it is a folder"), Some("give a YAML file inside it".to_owned())));
        }
        Ok(data) if data.len() > BYTES => return Err(whole(cannot(&"it is larger than 1 GiB"), None)),
        Ok(_) => {}
    }
    let bytes = fs::read(file).map_err(|error| whole(cannot(&error), None))?;
    let source = String::from_utf8(bytes)
        .map_err(|error| whole(cannot(&error.utf8_error()), Some("save it as UTF-8".to_owned())))?;
    load_text(source, file, &project_root(file), overrides, registry)
}

/// Loads a pipeline from its text; `file` is its name for messages, `root` the project root.
pub fn load_text(
    source: String,
    file: &Path,
    root: &Path,
    overrides: &[Override],
    registry: &Registry,
) -> Result<Graph, Diagnostics> {
    let source = source.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(source);
    let mut texts = vec![Text { name: file.display().to_string(), text: source.clone() }];
    texts.extend(overrides.iter().map(|given| Text { name: given.argument(), text: given.argument() }));
    let sink = Sink::new(texts);
    let graph = build(&source, file, root, overrides, registry, &sink);
    match (sink.finish(file.to_owned()), graph) {
        (None, Some(graph)) => Ok(graph),
        (Some(diagnostics), _) => Err(diagnostics),
        (None, None) => Err(Diagnostics::whole(file.to_owned(), "the file cannot be read", None)),
    }
}

/// The graph; with errors reported it may be none, and is not to be used.
fn build(
    source: &str,
    file: &Path,
    root: &Path,
    overrides: &[Override],
    registry: &Registry,
    sink: &Sink,
) -> Option<Graph> {
    let mut tree = Node::parse(source, 0, 0, sink)?;
    for (at, given) in overrides.iter().enumerate() {
        overrides::apply(&mut tree, given, at as u32 + 1, sink);
    }
    let spec = spec::read(&tree, sink)?;
    let params = tasks::params(spec.params, sink);
    let scope = Scope { params: &params, declared: spec.params, instance: None, files: None };
    let pools = resources::pools(spec.pools, &scope, sink);
    let drafts = tasks::expand(&spec, &params, &pools, registry, sink);
    let linked = link::link(&spec, &drafts, &params, root, registry, sink);
    let order = link::order(&spec, &drafts, &linked, sink)?;
    if sink.count() > 0 {
        return None;
    }
    let mut position = vec![0; order.len()];
    for (at, &draft) in order.iter().enumerate() {
        position[draft] = at;
    }
    let stages = spec.stages.iter().zip(&drafts.stages).map(|(stage, range)| {
        let range = range.clone().unwrap_or_default();
        let first = drafts.tasks.get(range.start);
        let axes =
            first.into_iter().flat_map(|draft| &draft.instance.coordinates).map(|c| c.axis.to_string());
        let mut tasks: Vec<usize> = range.map(|draft| position[draft]).collect();
        tasks.sort_unstable();
        StageInfo {
            name: stage.name.to_owned(),
            kind: stage.kind.map_or_else(String::new, |(kind, _)| kind.to_owned()),
            description: stage.description.map(str::to_owned),
            axes: axes.collect(),
            tasks,
        }
    });
    let stages = stages.collect();
    let mut tasks: Vec<Option<Task>> = Vec::with_capacity(order.len());
    tasks.resize_with(order.len(), || None);
    for ((at, draft), mut inputs) in drafts.tasks.into_iter().enumerate().zip(linked) {
        for source in inputs.iter_mut().flat_map(|(_, sources)| sources) {
            if let Source::Artifact { task, .. } = source {
                *task = position[*task];
            }
        }
        let stage = &spec.stages[draft.stage];
        tasks[position[at]] = Some(Task {
            labels: draft.instance.labels(),
            folder: folder(stage.name, &draft.id),
            id: draft.id,
            stage: stage.name.to_owned(),
            kind: stage.kind?.0.to_owned(),
            params: Params::new(&draft.params),
            inputs,
            outputs: draft
                .outputs?
                .into_iter()
                .map(|output| Output { about: String::new(), ..output })
                .collect(),
            resources: draft.resources,
            sandbox: draft.sandbox,
        });
    }
    Some(Graph {
        name: spec.name.to_owned(),
        file: file.to_owned(),
        root: root.to_owned(),
        params: params.into_iter().collect(),
        tasks: tasks.into_iter().collect::<Option<_>>()?,
        stages,
        pools,
        sources: vec![(
            std::path::absolute(file).unwrap_or_else(|_| file.to_owned()),
            Digest::of(source.as_bytes()),
        )],
        identities: Vec::new(),
    })
}

/// The folder of a task's outputs: the part of its name in brackets becomes a folder of its own.
fn folder(stage: &str, id: &str) -> String {
    match id.strip_prefix(stage).and_then(|rest| rest.strip_prefix('[')?.strip_suffix(']')) {
        Some(instance) => format!("{stage}/{}", instance.replace('/', "%2F")),
        None => stage.to_owned(),
    }
}

/// The parent of the `pipelines/` folder that holds the file, else the file's folder; absolute.
pub fn project_root(file: &Path) -> PathBuf {
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let folder = absolute.parent().unwrap_or(Path::new("/"));
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    match folder.parent() {
        Some(parent) if folder.file_name().is_some_and(|name| name == "pipelines") => parent.to_owned(),
        _ => folder,
    }
}

/// The YAML file that the user may have meant.
fn nearby(file: &Path) -> Option<String> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut names: Vec<String> = fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".yaml") || name.ends_with(".yml"))
        .collect();
    names.sort();
    let given = file.file_name()?.to_str()?;
    super::sink::did_you_mean(given, names.iter().map(String::as_str), "the folder holds")
}
