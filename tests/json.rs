//! What `--json` prints has the documented shape: `schema/output/`, from which `docs/json.md` is made too.

mod common;

use common::{Project, Ran, repository};
use serde_json::Value;
use std::collections::HashSet;
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

/// With metrics, and with outputs that differ when they are made again.
const MEASURED: &str = "\
name: measured
params: {width: 1, seed: 1}
stages:
  fit:
    kind: command
    run: |
      test ! -e broken
      echo '{\"loss\": ${params.width}.${params.seed}, \"name\": \"w${params.width}\"}' > ${outputs.json}
    outputs: {json: fit.json}
  count:
    kind: command
    run: |
      echo x >> calls; wc -l < calls > ${outputs.text}
      mkdir ${outputs.folder}; printf '\\0%s' $(wc -l < calls) > ${outputs.folder}/bytes
    outputs: {text: count.txt, folder: count/}
metrics:
  loss: {from: fit.json, field: loss}
  name: {from: fit.json, field: name}
";

const SWEEP: &str = "\
name: sweep
pipeline: pipeline.yaml
sweep:
  grid: {width: [1, 2], seed: [1, 2]}
";

#[test]
fn every_document_has_its_documented_shape() {
    let project = Project::new(PIPELINE);
    let check = |status: i32, arguments: &[&str]| {
        let ran = project.onsager(&[arguments, &["--json"]].concat());
        assert_eq!(ran.status, status, "{arguments:?}: {}", ran.stderr);
        conforms(arguments[0], &document(&ran));
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
    check(0, &["get", "say", "--pipeline", "pipeline.yaml"]);
    check(0, &["list"]);
    check(0, &["kinds"]);
    check(0, &["kinds", "train"]);
    check(0, &["init", "new"]);
    let key = project.onsager(&["key", "new"]).stdout;
    assert_eq!(project.onsager(&["key", "trust", key.trim_end(), "--name", "own"]).status, 0);
    conforms("key-list", &document(&project.onsager(&["key", "list", "--json"])));
}

#[test]
fn curves_have_their_documented_shape() {
    let project = Project::new(
        r#"
name: curves
stages:
  measure:
    kind: command
    run: |
      echo '{"step": 1, "name": "loss", "value": 0.5}' >> $ONSAGER_METRICS
      echo '{"step": 2, "name": "loss", "value": NaN}' >> $ONSAGER_METRICS
      touch ${outputs.text}
    outputs: {text: out.txt}
"#,
    );
    assert_eq!(project.run(&[]).status, 0);
    let metrics = document(&project.onsager(&["metrics", "--json"]));
    conforms("metrics", &metrics);
    assert_eq!(metrics["tasks"][0]["curves"]["loss"][1]["value"], "NaN");
    let exported = document(&project.onsager(&["export", "tensorboard", "-o", "logs", "--json"]));
    conforms("export-tensorboard", &exported);
    assert_eq!(exported["points"], 2);
    let exported = document(&project.onsager(&["export", "crate", "-o", "run.zip", "--json"]));
    conforms("export-crate", &exported);
    assert_eq!(exported["file"], "run.zip");
}

#[test]
fn comparisons_have_their_documented_shape() {
    let project = Project::new(MEASURED);
    project.write("sweep.yaml", SWEEP);
    let check = |arguments: &[&str]| {
        let ran = project.onsager(&[arguments, &["--json"]].concat());
        assert_eq!(ran.status, 0, "{arguments:?}: {}", ran.stderr);
        let document = document(&ran);
        conforms(arguments[0], &document);
        document
    };
    let nothing = check(&["compare", "sweep.yaml"]);
    assert_eq!(nothing["missing"].as_array().map(Vec::len), Some(4));
    assert_eq!(project.onsager(&["run", "sweep.yaml"]).status, 0);
    let means = check(&["compare", "sweep.yaml"]);
    assert_eq!(means["rows"].as_array().map(Vec::len), Some(2));
    assert!(means["rows"][0]["metrics"]["loss"]["lower"].is_f64(), "{means:#}");
    check(&["compare", "sweep.yaml", "--each"]);
    check(&["run", "pipeline.yaml"]);
    check(&["run", "pipeline.yaml", "fit", "--set", "seed=3"]);
    check(&["compare", "pipeline.yaml"]);
    let difference = check(&["diff", "--pipeline", "pipeline.yaml"]);
    assert_eq!(difference["tasks"][0]["outputs"][0]["output"], "json", "{difference:#}");
    assert_eq!(difference["only_old"][0], "count", "{difference:#}");
}

#[test]
fn the_stores_documents_have_their_documented_shape() {
    let project = Project::new(MEASURED);
    assert_eq!(project.run(&[]).status, 0);
    assert_eq!(project.run(&["--set", "seed=2"]).status, 0);
    let check = |status: i32, name: &str, arguments: &[&str]| {
        let ran = project.onsager(&[&["store"], arguments, &["--json"]].concat());
        assert_eq!(ran.status, status, "{arguments:?}: {}", ran.stderr);
        let document = document(&ran);
        conforms(name, &document);
        document
    };
    check(0, "store-verify", &["verify"]);
    let rerun = |arguments: &[&str]| {
        let document =
            check(1, "store-verify-rerun", &[&["verify", "pipeline.yaml", "--rerun"], arguments].concat());
        document.as_array().expect("a list").iter().map(|task| task["rerun"].clone()).collect::<Vec<_>>()
    };
    let compared = rerun(&["fit", "--rerun", "count"]);
    assert_eq!(compared[0]["outputs"][0]["outcome"], "same");
    assert_eq!(compared[1]["outputs"][0]["comparison"]["outcome"], "byte");
    assert_eq!(compared[1]["outputs"][1]["outcome"], "line");
    assert_eq!(rerun(&["fit", "--set", "seed=9"])[0]["result"], "no-result");
    project.write("broken", "");
    assert_eq!(rerun(&["fit"])[0]["result"], "failed");
    for level in ["pipeline", "stage", "task"] {
        check(0, "store-du", &["du", "--by", level]);
    }
    check(0, "store-doctor", &["doctor"]);
    check(0, "store-export", &["export", "measured", "-o", "run.onsager"]);
    check(0, "store-import", &["import", "run.onsager", "--accept-unsigned"]);
    // Damage: an object, an action record, and an object that is gone.
    let (document, _) = project.run_json(&["--set", "seed=2"]);
    let digest = |task: &str, output: &str| document["outputs"][task][output]["digest"].clone();
    let path = |folder: &str, name: &Value| {
        let name = name.as_str().expect("a digest");
        project.path(&format!("artifacts/.onsager/{folder}/{}/{}", &name[..2], &name[2..]))
    };
    let object = path("objects", &digest("count", "text"));
    fs::remove_file(&object).expect("removed");
    fs::write(&object, "9\n").expect("damaged");
    fs::remove_file(path("objects", &digest("count", "folder"))).expect("removed");
    let explained = self::document(&project.onsager(&["explain", "pipeline.yaml", "fit", "--json"]));
    fs::write(path("actions", &explained[0]["key"]).with_extension("json"), "{").expect("damaged");
    let report = check(1, "store-verify", &["verify"]);
    let kinds: Vec<&Value> =
        report["damage"].as_array().expect("a list").iter().map(|one| &one["damaged"]).collect();
    assert_eq!(kinds, ["object", "missing", "record"]);
    project.write("artifacts/.onsager/work/dead/half", "half");
    let told = check(0, "store-gc", &["gc", "--max-size", "1B", "--dry-run"]);
    let items = told["collected"]["items"].as_array().expect("a list");
    let kinds: HashSet<&str> = items.iter().filter_map(|item| item["what"].as_str()).collect();
    assert!(["object", "damaged", "leftover"].iter().all(|kind| kinds.contains(kind)), "{told:#}");
    check(0, "store-gc", &["gc"]);
}

fn document(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.stdout))
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
        {"task": "b", "state": "done", "seconds": 1, "failure": null, "run": null, "attempts": []},
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

