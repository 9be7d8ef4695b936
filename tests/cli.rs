//! The commands, their help and their `--json`.

mod common;

use common::{Project, names, with_their_data};
use serde_json::Value;

const TWO: &str = "\
name: two
params: {word: hello}
stages:
  say:
    kind: command
    matrix: {n: [1, 2]}
    run: echo ${params.word} ${matrix.n} > ${outputs.text}
    outputs: {text: say.txt}
";

fn json(project: &Project, arguments: &[&str]) -> Value {
    let ran = project.onsager(arguments);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.stdout))
}

#[test]
fn run_names_the_tasks_and_the_digests() {
    let project = Project::new(TWO);
    let (document, status) = project.run_json(&[]);
    assert_eq!(status, 0);
    assert_eq!(names(&document["tasks"]["executed"]), ["say[n=1]", "say[n=2]"]);
    let output = &document["outputs"]["say[n=2]"]["text"];
    // printf 'hello 2\n' | sha256sum
    assert_eq!(output["digest"], "b172c329ef45c8fdd02078e9b1cfe32f621b24c12bd95c8a6cc7266b363c84d2");
    assert_eq!(output["size"], 8);
    assert!(output["path"].as_str().is_some_and(|path| path.ends_with("artifacts/two/say/n=2/say.txt")));
}

#[test]
fn status_plan_and_explain_agree() {
    let project = Project::new(TWO);
    assert_eq!(json(&project, &["plan", "pipeline.yaml", "--json"])["execute"], 2);
    project.run(&["say[n=1]"]);
    let status = json(&project, &["status", "pipeline.yaml", "--json"]);
    assert_eq!(status["tasks"][0]["state"], "done");
    assert_eq!(status["tasks"][1]["state"], "to do");
    let explained = json(&project, &["explain", "pipeline.yaml", "say[n=1]", "--json"]);
    assert_eq!(explained[0]["material"]["params.run"], "echo hello 1 > ${outputs.text}");
    let changed = json(&project, &["explain", "pipeline.yaml", "say[n=1]", "--json", "--set", "word=bye"]);
    assert_ne!(explained[0]["key"], changed[0]["key"]);
    let reason = &changed[0]["verdict"]["reasons"][0];
    assert_eq!(reason["field"], "params.run");
    assert_eq!(reason["old"], "echo hello 1 > ${outputs.text}");
    assert_eq!(reason["new"], "echo bye 1 > ${outputs.text}");
}

#[test]
fn every_kind_has_a_reference() {
    let project = Project::new("");
    let kinds = json(&project, &["kinds", "--json"]);
    let told: Vec<&Value> = kinds.as_array().into_iter().flatten().map(|kind| &kind["kind"]).collect();
    assert_eq!(told, onsager::builtin().iter().map(|kind| kind.name()).collect::<Vec<_>>());
    for kind in kinds.as_array().into_iter().flatten() {
        let name = kind["kind"].as_str().expect("a name");
        let text = project.onsager(&["kinds", name]).stdout;
        assert!(text.starts_with(&format!("{name}\n")), "{text}");
        for field in kind["params"]["properties"].as_object().into_iter().flatten() {
            assert!(text.contains(&format!("\n  {}: ", field.0)), "{name} does not show {}", field.0);
        }
    }
}

#[test]
fn the_shipped_pipelines_are_right() {
    let files = with_their_data("pipelines");
    assert!(files.len() > 5, "{files:?}");
    for file in files {
        let name = file.file_stem().and_then(|stem| stem.to_str()).expect("a name");
        let project = Project::new("");
        let artifacts = project.path("artifacts");
        let arguments = [
            "plan",
            file.to_str().expect("a path"),
            "--artifacts",
            artifacts.to_str().expect("a path"),
            "--json",
        ];
        assert_eq!(json(&project, &arguments)["pipeline"], name);
    }
}

#[test]
fn help_has_examples_and_wrong_words_exit_with_2() {
    let project = Project::new("");
    for command in ["run", "plan", "status", "explain", "log", "kinds", "completions"] {
        let help = project.onsager(&[command, "--help"]);
        assert_eq!(help.status, 0);
        assert!(help.stdout.contains("Example"), "{command}: {}", help.stdout);
    }
    assert_eq!(project.onsager(&["rnu"]).status, 2);
    assert_eq!(project.onsager(&["run", "pipeline.yaml", "--set", "nonsense"]).status, 2);
}
