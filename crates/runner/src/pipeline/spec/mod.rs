//! The fields of a pipeline and of its stages, read from the tree.

pub mod about;
pub mod checks;
pub mod claims;
pub mod metrics;
pub mod reference;
pub mod resources;

use crate::kind::fields::{Field, Fields, Shape};
use crate::kind::registry::Registry;
use crate::pipeline::expand::instance::is_name;
use crate::pipeline::yaml::node::{Entry, Node, Yaml};
use crate::pipeline::yaml::sink::{Sink, Span};
use onsager_tables::names::{did_you_mean, list};
use std::collections::HashMap;

/// The longest name that becomes the name of a folder.
const LONGEST: usize = 100;
/// The fields of a pipeline.
pub const FIELDS: [&str; 11] = [
    "name",
    "title",
    "description",
    "license",
    "authors",
    "include",
    "params",
    "pools",
    "stages",
    "metrics",
    "claims",
];
/// The fields of a stage; those of [`Field`] belong to some kinds only.
pub const STAGE_FIELDS: [&str; 17] = [
    "kind",
    "description",
    "when",
    "matrix",
    "params",
    "inputs",
    "after",
    Field::Run.name(),
    Field::Shell.name(),
    Field::Outputs.name(),
    Field::Env.name(),
    Field::Environment.name(),
    Field::Tools.name(),
    Field::Checkpoint.name(),
    Field::Sandbox.name(),
    "publish",
    "resources",
];

/// A pipeline as written.
#[derive(Debug)]
pub struct Spec<'a> {
    pub name: &'a str,
    pub params: &'a [Entry],
    pub pools: &'a [Entry],
    pub stages: Vec<Stage<'a>>,
    pub metrics: &'a [Entry],
    pub claims: Option<&'a Entry>,
    /// The position of each stage by name.
    pub by_name: HashMap<&'a str, usize>,
}

/// A stage as written.
#[derive(Debug)]
pub struct Stage<'a> {
    pub name: &'a str,
    /// Where the name stands.
    pub span: Span,
    /// The whole stage.
    pub node: &'a Node,
    /// The kind and its place; none when missing.
    pub kind: Option<(&'a str, Span)>,
    /// The fields of that kind.
    pub fields: Fields,
    pub description: Option<&'a str>,
    pub when: Option<&'a Entry>,
    pub matrix: Option<&'a Node>,
    pub params: Option<&'a Entry>,
    pub inputs: Vec<Input<'a>>,
    /// The stages that it waits for without taking anything of theirs, each with its place.
    pub after: Vec<(&'a str, Span)>,
    /// The outputs that are data sets for others, each with what it is, in words.
    pub publish: &'a [Entry],
    pub resources: Option<&'a Node>,
}

/// An input as written.
#[derive(Debug)]
pub struct Input<'a> {
    pub name: &'a str,
    pub span: Span,
    pub references: Vec<Reference<'a>>,
}

/// What an input is given.
#[derive(Debug, Clone)]
pub enum Reference<'a> {
    /// `stage[axis=value].output`, with its place.
    Artifact(&'a str, Span),
    /// `{file: path}` or `{glob: pattern}`, with the place of that.
    File { text: &'a str, span: Span, glob: bool, exclude: Vec<(&'a str, Span)> },
    /// `{url: address, sha256: digest}`, each with its place.
    Remote { url: (&'a str, Span), sha256: (&'a str, Span) },
}

impl Reference<'_> {
    /// Where it stands.
    pub fn span(&self) -> Span {
        match self {
            Reference::Artifact(_, span)
            | Reference::File { span, .. }
            | Reference::Remote { url: (_, span), .. } => *span,
        }
    }
}

