//! What tasks wait for before they start, and for how long.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::time::Instant;

/// How long an attempt waited before it started, in seconds; in all the time since the run began, or since the wait after a failure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Waits {
    /// For what it reads to be made.
    pub inputs: f64,
    /// For another run, or another task of this one, that had its key.
    pub lock: f64,
    /// For places of a pool.
    pub pool: f64,
    /// For room beside the others: threads, memory, `--jobs`.
    pub threads: f64,
}

/// What a task waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    Inputs,
    Lock,
    Pool,
    Threads,
    /// Its next try: that is told when it failed.
    Retry,
}

/// A task on its way to its next attempt.
#[derive(Debug)]
struct Way {
    waits: Waits,
    now: For,
    since: Instant,
    /// How many attempts there were.
    attempts: u32,
}

/// The tasks of a run that had or have something to wait for; those whose result is known are not among them.
#[derive(Debug)]
pub struct Waiting {
    began: Instant,
    tasks: HashMap<usize, Way>,
}

impl Waiting {
    /// In a run that begins now.
    pub fn begin() -> Waiting {
        Waiting { began: Instant::now(), tasks: HashMap::new() }
    }

    /// From now on the task waits for this; until now its inputs were what it waited for, where nothing else was said.
    pub fn wait_for(&mut self, task: usize, what: For) {
        let first = Way { waits: Waits::default(), now: For::Inputs, since: self.began, attempts: 0 };
        self.tasks.entry(task).or_insert(first).turn_to(what);
    }

    /// An attempt starts: which one it is, from 1, and how long it waited.
    pub fn start(&mut self, task: usize) -> (u32, Waits) {
        self.wait_for(task, For::Retry);
        let Some(way) = self.tasks.get_mut(&task) else { return (1, Waits::default()) };
        way.attempts += 1;
        (way.attempts, std::mem::take(&mut way.waits))
    }

    /// Gives the tasks other numbers; those without one are forgotten.
    pub fn renumber(&mut self, new: impl Fn(usize) -> Option<usize>) {
        let tasks = std::mem::take(&mut self.tasks).into_iter();
        self.tasks = tasks.filter_map(|(number, way)| Some((new(number)?, way))).collect();
    }
}

impl Way {
    fn turn_to(&mut self, what: For) {
        let now = Instant::now();
        let seconds = now.duration_since(self.since).as_secs_f64();
        match self.now {
            For::Inputs => self.waits.inputs += seconds,
            For::Lock => self.waits.lock += seconds,
            For::Pool => self.waits.pool += seconds,
            For::Threads => self.waits.threads += seconds,
            For::Retry => {}
        }
        (self.now, self.since) = (what, now);
    }
}
