//! The fields of an experiment: a pipeline, what is laid over it, and a sweep.

use crate::pipeline::spec;
use crate::pipeline::spec::about::About;
use crate::pipeline::yaml::node::{Entry, Node, Yaml};
use crate::pipeline::yaml::sink::{Sink, Span};

/// The fields of an experiment.
pub const FIELDS: [&str; 13] = [
    "name",
    "title",
    "description",
    "license",
    "authors",
    "pipeline",
    "params",
    "params_files",
    "tasks",
    "sweep",
    "stages",
    "metrics",
    "claims",
];

/// An experiment as written.
#[derive(Debug)]
pub struct Experiment<'a> {
    pub name: &'a str,
    pub about: About,
    /// The pipeline's file, relative to the project root, and its place.
    pub pipeline: (&'a str, Span),
    pub params: &'a [Entry],
    pub params_files: Vec<(&'a str, Span)>,
    /// The tasks to keep, with what they need; all of them when empty.
    pub tasks: Vec<(&'a str, Span)>,
    pub sweep: Option<&'a Entry>,
    /// Stages of its own, which run once, over all points.
    pub stages: Option<&'a Entry>,
    pub metrics: &'a [Entry],
    /// More claims than those of the pipeline.
    pub claims: Option<&'a Entry>,
}

/// Reads the tree of an experiment's file; what cannot be read is reported and left out.
pub fn read<'a>(root: &'a Node, sink: &Sink) -> Option<Experiment<'a>> {
    let mut experiment = Experiment {
        name: "",
        about: About::read(root, sink),
        pipeline: ("", root.span),
        params: &[],
        params_files: Vec::new(),
        tasks: Vec::new(),
        sweep: None,
        stages: None,
        metrics: &[],
        claims: None,
    };
    for entry in root.entries()? {
        match entry.key.as_str() {
            "name" => {
                experiment.name = spec::text(entry, sink).unwrap_or_default();
                if !experiment.name.is_empty() {
                    spec::slug(experiment.name, entry.value.span, "the name of an experiment", sink);
                }
            }
            // Read already.
            "title" | "description" | "license" | "authors" => {}
            "pipeline" => experiment.pipeline = (spec::text(entry, sink)?, entry.value.span),
            "params" => experiment.params = spec::mapping(entry, sink),
            "params_files" => experiment.params_files = texts(entry, sink),
            "tasks" => experiment.tasks = texts(entry, sink),
            "sweep" => experiment.sweep = Some(entry),
            "stages" => experiment.stages = Some(entry),
            "metrics" => experiment.metrics = spec::mapping(entry, sink),
            "claims" => experiment.claims = Some(entry),
            _ => spec::unknown(entry, &FIELDS, "an experiment", sink),
        }
    }
    if root.get("name").is_none() {
        let help = Some("add `name: my-experiment`".to_owned());
        sink.add(None, "the experiment has no name".to_owned(), help);
    }
    Some(experiment)
}

/// A list of texts.
fn texts<'a>(entry: &'a Entry, sink: &Sink) -> Vec<(&'a str, Span)> {
    let Yaml::List(items) = &entry.value.value else {
        let message = format!("`{}` must be a list, but is {}", entry.key, entry.value.what());
        sink.help(spec::shown(entry), message, format!("write `{}: [name]`", entry.key));
        return Vec::new();
    };
    let mut texts = Vec::new();
    for item in items {
        match item.text() {
            Some(text) => texts.push((text, item.span)),
            None => sink.error(item.span, format!("`{}` lists texts, not {}", entry.key, item.what())),
        }
    }
    texts
}
