//! A pilot: the one program of a cluster's job. It hosts workers on its node inside what the job was granted, takes assignments from
//! its mailbox, and writes there how they end. It needs no coordinator to finish what it has.

use crate::command::processes;
use crate::store::Store;
use crate::store::files::{self, StoreError};
use crate::store::host;
use crate::worker::cluster::mailbox::{Inbox, Outbox};
use crate::worker::cluster::messages::{Attempt, FromPilot, Orders, ToPilot};
use crate::worker::cluster::place::{Group, PilotName};
use crate::worker::error::WorkerDeath;
use crate::worker::executor::Executor;
use crate::worker::folders::Folders;
use crate::worker::local::{LocalExecutor, WorkerCommand};
use crate::worker::protocol::{Assignment, FromWorker, Outcome, Report};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long it waits for its workers before it looks into its mailbox, while there is something to do, and while there is not.
const BUSY: Duration = Duration::from_millis(10);
const QUIET: Duration = Duration::from_millis(100);
/// How often it passes on how far a task is.
const PROGRESS: Duration = Duration::from_secs(1);

/// Why a pilot did not work to its end.
#[derive(Debug, thiserror::Error)]
pub enum PilotError {
    #[error("there are no orders in `{}`", .group.display())]
    NoOrders { group: PathBuf },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot start a worker: {0}")]
    Worker(#[from] io::Error),
}

/// What a pilot is started with.
pub struct Start {
    pub group: Group,
    /// The place of its job in the array.
    pub index: usize,
    /// How long the job has run before.
    pub elapsed: Duration,
    /// How workers are started, but for where their standard error goes.
    pub workers: WorkerCommand,
    /// What is wrong with this node, if anything is.
    pub unfit: Option<String>,
}

/// A task that a worker has.
struct Running {
    attempt: Attempt,
    threads: usize,
    memory: u64,
    work: PathBuf,
    time: Option<Duration>,
    deadline: Option<Instant>,
    timed_out: bool,
    told: Instant,
    /// The metrics that it told of.
    metrics: BTreeSet<String>,
    /// It was asked to stop since the job ends.
    returned: bool,
}

/// A pilot at work.
struct Pilot {
    orders: Orders,
    inbox: Inbox,
    outbox: Outbox,
    workers: LocalExecutor,
    folders: Folders,
    waiting: VecDeque<(Attempt, Box<Assignment>)>,
    /// By the number that the workers know.
    running: BTreeMap<usize, Running>,
    /// How many tasks were begun.
    begun: usize,
    /// When its job's time is over.
    end: Instant,
    /// It takes no more tasks.
    closing: bool,
    unsent: Vec<FromPilot>,
}

/// Works until the job's time is over, nothing comes any more, or it is told to stop.
pub fn serve(store: &Store, orders: Orders, start: Start) -> Result<(), PilotError> {
    let begun = Instant::now();
    let name = PilotName { index: start.index, name: format!("{}.{}", start.index, files::random()) };
    let folder = start.group.pilot(&name);
    // The lock first: a pilot that has none counts as dead.
    let (work, _lock) = store.start_work(&start.group.lease(&name))?;
    // Where the group is gone, its run has ended: nothing of it is made anew.
    if let Err(error) = fs::create_dir(&folder) {
        files::remove(&work)?;
        return Err(StoreError::io("make the folder", &folder)(error).into());
    }
    let mut outbox = Outbox::open(&folder.join("from"))?;
    let (job, node) = (job(), node());
    if let Some(message) = start.unfit {
        outbox.send(&[FromPilot::Unfit { job, node, message }, FromPilot::Ended { seen: 0 }])?;
        files::remove(&work)?;
        return Ok(());
    }
    let left = orders.time.saturating_sub(start.elapsed);
    outbox.send(&[FromPilot::Started { job, node, left: left.as_secs_f64() }])?;
    let stopped = stopped()?;
    let mut pilot = Pilot {
        inbox: Inbox::open(&folder.join("to")),
        outbox,
        workers: LocalExecutor::new(WorkerCommand { stderr: folder.join("workers.log"), ..start.workers }),
        folders: Folders::new(work.clone()),
        waiting: VecDeque::new(),
        running: BTreeMap::new(),
        begun: 0,
        end: begun + left,
        closing: false,
        unsent: Vec::new(),
        orders,
    };
    let worked = pilot.work(&stopped);
    drop(pilot);
    files::remove(&work)?;
    worked
}

impl Pilot {
    fn work(&mut self, stopped: &AtomicBool) -> Result<(), PilotError> {
        let mut idle = Instant::now();
        let mut quiet = false;
        loop {
            let messages = self.inbox.receive::<ToPilot>()?;
            quiet &= messages.is_empty();
            for message in messages {
                self.hear(message)?;
            }
            if stopped.load(Ordering::Relaxed) || self.left() <= self.orders.drain {
                self.close();
            }
            self.begin()?;
            self.send()?;
            if self.running.is_empty() && self.waiting.is_empty() {
                if self.closing || self.is_spent() || idle.elapsed() >= self.orders.idle {
                    self.unsent.push(FromPilot::Ended { seen: self.inbox.last() });
                    return Ok(self.send()?);
                }
            } else {
                idle = Instant::now();
            }
            let mut wait = if quiet { QUIET } else { BUSY };
            quiet = true;
            while let Some(report) = self.workers.next(wait) {
                // The engine's signal goes to all processes: what it ended did not fail.
                if stopped.load(Ordering::Relaxed) {
                    self.close();
                }
                self.report(report)?;
                (wait, quiet) = (Duration::ZERO, false);
            }
            self.enforce_time();
        }
    }

    fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// Whether it has had as many tasks as it may.
    fn is_spent(&self) -> bool {
        self.orders.tasks.is_some_and(|most| self.begun >= most)
    }

    fn hear(&mut self, message: ToPilot) -> Result<(), PilotError> {
        match message {
            ToPilot::Assign { run, assignment } => {
                let attempt = Attempt { run, number: assignment.number };
                self.waiting.push_back((attempt, assignment));
            }
            ToPilot::Interrupt(attempt) => match self.number_of(&attempt) {
                Some(number) => self.workers.stop(number),
                None => self.give_up(attempt, Outcome::Interrupted),
            },
            ToPilot::Kill(attempt) => match self.number_of(&attempt) {
                Some(number) => self.workers.kill(number),
                None => self.give_up(attempt, WorkerDeath::Killed.outcome()),
            },
            ToPilot::Cancel => {
                for (attempt, _) in std::mem::take(&mut self.waiting) {
                    let message = FromWorker::Ended(Outcome::Interrupted);
                    self.unsent.push(FromPilot::Said { attempt, message });
                }
                self.workers.cancel();
            }
            ToPilot::Stop => self.closing = true,
        }
        Ok(())
    }

    /// How the workers call an attempt that is running.
    fn number_of(&self, attempt: &Attempt) -> Option<usize> {
        self.running.iter().find(|(_, running)| running.attempt == *attempt).map(|(number, _)| *number)
    }

    /// Does not begin an attempt that waits.
    fn give_up(&mut self, attempt: Attempt, outcome: Outcome) {
        let before = self.waiting.len();
        self.waiting.retain(|(waiting, _)| *waiting != attempt);
        if self.waiting.len() < before {
            self.unsent.push(FromPilot::Said { attempt, message: FromWorker::Ended(outcome) });
        }
    }

    /// The job ends soon: what runs saves a checkpoint, what waits goes back.
    fn close(&mut self) {
        for (attempt, _) in std::mem::take(&mut self.waiting) {
            self.unsent.push(FromPilot::Returned(attempt));
        }
        if !self.closing {
            self.closing = true;
            self.running.values_mut().for_each(|running| running.returned = true);
            self.workers.cancel();
        }
    }

