//! Claims: what a pipeline says of its numbers, and what a run makes of it.

mod common;

use common::Project;
use serde_json::{Value, json};

const PIPELINE: &str = r#"name: p
params: {slope: 0.51, seed: 1}
stages:
  fit:
    kind: command
    run: |
      printf 'system,slope,low,high\nfree,${params.slope},0.49,0.53\n' > ${outputs.slopes}
      printf 'model,seed,score\na,1,1\na,2,5\na,3,9\nb,1,2\nb,2,6\nb,3,10.3\n' > ${outputs.scores}
    outputs: {slopes: slopes.csv, scores: scores.csv}
  other: {kind: command, run: 'echo "{\"x\": 3}" > ${outputs.json}', outputs: {json: x.json}}
metrics:
  free.slope: {from: fit.slopes, column: slope, where: {system: free}, lower: low, upper: high}
  a.score: {from: fit.scores, column: score, where: {model: a}, aggregate: mean}
  b.score: {from: fit.scores, column: score, where: {model: b}, aggregate: mean}
  x: {from: other.json, field: x}
claims:
  - free.slope within 0.5 ± 0.02
  - {name: better, claim: a.score < b.score with p < 0.05, text: a is better}
  - min over seeds of b.score >= 2
  - free.slope in its interval of 0.5
  - x > 2 * free.slope
"#;

fn outcomes(claims: &Value) -> Vec<&str> {
    claims.as_array().unwrap().iter().map(|claim| claim["outcome"].as_str().unwrap()).collect()
}

#[test]
fn every_run_tells_what_became_of_them() {
    let project = Project::new(PIPELINE);
    for _ in 0..2 {
        let ran = project.run(&["--check-claims"]);
        assert_eq!((ran.status, ran.stdout.starts_with("5 claims: 5 hold\n")), (0, true), "{}", ran.stdout);
        assert_eq!(ran.stdout.lines().last().map(|line| line.starts_with("2 tasks: ")), Some(true));
    }
    let judged = project.events_of("claims-judged");
    assert_eq!(judged.len(), 2, "also in the record of a run that found nothing to do");
    assert_eq!(judged[1]["claims"], judged[0]["claims"]);
    let second = &judged[0]["claims"][1];
    assert_eq!(
        (&second["name"], &second["text"], &second["reached"]),
        (
            &json!("better"),
            &json!("a is better"),
            &json!(
                "a.score is 5.0 ± 9.9, b.score is 6 ± 10; p = 0.0082 (paired t-test over 3 seeds, two-sided)"
            )
        )
    );
}