/// Reads the tree; what cannot be read is reported and left out.
pub fn read<'a>(root: &'a Node, registry: &Registry, sink: &Sink) -> Option<Spec<'a>> {
    let Some(entries) = root.entries() else {
        sink.help(
            root.span,
            format!(
                "a pipeline is a mapping of `name`, `params` and `stages`, but the file is {}",
                root.what()
            ),
            "start it with `name: my-pipeline`",
        );
        return None;
    };
    let mut spec = Spec {
        name: "",
        params: &[],
        pools: &[],
        stages: Vec::new(),
        metrics: &[],
        claims: None,
        by_name: HashMap::new(),
    };
    for entry in entries {
        let value = &entry.value;
        match entry.key.as_str() {
            "name" => {
                spec.name = text(entry, sink).unwrap_or_default();
                if !spec.name.is_empty() {
                    slug(spec.name, value.span, "the name of a pipeline", sink);
                }
            }
            // See `about`.
            "title" | "description" | "license" | "authors" => {}
            "params" => spec.params = mapping(entry, sink),
            "pools" => spec.pools = mapping(entry, sink),
            "metrics" => spec.metrics = mapping(entry, sink),
            "claims" => spec.claims = Some(entry),
            "stages" => {
                for stage in mapping(entry, sink) {
                    slug(&stage.key, stage.span, "the name of a stage", sink);
                    // A name given twice was reported with the tree; the first keeps it.
                    let at = spec.stages.len();
                    spec.by_name.entry(&stage.key).or_insert(at);
                    spec.stages.push(read_stage(stage, registry, sink));
                }
            }
            _ => unknown(entry, &FIELDS, "a pipeline", sink),
        }
    }
    for param in spec.params.iter().filter(|param| !is_name(&param.key)) {
        sink.help(
            param.span,
            format!("`{}` cannot be the name of a parameter", param.key),
            "use letters, digits, `_` and `-`, starting with a letter",
        );
    }
    if root.get("name").is_none() {
        sink.add(None, "the pipeline has no name".to_owned(), Some("add `name: my-pipeline`".to_owned()));
    }
    if spec.stages.is_empty() {
        let message = "the pipeline has no stages";
        match root.get("stages") {
            Some(entry) if matches!(entry.value.value, Yaml::Map(_) | Yaml::Null) => {
                sink.help(entry.span, message, "add one: `stages: {data: {kind: dataset}}`");
            }
            Some(_) => {}
            None => {
                sink.add(None, message.to_owned(), Some("add `stages:` with at least one stage".to_owned()))
            }
        }
    }
    Some(spec)
}

fn read_stage<'a>(entry: &'a Entry, registry: &Registry, sink: &Sink) -> Stage<'a> {
    let mut stage = Stage {
        name: &entry.key,
        span: entry.span,
        node: &entry.value,
        kind: None,
        fields: Fields::NONE,
        description: None,
        when: None,
        matrix: None,
        params: None,
        inputs: Vec::new(),
        after: Vec::new(),
        publish: &[],
        resources: None,
    };
    if entry.value.entries().is_none() {
        let message = format!("stage `{}` must be a mapping, but is {}", entry.key, entry.value.what());
        sink.help(shown(entry), message, "give it at least a `kind`");
        return stage;
    }
    let mut kind_given = false;
    for field in entry.value.entries().unwrap_or_default() {
        match field.key.as_str() {
            "kind" => {
                kind_given = true;
                stage.kind = text(field, sink).map(|kind| (kind, field.value.span));
            }
            "description" => stage.description = text(field, sink),
            "when" => stage.when = Some(field),
            "matrix" => stage.matrix = Some(&field.value),
            "params" => {
                mapping(field, sink);
                stage.params = Some(field);
            }
            "inputs" => {
                stage.inputs = mapping(field, sink).iter().map(|input| read_input(input, sink)).collect()
            }
            "after" => stage.after = read_after(field, sink),
            "publish" => stage.publish = mapping(field, sink),
            "resources" => {
                mapping(field, sink);
                stage.resources = Some(&field.value);
            }
            name => match Field::named(name).map(Field::shape) {
                Some(Shape::Text) => _ = text(field, sink),
                Some(Shape::Map | Shape::Open) => _ = mapping(field, sink),
                // Its value may be a parameter's.
                Some(Shape::Flag | Shape::Words) => {}
                None => unknown(field, &STAGE_FIELDS, "a stage", sink),
            },
        }
    }
    if !kind_given {
        sink.help(
            entry.span,
            format!("stage `{}` has no kind", entry.key),
            "add `kind: …`; `onsager kinds` lists them",
        );
    }
    // Which fields a stage of no known kind may have, nobody can tell.
    if let Some((name, _)) = stage.kind
        && let Some(kind) = registry.get(name)
    {
        stage.fields = kind.fields();
        check_fields(&stage, name, registry, sink);
    }
    stage
}

