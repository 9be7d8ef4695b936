//! Why a session does not run its pipeline.

use crate::compare::ask::SearchError;
use crate::compare::gather::GatherError;
use crate::config::NoProfile;
use crate::pipeline::expand::apart::NotApart;
use crate::pipeline::graph::SelectError;
use crate::pipeline::yaml::diagnostics::Diagnostics;
use crate::plan::error::EngineError;
use crate::run::pools::PoolError;
use crate::store::files::StoreError;
use crate::store::owner::Taken;
use crate::worker::cluster::detach::DetachError;
use onsager_numerics::kernel::{Level, LevelError};
use std::path::PathBuf;

/// Why a pipeline was not run.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    #[error(transparent)]
    Pipeline(#[from] Diagnostics),
    #[error(transparent)]
    Select(#[from] SelectError),
    #[error("`{}` is no folder, so it cannot hold results", .path.display())]
    Artifacts { path: PathBuf },
    #[error("`--force {task}` names a task that is not to be run")]
    Forced { task: String },
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error(transparent)]
    Level(#[from] LevelError),
    #[error(transparent)]
    NoProfile(#[from] NoProfile),
    #[error(
        "profile `{name}` has kernel level {pinned}, and the run uses {level}; give `--kernel {pinned}`, or let all profiles of the run \
         have one level"
    )]
    OtherLevel { name: String, pinned: Level, level: Level },
    #[error("`--detach` submits the run as a job: say where with `--on PROFILE`")]
    NowhereToDetach,
    #[error(transparent)]
    Detach(#[from] DetachError),
    #[error(transparent)]
    Taken(#[from] Taken),
    #[error("{error}; {help}", error = .0, help = .0.help())]
    NotApart(#[from] NotApart),
    #[error(transparent)]
    Search(Box<SearchError>),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl From<SearchError> for SessionError {
    fn from(error: SearchError) -> SessionError {
        match error {
            SearchError::Gather(GatherError::Engine(error)) => error.into(),
            SearchError::Store(error) => error.into(),
            error => SessionError::Search(Box::new(error)),
        }
    }
}

impl From<StoreError> for SessionError {
    fn from(error: StoreError) -> SessionError {
        SessionError::Engine(error.into())
    }
}
