//! The key of a task: the digest of everything that can change its result.
//!
//! [`Material`] is the single traversal: the key hashes it, and `plan` and `explain` print it, so they cannot disagree. The hash has
//! two steps: the *identity* of a task, which its pipeline tells (and which is kept with an expanded pipeline), and the key, which
//! adds what is known only when the task is reached: the kernel level and the contents of the inputs.

use crate::kind::registry::Kind;
use crate::pipeline::graph::Task;
use crate::store::digest::{Digest, Encoder};
use crate::store::objects::{Content, Shape};
use serde_json::Value;
use std::fmt::Write;

/// A step on the path to a value.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Field(String),
    Index(usize),
}

/// One value that enters a key.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    path: Vec<Step>,
    value: Leaf,
}

/// A value without parts.
#[derive(Debug, Clone, PartialEq)]
enum Leaf {
    Json(Value),
    /// The kernel level of a numeric kind.
    Kernel(String),
    /// The content of an input, once it is made.
    Content(Option<Content>),
}

/// An artifact as a stage sees it: its name and labels, and its content as far as it is known.
#[derive(Debug, Clone, PartialEq)]
pub struct SeenItem {
    pub name: String,
    /// The name of the file that the stage reads; an external file's is part of `name`.
    pub file: Option<String>,
    pub labels: Vec<(String, Value)>,
    pub content: Option<Content>,
}

/// Everything that enters the key of a task, in a fixed order.
#[derive(Debug, Clone, PartialEq)]
pub struct Material {
    entries: Vec<Entry>,
}

impl Material {
    /// The material of a task whose inputs have these contents. `kernel` is the kernel level, which counts for numeric kinds.
    pub fn of(task: &Task, kind: &dyn Kind, kernel: &str, inputs: &[(String, Vec<SeenItem>)]) -> Material {
        let mut material = Material { entries: Vec::new() };
        let mut path = Vec::new();
        let text = |text: &str| Value::String(text.to_owned());
        material.field(&mut path, "kind", &text(&task.kind));
        material.field(&mut path, "code", &text(kind.fingerprint()));
        if kind.numeric() {
            let path = vec![Step::Field("kernel".into())];
            material.entries.push(Entry { path, value: Leaf::Kernel(kernel.to_owned()) });
        }
        material.field(&mut path, "params", &task.params.value());
        path.push(Step::Field("inputs".into()));
        for (name, items) in inputs {
            path.push(Step::Field(name.clone()));
            for (i, item) in items.iter().enumerate() {
                path.push(Step::Index(i));
                material.field(&mut path, "name", &text(&item.name));
                if let Some(file) = &item.file {
                    material.field(&mut path, "file", &text(file));
                }
                for (axis, value) in &item.labels {
                    material.field(&mut path, &format!("label {axis}"), value);
                }
                path.push(Step::Field("content".into()));
                material.entries.push(Entry { path: path.clone(), value: Leaf::Content(item.content) });
                path.truncate(path.len() - 2);
            }
            path.pop();
        }
        material
    }

    fn field(&mut self, path: &mut Vec<Step>, name: &str, value: &Value) {
        path.push(Step::Field(name.to_owned()));
        self.walk(path, value);
        path.pop();
    }

    fn walk(&mut self, path: &mut Vec<Step>, value: &Value) {
        match value {
            Value::Object(fields) if !fields.is_empty() => {
                for (name, value) in fields {
                    self.field(path, name, value);
                }
            }
            Value::Array(values) if !values.is_empty() => {
                for (i, value) in values.iter().enumerate() {
                    path.push(Step::Index(i));
                    self.walk(path, value);
                    path.pop();
                }
            }
            leaf => self.entries.push(Entry { path: path.clone(), value: Leaf::Json(leaf.clone()) }),
        }
    }

    /// The digest of everything that the pipeline tells of the task.
    pub fn identity(&self) -> Digest {
        let mut encoder = Encoder::new("onsager task 2");
        for entry in &self.entries {
            encoder.field(b'E', &(entry.path.len() as u64).to_le_bytes());
            for step in &entry.path {
                match step {
                    Step::Field(name) => encoder.field(b'F', name.as_bytes()),
                    Step::Index(i) => encoder.field(b'I', &(*i as u64).to_le_bytes()),
                }
            }
            entry.value.encode(&mut encoder);
        }
        encoder.finish()
    }

