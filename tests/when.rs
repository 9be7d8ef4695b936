//! `when`: stages that run only where a condition on parameters or results holds.

mod common;

use common::{Project, last_line, names};

const TEST: &str = "\
name: quality
params: {mode: full, limit: 0.9}
stages:
  test:
    kind: command
    inputs: {score: {file: score.txt}}
    run: 'echo \"{\\\"all\\\": {\\\"score\\\": $(cat ${inputs.score})}}\" > ${outputs.summary}'
    outputs: {summary: summary.json}
  publish:
    kind: command
    when: ${test.summary:all.score} >= ${params.limit}
    inputs: {summary: test.summary}
    run: cp ${inputs.summary} ${outputs.page}
    outputs: {page: page.txt}
  slow:
    kind: command
    when: ${params.mode} == full and ${metrics.score} > 0
    run: echo slow > ${outputs.text}
    outputs: {text: slow.txt}
  never:
    kind: command
    when: not ${params.mode} == full
    inputs: {text: slow.text}
    run: cp ${inputs.text} ${outputs.text}
    outputs: {text: never.txt}
  page:
    kind: command
    inputs: {parts: [publish.page, slow.text]}
    run: cat ${inputs.parts} > ${outputs.all}
    outputs: {all: all.txt}
metrics:
  score: {from: test.summary, field: all.score}
";

fn project(score: &str) -> Project {
    let project = Project::new(TEST);
    project.write("score.txt", score);
    project
}

#[test]
fn a_stage_runs_where_its_condition_holds() {
    let project = project("0.95");
    let plan = project.onsager(&["plan", "pipeline.yaml"]).stdout;
    assert!(plan.contains("publish: execute, unless test gives the same bytes as before\n"), "{plan}");
    assert!(plan.contains("never: skipped, for `not ${params.mode} == full` does not hold\n"), "{plan}");
    let (document, status) = project.run_json(&[]);
    assert_eq!(status, 0, "{document:#}");
    assert_eq!(names(&document["tasks"]["executed"]), ["test", "publish", "slow", "page"]);
    assert_eq!(document["tasks"]["skipped"][0]["task"], "never");
    assert_eq!(project.executed(&[]), [""; 0]);
}

#[test]
fn a_result_decides_and_may_decide_otherwise_later() {
    let project = project("0.5");
    let ran = project.run(&[]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(last_line(&ran.stdout), "5 tasks: 3 executed, 0 cached, 0 failed, 2 skipped");
    let because =
        "for `${test.summary:all.score} >= ${params.limit}` does not hold: test.summary:all.score is 0.5";
    assert!(ran.stderr.contains(&format!("publish: skipped, {because}\n")), "{}", ran.stderr);
    assert_eq!(project.read("artifacts/quality/page/all.txt"), "slow\n");
    // Nothing has changed: nothing is looked at.
    let again = project.run(&[]);
    assert_eq!(last_line(&again.stdout), "5 tasks: 0 executed, 3 cached, 0 failed, 2 skipped");
    project.write("score.txt", "0.99");
    assert_eq!(project.executed(&[]), ["test", "publish", "page"]);
    assert!(project.path("artifacts/quality/publish/page.txt").exists());
    project.write("score.txt", "0.5");
    assert_eq!(project.executed(&[]), [""; 0]);
    assert!(!project.path("artifacts/quality/publish/page.txt").exists());
    assert_eq!(project.read("artifacts/quality/page/all.txt"), "slow\n");
    assert_eq!(project.executed(&["--set", "limit=0.4"]), ["publish", "page"]);
}

#[test]
fn a_result_that_was_collected_is_made_again_to_decide() {
    let project = project("0.5");
    assert_eq!(project.run(&[]).status, 0);
    let digest = common::chain::digest(&project, "test", "summary");
    std::fs::remove_file(common::chain::object(&project, &digest)).expect("removed");
    std::fs::remove_dir_all(project.path("artifacts/quality")).expect("removed");
    let (document, status) = project.run_json(&[]);
    assert_eq!(status, 0, "{document:#}");
    assert_eq!(document["tasks"]["skipped"][0]["task"], "publish");
}

#[test]
fn a_condition_without_an_answer_fails_its_stage_alone() {
    let project = project("0.5");
    project.write("pipeline.yaml", &TEST.replace("summary:all.score}", "summary:all.scores}"));
    let ran = project.run(&["--keep-going"]);
    assert_eq!(ran.status, 1);
    let message = "`test.summary` has no field `all.scores`; did you mean `score`?";
    assert!(ran.stderr.contains("error: publish failed: the condition"), "{}", ran.stderr);
    assert!(ran.stderr.contains(message), "{}", ran.stderr);
    let plan = project.onsager(&["plan", "pipeline.yaml"]).stdout;
    assert!(plan.contains("publish: would fail: "), "{plan}");
    project.write("pipeline.yaml", &TEST.replace(">= ${params.limit}", "> ${params.mode}"));
    let ran = project.run(&["--keep-going"]);
    assert!(ran.stderr.contains("`0.5` and `full` have no order"), "{}", ran.stderr);
}

#[test]
fn wrong_uses_are_told_with_their_place() {
    let told = |when: &str, place: &str, message: &str| {
        let project = project("1");
        project.write("pipeline.yaml", &TEST.replace("${test.summary:all.score} >= ${params.limit}", when));
        let ran = project.onsager(&["plan", "pipeline.yaml"]);
        assert_eq!(ran.status, 2, "{}", ran.stderr);
        assert!(ran.stderr.contains(message), "{}", ran.stderr);
        assert!(ran.stderr.contains(&format!("--> pipeline.yaml:{place}\n")), "{}", ran.stderr);
    };
    told("${params.limit}", "11:11", "the condition has no answer: `0.9` is neither true nor false");
    told("${params.limits} > 1", "11:11", "did you mean `limit`?");
    told("${metrics.scores} > 1", "11:11", "there is no metric `scores`");
    told("${tests.summary:x} > 1", "11:11", "did you mean `test`?");
    told("${test.summry:x} > 1", "11:11", "stage `test` has no output `summry`");
    told("${test.summary:} > 1", "11:11", "`` is no field");
    told("1 = 1", "11:13", "the condition cannot be read: `=` is not expected here");
    told("[1]", "11:11", "`when` must be a condition, but is a list");
    told("${page.all:x} > 1", "11:11", "cycle: ");
}
