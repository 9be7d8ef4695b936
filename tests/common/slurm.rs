//! A Slurm of two nodes on this host, for all tests of a test binary; `benches/cluster/slurm.py` makes it.

use super::{Project, Ran, ran, repository};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Output, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock};

/// A running cluster. It ends when its input closes, so with this process, however that ends.
pub struct Slurm {
    environment: Vec<(String, String)>,
    script: Mutex<Script>,
    _process: Child,
}

struct Script {
    acts: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Slurm {
    /// The cluster, started by the first test that asks; none, and a line that says why, where there can be none.
    pub fn shared() -> Option<&'static Slurm> {
        static SHARED: OnceLock<Option<Slurm>> = OnceLock::new();
        SHARED.get_or_init(Slurm::start).as_ref()
    }

    fn start() -> Option<Slurm> {
        let script = repository().join("benches/cluster/slurm.py");
        let mut process = Command::new("python3")
            .arg(script)
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| println!("skipped: no Slurm here: python3: {error}"))
            .ok()?;
        let acts = process.stdin.take().expect("its input");
        let mut answers = BufReader::new(process.stdout.take().expect("its output"));
        let mut line = String::new();
        answers.read_line(&mut line).expect("a line");
        let told: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        if let Some(why) = told["skipped"].as_str() {
            println!("skipped: no Slurm here: {why}");
            return None;
        }
        let environment = ["SLURM_CONF", "PATH"]
            .map(|name| (name.to_owned(), told[name].as_str().expect("a text").to_owned()))
            .to_vec();
        Some(Slurm { environment, script: Mutex::new(Script { acts, answers }), _process: process })
    }

    /// A command that finds this Slurm.
    pub fn within<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.envs(self.environment.iter().map(|(name, value)| (name, value)))
    }

    /// The program with these arguments, to its end.
    pub fn onsager(&self, project: &Project, arguments: &[&str]) -> Ran {
        ran(self.within(&mut project.command(arguments)).output().expect("the program starts"))
    }

    /// `onsager run pipeline.yaml --on cluster` with more arguments.
    pub fn run(&self, project: &Project, arguments: &[&str]) -> Ran {
        self.onsager(project, &[&["run", "pipeline.yaml", "--on", "cluster"], arguments].concat())
    }

    /// Runs one of Slurm's own commands.
    pub fn command(&self, words: &[&str]) -> Output {
        let mut command = Command::new(words[0]);
        self.within(&mut command).args(&words[1..]).output().expect("a command of Slurm")
    }

    /// Does to the cluster one of the script's `ACTS`, such as `kill-controller`.
    pub fn act(&self, act: &str) {
        let mut script = self.script.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        writeln!(script.acts, "{act}").expect("the script reads");
        let mut answer = String::new();
        script.answers.read_line(&mut answer).expect("an answer");
        assert_eq!(answer, "null\n", "{act}");
    }
}

/// A profile `cluster`.
pub const PROFILE: &str = "\
[on.cluster]
engine = \"slurm\"
poll = \"1s\"
memory = \"200MiB\"
";

/// A project with a pipeline and profiles.
pub fn project(pipeline: &str, profiles: &str) -> Project {
    let project = Project::new(pipeline);
    project.write("onsager.toml", profiles);
    project
}

/// Tests that end daemons take turns with those that need all of them.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
