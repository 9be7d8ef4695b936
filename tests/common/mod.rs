//! A project in a temporary folder, and the binary run on it.

// Each test file uses its own part of this.
#![allow(dead_code)]

pub mod archive;
pub mod browser;
pub mod chain;
pub mod counting;
pub mod hosts;
pub mod pages;
pub mod servers;
pub mod slurm;
pub mod terminal;
pub mod trust;
pub mod uv;
pub mod web;

use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A temporary project.
pub struct Project {
    folder: TempDir,
}

/// What a command printed, and its exit status.
pub struct Ran {
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Project {
    /// A project with this pipeline as `pipeline.yaml`.
    pub fn new(pipeline: &str) -> Project {
        let project = Project { folder: tempfile::tempdir().expect("a temporary folder") };
        project.write("pipeline.yaml", pipeline);
        project
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The program with these arguments, in the project's folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_onsager"));
        command.args(arguments).current_dir(self.folder.path()).env_remove("ONSAGER_LOG");
        // Neither the keys nor the settings of whoever runs the tests.
        command.env("XDG_CONFIG_HOME", self.folder.path().join(".config"));
        for name in ["ONSAGER_KEY", "ONSAGER_KEY_FILE", "ONSAGER_SCOPE"] {
            command.env_remove(name);
        }
        command
    }

    pub fn onsager(&self, arguments: &[&str]) -> Ran {
        ran(self.command(arguments).output().expect("the program starts"))
    }

    /// `onsager run pipeline.yaml` with more arguments.
    pub fn run(&self, arguments: &[&str]) -> Ran {
        self.onsager(&[&["run", "pipeline.yaml"], arguments].concat())
    }

    /// The `--json` document of a run, and its exit status.
    pub fn run_json(&self, arguments: &[&str]) -> (Value, i32) {
        let ran = self.run(&[&["--json"], arguments].concat());
        let document = serde_json::from_str(&ran.stdout)
            .unwrap_or_else(|error| panic!("{error}: {} {}", ran.stdout, ran.stderr));
        (document, ran.status)
    }

    /// The names of the tasks that a run executes.
    pub fn executed(&self, arguments: &[&str]) -> Vec<String> {
        let (document, status) = self.run_json(arguments);
        assert_eq!(status, 0, "{document:#}");
        names(&document["tasks"]["executed"])
    }

    /// Starts a run and does not wait for it.
    pub fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(&[&["run", "pipeline.yaml"], arguments].concat());
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
    }

    /// The events of every run, oldest run first.
    pub fn events(&self) -> Vec<Value> {
        let mut files: Vec<PathBuf> = fs::read_dir(self.path("artifacts/.onsager/runs"))
            .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
            .unwrap_or_default();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
        files.sort_by_key(|path| fs::metadata(path).and_then(|data| data.created()).ok());
        let text: Vec<String> = files.iter().filter_map(|path| fs::read_to_string(path).ok()).collect();
        text.iter().flat_map(|text| text.lines()).filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Those of them that are of a kind.
    pub fn events_of(&self, kind: &str) -> Vec<Value> {
        self.events().into_iter().filter(|event| event["event"] == kind).collect()
    }
}

/// Waits for something that must happen.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(300), "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Whether this machine can build documents; if not, it says so.
pub fn there_is_tex() -> bool {
    let there = |program: &str| Command::new(program).arg("--version").output().is_ok();
    if there("latexmk") && there("pdflatex") {
        return true;
    }
    println!("skipped: there is no latexmk or no pdflatex; `.ci/setup` installs them");
    false
}

/// Lets a command find the programs of a folder before those that it finds already.
pub fn first_on_path<'a>(command: &'a mut Command, folder: &Path) -> &'a mut Command {
    let own = command.get_envs().find(|(name, _)| *name == "PATH").and_then(|(_, path)| path);
    let path = own.map(OsStr::to_owned).or_else(|| std::env::var_os("PATH")).unwrap_or_default();
    let folders = [folder.to_owned()].into_iter().chain(std::env::split_paths(&path));
    command.env("PATH", std::env::join_paths(folders).expect("a path"))
}

pub fn ran(output: Output) -> Ran {
    Ran {
        status: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The document that a command prints.
pub fn json_of(project: &Project, arguments: &[&str]) -> Value {
    let ran = project.onsager(arguments);
    assert_eq!(ran.status, 0, "{arguments:?}: {}", ran.stderr);
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.stdout))
}

/// A JSON list of strings.
pub fn names(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

/// A project with the pipelines and experiments of this repository.
pub fn shipped() -> Project {
    let project = Project::new("");
    fs::remove_file(project.path("pipeline.yaml")).expect("removed");
    for folder in ["experiments", "pipelines", "pipelines/shared"] {
        for entry in fs::read_dir(repository().join(folder)).expect("a folder").flatten() {
            if entry.path().is_file() {
                let name = format!("{folder}/{}", entry.file_name().to_str().expect("text"));
                project.write(&name, &fs::read_to_string(entry.path()).expect("text"));
            }
        }
    }
    project
}

/// The shipped files of a folder whose data this machine has; it says which it leaves out.
pub fn with_their_data(folder: &str) -> Vec<PathBuf> {
    const CLOTHING: &str = "/usr/share/datasets/fashion-mnist";
    let mut found = Vec::new();
    for entry in fs::read_dir(repository().join(folder)).expect("a folder").flatten() {
        let file = entry.path();
        let Ok(text) = fs::read_to_string(&file) else { continue }; // a folder of templates
        if text.contains(CLOTHING) && !Path::new(CLOTHING).exists() {
            println!("skipped {}: there is no {CLOTHING}, which `.ci/setup` installs", file.display());
        } else {
            found.push(file);
        }
    }
    found
}

/// The last line.
pub fn last_line(text: &str) -> &str {
    text.lines().last().unwrap_or("")
}

/// The repository's own folder.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
