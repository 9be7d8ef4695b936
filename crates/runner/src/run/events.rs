//! What happens in a run, as it is written to the run's record and shown to the user.

use crate::command::usage::Usage;
use crate::pipeline::graph::Point;
use crate::run::claims::Checked;
use crate::run::commit::Commit;
use crate::run::facts::Facts;
use crate::run::waits::Waits;
use crate::store::Store;
use crate::store::curves::number;
use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
use crate::store::log::{self, Log};
use crate::store::names;
use crate::store::objects::Outputs;
use crate::store::remote::elsewhere::Notice;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// One line of a run's record, less its time.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    RunStarted {
        run: String,
        pipeline: String,
        #[serde(with = "names")]
        file: PathBuf,
        version: String,
        kernel: String,
        tasks: usize,
        jobs: usize,
        threads: usize,
        host: String,
        /// The text of that file, in the store's manifests; none for a pipeline that a program made.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<Digest>,
        /// What the pipeline is, in the store's manifests.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<Digest>,
        /// The settings of the parameters, with the metrics to compare them by.
        #[serde(default)]
        points: Vec<Point>,
        /// Who runs what, and where.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        facts: Option<Box<Facts>>,
    },
    /// What git knows of the project's files; a while after the run has begun.
    RunCommit(Commit),
    /// What stages fan out over is known: the run has so many tasks now, and these points.
    RunGrew {
        tasks: usize,
        points: Vec<Point>,
    },
    /// A link in an external input leads nowhere: what it says counts as its content.
    LinkDangling {
        #[serde(with = "names")]
        path: PathBuf,
        #[serde(with = "names")]
        target: PathBuf,
    },
    /// The tasks of the run in the order of the graph, and those of them whose result was known by now. It comes before the first task
    /// starts, and again after the run has grown.
    RunTasks {
        tasks: Vec<String>,
        cached: Vec<String>,
    },
    /// Not in the record before [`Event::RunTasks`] is, but in its manifest.
    TaskCached {
        task: String,
        key: Digest,
    },
    /// A remote store has the result of a key.
    ResultFound {
        task: String,
        key: Digest,
        remote: String,
        /// The machine that made it.
        host: String,
    },
    /// Something about a remote store that is to be known.
    RemoteNotice {
        remote: String,
        #[serde(flatten)]
        notice: Notice,
    },
    /// How many bytes have gone to and from a remote store, and how many are to go; not in the record.
    RemoteTraffic {
        remote: String,
        received: u64,
        to_receive: u64,
        sent: u64,
        to_send: u64,
        requests: u64,
    },
    /// The bytes of a result had been changed in the store, and were removed.
    ObjectDamaged {
        task: String,
        output: String,
        object: Digest,
    },
    /// A result in the view had been deleted or edited, and was put back.
    OutputRestored {
        task: String,
        path: PathBuf,
        edited: bool,
    },
    /// A copy in the view had been edited, and a newer result replaced it.
    OutputReplaced {
        task: String,
        path: PathBuf,
    },
    /// Outputs of tasks that the pipeline no longer has were taken out of the view; some had been edited, and stay.
    ViewCleared {
        tasks: Vec<String>,
        outputs: usize,
        #[serde(default)]
        edited: Vec<PathBuf>,
    },
    /// All points of a search have a result, and it has asked for further ones; not in the record, which ended before.
    SearchGoesOn {
        points: usize,
        of: usize,
    },
    /// Another run shows results with other parameters in the same view; not in the record, which begins later.
    ViewWaiting {
        pipeline: String,
    },
    TaskWaiting {
        task: String,
        key: Digest,
    },
    /// The store and the view lack the bytes of a known result, and a task that is about to start reads them: they are made again.
    ResultLost {
        task: String,
    },
    TaskStarted {
        task: String,
        key: Digest,
        threads: usize,
        #[serde(with = "names")]
        log: PathBuf,
        /// On a cluster.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        job: Option<JobOf>,
        /// Which attempt of this run it is, from 1; 0 in records that do not tell.
        #[serde(default)]
        attempt: u32,
        /// The machine, where it is known when the task starts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        host: Option<String>,
        /// The process on that machine.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        worker: Option<u32>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        waited: Option<Waits>,
    },
    /// A job of a cluster has the task, and goes on with it when this run has ended.
    TaskLeft {
        task: String,
    },
    /// What the user should know of the place where tasks run.
    Note {
        text: String,
    },
    /// The task goes on from a checkpoint: the first `step` steps are not computed again.
    TaskResumed {
        task: String,
        step: u64,
    },
    TaskProgress {
        task: String,
        done: u64,
        total: u64,
        unit: String,
    },
    TaskCheckpoint {
        task: String,
        step: u64,
    },
    /// A number that the task measured. The record has the first of each name in an attempt; all are on its curves:
    /// [`crate::store::curves`].
    TaskMetric {
        task: String,
        step: u64,
        name: String,
        #[serde(with = "number")]
        value: f64,
    },
    TaskFinished {
        task: String,
        key: Digest,
        seconds: f64,
        outputs: Outputs,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        usage: Option<Usage>,
    },
    /// A task that was forced gave other bytes than before.
    TaskDiffers {
        task: String,
        output: String,
    },
    /// Other runs have the places of a pool that the task needs.
    TaskQueued {
        task: String,
        pools: Vec<String>,
    },
    /// An attempt failed, and another follows after a wait.
    TaskRetrying {
        task: String,
        message: String,
        help: Option<String>,
        #[serde(default, with = "names::optional")]
        log: Option<PathBuf>,
        /// Which of the retries follows, from 1.
        retry: u32,
        of: u32,
        /// In seconds.
        wait: f64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        usage: Option<Usage>,
    },
    TaskFailed {
        task: String,
        message: String,
        help: Option<String>,
        #[serde(default, with = "names::optional")]
        log: Option<PathBuf>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        usage: Option<Usage>,
    },
    TaskInterrupted {
        task: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        usage: Option<Usage>,
    },
    /// It had failed or was stopped, and is tried again: somebody asked for it while the run goes on.
    TaskAgain {
        task: String,
    },
    /// The pipeline says that it is not to run.
    TaskSkipped {
        task: String,
        because: String,
    },
    /// It was not tried: what it needs failed, or the run stopped.
    TaskNotRun {
        task: String,
        because: Option<String>,
    },
    /// Ctrl-C was pressed: running tasks save their checkpoints.
    Interrupting {
        running: usize,
    },
    /// What became of the pipeline's claims; just before the run has finished. There is none without claims.
    ClaimsJudged {
        claims: Vec<Checked>,
    },
    RunFinished {
        /// The tasks of the run that have a result, with their keys: see [`crate::store::manifests`].
        manifest: Digest,
        executed: usize,
        cached: usize,
        failed: usize,
        #[serde(default)]
        skipped: usize,
        interrupted: bool,
        seconds: f64,
    },
}

