//! Parameters files, experiments and their sweeps.

mod common;

use common::{Project, names};
use serde_json::Value;
use std::collections::HashMap;
use std::time::{Duration, Instant};

const PIPELINE: &str = r#"name: p
params: {tubes: 40, seed: 1, model: {width: 16, depth: 2}}
stages:
  data:
    kind: command
    run: echo ${params.tubes} > ${outputs.out}
    outputs: {out: data.txt}
  fit:
    kind: command
    inputs: {data: data}
    run: 'echo "{\"slope\": $((${params.tubes} + ${params.seed})), \"width\": ${params.model.width}}" > ${outputs.json}'
    outputs: {json: fit.json}
  other:
    kind: command
    run: echo other > ${outputs.out}
    outputs: {out: other.txt}
metrics:
  slope: {from: fit.json, field: slope}
"#;

const SWEEP: &str = "\
name: e
pipeline: pipeline.yaml
tasks: [fit]
sweep:
  grid: {tubes: [40, 60], seed: [1, 2, 3]}
";

fn project(experiment: &str) -> Project {
    let project = Project::new(PIPELINE);
    project.write("e.yaml", experiment);
    project
}

/// The standard error of `plan` on an experiment that is wrong.
fn refused(project: &Project, arguments: &[&str]) -> String {
    let ran = project.onsager(&[&["plan"], arguments].concat());
    assert_eq!(ran.status, 2, "{} {}", ran.stdout, ran.stderr);
    ran.stderr
}

/// The names of the tasks that a plan lists.
fn planned(project: &Project, arguments: &[&str]) -> Vec<String> {
    let ran = project.onsager(&[&["plan", "--json"], arguments].concat());
    let document: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}", ran.stderr));
    document["tasks"].as_array().into_iter().flatten().map(|task| text_of(&task["task"])).collect()
}

fn text_of(text: &Value) -> String {
    text.as_str().unwrap_or_default().to_owned()
}

#[test]
fn parameters_files_are_laid_in_order_and_before_set() {
    let project = Project::new(PIPELINE);
    project.write("a.yaml", "seed: 5\nmodel: {width: 32}\n");
    project.write("b.yaml", "seed: 6\nstages.fit.resources.threads: 2\n");
    let key = |arguments: &[&str]| {
        let all = [&["explain", "pipeline.yaml", "fit"], arguments].concat();
        project.onsager(&all).stdout.lines().find(|line| line.contains("params.run")).map(str::to_owned)
    };
    let run = |seed: u32, width: u32| {
        let text = format!("echo \"{{\\\"slope\\\": $((40 + {seed})), \\\"width\\\": {width}}}\"");
        Some(format!("    params.run = {text} > ${{outputs.json}}"))
    };
    assert_eq!(key(&["--params", "a.yaml"]), run(5, 32));
    assert_eq!(key(&["--params", "a.yaml", "--params", "b.yaml"]), run(6, 32));
    assert_eq!(key(&["--set", "seed=7", "--params", "b.yaml", "--params", "a.yaml"]), run(7, 32));
}

/// Inputs that a stage of the pipeline does not have can be added: other data may come from a file.
#[test]
fn an_experiment_gives_a_stage_an_input() {
    let project = project(
        "name: e\npipeline: pipeline.yaml\ntasks: [data]\nparams: {stages.data.inputs: {more: {file: more.txt}}}\n",
    );
    project.write("more.txt", "more\n");
    let explained = project.onsager(&["explain", "e.yaml", "data"]);
    assert!(explained.stdout.contains("more.txt"), "{} {}", explained.stdout, explained.stderr);
    project.write(
        "e.yaml",
        "name: e\npipeline: pipeline.yaml\nparams: {stages.data.inptus: {more: {file: more.txt}}}\n",
    );
    assert!(refused(&project, &["e.yaml"]).starts_with("error: there is no `inptus` to set\n"));
}

#[test]
fn a_wrong_name_in_a_parameters_file_is_shown_there() {
    let project = Project::new(PIPELINE);
    project.write("a.yaml", "seed: 5\nmodel:\n  widht: 32\n");
    assert_eq!(
        refused(&project, &["pipeline.yaml", "--params", "a.yaml"]),
        "\
error: there is no `widht` to set
 --> a.yaml:3:3
  |
3 |   widht: 32
  |   ^^^^^
  = help: did you mean `width`?

1 error in a.yaml
"
    );
    project.write("a.yaml", "[1]\n");
    assert_eq!(
        refused(&project, &["pipeline.yaml", "--params", "a.yaml"]),
        "\
error: a parameters file is a mapping, but this is a list
 --> a.yaml:1:1
  |
1 | [1]
  | ^
  = help: write `name: value`, a line for each parameter

1 error in a.yaml
"
    );
}

