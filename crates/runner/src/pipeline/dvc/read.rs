//! The stages of a `dvc.yaml`, with their places.

use super::template::{Axis, Templates};
use crate::pipeline::yaml::node::{Entry, Node, Yaml};
use crate::pipeline::yaml::sink::{Sink, Span};
use serde_json::{Map, Value, json};

/// A stage, its texts with our `${…}`.
#[derive(Debug)]
pub struct Stage {
    pub name: String,
    pub span: Span,
    pub description: Option<String>,
    pub axes: Vec<Axis>,
    /// One or more command lines.
    pub commands: Vec<String>,
    pub folder: Option<String>,
    pub reads: Vec<(String, Span)>,
    pub writes: Vec<(String, Span)>,
    /// Files of parameters that the program reads itself.
    pub parameters: Vec<(String, Span)>,
    /// The parameters that its texts hold.
    pub used: Vec<String>,
}

const ADVICE: &str = "see `onsager kinds command` for what a stage can say";

/// The stages, in the order of the file; what cannot be converted is told.
pub fn stages(root: &Node, values: &Map<String, Value>, sink: &Sink) -> Vec<Stage> {
    let Some(entries) = root.entries() else {
        sink.help(
            root.span,
            "a `dvc.yaml` is a mapping with `stages`",
            "give the `dvc.yaml` of a DVC project",
        );
        return Vec::new();
    };
    let mut stages = Vec::new();
    for entry in entries {
        match entry.key.as_str() {
            "stages" => match entry.value.entries() {
                Some(found) => stages.extend(found.iter().filter_map(|entry| stage(entry, values, sink))),
                None => sink.error(entry.value.span, "`stages` must be a mapping"),
            },
            "params" | "vars" => {}
            "metrics" => sink.warn(
                entry.span,
                "`metrics` was left out".into(),
                "name each number: `metrics: {auc: {from: evaluate.metrics, column: auc}}`",
            ),
            "plots" => sink.warn(
                entry.span,
                "`plots` was left out".into(),
                "a stage of kind `figure` draws the columns of a table",
            ),
            other => sink.warn(entry.span, format!("`{other}` was left out"), "onsager has no such field"),
        }
    }
    if stages.is_empty() && sink.count() == 0 {
        sink.help(root.span, "there are no stages", "give the `dvc.yaml` of a DVC project");
    }
    stages
}

fn stage(entry: &Entry, values: &Map<String, Value>, sink: &Sink) -> Option<Stage> {
    let node = &entry.value;
    if node.entries().is_none() {
        sink.error(node.span, format!("stage `{}` must be a mapping", entry.key));
        return None;
    }
    let (body, axes) = match (node.get("foreach"), node.get("do")) {
        (Some(each), Some(body)) => (&body.value, vec![Axis::each(&value(&each.value, values, sink)?)]),
        (Some(each), None) => {
            sink.error(each.span, format!("stage `{}` has a `foreach` and no `do`", entry.key));
            return None;
        }
        _ => (node, matrix(node, values, sink)),
    };
    let mut templates = Templates { axes: &axes, sink, used: Vec::new() };
    let mut stage = Stage {
        name: entry.key.clone(),
        span: entry.span,
        description: None,
        axes: Vec::new(),
        commands: Vec::new(),
        folder: None,
        reads: Vec::new(),
        writes: Vec::new(),
        parameters: Vec::new(),
        used: Vec::new(),
    };
    for field in body.entries().unwrap_or_default() {
        let texts = || texts(&field.value);
        match field.key.as_str() {
            "cmd" => {
                stage.commands = texts().iter().map(|(text, span)| templates.ours(text, *span)).collect()
            }
            "wdir" => stage.folder = field.value.text().map(|text| templates.ours(text, field.value.span)),
            "desc" => stage.description = field.value.text().map(str::to_owned),
            "deps" => {
                stage.reads =
                    texts().iter().map(|(text, span)| (templates.ours(text, *span), *span)).collect();
            }
            "outs" | "metrics" | "plots" => {
                for (text, span) in texts() {
                    stage.writes.push((templates.ours(text, span), span));
                }
            }
            "params" => stage.parameters = parameters(&field.value),
            "matrix" => {}
            "always_changed" => sink.warn(
                field.span,
                "`always_changed` was left out: a result with the same inputs is the same result".into(),
                "declare what it depends on, a variable by `${env.NAME}`, a tool by `tools`",
            ),
            "frozen" => sink.warn(
                field.span,
                "`frozen` was left out".into(),
                "leave the stage out, and take its file as an input",
            ),
            other => sink.warn(field.span, format!("`{other}` was left out"), ADVICE),
        }
    }
    if stage.commands.is_empty() {
        sink.error(entry.span, format!("stage `{}` has no `cmd`", entry.key));
    }
    stage.used = templates.used;
    stage.axes = axes;
    Some(stage)
}

