//! Why a stage did not finish.

use std::error::Error;
use std::fmt;

/// Why a stage did not finish. Any error converts into it with `?`.
#[derive(Debug)]
pub enum StageError {
    /// The run was interrupted; the work so far is in the checkpoint.
    Cancelled,
    /// The stage failed.
    Failed { source: Box<dyn Error + Send + Sync>, help: Option<String> },
}

impl StageError {
    /// A failure with advice on what to do.
    pub fn with_help(source: impl Into<Box<dyn Error + Send + Sync>>, help: impl Into<String>) -> StageError {
        StageError::Failed { source: source.into(), help: Some(help.into()) }
    }
}

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for StageError {
    fn from(source: E) -> StageError {
        StageError::Failed { source: source.into(), help: None }
    }
}

impl fmt::Display for StageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StageError::Cancelled => f.write_str("interrupted"),
            StageError::Failed { source, .. } => {
                write!(f, "{source}")?;
                let mut cause = source.source();
                while let Some(inner) = cause {
                    write!(f, ": {inner}")?;
                    cause = inner.source();
                }
                Ok(())
            }
        }
    }
}

/// A stage that asks its [`Context`](crate::kind::context::Context) for what it has not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContextError {
    #[error("input `{name}` holds {count} artifacts where one is needed")]
    NotOne { name: String, count: usize },
    #[error("output `{name}` is not declared")]
    NoOutput { name: String },
}
