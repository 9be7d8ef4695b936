//! What coordinator and pilot say to each other, and what a pilot is told when its job is submitted.

use crate::config::profiles::Profile;
use crate::store::digest::Digest;
use crate::worker::protocol::{Assignment, FromWorker};
use onsager_numerics::kernel::Level;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// An attempt at a task: the run that asked for it, and its number there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Attempt {
    pub run: String,
    pub number: usize,
}

/// From the coordinator to a pilot.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ToPilot {
    Assign {
        run: String,
        assignment: Box<Assignment>,
    },
    /// End a task by force.
    Kill(Attempt),
    /// Ask a task to save a checkpoint and stop.
    Interrupt(Attempt),
    /// Ask every task to save a checkpoint and stop.
    Cancel,
    /// End: nothing more will come.
    Stop,
}

/// From a pilot to the coordinator.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FromPilot {
    /// The first message: it waits for tasks.
    Started {
        /// The job, as the engine calls it.
        job: String,
        node: String,
        /// Until its job's time is over, in seconds.
        left: f64,
    },
    /// It cannot work on this node, and ends.
    Unfit { job: String, node: String, message: String },
    /// A task has begun, after waiting so long in the pilot.
    Began(Attempt),
    /// What the task's worker said.
    Said { attempt: Attempt, message: FromWorker },
    /// Its job's time comes to an end: the task was asked to save a checkpoint and stop, or was not begun. It goes on elsewhere.
    Returned(Attempt),
    /// The last message. What came behind file number `seen` was not read.
    Ended { seen: u64 },
}

/// What the jobs of one submission have in common.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Orders {
    /// The run that submitted them.
    pub run: String,
    pub profile: String,
    /// The one job is the run itself, not a pilot.
    #[serde(default)]
    pub detached: bool,
    pub kernel: Level,
    pub log_format: String,
    pub threads: usize,
    /// In bytes.
    pub memory: Option<u64>,
    pub time: Duration,
    pub idle: Duration,
    pub drain: Duration,
    pub tasks: Option<usize>,
    /// The program that all of them run: `gc` leaves it.
    pub digest: Digest,
}

impl Orders {
    /// Those for the jobs of a profile.
    pub fn of(
        profile: (&str, &Profile),
        run: &str,
        kernel: Level,
        log_format: &str,
        program: Digest,
    ) -> Orders {
        let (name, Profile { threads, memory, time, idle, drain, tasks, .. }) = profile;
        Orders {
            run: run.to_owned(),
            profile: name.to_owned(),
            detached: false,
            kernel,
            log_format: log_format.to_owned(),
            threads: *threads,
            memory: *memory,
            time: *time,
            idle: *idle,
            drain: *drain,
            tasks: *tasks,
            digest: program,
        }
    }
}