/// The job of a cluster that runs a task.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobOf {
    pub job: String,
    pub node: String,
    /// Which attempt of this run it is, from 1.
    pub attempt: u32,
    /// How long it waited for the job, in seconds.
    pub queued: f64,
}

/// A line of the record: the event and when it happened.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Stamped {
    /// RFC 3339, UTC.
    pub at: String,
    #[serde(flatten)]
    pub event: Event,
}

/// What an interrupt means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// Running tasks save a checkpoint and stop.
    Stop,
    /// The jobs of clusters go on, and only this run ends.
    Leave,
    /// Nothing: it was a mistake.
    GoOn,
}

/// Hears the events of a run; what the user sees.
pub trait Observer {
    fn event(&mut self, event: &Event);
    /// Called a few times a second, so that bars move.
    fn tick(&mut self) {}
    /// What an interrupt means for the tasks that jobs of a cluster have, so many.
    fn interrupted(&mut self, tasks: usize) -> Interrupt {
        let _ = tasks;
        Interrupt::Stop
    }
}

/// The record of one run, appended to as it goes.
pub struct Record {
    log: Log,
}

impl Record {
    pub fn create(path: &std::path::Path) -> Result<Record, StoreError> {
        Ok(Record { log: Log::append_to(path)? })
    }

    /// Appends an event; what ends a task or the run is synced.
    pub fn write(&mut self, event: &Event) -> Result<(), StoreError> {
        self.log.append(&Stamped { at: jiff::Timestamp::now().to_string(), event: event.clone() })?;
        match event {
            Event::TaskFailed { .. } | Event::RunFinished { .. } => self.log.sync(),
            _ => Ok(()),
        }
    }
}

/// The record of a run, read back.
pub struct Recorded {
    pub run: String,
    pub events: Vec<Event>,
}

/// The records of a pipeline's runs, oldest first; each is read when it is reached, from either end.
pub fn records(
    store: &Store,
    pipeline: &str,
) -> Result<impl DoubleEndedIterator<Item = Result<Recorded, StoreError>>, StoreError> {
    let mut paths = files::list(&store.runs())?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    let read = move |path: PathBuf| match log::read_lines::<Stamped>(&path) {
        Err(error) => Some(Err(error)),
        Ok(lines) => match lines.first().map(|line| &line.event) {
            Some(Event::RunStarted { pipeline: of, .. }) if of == pipeline => {
                // The file's name, not what it says of itself: it may come from elsewhere.
                let run = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                Some(Ok(Recorded { run, events: lines.into_iter().map(|line| line.event).collect() }))
            }
            _ => None,
        },
    };
    Ok(paths.into_iter().filter_map(read))
}
