//! Sweeps: ranges, zipped parameters, drawn points, searches.

mod common;

use common::{Project, Ran};
use serde_json::{Value, json};
use std::collections::HashSet;

/// One command, whose loss is least at x = 3, and an experiment on it.
fn project(sweep: &str) -> Project {
    let project = Project::new(
        "name: p\nparams: {x: 0.5, seed: 1}\nstages:\n  fit:\n    kind: command\n    run: |\n      python3 -c 'import json; x = \
         ${params.x}; print(json.dumps({\"loss\": (x - 3) ** 2 + 0 * ${params.seed}}))' > ${outputs.json}\n    outputs: {json: \
         fit.json}\nmetrics:\n  loss: {from: fit.json, field: loss}\n",
    );
    project.write("e.yaml", &format!("name: e\npipeline: pipeline.yaml\nsweep:\n{sweep}"));
    project
}

/// The names of the points that a plan shows.
fn planned(project: &Project) -> Vec<String> {
    let ran = project.onsager(&["plan", "--json", "e.yaml"]);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}", ran.stderr));
    let tasks = document["tasks"].as_array().into_iter().flatten();
    tasks.map(|task| task["task"].as_str().unwrap_or("").trim_end_matches("/fit").to_owned()).collect()
}

fn refused(sweep: &str) -> String {
    let ran = project(sweep).onsager(&["plan", "e.yaml"]);
    assert_eq!(ran.status, 2, "{}", ran.stdout);
    ran.stderr
}

#[test]
fn a_range_is_even_steps_or_even_ratios() {
    let points = |axis: &str| planned(&project(&format!("  grid: {{x: {axis}}}\n")));
    assert_eq!(
        points("{from: 0.1, to: 1, steps: 10}"),
        (1..=10).map(|k| format!("x={}", f64::from(k) / 10.0)).collect::<Vec<_>>()
    );
    assert_eq!(points("{from: 1, to: 9, steps: 5}"), ["x=1", "x=3", "x=5", "x=7", "x=9"]);
    assert_eq!(points("{from: 3, to: 0, steps: 4}"), ["x=3", "x=2", "x=1", "x=0"]);
    assert_eq!(
        points("{from: 1e-4, to: 1e-1, steps: 4, scale: log}"),
        ["x=0.0001", "x=0.001", "x=0.01", "x=0.1"]
    );
    assert_eq!(points("{from: 1, to: 2, steps: 3, scale: log}"), ["x=1", "x=1.41421", "x=2"]);
}

#[test]
fn zipped_parameters_go_side_by_side() {
    let zipped = project("  zip: {x: {from: 1, to: 2, steps: 2}, seed: [5, 7]}\n");
    assert_eq!(planned(&zipped), ["x=1,seed=5", "x=2,seed=7"]);
    assert_eq!(
        refused("  zip: {x: [1, 2, 3], seed: [5, 7]}\n"),
        "\
error: `seed` has 2 values, but `x` has 3
 --> e.yaml:4:24
  |
4 |   zip: {x: [1, 2, 3], seed: [5, 7]}
  |                       ^^^^
  = help: zipped parameters have equally many; for every combination use `grid`

1 error in e.yaml
"
        .replace("4:24", "4:23")
    );
}

#[test]
fn a_wrong_range_is_shown_where_it_is_wrong() {
    let told = |axis: &str| {
        let text = refused(&format!("  grid: {{x: {axis}}}\n"));
        text.lines().take(2).map(str::trim).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        told("{from: 0, to: 1, steps: 3, scale: log}"),
        "error: `from` must be above 0 on a logarithmic scale --> e.yaml:4:20"
    );
    assert_eq!(told("{from: 0, to: 1}"), "error: the range of `x` has no `steps` --> e.yaml:4:10");
    assert_eq!(
        told("{from: 0, to: 1, step: 3}").split(" -->").next(),
        Some("error: the range of `x` has no `steps`")
    );
    assert_eq!(
        told("{from: 0, to: 1, steps: 1}"),
        "error: `steps` must be a whole number from 2 to 100000, but is 1 --> e.yaml:4:37"
    );
    assert_eq!(told("[]"), "error: `x` has no value to sweep over --> e.yaml:4:13");
    assert_eq!(told("{from: 1, to: 1, steps: 2}"), "error: `from` and `to` are the same --> e.yaml:4:27");
    assert_eq!(
        told("{from: a, to: 1, steps: 2}"),
        "error: `from` must be a number, but is the text \"a\" --> e.yaml:4:20"
    );
}

