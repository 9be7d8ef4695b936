//! Where output goes: a full disk, a reader that has left, links, devices, simple terminals, and errors as JSON.

mod common;

use common::Project;
use serde_json::Value;
use std::fs::{self, File};
use std::os::unix::fs::{FileTypeExt, symlink};
use std::process::Command;

const PIPELINE: &str = "\
name: p
params: {mark: 1}
stages:
  say:
    kind: command
    run: |
      echo '{\"x\": ${params.mark}}' > ${outputs.json}
    outputs: {json: say.json}
metrics:
  x: {from: say.json, field: x}
";

#[test]
fn a_full_disk_behind_standard_output_is_an_error() {
    let project = Project::new(PIPELINE);
    assert_eq!(project.run(&[]).status, 0);
    assert_eq!(project.run(&["--set", "mark=2"]).status, 0);
    let commands: [&[&str]; 14] = [
        &["run", "pipeline.yaml"],
        &["run", "pipeline.yaml", "--json"],
        &["plan", "pipeline.yaml"],
        &["status", "pipeline.yaml"],
        &["explain", "pipeline.yaml", "say", "--json"],
        &["log", "pipeline.yaml", "say"],
        &["compare", "pipeline.yaml"],
        &["diff"],
        &["kinds"],
        &["init", "--list"],
        &["store", "du"],
        &["completions", "bash"],
        &["--help"],
        &["--version"],
    ];
    for arguments in commands {
        let full = File::options().write(true).open("/dev/full").expect("/dev/full");
        let ran = common::ran(project.command(arguments).stdout(full).output().expect("it starts"));
        assert_eq!(ran.status, 1, "{arguments:?}: {}", ran.stderr);
        let message = "error: cannot write to standard output: No space left on device";
        assert!(ran.stderr.contains(message), "{arguments:?}: {}", ran.stderr);
    }
}

