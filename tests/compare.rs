//! `compare`: metrics of experiments and runs in one table.

mod common;

use common::Project;
use serde_json::{Value, json};

const PIPELINE: &str = r#"name: p
params: {tubes: 40, seed: 1}
stages:
  fit:
    kind: command
    run: 'echo "{\"law\": {\"slope\": $((${params.tubes} + ${params.seed}))}}" > ${outputs.json}'
    outputs: {json: fit.json}
  table:
    kind: command
    run: 'printf "system,r\nfree,0.5\nharmonic,${params.seed}\n" > ${outputs.csv}'
    outputs: {csv: table.csv}
metrics:
  slope: {from: fit.json, field: law.slope}
  r: {from: table.csv, column: r, where: {system: harmonic}}
"#;

const SWEEP: &str = "\
name: e
pipeline: pipeline.yaml
sweep:
  grid: {tubes: [40, 60], seed: [1, 2, 3]}
";

fn finished() -> Project {
    let project = Project::new(PIPELINE);
    project.write("e.yaml", SWEEP);
    let ran = project.onsager(&["run", "e.yaml"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    project
}

fn compare(project: &Project, arguments: &[&str]) -> String {
    let ran = project.onsager(&[&["compare"], arguments].concat());
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    ran.stdout
}

fn refused(project: &Project, arguments: &[&str]) -> String {
    let ran = project.onsager(&[&["compare"], arguments].concat());
    assert_eq!(ran.status, 2, "{}", ran.stdout);
    ran.stderr
}

#[test]
fn the_mean_over_seeds_with_its_interval() {
    // Three seeds: the half-width is t(0.975, 2) s/√3 = 4.303 · 1/√3 = 2.48.
    assert_eq!(
        compare(&finished(), &["e.yaml"]),
        "\
tubes  n       slope          r
   40  3  42.0 ± 2.5  2.0 ± 2.5
   60  3  62.0 ± 2.5  2.0 ± 2.5
"
    );
}

#[test]
fn rows_are_chosen_and_sorted() {
    let project = finished();
    assert_eq!(
        compare(
            &project,
            &["e.yaml", "--each", "--where", "tubes>=60", "--sort", "-slope", "--columns", "seed,slope"]
        ),
        "seed  slope\n   3     63\n   2     62\n   1     61\n"
    );
    assert_eq!(
        compare(&project, &["e.yaml", "--over", "tubes", "--where", "slope<52", "--columns", "seed,n"]),
        "seed  n\n   1  2\n"
    );
    assert_eq!(
        refused(&project, &["e.yaml", "--sort", "slop"]),
        "error: there is no column `slop`; did you mean `slope`?\n"
    );
    assert_eq!(
        refused(&project, &["e.yaml", "--over", "sed"]),
        "error: there is no parameter `sed` to average over; did you mean `seed`?\n"
    );
    assert_eq!(
        refused(&project, &["e.yaml", "--where", "tubes"]),
        "error: `tubes` is no condition; write for example `tubes>=40`, with one of < <= = != >= >\n"
    );
}

#[test]
fn the_forms_of_the_table() {
    let project = finished();
    let form = |format: &str| compare(&project, &["e.yaml", "--columns", "tubes,n", "--format", format]);
    assert_eq!(form("csv"), "tubes,n\n40,3\n60,3\n");
    assert_eq!(form("markdown"), "| tubes | n |\n| ---: | ---: |\n| 40 | 3 |\n| 60 | 3 |\n");
    assert!(
        form("latex").contains("    \\toprule\n    tubes & n \\\\\n    \\midrule\n    $40$ & $3$ \\\\\n")
    );
    let csv = compare(&project, &["e.yaml", "--columns", "slope", "--format", "csv"]);
    assert_eq!(csv.lines().next(), Some("slope,slope_lower,slope_upper"));
    assert_eq!(
        refused(&project, &["e.yaml", "--format", "parquet"]),
        "error: Parquet is no text: add `--output FILE`\n"
    );
    assert_eq!(compare(&project, &["e.yaml", "--format", "parquet", "-o", "t.parquet"]), "");
    let bytes = std::fs::read(project.path("t.parquet")).expect("a file");
    assert_eq!(&bytes[..4], b"PAR1");
}

#[test]
fn the_document() {
    let project = finished();
    let text = compare(&project, &["e.yaml", "--json", "--where", "tubes=40"]);
    let document: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(document["parameters"], json!(["tubes"]));
    assert_eq!(document["metrics"], json!(["slope", "r"]));
    assert_eq!(document["over"], json!(["seed"]));
    assert_eq!(document["missing"], json!([]));
    let row = &document["rows"][0];
    assert_eq!(row["params"], json!({"tubes": 40}));
    assert_eq!(row["points"], json!(["tubes=40,seed=1", "tubes=40,seed=2", "tubes=40,seed=3"]));
    assert_eq!(row["metrics"]["slope"]["value"], json!(42.0));
    assert_eq!(row["metrics"]["slope"]["values"], json!([41, 42, 43]));
}

#[test]
fn what_is_not_finished_is_listed_and_nothing_stale_is_shown() {
    let project = Project::new(PIPELINE);
    project.write("e.yaml", SWEEP);
    project.onsager(&["run", "e.yaml", "tubes=40,seed=1", "tubes=60,seed=2"]);
    assert_eq!(
        compare(&project, &["e.yaml", "--columns", "tubes,seed,slope", "--each"]),
        "\
tubes  seed  slope
   40     1     41
   60     2     62
not finished: 4 points
  tubes=40,seed=2
  tubes=40,seed=3
  tubes=60,seed=1
  tubes=60,seed=3
"
    );
    // Another command: what is in the view is the result of the old one.
    project.write("pipeline.yaml", &PIPELINE.replace("slope\\\": $", "slope\\\": 1$"));
    let text = compare(&project, &["e.yaml"]);
    assert!(text.starts_with("nothing is finished yet\nnot finished: 6 points\n"), "{text}");
}

#[test]
fn a_pipeline_shows_its_runs() {
    let project = Project::new(PIPELINE);
    for set in ["tubes=40", "tubes=60", "tubes=50", "tubes=40"] {
        assert_eq!(project.run(&["--set", set]).status, 0);
    }
    // Run again with the same parameters: one row, at its latest place. The view shows the last run alone.
    assert_eq!(
        compare(&project, &["pipeline.yaml", "--columns", "tubes,slope"]),
        "tubes  slope\n   60     61\n   50     51\n   40     41\n"
    );
}

#[test]
fn several_rows_need_a_choice() {
    let project = finished();
    let with = |metric: &str| {
        let metric = format!("{SWEEP}metrics:\n  r: {metric}\n");
        project.write("f.yaml", &metric.replace("name: e", "name: f"));
        project.onsager(&["run", "f.yaml"]);
    };
    let told = |metric: &str| {
        with(metric);
        let text = compare(&project, &["f.yaml", "--each", "--where", "tubes=40", "--where", "seed=1"]);
        text.lines().skip(1).take(2).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(
        told("{from: table.csv, column: r}"),
        "   40     1     41  –\n`r` of 6 of 6 points: 2 rows of `table.csv` where one is needed; choose one with `where`, or add \
         `aggregate: mean`, `min`, `max` or `last`"
    );
    assert_eq!(
        told("{from: table.csv, column: r, where: {system: fre}}"),
        "   40     1     41  –\n`r` of 6 of 6 points: no row of `table.csv` passes `where`: `system` is never `fre`; did you mean \
         `free`?"
    );
    assert_eq!(
        told("{from: fit.json, field: law.slop}"),
        "   40     1     41  –\n`r` of 6 of 6 points: `fit.json` has no field `law.slop`; did you mean `slope`?"
    );
    with("{from: table.csv, column: r, aggregate: max}");
    assert_eq!(
        compare(&project, &["f.yaml", "--each", "--where", "tubes=40", "--columns", "seed,r"]),
        "seed      r\n   1  1.000\n   2  2.000\n   3  3.000\n"
    );
}

/// Eight points, of which one writes NaN, as Python does, and one another field.
const LOSSES: &str = r#"name: p
params: {lr: 1, seed: 1}
stages:
  train:
    kind: command
    run: |
      case ${params.lr} in
        3) echo '{"loss": NaN}' ;;
        5) echo '{"los": 1}' ;;
        *) echo '{"loss": 0.${params.lr}}' ;;
      esac > ${outputs.json}
    outputs: {json: fit.json}
