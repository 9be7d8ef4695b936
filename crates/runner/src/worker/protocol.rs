//! The messages between an executor and its workers: one JSON object a line.

use crate::command::usage::Usage;
use crate::kind::context::Item;
use crate::store::curves::number;
use crate::store::digest::Digest;
use crate::store::names;
use crate::store::objects::{Content, Outputs};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Everything that a worker needs to compute a task; nothing of it depends on the worker's machine but the paths, which are
/// in the store.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Assignment {
    /// The task's place in the graph: the name that messages use.
    pub number: usize,
    /// The number of the place where it runs, among those of the run.
    #[serde(default)]
    pub place: usize,
    pub key: Digest,
    pub task: String,
    pub kind: String,
    /// Of the kind's code in the coordinator, which the key holds: the worker must have the same.
    pub fingerprint: String,
    pub params: Value,
    pub inputs: Vec<(String, Vec<InputArtifact>)>,
    pub outputs: Vec<DeclaredOutput>,
    /// The attempt's own folder; the outputs are made in `out/` below it.
    #[serde(with = "names")]
    pub work: PathBuf,
    /// The project's root: where commands run.
    #[serde(with = "names")]
    pub root: PathBuf,
    #[serde(with = "names")]
    pub checkpoints: PathBuf,
    #[serde(with = "names")]
    pub log: PathBuf,
    pub threads: usize,
    /// In bytes; a task that takes more is ended.
    pub memory: Option<u64>,
    /// The longest that the task may run.
    pub time: Option<Duration>,
    /// Whether a command sees nothing but what it declares.
    pub sandbox: bool,
}

impl Assignment {
    /// Lets the attempt work in another folder.
    pub fn move_to(&mut self, work: &Path) {
        for given in self.inputs.iter_mut().flat_map(|(_, given)| given) {
            if let Ok(inside) = given.item.path.strip_prefix(&self.work) {
                given.item.path = work.join(inside);
            }
        }
        self.work = work.to_owned();
    }
}

/// An artifact given to an input.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InputArtifact {
    /// As the stage sees it; the path is where the worker puts the artifact, or that of an external file.
    pub item: Item,
    /// The object to put there; none for an external file.
    pub content: Option<Content>,
    /// Where the worker fetches it, if it is not there yet.
    pub remote: Option<Remote>,
}

/// A file from elsewhere.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Remote {
    pub url: String,
    pub sha256: Digest,
}

/// An output that the task must make.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeclaredOutput {
    pub name: String,
    /// Relative to the attempt's `out/`.
    pub file: String,
    pub folder: bool,
    pub optional: bool,
}

/// From the executor to a worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ToWorker {
    Run(Box<Assignment>),
    /// Save a checkpoint and stop the task that is running.
    Cancel,
}

/// From a worker to the executor.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FromWorker {
    Progress {
        done: u64,
        total: u64,
        unit: String,
    },
    Checkpoint {
        step: u64,
    },
    Resumed {
        step: u64,
    },
    /// A number that the task measured after so many steps. It is on its curve already: this is for who looks at the run.
    Metric {
        step: u64,
        name: String,
        #[serde(with = "number")]
        value: f64,
    },
    /// What an attempt took that does not end well; told just before its end.
    Took(Usage),
    /// The task has begun on a node, `queued` seconds after it was given to the cluster.
    Began {
        job: String,
        node: String,
        queued: f64,
    },
    /// The task runs a command, whose processes are in this group.
    Group {
        id: i32,
    },
    Ended(Outcome),
}

/// How an attempt ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The outputs are objects of the store.
    Done {
        outputs: Outputs,
        seconds: f64,
        #[serde(default)]
        usage: Option<Usage>,
    },
    Failed {
        message: String,
        help: Option<String>,
    },
    /// It did not begin: the object of an input is damaged, or has gone.
    InputLost {
        object: Digest,
    },
    Interrupted,
}

/// What an executor tells the scheduler.
#[derive(Debug)]
pub struct Report {
    /// The task's number.
    pub number: usize,
    pub message: FromWorker,
}
