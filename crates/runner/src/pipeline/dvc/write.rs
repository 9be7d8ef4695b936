//! A pipeline as YAML that a person goes on with.

use super::convert::{Command, Input, Pipeline};
use serde_json::{Map, Value};

/// The text of the pipeline file.
pub fn text(pipeline: &Pipeline) -> String {
    let mut out = String::from("# yaml-language-server: $schema=../schema/pipeline.schema.json\n");
    out += &format!("name: {}\n", scalar(&pipeline.name));
    if !pipeline.params.is_empty() {
        out += "\nparams:\n";
        block(&pipeline.params, 2, &mut out);
    }
    out += "\nstages:\n";
    let stages: Vec<String> = pipeline.stages.iter().map(stage).collect();
    out + &stages.join("\n")
}

fn stage(stage: &Command) -> String {
    let mut out = format!("  {}:\n    kind: command\n", scalar(&stage.name));
    if let Some(description) = &stage.description {
        out += &format!("    description: {}\n", scalar(description));
    }
    if !stage.matrix.is_empty() {
        let axes = stage.matrix.iter().map(|(name, points)| {
            format!("{}: [{}]", scalar(name), points.iter().map(flow).collect::<Vec<_>>().join(", "))
        });
        out += &format!("    matrix: {{{}}}\n", axes.collect::<Vec<_>>().join(", "));
    }
    if !stage.inputs.is_empty() {
        out += "    inputs:\n";
        for (name, input) in &stage.inputs {
            out += &match input {
                Input::File(path) => format!("      {name}: {{file: {}}}\n", scalar(path)),
                Input::Artifact(reference) => format!("      {name}: {}\n", scalar(reference)),
            };
        }
    }
    out += "    run: |\n";
    for line in stage.lines.iter().flat_map(|command| command.trim().lines()) {
        out += &format!("      {line}\n");
    }
    if !stage.outputs.is_empty() {
        let outputs = stage.outputs.iter().map(|(name, file)| format!("{name}: {}", scalar(file)));
        out += &format!("    outputs: {{{}}}\n", outputs.collect::<Vec<_>>().join(", "));
    }
    out
}

fn block(values: &Map<String, Value>, indent: usize, out: &mut String) {
    for (key, value) in values {
        let key = scalar(key);
        match value {
            Value::Object(map) if !map.is_empty() => {
                *out += &format!("{:indent$}{key}:\n", "");
                block(map, indent + 2, out);
            }
            other => *out += &format!("{:indent$}{key}: {}\n", "", flow(other)),
        }
    }
}

fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let entries = map.iter().map(|(key, value)| format!("{}: {}", scalar(key), flow(value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

/// A text as a scalar, in quotes where YAML would read something else.
fn scalar(text: &str) -> String {
    let words = ["true", "false", "null", "yes", "no", "on", "off"];
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
        && !words.contains(&text.to_ascii_lowercase().as_str());
    if plain { text.to_owned() } else { Value::from(text).to_string() }
}