metrics:
  loss: {from: train.json, field: loss}
"#;

#[test]
fn one_bad_value_hides_no_other() {
    let project = Project::new(LOSSES);
    project.write(
        "e.yaml",
        "name: e\npipeline: pipeline.yaml\nsweep: {grid: {lr: {from: 1, to: 8, steps: 8}}}\n",
    );
    assert_eq!(project.onsager(&["run", "e.yaml"]).status, 0);
    assert_eq!(
        compare(&project, &["e.yaml", "--sort", "-loss"]),
        "\
lr    loss
 8  0.8000
 7  0.7000
 6  0.6000
 4  0.4000
 2  0.2000
 1  0.1000
 3     NaN
 5       –
`loss` of 1 of 8 points: it is not finite, but NaN
  lr=3
`loss` of 1 of 8 points: `train.json` has no field `loss`; did you mean `los`?
  lr=5
"
    );
    let document: Value = serde_json::from_str(&compare(&project, &["e.yaml", "--json"])).expect("JSON");
    assert_eq!(document["rows"].as_array().map(Vec::len), Some(8));
    for (at, metric) in
        [(2, "it is not finite, but NaN"), (4, "`train.json` has no field `loss`; did you mean `los`?")]
    {
        assert_eq!(document["rows"][at]["metrics"]["loss"]["value"], Value::Null);
        let note =
            document["notes"].as_array().and_then(|notes| notes.iter().find(|note| note["reason"] == metric));
        assert_eq!(note.map(|note| &note["point"]), Some(&json!(format!("lr={}", at + 1))));
    }
    assert_eq!(document["missing"], json!([]));
    // Where no point has a value, the metric is wrong.
    project.write("pipeline.yaml", &LOSSES.replace("field: loss", "field: lost"));
    assert!(refused(&project, &["e.yaml"]).starts_with(
        "error: no metric has a value at any point: `loss`: `train.json` has no field `lost`; did you mean `loss`?"
    ));
}

