//! `--set key=value`: values laid over the file before it is read.

use super::node::{Entry, Node, Yaml};
use super::sink::{Sink, Span, did_you_mean};

/// A value from the command line. `particles` is the pipeline's parameter of that name; a key that starts with `params.` or
/// `stages.` is a path from the top of the file, like `stages.motion.params.width`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    pub key: String,
    /// YAML: `1000`, `free`, `[1, 2]`.
    pub value: String,
}

impl Override {
    /// The argument as it was typed.
    pub fn argument(&self) -> String {
        format!("--set {}={}", self.key, self.value)
    }
}

impl std::str::FromStr for Override {
    type Err = String;

    fn from_str(text: &str) -> Result<Override, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => {
                Ok(Override { key: key.trim().to_owned(), value: value.to_owned() })
            }
            _ => Err(format!("`{text}` is not `key=value`; write for example `particles=1000`")),
        }
    }
}

/// Lays one value over the tree; `text` is the number of the argument among the sink's texts.
pub fn apply(root: &mut Node, given: &Override, text: u32, sink: &Sink) {
    let start = "--set ".len() as u32;
    let key = Span { text, start, end: start + given.key.len() as u32 };
    let Some(mut value) = Node::parse(&given.value, text, key.end + 1, sink) else { return };
    if value.span.end <= value.span.start {
        value.span = Span { end: key.end + 1 + given.value.len() as u32, ..value.span };
    }
    let mut path: Vec<&str> = given.key.split('.').collect();
    if path.len() == 1 || !matches!(path[0], "params" | "stages") {
        path.insert(0, "params");
    }
    let Some((last, parents)) = path.split_last() else { return };
    let mut node = root;
    for (depth, step) in parents.iter().enumerate() {
        // The parameters and resources of a stage have defaults, so the file need not mention them.
        let optional = depth == 2 && path[0] == "stages" && matches!(*step, "params" | "resources");
        node = match child(node, step, optional, key, sink) {
            Some(node) => node,
            None => return,
        };
    }
    let open = |field: &&str| matches!(*field, "params" | "resources" | "inputs" | "env");
    let free = path[0] == "stages" && path.len() > 3 && path.get(2).is_some_and(open);
    if let Some(slot) = child(node, last, free, key, sink) {
        *slot = value;
    }
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