#[test]
fn points_are_one_run_and_share_their_tasks() {
    let project = project(SWEEP);
    let ran = project.onsager(&["run", "e.yaml", "--json"]);
    let document: Value = serde_json::from_str(&ran.stdout).expect("a document");
    let executed = names(&document["tasks"]["executed"]);
    // `data` does not depend on the seed.
    let count = |stage: &str| executed.iter().filter(|task| task.ends_with(stage)).count();
    assert_eq!((count("/data"), count("/fit"), executed.len()), (2, 6, 8), "{document:#}");
    assert_eq!(names(&document["tasks"]["cached"]).len(), 4);
    for (tubes, seed) in [(40, 1), (60, 3)] {
        let path = format!("artifacts/e/tubes={tubes},seed={seed}/fit/fit.json");
        assert_eq!(project.read(&path), format!("{{\"slope\": {}, \"width\": 16}}\n", tubes + seed));
    }
    // What the pipeline itself would do is known too.
    assert_eq!(project.executed(&["fit"]), Vec::<String>::new());
}

#[test]
fn words_select_tasks_at_every_point_or_at_one() {
    let project = project(SWEEP);
    assert_eq!(planned(&project, &["e.yaml", "data"]).len(), 6);
    let one = ["tubes=60,seed=2/data", "tubes=60,seed=2/fit"];
    assert_eq!(planned(&project, &["e.yaml", "tubes=60,seed=2/fit"]), one);
    assert_eq!(planned(&project, &["e.yaml", "tubes=60,seed=2"]), one);
    assert_eq!(
        refused(&project, &["e.yaml", "tubes=60,seed=4/fit"]),
        "error: there is no point `tubes=60,seed=4`; did you mean `tubes=60,seed=1`?\n"
    );
    assert_eq!(
        refused(&project, &["e.yaml", "tubes=60,seed=2/fti"]),
        "error: the pipeline has no stage `fti`; did you mean `fit`?\n"
    );
}

#[test]
fn one_point_has_no_prefix() {
    let project = project("name: e\npipeline: pipeline.yaml\nparams: {tubes: 7, model: {width: 8}}\n");
    assert_eq!(planned(&project, &["e.yaml"]), ["data", "fit", "other"]);
    assert_eq!(project.onsager(&["run", "e.yaml"]).status, 0);
    assert_eq!(project.read("artifacts/e/fit/fit.json"), "{\"slope\": 8, \"width\": 8}\n");
}

#[test]
fn lists_draws_and_grids_multiply() {
    let project = project(
        "\
name: e
pipeline: pipeline.yaml
tasks: [other]
sweep:
  list: [{tubes: 1}, {tubes: 2, model: {width: 1, depth: 1}}]
  random: {points: 2, params: {model.depth: {integer: [1, 9]}}}
  grid: {seed: [1, 2]}
",
    );
    // `model` is set whole by one entry of the list and in part by the draw; each point is named all the same.
    let points = planned(&project, &["e.yaml"]);
    assert_eq!(points.len(), 8);
    assert_eq!(points[0], "tubes=1,draw=1,seed=1/other");
    assert_eq!(points[7], "tubes=2,model={\"width\":1,\"depth\":1},draw=2,seed=2/other");
}

#[test]
fn draws_are_the_same_everywhere() {
    let random = |more: &str| {
        let project = project(&format!(
            "name: e\npipeline: pipeline.yaml\nsweep:\n  random:\n    points: 3\n    seed: 7\n    params: \
             {{tubes: {{integer: [1, 1000]}}{more}}}\n"
        ));
        let text = project.onsager(&["explain", "e.yaml", "data"]).stdout;
        text.lines().filter(|line| line.contains("params.run")).map(str::to_owned).collect::<Vec<_>>()
    };
    let draws = random("");
    assert_eq!(draws.len(), 3);
    // A further parameter changes no other.
    assert_eq!(random(", seed: {choice: [1, 2]}"), draws);
}

#[test]
fn mistakes_of_an_experiment_are_shown_together() {
    let project = project(
        "\
name: e
pipeline: pipeline.yaml
params: {tubs: 3, seed: 9}
params_files: [missing-file.yaml]
swep: {}
sweep:
  grid: {seed: [1, 2], tubes: 4}
  random: {points: 2, params: {model.width: {unifrom: [0, 1]}}}
",
    );
    assert_eq!(
        refused(&project, &["e.yaml"]),
        "\
error: there is no `tubs` to set
 --> e.yaml:3:10
  |
3 | params: {tubs: 3, seed: 9}
  |          ^^^^
  = help: did you mean `tubes`?

error: cannot read `missing-file.yaml`: No such file or directory (os error 2)
 --> e.yaml:4:16
  |
4 | params_files: [missing-file.yaml]
  |                ^^^^^^^^^^^^^^^^^
  = help: the folder holds `e.yaml` and `pipeline.yaml`

error: unknown field `swep`
 --> e.yaml:5:1
  |
5 | swep: {}
  | ^^^^
  = help: did you mean `sweep`?

error: `tubes` must be a list of values or a range, but is the number 4
 --> e.yaml:7:31
  |
7 |   grid: {seed: [1, 2], tubes: 4}
  |                               ^
  = help: write `tubes: [1, 2, 3]` or `tubes: {from: 1, to: 3, steps: 3}`

error: there is no distribution `unifrom`
 --> e.yaml:8:46
  |
8 |   random: {points: 2, params: {model.width: {unifrom: [0, 1]}}}
  |                                              ^^^^^^^
  = help: did you mean `uniform`?

5 errors in e.yaml
"
    );
}