    /// Starts what waits, as far as there is room and time. What the time does not suffice for goes back.
    fn begin(&mut self) -> Result<(), PilotError> {
        while let Some((_, next)) = self.waiting.front() {
            let (threads, memory) = self.running.values().fold((0, 0), |(threads, memory), running| {
                (threads + running.threads, memory + running.memory)
            });
            let wanted = next.memory.unwrap_or(0);
            let full = threads + next.threads.min(self.orders.threads) > self.orders.threads
                || self.orders.memory.is_some_and(|most| memory + wanted.min(most) > most);
            if full && !self.running.is_empty() {
                break;
            }
            let Some((attempt, assignment)) = self.waiting.pop_front() else { break };
            let time = assignment.time.unwrap_or(Duration::ZERO);
            if self.closing || self.is_spent() || time + self.orders.drain > self.left() {
                self.unsent.push(FromPilot::Returned(attempt));
                continue;
            }
            self.start(attempt, *assignment)?;
        }
        Ok(())
    }

    fn start(&mut self, attempt: Attempt, mut assignment: Assignment) -> Result<(), PilotError> {
        self.begun += 1;
        let work = self.folders.take();
        assignment.number = self.begun;
        assignment.move_to(&work);
        let now = Instant::now();
        let running = Running {
            attempt: attempt.clone(),
            threads: assignment.threads.min(self.orders.threads),
            memory: assignment.memory.unwrap_or(0),
            work,
            time: assignment.time,
            deadline: assignment.time.map(|time| now + time),
            timed_out: false,
            told: now,
            metrics: BTreeSet::new(),
            returned: false,
        };
        self.running.insert(self.begun, running);
        self.unsent.push(FromPilot::Began(attempt));
        self.workers.start(assignment)?;
        Ok(())
    }

    fn report(&mut self, Report { number, message }: Report) -> Result<(), PilotError> {
        let Some(running) = self.running.get_mut(&number) else { return Ok(()) };
        let attempt = running.attempt.clone();
        let mut message = match message {
            FromWorker::Progress { .. } if running.told.elapsed() < PROGRESS => return Ok(()),
            FromWorker::Group { .. } => return Ok(()),
            // Its curves are in the store; that there are any is news.
            FromWorker::Metric { name, .. } if !running.metrics.insert(name.clone()) => return Ok(()),
            message => message,
        };
        running.told = Instant::now();
        if let FromWorker::Ended(outcome) = &mut message {
            let Some(running) = self.running.remove(&number) else { return Ok(()) };
            self.folders.put_back(running.work, matches!(outcome, Outcome::Done { .. }))?;
            if let (true, Outcome::Failed { .. }, Some(limit)) = (running.timed_out, &*outcome, running.time)
            {
                *outcome = WorkerDeath::TimeLimit { limit }.outcome();
            }
            if running.returned && matches!(outcome, Outcome::Interrupted | Outcome::Failed { .. }) {
                self.unsent.push(FromPilot::Returned(attempt));
                return Ok(());
            }
        }
        self.unsent.push(FromPilot::Said { attempt, message });
        Ok(())
    }

    /// Ends the tasks that have run for too long.
    fn enforce_time(&mut self) {
        let now = Instant::now();
        for (number, running) in &mut self.running {
            if !running.timed_out && running.deadline.is_some_and(|deadline| now >= deadline) {
                running.timed_out = true;
                self.workers.kill(*number);
            }
        }
    }

    fn send(&mut self) -> Result<(), StoreError> {
        if !self.unsent.is_empty() {
            self.outbox.send(&self.unsent)?;
            self.unsent.clear();
        }
        Ok(())
    }
}

/// Whether the engine wants the job to end: it asks by a signal, and kills some time after.
fn stopped() -> Result<Arc<AtomicBool>, io::Error> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let stopped = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        if signal != SIGHUP || !processes::ignores_hangup() {
            signal_hook::flag::register(signal, stopped.clone())?;
        }
    }
    Ok(stopped)
}

/// The job that this process is in, as its engine calls it.
fn job() -> String {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    match (set("SLURM_ARRAY_JOB_ID"), set("SLURM_ARRAY_TASK_ID")) {
        (Some(job), Some(index)) => format!("{job}_{index}"),
        _ => ["SLURM_JOB_ID", "PBS_JOBID", "JOB_ID", "HQ_JOB_ID"]
            .into_iter()
            .find_map(set)
            .unwrap_or_else(|| std::process::id().to_string()),
    }
}

fn node() -> String {
    std::env::var("SLURMD_NODENAME").unwrap_or_else(|_| host::name().to_owned())
}
