//! What is asked of a run while it goes on: to stop one of its tasks, or to try one again.
//!
//! A request is a line in a file of the run's working folder, which the run looks into a few times a second. So it can be made from
//! any machine that shares the store, needs no port and no signal, and is gone with the run.

use crate::store::Store;
use crate::store::files::StoreError;
use crate::store::log::{Log, Tail};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often a run looks.
const PERIOD: Duration = Duration::from_millis(200);

/// What is asked for a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Asked {
    /// Save a checkpoint and stop; one that has not begun is left out.
    Cancel { task: String },
    /// Begin again from the last checkpoint; one that waits for a retry waits no longer.
    Retry { task: String },
}

/// Why a request was not made.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    #[error("run `{run}` has ended: nothing can be asked of it any more")]
    Ended { run: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Asks something of a run that goes on.
pub fn ask(store: &Store, run: &str, asked: &Asked) -> Result<(), RequestError> {
    let path = path(store, run);
    if !store.is_going(run) || !path.parent().is_some_and(|folder| folder.is_dir()) {
        return Err(RequestError::Ended { run: run.to_owned() });
    }
    Ok(Log::append_to(&path)?.append(asked)?)
}

fn path(store: &Store, run: &str) -> PathBuf {
    store.work().join(run).join("requests.jsonl")
}

/// What is asked of this run.
#[derive(Debug)]
pub struct Requests {
    tail: Tail,
    looked: Instant,
}

impl Requests {
    pub fn of(store: &Store, run: &str) -> Requests {
        Requests { tail: Tail::from(&path(store, run), 0), looked: Instant::now() }
    }

    /// What was asked since the last look, if that was long enough ago.
    pub fn new_ones(&mut self) -> Result<Vec<Asked>, StoreError> {
        if self.looked.elapsed() < PERIOD {
            return Ok(Vec::new());
        }
        self.looked = Instant::now();
        Ok(self.tail.more()?.into_iter().map(|(_, asked)| asked).collect())
    }
}
