//! The kind `values`: numbers, figures and tables for a text.

mod common;

use common::Project;
use serde_json::Value;
use std::process::Command;

const PIPELINE: &str = r#"name: p
params: {slope: 0.498765, seed: 1}
stages:
  fit:
    kind: command
    run: |
      printf 'system,slope,low,high\nfree,${params.slope},0.488765,0.508765\nharmonic,-1.25e-7,,\n' > ${outputs.slopes}
      echo '{"test": {"accuracy": 0.9123, "error": 0.004}, "count": ${params.seed}0000000, "model": "a_b"}' > ${outputs.json}
    outputs: {slopes: slopes.csv, json: fit.json}
  drawn:
    kind: command
    run: |
      printf '%%PDF-1.4 not a real one' > ${outputs.pdf}
      printf '\\begin{table}\\begin{tabular}{l}a\\end{tabular}\\end{table}' > ${outputs.latex}
    outputs: {pdf: law.pdf, latex: slopes.tex}
  values:
    kind: values
    inputs: {law: drawn.pdf, slopes: drawn.latex}
metrics:
  free.slope: {from: fit.slopes, column: slope, where: {system: free}, lower: low, upper: high, about: the slope}
  harmonic.slope: {from: fit.slopes, column: slope, where: {system: harmonic}, unit: "m^2/s"}
  accuracy: {from: fit.json, field: test.accuracy, error: test.error, form: percent, decimals: 1}
  count: {from: fit.json, field: count, thousands: true}
  model: {from: fit.json, field: model}
"#;