fn matrix(node: &Node, values: &Map<String, Value>, sink: &Sink) -> Vec<Axis> {
    let Some(matrix) = node.get("matrix").and_then(|matrix| matrix.value.entries()) else {
        return Vec::new();
    };
    matrix
        .iter()
        .filter_map(|axis| Some(Axis::named(&axis.key, &value(&axis.value, values, sink)?)))
        .collect()
}

/// A value as it is written, or the one of `params.yaml` that `${…}` names.
fn value(node: &Node, values: &Map<String, Value>, sink: &Sink) -> Option<Value> {
    let reference = node.text().and_then(|text| text.strip_prefix("${")?.strip_suffix('}'));
    let Some(reference) = reference else {
        return node.json();
    };
    let mut parts = reference.split('.');
    let first = parts.next().and_then(|part| values.get(part));
    let found = parts.fold(first, |value, part| value?.get(part));
    if found.is_none() {
        sink.help(
            node.span,
            format!("there is no value `{reference}`"),
            "`params.yaml` and the files of `vars` were searched",
        );
    }
    found.cloned()
}

/// The texts of one text, a list of them, or a list whose items may have options (`model.pkl: {cache: false}`).
fn texts(node: &Node) -> Vec<(&str, Span)> {
    match &node.value {
        Yaml::Text(text) => vec![(text, node.span)],
        Yaml::List(items) => items.iter().flat_map(texts).collect(),
        Yaml::Map(entries) => entries.iter().map(|entry| (entry.key.as_str(), entry.span)).collect(),
        _ => Vec::new(),
    }
}

/// The files of parameters: `train.seed` stands for `params.yaml`, `other.yaml: [seed]` for itself.
fn parameters(node: &Node) -> Vec<(String, Span)> {
    let mut files: Vec<(String, Span)> = Vec::new();
    for item in node.items().unwrap_or_default() {
        let found = match &item.value {
            Yaml::Map(entries) => entries.iter().map(|entry| (entry.key.clone(), entry.span)).collect(),
            _ => vec![("params.yaml".to_owned(), item.span)],
        };
        for (file, span) in found {
            if files.iter().all(|(name, _)| *name != file) {
                files.push((file, span));
            }
        }
    }
    files
}

impl Axis {
    /// The axis `item` of a `foreach`: a list, or a mapping whose keys become the names of the points.
    fn each(values: &Value) -> Axis {
        let points = match values {
            Value::Object(map) => map.iter().map(|(key, value)| point(key, value)).collect(),
            Value::Array(items) => items
                .iter()
                .enumerate()
                .map(|(at, item)| if item.is_object() { point(&at.to_string(), item) } else { item.clone() })
                .collect(),
            other => vec![other.clone()],
        };
        Axis { name: "item".to_owned(), within: None, points }
    }

    /// An axis of a `matrix`, which DVC calls `item.NAME`.
    fn named(name: &str, values: &Value) -> Axis {
        let Axis { points, .. } = Axis::each(values);
        Axis { name: name.to_owned(), within: Some(format!("item.{name}")), points }
    }
}

/// A named point of a matrix.
fn point(name: &str, value: &Value) -> Value {
    let mut point = Map::from_iter([("name".to_owned(), json!(name))]);
    match value {
        // A field `name` of its own would be its label.
        Value::Object(fields) => point.extend(fields.clone()),
        other => _ = point.insert("value".to_owned(), other.clone()),
    }
    Value::Object(point)
}
