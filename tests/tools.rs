//! What a command is computed with: the versions of its tools, and environments.

mod common;

use common::uv::Uv;
use common::{Project, Ran, first_on_path, ran};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A program of the project's own.
fn program(project: &Project, name: &str, script: &str) -> PathBuf {
    project.write(name, &format!("#!/bin/sh\n{script}"));
    let path = project.path(name);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// `onsager` with these folders first on PATH.
fn with_path(project: &Project, folders: &[&Path], arguments: &[&str]) -> Ran {
    let mut command = project.command(arguments);
    folders.iter().rev().for_each(|folder| _ = first_on_path(&mut command, folder));
    ran(command.output().unwrap())
}

const TOOLS: &str = "\
name: tools
stages:
  fit:
    kind: command
    tools: {python: python3 --version, solver: {file: solver}}
    run: python3 --version > ${outputs.o}
    outputs: {o: o.txt}
";

#[test]
fn two_versions_of_python_give_two_keys_and_going_back_is_free() {
    let project = Project::new(TOOLS);
    program(&project, "solver", "echo solver 1");
    for (folder, version) in [("old", "Python 3.11.2"), ("new", "Python 3.12.1")] {
        program(&project, &format!("{folder}/python3"), &format!("echo {version}"));
    }
    let (old, new) = (project.path("old"), project.path("new"));
    let run = |folder: &Path| with_path(&project, &[folder], &["run", "pipeline.yaml"]).stdout;
    assert!(run(&old).contains("1 executed"));
    assert!(run(&old).contains("0 executed, 1 cached"));
    let plan = with_path(&project, &[&new], &["plan", "pipeline.yaml"]).stdout;
    assert!(plan.contains("tools.python: Python 3.11.2 → Python 3.12.1"), "{plan}");
    assert!(run(&new).contains("1 executed"));
    assert_eq!(project.read("artifacts/tools/fit/o.txt"), "Python 3.12.1\n");
    let diff = project.onsager(&["diff"]).stdout;
    assert!(diff.contains("tools.python: Python 3.11.2 → Python 3.12.1"), "{diff}");
    assert!(!diff.contains("tools.solver"), "{diff}");
    // Back, also on the shortest way.
    assert!(run(&old).contains("0 executed, 1 cached"));
    assert!(run(&old).contains("0 executed, 1 cached"));
    assert_eq!(project.read("artifacts/tools/fit/o.txt"), "Python 3.11.2\n");
    let explained = with_path(&project, &[&old], &["explain", "pipeline.yaml", "fit"]).stdout;
    assert!(explained.contains("    tools.python = Python 3.11.2\n"), "{explained}");
    // The file of a tool counts by its content, without being asked.
    program(&project, "solver", "echo solver 2");
    let plan = with_path(&project, &[&old], &["plan", "pipeline.yaml"]).stdout;
    assert!(plan.contains("tools.solver: "), "{plan}");
    assert!(!plan.contains("tools.python"), "{plan}");
    assert!(run(&old).contains("1 executed"));
}

#[test]
fn a_tool_that_says_nothing_fails_its_task_alone() {
    let project = Project::new(&format!(
        "{}  other:\n    kind: command\n    run: echo > ${{outputs.o}}\n    outputs: {{o: o.txt}}\n",
        TOOLS.replace("python3 --version,", "no-such-tool --version,")
    ));
    program(&project, "solver", "");
    let plan = project.onsager(&["plan", "pipeline.yaml"]);
    assert_eq!(plan.status, 0, "{}", plan.stderr);
    assert!(
        plan.stdout.contains("fit: execute\n    the tool `no-such-tool --version` does not"),
        "{}",
        plan.stdout
    );
    let failed = project.run(&["--keep-going"]);
    assert_eq!(failed.status, 1);
    assert!(
        failed.stderr.contains("the tool `no-such-tool --version` does not say what it is"),
        "{}",
        failed.stderr
    );
    assert!(failed.stderr.contains("not found"), "{}", failed.stderr);
    assert!(failed.stdout.contains("2 tasks: 1 executed, 0 cached, 1 failed"), "{}", failed.stdout);
    // The PATH of the stage itself counts.
    program(&project, "own/no-such-tool", "echo 1.0");
    let own = format!(
        "    env: {{PATH: '{}:/usr/bin:/bin'}}\n    outputs: {{o: o.txt}}\n  other",
        project.path("own").display()
    );
    project.write(
        "pipeline.yaml",
        &project.read("pipeline.yaml").replace("    outputs: {o: o.txt}\n  other", &own),
    );
    assert_eq!(project.run(&[]).status, 0);
}

#[test]
fn wrong_uses_are_told_with_line_and_column() {
    for (fields, message, place) in [
        ("tools: {'a b': x}", "`a b` cannot be the name of a tool", "5:13"),
        ("tools: {a: 3}", "tool `a` cannot be the number 3", "5:16"),
        ("tools: {a: {flie: x}}", "tool `a` cannot be", "5:16"),
        ("tools: {a: {file: nowhere}}", "there is no file or folder", "5:23"),
        ("tools: x", "`tools` must be a mapping", "5:12"),
        ("environment: {uv: uv.lock}", "there is no file or folder", "5:23"),
        ("environment: {uv: pipeline.yaml}", "`pipeline.yaml` is not called `uv.lock`", "5:23"),
        ("environment: {pip: x}", "`environment` cannot be `pip`", "5:"),
        ("environment: {container: 'python:3.12'}", "without its digest", "5:30"),
        ("environment: x", "`environment` must be a mapping", "5:18"),
    ] {
        let text = format!(
            "name: x\nstages:\n  s:\n    kind: command\n    {fields}\n    run: x\n    outputs: {{o: o}}\n"
        );
        let told = Project::new(&text).onsager(&["plan", "pipeline.yaml"]).stderr;
        assert!(told.contains(message), "{fields}: {told}");
        assert!(told.contains(&format!("pipeline.yaml:{place}")), "{fields}: {told}");
    }
}

/// A stage in an environment.
fn environment(of: &str) -> String {
    format!(
        "\
name: env
stages:
  s:
    kind: command
    inputs: {{given: {{file: 'a given.txt'}}}}
    environment: {{{of}}}
    env: {{WORD: 'a, b'}}
    run: |
      cat ${{inputs.given}} > ${{outputs.o}}
      echo \"$WORD\" ${{inputs.given}} >> ${{outputs.o}}
    outputs: {{o: o.txt}}
"
    )
}

/// A stand-in writes down its arguments, and runs what follows the word that the command begins with.
const STAND_IN: &str = "\
for word in \"$@\"; do printf '%s\\n' \"$word\" >> LOG; done
while [ $# -gt 0 ]; do
  case $1 in --env) export \"$2\";; sh|/bin/sh) exec \"$@\";; esac
  shift
done
";

#[test]
fn a_container_sees_the_project_under_its_own_path() {
    let image = format!("python@sha256:{}", "a".repeat(64));
    for (engine, expected) in [
        ("podman", vec!["run", "--rm", "--init", "--userns=keep-id", "--workdir"]),
        ("docker", vec!["run", "--rm", "--user=", "--workdir"]),
        ("apptainer", vec!["exec", "--cleanenv", "--bind", "--pwd", "docker://python@sha256:"]),
    ] {
        let project = Project::new(&environment(&format!("container: '{image}'")));
        project.write("a given.txt", "given\n");
        let log = project.path("words");
        program(
            &project,
            &format!("bin/{engine}"),
            &STAND_IN.replace("LOG", &log.display().to_string()).replace("a, b", ""),
        );
        // None but this engine is on PATH.
        let path = format!("{}:/usr/bin:/bin", project.path("bin").display());
        let mut command = project.command(&["run", "pipeline.yaml"]);
        let done = ran(command.env("PATH", &path).output().unwrap());
        if engine == "apptainer" {
            // It hands variables over by itself, which the stand-in does not.
            assert!(done.status == 0, "{}", done.stderr);
        } else {
            assert_eq!(done.status, 0, "{}", done.stderr);
            let written = project.read("artifacts/env/s/o.txt");
            assert!(written.starts_with("given\na, b "), "{written}");
        }
        let words = fs::read_to_string(&log).unwrap();
        for word in expected {
            assert!(words.lines().any(|line| line.starts_with(word)), "{engine} {word}\n{words}");
        }
        let root = fs::canonicalize(project.path("")).unwrap();
        let root = root.display().to_string();
        assert!(words.contains(&format!("{root}:{root}:rw\n")), "{words}");
        // The image is part of the key.
        let mut again = project.command(&["run", "pipeline.yaml"]);
        assert!(ran(again.env("PATH", &path).output().unwrap()).stdout.contains("1 cached"));
        project.write("pipeline.yaml", &project.read("pipeline.yaml").replace("aaa", "bbb"));
        assert!(project.onsager(&["plan", "pipeline.yaml"]).stdout.contains("params.environment.container"));
    }
}

#[test]
fn conda_makes_an_environment_once_for_each_content_of_its_file() {
    let project = Project::new(&environment("conda: environment.yml"));
    project.write("a given.txt", "given\n");
    project.write("environment.yml", "dependencies: [python=3.12]\n");
    let log = project.path("words");
    program(&project, "bin/conda", &STAND_IN.replace("LOG", &log.display().to_string()));
    let bin = project.path("bin");
    let done = with_path(&project, &[&bin], &["run", "pipeline.yaml"]);
    assert_eq!(done.status, 0, "{}", done.stderr);
    let words = fs::read_to_string(&log).unwrap();
    assert!(words.starts_with("env\ncreate\n--yes\n--prefix\n"), "{words}");
    assert!(words.contains("\nrun\n--prefix\n"), "{words}");
    let count = |word: &str| fs::read_to_string(&log).unwrap().lines().filter(|line| *line == word).count();
    with_path(&project, &[&bin], &["run", "pipeline.yaml", "--force", "s"]);
    assert_eq!((count("create"), count("run")), (1, 2));
    project.write("environment.yml", "dependencies: [python=3.13]\n");
    let plan = with_path(&project, &[&bin], &["plan", "pipeline.yaml"]).stdout;
    assert!(plan.contains("environment.conda: "), "{plan}");
    with_path(&project, &[&bin], &["run", "pipeline.yaml"]);
    assert_eq!((count("create"), count("run")), (2, 3));
}

#[test]
fn a_missing_program_is_told_with_what_to_do() {
    let digest = "a".repeat(64);
    for (of, named) in [
        ("uv: uv.lock".to_owned(), "there is no `uv` on PATH"),
        ("conda: uv.lock".to_owned(), "there is no `conda`, `mamba` or `micromamba` on PATH"),
        (format!("container: 'x@sha256:{digest}'"), "there is no `podman`, `docker` or `apptainer` on PATH"),
    ] {
        let project = Project::new(&environment(&of));
        project.write("a given.txt", "");
        project.write("uv.lock", "");
        let empty = project.path("empty");
        fs::create_dir(&empty).unwrap();
        let mut command = project.command(&["run", "pipeline.yaml"]);
        let failed = ran(command.env("PATH", &empty).output().unwrap());
        assert_eq!(failed.status, 1);
        assert!(failed.stderr.contains(named), "{}", failed.stderr);
        assert!(failed.stderr.contains("help: install one of them"), "{}", failed.stderr);
    }
}

#[test]
fn uv_runs_a_command_with_the_packages_of_its_lock_file() {
    let Some(uv) = Uv::found() else { return };
    let project = Project::new(
        "\
name: packages
stages:
  s:
    kind: command
    environment: {uv: code/uv.lock}
    run: python3 -c 'import sys; print(sys.prefix)' > ${outputs.o}; echo $VIRTUAL_ENV >> ${outputs.o}
    outputs: {o: o.txt}
",
    );
    uv.lock(&project);
    let run = |arguments: &[&str]| {
        let mut command = project.command(&[&["run", "pipeline.yaml"], arguments].concat());
        ran(uv.within(&mut command).output().unwrap())
    };
    let done = run(&[]);
    assert_eq!(done.status, 0, "{}\n{}", done.stderr, project.onsager(&["log", "pipeline.yaml", "s"]).stdout);
    let written = project.read("artifacts/packages/s/o.txt");
    let lines: Vec<&str> = written.lines().collect();
    assert_eq!(lines[0], lines[1]);
    assert!(lines[0].contains("artifacts/.onsager/environments/uv-"), "{written}");
    assert!(!project.path("code/.venv").exists());
    assert!(run(&[]).stdout.contains("1 cached"));
    // A change of the lock file is a change of the key; one that does not fit its project is an error.
    project.write("code/uv.lock", &(project.read("code/uv.lock") + "# another\n"));
    let plan = project.onsager(&["plan", "pipeline.yaml"]).stdout;
    assert!(plan.contains("environment.uv: "), "{plan}");
    project.write("code/uv.lock", "version = 1\nrequires-python = \">=3.99\"\n");
    let failed = run(&[]);
    assert_eq!(failed.status, 1);
    assert!(failed.stderr.contains("the environment could not be made: `uv` failed"), "{}", failed.stderr);
}