    /// The key, once every input is known.
    pub fn key(&self) -> Option<Digest> {
        let kernel = self.entries.iter().find_map(|entry| match &entry.value {
            Leaf::Kernel(level) => Some(level.as_str()),
            _ => None,
        });
        let contents = self.entries.iter().filter_map(|entry| match entry.value {
            Leaf::Content(content) => Some(content),
            _ => None,
        });
        key(&self.identity(), kernel, contents)
    }

    /// What a person reads: (field, value) for each entry.
    pub fn lines(&self) -> Vec<(String, String)> {
        self.entries.iter().map(|entry| (entry.field(), entry.value.text())).collect()
    }
}

/// The key of a task: its identity, the kernel level if its kind is numeric, and the contents of its inputs in their order. None
/// while one of them is not known.
pub fn key(
    identity: &Digest,
    kernel: Option<&str>,
    contents: impl Iterator<Item = Option<Content>>,
) -> Option<Digest> {
    let mut encoder = Encoder::new("onsager task key 2");
    encoder.field(b'T', &identity.0);
    if let Some(level) = kernel {
        encoder.field(b'K', level.as_bytes());
    }
    for content in contents {
        let content = content?;
        let tag = if content.shape == Shape::File { b'f' } else { b'd' };
        encoder.field(tag, &content.digest.0);
    }
    Some(encoder.finish())
}

impl Entry {
    fn field(&self) -> String {
        let mut text = String::new();
        for step in &self.path {
            match step {
                Step::Field(name) => {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(name);
                }
                // Writing to a String cannot fail.
                Step::Index(i) => _ = write!(text, "[{i}]"),
            }
        }
        text
    }
}

impl Leaf {
    fn encode(&self, encoder: &mut Encoder) {
        match self {
            Leaf::Json(Value::Null) => encoder.field(b'0', &[]),
            Leaf::Json(Value::Bool(value)) => encoder.field(b'B', &[u8::from(*value)]),
            Leaf::Json(Value::Number(number)) => match (number.as_i128(), number.as_f64()) {
                (Some(value), _) => encoder.field(b'N', &value.to_le_bytes()),
                (None, Some(value)) => encoder.field(b'R', &value.to_bits().to_le_bytes()),
                (None, None) => encoder.field(b'?', number.to_string().as_bytes()),
            },
            Leaf::Json(Value::String(text)) => encoder.field(b'S', text.as_bytes()),
            Leaf::Json(Value::Array(_)) => encoder.field(b'A', &[]),
            Leaf::Json(Value::Object(_)) => encoder.field(b'O', &[]),
            // Their places only: the key itself adds them.
            Leaf::Kernel(_) => encoder.field(b'K', &[]),
            Leaf::Content(_) => encoder.field(b'C', &[]),
        }
    }

    fn text(&self) -> String {
        match self {
            Leaf::Json(Value::String(text)) => text.clone(),
            Leaf::Json(value) => value.to_string(),
            Leaf::Kernel(level) => level.clone(),
            Leaf::Content(Some(content)) => content.digest.to_string(),
            Leaf::Content(None) => UNKNOWN.to_owned(),
        }
    }
}

/// What stands for the content of an input that is still to be made.
pub const UNKNOWN: &str = "(not made yet)";

/// A difference between two materials.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Change {
    pub field: String,
    /// Missing where the field is new.
    pub old: Option<String>,
    /// Missing where the field is gone.
    pub new: Option<String>,
}

/// What differs between two materials' lines, in the order of the new one, what is gone last.
pub fn changes(old: &[(String, String)], new: &[(String, String)]) -> Vec<Change> {
    let find = |lines: &[(String, String)], field: &str| {
        lines.iter().find(|(name, _)| name == field).map(|(_, value)| value.clone())
    };
    let mut found = Vec::new();
    for (field, value) in new {
        let before = find(old, field);
        if before.as_ref() != Some(value) && value != UNKNOWN {
            found.push(Change { field: field.clone(), old: before, new: Some(value.clone()) });
        }
    }
    for (field, value) in old {
        if find(new, field).is_none() {
            found.push(Change { field: field.clone(), old: Some(value.clone()), new: None });
        }
    }
    found
}
