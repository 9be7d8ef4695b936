//! Curves: what tasks measure is there at once, outlives kills, and goes on without a seam.

mod common;

use common::counting::counting;
use common::{Project, json_of};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

/// The curves of a task of the last run: by name, steps and values as they are printed.
fn curves(project: &Project, task: &str) -> BTreeMap<String, Vec<(u64, String)>> {
    let document = json_of(project, &["metrics", "last", task, "--json"]);
    let tasks = document["tasks"].as_array().expect("a list");
    let curves = tasks.first().and_then(|task| task["curves"].as_object().cloned()).unwrap_or_default();
    let points = |points: &Value| {
        let points = points.as_array().expect("points").iter();
        points.map(|point| (point["step"].as_u64().expect("a step"), point["value"].to_string())).collect()
    };
    curves.iter().map(|(name, of)| (name.clone(), points(of))).collect()
}

/// Waits until a task of the run that goes on has measured this step.
fn wait_for(project: &Project, step: u64) {
    let until = Instant::now() + Duration::from_secs(300);
    loop {
        let folders = fs::read_dir(project.path("artifacts/.onsager/checkpoints")).into_iter().flatten();
        let files = folders.flatten().map(|folder| folder.path().join("curve.jsonl"));
        let text: String = files.filter_map(|file| fs::read_to_string(file).ok()).collect();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        if lines.filter_map(|line| line["step"].as_u64()).any(|there| there >= step) {
            return;
        }
        assert!(Instant::now() < until, "step {step} never came");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Starts a run, and kills it with all its processes once a step is measured.
fn kill_at(project: &Project, step: u64) {
    let mut child = project.spawn(&[]);
    wait_for(project, step);
    kill_process_group(Pid::from_child(&child), Signal::KILL).expect("it runs");
    child.wait().expect("it ends");
}

/// Counts to sixty, with a checkpoint after every tenth step.
fn sixty() -> String {
    counting(
        60,
        10,
        &[
            r#"echo "{\"step\": $n, \"name\": \"half\", \"value\": $n.5}" >> "$ONSAGER_METRICS""#,
            r#"[ $((n % 4)) != 0 ] || echo "{\"step\": $n, \"name\": \"rare\", \"value\": -$n}" >> $ONSAGER_METRICS"#,
            "sleep 0.05",
        ],
    )
}

#[test]
fn a_command_that_is_killed_twice_has_the_curves_of_one_that_is_not() {
    let killed = Project::new(&sixty());
    kill_at(&killed, 13);
    // Nothing is lost, and looking at it changes nothing.
    assert_eq!(curves(&killed, "count")["half"][12], (13, "13.5".to_owned()));
    kill_at(&killed, 37);
    assert_eq!(killed.run(&[]).status, 0);
    let half: Vec<(u64, String)> = (1..=60).map(|step| (step, format!("{step}.5"))).collect();
    let rare: Vec<(u64, String)> = (4..=60).step_by(4).map(|step| (step, format!("-{step}.0"))).collect();
    let expected = BTreeMap::from([("half".to_owned(), half), ("rare".to_owned(), rare)]);
    assert_eq!(curves(&killed, "count"), expected);
    // The checkpoints are gone, the curves stay with the result, for a run that finds it, too.
    assert_eq!(fs::read_dir(killed.path("artifacts/.onsager/checkpoints")).map_or(0, Iterator::count), 0);
    assert_eq!(killed.run(&["--json"]).status, 0);
    assert_eq!(curves(&killed, "count"), expected);
    let named: Vec<Value> =
        killed.events().into_iter().filter(|event| event["event"] == "task-metric").collect();
    let names: Vec<&str> = named.iter().filter_map(|event| event["name"].as_str()).collect();
    assert_eq!(names, ["half", "rare"].repeat(3), "once in each attempt");
}

#[test]
fn lines_that_are_no_metrics_are_told_once() {
    let project = Project::new(
        r#"
name: lines
stages:
  write:
    kind: command
    sandbox: true
    run: |
      cat > "$ONSAGER_METRICS" <<'END'
      {"step": 1, "name": "loss", "value": 0.5}
      loss 0.4
      {"step": 2, "name": "loss", "value": NaN}
      {"step": 3, "name": "<script>alert(1)</script>", "value": -Infinity}
      {"step": 4, "name": "bell\u0007", "value": 1}
      {"step": 3, "name": "loss", "value": 1e-3}
      END
      printf '{"step": 5, "name": "loss", "value": 2}' >> "$ONSAGER_METRICS"
      touch ${outputs.text}
    outputs: {text: out.txt}
"#,
    );
    assert_eq!(project.run(&[]).status, 0);
    let found = curves(&project, "write");
    let points = |points: &[(u64, &str)]| -> Vec<(u64, String)> {
        points.iter().map(|(step, value)| (*step, (*value).to_owned())).collect()
    };
    // The last line has no end: it may have been torn.
    assert_eq!(found["loss"], points(&[(1, "0.5"), (2, "\"NaN\""), (3, "0.001")]));
    assert_eq!(found["<script>alert(1)</script>"], points(&[(3, "\"-Infinity\"")]));
    assert_eq!(found.len(), 2);
    let log = project.onsager(&["log", "pipeline.yaml", "write"]).stdout;
    assert_eq!(log.matches("WARN").count(), 1, "{log}");
    assert!(log.contains("`$ONSAGER_METRICS` has a line that is no metric: `loss 0.4`"), "{log}");
    let text = project.onsager(&["metrics"]).stdout;
    assert!(text.starts_with("write\n  <script>alert(1)</script>"), "{text}");
    assert!(text.contains("0.5000 → 0.0010, 3 points to step 3"), "{text}");
}

#[test]
fn what_has_no_curves_says_so() {
    let project = Project::new(
        "name: none\nstages:\n  one: {kind: command, run: 'touch ${outputs.text}', outputs: {text: out.txt}}\n",
    );
    assert_eq!(
        project.onsager(&["metrics"]).stderr.trim(),
        "error: there is no run yet; `onsager run` makes one"
    );
    assert_eq!(project.run(&[]).status, 0);
    let run = json_of(&project, &["metrics", "--json"])["run"].as_str().expect("a name").to_owned();
    assert_eq!(project.onsager(&["metrics"]).stdout, format!("the tasks of run {run} have no curves\n"));
    let other = project.onsager(&["metrics", "last", "two"]);
    assert_eq!((other.status, other.stderr), (2, format!("error: run {run} has no task `two`\n")));
    assert!(!project.path("artifacts/.onsager/metrics").exists());
}

/// The points of a metric that is followed come once each, and the command ends with the run.
#[test]
fn followed_curves_end_with_the_run() {
    let project = Project::new(&sixty());
    let mut run = project.spawn(&[]);
    wait_for(&project, 1);
    let followed = project.onsager(&["metrics", "last", "count", "--follow"]);
    assert!(run.wait().expect("it ends").success());
    let lines: Vec<&str> = followed.stdout.lines().filter(|line| line.contains("half")).collect();
    let expected: Vec<String> = (1..=60).map(|step| format!("count  half  {step}  {step}.5")).collect();
    assert_eq!(lines, expected);
}

/// A training, killed twice: all its curves but its speed are those of one that was left alone, bit by bit.
#[test]
#[cfg(feature = "science")]
fn a_training_that_is_killed_twice_has_the_curves_of_one_that_is_not() {
    const TRAIN: &str = "
name: train
stages:
  data: {kind: dataset, params: {name: two-moons, points: 600}}
  train:
    kind: score-train
    inputs: {data: data.train, validation: data.test}
    params: {sde: simple, steps: 2000, batch: 256, checkpoint_every: 100, validate_every: 230}
";
    let (left_alone, killed) = (Project::new(TRAIN), Project::new(TRAIN));
    assert_eq!(left_alone.run(&[]).status, 0);
    kill_at(&killed, 330);
    kill_at(&killed, 950);
    let resumed = killed.run(&[]);
    assert_eq!(resumed.status, 0, "{}", resumed.stderr);
    let steps: Vec<Value> =
        killed.events().into_iter().filter(|event| event["event"] == "task-resumed").collect();
    assert_eq!(steps.len(), 2, "{steps:?}");
    let (mut one, mut other) = (curves(&left_alone, "train"), curves(&killed, "train"));
    let speeds = [&mut one, &mut other].map(|curves| curves.remove("steps_per_second").expect("a speed"));
    // No curve has more points, so every second step has one.
    assert!(speeds.iter().all(|speed| speed.len() == 1000));
    let lengths: Vec<(&str, usize)> =
        one.iter().map(|(name, points)| (name.as_str(), points.len())).collect();
    assert_eq!(
        lengths,
        [("gradient_norm", 1000), ("learning_rate", 1000), ("loss", 1000), ("validation_loss", 9)]
    );
    assert!(one == other, "the curves differ");
    // The results are the same, too, and know nothing of curves.
    let bytes =
        |project: &Project| fs::read(project.path("artifacts/train/train/loss.parquet")).expect("a file");
    assert!(bytes(&left_alone) == bytes(&killed), "the results differ");
}
