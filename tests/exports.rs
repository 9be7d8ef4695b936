//! Curves and runs in the forms of other programs, read back by these.

mod common;

use common::counting::counting;
use common::servers::{self, python_with};
use common::{Project, json_of};
use serde_json::{Value, json};
use std::process::Command;

const SWEEP: &str = "\
name: sweep
pipeline: pipeline.yaml
sweep:
  grid: {rate: [0.1, 0.2]}
";

const PIPELINE: &str = r#"
name: curves
params: {rate: 0.5, text: "a b"}
stages:
  train:
    kind: command
    matrix: {seed: [1, 2]}
    run: |
      for n in 1 2 3; do
        echo "{\"step\": $${n}00, \"name\": \"loss\", \"value\": $n.${matrix.seed}}" >> "$ONSAGER_METRICS"
      done
      echo "{\"step\": 300, \"name\": \"rate\", \"value\": ${params.rate}}" >> "$ONSAGER_METRICS"
      echo "{\"final\": ${params.rate}}" > ${outputs.fit}
    outputs: {fit: fit.json}
metrics:
  final: {from: "train[seed=1].fit", field: final}
"#;

/// What Python prints, as JSON.
fn python(python: &std::path::Path, script: &str, arguments: &[&str]) -> Value {
    let done = Command::new(python).args(["-c", script]).args(arguments).output().expect("python starts");
    let text = String::from_utf8_lossy(&done.stdout);
    let error = String::from_utf8_lossy(&done.stderr);
    serde_json::from_str(text.trim()).unwrap_or_else(|_| panic!("{text} {error}"))
}

/// The scalars of all runs that are below a folder: for each run and tag, steps and values.
const ACCUMULATE: &str = "\
import json, os, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
found = {}
for folder, _, files in os.walk(sys.argv[1]):
    if files:
        events = EventAccumulator(folder, size_guidance={'scalars': 0})
        events.Reload()
        run = os.path.basename(folder)
        found[run] = {tag: [[p.step, p.value] for p in events.Scalars(tag)] for tag in events.Tags()['scalars']}
print(json.dumps(found))
";

#[test]
fn tensorboard_reads_the_curves() {
    let Some(tensorboard) =
        python_with("tensorboard.backend.event_processing.event_accumulator", "tensorboard")
    else {
        return;
    };
    let project = Project::new(PIPELINE);
    assert_eq!(project.run(&["--tensorboard", "live"]).status, 0);
    let exported = project.onsager(&["export", "tensorboard", "-o", "logs"]);
    assert!(exported.stdout.starts_with("wrote 4 curves of 2 tasks of run "), "{}", exported.stdout);
    let f32 = |value: f64| f64::from(value as f32);
    let curves = |seed: f64| {
        let loss: Vec<(u64, f64)> = (1..=3).map(|n| (n * 100, f32(n as f64 + seed / 10.0))).collect();
        json!({ "loss": loss, "rate": [(300, 0.5)] })
    };
    let expected = json!({ "train[seed=1]": curves(1.0), "train[seed=2]": curves(2.0) });
    for folder in ["live", "logs"] {
        let path = project.path(folder);
        assert_eq!(python(&tensorboard, ACCUMULATE, &[path.to_str().expect("a path")]), expected, "{folder}");
    }
    // Once more, in the same place.
    let again = json_of(&project, &["export", "tensorboard", "-o", "logs", "--json"]);
    assert_eq!((&again["curves"], &again["points"]), (&json!(4), &json!(8)));
    let path = project.path("logs");
    assert_eq!(python(&tensorboard, ACCUMULATE, &[path.to_str().expect("a path")]), expected);
}

/// An attempt fails after seven steps, and the next one goes on from the fifth: what was written of the sixth and the seventh is taken back.
#[test]
fn tensorboard_follows_an_attempt_that_goes_on_from_a_checkpoint() {
    let Some(tensorboard) =
        python_with("tensorboard.backend.event_processing.event_accumulator", "tensorboard")
    else {
        return;
    };
    let count = counting(
        9,
        5,
        &[
            r#"echo "{\"step\": $n, \"name\": \"from\", \"value\": $from}" >> "$ONSAGER_METRICS""#,
            "if [ $n = 7 ] && [ $from = 0 ]; then sleep 2; exit 1; fi",
        ],
    );
    let project = Project::new(&format!("{count}    resources: {{retries: {{times: 1, wait: 0.1s}}}}\n"));
    assert_eq!(project.run(&["--tensorboard", "live"]).status, 0);
    let from: Vec<(u64, f64)> = (1..=9).map(|step| (step, if step > 5 { 5.0 } else { 0.0 })).collect();
    let path = project.path("live");
    let read = python(&tensorboard, ACCUMULATE, &[path.to_str().expect("a path")]);
    assert_eq!(read, json!({ "count": { "from": from } }));
}

