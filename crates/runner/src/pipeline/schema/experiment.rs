//! The JSON Schema of experiment files, for editors.

use crate::pipeline::experiments::sweep::draws::Method;
use crate::pipeline::experiments::sweep::search::GOALS;
use crate::pipeline::experiments::sweep::setting::POINTS;
use crate::pipeline::schema::shared::{about, claims, metric, metrics, name_and_slug};
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
    definitions.insert("range".to_owned(), range());
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "onsager experiment",
        "type": "object",
        "required": ["name", "pipeline"],
        "additionalProperties": false,
        "properties": {
            "name": {"description": "The experiment's name: the folder of its outputs.", "$ref": "#/$defs/slug"},
            "title": about("title"),
            "description": {"type": "string"},
            "license": about("license"),
            "authors": about("authors"),
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
                "description": "The points: every grid point at every draw at every listed point.",
                "type": "object",
                "minProperties": 1,
                "additionalProperties": false,
                "properties": {
                    "grid": axes("Every combination of these values, the last one fastest."),
                    "zip": axes("The first values together, then the second ones, and so on: equally many of each."),
                    "list": {
                        "description": "Points one by one.",
                        "type": "array",
                        "minItems": 1,
                        "items": {"type": "object", "minProperties": 1, "propertyNames": {"$ref": "#/$defs/key"}},
                    },
                    "random": draws("Points at random, the same on every machine.", Method::Random),
                    "latin-hypercube": draws(
                        "Points at random of which each has a part of every parameter's range for itself.",
                        Method::LatinHypercube,
                    ),
                    "sobol": draws("Points that fill the space evenly: Sobol's sequence, scrambled.", Method::Sobol),
                    "search": search(),
                },
            },
            "stages": {
                "description": "Stages that run once, over all points: an input takes the artifacts of every point, with what the sweep varies as coordinates.",
                "$ref": "pipeline.schema.json#/properties/stages",
            },
            "metrics": dropping(metrics()),
            "claims": claims(),
        },
        "$defs": definitions,
    })
}

/// The metrics of an experiment, which may drop one of its pipeline.
fn dropping(mut metrics: Value) -> Value {
    let metric = metrics["additionalProperties"].take();
    let none = json!({"description": "Drops this metric of the pipeline.", "type": "null"});
    metrics["additionalProperties"] = json!({"anyOf": [metric, none]});
    metrics
}

/// Parameters with their values.
fn axes(description: &str) -> Value {
    json!({
        "description": description,
        "type": "object",
        "propertyNames": {"$ref": "#/$defs/key"},
        "additionalProperties": {"anyOf": [{"type": "array", "minItems": 1}, {"$ref": "#/$defs/range"}]},
    })
}

/// Values from one to another.
fn range() -> Value {
    json!({
        "description": "Values from one to another, both included.",
        "type": "object",
        "required": ["from", "to", "steps"],
        "additionalProperties": false,
        "properties": {
            "from": {"description": "The first value.", "type": "number"},
            "to": {"description": "The last value.", "type": "number"},
            "steps": {"description": "The number of values.", "type": "integer", "minimum": 2, "maximum": POINTS},
            "scale": {"description": "Even steps, or even ratios.", "enum": ["linear", "log"], "default": "linear"},
        },
    })
}

/// Parameters with their distributions.
fn distributions() -> Value {
    json!({
        "description": "What each parameter is drawn from.",
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"$ref": "#/$defs/key"},
        "additionalProperties": {"$ref": "#/$defs/distribution"},
    })
}

/// Points that are drawn.
fn draws(description: &str, method: Method) -> Value {
    json!({
        "description": description,
        "type": "object",
        "required": ["points", "params"],
        "additionalProperties": false,
        "properties": {
            "points": {"description": "How many to draw.", "type": "integer", "minimum": 1, "maximum": method.most()},
            "seed": {"description": "Another seed, other draws.", "type": "integer", "minimum": 0, "default": 0},
            "params": distributions(),
        },
    })
}

/// Points that a command chooses.
fn search() -> Value {
    let count = |description: &str| json!({"description": description, "type": "integer", "minimum": 1, "maximum": POINTS});
    json!({
        "description": "Points that a command chooses, given what the ones before came to.",
        "type": "object",
        "required": ["ask", "points", "metric", "goal", "params"],
        "additionalProperties": false,
        "properties": {
            "ask": {"description": "A shell command that reads the points so far as JSON and writes a list of the next ones.", "type": "string", "minLength": 1},
            "points": count("How many to try in all."),
            "start": count("How many to try before the first question: points of Sobol's sequence; 4 unless given."),
            "batch": count("How many to ask for at a time; 1 unless given."),
            "seed": {"description": "For the first points, and passed to the command.", "type": "integer", "minimum": 0, "default": 0},
            "metric": {"description": "The metric that tells how good a point is; its mean where the sweep has further parts.", "$ref": "#/$defs/name"},
            "goal": {"description": "Which values are better.", "enum": GOALS},
            "params": distributions(),
        },
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
    use crate::pipeline::experiments::sweep::distribution::DISTRIBUTIONS;
    use crate::pipeline::experiments::sweep::{axes, draws, read, search};
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
        assert_eq!(fields(&schema["$defs"]["range"]), sorted(&axes::RANGE_FIELDS));
        let sweep = &schema["properties"]["sweep"];
        assert_eq!(fields(sweep), sorted(&read::FIELDS));
        assert_eq!(fields(&sweep["properties"]["sobol"]), sorted(&draws::FIELDS));
        assert_eq!(fields(&sweep["properties"]["search"]), sorted(&search::FIELDS));
    }
}