#[test]
fn a_reader_that_has_left_is_no_error() {
    let project = Project::new(PIPELINE);
    for arguments in [&["kinds"][..], &["--help"], &["run", "pipeline.yaml"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let ran = common::ran(project.command(arguments).stdout(writer).output().expect("it starts"));
        assert_eq!(ran.status, 0, "{arguments:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains("error"), "{}", ran.stderr);
    }
}

#[test]
fn devices_and_links_are_written_through() {
    let project = Project::new(PIPELINE);
    assert_eq!(project.run(&[]).status, 0);
    fs::create_dir(project.path("elsewhere")).expect("a folder");
    symlink("elsewhere/target", project.path("link")).expect("a link");
    let commands: [&[&str]; 4] = [
        &["plan", "pipeline.yaml"],
        &["compare", "pipeline.yaml", "--format", "csv"],
        &["compare", "pipeline.yaml", "--format", "parquet"],
        &["store", "export", "p"],
    ];
    for arguments in commands {
        let to = |path: &str| project.onsager(&[arguments, &["-o", path]].concat());
        let ran = to("link");
        assert_eq!(ran.status, 0, "{arguments:?}: {}", ran.stderr);
        assert!(fs::symlink_metadata(project.path("link")).expect("there").is_symlink(), "{arguments:?}");
        assert!(fs::metadata(project.path("elsewhere/target")).expect("there").len() > 0, "{arguments:?}");
        assert_eq!(fs::read_dir(project.path("elsewhere")).expect("a folder").count(), 1);
        fs::remove_file(project.path("elsewhere/target")).expect("removed");
        // A device of the test's own would need root: this one is a pipe, which a rename would replace as well.
        let ran = to("/dev/null");
        assert_eq!(ran.status, 0, "{arguments:?}: {}", ran.stderr);
        assert!(fs::metadata("/dev/null").expect("there").file_type().is_char_device(), "{arguments:?}");
        // The folder is not there: the request is wrong.
        assert_eq!(to("none/file").status, 2, "{arguments:?}");
        assert_eq!(to("/dev/full").status, 1, "{arguments:?}");
    }
}

#[test]
fn a_simple_terminal_shows_what_failed() {
    let project = Project::new(&PIPELINE.replace("echo '", "echo why; false; echo '"));
    let line = format!("'{}' run pipeline.yaml", env!("CARGO_BIN_EXE_onsager"));
    let ran = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .current_dir(project.path(""))
        .env("TERM", "dumb")
        .output()
        .expect("`script`, of util-linux");
    let ran = common::ran(ran);
    assert_eq!(ran.status, 1, "{}", ran.stdout);
    assert!(ran.stdout.contains("error: say failed: the command failed"), "{}", ran.stdout);
    assert!(ran.stdout.contains("  | why"), "{}", ran.stdout);
    assert!(!ran.stdout.contains('\x1b'), "{}", ran.stdout);
}

/// The errors of the document that a wrong request prints.
fn errors(project: &Project, arguments: &[&str]) -> Vec<Value> {
    let ran = project.onsager(arguments);
    assert_eq!(ran.status, 2, "{arguments:?}: {} {}", ran.stdout, ran.stderr);
    assert!(!ran.stderr.is_empty(), "{arguments:?}");
    let document: Value = serde_json::from_str(&ran.stdout)
        .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}", ran.stdout));
    assert_eq!(document["exit"], 2);
    document["errors"].as_array().expect("a list").clone()
}

#[test]
fn wrong_requests_exit_with_2_and_print_a_document() {
    let project = Project::new(PIPELINE);
    assert_eq!(project.run(&[]).status, 0);
    project.write("file", "");
    let requests: [&[&str]; 24] = [
        &["run", "pipeline.yaml", "--no-such-option"],
        &["run", "none.yaml"],
        &["run", "pipeline.yaml", "none"],
        &["run", "pipeline.yaml", "say[x=1]"],
        &["run", "pipeline.yaml", "--force", "none"],
        &["run", "pipeline.yaml", "--pool", "gpu=1"],
        &["run", "pipeline.yaml", "--jobs", "0"],
        &["run", "pipeline.yaml", "--set", "mark"],
        &["run", "pipeline.yaml", "--set", "none=1"],
        &["run", "pipeline.yaml", "--params", "none.yaml"],
        &["plan", "pipeline.yaml", "--artifacts", "file"],
        &["plan", "pipeline.yaml", "--kernel", "avx1024"],
        &["status", "none.yaml"],
        &["explain", "pipeline.yaml", "none"],
        &["log", "pipeline.yaml", "none"],
        &["compare", "none.yaml"],
        &["diff", "last~99", "last"],
        &["kinds", "none"],
        &["init", "--template", "none"],
        &["init", "file"],
        &["store", "verify", "--artifacts", "none"],
        &["store", "export", "none", "-o", "archive"],
        &["store", "import", "none"],
        &["store", "import", "pipeline.yaml"],
    ];
    for arguments in requests {
        let errors = errors(&project, &[arguments, &["--json"]].concat());
        assert!(errors[0]["message"].as_str().is_some_and(|message| !message.is_empty()), "{arguments:?}");
    }
}

#[test]
fn an_error_in_a_file_has_its_place_in_the_document() {
    let project =
        Project::new(&PIPELINE.replace("kind: command", "kind: comand").replace("mark: 1", "mark: .nan"));
    let errors = errors(&project, &["plan", "pipeline.yaml", "--json"]);
    let places: Vec<String> = errors
        .iter()
        .map(|error| format!("{}:{}:{}: {}", error["file"], error["line"], error["column"], error["message"]))
        .collect();
    assert_eq!(
        places,
        [
            "\"pipeline.yaml\":2:16: \"a parameter cannot be the number `.nan`\"",
            "\"pipeline.yaml\":5:11: \"there is no kind `comand`\"",
        ]
    );
    assert_eq!(errors[1]["help"], "did you mean `command`?");
}

#[test]
fn a_failure_of_the_store_exits_with_1_and_prints_a_document() {
    let project = Project::new(PIPELINE);
    let ran = project.run(&["--json", "--artifacts", "/proc/none"]);
    assert_eq!(ran.status, 1, "{}", ran.stderr);
    let document: Value = serde_json::from_str(&ran.stdout).expect("a document");
    assert_eq!(document["exit"], 1);
    assert!(document["errors"][0]["message"].as_str().is_some_and(|text| text.contains("/proc/none")));
}