/// The runs of an experiment, as the client finds them, with one curve of each.
const SEARCH: &str = "\
import json, sys
from mlflow import MlflowClient
client = MlflowClient(sys.argv[1])
experiment = client.get_experiment_by_name(sys.argv[2])
runs = client.search_runs([experiment.experiment_id], order_by=['attributes.run_name'])
print(json.dumps([{
    'name': run.info.run_name, 'status': run.info.status, 'params': run.data.params, 'metrics': run.data.metrics,
    'tags': {name: run.data.tags.get(name) for name in ['onsager.run', 'mlflow.user', 'mlflow.source.name']},
    'child': 'mlflow.parentRunId' in run.data.tags,
    'loss': [[p.step, p.value] for p in client.get_metric_history(run.info.run_id, 'train/seed-2/loss')],
} for run in runs]))
";

#[test]
fn mlflow_finds_the_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(server) = servers::mlflow(folder.path()) else { return };
    let Some(mlflow) = python_with("mlflow", "mlflow") else { return };
    let project = Project::new(PIPELINE);
    project.write("sweep.yaml", SWEEP);
    let mut run = project.command(&["run", "pipeline.yaml"]);
    assert!(run.env("USER", "lars").output().expect("the program starts").status.success());
    let address = format!("http://127.0.0.1:{}", server.port);
    let sent = json_of(&project, &["export", "mlflow", "last", "--to", &address, "--json"]);
    assert_eq!((&sent["runs"][0]["params"], &sent["runs"][0]["points"]), (&json!(2), &json!(9)), "{sent:#}");
    let name = sent["run"].as_str().expect("a name");
    let found = python(&mlflow, SEARCH, &[&address, "curves"]);
    let loss: Vec<(u64, f64)> = vec![(100, 1.2), (200, 2.2), (300, 3.2)];
    let metrics = |rate: f64| {
        json!({
            "final": rate, "train/seed-1/loss": 3.1, "train/seed-1/rate": rate,
            "train/seed-2/loss": 3.2, "train/seed-2/rate": rate,
        })
    };
    assert_eq!(
        found,
        json!([{
            "name": name, "status": "FINISHED", "params": {"rate": "0.5", "text": "a b"}, "metrics": metrics(0.5),
            "tags": {"onsager.run": name, "mlflow.user": "lars", "mlflow.source.name": "pipeline.yaml"},
            "child": false, "loss": loss,
        }])
    );
    // What is there stays.
    let again = json_of(&project, &["export", "mlflow", "last", "--to", &address, "--json"]);
    assert_eq!((&again["runs"][0]["there"], &again["runs"][0]["id"]), (&json!(true), &sent["runs"][0]["id"]));
    // Each point of a sweep is a run below that of all.
    assert_eq!(project.onsager(&["run", "sweep.yaml"]).status, 0);
    let sent = json_of(&project, &["export", "mlflow", "last", "--to", &address, "--json"]);
    let name = sent["run"].as_str().expect("a name");
    let found = python(&mlflow, SEARCH, &[&address, "sweep"]);
    let shown: Vec<(&Value, &Value, &Value, &Value)> = found
        .as_array()
        .expect("runs")
        .iter()
        .map(|run| (&run["name"], &run["child"], &run["params"]["rate"], &run["metrics"]))
        .collect();
    let (one, two) = (json!(format!("{name}/rate=0.1")), json!(format!("{name}/rate=0.2")));
    let expected = [
        (&json!(name), &json!(false), &Value::Null, &json!({})),
        (&one, &json!(true), &json!("0.1"), &metrics(0.1)),
        (&two, &json!(true), &json!("0.2"), &metrics(0.2)),
    ];
    assert_eq!(shown, expected);
}

#[test]
fn an_address_that_is_none() {
    let project = Project::new(PIPELINE);
    assert_eq!(project.run(&[]).status, 0);
    let wrong = project.onsager(&["export", "mlflow", "--to", "localhost"]);
    let message =
        "error: `localhost` is no address of a server of MLflow: write it like `http://127.0.0.1:5000`\n";
    assert_eq!((wrong.status, wrong.stderr.as_str()), (2, message));
    let away = project.onsager(&["export", "mlflow", "--to", "http://127.0.0.1:1"]);
    assert_eq!(away.status, 1);
    assert!(away.stderr.starts_with("error: cannot reach `http://127.0.0.1:1`: "), "{}", away.stderr);
}
