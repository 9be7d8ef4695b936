//! What the schemas of pipelines and experiments share: names and metrics.

use crate::pipeline::spec::metrics::{AGGREGATES, FORMS};
use serde_json::{Map, Value, json};

/// The definitions of names.
pub fn name_and_slug() -> Map<String, Value> {
    let mut names = Map::new();
    names.insert("slug".to_owned(), json!({"type": "string", "pattern": "^[a-z0-9_-]{1,100}$"}));
    names.insert("name".to_owned(), json!({"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_-]*$"}));
    names
}

/// A field with what a pipeline or an experiment says of itself.
pub fn about(field: &str) -> Value {
    let text = |about: &str| json!({"description": about, "type": "string", "pattern": "\\S"});
    match field {
        "title" => text("What it is called where its results are published; without it the name."),
        "license" => json!({
            "description": "Under which licence the results may be used: an SPDX identifier, or several with `OR` between them.",
            "type": "string",
            "pattern": "^[A-Za-z0-9.+-]+( OR [A-Za-z0-9.+-]+)*$",
        }),
        _ => json!({
            "description": "Who made it, for archives of its runs.",
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name"],
                "additionalProperties": false,
                "properties": {
                    "name": text("`Ada Lovelace`, or `Lovelace, Ada`."),
                    "orcid": {
                        "description": "The ORCID iD.",
                        "type": "string",
                        "pattern": "^(https://orcid\\.org/)?\\d{4}-\\d{4}-\\d{4}-\\d{3}[0-9X]$",
                    },
                    "affiliation": text("A university, an institute."),
                    "email": text("An address."),
                },
            },
        }),
    }
}

/// The field `metrics` of pipelines and experiments.
pub fn metrics() -> Value {
    json!({
        "description": "The numbers by which runs and experiments are compared.",
        "type": ["object", "null"],
        "propertyNames": {"pattern": r"^[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z_][A-Za-z0-9_-]*)*$"},
        "additionalProperties": {"$ref": "#/$defs/metric"},
    })
}

/// The field `claims` of pipelines and experiments.
pub fn claims() -> Value {
    let about = "As in `free.slope within 0.5 ± 0.02`, `a < b with p < 0.05`, `min over seeds of a > 0.9`, `a in its interval of 0.5`.";
    json!({
        "description": "What is claimed of the metrics. Every run tells what became of it.",
        "type": ["array", "null"],
        "items": {"anyOf": [
            {"description": about, "type": "string", "minLength": 1},
            {
                "type": "object",
                "required": ["claim"],
                "additionalProperties": false,
                "properties": {
                    "claim": {"description": about, "type": "string", "minLength": 1},
                    "name": {"description": "What `\\onsagerclaim` calls it.", "type": "string", "minLength": 1},
                    "text": {"description": "The claim in words.", "type": "string", "minLength": 1},
                },
            },
        ]},
    })
}

/// One metric.
pub fn metric() -> Value {
    let scalar = json!({"type": ["string", "number", "boolean"]});
    json!({
        "type": "object",
        "required": ["from"],
        "additionalProperties": false,
        "properties": {
            "from": {"description": "The artifact: `stage.output` or `stage[axis=value].output`.", "type": "string", "minLength": 1},
            "field": {"description": "A field of a JSON file, with dots between the steps.", "type": "string", "minLength": 1},
            "column": {"description": "A column of a table, or an expression over columns.", "type": "string", "minLength": 1},
            "where": {
                "description": "The rows to keep: a value, or a list of values, per column.",
                "type": ["object", "null"],
                "additionalProperties": {"anyOf": [scalar, {"type": "array", "items": scalar}]},
            },
            "aggregate": {"description": "One value from several rows.", "enum": AGGREGATES},
            "lower": {"description": "The column or field with the lower end of its 95 % interval.", "type": "string", "minLength": 1},
            "upper": {"description": "The column or field with the upper end.", "type": "string", "minLength": 1},
            "error": {"description": "The column or field with its standard error.", "type": "string", "minLength": 1},
            "digits": {"description": "Significant digits in a text.", "type": "integer", "minimum": 1, "maximum": 17},
            "decimals": {"description": "Digits after the point in a text.", "type": "integer", "minimum": 0, "maximum": 17},
            "form": {"description": "How it is written in a text: with powers of ten where they are needed, never, always, or as a percentage.", "enum": FORMS},
            "unit": {"description": "The unit in a text, as in `m^2/s`.", "type": "string", "minLength": 1},
            "thousands": {"description": "Whether there is a space between thousands in a text.", "type": "boolean"},
            "about": {"description": "What the number is, in words.", "type": "string", "minLength": 1},
        },
        "dependentRequired": {"lower": ["upper"], "upper": ["lower"]},
        "oneOf": [
            {"required": ["field"], "properties": {"where": false, "aggregate": false}},
            {"required": ["column"]},
        ],
    })
}
