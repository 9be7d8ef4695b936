//! `onsager init`.

mod common;

use common::{Project, last_line};

#[test]
fn every_template_runs_and_is_cached_then() {
    let project = Project::new("");
    let list = project.onsager(&["init", "--list"]).stdout;
    let names: Vec<&str> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, ["example", "python", "minimal"]);
    for name in names {
        let made = project.onsager(&["init", name, "--template", name]);
        assert_eq!(made.status, 0, "{}", made.stderr);
        let pipeline = format!("{name}/pipelines/example.yaml");
        assert_eq!(last_line(&made.stdout), format!("now: onsager run {pipeline}"));
        let ran = project.onsager(&["run", &pipeline]);
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        let plan = project.onsager(&["plan", &pipeline]).stdout;
        assert!(plan.contains(": 0 to execute, 0 if what they need changes, "), "{plan}");
        assert_eq!(plan.lines().count(), 1, "{plan}");
        let schema = project.read(&format!("{name}/schema/pipeline.schema.json"));
        let shipped = common::repository().join("schema/pipeline.schema.json");
        assert_eq!(schema, std::fs::read_to_string(shipped).expect("the schema"));
        assert_eq!(project.read(&format!("{name}/.gitignore")), "/artifacts/\n");
    }
    assert!(project.path("example/artifacts/example/figure").is_dir());
}

#[test]
fn nothing_is_overwritten() {
    let project = Project::new("");
    project.write("pipelines/example.yaml", "mine");
    let made = project.onsager(&["init"]);
    assert_eq!(made.status, 2);
    assert_eq!(
        made.stderr,
        "error: `./pipelines/example.yaml` is there already, so nothing was written; choose another folder, or remove it\n"
    );
    assert_eq!(project.read("pipelines/example.yaml"), "mine");
    assert!(!project.path(".gitignore").exists());
    let made = project.onsager(&["init", "new", "--template", "pyhton"]);
    assert_eq!(made.status, 2);
    assert_eq!(
        made.stderr,
        "error: there is no template `pyhton`: there are `example`, `python`, `minimal`\n"
    );
    assert!(!project.path("new").exists());
}
