//! What a run is asked for, and how it ended.

use crate::pipeline::graph::{Graph, Task};
use crate::run::claims::Checked;
use crate::run::pools::{Capacity, Sizes};
use crate::run::state::TaskState;
use crate::store::digest::Digest;
use crate::store::files;
use crate::store::objects::Content;
use onsager_numerics::kernel::Level;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// What was asked for.
#[derive(Clone)]
pub struct Options {
    /// Which tasks of the graph take part.
    pub selected: Vec<bool>,
    /// Tasks to execute although their result is there.
    pub forced: HashSet<usize>,
    /// How many tasks may run side by side; 0 counts as 1.
    pub jobs: usize,
    /// How many threads they may have in all; 0 counts as 1.
    pub threads: usize,
    /// How many places each pool has.
    pub pools: Sizes,
    /// Whether every task that can be confined sees nothing but what it declares.
    pub sandbox: bool,
    pub keep_going: bool,
    /// Whether what has no result is executed; else the run only takes what is known.
    pub execute: bool,
    /// Whether the bytes of every result are fetched from a remote store, needed or not.
    pub everything: bool,
    pub kernel: Level,
    /// Whether the logs of tasks are JSON lines.
    pub json_logs: bool,
    /// How often Ctrl-C was pressed.
    pub interrupts: Arc<AtomicUsize>,
    /// Where tasks run, the place of those that name none first; where there are none, all run here.
    pub places: Vec<Place>,
}

/// A place where tasks run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Of the profile; none for this machine as it is without one.
    pub name: Option<String>,
    /// What there is of it; none for this machine.
    pub elsewhere: Option<Capacity>,
}

impl Options {
    /// Every task of the graph, with all of the machine, and no interrupts.
    pub fn all(graph: &Graph) -> Options {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Options {
            selected: vec![true; graph.tasks.len()],
            forced: HashSet::new(),
            jobs: cores,
            threads: cores,
            pools: graph.pools.iter().cloned().collect(),
            sandbox: false,
            keep_going: false,
            execute: true,
            everything: false,
            kernel: Level::detect(),
            json_logs: false,
            interrupts: Arc::new(AtomicUsize::new(0)),
            places: Vec::new(),
        }
    }

    /// What there is of each place.
    pub fn capacities(&self, memory: u64) -> Vec<Capacity> {
        let here = Capacity { jobs: self.jobs.max(1), threads: self.threads.max(1), memory };
        if self.places.is_empty() {
            return vec![here];
        }
        self.places.iter().map(|place| place.elsewhere.unwrap_or(here)).collect()
    }

    /// The number of the place where a task runs.
    pub fn place_of(&self, task: &Task) -> usize {
        let named = |place: &Place| place.name.is_some() && place.name == task.resources.on;
        self.places.iter().position(named).unwrap_or(0)
    }

    /// Whether a task runs on a cluster.
    pub fn is_elsewhere(&self, task: &Task) -> bool {
        self.places.get(self.place_of(task)).is_some_and(|place| place.elsewhere.is_some())
    }
}

/// How a run ended.
pub struct Summary {
    pub run: String,
    pub states: Vec<Option<TaskState>>,
    /// The outputs of each task, in declared order, as far as they are known.
    pub outputs: Vec<Option<Vec<Content>>>,
    /// The tasks of the run that have a result, with their keys: see [`crate::store::manifests`].
    pub manifest: Digest,
    /// What became of the pipeline's claims.
    pub claims: Vec<Checked>,
    pub interrupted: bool,
    pub seconds: f64,
}

impl Summary {
    /// How many tasks are in a state.
    pub fn count(&self, of: impl Fn(&TaskState) -> bool) -> usize {
        self.states.iter().flatten().filter(|state| of(state)).count()
    }
}

/// A new run's name: its start in UTC, with three hexadecimal digits for the part of the second, so that names are in the order of the
/// starts; and five that no other run is likely to have.
pub fn new_run_name() -> String {
    let now = jiff::Timestamp::now();
    let part = u64::from(now.subsec_nanosecond().unsigned_abs()) * 4096 / 1_000_000_000;
    format!("{}-{part:03x}{}", now.strftime("%Y-%m-%dT%H-%M-%S"), &files::random()[3..])
}
