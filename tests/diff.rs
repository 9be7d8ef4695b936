//! `diff`: what differs between two runs.

mod common;

use common::Project;
use serde_json::{Value, json};

const PIPELINE: &str = r#"name: p
params: {tubes: 40}
stages:
  a:
    kind: command
    run: echo ${params.tubes} > ${outputs.out}; echo same > ${outputs.same}
    outputs: {out: a.txt, same: same.txt}
  b:
    kind: command
    inputs: {x: a.out}
    run: 'echo "{\"slope\": $(cat ${inputs.x})}" > ${outputs.json}'
    outputs: {json: b.json}
  c:
    kind: command
    inputs: {x: a.same}
    run: cat ${inputs.x} > ${outputs.out}
    outputs: {out: c.txt}
metrics:
  slope: {from: b.json, field: slope}
"#;

/// A project with two runs.
fn two_runs() -> Project {
    let project = Project::new(PIPELINE);
    assert_eq!(project.run(&[]).status, 0);
    assert_eq!(project.run(&["--set", "tubes=60"]).status, 0);
    project
}

fn diff(project: &Project, arguments: &[&str]) -> Value {
    let ran = project.onsager(&[&["diff", "--json"], arguments].concat());
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).expect("JSON")
}

#[test]
fn two_runs_beside_each_other() {
    let project = two_runs();
    let document = diff(&project, &[]);
    let name = |side: &str| document[side]["run"].as_str().unwrap_or_default().to_owned();
    let digest = |task: usize, side: &str| {
        let text = document["tasks"][task]["outputs"][0][side].as_str().unwrap_or_default();
        text[..12].to_owned()
    };
    let expected = format!(
        "\
OLD of p → NEW of p
parameters
  tubes: 40 → 60
metrics
  slope: 40 → 60
a
  params.run: echo 40 > ${{outputs.out}}; echo same > ${{outputs.same}} → echo 60 > ${{outputs.out}}; echo same > \
         ${{outputs.same}}
  outputs that differ: out; the same: same
b
  inputs.x[0].content: {} → {}
  outputs that differ: json
1 task with the same key, 2 with another
",
        digest(0, "old"),
        digest(0, "new"),
    );
    let text = project.onsager(&["diff", "last~1", "last"]).stdout;
    assert_eq!(text.replace(&name("old"), "OLD").replace(&name("new"), "NEW"), expected);
    assert_eq!(document["params"], json!([{"field": "tubes", "old": "40", "new": "60"}]));
    assert_eq!((&document["same"], &document["only_old"]), (&json!(1), &json!([])));
    // By name, and the other way round.
    let back = diff(&project, &[&name("new"), &name("old")]);
    assert_eq!(back["metrics"], json!([{"field": "slope", "old": "60", "new": "40"}]));
}

#[test]
fn a_run_is_found_or_the_message_says_what_there_is() {
    let project = two_runs();
    let refused = |arguments: &[&str]| {
        let ran = project.onsager(&[&["diff"], arguments].concat());
        assert_eq!(ran.status, 2, "{}", ran.stdout);
        ran.stderr
    };
    assert_eq!(refused(&["last~2", "last"]), "error: `last~2` goes back too far: there are 2 runs\n");
    assert!(refused(&["2", "last"]).starts_with("error: `2` is the beginning of 2 runs, of `2"));
    assert!(refused(&["zzz", "last"]).starts_with("error: there is no run `zzz`; the latest are `2"));
    let empty = Project::new(&PIPELINE.replace("name: p", "name: q"));
    let ran = empty.onsager(&["diff", "--pipeline", "pipeline.yaml"]);
    assert_eq!(ran.stderr, "error: there is no run yet of `q`; `onsager run` makes one\n");
}

#[test]
fn tasks_of_one_run_only() {
    let project = two_runs();
    assert_eq!(project.run(&["a"]).status, 0);
    let document = diff(&project, &["last~2", "last", "--pipeline", "pipeline.yaml"]);
    assert_eq!((&document["only_old"], &document["same"]), (&json!(["b", "c"]), &json!(1)));
    assert_eq!(document["only_new"], json!([]));
}

#[test]
fn one_bad_metric_hides_no_other() {
    let project = Project::new(PIPELINE);
    let bad =
        PIPELINE.to_owned() + "  bad: {from: b.json, field: nosuch}\n  same: {from: b.json, field: slope}\n";
    project.write("pipeline.yaml", &bad);
    assert_eq!(project.run(&[]).status, 0);
    assert_eq!(project.run(&["--set", "tubes=60"]).status, 0);
    let document = diff(&project, &[]);
    let changed = |name: &str| json!({"field": name, "old": "40", "new": "60"});
    assert_eq!(document["metrics"], json!([changed("slope"), changed("same")]));
    project.write("pipeline.yaml", &bad.replace("slope\\\": $(cat", "nosuch\\\": $(cat"));
    assert_eq!(project.run(&["--set", "tubes=60"]).status, 0);
    let text = serde_json::to_string(&diff(&project, &[])["metrics"]).expect("JSON");
    assert!(text.contains("no value (`b.json` has no field `nosuch`"), "{text}");
    assert!(text.contains("no value (`b.json` has no field `slope`"), "{text}");
}