fn finished(pipeline: &str) -> Project {
    let project = Project::new(pipeline);
    let ran = project.run(&[]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    project
}

fn values(project: &Project) -> Value {
    serde_json::from_str(&project.read("artifacts/p/values/values.json")).unwrap()
}

#[test]
fn numbers_have_values_intervals_units_and_sources() {
    let project = finished(PIPELINE);
    let found = values(&project);
    let slope = &found["values"]["free.slope"];
    assert_eq!(slope["value"], 0.498765);
    assert_eq!((&slope["lower"], &slope["upper"]), (&0.488765.into(), &0.508765.into()));
    assert_eq!((&slope["text"], &slope["about"]), (&"0.499".into(), &"the slope".into()));
    let id = slope["source"].as_str().unwrap();
    assert_eq!(found["sources"][id]["from"], "fit.slopes");
    assert!(found["sources"][id]["sha256"][0].as_str().unwrap().starts_with(id));
    let text = |name: &str| found["values"][name]["text"].as_str().unwrap().to_owned();
    assert_eq!(text("harmonic.slope"), "-1.25\\times10^{-7}\\,\\mathrm{m^2/s}");
    assert_eq!(text("accuracy"), "91.2\\,\\%");
    assert_eq!(text("count"), "10\\,000\\,000");
    assert_eq!(text("model"), "a\\_b");
    let error = 0.004 * 1.959_963_984_540_054;
    assert_eq!(found["values"]["accuracy"]["upper"], 0.9123 + error);
    assert_eq!(found["figures"]["law"]["file"], "files/law.pdf");
    assert_eq!(found["tables"]["slopes"]["floats"], true);
    assert!(project.read("artifacts/p/values/files/slopes.tex").starts_with("\\begin{table}"));
}

#[test]
fn latex_gets_digits_intervals_and_files() {
    let tex = finished(PIPELINE).read("artifacts/p/values/values.tex");
    for line in [
        "{\\ensuremath{0.499}}{\\ensuremath{0.499 \\pm 0.010}}{}%\n",
        "\\onsager@digits{free.slope}{4}{\\ensuremath{0.4988}}%\n",
        "\\onsager@digits{accuracy}{2}{\\ensuremath{91\\,\\%}}%\n",
        "{\\ensuremath{(91.23 \\pm 0.78)\\,\\%}}{}%\n",
        "{\\ensuremath{\\mathrm{m^2/s}}}%\n",
        "{files/slopes.tex}{float}%\n",
    ] {
        assert!(tex.contains(line), "{line} is not in\n{tex}");
    }
    assert!(!tex.contains("\\onsager@digits{model}"), "a text has no digits");
}

#[test]
fn only_what_is_read_makes_it_run_again() {
    let project = finished(PIPELINE);
    assert_eq!(project.executed(&[]), Vec::<String>::new());
    // Another slope is another table; the metrics are in the key, and a comment is not.
    assert_eq!(project.executed(&["--set", "slope=0.5"]), ["fit", "values"]);
    project.write("pipeline.yaml", &PIPELINE.replace("thousands: true", "thousands: false"));
    assert_eq!(project.executed(&[]), ["values"]);
    project.write("pipeline.yaml", &format!("# A comment.\n{PIPELINE}"));
    assert_eq!(project.executed(&[]), Vec::<String>::new());
}

#[test]
fn some_metrics_can_be_chosen() {
    let chosen = PIPELINE
        .replace("inputs: {law: drawn.pdf, slopes: drawn.latex}", "params: {metrics: [free.*, count]}");
    let project = finished(&chosen);
    let names: Vec<String> = values(&project)["values"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(names, ["count", "free.slope"]);
    let wrong = Project::new(&chosen.replace("free.*, count", "free.*, cuont")).run(&[]);
    assert_eq!(wrong.status, 2);
    assert!(wrong.stderr.contains("there is no metric `cuont`"), "{}", wrong.stderr);
    assert!(wrong.stderr.contains("did you mean `count`?"), "{}", wrong.stderr);
}

#[test]
fn over_the_points_of_a_sweep_seeds_are_averaged() {
    let project = Project::new(
        &PIPELINE
            .replace("  values:\n    kind: values\n    inputs: {law: drawn.pdf, slopes: drawn.latex}\n", ""),
    );
    project.write(
        "e.yaml",
        "name: e\npipeline: pipeline.yaml\nsweep: {grid: {slope: [0.5, 0.6], seed: [1, 2, 3]}}\n\
         stages:\n  values: {kind: values, params: {metrics: [count]}}\n",
    );
    let ran = project.onsager(&["run", "e.yaml"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let found: Value = serde_json::from_str(&project.read("artifacts/e/values/values.json")).unwrap();
    let count = &found["values"]["count[slope=0.5]"];
    assert_eq!(count["value"], 2e7, "{found:#}");
    assert_eq!(count["samples"][2], serde_json::json!(["seed=3", 3e7]));
    // Student's t with two degrees of freedom: 4.303 · 10⁷/√3.
    assert!((count["upper"].as_f64().unwrap() - 2e7 - 4.302_652_73e7 / 3f64.sqrt()).abs() < 1.0);
}

#[test]
fn what_is_wrong_is_told_where_it_stands() {
    let refused = |from: &str, to: &str| {
        let ran = Project::new(&PIPELINE.replace(from, to)).run(&[]);
        assert_eq!(ran.status, 2, "{}", ran.stdout);
        ran.stderr
    };
    let half = refused("lower: low, ", "");
    assert!(half.contains("metric `free.slope` has half an interval, or two"), "{half}");
    let form = refused("form: percent", "form: percnt");
    assert!(form.contains("there is no form `percnt`") && form.contains("did you mean `percent`?"), "{form}");
    let name = refused("  count:", "  .count:");
    assert!(name.contains("`.count` cannot be the name of a metric"), "{name}");

    let failed = |from: &str, to: &str| {
        let ran = Project::new(&PIPELINE.replace(from, to)).run(&[]);
        assert_eq!(ran.status, 1, "{}", ran.stdout);
        ran.stderr
    };
    let missing = failed("field: count", "field: cuont");
    assert!(
        missing
            .contains("metric `count` has no value: `fit.json` has no field `cuont`; did you mean `count`?"),
        "{missing}"
    );
    let svg = failed("printf '%%PDF-1.4 not a real one'", "echo '<svg/>'");
    assert!(
        svg.contains("input `law` is an SVG, which LaTeX cannot include; give the PDF: `law: drawn.pdf`"),
        "{svg}"
    );
}

/// LaTeX in the folder of a project; none where it is not installed.
fn latex(project: &Project, text: &str) -> Option<(bool, String)> {
    if Command::new("pdflatex").arg("--version").output().is_err() {
        println!("skipped: there is no `pdflatex`");
        return None;
    }
    project.write("artifacts/p/values/text.tex", text);
    let mut command = Command::new("pdflatex");
    command.args(["-interaction=nonstopmode", "-file-line-error", "text.tex"]);
    command.current_dir(project.path("artifacts/p/values")).env("max_print_line", "1000");
    let ran = command.output().unwrap();
    Some((ran.status.success(), String::from_utf8_lossy(&ran.stdout).into_owned()))
}

#[test]
fn latex_typesets_the_numbers_and_knows_what_was_meant() {
    let project = finished(
        &PIPELINE.replace("inputs: {law: drawn.pdf, slopes: drawn.latex}", "inputs: {slopes: drawn.latex}"),
    );
    let text = |body: &str| {
        format!(
            "\\documentclass{{article}}\n\\usepackage{{onsager}}\n\\begin{{document}}\n{body}\n\\end{{document}}\n"
        )
    };
    let body = "\\onsager{free.slope} $\\onsager[5]{free.slope}$ \\onsagerpm{accuracy} \\onsager{model}\n\
                \\onsagertable{slopes} \\onsagersources";
    let Some((sound, log)) = latex(&project, &text(body)) else { return };
    assert!(sound, "{log}");
    let (sound, log) =
        latex(&project, &text("\\onsager{fre.slope}\n\\onsagerpm{count}\n\\onsager[12]{count}")).unwrap();
    assert!(!sound);
    for line in [
        "./text.tex:4: Package onsager Error: There is no value `fre.slope'; did you mean `free.slope'?",
        "./text.tex:5: Package onsager Error: `count' has no interval.",
        "./text.tex:6: Package onsager Error: `count' cannot have `12' digits.",
    ] {
        assert!(log.contains(line), "{line} is not in\n{log}");
    }
}

/// Where a source is on a page: the first digits of its first artifact's digest.
fn places(document: &Value) -> Vec<String> {
    let sources = document["sources"].as_object().unwrap().values();
    sources.map(|source| source["sha256"][0].as_str().unwrap()[..7].to_owned()).collect()
}

#[test]
fn the_page_of_the_run_has_a_place_for_every_source() {
    let project = finished(PIPELINE);
    assert_eq!(project.onsager(&["report", "-o", "run.html"]).status, 0);
    let page = project.read("run.html");
    let places = places(&values(&project));
    assert_eq!(places.len(), 4);
    for place in places {
        assert_eq!(page.matches(&format!(" id=\"{place}\"")).count(), 1, "{place}");
    }
}

#[test]
fn marks_lead_to_the_page() {
    let project = finished(
        &PIPELINE.replace("inputs: {law: drawn.pdf, slopes: drawn.latex}", "inputs: {slopes: drawn.latex}"),
    );
    let text = "\\documentclass{article}\n\\pdfcompresslevel=0\\pdfobjcompresslevel=0\n\\usepackage{hyperref}\n\
                \\usepackage[links]{onsager}\n\\onsagerpage{https://example.org/run.html}\n\
                \\begin{document}\n\\onsager{free.slope} \\onsagertable{slopes}\n\\end{document}\n";
    let Some((sound, log)) = latex(&project, text) else { return };
    assert!(sound, "{log}");
    let pdf = std::fs::read(project.path("artifacts/p/values/text.pdf")).unwrap();
    let pdf = String::from_utf8_lossy(&pdf);
    let document = values(&project);
    for id in [&document["values"]["free.slope"]["source"], &document["tables"]["slopes"]["source"]] {
        let place = &document["sources"][id.as_str().unwrap()]["sha256"][0].as_str().unwrap()[..7];
        assert!(pdf.contains(&format!("(https://example.org/run.html#{place})")), "{place}");
    }
}
