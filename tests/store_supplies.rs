//! Fetched files and environments: `store du` counts them, `store gc` drops those that nobody needs.

mod common;

use common::{Project, Ran, json_of, names, ran, web};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Of `hello` and the end of the line.
const SHA256: &str = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

/// A stand-in for conda: the environment is a folder with a file, and a command runs as it is.
const CONDA: &str = "\
#!/bin/sh
if [ \"$1\" = env ]; then
  mkdir -p \"$5\"
  printf installed > \"$5/installed\"
  exit
fi
shift 3
[ \"$1\" = --no-capture-output ] && shift
exec \"$@\"
";

/// Two stages, of which one takes a fetched file and the other an environment.
fn pipeline(port: u16) -> String {
    format!(
        "\
name: p
params: {{wait: 'true'}}
stages:
  fetched:
    kind: command
    inputs: {{data: {{url: 'http://127.0.0.1:{port}/data.txt', sha256: {SHA256}}}}}
    run: cat ${{inputs.data}} > ${{outputs.o}}
    outputs: {{o: o.txt}}
  installed:
    kind: command
    environment: {{conda: environment.yml}}
    run: ${{raw:params.wait}}; echo installed > ${{outputs.o}}
    outputs: {{o: o.txt}}
"
    )
}

fn project(port: u16) -> Project {
    let project = Project::new(&pipeline(port));
    project.write("environment.yml", "dependencies: []\n");
    project.write("given.txt", "given\n");
    project.write("bin/conda", CONDA);
    fs::set_permissions(project.path("bin/conda"), fs::Permissions::from_mode(0o755)).expect("a program");
    project
}

/// `onsager run` with the stand-in.
fn run(project: &Project, arguments: &[&str]) -> Ran {
    ran(command(project, arguments).output().expect("the program starts"))
}

fn command(project: &Project, arguments: &[&str]) -> std::process::Command {
    let mut command = project.command(&[&["run", "pipeline.yaml"], arguments].concat());
    command.env("PATH", format!("{}:/usr/bin:/bin", project.path("bin").display()));
    command
}

/// What kinds of things `store gc` would drop, each once.
fn would_go(project: &Project, arguments: &[&str]) -> Vec<String> {
    let document = json_of(project, &[&["store", "gc", "--dry-run", "--json"], arguments].concat());
    let what =
        document["collected"]["items"].as_array().into_iter().flatten().map(|item| item["what"].clone());
    let mut what = names(&what.collect());
    what.sort();
    what.dedup();
    what
}

#[test]
fn they_stay_as_long_as_a_result_that_counts_had_them() {
    let (port, asked) = web::answering("hello\n");
    let project = project(port);
    let first = run(&project, &[]);
    assert_eq!(first.status, 0, "{}", first.stderr);
    let usage = json_of(&project, &["store", "du", "--json"]);
    assert_eq!((&usage["fetched"], &usage["environments"]), (&6.into(), &9.into()));
    let table = project.onsager(&["store", "du"]).stdout;
    assert!(table.contains("\nfetched             6 B\nenvironments        9 B\n"), "{table}");
    assert!(would_go(&project, &["--keep-runs", "1"]).is_empty());
    // Other results take their place in the view and among the last runs.
    let input = format!("{{url: 'http://127.0.0.1:{port}/data.txt', sha256: {SHA256}}}");
    let other = pipeline(port).replace(&input, "{file: given.txt}");
    project.write("pipeline.yaml", &other.replace("    environment: {conda: environment.yml}\n", ""));
    assert_eq!(run(&project, &[]).status, 0);
    assert!(would_go(&project, &["--keep-runs", "2"]).is_empty());
    assert_eq!(would_go(&project, &["--keep-runs", "1"]), ["environment", "fetched", "object"]);
    let usage = json_of(&project, &["store", "du", "--json"]);
    assert_eq!(usage["unreachable"], 0, "ten runs of a pipeline count");
    let dropped = project.onsager(&["store", "gc", "--keep-runs", "1"]).stdout;
    assert!(dropped.contains("and 2 other things, 15 B"), "{dropped}");
    let usage = json_of(&project, &["store", "du", "--json"]);
    assert_eq!((&usage["fetched"], &usage["environments"]), (&0.into(), &0.into()));
    // They are had again where a task needs them.
    project.write("pipeline.yaml", &pipeline(port));
    let again = run(&project, &["--force", "fetched", "--force", "installed"]);
    assert_eq!(again.status, 0, "{}", again.stderr);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    assert_eq!(would_go(&project, &["--max-size", "1B"]), ["environment", "fetched", "object"]);
}

#[test]
fn beside_a_run_they_stay() {
    let (port, _) = web::answering("hello\n");
    let project = project(port);
    let wait = "--set=wait=touch started; while [ ! -e go ]; do sleep 0.02; done";
    let child = command(&project, &[wait]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.expect("the program starts");
    while !project.path("started").exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let gone = project.onsager(&["store", "gc", "--max-size", "1B"]);
    assert_eq!(gone.status, 0, "{}", gone.stderr);
    let usage = json_of(&project, &["store", "du", "--json"]);
    assert_eq!((&usage["fetched"], &usage["environments"]), (&6.into(), &9.into()));
    project.write("go", "");
    let done = ran(child.wait_with_output().expect("it ends"));
    assert_eq!(done.status, 0, "{}", done.stderr);
}
