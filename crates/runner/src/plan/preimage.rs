//! What enters the key of a task, in a fixed order: one traversal for the hash and for what `explain` prints.
//!
//! [`traverse`] is the only code that knows what enters a key. A [`Sink`] takes it part by part: `store/key.rs` hashes the parts, and
//! `store/material.rs` keeps them, from which the key can be hashed as well and what a person reads is printed.

use crate::kind::registry::Kind;
use crate::pipeline::graph::{Graph, Source, Task};
use crate::store::material::{Part, Sink, Step};
use crate::store::objects::Content;
use serde_json::Value;
use std::path::Path;

/// What is known of an input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Known<'a> {
    Content(Option<Content>),
    Tool(&'a str),
}

/// Hands everything that enters the key of a task to a sink. `kernel` is the kernel level, which counts for numeric kinds; `inputs` is
/// what is known of the inputs, in their order.
pub fn traverse<S: Sink>(
    graph: &Graph,
    task: &Task,
    kind: &dyn Kind,
    kernel: &str,
    inputs: &[Known],
    sink: &mut S,
) {
    if S::WHOLE {
        sink.part(&[Step::Field("kind")], Part::Text(&task.kind));
        sink.part(&[Step::Field("code")], Part::Text(kind.fingerprint()));
    }
    if kind.numeric() {
        sink.part(&[Step::Field("kernel")], Part::Kernel(kernel));
    }
    if S::WHOLE {
        let params = task.params.value();
        walk(&mut vec![Step::Field("params")], &params, sink);
    }
    let mut inputs = inputs.iter();
    let mut path = Vec::new();
    for (name, sources) in &task.inputs {
        let mut i = 0;
        for source in sources {
            let known = inputs.next().copied();
            // An input is what is there of it.
            if let Some(Known::Content(Some(content))) = known
                && content.is_absent()
            {
                continue;
            }
            // The places are part of what the pipeline tells.
            if S::WHOLE {
                match name.split_once('.') {
                    // A tool, or the lock file of an environment: `tools.python`.
                    Some((field, own)) => path.extend([Step::Field(field), Step::Field(own)]),
                    None => {
                        path.extend([Step::Field("inputs"), Step::Field(name), Step::Index(i)]);
                        artifact(graph, task, source, &mut path, sink);
                        path.push(Step::Field("content"));
                    }
                }
            }
            let part = match (source, known) {
                (Source::Tool { .. }, Some(Known::Tool(text))) => Part::Tool(Some(text)),
                (Source::Tool { .. }, _) => Part::Tool(None),
                (_, Some(Known::Content(content))) => Part::Content(content),
                (_, _) => Part::Content(None),
            };
            sink.part(&path, part);
            path.clear();
            i += 1;
        }
    }
}

/// How a stage sees an artifact: its name, its file's name and its labels.
fn artifact<'a>(
    graph: &'a Graph,
    taker: &Task,
    source: &'a Source,
    path: &mut Vec<Step<'a>>,
    sink: &mut impl Sink,
) {
    let mut field = |step, part: Part| {
        path.push(step);
        sink.part(path, part);
        path.pop();
    };
    match source {
        // The name of an external file is part of what the pipeline calls it.
        Source::Open { name, .. } => field(Step::Field("each"), Part::Text(name)),
        Source::File { name, .. } => field(Step::Field("name"), Part::Text(name)),
        Source::Remote { url, .. } => field(Step::Field("name"), Part::Text(&remote_name(url))),
        // It has no name but that of its field.
        Source::Tool { .. } => {}
        Source::Artifact { task, output, member } => {
            let member = member.as_deref();
            field(Step::Field("name"), Part::Text(&artifact_name(graph, *task, *output, member)));
            field(Step::Field("file"), Part::Text(&file_of(graph, *task, *output, member)));
            for (axis, value) in graph.labels(taker, *task) {
                path.push(Step::Label(axis));
                walk(path, value, sink);
                path.pop();
            }
        }
    }
}

/// A value, part by part.
fn walk<'a>(path: &mut Vec<Step<'a>>, value: &'a Value, sink: &mut impl Sink) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                path.push(Step::Field(name));
                walk(path, value, sink);
                path.pop();
            }
        }
        Value::Array(values) if !values.is_empty() => {
            for (i, value) in values.iter().enumerate() {
                path.push(Step::Index(i));
                walk(path, value, sink);
                path.pop();
            }
        }
        leaf => sink.part(path, Part::Value(leaf)),
    }
}

/// How a stage sees the name of an artifact: `motion.tubes`, or `split.parts/a.csv`.
pub fn artifact_name(graph: &Graph, task: usize, output: usize, member: Option<&str>) -> String {
    let task = &graph.tasks[task];
    let name = format!("{}.{}", task.stage, task.outputs[output].name);
    member.map_or(name.clone(), |member| format!("{name}/{member}"))
}

/// The name of the file that a stage reads an artifact from: `tubes.parquet`.
pub fn file_of(graph: &Graph, task: usize, output: usize, member: Option<&str>) -> String {
    let file = member.unwrap_or(&graph.tasks[task].outputs[output].file);
    Path::new(file).file_name().map_or(file.to_owned(), |name| name.to_string_lossy().into_owned())
}

/// The name of a file from elsewhere: the last part of its address.
pub fn remote_name(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let name =
        path.split_once("://").map_or(path, |(_, rest)| rest).split('/').skip(1).last().unwrap_or_default();
    let plain = |c: char| if c.is_alphanumeric() || "._-+@=".contains(c) { c } else { '_' };
    let name: String = name.chars().map(plain).take(100).collect();
    if name.trim_matches('.').is_empty() { "file".to_owned() } else { name }
}
