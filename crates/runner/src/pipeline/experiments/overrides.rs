//! Values laid over a pipeline before it is read: `--set key=value`, parameters files, and the parameters of experiments.

use crate::pipeline::yaml::node::{Entry, Node, Yaml};
use crate::pipeline::yaml::sink::{Sink, Span};
use onsager_tables::names::did_you_mean;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::str::FromStr;

/// What a command line lays over a pipeline: the files first, then the values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overrides {
    /// `--params`, in order.
    pub files: Vec<PathBuf>,
    /// `--set`, in order.
    pub sets: Vec<Override>,
}

/// A value from the command line. `particles` is the pipeline's parameter of that name; a key that starts with `params.` or
/// `stages.` is a path from the top of the file, like `stages.motion.params.width`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    pub key: String,
    /// YAML: `1000`, `free`, `[1, 2]`.
    pub value: String,
}

impl Override {
    /// The argument, without blanks around the key.
    pub fn argument(&self) -> String {
        format!("--set {}={}", self.key, self.value)
    }

    /// The places of the key and of the value in the argument, the sink's text number `text`.
    fn spans(&self, text: u32) -> (Span, u32) {
        let start = "--set ".len() as u32;
        let key = Span { text, start, end: start + self.key.len() as u32 };
        (key, key.end + 1)
    }
}

/// An argument of `--set` that is not `key=value`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not `key=value`; write for example `particles=1000`")]
pub struct NoOverride {
    pub text: String,
}

impl FromStr for Override {
    type Err = NoOverride;

    fn from_str(text: &str) -> Result<Override, NoOverride> {
        match text.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                Ok(Override { key: key.trim().to_owned(), value: value.to_owned() })
            }
            _ => Err(NoOverride { text: text.to_owned() }),
        }
    }
}

/// The argument as an entry of a mapping; `text` is its number among the sink's texts.
pub fn entry(given: &Override, text: u32, sink: &Sink) -> Option<Entry> {
    let (key, start) = given.spans(text);
    let mut value = Node::parse(&given.value, text, start, sink)?;
    if value.span.end <= value.span.start {
        value.span = Span { end: start + given.value.len() as u32, ..value.span };
    }
    Some(Entry { key: given.key.clone(), span: key, value })
}

/// The entries of a parameters file, the sink's text number `text`.
pub fn entries(text: u32, sink: &Sink) -> Vec<Entry> {
    let Some(node) = Node::parse(sink.whole(text), text, 0, sink) else { return Vec::new() };
    match node.value {
        Yaml::Map(entries) => entries,
        Yaml::Null => Vec::new(),
        _ => {
            let message = format!("a parameters file is a mapping, but this is {}", node.what());
            sink.help(node.span, message, "write `name: value`, a line for each parameter");
            Vec::new()
        }
    }
}

/// How a mapping meets one that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlay {
    /// Field by field: parameters files and experiments.
    Merge,
    /// As a whole: `--set` and the values of a sweep.
    Replace,
}

/// A pipeline with values laid over it.
#[derive(Debug, Clone)]
pub struct Overlaid {
    pub tree: Node,
    /// The values that are set inside stages, by their dotted keys: parameters too, though the pipeline does not call them so.
    pub inside: Map<String, Value>,
}

impl Overlaid {
    pub fn new(tree: Node) -> Overlaid {
        Overlaid { tree, inside: Map::new() }
    }

    /// Lays an entry over the tree; its key is a parameter's name or a dotted path.
    pub fn apply(&mut self, entry: &Entry, how: Overlay, sink: &Sink) {
        let path = path(&entry.key);
        if path[0] == "stages" {
            self.inside.insert(path.join("."), entry.value.json().unwrap_or(Value::Null));
        }
        self.apply_at(&path, entry.span, &entry.value, how, sink);
    }

    fn apply_at(&mut self, path: &[&str], key: Span, value: &Node, how: Overlay, sink: &Sink) {
        let Some(slot) = slot(&mut self.tree, path, key, sink) else { return };
        if let (Overlay::Merge, Yaml::Map(_), Yaml::Map(entries)) = (how, &slot.value, &value.value) {
            for entry in entries {
                let longer = [path, &[entry.key.as_str()]].concat();
                self.apply_at(&longer, entry.span, &entry.value, how, sink);
            }
        } else {
            *slot = value.clone();
        }
    }
}

/// The path from the top of a pipeline that a key stands for.
pub fn path(key: &str) -> Vec<&str> {
    let mut path: Vec<&str> = key.split('.').collect();
    if path.len() == 1 || !matches!(path[0], "params" | "stages") {
        path.insert(0, "params");
    }
    path
}

/// The value at a path, made where the file need not mention it, else reported.
fn slot<'a>(root: &'a mut Node, path: &[&str], key: Span, sink: &Sink) -> Option<&'a mut Node> {
    let (last, parents) = path.split_last()?;
    let mut node = root;
    for (depth, step) in parents.iter().enumerate() {
        node = child(node, step, depth == 2 && path[0] == "stages" && optional(step), key, sink)?;
    }
    let free = match path {
        ["stages", _, field] | ["stages", _, field, _, ..] => optional(field),
        _ => false,
    };
    child(node, last, free, key, sink)
}

/// Whether a stage need not mention this field and what is in it: it has a default, or is empty.
fn optional(field: &str) -> bool {
    matches!(field, "params" | "resources" | "inputs" | "env")
}

/// The value of `step` in a mapping; a missing one is made if `create`, else reported.
fn child<'a>(node: &'a mut Node, step: &str, create: bool, key: Span, sink: &Sink) -> Option<&'a mut Node> {
    let what = node.what();
    if create && node.value == Yaml::Null {
        node.value = Yaml::Map(Vec::new());
    }
    let Yaml::Map(entries) = &mut node.value else {
        sink.error(key, format!("`{step}` cannot be set: what should hold it is {what}, not a mapping"));
        return None;
    };
    let at = match entries.iter().position(|entry| entry.key == step) {
        Some(at) => at,
        None if create => {
            let value = Node { span: key, value: Yaml::Null };
            entries.push(Entry { key: step.to_owned(), span: key, value });
            entries.len() - 1
        }
        None => {
            let names = entries.iter().map(|entry| entry.key.as_str());
            let help = did_you_mean(step, names, "there are").unwrap_or_else(|| {
                "declare it under `params`, or set a stage's parameter with `stages.<stage>.params.<name>=…`"
                    .to_owned()
            });
            sink.help(key, format!("there is no `{step}` to set"), help);
            return None;
        }
    };
    Some(&mut entries[at].value)
}
