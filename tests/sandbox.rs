//! `sandbox: true`: a command sees what it declares, and nothing else of the project.

mod common;

use common::Project;

/// One stage with this command, sandboxed.
fn pipeline(run: &str) -> String {
    let run = run.replace('\n', "\n      ");
    format!(
        "\
name: box
stages:
  first:
    kind: command
    run: echo first > ${{outputs.text}}
    outputs: {{text: first.txt}}
  confined:
    kind: command
    sandbox: true
    inputs: {{text: first.text, data: {{file: data.txt}}, folder: {{file: folder}}}}
    checkpoint: state/
    run: |
      {run}
    outputs: {{text: out.txt}}
"
    )
}

fn project(run: &str) -> Project {
    let project = Project::new(&pipeline(run));
    project.write("data.txt", "data\n");
    project.write("folder/deep/one.txt", "one\n");
    project.write("secret.txt", "secret\n");
    project
}

/// That the command fails with this in its log, and with the advice.
fn refused(run: &str, word: &str) {
    let project = project(run);
    let ran = project.run(&[]);
    assert_eq!(ran.status, 1, "{run}: {}", ran.stderr);
    assert!(ran.stderr.contains(word), "{run}: {}", ran.stderr);
    assert!(ran.stderr.contains("help: the stage is sandboxed: `Permission denied` in its log"), "{}", ran.stderr);
    assert_eq!(project.read("secret.txt"), "secret\n");
    assert!(!project.path("new.txt").exists());
}

#[test]
fn declared_files_are_all_that_is_needed() {
    let project = project(
        "cat ${inputs.text} ${inputs.data} ${inputs.folder}/deep/one.txt > $TMPDIR/all
echo state > ${checkpoint}/state
python3 -c 'import json, sys, tempfile; tempfile.TemporaryFile(); print(json.dumps(1))' >> $TMPDIR/all
echo word > /dev/null
(sh -c \"cat $TMPDIR/all\") > ${outputs.text}",
    );
    let ran = project.run(&[]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(project.read("artifacts/box/confined/out.txt"), "first\ndata\none\n1\n");
}

#[test]
fn an_undeclared_read_is_refused() {
    refused("cat secret.txt > ${outputs.text}", "secret.txt: Permission denied");
    // Also for what the command starts.
    refused("sh -c 'sh -c \"cat secret.txt\"' > ${outputs.text}", "secret.txt: Permission denied");
    refused("ls . > ${outputs.text}", "Permission denied");
    refused("cat artifacts/.onsager/runs/*.jsonl > ${outputs.text}", "Permission denied");
}

#[test]
fn a_write_elsewhere_is_refused() {
    refused("echo more >> secret.txt; echo > ${outputs.text}", "secret.txt: Permission denied");
    refused("echo more > new.txt; echo > ${outputs.text}", "new.txt: Permission denied");
    refused("chmod u+w ${inputs.text}; echo more >> ${inputs.text}", "Permission denied");
}

#[test]
fn the_option_confines_every_command_and_changes_no_key() {
    let project = Project::new(
        "\
name: open
stages:
  reader:
    kind: command
    run: cat secret.txt > ${outputs.text}
    outputs: {text: out.txt}
",
    );
    project.write("secret.txt", "secret\n");
    let ran = project.run(&["--sandbox"]);
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("secret.txt: Permission denied"), "{}", ran.stderr);
    assert_eq!(project.executed(&[]), ["reader"]);
    let ran = project.run(&["--sandbox"]);
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert!(ran.stdout.ends_with("1 task: 0 executed, 1 cached, 0 failed\n"), "{}", ran.stdout);
}
