//! What `--json` prints has the documented shape: `schema/output/`, from which `docs/json.md` is made too.

mod common;

use common::{Project, repository};
use serde_json::Value;
use std::fs;

const PIPELINE: &str = "\
name: shapes
params: {word: hello}
stages:
  say:
    kind: command
    matrix: {n: [1, 2]}
    run: echo ${params.word} ${matrix.n} > ${outputs.text}
    outputs: {text: say.txt}
  join:
    kind: command
    inputs: {texts: say}
    run: cat ${inputs.texts} > ${outputs.text}
    outputs: {text: joined.txt}
  bad:
    kind: command
    inputs: {text: join}
    run: 'false'
    outputs: {text: bad.txt}
  after:
    kind: command
    inputs: {text: bad}
    run: cp ${inputs.text} ${outputs.text}
    outputs: {text: after.txt}
";

#[test]
fn every_document_has_its_documented_shape() {
    let project = Project::new(PIPELINE);
    let check = |status: i32, arguments: &[&str]| {
        let ran = project.onsager(&[arguments, &["--json"]].concat());
        assert_eq!(ran.status, status, "{arguments:?}: {}", ran.stderr);
        let document = serde_json::from_str(&ran.stdout).expect("one JSON document");
        conforms(arguments[0], &document);
    };
    check(0, &["plan", "pipeline.yaml"]);
    check(0, &["status", "pipeline.yaml"]);
    check(0, &["explain", "pipeline.yaml", "join"]);
    check(1, &["run", "pipeline.yaml"]);
    check(0, &["run", "pipeline.yaml", "join"]);
    // With every verdict and kind of reason.
    check(0, &["plan", "pipeline.yaml", "--set", "word=bye"]);
    check(0, &["plan", "pipeline.yaml", "--force", "join"]);
    check(0, &["status", "pipeline.yaml"]);
    check(0, &["explain", "pipeline.yaml", "say"]);
    check(0, &["explain", "pipeline.yaml", "join", "--set", "word=bye"]);
    check(0, &["log", "pipeline.yaml", "say"]);
    check(0, &["kinds"]);
    check(0, &["kinds", "train"]);
    check(0, &["init", "new"]);
}

fn conforms(command: &str, document: &Value) {
    let path = repository().join(format!("schema/output/{command}.schema.json"));
    let schema: Value = serde_json::from_str(&fs::read_to_string(path).expect("a schema")).expect("JSON");
    if let Err(problem) = validate(&schema, &schema, document, command) {
        panic!("{problem}\nin {document:#}");
    }
}

/// Checks the part of JSON Schema that the documents use, and more: a field that is not described is an error.
fn validate(root: &Value, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    let parts = parts(root, schema, value, at)?;
    let described = |name: &str| parts.iter().any(|part| part["properties"].get(name).is_some());
    let open = parts.iter().any(|part| {
        part == &&Value::Bool(true) || part["additionalProperties"] != Value::Null || part["type"].is_null()
    });
    for (name, _) in value.as_object().into_iter().flatten() {
        if !open && !described(name) {
            return Err(format!("{at}.{name} is not described"));
        }
    }
    Ok(())
}

/// Checks a value and gives the schemas that apply to it: the schema, what it refers to, and the choice that fits.
fn parts<'a>(root: &'a Value, schema: &'a Value, value: &Value, at: &str) -> Result<Vec<&'a Value>, String> {
    let mut found = Vec::new();
    let target = schema["$ref"].as_str().and_then(|path| root.pointer(path.trim_start_matches('#')));
    if schema["$ref"].is_string() {
        let target = target.ok_or(format!("{at}: the schema refers to nothing"))?;
        found.extend(parts(root, target, value, at)?);
    }
    if let Some(choices) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
        let fits = choices.iter().find_map(|choice| parts(root, choice, value, at).ok());
        found.extend(fits.ok_or(format!("{at}: no choice fits {value}"))?);
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::Array(types) => types.iter().filter_map(Value::as_str).collect(),
        Value::String(one) => vec![one],
        _ => Vec::new(),
    };
    let is = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let fits = types.iter().any(|kind| *kind == is || (*kind == "number" && is == "integer"));
    if !types.is_empty() && !fits {
        return Err(format!("{at} is {is}, not {types:?}"));
    }
    if schema.get("const").is_some_and(|constant| constant != value) {
        return Err(format!("{at} is not {}", schema["const"]));
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if value.is_object() && value.get(name).is_none() {
            return Err(format!("{at} lacks `{name}`"));
        }
    }
    for (name, value) in value.as_object().into_iter().flatten() {
        let field = schema["properties"].get(name).or(schema.get("additionalProperties"));
        if let Some(field) = field {
            validate(root, field, value, &format!("{at}.{name}"))?;
        }
    }
    for (index, value) in value.as_array().into_iter().flatten().enumerate() {
        let item = schema["prefixItems"].get(index).or(schema.get("items"));
        if let Some(item) = item {
            validate(root, item, value, &format!("{at}[{index}]"))?;
        }
    }
    found.push(schema);
    Ok(found)
}

#[test]
fn the_check_finds_what_is_wrong() {
    let path = repository().join("schema/output/status.schema.json");
    let schema: Value = serde_json::from_str(&fs::read_to_string(path).expect("a schema")).expect("JSON");
    let good = serde_json::json!({"pipeline": "a", "last_run": null, "tasks": [
        {"task": "b", "state": "done", "seconds": 1, "failure": null},
    ]});
    assert_eq!(validate(&schema, &schema, &good, "status"), Ok(()));
    let wrong = |change: fn(&mut Value)| {
        let mut document = good.clone();
        change(&mut document);
        validate(&schema, &schema, &document, "status").expect_err("a problem")
    };
    assert_eq!(wrong(|d| d["more"] = 1.into()), "status.more is not described");
    assert_eq!(
        wrong(|d| d["tasks"][0]["state"] = 1.into()),
        "status.tasks[0].state is integer, not [\"string\"]"
    );
    assert_eq!(wrong(|d| _ = d.as_object_mut().map(|d| d.remove("pipeline"))), "status lacks `pipeline`");
}
