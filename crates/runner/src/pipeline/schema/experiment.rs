//! The JSON Schema of experiment files, for editors.

use crate::pipeline::schema::shared::{metric, metrics, name_and_slug};
use serde_json::{Value, json};

/// The schema (draft 2020-12) of experiments.
pub fn experiment() -> Value {
    let values = |description: &str| {
        json!({
            "description": description,
            "type": ["object", "null"],
            "propertyNames": {"$ref": "#/$defs/key"},
        })
    };
    let mut definitions = name_and_slug();
    definitions.insert("key".to_owned(), json!({"description": "A parameter, or a dotted path such as `stages.train.params.lr`.", "type": "string", "pattern": r"^[A-Za-z_][A-Za-z0-9_.-]*$"}));
    definitions.insert("metric".to_owned(), metric());
    definitions.insert("distribution".to_owned(), distribution());
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "onsager experiment",
        "type": "object",
        "required": ["name", "pipeline"],
        "additionalProperties": false,
        "properties": {
            "name": {"description": "The experiment's name: the folder of its outputs.", "$ref": "#/$defs/slug"},
            "description": {"type": "string"},
            "pipeline": {"description": "The pipeline's file, relative to the project root.", "type": "string", "minLength": 1},
            "params": values("Values laid over the pipeline's parameters; mappings are merged."),
            "params_files": {
                "description": "YAML files of parameters, laid over the pipeline before `params`.",
                "type": "array",
                "items": {"type": "string", "minLength": 1},
            },
            "tasks": {
                "description": "Only these tasks and what they need: `stage` or `stage[axis=value]`.",
                "type": "array",
                "items": {"type": "string", "minLength": 1},
            },
            "sweep": {
                "description": "The points: every grid point at every random draw at every listed point.",
                "type": "object",
                "minProperties": 1,
                "additionalProperties": false,
                "properties": {
                    "grid": {
                        "description": "Every combination of these values, the last one fastest.",
                        "type": "object",
                        "propertyNames": {"$ref": "#/$defs/key"},
                        "additionalProperties": {"type": "array", "minItems": 1},
                    },
                    "list": {
                        "description": "Points one by one.",
                        "type": "array",
                        "minItems": 1,
                        "items": {"type": "object", "minProperties": 1, "propertyNames": {"$ref": "#/$defs/key"}},
                    },
                    "random": {
                        "description": "Points at random, the same on every machine.",
                        "type": "object",
                        "required": ["points", "params"],
                        "additionalProperties": false,
                        "properties": {
                            "points": {"description": "How many to draw.", "type": "integer", "minimum": 1, "maximum": 100_000},
                            "seed": {"description": "Another seed, other draws.", "type": "integer", "minimum": 0, "default": 0},
                            "params": {
                                "type": "object",
                                "minProperties": 1,
                                "propertyNames": {"$ref": "#/$defs/key"},
                                "additionalProperties": {"$ref": "#/$defs/distribution"},
                            },
                        },
                    },
                },
            },
            "metrics": metrics(),
        },
        "$defs": definitions,
    })
}

/// What the schema file holds.
pub fn text() -> String {
    format!("{:#}\n", experiment())
}

/// What a random parameter is drawn from.
fn distribution() -> Value {
    let two = |kind: &str, description: &str| json!({"description": description, "type": "array", "items": {"type": kind}, "minItems": 2, "maxItems": 2});
    json!({
        "type": "object",
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": false,
        "properties": {
            "uniform": two("number", "Between the two."),
            "log-uniform": two("number", "Between the two positive numbers, the logarithm uniform."),
            "integer": two("integer", "A whole number from the first to the second, both included."),
            "choice": {"description": "One of these.", "type": "array", "minItems": 1},
        },
    })
}

#[cfg(test)]
mod tests {
    use crate::pipeline::experiments::experiment;
    use crate::pipeline::experiments::sweep::DISTRIBUTIONS;
    use crate::pipeline::spec::metrics;

    #[test]
    fn the_schema_has_the_fields_that_are_read() {
        let schema = super::experiment();
        let fields = |value: &serde_json::Value| -> Vec<String> {
            let mut names: Vec<String> = value["properties"].as_object().unwrap().keys().cloned().collect();
            names.sort();
            names
        };
        let sorted = |names: &[&str]| {
            let mut names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            names.sort();
            names
        };
        assert_eq!(fields(&schema), sorted(&experiment::FIELDS));
        assert_eq!(fields(&schema["$defs"]["metric"]), sorted(&metrics::FIELDS));
        assert_eq!(fields(&schema["$defs"]["distribution"]), sorted(&DISTRIBUTIONS));
    }
}