#[test]
fn what_is_swept_cannot_be_set() {
    let project = project(SWEEP);
    assert_eq!(
        refused(&project, &["e.yaml", "--set", "seed=9"]),
        "\
error: `seed` is swept by `e`, so it cannot be set
  --> --set seed=9
  |
  | --set seed=9
  |       ^^^^
  = help: remove it here, or from the sweep

1 error in the arguments
"
        .replace("  -->", " -->")
    );
}

#[test]
fn a_value_that_does_not_fit_is_shown_in_the_experiment() {
    let project = project(
        "name: e\npipeline: pipeline.yaml\nparams: {stages.data.resources.threads: none}\ntasks: [ft]\n",
    );
    let text = refused(&project, &["e.yaml"]);
    assert!(text.contains(" --> e.yaml:3:41\n"), "{text}");
    let project = self::project("name: e\npipeline: pipeline.yaml\ntasks: [ft]\n");
    assert_eq!(
        refused(&project, &["e.yaml"]),
        "\
error: there is no stage `ft`
 --> e.yaml:3:9
  |
3 | tasks: [ft]
  |         ^^
  = help: did you mean `fit`?

1 error in e.yaml
"
    );
}

#[test]
fn metrics_are_checked_at_load() {
    let project = project(
        "\
name: e
pipeline: pipeline.yaml
metrics:
  a: {from: ft.json, field: x}
  b: {from: fit.jsn, field: x}
  c: {from: fit.json}
  d: {from: fit.json, field: x, where: {y: 1}}
  e: {from: fit.json, column: x, aggregate: median}
",
    );
    assert_eq!(
        refused(&project, &["e.yaml"]),
        "\
error: there is no stage `ft`
 --> e.yaml:4:13
  |
4 |   a: {from: ft.json, field: x}
  |             ^^
  = help: did you mean `fit`?

error: stage `fit` has no output `jsn`
 --> e.yaml:5:17
  |
5 |   b: {from: fit.jsn, field: x}
  |                 ^^^
  = help: did you mean `json`?

error: metric `c` has neither `field` nor `column`
 --> e.yaml:6:3
  |
6 |   c: {from: fit.json}
  |   ^
  = help: add `field: name` for a JSON file, `column: name` for a table

error: `where` goes with `column`, not with `field`
 --> e.yaml:7:33
  |
7 |   d: {from: fit.json, field: x, where: {y: 1}}
  |                                 ^^^^^
  = help: remove it

error: there is no aggregate `median`
 --> e.yaml:8:45
  |
8 |   e: {from: fit.json, column: x, aggregate: median}
  |                                             ^^^^^^
  = help: did you mean `mean`?

5 errors in e.yaml
"
    );
}

/// Fifty points, killed in the middle: no finished task is executed again.
#[test]
fn a_killed_sweep_goes_on_where_it_stopped() {
    let project = Project::new(
        "\
name: p
params: {x: 0}
stages:
  a:
    kind: command
    run: sleep 0.05; echo ${params.x} > ${outputs.out}
    outputs: {out: a.txt}
",
    );
    let points: Vec<String> = (0..50).map(|x| x.to_string()).collect();
    project.write(
        "e.yaml",
        &format!("name: e\npipeline: pipeline.yaml\nsweep: {{grid: {{x: [{}]}}}}\n", points.join(", ")),
    );
    let mut child = project.command(&["run", "e.yaml"]).spawn().expect("the program starts");
    let finished = || {
        let mut times: HashMap<String, usize> = HashMap::new();
        for event in project.events().iter().filter(|event| event["event"] == "task-finished") {
            *times.entry(text_of(&event["task"])).or_default() += 1;
        }
        times
    };
    let start = Instant::now();
    while finished().len() < 10 && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().expect("a kill");
    child.wait().expect("an end");
    let before = finished().len();
    assert!((10..50).contains(&before), "{before}");
    let ran = project.onsager(&["run", "e.yaml", "--json"]);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}", ran.stderr));
    let count = |of: &str| names(&document["tasks"][of]).len();
    assert_eq!(count("executed") + count("cached"), 50);
    // A result may have been kept just before its event was written: then it is cached now.
    assert!(count("executed") <= 50 - before, "{} {before}", count("executed"));
    let after = finished();
    assert!(after.values().all(|times| *times == 1), "{after:?}");
}

#[test]
fn the_shipped_experiments_load() {
    let project = project(SWEEP);
    let files = common::with_their_data("experiments");
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        let artifacts = project.path("none");
        let (file, artifacts) = (file.to_string_lossy(), artifacts.to_string_lossy());
        let ran = project.onsager(&["plan", &file, "--artifacts", &artifacts]);
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        let ran = project.onsager(&["compare", &file, "--artifacts", &artifacts]);
        assert!(ran.stdout.starts_with("nothing is finished yet\n"), "{} {}", ran.stdout, ran.stderr);
    }
}
