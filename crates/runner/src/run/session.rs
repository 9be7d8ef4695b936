//! A run from start to end with this machine's processes: what `onsager run` and a program of one's own share.
//!
//! Tasks run in worker processes, which are this very program, started with [`WORKER`] as its first argument. So a program that runs
//! pipelines calls [`worker()`] before it does anything else, with the same kinds as later.

use crate::kind::registry::Registry;
use crate::pipeline::graph::{Graph, Task};
use crate::plan::resolve::{EngineError, Resolver};
use crate::plan::unchanged::Unchanged;
use crate::run::events::{Observer, Record};
use crate::run::{self, Options, Summary};
use crate::store::Store;
use crate::store::files::StoreError;
use crate::worker::local::{LocalExecutor, WorkerCommand};
use crate::worker::{self, TaskLog};
use onsager_numerics::kernel::{Level, LevelError};
use std::collections::HashSet;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tracing_subscriber::EnvFilter;

/// The first argument of a worker process.
pub const WORKER: &str = "onsager-worker";

/// Runs the selected tasks of a graph.
pub fn run(
    graph: &Graph,
    registry: &Registry,
    store: &Store,
    options: &Options,
    observer: &mut dyn Observer,
) -> Result<Summary, EngineError> {
    let resolver = Resolver::new(graph, registry, store, options.kernel)?;
    let name = run::new_run_name();
    let log_format = if options.json_logs { "json" } else { "text" };
    let mut executor =
        workers(store, options.kernel, log_format, store.runs().join(&name).join("workers.log"))?;
    run::run(resolver, store, options, &name, &mut executor, observer)
}

/// Records a run in which nothing has changed since the last one.
pub fn nothing_changed(
    store: &Store,
    last: &Unchanged,
    jobs: usize,
    threads: usize,
) -> Result<(), EngineError> {
    store.sweep_work()?;
    let name = run::new_run_name();
    let mut record = Record::create(&store.runs().join(format!("{name}.jsonl")))?;
    for event in last.events(&name, jobs, threads) {
        record.write(&event)?;
    }
    Ok(())
}

/// An executor whose workers are this program and use this store.
pub fn workers(
    store: &Store,
    kernel: Level,
    log_format: &str,
    stderr: PathBuf,
) -> Result<LocalExecutor, EngineError> {
    Ok(LocalExecutor::new(WorkerCommand {
        program: this_program()?,
        arguments: vec![
            WORKER.into(),
            store.artifacts().into(),
            kernel.to_string().into(),
            log_format.into(),
        ],
        stderr,
    }))
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
            kernel: Level::detect(),
            json_logs: false,
            interrupts: Arc::new(AtomicUsize::new(0)),
        }
    }
}

/// Where a task's output is found after a run; nothing when the task has no output of this name.
pub fn output(graph: &Graph, store: &Store, task: &Task, name: &str) -> Option<PathBuf> {
    let declared = task.outputs.iter().find(|output| output.name == name)?;
    Some(store.artifacts().join(&graph.name).join(&task.folder).join(&declared.file))
}

/// Counts Ctrl-C (and a polite kill) from now on.
pub fn interrupts() -> Result<Arc<AtomicUsize>, EngineError> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let interrupts = Arc::new(AtomicUsize::new(0));
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]).map_err(EngineError::Signals)?;
    let counter = interrupts.clone();
    std::thread::spawn(move || {
        for _ in signals.forever() {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    });
    Ok(interrupts)
}

/// The program that workers run: on Linux the very file that this process was started from, even when it is built anew.
fn this_program() -> Result<PathBuf, EngineError> {
    if cfg!(target_os = "linux") {
        return Ok(PathBuf::from("/proc/self/exe"));
    }
    std::env::current_exe().map_err(EngineError::Worker)
}

/// Why a worker did not serve.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    #[error("a worker takes a folder, a kernel level and a log format; it is started by a run, not by hand")]
    Arguments,
    #[error(transparent)]
    Level(#[from] LevelError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Pipes(#[from] io::Error),
}

/// Serves tasks, if this process was started as a worker, and gives the exit code; gives nothing in every other process.
pub fn worker(registry: &Registry) -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != WORKER {
        return None;
    }
    Some(match serve(registry, &arguments.collect::<Vec<OsString>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // It ends in the run's `workers.log`; nobody may be listening any more.
            let _ = io::Write::write_all(&mut io::stderr(), format!("error: {error}\n").as_bytes());
            ExitCode::FAILURE
        }
    })
}

fn serve(registry: &Registry, arguments: &[OsString]) -> Result<(), WorkerError> {
    let [artifacts, kernel, log_format] = arguments else { return Err(WorkerError::Arguments) };
    let kernel: Level = kernel.to_str().ok_or(WorkerError::Arguments)?.parse()?;
    Level::pin(kernel)?;
    let log = TaskLog::default();
    let filter = EnvFilter::try_from_env("ONSAGER_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(move || writer.clone());
    if log_format == "json" {
        subscriber.json().init()
    } else {
        subscriber.init()
    }
    let store = Store::at(artifacts.as_ref())?;
    Ok(worker::serve(registry, &store, &log)?)
}
