//! What runs tasks: the scheduler gives it assignments and hears its reports.

use crate::worker::protocol::{Assignment, Report};
use std::io;
use std::time::Duration;

/// Runs tasks somewhere and reports how they go.
pub trait Executor {
    /// Starts a task; its end comes as a report. Gives the process that has it, where it is one of this machine. An error ends the run:
    /// nothing can be started any more.
    fn start(&mut self, assignment: Assignment) -> io::Result<Option<u32>>;
    /// The next report, waiting at most this long.
    fn next(&mut self, wait: Duration) -> Option<Report>;
    /// Asks every running task to save a checkpoint and stop.
    fn cancel(&mut self);
    /// Asks one running task to save a checkpoint and stop.
    fn stop(&mut self, number: usize);
    /// Ends a running task by force.
    fn kill(&mut self, number: usize);
    /// Lets the running tasks go on without this process. False where they cannot.
    fn leave(&mut self) -> bool {
        false
    }
    /// Why nothing can be started any more, if that is so: the run ends with it.
    fn fault(&mut self) -> Option<String> {
        None
    }
    /// Something that the user should know, if there is anything.
    fn note(&mut self) -> Option<String> {
        None
    }
}
