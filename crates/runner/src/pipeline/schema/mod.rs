//! The JSON Schema of a pipeline file, for editors, from the fields here and the parameters of the kinds.

pub mod experiment;
pub mod shared;

use crate::command::shell::Name;
use crate::kind::fields::Field;
use crate::kind::registry::{Kind, Registry};
use crate::kind::stage::Inputs;
use crate::pipeline::spec::resources::{MEMORY_PATTERN, TIME_PATTERN};
use onsager_tables::names::either;
use serde_json::{Map, Value, json};

/// The schema (draft 2020-12) of the pipelines that use these kinds.
pub fn pipeline(registry: &Registry) -> Value {
    let mut definitions = common();
    let mut branches = Vec::new();
    for kind in registry.iter() {
        branches.push(branch(kind, registry, &mut definitions));
    }
    let kinds: Vec<Value> =
        registry.iter().map(|kind| json!({"const": kind.name(), "description": kind.summary()})).collect();
    let mut stage = stage(registry, kinds);
    if !branches.is_empty() {
        stage["allOf"] = Value::Array(branches);
    }
    definitions.insert("stage".to_owned(), stage);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "onsager pipeline",
        "type": "object",
        "required": ["name"],
        "anyOf": [{"required": ["stages"]}, {"required": ["include"]}],
        "additionalProperties": false,
        "properties": {
            "name": {"description": "The pipeline's name: the folder of its outputs.", "$ref": "#/$defs/slug"},
            "title": shared::about("title"),
            "description": {"description": "What the pipeline is for, in words.", "type": "string"},
            "license": shared::about("license"),
            "authors": shared::about("authors"),
            "include": {
                "description": "Stages of other files, as templates with parameters.",
                "anyOf": [{"$ref": "#/$defs/include"}, {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/include"}}],
            },
            "params": {
                "description": "Values for `${params.…}`; each may use those before it. `--set name=value` changes one.",
                "type": ["object", "null"],
                "propertyNames": {"$ref": "#/$defs/name"},
            },
            "pools": {
                "description": "What tasks share, by name: the number of places. A task takes some with `resources: {name: 1}`.",
                "type": ["object", "null"],
                "propertyNames": {"$ref": "#/$defs/name"},
                "additionalProperties": templated(json!({"type": "integer", "minimum": 1})),
            },
            "stages": {
                "description": "The stages, by name.",
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"$ref": "#/$defs/slug"},
                "additionalProperties": {"$ref": "#/$defs/stage"},
            },
            "metrics": shared::metrics(),
            "claims": shared::claims(),
        },
        "$defs": definitions,
    })
}

/// What the schema file holds.
pub fn text(registry: &Registry) -> String {
    format!("{:#}\n", pipeline(registry))
}

fn stage(registry: &Registry, kinds: Vec<Value>) -> Value {
    let mut kind = json!({"description": "What the stage does; `onsager kinds` lists the kinds."});
    if kinds.is_empty() {
        kind["type"] = json!("string");
    } else {
        kind["oneOf"] = Value::Array(kinds);
    }
    let mut stage = json!({
        "type": "object",
        "required": ["kind"],
        "additionalProperties": false,
        "properties": {
            "kind": kind,
            "description": {"description": "What the stage is for, in words.", "type": "string"},
            "when": {
                "description": "A condition: the stage runs only where it holds, as in `${test.summary:score} > 0.9`.",
                "type": ["string", "boolean"],
            },
            "matrix": {"$ref": "#/$defs/matrix"},
            "params": {"description": "The parameters of the kind.", "type": ["object", "null"]},
            "inputs": {
                "description": "What the stage reads, by the names of its inputs.",
                "type": ["object", "null"],
                "propertyNames": {"$ref": "#/$defs/name"},
                "additionalProperties": {"$ref": "#/$defs/input"},
            },
            "publish": {
                "description": "The outputs that are data sets for others, each with what it is, in words; it enters no key.",
                "type": ["object", "null"],
                "additionalProperties": {"type": "string", "pattern": "\\S"},
            },
            "after": {
                "description": "Stages that this one waits for without taking anything of theirs; it enters no key.",
                "anyOf": [
                    {"type": "string", "minLength": 1},
                    {"type": "array", "items": {"type": "string", "minLength": 1}},
                ],
            },
        },
    });
    let fields = Field::ALL.into_iter().filter_map(|field| {
        let kinds = registry.with_field(field);
        let schema = field_schema(field, &format!("a {} stage", either(&kinds)));
        (!kinds.is_empty()).then(|| (field.name().to_owned(), schema))
    });
    if let Some(properties) = stage["properties"].as_object_mut() {
        properties.extend(fields);
        properties.insert("resources".to_owned(), json!({"$ref": "#/$defs/resources"}));
    }
    stage
}

