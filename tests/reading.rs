//! Results by name: `onsager get`, `onsager list`, and the readers for Python and R.

mod common;

use common::{Project, Ran, json_of, repository};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

const LAW: &str = "\
name: law
params: {n: 3}
stages:
  rows:
    kind: command
    matrix: {k: [1, 2], model: [a]}
    run: |
      printf 'x,y\\n1,${matrix.k}\\n2,${params.n}\\n' > ${outputs.table}
      echo '{\"n\": ${params.n}, \"list\": [1, 2]}' > ${outputs.json}
    outputs: {table: table.csv, json: facts.json}
  sum:
    kind: command
    inputs: {tables: rows.table}
    run: |
      cat ${inputs.tables} | wc -l > ${outputs.text}
      mkdir ${outputs.folder}; echo hi > ${outputs.folder}/file
    outputs: {text: sum.txt, folder: sum/}
";

/// A project with a pipeline that has run, one that has not, an experiment, and a file that is none of them.
fn project() -> Project {
    let project = Project::new("services: {}\n");
    project.write("pipelines/law.yaml", LAW);
    project.write(
        "pipelines/other.yaml",
        "name: other\nstages: {sum: {kind: command, run: 'echo > ${outputs.log}', outputs: {log: log.txt}}}\n",
    );
    project.write(
        "experiments/few.yaml",
        "name: few\npipeline: pipelines/law.yaml\nsweep: {grid: {n: [0.5, 2]}}\n",
    );
    assert_eq!(project.onsager(&["run", "pipelines/law.yaml"]).status, 0);
    project
}

fn refused(ran: &Ran, status: i32, message: &str) {
    assert_eq!((ran.status, ran.stdout.as_str()), (status, ""), "{}", ran.stderr);
    assert_eq!(ran.stderr, format!("error: {message}\n"));
}

#[test]
fn a_result_is_found_by_its_name() {
    let project = project();
    let get = |arguments: &[&str]| project.onsager(&[&["get"], arguments].concat());
    let path = |relative: &str| format!("{}\n", project.path(relative).display());
    assert_eq!(get(&["sum.text"]).stdout, path("artifacts/law/sum/sum.txt"));
    assert_eq!(get(&["sum.text", "--cat"]).stdout.trim(), "6");
    assert_eq!(get(&["sum.folder"]).stdout, path("artifacts/law/sum/sum"));
    let both =
        path("artifacts/law/rows/k=1,model=a/table.csv") + &path("artifacts/law/rows/k=2,model=a/table.csv");
    assert_eq!(get(&["rows.table"]).stdout, both);
    assert_eq!(get(&["rows[k=2].table", "--cat"]).stdout, "x,y\n1,2\n2,3\n");
    assert_eq!(get(&["sum", "--pipeline", "pipelines/other.yaml"]).status, 1, "it has not run");
    // From a folder inside the project too.
    let ran = common::ran(
        project
            .command(&["get", "sum.text"])
            .current_dir(project.path("pipelines"))
            .output()
            .expect("it starts"),
    );
    assert_eq!(ran.stdout, path("artifacts/law/sum/sum.txt"));
    let document = json_of(&project, &["get", "rows[k=1].json", "--json"]);
    assert_eq!(document[0]["labels"], serde_json::json!({"k": 1, "model": "a"}));
    assert_eq!(document[0]["current"], true);
    let experiment = ["get", "n=0.5/sum.text", "--pipeline", "experiments/few.yaml"];
    assert_eq!(project.onsager(&experiment).status, 1);
    assert_eq!(project.onsager(&["run", "experiments/few.yaml"]).status, 0);
    // A point is of the experiment alone, so that needs no naming.
    assert_eq!(get(&["n=0.5/sum.text"]).stdout, path("artifacts/few/n=0.5/sum/sum.txt"));
}