#[test]
fn drawn_points_are_the_same_everywhere_and_the_first_of_sobol_stay() {
    let values = |method: &str, points: u32, seed: u32| {
        let sweep =
            format!("  {method}: {{points: {points}, seed: {seed}, params: {{x: {{uniform: [0, 1]}}}}}}\n");
        let text = project(&sweep).onsager(&["explain", "e.yaml", "fit"]).stdout;
        text.lines().filter(|line| line.contains("params.run")).map(str::to_owned).collect::<Vec<_>>()
    };
    let sobol = values("sobol", 8, 7);
    assert_eq!((sobol.len(), &values("sobol", 4, 7)[..]), (8, &sobol[..4]));
    assert_ne!(values("sobol", 8, 8), sobol);
    let latin = values("latin-hypercube", 5, 1);
    assert_eq!((latin.len(), latin.iter().collect::<HashSet<_>>().len()), (5, 5));
    assert_eq!(values("latin-hypercube", 5, 1), latin);
    let names =
        planned(&project("  sobol: {points: 2, params: {x: {choice: [1, 2]}}}\n  grid: {seed: [1, 2]}\n"));
    assert_eq!(names, ["sobol=1,seed=1", "sobol=1,seed=2", "sobol=2,seed=1", "sobol=2,seed=2"]);
    let told = refused("  sobol: {points: 100000, params: {x: {uniform: [0, 1]}}}\n");
    assert!(told.starts_with("error: `points` must be from 1 to 65536\n --> e.yaml:4:19\n"), "{told}");
}

/// Tries the middle between the best point and its nearer end, then the other way: a search that needs nothing but Python.
const ASK: &str = "\
import json, sys
asked = json.load(sys.stdin)
low, high = asked['params']['x']['uniform']
with open('asked.log', 'a') as log:
    print(len(asked['points']), asked['count'], asked['seed'], asked['goal'], file=log)
known = [p for p in asked['points'] if p['value'] is not None]
best = min(known, key=lambda p: p['value'])['params']['x']
step = (high - low) / 2 ** len(asked['points'])
tried = {p['params']['x'] for p in asked['points']}
new = [x for x in (best - step, best + step, best + step / 3) if low <= x <= high and x not in tried]
print(json.dumps([{'x': x} for x in new[:asked['count']]]))
";

const SEARCH: &str = "  search:\n    ask: python3 ask.py\n    points: 7\n    start: 3\n    batch: 2\n    seed: 7\n    metric: loss\n    \
                      goal: minimize\n    params: {x: {uniform: [0, 8]}}\n";

fn searched(sweep: &str) -> (Project, Ran) {
    let project = project(sweep);
    project.write("ask.py", ASK);
    let ran = project.onsager(&["run", "e.yaml"]);
    (project, ran)
}

