//! Worker processes on this machine, and Ctrl-C.
//!
//! Workers are this very program, started with [`WORKER`] as its first argument. So a program that runs pipelines calls [`worker()`]
//! before it does anything else, with the same kinds as later.

use crate::command::processes;
use crate::config::profiles::Profile;
use crate::kind::registry::Registry;
use crate::plan::error::EngineError;
use crate::run::doctor::{self, DOCTOR};
use crate::run::logging;
use crate::run::program::this_program;
use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::files::StoreError;
use crate::worker::cluster::engines;
use crate::worker::cluster::executor::{ClusterExecutor, Setting};
use crate::worker::cluster::pilot::{self, PilotError};
use crate::worker::cluster::place::PILOT;
use crate::worker::local::{LocalExecutor, WorkerCommand};
use crate::worker::serve::{self, TaskLog};
use onsager_numerics::kernel::{Level, LevelError};
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// The first argument of a worker process.
pub const WORKER: &str = "onsager-worker";

/// An executor whose workers are this program and use this store.
pub fn local(
    store: &Store,
    kernel: Level,
    log_format: &str,
    stderr: PathBuf,
) -> Result<LocalExecutor, EngineError> {
    Ok(LocalExecutor::new(command(store, kernel, log_format, stderr)?))
}

/// How its workers are started.
fn command(
    store: &Store,
    kernel: Level,
    log_format: &str,
    stderr: PathBuf,
) -> Result<WorkerCommand, EngineError> {
    let arguments =
        vec![WORKER.into(), store.artifacts().into(), kernel.to_string().into(), log_format.into()];
    Ok(WorkerCommand { program: this_program().map_err(EngineError::Worker)?, arguments, stderr })
}

/// An executor whose tasks run in jobs of a cluster; none for a profile that is this machine.
pub fn cluster(
    store: &Store,
    (name, profile): (&str, &Profile),
    run: &str,
    kernel: Level,
    log_format: &str,
) -> Result<Option<ClusterExecutor>, EngineError> {
    let Some(engine) = engines::of(profile) else { return Ok(None) };
    let setting = Setting {
        program: kept_program(store)?,
        store: store.clone(),
        name: name.to_owned(),
        profile: profile.clone(),
        run: run.to_owned(),
        kernel,
        log_format: log_format.to_owned(),
    };
    Ok(Some(ClusterExecutor::new(setting, engine)?))
}

/// Whether this process was told to end, and not by Ctrl-C.
static TOLD_TO_END: AtomicBool = AtomicBool::new(false);

/// Whether a polite kill or the loss of the terminal told this process to end.
pub fn told_to_end() -> bool {
    TOLD_TO_END.load(Ordering::Relaxed)
}

/// Counts Ctrl-C from now on. A polite kill and the loss of the terminal count as the first one, however often they come: the same
/// close of a window may send several.
pub fn interrupts() -> Result<Arc<AtomicUsize>, EngineError> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let interrupts = Arc::new(AtomicUsize::new(0));
    // Under `nohup` the loss of the terminal stays ignored.
    let signals =
        if processes::ignores_hangup() { &[SIGINT, SIGTERM][..] } else { &[SIGINT, SIGTERM, SIGHUP] };
    let mut signals = signal_hook::iterator::Signals::new(signals).map_err(EngineError::Signals)?;
    let counter = interrupts.clone();
    std::thread::spawn(move || {
        for signal in signals.forever() {
            match signal {
                SIGINT => counter.fetch_add(1, Ordering::Relaxed),
                _ => {
                    TOLD_TO_END.store(true, Ordering::Relaxed);
                    counter.fetch_max(1, Ordering::Relaxed)
                }
            };
        }
    });
    Ok(interrupts)
}

/// This program as a file of the store.
pub fn kept_program(store: &Store) -> Result<(PathBuf, Digest), EngineError> {
    Ok(store.keep_program(&this_program().map_err(EngineError::Worker)?)?)
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
    #[error("a pilot takes a folder, a group, a number and seconds; it is started by a job, not by hand")]
    PilotArguments,
    #[error(transparent)]
    Pilot(#[from] PilotError),
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Serves tasks, if this process was started as a worker, and gives the exit code; gives nothing in every other process.
pub fn worker(registry: &Registry) -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    let first = arguments.next()?;
    let rest: Vec<OsString> = arguments.collect();
    let served = match first.to_str() {
        Some(WORKER) => serve(registry, &rest),
        Some(PILOT) => serve_pilot(&rest),
        Some(DOCTOR) => doctor::serve(&rest).map_err(WorkerError::Store),
        _ => return None,
    };
    Some(match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // It ends in the run's `workers.log`; nobody may be listening any more.
            let _ = io::Write::write_all(&mut io::stderr(), format!("error: {error}\n").as_bytes());
            ExitCode::FAILURE
        }
    })
}

/// Serves as the pilot of a cluster's job.
fn serve_pilot(arguments: &[OsString]) -> Result<(), WorkerError> {
    let [artifacts, group, index, elapsed] = arguments else { return Err(WorkerError::PilotArguments) };
    let text = |word: &OsString| word.to_str().map(str::to_owned).ok_or(WorkerError::PilotArguments);
    let store = Store::at(artifacts.as_ref())?;
    let group = store.group(&text(group)?);
    let orders = group.orders().ok_or_else(|| PilotError::NoOrders { group: group.folder.clone() })?;
    let elapsed: u64 = text(elapsed)?.parse().map_err(|_| WorkerError::PilotArguments)?;
    let start = pilot::Start {
        index: text(index)?.parse().map_err(|_| WorkerError::PilotArguments)?,
        elapsed: Duration::from_secs(elapsed),
        // Where its standard error goes is the pilot's affair.
        workers: command(&store, orders.kernel, &orders.log_format, PathBuf::new())?,
        unfit: orders.kernel.check().err().map(|error| error.to_string()),
        group,
    };
    Ok(pilot::serve(&store, orders, start)?)
}

fn serve(registry: &Registry, arguments: &[OsString]) -> Result<(), WorkerError> {
    let [artifacts, kernel, log_format] = arguments else { return Err(WorkerError::Arguments) };
    let kernel: Level = kernel.to_str().ok_or(WorkerError::Arguments)?.parse()?;
    Level::pin(kernel)?;
    let log = TaskLog::default();
    let writer = log.clone();
    let lines = layer().with_ansi(false).with_writer(move || writer.clone());
    let filtered = tracing_subscriber::registry().with(logging::asked(LevelFilter::INFO));
    if log_format == "json" {
        filtered.with(lines.json()).init()
    } else {
        filtered.with(lines).init()
    }
    let store = Store::at(artifacts.as_ref())?;
    Ok(serve::serve(registry, &store, &log)?)
}