#[test]
fn what_is_out_of_date_is_refused_unless_told() {
    let project = project();
    let get = |arguments: &[&str]| project.onsager(&[&["get"], arguments].concat());
    refused(
        &get(&["rows[k=1].table", "--set", "n=4"]),
        1,
        "`rows[k=1,model=a].table` is out of date (`params.run` changed); `onsager run pipelines/law.yaml 'rows[k=1,model=a]'` \
         brings it up to date, `--stale` takes it as it is",
    );
    let stale = get(&["rows[k=1].table", "--set", "n=4", "--stale", "--cat"]);
    assert_eq!((stale.status, stale.stdout.as_str()), (0, "x,y\n1,1\n2,3\n"));
    project.write("pipelines/law.yaml", &LAW.replace("| wc -l", "| wc -c"));
    assert_eq!(get(&["sum.text"]).status, 1);
    assert_eq!(get(&["rows.table"]).status, 0, "it does not depend on the change");
    project.write("pipelines/law.yaml", LAW);
    fs::remove_file(project.path("artifacts/law/sum/sum.txt")).expect("removed");
    refused(
        &get(&["sum.text"]),
        1,
        "the copy of `sum.text` was removed or edited; `onsager run pipelines/law.yaml 'sum'` restores it",
    );
    // The store has it.
    assert_eq!(get(&["sum.text", "--cat"]).stdout.trim(), "6");
    refused(
        &get(&["sum", "--pipeline", "pipelines/other.yaml"]),
        1,
        "`sum.log` is not made yet (never executed before); `onsager run pipelines/other.yaml 'sum'` makes it",
    );
}

#[test]
fn wrong_names_say_what_there_is() {
    let project = project();
    let get = |arguments: &[&str]| project.onsager(&[&["get"], arguments].concat());
    let law = ["--pipeline", "pipelines/law.yaml"];
    refused(&get(&["sum.txt", law[0], law[1]]), 2, "`sum` has no output `txt`; did you mean `text`?");
    refused(
        &get(&["sum", law[0], law[1]]),
        2,
        "`sum` has several outputs: `folder` and `text`; write `sum.folder`",
    );
    refused(&get(&["sun.text", law[0], law[1]]), 2, "the pipeline has no stage `sun`; did you mean `sum`?");
    refused(
        &get(&["sum["]),
        2,
        "`sum[` is no result: `[` is not closed; write `stage.output` or `stage[axis=value].output`",
    );
    let none = get(&["none.text"]);
    assert_eq!(none.status, 2);
    assert!(
        none.stderr.contains("has the result `none.text`; `onsager list` shows the pipelines"),
        "{}",
        none.stderr
    );
    refused(
        &get(&["rows.table", "--cat"]),
        2,
        "`--cat` prints one result, and `rows.table` is `rows[k=1,model=a].table`, `rows[k=2,model=a].table`: name one",
    );
    // Two pipelines have it.
    project.write("pipelines/other.yaml", &LAW.replace("name: law", "name: other"));
    refused(
        &get(&["sum.text"]),
        2,
        "`sum.text` is a result of `pipelines/law.yaml`, `pipelines/other.yaml`: choose one with `--pipeline`",
    );
}

