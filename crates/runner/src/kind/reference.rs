//! The reference of a kind: what `onsager kinds` shows.

use crate::kind::fields::Field;
use crate::kind::registry::Kind;
use crate::kind::stage::{Inputs, Output};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};

/// What `onsager kinds --json` prints of a kind.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Reference {
    pub kind: &'static str,
    pub summary: &'static str,
    /// Whether the kernel level is part of its keys.
    pub numeric: bool,
    /// The digest of the code that it is built from.
    pub fingerprint: String,
    pub inputs: Inputs,
    /// Null for a kind whose stages declare their outputs themselves.
    pub outputs: Option<Vec<OutputReference>>,
    /// The JSON Schema of its parameters.
    pub params: Value,
}

/// An output of a kind.
#[derive(Debug, Serialize, JsonSchema)]
pub struct OutputReference {
    pub name: String,
    /// The file's path in the stage's output folder.
    pub file: String,
    pub folder: bool,
    pub about: String,
    /// Of an output that some parameters bring: one of them, like `sampler: refined`.
    pub with: Option<String>,
}

impl Reference {
    pub fn of(kind: &dyn Kind) -> Reference {
        let schema = kind.schema();
        Reference {
            kind: kind.name(),
            summary: kind.summary(),
            numeric: kind.numeric(),
            fingerprint: kind.fingerprint().to_owned(),
            inputs: kind.inputs(),
            outputs: (!kind.fields().has(Field::Outputs)).then(|| outputs(kind, &schema)),
            params: schema,
        }
    }
}

/// The outputs with the least parameters that the kind takes, then those that another choice of one parameter brings.
fn outputs(kind: &dyn Kind, schema: &Value) -> Vec<OutputReference> {
    let least = least(schema, schema, 0);
    let mut found: Vec<OutputReference> = Vec::new();
    let mut add = |params: &Value, with: Option<String>| {
        let Ok(parsed) = kind.parse(params) else { return };
        for Output { name, file, folder, about, .. } in parsed.outputs {
            if !found.iter().any(|known| known.name == name) {
                found.push(OutputReference { name, file, folder, about, with: with.clone() });
            }
        }
    };
    add(&least, None);
    for (name, property) in resolve(schema, schema)["properties"].as_object().into_iter().flatten() {
        for choice in choices(schema, property) {
            let mut params = least.clone();
            let with = format!("{name}: {}", word(&choice));
            if let Value::Object(fields) = &mut params {
                fields.insert(name.clone(), choice);
                add(&params, Some(with));
            }
        }
    }
    found
}

/// A choice in a word: its name.
fn word(choice: &Value) -> String {
    match choice {
        Value::String(text) => text.clone(),
        Value::Object(fields) if fields.len() == 1 => fields.keys().next().cloned().unwrap_or_default(),
        other => other.to_string(),
    }
}

/// How deep a schema that holds itself is followed.
const DEEPEST: usize = 8;

/// The values that a schema offers as a choice, each with as little in it as it takes.
fn choices(root: &Value, schema: &Value) -> Vec<Value> {
    let schema = resolve(root, schema);
    if schema["type"] == "boolean" {
        return vec![true.into(), false.into()];
    }
    let listed = schema["enum"].as_array().into_iter().flatten().cloned();
    let offered = schema["oneOf"].as_array().or(schema["anyOf"].as_array()).into_iter().flatten();
    let nested = offered.flat_map(|choice| {
        let inner = choices(root, choice);
        if inner.is_empty() { vec![least(root, choice, 0)] } else { inner }
    });
    listed.chain(nested).filter(|choice| !choice.is_null()).collect()
}

/// The least value that a schema takes.
fn least(root: &Value, schema: &Value, depth: usize) -> Value {
    let schema = resolve(root, schema);
    if depth > DEEPEST {
        return Value::Null;
    }
    if let Some(value) = schema.get("const").or(schema.get("default")).or(schema["enum"].get(0)) {
        return value.clone();
    }
    if let Some(first) = schema["oneOf"].get(0).or(schema["anyOf"].get(0)) {
        return least(root, first, depth + 1);
    }
    let kind = schema["type"].as_str().or(schema["type"].get(0).and_then(Value::as_str));
    match kind.unwrap_or_default() {
        "object" => {
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let field = |name: &str| (name.to_owned(), least(root, &schema["properties"][name], depth + 1));
            Value::Object(required.map(field).collect::<Map<String, Value>>())
        }
        "array" => {
            let items = schema["minItems"].as_u64().unwrap_or(0);
            Value::Array((0..items).map(|_| least(root, &schema["items"], depth + 1)).collect())
        }
        "string" => "text".into(),
        "boolean" => false.into(),
        "integer" | "number" => schema.get("minimum").cloned().unwrap_or_else(|| 1.into()),
        _ => Value::Null,
    }
}

/// The schema that a reference stands for.
pub fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str().and_then(|path| path.strip_prefix('#')) {
        Some(pointer) => root.pointer(pointer).unwrap_or(schema),
        None => schema,
    }
}
