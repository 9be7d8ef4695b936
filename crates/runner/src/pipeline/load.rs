//! The whole way from a file to a graph.

use crate::kind::registry::Registry;
use crate::kind::stage::Output;
use crate::pipeline::expand::interpolate::Scope;
use crate::pipeline::expand::link;
use crate::pipeline::expand::tasks;
use crate::pipeline::experiments::overrides::{self, Given, Lay, Overlaid};
use crate::pipeline::experiments::points;
use crate::pipeline::graph::{Graph, Point, Source, StageInfo, Task};
use crate::pipeline::spec;
use crate::pipeline::spec::metrics;
use crate::pipeline::spec::resources;
use crate::pipeline::yaml::diagnostics::Diagnostics;
use crate::pipeline::yaml::node::{Entry, Node};
use crate::pipeline::yaml::sink::{Sink, Text};
use crate::store::digest::Digest;
use std::fs;
use std::path::{Path, PathBuf};

/// The folders of a project that hold its pipelines and experiments.
pub const FOLDERS: [&str; 2] = ["pipelines", "experiments"];
/// A larger file is not a pipeline.
const BYTES: u64 = 1 << 30;

/// Loads a pipeline, or an experiment on one, with what the command line lays over it. Tells everything that is wrong at once.
pub fn load(file: &Path, given: &Given, registry: &Registry) -> Result<Graph, Diagnostics> {
    let source =
        read(file).map_err(|error| Diagnostics::whole(file.to_owned(), error.message, error.help))?;
    load_text(source, file, &project_root(file), given, registry)
}

/// Loads a pipeline from its text; `file` is its name for messages, `root` the project root.
pub fn load_text(
    source: String,
    file: &Path,
    root: &Path,
    given: &Given,
    registry: &Registry,
) -> Result<Graph, Diagnostics> {
    let mut sink = Sink::default();
    let site = Site { file, root, registry };
    let mut graph = assemble(source, &site, given, &mut sink);
    if let Some(graph) = &mut graph {
        graph.sources = std::mem::take(&mut sink.files);
    }
    match (sink.finish(file.to_owned()), graph) {
        (None, Some(graph)) => Ok(graph),
        (Some(diagnostics), _) => Err(diagnostics),
        (None, None) => Err(Diagnostics::whole(file.to_owned(), "the file cannot be read", None)),
    }
}

/// What every step of loading knows.
#[derive(Clone, Copy)]
pub struct Site<'a> {
    /// As the user gave it.
    pub file: &'a Path,
    /// The project root, absolute.
    pub root: &'a Path,
    pub registry: &'a Registry,
}

fn assemble(source: String, site: &Site, given: &Given, sink: &mut Sink) -> Option<Graph> {
    let text = add_file(site.file, source, sink);
    let tree = Node::parse(sink.whole(text), text, 0, sink)?;
    if tree.get("pipeline").is_some() {
        return points::load(&tree, site, given, sink);
    }
    let mut overlaid = Overlaid::new(tree);
    lay_given(&mut overlaid, given, sink);
    build(&overlaid, site, sink)
}

/// Lays what the command line gives over a pipeline, and tells which keys that were.
pub fn lay_given(overlaid: &mut Overlaid, given: &Given, sink: &mut Sink) -> Vec<Entry> {
    let mut sets = Vec::new();
    for file in &given.files {
        match read(file) {
            Ok(source) => {
                let text = add_file(file, source, sink);
                for entry in overrides::entries(text, sink) {
                    overlaid.lay(&entry, Lay::Merge, sink);
                }
            }
            Err(error) => sink.add(None, error.message, error.help),
        }
    }
    for given in &given.sets {
        let argument = given.argument();
        let text = sink.add_text(Text { name: argument.clone(), text: argument, argument: true });
        if let Some(entry) = overrides::entry(given, text, sink) {
            overlaid.lay(&entry, Lay::Replace, sink);
            sets.push(entry);
        }
    }
    sets
}

/// Adds a file to the texts of the sink.
pub fn add_file(file: &Path, source: String, sink: &mut Sink) -> u32 {
    let path = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    sink.files.push((path, Digest::of(source.as_bytes())));
    let text = source.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(source);
    sink.add_text(Text { name: file.display().to_string(), text, argument: false })
}

/// A file that cannot be read, and what to do.
pub struct Unreadable {
    pub message: String,
    pub help: Option<String>,
}

/// The text of a YAML file.
pub fn read(file: &Path) -> Result<String, Unreadable> {
    let cannot = |reason: &dyn std::fmt::Display, help| Unreadable {
        message: format!("cannot read `{}`: {reason}", file.display()),
        help,
    };
    match fs::metadata(file) {
        Err(error) => return Err(cannot(&error, nearby(file))),
        Ok(data) if data.is_dir() => {
            return Err(cannot(&"it is a folder", Some("give a YAML file inside it".to_owned())));
        }
        Ok(data) if data.len() > BYTES => return Err(cannot(&"it is larger than 1 GiB", None)),
        Ok(_) => {}
    }
    let bytes = fs::read(file).map_err(|error| cannot(&error, None))?;
    String::from_utf8(bytes).map_err(|error| cannot(&error.utf8_error(), Some("save it as UTF-8".to_owned())))
}

/// The graph; with errors reported it may be none, and is not to be used.
pub fn build(overlaid: &Overlaid, site: &Site, sink: &Sink) -> Option<Graph> {
    let Site { file, root, registry } = *site;
    let spec = spec::read(&overlaid.tree, registry, sink)?;
    let params = tasks::params(spec.params, registry, sink);
    let scope = Scope { registry, params: &params, declared: spec.params, instance: None, files: None };
    let pools = resources::pools(spec.pools, &scope, sink);
    let drafts = tasks::expand(&spec, &params, &pools, registry, sink);
    let linked = link::link(&spec, &drafts, &params, root, registry, sink);
    let metrics = metrics::resolve(&spec, &drafts, &scope, sink);
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
            params: draft.params,
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
    let mut recorded = params;
    recorded.extend(overlaid.inside.clone());
    Some(Graph {
        name: spec.name.to_owned(),
        file: file.to_owned(),
        root: root.to_owned(),
        experiment: false,
        points: vec![Point { name: String::new(), params: recorded, metrics }],
        tasks: tasks.into_iter().collect::<Option<_>>()?,
        stages,
        pools,
        sources: Vec::new(),
        identities: Vec::new(),
    })
}

/// Where the outputs of a task go, below the pipeline's folder: `motion/system=free`.
fn folder(stage: &str, id: &str) -> String {
    match id[stage.len()..].strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(instance) => format!("{stage}/{}", instance.replace('/', "%2F")),
        None => stage.to_owned(),
    }
}

/// The parent of the `pipelines/` or `experiments/` folder that holds the file, else the file's folder; absolute.
pub fn project_root(file: &Path) -> PathBuf {
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let folder = absolute.parent().unwrap_or(Path::new("/"));
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    match folder.parent() {
        Some(parent) if folder.file_name().is_some_and(|name| FOLDERS.iter().any(|own| name == *own)) => {
            parent.to_owned()
        }
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
    onsager_tables::names::did_you_mean(given, names.iter().map(String::as_str), "the folder holds")
}
