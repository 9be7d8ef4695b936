//! What entered a key: values with their types, each at its place. A key is hashed from these parts, a record keeps them, and what
//! `explain` prints is made from them; so a record alone is enough to compute its key again.

use crate::store::digest::Digest;
use crate::store::objects::{Content, Shape};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::fmt::Write;

/// What stands for the content of an input that is still to be made.
pub const UNKNOWN: &str = "(not made yet)";

/// A step on the path to a value: `params`, `layers`, `0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    Field(&'a str),
    /// The label of an input on an axis.
    Label(&'a str),
    Index(usize),
}

/// A part of a key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Part<'a> {
    /// A value without parts that the pipeline tells.
    Value(&'a Value),
    /// A text that the pipeline tells.
    Text(&'a str),
    /// The kernel level of a numeric kind.
    Kernel(&'a str),
    /// The content of an input, once it is made.
    Content(Option<Content>),
    /// What a program says of itself, once it was asked.
    Tool(Option<&'a str>),
}

/// Takes the parts of a key, in their order.
pub trait Sink {
    /// Whether it takes what the pipeline tells of the task. A sink that has the digest of all that already takes the kernel level and
    /// the contents of the inputs only.
    const WHOLE: bool;

    /// Takes a part. The path is complete for a sink that takes the whole.
    fn part(&mut self, path: &[Step], part: Part);
}

/// All parts of a key, in their order.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Material(Vec<(Vec<KeptStep>, KeptPart)>);

/// A name, the place in a list, or an axis: `"layers"`, `0`, `{"label": "seed"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum KeptStep {
    Field(String),
    Index(usize),
    Label { label: String },
}

/// `{"value": 7}`, `{"file": "ba78…"}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KeptPart {
    #[serde(deserialize_with = "leaf")]
    Value(Value),
    Text(String),
    Kernel(String),
    File(Digest),
    Executable(Digest),
    Folder(Digest),
    Tool(String),
    /// The content of an input that is not made; no key has it.
    #[serde(skip)]
    NoContent,
    /// What a program would say; no key has it.
    #[serde(skip)]
    NoTool,
}

/// A value without parts: only such are hashed with all that they say.
fn leaf<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let parts = value.as_array().map_or(0, Vec::len) + value.as_object().map_or(0, serde_json::Map::len);
    if parts == 0 { Ok(value) } else { Err(serde::de::Error::custom("a value of a key has parts")) }
}

impl Sink for Material {
    const WHOLE: bool = true;

    fn part(&mut self, path: &[Step], part: Part) {
        let step = |step: &Step| match step {
            Step::Field(name) => KeptStep::Field((*name).to_owned()),
            Step::Label(axis) => KeptStep::Label { label: (*axis).to_owned() },
            Step::Index(i) => KeptStep::Index(*i),
        };
        let part = match part {
            Part::Value(value) => KeptPart::Value(value.clone()),
            Part::Text(text) => KeptPart::Text(text.to_owned()),
            Part::Kernel(level) => KeptPart::Kernel(level.to_owned()),
            Part::Tool(Some(text)) => KeptPart::Tool(text.to_owned()),
            Part::Tool(None) => KeptPart::NoTool,
            Part::Content(None) => KeptPart::NoContent,
            Part::Content(Some(Content { digest, shape, .. })) => match shape {
                Shape::File => KeptPart::File(digest),
                Shape::Executable => KeptPart::Executable(digest),
                Shape::Folder => KeptPart::Folder(digest),
                // No part of a key: see `traverse`.
                Shape::Absent => return,
            },
        };
        self.0.push((path.iter().map(step).collect(), part));
    }
}

impl Material {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Hands the parts to another sink, as they came.
    pub fn replay(&self, sink: &mut impl Sink) {
        let mut path = Vec::new();
        for (steps, part) in &self.0 {
            path.clear();
            path.extend(steps.iter().map(|step| match step {
                KeptStep::Field(name) => Step::Field(name),
                KeptStep::Label { label } => Step::Label(label),
                KeptStep::Index(i) => Step::Index(*i),
            }));
            sink.part(&path, part.part());
        }
    }

    /// (field, value) for each part, as a person reads it. Other parts give other lines.
    pub fn lines(&self) -> Vec<(String, String)> {
        let mut lines = Lines(Vec::with_capacity(self.0.len()));
        self.replay(&mut lines);
        lines.0
    }

    /// The contents of the inputs, files that no task made among them, with the names of their fields.
    pub fn contents(&self) -> impl Iterator<Item = Digest> {
        let is_input =
            |steps: &[KeptStep]| matches!(steps.first(), Some(KeptStep::Field(name)) if name != "tools");
        self.0.iter().filter(move |(steps, _)| is_input(steps)).filter_map(|(_, part)| match part {
            KeptPart::File(digest) | KeptPart::Executable(digest) | KeptPart::Folder(digest) => Some(*digest),
            _ => None,
        })
    }

    /// The digest of its JSON, without spaces.
    pub fn digest(&self) -> Result<Digest, serde_json::Error> {
        Ok(Digest::of(&serde_json::to_vec(self)?))
    }
}

impl KeptPart {
    fn part(&self) -> Part<'_> {
        // Sizes are in no key.
        let content = |digest, shape| Part::Content(Some(Content { digest, shape, size: 0 }));
        match self {
            KeptPart::Value(value) => Part::Value(value),
            KeptPart::Text(text) => Part::Text(text),
            KeptPart::Kernel(level) => Part::Kernel(level),
            KeptPart::File(digest) => content(*digest, Shape::File),
            KeptPart::Executable(digest) => content(*digest, Shape::Executable),
            KeptPart::Folder(digest) => content(*digest, Shape::Folder),
            KeptPart::Tool(text) => Part::Tool(Some(text)),
            KeptPart::NoContent => Part::Content(None),
            KeptPart::NoTool => Part::Tool(None),
        }
    }
}

/// Writes the parts as lines for people.
struct Lines(Vec<(String, String)>);

impl Sink for Lines {
    const WHOLE: bool = true;

    fn part(&mut self, path: &[Step], part: Part) {
        self.0.push((field(path), text(part)));
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