#[test]
fn a_search_asks_for_points_until_it_has_them() {
    let before = project(SEARCH);
    let plan = before.onsager(&["plan", "e.yaml"]).stdout;
    assert!(
        plan.ends_with(
            "search: 3 of 7 points are known; when they have results, `run` asks `python3 ask.py` for more\n"
        ),
        "{plan}"
    );
    assert_eq!(planned(&before), ["search=1", "search=2", "search=3"]);

    let (project, ran) = searched(SEARCH);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("search: 5 of 7 points; running the new ones\n"), "{}", ran.stderr);
    assert_eq!(project.read("asked.log"), "3 2 7 minimize\n5 2 7 minimize\n");
    assert_eq!(planned(&project).len(), 7);
    let compared = project.onsager(&["compare", "e.yaml", "--json"]).stdout;
    let document: Value = serde_json::from_str(&compared).expect("JSON");
    assert_eq!(document["rows"].as_array().map(Vec::len), Some(7));
    // The same seed gives the same points; nothing is asked or executed again.
    let state = project.read("searches/e.json");
    assert_eq!(searched(SEARCH).0.read("searches/e.json"), state);
    let again = project.onsager(&["run", "e.yaml"]);
    assert!(again.stdout.ends_with("7 tasks: 0 executed, 7 cached, 0 failed\n"), "{}", again.stdout);
    assert_eq!(project.read("searches/e.json"), state);
    // More points go on from there.
    project.write("e.yaml", &project.read("e.yaml").replace("points: 7", "points: 8"));
    let more = project.onsager(&["run", "e.yaml"]);
    assert!(more.stdout.ends_with("8 tasks: 1 executed, 7 cached, 0 failed\n"), "{}", more.stdout);
    assert_eq!(project.read("asked.log").lines().last(), Some("7 1 7 minimize"));
    // Another seed is another search.
    project.write("e.yaml", &project.read("e.yaml").replace("seed: 7", "seed: 8"));
    assert_eq!(planned(&project), ["search=1", "search=2", "search=3"]);
}

