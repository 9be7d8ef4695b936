//! Why an attempt at a task failed, as the worker and its executor see it.

use crate::kind::error::StageError;
use crate::worker::memory::bytes;
use crate::worker::protocol::Outcome;
use std::io;
use std::time::Duration;

/// What is wrong with a stage, or with what it made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttemptError {
    #[error("the worker does not have the kind `{kind}`")]
    NoKind { kind: String },
    #[error("onsager was built anew while this run goes on, and the code of the stage changed")]
    OtherCode,
    #[error("output `{name}` (`{file}`) was declared and not written")]
    NotWritten { name: String, file: String },
    #[error("output `{name}` (`{file}/`) is declared as a folder and is a file")]
    NoFolder { name: String, file: String },
    #[error("output `{name}` (`{file}`) is declared as a file and is a folder")]
    NoFile { name: String, file: String },
    #[error("the stage changed one of its inputs; the store has dropped the damaged object")]
    InputChanged,
    #[error("the stage panicked: {message}")]
    Panicked { message: String },
}

impl AttemptError {
    fn help(&self) -> Option<String> {
        match self {
            AttemptError::OtherCode => Some("run again with the new program".into()),
            AttemptError::NotWritten { name, .. } => {
                Some(format!("write it to `${{outputs.{name}}}`, or remove it from the stage's outputs"))
            }
            AttemptError::InputChanged => {
                Some("write to the outputs only; the next run makes the input anew".into())
            }
            AttemptError::NoFolder { name, file } => Some(format!("declare it as `{name}: {file}`")),
            AttemptError::NoFile { name, file } => Some(format!("declare it as `{name}: {file}/`")),
            AttemptError::NoKind { .. } | AttemptError::Panicked { .. } => None,
        }
    }

    /// The same with its advice.
    pub fn advised(self) -> StageError {
        match self.help() {
            Some(help) => StageError::with_help(self, help),
            None => self.into(),
        }
    }
}

/// How a worker that had a task came to its end.
#[derive(Debug, thiserror::Error)]
pub enum WorkerDeath {
    #[error("the memory limit of {} was reached ({} in use)", bytes(*.limit), bytes(*.used))]
    MemoryLimit { limit: u64, used: u64 },
    #[error("the time limit of {} s was reached", .limit.as_secs())]
    TimeLimit { limit: Duration },
    #[error("the worker was killed (signal 9)")]
    Killed,
    #[error("the worker crashed (signal {signal})")]
    Crashed { signal: i32 },
    #[error("the worker ended with status {status}")]
    Ended { status: i32 },
    #[error("the worker is lost: {0}")]
    Lost(#[source] io::Error),
}

impl WorkerDeath {
    fn help(&self) -> Option<&'static str> {
        match self {
            WorkerDeath::MemoryLimit { .. } => {
                Some("raise `resources: {memory: …}`; a stage with checkpoints goes on from the last")
            }
            WorkerDeath::TimeLimit { .. } => {
                Some("raise `resources: {time: …}`; a stage with checkpoints goes on from the last")
            }
            WorkerDeath::Killed => {
                Some("was the machine out of memory? give the stage `resources: {memory: …}`")
            }
            WorkerDeath::Crashed { .. } | WorkerDeath::Ended { .. } | WorkerDeath::Lost(_) => None,
        }
    }

    /// What it means for the task.
    pub fn outcome(&self) -> Outcome {
        Outcome::Failed { message: self.to_string(), help: self.help().map(str::to_owned) }
    }
}
