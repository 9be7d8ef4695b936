//! The figures and tables of `pipelines/feynman.yaml` that cost little, from tiny trainings.

mod common;

use common::{Project, Ran, repository};

const DRAWN: [&str; 8] =
    ["linear", "phase", "paths", "action", "density", "density-start", "samples", "loss"];
const WRITTEN: [&str; 4] = ["linear", "control", "likelihood", "action"];
const TINY: [&str; 5] =
    ["training_steps=20", "points=512", "sampling_steps=5", "likelihood_points=12", "linear_samples=400"];

#[test]
fn figures_and_tables_are_made() {
    let project = Project::new("");
    let pipeline = repository().join("pipelines/feynman.yaml").display().to_string();
    let tasks: Vec<String> = DRAWN
        .iter()
        .map(|name| format!("{name}-figure"))
        .chain(WRITTEN.iter().map(|name| format!("{name}-table")))
        .collect();
    let artifacts = project.path("artifacts").display().to_string();
    let mut arguments = vec!["run", &pipeline, "--artifacts", &artifacts];
    arguments.extend(tasks.iter().map(String::as_str));
    arguments.extend(TINY.iter().flat_map(|value| ["--set", value]));
    let Ran { status, stdout, stderr } = project.onsager(&arguments);
    assert_eq!(status, 0, "{stdout}{stderr}");
    for task in &tasks {
        let file = if task.ends_with("-figure") { "figure.svg" } else { "table.md" };
        assert!(project.path(&format!("artifacts/feynman/{task}/{file}")).is_file(), "{task}");
    }
}
