//! The papers in `papers/`: built from small samples, to the same bytes in another folder; a changed seed changes their numbers.

mod common;

use common::{Project, Ran, names, repository, there_is_tex};
use std::fs;
use std::path::Path;
use std::process::Command;
use walkdir::WalkDir;

const PAPERS: [&str; 2] = ["path-action", "feynman"];
const EXPERIMENT: &str = "experiments/paper-in-small.yaml";

fn copy(from: &Path, to: &Path) {
    for entry in WalkDir::new(from) {
        let entry = entry.unwrap();
        let own = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            fs::create_dir_all(own).unwrap();
        } else {
            fs::copy(entry.path(), own).unwrap();
        }
    }
}

/// A project with the papers and what they are made from.
fn project() -> Project {
    let project = Project::new("");
    for folder in ["pipelines", "experiments", "papers"] {
        copy(&repository().join(folder), &project.path(folder));
    }
    project
}

fn pdf(project: &Project, paper: &str) -> Vec<u8> {
    fs::read(project.path(&format!("artifacts/paper-in-small/{paper}/paper.pdf"))).unwrap()
}

/// The text of a page; none without poppler.
fn text(project: &Project, paper: &str) -> Option<String> {
    let file = project.path(&format!("artifacts/paper-in-small/{paper}/paper.pdf"));
    let output = Command::new("pdftotext").args([file.as_os_str(), "-".as_ref()]).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn both_papers_are_built_and_built_again_to_the_same_bytes() {
    if !there_is_tex() {
        return;
    }
    let first = project();
    let Ran { status, stdout, stderr } = first.onsager(&["run", EXPERIMENT, "--check-claims"]);
    assert_eq!(status, 0, "{stdout}{stderr}");
    for paper in PAPERS {
        let log = first.onsager(&["log", EXPERIMENT, paper]).stdout;
        // The first pass of LaTeX knows no reference yet.
        let last = log.rsplit("Run number").next().unwrap_or_default();
        assert!(!last.contains("undefined references") && !last.contains("Overfull"), "{paper}: {log}");
        let source = format!("papers/{paper}/paper.tex");
        let checked = first.onsager(&["paper", "check", &source, "--pipeline", EXPERIMENT]);
        assert_eq!(checked.status, 0, "{}{}", checked.stdout, checked.stderr);
        let Some(read) = text(&first, paper) else { continue };
        assert!(!read.contains("??") && !read.contains(" fails]"), "{paper}: {read}");
    }
    let second = project();
    copy(&first.path("artifacts"), &second.path("artifacts"));
    let ran = second.onsager(&["run", EXPERIMENT, "--json", "--force", "path-action", "--force", "feynman"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let mut executed = names(&document["tasks"]["executed"]);
    executed.sort();
    assert_eq!(executed, ["feynman", "path-action"]);
    for paper in PAPERS {
        assert!(pdf(&first, paper) == pdf(&second, paper), "{paper}");
    }
    // Another seed of the random motion: other numbers in the one paper, the other is as it was.
    let before = pdf(&second, "path-action");
    let ran = second.onsager(&["run", EXPERIMENT, "--set", "seed=2", "--check-claims"]);
    assert_eq!(ran.status, 3, "{}{}", ran.stdout, ran.stderr);
    let fails = ran
        .stdout
        .lines()
        .find(|line| line.contains("`free.slope.narrow within 0.49868 ± 0.000005` fails: "));
    let place = fails.and_then(|line| line.split_once(": ")).map(|(place, _)| place);
    let at = place.and_then(|place| place.strip_prefix("experiments/paper-in-small.yaml:"));
    assert!(at.is_some_and(|at| at.split(':').all(|number| number.parse::<u32>().is_ok())), "{}", ran.stdout);
    assert!(before != pdf(&second, "path-action"));
    assert!(pdf(&first, "feynman") == pdf(&second, "feynman"));
}