#[test]
fn an_interrupted_search_goes_on_with_the_same_points() {
    let whole = searched(SEARCH).0.read("searches/e.json");
    let project = project(SEARCH);
    // The command fails at its second question, as if someone had ended the run there.
    project.write("ask.py", &ASK.replace("import json, sys\n", "import json, os, sys\nif os.path.exists('asked.log') and not os.path.exists('go'): sys.exit(3)\n"));
    let ran = project.onsager(&["run", "e.yaml"]);
    assert_eq!(ran.status, 2, "{}", ran.stdout);
    assert!(
        ran.stderr.ends_with(
            "error: the search's command `python3 ask.py` failed: exit status: 3; its points so far are kept, so the same `run` \
             asks again\n"
        ),
        "{}",
        ran.stderr
    );
    assert_eq!(planned(&project).len(), 5);
    project.write("go", "");
    let ran = project.onsager(&["run", "e.yaml"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stdout.ends_with("7 tasks: 2 executed, 5 cached, 0 failed\n"), "{}", ran.stdout);
    let state = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    assert_eq!(state(&project.read("searches/e.json")), state(&whole));
}

#[test]
fn the_value_of_a_point_is_the_mean_over_the_rest_of_the_sweep() {
    let sweep = format!(
        "{}  grid: {{seed: [1, 2]}}\n",
        SEARCH.replace("points: 7", "points: 4").replace("batch: 2", "batch: 1")
    );
    let (project, ran) = searched(&sweep);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(project.read("asked.log"), "3 1 7 minimize\n");
    assert_eq!(planned(&project).len(), 8);
    assert_eq!(planned(&project)[6..], ["search=4,seed=1", "search=4,seed=2"]);
}

#[test]
fn wrong_searches_and_answers_say_what_is_wrong() {
    let told =
        refused(&SEARCH.replace("metric: loss", "metric: los").replace("goal: minimize", "goal: least"));
    assert!(
        told.starts_with(
            "error: `goal` must be `minimize` or `maximize`, but is `least`\n  --> e.yaml:11:11\n"
        ),
        "{told}"
    );
    let told = refused(&SEARCH.replace("metric: loss", "metric: los"));
    assert!(told.starts_with("error: there is no metric `los` to search by\n  --> e.yaml:10:13\n"), "{told}");
    assert!(told.contains("= help: did you mean `loss`?"), "{told}");
    let told = refused("  search: {points: 3}\n");
    for missing in ["ask", "metric", "goal", "params"] {
        assert!(told.contains(&format!("has no `{missing}`")), "{missing}: {told}");
    }
    let answer = |answer: &str| {
        let project = project(SEARCH);
        project.write("ask.py", &format!("print('''{answer}''')\n"));
        let ran = project.onsager(&["run", "e.yaml"]);
        (ran.status, ran.stderr.lines().last().unwrap_or("").to_owned())
    };
    let (status, told) = answer("[{\"y\": 1}]");
    assert_eq!(status, 2);
    assert!(
        told.contains("wrote no list of points: point 1 is not of `x`; it must write for example `[{\"x\":"),
        "{told}"
    );
    assert!(answer("nothing").1.contains("wrote no list of points: expected"), "{}", answer("nothing").1);
    // Nothing more to ask for ends it.
    let (status, told) = answer("[]");
    assert_eq!(status, 0, "{told}");
    let project = project(SEARCH);
    project.write("searches/e.json", "{");
    let told = project.onsager(&["plan", "e.yaml"]).stderr;
    assert!(
        told.contains("cannot read the state of the search, `")
            && told.contains("remove it to begin the search anew"),
        "{told}"
    );
}

#[test]
fn an_experiment_drops_a_metric() {
    let project =
        project("  grid: {x: [1, 2]}\nmetrics: {loss: null, other: {from: fit.json, field: loss}}\n");
    project.onsager(&["run", "e.yaml"]);
    let document: Value =
        serde_json::from_str(&project.onsager(&["compare", "--json", "e.yaml"]).stdout).expect("JSON");
    assert_eq!(document["metrics"], json!(["other"]));
    let told = refused("  grid: {x: [1, 2]}\nmetrics: {los: null}\n");
    assert!(
        told.starts_with("error: the pipeline has no metric `los` to drop\n --> e.yaml:5:11\n"),
        "{told}"
    );
    assert!(told.contains("= help: did you mean `loss`?"), "{told}");
}

#[test]
fn points_are_joined_in_one_table() {
    let joined = "  grid: {x: [1, 2], seed: [1, 2]}\nstages:\n  all:\n    kind: table\n    inputs: {fit: fit.json}\n    params: \
                  {average: {by: [x], values: [loss]}, columns: [{column: x}, {column: loss}, {column: n}]}\n  copy:\n    kind: \
                  command\n    inputs: {table: all.csv}\n    run: cp ${inputs.table} ${outputs.o}\n    outputs: {o: o.csv}\n";
    let project = project(joined);
    let ran = project.onsager(&["run", "e.yaml"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(
        project.read("artifacts/e/copy/o.csv"),
        "x,loss,loss_lower,loss_upper,n\n1,4,4,4,2\n2,1,1,1,2\n"
    );
    // A further point computes itself and what joins it, no more.
    project.write("e.yaml", &project.read("e.yaml").replace("x: [1, 2]", "x: [1, 2, 3]"));
    let ran = project.onsager(&["run", "e.yaml"]);
    assert!(ran.stdout.ends_with("8 tasks: 4 executed, 4 cached, 0 failed\n"), "{}", ran.stdout);
    assert!(project.read("artifacts/e/copy/o.csv").ends_with("3,0,0,0,2\n"));
    let told = |from: &str, to: &str| refused(&joined.replace(from, to));
    let text = told("fit: fit.json", "fit: fitt.json");
    assert!(text.starts_with("error: there is no stage `fitt`\n --> e.yaml:8:19\n"), "{text}");
    let text = told("  all:", "  fit:");
    assert!(text.starts_with("error: `fit` is a stage of the pipeline already\n --> e.yaml:6:3\n"), "{text}");
    let text = told("kind: table\n", "kind: table\n    matrix: {a: [1]}\n");
    assert!(text.contains("a stage of an experiment has no `matrix`"), "{text}");
    let text = told("all.csv", "all.cvs");
    assert!(
        text.contains("stage `all` has no output `cvs`") && text.contains("did you mean `csv`?"),
        "{text}"
    );
}
