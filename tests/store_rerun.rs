//! `onsager store verify --rerun`: a task is executed again and its bytes are compared.

mod common;

use common::Project;

#[test]
fn a_task_that_is_executed_again_is_compared() {
    let project = Project::new(
        "\
name: again
stages:
  fixed:
    kind: command
    run: printf 'one\\ntwo\\n' > ${outputs.text}
    outputs: {text: fixed.txt}
  counted:
    kind: command
    inputs: {text: fixed.text}
    run: |
      echo x >> calls.txt
      (cat ${inputs.text}; wc -l < calls.txt) > ${outputs.text}
      mkdir ${outputs.folder}; printf '\\0%s' $(wc -l < calls.txt) > ${outputs.folder}/bytes
    outputs: {text: counted.txt, folder: counted/}
",
    );
    let rerun = |task: &str| project.onsager(&["store", "verify", "pipeline.yaml", "--rerun", task]);
    assert_eq!(
        rerun("fixed").stdout,
        "fixed: the store has no result to compare with; run the pipeline first\n"
    );
    assert_eq!(project.executed(&[]), ["fixed", "counted"]);
    let same = rerun("fixed");
    assert!(same.stdout.starts_with("fixed: same bytes ("), "{} {}", same.stdout, same.stderr);
    assert_eq!(same.status, 0);
    let differs = rerun("counted");
    assert_eq!(
        differs.stdout,
        "counted: output `folder` differs: `bytes`: byte 1 is the first that differs; it had 2 bytes and has 2\n\
         counted: output `text` differs: line 3 was `1` and is `2`\n"
    );
    assert_eq!(differs.status, 1);
    // Nothing was replaced.
    assert!(project.executed(&[]).is_empty());
    assert_eq!(project.read("artifacts/again/counted/counted.txt"), "one\ntwo\n1\n");
    assert_eq!(project.onsager(&["store", "verify"]).status, 0);
}