#[test]
fn the_mean_over_seeds_tells_what_it_is_of() {
    let pipeline = LOSSES
        .replace("case ${params.lr} in", "case ${params.lr}${params.seed} in")
        .replace("3)", "12)")
        .replace("5)", "22)");
    let project = Project::new(&pipeline);
    project
        .write("e.yaml", "name: e\npipeline: pipeline.yaml\nsweep: {grid: {lr: [1, 2, 3], seed: [1, 2]}}\n");
    assert_eq!(project.onsager(&["run", "e.yaml"]).status, 0);
    let text = compare(&project, &["e.yaml", "--sort", "loss", "--format", "csv"]);
    let rows: Vec<&str> = text.lines().map(|line| line.rsplitn(3, ',').last().unwrap_or("")).collect();
    // One that is not a number makes the mean that; a missing one is not counted.
    assert_eq!(rows, ["lr,n,loss", "2,1,0.2", "3,2,0.3", "1,2,NaN"], "{text}");
}

#[test]
fn a_condition_that_keeps_nothing_is_told() {
    let project = finished();
    assert_eq!(
        compare(&project, &["e.yaml", "--where", "tubes>400", "--columns", "tubes"]),
        "tubes\nno row is left: none of 2 passes `tubes>400`\n"
    );
    assert_eq!(
        refused(&project, &["e.yaml", "--where", "tubes>many"]),
        "error: `tubes` holds numbers, and `many` is none; write for example `tubes>=40`\n"
    );
    assert_eq!(
        refused(&project, &["e.yaml", "--where", "tubes>>1"]),
        "error: `tubes>>1` is no condition; write for example `tubes>=40`, with one of < <= = != >= >\n"
    );
}

