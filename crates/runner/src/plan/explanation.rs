//! What enters a key, as a person reads it, and what differs between two keys.

use crate::plan::key::{IdentityHash, KeyHash};
use crate::plan::preimage::{Part, Sink, Step};
use crate::store::digest::Digest;
use crate::store::objects::Content;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use std::collections::HashMap;
use std::fmt::Write;

/// What stands for the content of an input that is still to be made.
pub const UNKNOWN: &str = "(not made yet)";

/// Everything that enters the key of a task, and the key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Explanation {
    /// Hashed from the same parts as the lines; none while an input is not known.
    pub key: Option<Digest>,
    /// (field, value) for each part, in the order in which they are hashed. Other parts give other lines.
    pub lines: Vec<(String, String)>,
}

/// Hashes the parts and writes each of them down.
#[derive(Default)]
pub struct Explain {
    identity: IdentityHash,
    /// What the key adds to the identity, which is complete only at the end.
    added: Vec<Added>,
    lines: Vec<(String, String)>,
}

enum Added {
    Kernel(String),
    Content(Option<Content>),
    Tool(Option<String>),
}

impl Explain {
    pub fn finish(self) -> Explanation {
        let mut key = KeyHash::new(&self.identity.finish());
        for added in &self.added {
            match added {
                Added::Kernel(level) => key.part(&[], Part::Kernel(level)),
                Added::Content(content) => key.part(&[], Part::Content(*content)),
                Added::Tool(text) => key.part(&[], Part::Tool(text.as_deref())),
            }
        }
        Explanation { key: key.finish(), lines: self.lines }
    }
}

impl Sink for Explain {
    const WHOLE: bool = true;

    fn part(&mut self, path: &[Step], part: Part) {
        self.identity.part(path, part);
        match part {
            Part::Kernel(level) => self.added.push(Added::Kernel(level.to_owned())),
            Part::Content(content) => self.added.push(Added::Content(content)),
            Part::Tool(text) => self.added.push(Added::Tool(text.map(str::to_owned))),
            Part::Value(_) | Part::Text(_) => {}
        }
        self.lines.push((field(path), text(part)));
    }
}

/// `params.layers[0].width`.
fn field(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        let dot = if text.is_empty() { "" } else { "." };
        // Writing to a String cannot fail.
        let _ = match step {
            Step::Field(name) if is_plain(name) => write!(text, "{dot}{name}"),
            Step::Field(name) => write!(text, "[{}]", Value::from(*name)),
            Step::Label(axis) => write!(text, "{dot}label {axis}"),
            Step::Index(i) => write!(text, "[{i}]"),
        };
    }
    text
}

/// Whether a name between dots can be told from several names and from a position.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.contains(['.', '[', ']', '"'])
}

fn text(part: Part) -> String {
    match part {
        Part::Text(text) => text.to_owned(),
        // In quotes where it would read as another value: the text `1` is not the number.
        Part::Value(Value::String(text)) if serde_json::from_str::<Value>(text).is_ok() => {
            Value::from(text.as_str()).to_string()
        }
        Part::Value(Value::String(text)) => text.clone(),
        Part::Value(value) => value.to_string(),
        Part::Kernel(level) => level.to_owned(),
        Part::Content(Some(content)) => content.to_string(),
        Part::Tool(Some(text)) => text.to_owned(),
        Part::Content(None) | Part::Tool(None) => UNKNOWN.to_owned(),
    }
}

/// A difference between two materials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Change {
    pub field: String,
    /// Missing where the field is new.
    pub old: Option<String>,
    /// Missing where the field is gone.
    pub new: Option<String>,
}

/// What differs between the lines of two explanations, in the order of the new one, what is gone last.
pub fn changes(old: &[(String, String)], new: &[(String, String)]) -> Vec<Change> {
    let by_field =
        |lines: &[(String, String)]| -> HashMap<String, String> { lines.iter().cloned().collect() };
    let (before, now) = (by_field(old), by_field(new));
    let mut found = Vec::new();
    for (field, value) in new {
        let before = before.get(field);
        if before != Some(value) && value != UNKNOWN {
            found.push(Change { field: field.clone(), old: before.cloned(), new: Some(value.clone()) });
        }
    }
    for (field, value) in old {
        if !now.contains_key(field) {
            found.push(Change { field: field.clone(), old: Some(value.clone()), new: None });
        }
    }
    found
}