/// Reports fields that the stage's kind does not have, and those that it lacks.
fn check_fields(stage: &Stage<'_>, kind: &str, registry: &Registry, sink: &Sink) {
    for field in Field::ALL.into_iter().filter(|field| !stage.fields.has(*field)) {
        let Some(entry) = stage.node.get(field.name()) else { continue };
        let kinds = list(&registry.with_field(field));
        let message = format!("`{}` is a field of {kinds} stages, but the kind is `{kind}`", field.name());
        sink.help(entry.span, message, format!("remove it; `onsager kinds {kind}` lists the parameters"));
    }
    if stage.fields.is_empty() {
        return;
    }
    if let Some(params) = stage.params {
        let help = format!("write {} as fields of the stage", list(&stage.fields.params()));
        sink.help(params.span, format!("a `{kind}` stage takes no `params`"), help);
    }
    for field in stage.fields.required() {
        match stage.node.get(field.name()) {
            None => {
                let message = format!("{kind} stage `{}` has no `{}`", stage.name, field.name());
                sink.help(stage.span, message, field.advice());
            }
            Some(Entry { value: Node { value: Yaml::Map(entries), .. }, span, .. }) if entries.is_empty() => {
                let message = format!("{kind} stage `{}` has no {}", stage.name, field.name());
                sink.help(*span, message, "name a file: `{result: result.csv}`");
            }
            _ => {}
        }
    }
}

/// One stage, or a list of them.
fn read_after<'a>(entry: &'a Entry, sink: &Sink) -> Vec<(&'a str, Span)> {
    let one = |node: &'a Node| match &node.value {
        Yaml::Text(text) if !text.trim().is_empty() => Some((text.as_str(), node.span)),
        _ => {
            let span = if node.value == Yaml::Null { entry.span } else { node.span };
            let message = format!("`after` must name stages, but is {}", node.what());
            sink.help(span, message, "write `after: stage`, or `after: [stage, other]`");
            None
        }
    };
    match &entry.value.value {
        Yaml::List(items) => items.iter().filter_map(one).collect(),
        _ => one(&entry.value).into_iter().collect(),
    }
}

fn read_input<'a>(entry: &'a Entry, sink: &Sink) -> Input<'a> {
    if !is_name(&entry.key) || entry.key.len() > LONGEST {
        let help = "use at most 100 letters, digits, `_` and `-`, starting with a letter";
        sink.help(entry.span, format!("`{}` cannot be the name of an input", entry.key), help);
    }
    let mut references = Vec::new();
    match &entry.value.value {
        Yaml::List(items) => {
            if items.is_empty() {
                sink.help(
                    entry.span,
                    format!("input `{}` is empty", entry.key),
                    "give it a stage, or remove it",
                );
            }
            references.extend(items.iter().filter_map(|item| read_reference(item, entry, sink)));
        }
        _ => references.extend(read_reference(&entry.value, entry, sink)),
    }
    Input { name: &entry.key, span: entry.span, references }
}

fn read_reference<'a>(node: &'a Node, input: &Entry, sink: &Sink) -> Option<Reference<'a>> {
    if let Yaml::Text(text) = &node.value {
        return Some(Reference::Artifact(text, node.span));
    }
    let Some(entries) = node.entries() else {
        let span = if node.value == Yaml::Null { input.span } else { node.span };
        let help = "write `stage`, `stage.output`, `stage[axis=value].output`, or `{file: path}`";
        sink.help(span, format!("input `{}` cannot be {}", input.key, node.what()), help);
        return None;
    };
    read_outside(node, entries, &format!("input `{}`", input.key), input.span, sink)
}

/// The fields of something outside the pipeline.
const OUTSIDE: [&str; 5] = ["file", "glob", "exclude", "url", "sha256"];