#[test]
fn numbers_in_a_column_that_are_not_finite_are_shown() {
    let project = Project::new(
        "name: p\nparams: {a: last}\nstages:\n  t:\n    kind: command\n    run: printf 'step,loss\\n1,9\\n2,nan\\n3,\\n' > \
         ${outputs.o}\n    outputs: {o: o.csv}\nmetrics:\n  last: {from: t.o, column: loss, aggregate: last}\n  \
         first: {from: t.o, column: loss, where: {step: 1}}\n  none: {from: t.o, column: loss, where: {step: 3}}\n",
    );
    assert_eq!(project.run(&[]).status, 0);
    let text = compare(&project, &["pipeline.yaml"]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], ["last  first  none", " NaN  9.000     –"]);
    assert_eq!(lines[2], "`last` of 1 of 1 point: it is not finite, but NaN");
    assert_eq!(lines[4], "`none` of 1 of 1 point: no row of `t.o` has a value of `loss`");
}

/// A project with one stage that writes this text to `t.csv`, and these metrics.
fn of_text(text: &str, metrics: &str) -> Project {
    let project = Project::new(&format!(
        "name: p\nparams: {{a: 1}}\nstages:\n  t:\n    kind: command\n    run: printf '{text}' > ${{outputs.csv}}\n    \
         outputs: {{csv: t.csv}}\nmetrics:\n{metrics}"
    ));
    assert_eq!(project.run(&[]).status, 0);
    project
}

#[test]
fn a_bad_cell_spoils_no_other_and_is_the_one_that_is_named() {
    let project = of_text(
        "s,r\\nfree,0.5\\nbound,n/a\\nfast,2\\n",
        "  free: {from: t, column: r, where: {s: free}}\n  bound: {from: t, column: r, where: {s: bound}}\n  \
         most: {from: t, column: r, aggregate: max}\n",
    );
    let text = compare(&project, &["pipeline.yaml"]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], ["  free  bound  most", "0.5000      –     –"], "{text}");
    let told = "column `r` holds the text `n/a` where numbers are needed";
    assert_eq!(lines[2], format!("`bound` of 1 of 1 point: {told}"));
    assert_eq!(lines[4], format!("`most` of 1 of 1 point: {told}"));
}

#[test]
fn a_table_that_cannot_be_read_is_called_as_in_the_pipeline() {
    let metrics = "  r: {from: t.csv, column: r}\n";
    for (text, reason) in [
        ("r\\n\\377\\n", "it is not UTF-8 text, nor Parquet; give CSV, JSON or Parquet"),
        ("r\\n1,2\\n", "line 2: 2 fields where the header has 1"),
    ] {
        let project = of_text(text, metrics);
        assert_eq!(
            refused(&project, &["pipeline.yaml"]),
            format!("error: no metric has a value at any point: `r`: cannot read `t.csv`: {reason}\n")
        );
    }
    // The words are those of another library; but no path inside the store.
    let told = refused(&of_text("PAR1", metrics), &["pipeline.yaml"]);
    assert!(told.contains("cannot read `t.csv`: ") && !told.contains(".onsager"), "{told}");
    // Of a matrix the instance is named.
    let project = Project::new(
        "name: p\nparams: {a: 1}\nstages:\n  t:\n    kind: command\n    matrix: {i: [1, 2]}\n    run: printf 'r\\n1,${matrix.i}\\n' \
         | cut -d, -f1-${matrix.i} > ${outputs.csv}\n    outputs: {csv: t.csv}\nmetrics:\n  r: {from: t.csv, column: r, \
         aggregate: max}\n",
    );
    assert_eq!(project.run(&[]).status, 0);
    assert_eq!(
        refused(&project, &["pipeline.yaml"]),
        "error: no metric has a value at any point: `r`: cannot read `t[i=2].csv`: line 2: 2 fields where the header has 1\n"
    );
}

