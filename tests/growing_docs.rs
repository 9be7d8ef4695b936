//! The pipelines of `docs/growing.md` run as they stand there.

mod common;

use common::{Project, repository};
use std::fs;

/// The blocks of the page in this language that begin with `start`.
fn blocks(language: &str, start: &str) -> Vec<String> {
    let page = fs::read_to_string(repository().join("docs/growing.md")).expect("the page");
    let fence = format!("```{language}\n");
    let blocks = page.split(fence.as_str()).skip(1).filter_map(|rest| rest.split("```").next());
    blocks.filter(|block| block.starts_with(start)).map(str::to_owned).collect()
}

#[test]
fn every_pipeline_of_the_page_runs_and_then_finds_everything_cached() {
    let pipelines = blocks("yaml", "name:");
    assert!(!pipelines.is_empty());
    for pipeline in pipelines {
        let project = Project::new(&pipeline);
        for template in blocks("yaml", "params:") {
            project.write("shared/fit.yaml", &template);
        }
        let (document, status) = project.run_json(&[]);
        assert_eq!(status, 0, "{pipeline}\n{document:#}");
        assert_eq!(project.executed(&[]), [""; 0], "{pipeline}");
    }
}
