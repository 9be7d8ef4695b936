//! Failures of the engine itself.

use crate::command::error::ToolError;
use crate::pipeline::condition::ValueError;
use crate::store::files::StoreError;
use onsager_tables::names::advice;
use std::io;

/// A failure of the engine itself, which ends the run.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Tool(#[from] ToolError),
    #[error("task `{task}` is of kind `{kind}`, which this program does not have")]
    UnknownKind { task: String, kind: String },
    #[error("interrupted while it waited for another run of the pipeline; give the same command to go on")]
    Interrupted,
    #[error("there is no `{member}` in `{artifact}`{}", advice(.help))]
    NoMember { artifact: String, member: String, help: Option<String> },
    #[error("`{artifact}` cannot be fanned out over: {message}")]
    Items { artifact: String, message: String },
    #[error("the condition `{condition}` of `{task}` has no answer: {fault}")]
    Condition { task: String, condition: String, fault: ConditionFault },
    #[error("cannot start a worker: {0}")]
    Worker(#[source] io::Error),
    #[error("{0}")]
    Place(String),
    #[error("cannot listen for Ctrl-C: {0}")]
    Signals(#[source] io::Error),
    #[error(
        "task `{task}` cannot go from `{from}` to `{to}`: this is a mistake in onsager, please report it"
    )]
    Transition { task: String, from: &'static str, to: &'static str },
}

/// Why a condition has no answer.
#[derive(Debug, thiserror::Error)]
pub enum ConditionFault {
    #[error("`{artifact}` cannot be read as JSON: {message}")]
    Json { artifact: String, message: String },
    #[error("`{artifact}` has no field `{field}`{}", advice(.help))]
    NoField { artifact: String, field: String, help: Option<String> },
    #[error(transparent)]
    Value(#[from] ValueError),
}