#[test]
fn points_may_fan_out_over_different_items() {
    let project = Project::new(
        r#"name: p
params: {n: 1}
stages:
  rows:
    kind: command
    run: (echo id; seq 1 ${params.n}) > ${outputs.rows}
    outputs: {rows: rows.csv}
  each:
    kind: command
    matrix: {row: {from: rows.rows}}
    run: 'printf "v\n%s\n" $((${matrix.row.id} * 10)) > ${outputs.v}'
    outputs: {v: v.csv}
metrics:
  mean: {from: each.v, column: v, aggregate: mean}
  third: {from: each.v, column: v, where: {row: 3}}
"#,
    );
    project.write("e.yaml", "name: e\npipeline: pipeline.yaml\nsweep: {grid: {n: [1, 3]}}\n");
    let before = compare(&project, &["e.yaml"]);
    assert_eq!(before, "nothing is finished yet\nnot finished: 2 points\n  n=1\n  n=3\n");
    let ran = project.onsager(&["run", "e.yaml"]);
    assert!(
        ran.stdout.ends_with("6 tasks: 5 executed, 1 cached, 0 failed\n"),
        "{} {}",
        ran.stdout,
        ran.stderr
    );
    assert_eq!(
        compare(&project, &["e.yaml"]),
        "\
n   mean  third
1  10.00      –
3  20.00  30.00
`third` of 1 of 2 points: no row of `each.v` passes `where`: `row` is never `3`; it is `1`
  n=1
"
    );
}

/// Of 40·seed, 50·seed and 60·seed the paired differences from the first are 10 and 20 times the seed, so t = 2 √3 with two degrees
/// of freedom for both: p = 1 − t/√(2 + t²), twice that by Holm.
#[test]
fn differences_from_a_baseline_are_paired_and_corrected() {
    let project = Project::new(&PIPELINE.replace("${params.tubes} + ", "${params.tubes} * "));
    project.write("e.yaml", &SWEEP.replace("[40, 60]", "[40, 50, 60]"));
    let ran = project.onsager(&["run", "e.yaml"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let asked = ["e.yaml", "--baseline", "tubes=40", "--margin", "slope=200", "--json"];
    let document: Value = serde_json::from_str(&compare(&project, &asked)).expect("JSON");
    let t = 2.0 * 3f64.sqrt();
    let p = 1.0 - t / (2.0 + t * t).sqrt();
    assert_eq!(document["rows"][0]["metrics"]["slope"].get("versus"), None);
    for (row, difference) in [(1, 20.0), (2, 40.0)] {
        let versus = &document["rows"][row]["metrics"]["slope"]["versus"];
        let number = |field: &str| versus[field].as_f64().unwrap_or(f64::NAN);
        assert_eq!((number("difference"), &versus["pairs"]), (difference, &json!(3)));
        assert!((number("p") - p).abs() < 1e-9 && (number("p_corrected") - 2.0 * p).abs() < 1e-9, "{versus}");
        assert!(number("lower") < 0.0 && number("upper") > difference && number("p_equivalent") < 0.05);
    }
    let table = compare(&project, &["e.yaml", "--baseline", "tubes=40", "--columns", "tubes,slope_p"]);
    assert_eq!(table, "tubes  slope_p\n   40        –\n   50   0.1484\n   60   0.1484\n");
    assert_eq!(
        refused(&project, &["e.yaml", "--baseline", "tubes=41"]),
        "error: no row is the baseline: none has `tubes=41`\n"
    );
    assert_eq!(
        refused(&project, &["e.yaml", "--baseline", "tubes=40", "--margin", "slope=0"]),
        "error: `slope=0` is no margin of a metric; write for example `loss=0.1`, with a number above 0\n"
    );
}