#[test]
fn documents_of_remote_stores_have_their_documented_shape() {
    if !cfg!(feature = "remote") {
        return;
    }
    let project = Project::new(PIPELINE);
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("file://{}/store", folder.path().display());
    let check = |status: i32, arguments: &[&str], schema: &str| {
        let ran = project.onsager(&[arguments, &["--json"]].concat());
        assert_eq!(ran.status, status, "{arguments:?}: {}", ran.stderr);
        conforms(schema, &document(&ran));
    };
    check(0, &["remote", "add", "lab", &url, "--default", "--accept-unsigned"], "remote-add");
    check(0, &["remote", "list"], "remote-list");
    check(0, &["run", "pipeline.yaml", "join", "--push"], "run");
    check(0, &["push", "pipeline.yaml"], "push");
    check(0, &["remote", "check"], "remote-check");
    check(0, &["remote", "du"], "remote-du");
    check(0, &["remote", "gc", "--grace", "0s", "--dry-run"], "remote-gc");
    std::fs::remove_dir_all(project.path("artifacts")).expect("the store");
    check(0, &["plan", "pipeline.yaml"], "plan");
    check(0, &["pull", "pipeline.yaml"], "pull");
    std::fs::remove_dir_all(folder.path().join("store/cas")).expect("the objects");
    check(1, &["remote", "verify"], "remote-verify");
    check(0, &["remote", "remove", "lab"], "remote-remove");
}
