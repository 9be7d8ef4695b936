//! Failures of the engine itself.

use crate::command::error::ToolError;
use crate::store::files::StoreError;
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
    #[error("cannot start a worker: {0}")]
    Worker(#[source] io::Error),
    #[error("cannot listen for Ctrl-C: {0}")]
    Signals(#[source] io::Error),
    #[error(
        "task `{task}` cannot go from `{from}` to `{to}`: this is a mistake in onsager, please report it"
    )]
    Transition { task: String, from: &'static str, to: &'static str },
}