#[test]
fn the_pipelines_of_a_project_are_listed() {
    let project = project();
    project.write("pipelines/wrong.yaml", "name: wrong\nstages: {a: {kind: comand}}\n");
    project.write(
        "pipelines/failing.yaml",
        "name: failing\nstages: {a: {kind: command, run: 'false', outputs: {o: o}}}\n",
    );
    assert_eq!(project.onsager(&["run", "pipelines/failing.yaml"]).status, 1);
    let ran = project.onsager(&["list"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let lines: Vec<&str> =
        ran.stdout.lines().map(|line| line.split("; last run ").next().unwrap_or(line)).collect();
    assert_eq!(
        lines,
        [
            "pipelines/failing.yaml  0 of 1 task done, 1 failed",
            "pipelines/law.yaml      done: 3 tasks",
            "pipelines/other.yaml    0 of 1 task done; never run",
            "pipelines/wrong.yaml    wrong: line 2: there is no kind `comand`",
            "experiments/few.yaml    0 of 6 tasks done; never run",
        ]
    );
    let document = json_of(&project, &["list", "pipelines", "--json"]);
    let names: Vec<_> =
        document["files"].as_array().expect("a list").iter().map(|file| file["name"].clone()).collect();
    assert_eq!(
        names,
        ["failing", "law", "other", "", "few"].map(|name| match name {
            "" => serde_json::Value::Null,
            name => name.into(),
        })
    );
    assert_eq!(project.onsager(&["list", "none"]).status, 2);
}

/// The Python that has pandas and polars, where `.ci/setup` made one, else any.
fn python() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let own = cache.map(|cache| cache.join("onsager-checks/bin/python"));
    own.filter(|python| python.exists()).unwrap_or_else(|| "python3".into())
}

fn run_python(project: &Project, script: &str) -> Ran {
    let output = Command::new(python())
        .args(["-c", script])
        .current_dir(project.path(""))
        .env("PYTHONPATH", repository().join("clients/python"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("ONSAGER", env!("CARGO_BIN_EXE_onsager"))
        .output()
        .expect("python3");
    common::ran(output)
}

#[test]
fn python_reads_by_name() {
    let project = project();
    let ran = run_python(
        &project,
        "
import onsager_read
assert onsager_read.path('sum.text').name == 'sum.txt'
assert [path.name for path in onsager_read.paths('rows.table')] == ['table.csv', 'table.csv']
assert onsager_read.read('sum.text').strip() == '6'
assert onsager_read.read('sum.folder').joinpath('file').read_text() == 'hi\\n'
assert onsager_read.read('rows[k=1].json') == {'n': 3, 'list': [1, 2]}
assert onsager_read.find('rows[k=2].json')[0].labels == {'k': 2, 'model': 'a'}
for wrong in ['none.text', 'rows.json', 'sum.log']:
    try:
        onsager_read.read(wrong)
        raise SystemExit(wrong)
    except onsager_read.NoResult as error:
        print(error)
",
    );
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("`rows.json` is 2 results, where one is needed"), "{}", ran.stdout);
    assert!(ran.stdout.contains("`onsager run pipelines/other.yaml 'sum'` makes it"), "{}", ran.stdout);
}

#[test]
fn python_reads_tables_with_pandas_and_polars() {
    let project = project();
    for engine in ["pandas", "polars"] {
        if run_python(&project, &format!("import {engine}")).status != 0 {
            println!("skipped: there is no {engine}; `.ci/setup` installs it");
            continue;
        }
        let script = format!(
            "
import onsager_read
table = onsager_read.read('rows.table', engine='{engine}')
rows = table.to_dict('records') if '{engine}' == 'pandas' else table.to_dicts()
assert list(rows[0]) == ['k', 'model', 'x', 'y'], rows
assert [(row['k'], row['model'], row['x'], row['y']) for row in rows] == [(1, 'a', 1, 1), (1, 'a', 2, 3), (2, 'a', 1, 2), (2, 'a', 2, 3)], rows
one = onsager_read.read('rows[k=1].table', engine='{engine}')
assert len(one) == 2
"
        );
        let ran = run_python(&project, &script);
        assert_eq!(ran.status, 0, "{engine}: {}", ran.stderr);
    }
}

#[test]
fn r_reads_by_name() {
    if Command::new("Rscript").arg("--version").output().is_err() {
        println!("skipped: there is no Rscript");
        return;
    }
    let project = project();
    let script = format!(
        "source('{}')\nstopifnot(basename(onsager_path('sum.text')) == 'sum.txt')\n\
         table <- onsager_read('rows.table')\nstopifnot(identical(table$y, c(1L, 3L, 2L, 3L)))\n\
         wrong <- tryCatch(onsager_read('sum.log'), error = conditionMessage)\nstopifnot(grepl('makes it', wrong))\n",
        repository().join("clients/r/onsager_read.R").display()
    );
    let output = Command::new("Rscript")
        .args(["-e", &script])
        .current_dir(project.path(""))
        .env("ONSAGER", env!("CARGO_BIN_EXE_onsager"))
        .output()
        .expect("Rscript");
    let ran = common::ran(output);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
}