/// A field that only some kinds have; `stages` names those stages.
fn field_schema(field: Field, stages: &str) -> Value {
    let about = field.about(stages);
    match field {
        Field::Run => json!({"description": about, "type": "string"}),
        Field::Shell => json!({
            "description": about,
            "anyOf": [
                {"enum": Name::ALL.map(|(name, _)| name)},
                {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}},
                {"$ref": "#/$defs/template"},
            ],
        }),
        Field::Outputs => json!({
            "description": about,
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"$ref": "#/$defs/name"},
            "additionalProperties": {"anyOf": [
                {"type": "string"},
                {
                    "type": "object",
                    "required": ["file"],
                    "additionalProperties": false,
                    "properties": {
                        "file": {"description": "The file, or the folder with `/` at the end.", "type": "string", "minLength": 1},
                        "optional": templated(json!({
                            "description": "Whether it may be left unwritten; what reads it is then skipped.",
                            "type": "boolean",
                        })),
                    },
                },
            ]},
        }),
        Field::Env => json!({
            "description": about,
            "type": ["object", "null"],
            "propertyNames": {"pattern": "^[^=]+$"},
            "additionalProperties": {"type": ["string", "number", "boolean"]},
        }),
        Field::Environment => {
            let one = |name: &str, about: &str| {
                json!({
                    "type": "object",
                    "required": [name],
                    "additionalProperties": false,
                    "properties": {name: {"description": about, "type": "string", "minLength": 1}},
                })
            };
            json!({
                "description": about,
                "oneOf": [
                    one("uv", "A `uv.lock` beside its `pyproject.toml`."),
                    one("conda", "A conda `environment.yml`."),
                    one("container", "An image with its digest: `image@sha256:…`."),
                ],
            })
        }
        Field::Tools => json!({
            "description": about,
            "type": ["object", "null"],
            "propertyNames": {"$ref": "#/$defs/name"},
            "additionalProperties": {
                "anyOf": [
                    {"description": "A command that tells its version.", "type": "string", "minLength": 1},
                    {
                        "type": "object",
                        "required": ["file"],
                        "additionalProperties": false,
                        "properties": {"file": {"description": "The program itself.", "type": "string", "minLength": 1}},
                    },
                ],
            },
        }),
        Field::Checkpoint => json!({"description": about, "type": "string", "minLength": 1}),
        Field::Sandbox => templated(json!({"description": about, "type": "boolean"})),
    }
}