/// `{file: path}`, `{glob: pattern}` or `{url: address, sha256: digest}`; `what` names it in messages.
pub fn read_outside<'a>(
    node: &'a Node,
    entries: &'a [Entry],
    what: &str,
    span: Span,
    sink: &Sink,
) -> Option<Reference<'a>> {
    for entry in entries.iter().filter(|entry| !OUTSIDE.contains(&entry.key.as_str())) {
        unknown(entry, &OUTSIDE, "an input", sink);
    }
    let help = "write `{file: path}`, `{glob: pattern}` or `{url: address, sha256: digest}`";
    let sources: Vec<&Entry> = ["file", "glob", "url"].iter().filter_map(|name| node.get(name)).collect();
    let [source] = sources.as_slice() else {
        if let [_, second, ..] = sources.as_slice() {
            sink.help(second.span, format!("{what} has two sources"), help);
        } else if entries.iter().all(|entry| OUTSIDE.contains(&entry.key.as_str())) {
            sink.help(if entries.is_empty() { span } else { node.span }, format!("{what} is empty"), help);
        }
        return None;
    };
    let place = source.value.span;
    if source.key == "url" {
        if let Some(exclude) = node.get("exclude") {
            sink.help(exclude.span, "`exclude` is for folders and patterns", "remove it");
        }
        let Some(sha256) = node.get("sha256") else {
            let help = "add `sha256: …`, so that it is the same file every time; `curl -L URL | sha256sum` prints it";
            sink.help(place, format!("{what} comes from elsewhere and has no digest"), help);
            return None;
        };
        let (url, digest) = (text(source, sink)?, text(sha256, sink)?);
        return Some(Reference::Remote { url: (url, place), sha256: (digest, sha256.value.span) });
    }
    if let Some(sha256) = node.get("sha256") {
        sink.help(sha256.span, "`sha256` is for `url`", "remove it: the content of the file is read");
    }
    let exclude = node.get("exclude").map(|entry| patterns(entry, sink)).unwrap_or_default();
    text(source, sink).map(|text| Reference::File { text, span: place, glob: source.key == "glob", exclude })
}

/// A pattern, or a list of them.
fn patterns<'a>(entry: &'a Entry, sink: &Sink) -> Vec<(&'a str, Span)> {
    let one = |node: &'a Node| match &node.value {
        Yaml::Text(text) if !text.trim().is_empty() => Some((text.as_str(), node.span)),
        _ => {
            let span = if node.value == Yaml::Null { entry.span } else { node.span };
            let message = format!("`{}` must be patterns, but is {}", entry.key, node.what());
            sink.help(span, message, "write `exclude: \"*.log\"`, or a list of patterns");
            None
        }
    };
    match &entry.value.value {
        Yaml::List(items) => items.iter().filter_map(one).collect(),
        _ => one(&entry.value).into_iter().collect(),
    }
}

/// A place to show for an entry: its value, or its key when that is empty.
pub fn shown(entry: &Entry) -> Span {
    if entry.value.value == Yaml::Null { entry.span } else { entry.value.span }
}

/// The text of an entry that must be text and not empty.
pub fn text<'a>(entry: &'a Entry, sink: &Sink) -> Option<&'a str> {
    match &entry.value.value {
        Yaml::Text(text) if !text.trim().is_empty() => Some(text),
        Yaml::Text(_) => {
            sink.error(shown(entry), format!("`{}` is empty", entry.key));
            None
        }
        Yaml::Number(_) | Yaml::Bool(_) => {
            let message = format!("`{}` must be text, but is {}", entry.key, entry.value.what());
            sink.help(shown(entry), message, "put it in quotes");
            None
        }
        _ => {
            sink.error(shown(entry), format!("`{}` must be text, but is {}", entry.key, entry.value.what()));
            None
        }
    }
}

/// The entries of an entry that must be a mapping, or empty.
pub fn mapping<'a>(entry: &'a Entry, sink: &Sink) -> &'a [Entry] {
    match &entry.value.value {
        Yaml::Map(entries) => entries,
        Yaml::Null => &[],
        _ => {
            let message = format!("`{}` must be a mapping, but is {}", entry.key, entry.value.what());
            sink.help(shown(entry), message, format!("write `{}: {{name: value}}`", entry.key));
            &[]
        }
    }
}

/// Reports a field that does not exist.
pub fn unknown(entry: &Entry, fields: &[&str], of: &str, sink: &Sink) {
    let help = did_you_mean(&entry.key, fields.iter().copied(), &format!("the fields of {of} are"));
    sink.add(Some(entry.span), format!("unknown field `{}`", entry.key), help);
}

/// Checks a name that becomes the name of a folder.
pub fn slug(name: &str, span: Span, what: &str, sink: &Sink) {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
    if name.is_empty() || name.len() > LONGEST || !name.chars().all(fits) {
        let better: String =
            name.to_lowercase().chars().map(|c| if fits(c) { c } else { '-' }).take(100).collect();
        let help = if better.is_empty() { String::new() } else { format!(", for example `{better}`") };
        let help = format!("use at most 100 small letters, digits, `_` and `-`{help}");
        sink.help(span, format!("`{name}` cannot be {what}"), help);
    }
}
