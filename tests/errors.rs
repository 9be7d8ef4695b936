//! What a user reads when something is wrong.

mod common;

use common::Project;
use std::io::Write;
use std::process::Command;

/// The standard error of `plan` on a pipeline that is wrong.
fn refused(pipeline: &str) -> String {
    let project = Project::new(pipeline);
    let ran = project.onsager(&["plan", "pipeline.yaml"]);
    assert_eq!(ran.status, 2, "{} {}", ran.stdout, ran.stderr);
    assert!(!project.path("artifacts").exists());
    ran.stderr
}

#[test]
fn a_wrong_field_gets_a_suggestion() {
    assert_eq!(
        refused("name: p\nstages:\n  motion:\n    kind: random-motion\n    params: {difusion: 1.0}\n"),
        "\
error: unknown parameter `difusion` of kind `random-motion`
 --> pipeline.yaml:5:14
  |
5 |     params: {difusion: 1.0}
  |              ^^^^^^^^
  = help: did you mean `diffusion`?

1 error in pipeline.yaml
"
    );
}

#[test]
fn bad_references_and_cycles_are_shown_together() {
    let text = refused(
        "\
name: p
stages:
  law:
    kind: action-law
    inputs: {tubes: moton.tubes}
  a:
    kind: command
    inputs: {x: b.out}
    run: cat ${inputs.x} > ${outputs.out}
    outputs: {out: a.txt}
  b:
    kind: command
    inputs: {x: a.out}
    run: cat ${inputs.x} > ${outputs.out}
    outputs: {out: b.txt}
",
    );
    assert_eq!(
        text,
        "\
error: there is no stage `moton`
 --> pipeline.yaml:5:21
  |
5 |     inputs: {tubes: moton.tubes}
  |                     ^^^^^^^^^^^
  = help: the stages are `law`, `a` and `b`

error: cycle: `a` needs `b`, `b` needs `a`
 --> pipeline.yaml:8:17
  |
8 |     inputs: {x: b.out}
  |                 ^^^^^
  = help: remove one of these inputs

2 errors in pipeline.yaml
"
    );
}

#[test]
fn a_value_out_of_range_says_where_and_what_is_allowed() {
    let text =
        refused("name: p\nstages:\n  motion:\n    kind: random-motion\n    params:\n      diffusion: -1.0\n");
    assert!(text.contains("pipeline.yaml:6:18"), "{text}");
    assert!(text.contains("-1"), "{text}");
}

#[test]
fn a_missing_pipeline_file_is_named() {
    let project = Project::new("");
    let ran = project.onsager(&["run", "pipelines/none.yaml"]);
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("pipelines/none.yaml"), "{}", ran.stderr);
}

#[test]
fn an_unknown_task_gets_a_suggestion() {
    let project = Project::new("name: p\nstages:\n  motion:\n    kind: random-motion\n");
    let ran = project.run(&["moton"]);
    assert_eq!(ran.status, 2);
    assert!(ran.stderr.contains("`moton`") && ran.stderr.contains("`motion`"), "{}", ran.stderr);
}

const FASHION: &str = "\
name: fashion
stages:
  clothes:
    kind: dataset
    inputs: {folder: {file: images}}
    params: {name: fashion-mnist}
";

#[test]
fn missing_data_say_how_to_get_them() {
    let project =
        Project::new("name: p\nstages:\n  clothes:\n    kind: dataset\n    params: {name: fashion-mnist}\n");
    let ran = project.run(&[]);
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("dataset-fashion-mnist"), "{}", ran.stderr);

    let project = Project::new(FASHION);
    assert_eq!(project.run(&[]).status, 2, "the folder does not exist");
    project.write("images/readme.txt", "nothing here");
    let ran = project.run(&[]);
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("train-images-idx3-ubyte"), "{}", ran.stderr);
}

#[test]
fn a_corrupt_gzip_is_named() {
    let project = Project::new(FASHION);
    // A gzip file of which only the first bytes came over.
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&[7; 100_000]).expect("written");
    let whole = gzip.finish().expect("compressed");
    std::fs::create_dir(project.path("images")).expect("a folder");
    for name in ["train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"] {
        std::fs::write(project.path(&format!("images/{name}-ubyte.gz")), &whole[..40]).expect("written");
    }
    let ran = project.run(&[]);
    assert_eq!(ran.status, 1);
    assert!(ran.stderr.contains("train-images-idx3-ubyte.gz` is a damaged gzip file"), "{}", ran.stderr);
}

/// On a file system of 1 MB: the run says what is wrong, and with space again it goes on.
#[test]
fn a_full_disk_is_told_and_nothing_is_lost() {
    let project = Project::new(
        "\
name: large
stages:
  small:
    kind: command
    run: echo small > ${outputs.text}
    outputs: {text: small.txt}
  large:
    kind: command
    inputs: {text: small.text}
    run: head -c 3000000 /dev/zero > ${outputs.zeros}
    outputs: {zeros: zeros.bin}
",
    );
    std::fs::create_dir(project.path("disk")).expect("a folder");
    let script = format!(
        "mount -t tmpfs -o size=1M none disk && {program} run pipeline.yaml --artifacts disk 2> first.txt; echo $? > first.code; \
         mount -o remount,size=20M disk && {program} run pipeline.yaml --artifacts disk > second.txt 2>&1; echo $? > second.code",
        program = env!("CARGO_BIN_EXE_onsager"),
    );
    let ran = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .current_dir(project.path(""))
        .status()
        .expect("unshare, of util-linux");
    assert!(ran.success());
    assert_eq!(project.read("first.code"), "1\n", "{}", project.read("first.txt"));
    assert!(project.read("first.txt").contains("No space left on device"), "{}", project.read("first.txt"));
    assert_eq!(project.read("second.code"), "0\n", "{}", project.read("second.txt"));
    assert!(
        project.read("second.txt").ends_with("2 tasks: 1 executed, 1 cached, 0 failed\n"),
        "{}",
        project.read("second.txt")
    );
}