/// The definitions that do not depend on the kinds.
fn common() -> Map<String, Value> {
    let scalar = json!({"type": ["string", "number", "boolean"]});
    let points = json!({"type": "array", "items": {"type": "object", "minProperties": 1}});
    let definitions = json!({
        "template": {"description": "`${params.name}` or `${matrix.axis}`.", "type": "string", "pattern": r"\$\{.*\}"},
        "reference": {
            "description": "`stage`, `stage.output`, `stage[axis=value].output`, `stage[matching]`, or `stage.folder/file` for what is inside a folder; `{file: path}` for a file or a folder, \
                            `{glob: pattern}` for the files that it finds, `{url: address, sha256: digest}` for one from elsewhere.",
            "anyOf": [
                {"type": "string", "minLength": 1},
                {
                    "type": "object",
                    "required": ["file"],
                    "additionalProperties": false,
                    "properties": {
                        "file": {"description": "Relative to the project root.", "type": "string", "minLength": 1},
                        "exclude": {"$ref": "#/$defs/patterns"},
                    },
                },
                {
                    "type": "object",
                    "required": ["glob"],
                    "additionalProperties": false,
                    "properties": {
                        "glob": {"description": "Like `data/**/*.csv`, from the project root on.", "type": "string", "minLength": 1},
                        "exclude": {"$ref": "#/$defs/patterns"},
                    },
                },
                {
                    "type": "object",
                    "required": ["url", "sha256"],
                    "additionalProperties": false,
                    "properties": {
                        "url": {"description": "Where it is fetched from, once.", "type": "string", "pattern": "^https?://|\\$\\{"},
                        "sha256": {"description": "The digest of its content.", "type": "string", "pattern": "^[0-9A-Fa-f]{64}$|\\$\\{"},
                    },
                },
            ],
        },
        "patterns": {
            "description": "What is left out: names like `*.log`, or paths like `old/*`; with `!` before it, what is taken all the same.",
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": "string", "minLength": 1}},
            ],
        },
        "include": {
            "type": "object",
            "required": ["file"],
            "additionalProperties": false,
            "properties": {
                "file": {"description": "A YAML file of `params`, `stages` and `metrics`, relative to the project root.", "type": "string", "minLength": 1},
                "prefix": {"description": "What is put before the names of its stages and metrics.", "type": "string", "pattern": "^[a-z0-9_-]{1,100}$"},
                "params": {"description": "Values for its parameters.", "type": ["object", "null"]},
            },
        },
        "input": {
            "anyOf": [
                {"$ref": "#/$defs/reference"},
                {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/reference"}},
            ],
        },
        "axis": {
            "anyOf": [
                {"$ref": "#/$defs/template"},
                {
                    "type": "array",
                    "minItems": 1,
                    "items": {"anyOf": [
                        scalar,
                        {"type": "object", "required": ["name"], "properties": {"name": scalar}},
                    ]},
                },
                {
                    "type": "object",
                    "required": ["from"],
                    "additionalProperties": false,
                    "properties": {
                        "from": {"description": "A folder or a table that a stage makes: one value for each file or row.", "type": "string", "minLength": 1},
                        "name": {"description": "The column that rows are called by.", "type": "string", "minLength": 1},
                    },
                },
            ],
        },
        "axes": {
            "type": "object",
            "propertyNames": {"$ref": "#/$defs/name"},
            "additionalProperties": {"$ref": "#/$defs/axis"},
        },
        "matrix": {
            "description": "One instance of the stage for each combination of values, the last axis fastest.",
            "type": "object",
            "minProperties": 1,
            "propertyNames": {"$ref": "#/$defs/name"},
            "properties": {
                "zip": {
                    "description": "Axes that advance together.",
                    "anyOf": [
                        {"$ref": "#/$defs/axes"},
                        {"type": "array", "items": {"$ref": "#/$defs/axes"}},
                    ],
                },
                "exclude": {"description": "Instances with these coordinates are left out.", "allOf": [points]},
                "include": {"description": "Further instances; a list on an axis gives one for each value.", "allOf": [points]},
            },
            "additionalProperties": {"$ref": "#/$defs/axis"},
        },
        "resources": {
            "description": "What each instance takes of the machine, and its limits. They do not enter the key.",
            "type": ["object", "null"],
            // The others are names of pools.
            "additionalProperties": templated(json!({"type": "integer", "minimum": 1})),
            "properties": {
                "threads": templated(json!({"description": "The number of threads.", "type": "integer", "minimum": 1})),
                "memory": templated(json!({"description": "Like `512MiB` or `2GB`.", "type": "string", "pattern": MEMORY_PATTERN})),
                "time": templated(json!({"description": "The time limit, like `90s` or `2h 30m`.", "type": "string", "pattern": TIME_PATTERN})),
                "on": templated(json!({"description": "The profile of `onsager.toml` that it runs on.", "type": "string"})),
                "retries": templated(json!({
                    "description": "How often a failed task is tried again.",
                    "anyOf": [
                        {"type": "integer", "minimum": 0},
                        {
                            "type": "object",
                            "required": ["times"],
                            "additionalProperties": false,
                            "properties": {
                                "times": templated(json!({"type": "integer", "minimum": 0})),
                                "wait": templated(json!({"type": "string", "pattern": TIME_PATTERN})),
                                "factor": templated(json!({"type": "number", "minimum": 1, "maximum": 100})),
                                "longest": templated(json!({"type": "string", "pattern": TIME_PATTERN})),
                            },
                        },
                    ],
                })),
            },
        },
    });
    let mut all = shared::name_and_slug();
    all.insert("metric".to_owned(), shared::metric());
    if let Value::Object(map) = definitions {
        all.extend(map);
    }
    all
}

