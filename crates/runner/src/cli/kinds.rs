//! `onsager kinds`.

use crate::cli::common::{self, CliError};
use crate::cli::exit;
use crate::kind::reference::{OutputReference, Reference, resolve};
use crate::kind::registry::Registry;
use clap::Args;
use onsager_tables::names::{meant, series};
use serde_json::Value;

/// Show the stage kinds and their parameters
///
/// Example: onsager kinds random-motion
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Kinds {
    /// One kind, in full
    kind: Option<String>,
    /// Print one JSON document instead of text
    #[arg(long)]
    json: bool,
}

impl Kinds {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        let chosen: Vec<Reference> = match &self.kind {
            None => registry.iter().map(Reference::of).collect(),
            Some(name) => {
                let kind = registry.get(name).ok_or_else(|| {
                    let all: Vec<&str> = registry.iter().map(|kind| kind.name()).collect();
                    let help = match meant(name, all.iter().copied()) {
                        Some(meant) => format!("did you mean `{meant}`?"),
                        None => format!("there are {}", series(&all)),
                    };
                    CliError::Request(format!("there is no kind `{name}`: {help}"))
                })?;
                vec![Reference::of(kind)]
            }
        };
        if self.json {
            common::print_json(&chosen);
        } else if self.kind.is_some() {
            chosen.iter().for_each(|kind| common::print(&full(kind)));
        } else {
            let width = chosen.iter().map(|kind| kind.kind.len()).max().unwrap_or(0);
            for kind in &chosen {
                common::print(&format!("{:width$}  {}\n", kind.kind, kind.summary));
            }
            common::print("\n`onsager kinds KIND` shows its parameters, inputs and outputs.\n");
        }
        Ok(exit::DONE)
    }
}

/// The reference of one kind.
fn full(kind: &Reference) -> String {
    let mut text = format!("{}\n  {}\n", kind.kind, kind.summary);
    text += "\nparameters\n";
    text += &fields(&kind.params, &kind.params, 1);
    text += "\ninputs\n";
    for input in &kind.inputs.named {
        let required = if input.required { "required" } else { "optional" };
        let many = if input.many { "one or more" } else { "one" };
        text += &format!("  {} ({required}, {many})\n      {}\n", input.name, input.about);
    }
    if kind.inputs.others {
        text += "  any names\n";
    }
    text += "\noutputs\n";
    match &kind.outputs {
        None => text += "  those that the stage declares in its field `outputs`\n",
        Some(outputs) => outputs.iter().for_each(|output| text += &output_lines(output)),
    }
    if kind.numeric {
        text += "\nnumeric: the kernel level is part of its key\n";
    }
    text
}

fn output_lines(output: &OutputReference) -> String {
    let slash = if output.folder { "/" } else { "" };
    let with = output.with.as_ref().map_or(String::new(), |with| format!(", with `{with}`"));
    format!("  {} ({}{slash}{with})\n      {}\n", output.name, output.file, output.about)
}

/// The fields of an object's schema, one after the other, nested ones further in.
fn fields(root: &Value, schema: &Value, depth: usize) -> String {
    let schema = resolve(root, schema);
    let indent = "  ".repeat(depth);
    let mut text = String::new();
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let target = resolve(root, field);
        let default = match &field["default"] {
            Value::Null if required.contains(&name.as_str()) => "required".to_owned(),
            Value::Null => "optional".to_owned(),
            value => format!("default {value}"),
        };
        text += &format!("{indent}{name}: {} ({default})\n", type_of(root, field));
        let about = field["description"].as_str().or(target["description"].as_str()).unwrap_or("");
        for line in about.lines().filter(|line| !line.trim().is_empty()) {
            text += &format!("{indent}    {}\n", line.trim());
        }
        text += &nested(root, target, depth + 1);
    }
    text + &choices(root, schema, depth)
}

/// How deep nested fields are shown; a type that holds itself would go on for ever.
const DEEPEST: usize = 6;

/// What there is to say of the parts of a value.
fn nested(root: &Value, schema: &Value, depth: usize) -> String {
    if depth > DEEPEST {
        String::new()
    } else if schema["properties"].is_object() {
        fields(root, schema, depth)
    } else if schema["items"].is_object() {
        nested(root, resolve(root, &schema["items"]), depth)
    } else {
        choices(root, schema, depth)
    }
}

/// The documented choices of an enum, and the fields of those that have any.
fn choices(root: &Value, schema: &Value, depth: usize) -> String {
    let indent = "  ".repeat(depth);
    let mut text = String::new();
    for choice in schema["oneOf"].as_array().or(schema["anyOf"].as_array()).into_iter().flatten() {
        let choice = resolve(root, choice);
        let about = choice["description"].as_str().unwrap_or("").replace('\n', " ");
        if let Some(name) = choice["const"].as_str() {
            text += &format!("{indent}- {name}: {about}\n");
        } else {
            text += &nested(root, choice, depth);
        }
    }
    text
}

/// A schema's type in a few words.
fn type_of(root: &Value, schema: &Value) -> String {
    let schema = resolve(root, schema);
    if let Some(choices) = schema["enum"].as_array() {
        return choices
            .iter()
            .map(|choice| choice.to_string().replace('"', ""))
            .collect::<Vec<_>>()
            .join(" | ");
    }
    if let Some(choices) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
        let mut names: Vec<String> = choices
            .iter()
            .map(|choice| resolve(root, choice))
            .map(|choice| match (&choice["const"], choice["properties"].as_object()) {
                (Value::String(name), _) => name.clone(),
                (_, Some(fields)) if fields.len() == 1 => {
                    fields.keys().next().map(|name| format!("{{{name}: …}}")).unwrap_or_default()
                }
                _ => type_of(root, choice),
            })
            .collect();
        names.retain(|name| name != "null");
        return names.join(" | ");
    }
    match &schema["type"] {
        Value::String(name) if name == "array" => format!("list of {}", type_of(root, &schema["items"])),
        Value::String(name) => name.clone(),
        Value::Array(names) => {
            let names = names.iter().filter_map(Value::as_str).filter(|name| *name != "null");
            names.collect::<Vec<_>>().join(" | ")
        }
        _ => match schema["const"].as_str() {
            Some(name) => name.to_owned(),
            None => "value".to_owned(),
        },
    }
}