#[test]
fn one_that_fails_says_where_it_stands_and_by_how_much() {
    let project = Project::new(PIPELINE);
    let ran = project.run(&["--set", "slope=0.47"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let line = "pipeline.yaml:17:5: `free.slope within 0.5 ± 0.02` fails: free.slope is 0.470 [0.490, 0.530], 0.0100 outside\n";
    assert!(ran.stdout.contains(line), "{}", ran.stdout);
    assert!(ran.stdout.contains("\n5 claims: 4 hold, 1 failed\n"), "{}", ran.stdout);
    // Nothing is computed, and the exit code says it all the same.
    let (document, status) = project.run_json(&["--set", "slope=0.47", "--check-claims"]);
    assert_eq!((status, &document["exit"]), (3, &json!(3)));
    assert_eq!(outcomes(&document["claims"]), ["fails", "holds", "holds", "holds", "holds"]);
    assert_eq!(project.run(&["--set", "slope=0.47", "--check-claims"]).status, 3, "the short way");
}

#[test]
fn what_a_run_does_not_compute_is_stale() {
    let project = Project::new(PIPELINE);
    let ran = project.run(&["fit", "--check-claims"]);
    assert_eq!(ran.status, 3, "{}", ran.stderr);
    let line = "pipeline.yaml:21:5: `x > 2 * free.slope` is stale: the run has no result of `other`\n";
    assert!(ran.stdout.contains(line), "{}", ran.stdout);
    assert!(ran.stdout.contains("\n5 claims: 4 hold, 1 stale\n"), "{}", ran.stdout);
}

#[test]
fn a_claim_that_cannot_be_read_is_shown_with_its_place() {
    let refused = |from: &str, to: &str| {
        let ran = Project::new(&PIPELINE.replace(from, to)).run(&[]);
        assert_eq!(ran.status, 2, "{}", ran.stdout);
        ran.stderr
    };
    let missing = refused("within 0.5 ± 0.02", "within 0.5");
    assert!(missing.contains("the claim cannot be read: `±` and a number are missing"), "{missing}");
    let unknown = refused("a.score < b.score with", "a.scores < b.score with");
    assert!(unknown.contains("there is no metric `a.scores`"), "{unknown}");
    assert!(
        unknown.contains("did you mean `a.score`?") && unknown.contains("pipeline.yaml:18:27"),
        "{unknown}"
    );
    let word = refused("x > 2 * free.slope", "x is free.slope");
    assert!(word.contains("the claim cannot be read: `is` is not expected here"), "{word}");
    assert!(word.contains("pipeline.yaml:21:7"), "{word}");
    let field = refused("text: a is better", "txt: a is better");
    assert!(field.contains("unknown field `txt`") && field.contains("did you mean `text`?"), "{field}");
}

#[test]
fn over_the_seeds_of_an_experiment() {
    let project = Project::new(PIPELINE);
    project.write(
        "e.yaml",
        "name: e\npipeline: pipeline.yaml\ntasks: [fit]\nsweep: {grid: {slope: [0.5, 0.6], seed: [1, 2]}}\n\
         claims: [mean over seeds of free.slope < 0.55]\n",
    );
    let ran = project.onsager(&["run", "e.yaml", "--json"]);
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    let claims = document["claims"].as_array().unwrap();
    let says: Vec<&str> = claims.iter().map(|claim| claim["claim"].as_str().unwrap()).collect();
    assert!(
        !says.contains(&"x > 2 * free.slope"),
        "of what the experiment leaves out nothing is claimed: {says:?}"
    );
    let own = claims.last().unwrap();
    assert_eq!((&own["file"], &own["outcome"]), (&json!("e.yaml"), &json!("fails")), "{own:#}");
    assert_eq!(own["reached"], "slope=0.6: the mean free.slope is 0.600: off by 0.0500");
}

#[test]
fn values_and_the_report_of_the_run_have_them() {
    let with_values =
        PIPELINE.replace("metrics:\n", "  values: {kind: values, params: {metrics: [a.*, b.*]}}\nmetrics:\n");
    let project = Project::new(&with_values);
    let ran = project.run(&[]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let document: Value = serde_json::from_str(&project.read("artifacts/p/values/values.json")).unwrap();
    assert_eq!(outcomes(&document["claims"]), ["holds", "holds"], "those whose numbers it has");
    let tex = project.read("artifacts/p/values/values.tex");
    let better = "\\onsager@claim{better}{holds}{a is better (\\texttt{a.score < b.score with p < 0.05})}{a.score is 5.0 $\\pm$ 9.9, ";
    assert!(tex.contains(better), "{tex}");
    let ran = project.onsager(&["report", "-o", "run.html"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let page = project.read("run.html");
    assert!(
        page.contains("<h2 id=\"claims\">Claims</h2>") && page.contains("a is better"),
        "the page has no claims"
    );
    assert!(page.contains("pipeline.yaml:18:5"));
}

#[cfg(feature = "science")]
#[test]
fn the_page_of_a_pipeline_shows_them() {
    let stages = "  values: {kind: values, params: {metrics: [a.*, b.*]}}\n  page: {kind: report, inputs: {claims: values.json}, \
                  params: {title: T, sections: [{heading: H, tables: [claims]}]}}\nmetrics:\n";
    let project = Project::new(&PIPELINE.replace("metrics:\n", stages));
    let ran = project.run(&[]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let page = project.read("artifacts/p/page/report.html");
    assert!(page.contains("a is better (a.score &lt; b.score with p &lt; 0.05)"), "{page}");
    assert!(page.contains("p = 0.0082 (paired t-test over 3 seeds, two-sided)"), "{page}");
    // What the numbers were read from has a place there, which the marks of a text lead to.
    let document: Value = serde_json::from_str(&project.read("artifacts/p/values/values.json")).unwrap();
    for source in document["sources"].as_object().unwrap().values() {
        let place = &source["sha256"][0].as_str().unwrap()[..7];
        assert!(page.contains(&format!("<tr id=\"{place}\"><td>fit.scores, by values.json</td>")), "{page}");
    }
}
