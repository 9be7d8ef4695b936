//! What a session's runs come to.

use crate::pipeline::graph::Graph;
use crate::run::claims::Checked;
use crate::run::error::SessionError;
use crate::run::events::Observer;
use crate::run::options::Summary;
use std::path::Path;

/// What a run came to.
pub enum Outcome {
    /// Nothing that it rests on has changed since the last run: all `tasks` of the pipeline `name` are cached, but those that are
    /// skipped.
    Unchanged { name: String, tasks: usize, skipped: usize, claims: Vec<Checked> },
    /// It looked at the tasks.
    Finished(Box<Finished>),
}

/// A run that has ended, well or not.
pub struct Finished {
    pub graph: Graph,
    pub summary: Summary,
}

/// Hears what happens while a session watches.
pub trait Watcher: Observer {
    /// A run has ended, or the pipeline cannot be run as it is. While a file stays wrong in the same way, that is told once.
    fn ended(&mut self, outcome: Result<&Finished, &SessionError>);
    /// The session waits for a change.
    fn waiting(&mut self);
    /// A file has changed: another run follows.
    fn changed(&mut self, path: &Path);
}