/// What holds for the stages of one kind.
fn branch(kind: &dyn Kind, registry: &Registry, definitions: &mut Map<String, Value>) -> Value {
    let name = kind.name();
    let mut then = Map::new();
    let mut properties = Map::new();
    let mut required: Vec<&str> = Vec::new();
    for field in Field::ALL {
        if !kind.fields().has(field) && !registry.with_field(field).is_empty() {
            properties.insert(field.name().to_owned(), Value::Bool(false));
        }
    }
    if !kind.fields().is_empty() {
        required.extend(kind.fields().required().map(Field::name));
        properties.insert("params".to_owned(), Value::Bool(false));
    } else {
        let params = params(kind, definitions);
        if params.get("required").and_then(Value::as_array).is_some_and(|fields| !fields.is_empty()) {
            required.push("params");
        }
        definitions.insert(name.to_owned(), params);
        properties.insert("params".to_owned(), json!({"$ref": format!("#/$defs/{name}")}));
    }
    let inputs = kind.inputs();
    if inputs.named.iter().any(|input| input.required) {
        required.push("inputs");
    }
    properties.insert("inputs".to_owned(), inputs_schema(&inputs));
    then.insert("properties".to_owned(), Value::Object(properties));
    if !required.is_empty() {
        then.insert("required".to_owned(), json!(required));
    }
    json!({"if": {"properties": {"kind": {"const": name}}, "required": ["kind"]}, "then": then})
}

fn inputs_schema(inputs: &Inputs) -> Value {
    let mut properties = Map::new();
    for input in &inputs.named {
        let schema = json!({"description": input.about, "$ref": "#/$defs/input"});
        properties.insert(input.name.to_owned(), schema);
    }
    let required: Vec<&str> =
        inputs.named.iter().filter(|input| input.required).map(|input| input.name).collect();
    let mut schema = json!({"properties": properties});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    if !inputs.others {
        schema["additionalProperties"] = Value::Bool(false);
    }
    schema
}

/// The schema of a kind's parameters, its definitions moved among ours, every value open to `${…}`.
fn params(kind: &dyn Kind, definitions: &mut Map<String, Value>) -> Value {
    let mut schema = kind.schema();
    let prefix = format!("{}.", kind.name());
    if let Some(map) = schema.as_object_mut() {
        map.shift_remove("$schema");
        if let Some(Value::Object(own)) = map.shift_remove("$defs") {
            for (name, mut definition) in own {
                adapt(&mut definition, &prefix);
                definitions.insert(format!("{prefix}{name}"), definition);
            }
        }
    }
    adapt(&mut schema, &prefix);
    schema
}

/// Renames references and opens the values of properties, items and maps to `${…}`.
fn adapt(schema: &mut Value, prefix: &str) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(|item| adapt(item, prefix)),
        Value::Object(map) => {
            if let Some(Value::String(reference)) = map.get_mut("$ref")
                && let Some(name) = reference.strip_prefix("#/$defs/")
            {
                *reference = format!("#/$defs/{prefix}{name}");
            }
            for (key, value) in map.iter_mut() {
                match (key.as_str(), value) {
                    ("properties", Value::Object(fields)) => {
                        for (_, field) in fields.iter_mut() {
                            adapt(field, prefix);
                            *field = templated(field.take());
                        }
                    }
                    ("items" | "additionalProperties", value @ Value::Object(_)) => {
                        adapt(value, prefix);
                        *value = templated(value.take());
                    }
                    ("anyOf" | "oneOf" | "allOf" | "prefixItems", value) => adapt(value, prefix),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

/// A schema that also takes `${…}`, with the description where editors look for it.
fn templated(mut schema: Value) -> Value {
    let mut outer = Map::new();
    if let Some(map) = schema.as_object_mut() {
        for key in ["description", "default"] {
            if let Some(value) = map.shift_remove(key) {
                outer.insert(key.to_owned(), value);
            }
        }
    }
    outer.insert("anyOf".to_owned(), json!([schema, {"$ref": "#/$defs/template"}]));
    Value::Object(outer)
}
