//! What a session is asked for.

use crate::pipeline::experiments::overrides::Override;
use onsager_numerics::kernel::Level;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

/// What is laid over a pipeline, and where its results are.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// YAML files of parameters, laid over the pipeline's.
    pub params: Vec<PathBuf>,
    /// Values laid over those: `"particles=1000".parse()`.
    pub sets: Vec<Override>,
    /// The folder of the store and the outputs; by default `artifacts` in the project's root.
    pub artifacts: Option<PathBuf>,
    /// The kernel level of numeric stages; by default that of the profile, else the machine's best.
    pub kernel: Option<Level>,
    /// The profile of `onsager.toml` that tasks run on; by default this machine.
    pub on: Option<String>,
}

/// What to run, and how.
#[derive(Debug, Clone)]
pub struct Request {
    /// Only these tasks and what they need: stages, or instances like `motion[system=free]`; all tasks where there are none.
    pub tasks: Vec<String>,
    /// Tasks to execute although their result is there.
    pub force: Vec<String>,
    /// Pools with another number of places than the pipeline gives them.
    pub pools: Vec<(String, u32)>,
    /// How many tasks may run side by side; 0 counts as 1.
    pub jobs: usize,
    /// How many threads they may have in all; 0 counts as 1.
    pub threads: usize,
    /// Whether every task that can be confined sees nothing but what it declares.
    pub sandbox: bool,
    pub keep_going: bool,
    /// Whether what has no result is executed; else the run only takes what is known, here or in a remote store.
    pub execute: bool,
    /// Whether the bytes of every result are fetched from a remote store, needed or not.
    pub everything: bool,
    /// Whether the logs of tasks are JSON lines.
    pub json_logs: bool,
    /// Whether every task is looked at, so that the outcome names each, even where nothing has changed since the last run.
    pub look_at_all: bool,
    /// How often Ctrl-C was pressed: see [`crate::run::workers::interrupts`].
    pub interrupts: Arc<AtomicUsize>,
}

impl Default for Request {
    /// Everything, with all of the machine.
    fn default() -> Request {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Request {
            tasks: Vec::new(),
            force: Vec::new(),
            pools: Vec::new(),
            jobs: cores,
            threads: cores,
            sandbox: false,
            keep_going: false,
            execute: true,
            everything: false,
            json_logs: false,
            look_at_all: false,
            interrupts: Arc::default(),
        }
    }
}
