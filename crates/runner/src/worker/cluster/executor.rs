//! The executor of a cluster's profile: it submits jobs, each with a pilot, and gives tasks to the pilots that have begun.
//!
//! Nothing that it knows is needed by anybody else. When it is killed, the pilots finish what they have; the next run that takes the
//! profile reads their mailboxes and goes on with them.

use crate::config::profiles::Profile;
use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
use crate::worker::checkpoints;
use crate::worker::cluster::desk::{Answer, Desk};
use crate::worker::cluster::engine::Engine;
use crate::worker::cluster::jobs::Submitted;
use crate::worker::cluster::messages::{Attempt, ToPilot};
use crate::worker::cluster::orphans;
use crate::worker::cluster::pilots::Pilot;
use crate::worker::cluster::place::PilotName;
use crate::worker::error::WorkerDeath;
use crate::worker::executor::Executor;
use crate::worker::protocol::{Assignment, FromWorker, Outcome, Report};
use onsager_numerics::kernel::Level;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often mailboxes are looked into; with many pilots, so much longer for each.
const PERIOD: Duration = Duration::from_millis(20);
const PERIOD_OF_EACH: Duration = Duration::from_micros(500);
/// How often it looks whether jobs have begun and pilots are alive.
const LOOK: Duration = Duration::from_millis(500);
/// So many submissions in a row may have jobs that end before they begin, and so often may a task be lost or stopped without getting
/// any further.
pub(super) const PATIENCE: u32 = 3;
/// How long jobs may take to end at the end of a run.
const FAREWELL: Duration = Duration::from_secs(10);

/// What a cluster's executor is made with.
pub struct Setting {
    pub store: Store,
    /// The profile's name.
    pub name: String,
    pub profile: Profile,
    pub run: String,
    pub kernel: Level,
    pub log_format: String,
    /// What the jobs run, as a file of the store.
    pub program: (PathBuf, Digest),
}

/// A task that the run has given to this executor.
pub(super) struct Task {
    pub assignment: Box<Assignment>,
    /// The pilot that has it.
    pub pilot: Option<PilotName>,
    pub since: Instant,
    /// How often its pilot was lost, and how often it was stopped at the end of a job, without a checkpoint since.
    pub lost: u32,
    pub stopped: u32,
    /// It has begun, with the pilot that has it.
    pub begun: bool,
    /// It is to be ended by force.
    pub killed: bool,
}

/// Runs tasks on a cluster.
pub struct ClusterExecutor {
    pub(super) setting: Setting,
    pub(super) desk: Desk,
    pub(super) groups: BTreeMap<String, Submitted>,
    pub(super) pilots: BTreeMap<PilotName, Pilot>,
    pub(super) tasks: HashMap<usize, Task>,
    /// Tasks that no pilot has, in the order in which they are to start.
    pub(super) queue: VecDeque<usize>,
    /// The attempts that pilots have, by how they call them.
    pub(super) attempts: HashMap<Attempt, usize>,
    /// What other coordinators' pilots have finished, and what they have in hand.
    pub(super) finished: HashMap<Digest, Outcome>,
    pub(super) running: HashMap<Digest, (Attempt, PilotName, bool)>,
    /// What lost ones of them had begun, and this run has not asked for yet.
    pub(super) abandoned: HashSet<Digest>,
    pub(super) reports: VecDeque<Report>,
    pub(super) notes: VecDeque<String>,
    pub(super) cancelled: bool,
    pub(super) left: bool,
    /// Why the run cannot go on.
    pub(super) fault: Option<String>,
    /// How many submissions in a row had a job that ended before it began, `PATIENCE` for each; 1 for one that may have been lost.
    pub(super) stillborn: u32,
    /// The mean time of a task, and over how many.
    pub(super) mean: (f64, u32),
    pub(super) looked: Instant,
    pub(super) asked: Option<Instant>,
    pub(super) silent: bool,
}

impl ClusterExecutor {
    /// Opens the profile, and takes over what coordinators that are gone left of it.
    pub fn new(setting: Setting, engine: Box<dyn Engine>) -> Result<ClusterExecutor, StoreError> {
        let mut executor = ClusterExecutor {
            desk: Desk::new(engine),
            groups: BTreeMap::new(),
            pilots: BTreeMap::new(),
            tasks: HashMap::new(),
            queue: VecDeque::new(),
            attempts: HashMap::new(),
            finished: HashMap::new(),
            running: HashMap::new(),
            abandoned: HashSet::new(),
            reports: VecDeque::new(),
            notes: VecDeque::new(),
            cancelled: false,
            left: false,
            fault: None,
            stillborn: 0,
            mean: (0.0, 0),
            looked: Instant::now(),
            asked: None,
            silent: false,
            setting,
        };
        executor.adopt()?;
        Ok(executor)
    }

    fn adopt(&mut self) -> Result<(), StoreError> {
        let profile = self.setting.name.clone();
        for orphan in orphans::take(&self.setting.store, |orders| orders.profile == profile)? {
            let mut submitted = Submitted::new(orphan.group, orphan.lock);
            submitted.known(submitted.group.jobs());
            submitted.sought = submitted.jobs.is_empty();
            for mut pilot in orphan.pilots {
                if !self.setting.store.has_pilot(&submitted.group, &pilot.name) {
                    // Its last words may have come meanwhile.
                    pilot.hear()?;
                    self.abandoned.extend(pilot.abandon());
                    pilot.over = true;
                }
                self.finished.extend(pilot.done.iter().cloned());
                let running = pilot.running.iter();
                self.running.extend(
                    running
                        .map(|(at, in_hand)| (in_hand.key, (at.clone(), pilot.name.clone(), in_hand.begun))),
                );
                // One that is over, too: else it would be found anew, and all that it said be heard once more.
                self.pilots.insert(pilot.name.clone(), Pilot::adopted(&submitted.group, pilot)?);
            }
            let name = submitted.group.name.clone();
            self.groups.insert(name.clone(), submitted);
            self.tell_jobs(&name);
        }
        let (done, running) = (self.finished.len(), self.running.len());
        if done + running > 0 {
            self.note(format!(
                "jobs of an earlier run have finished {done} tasks and have {running} in hand: they count"
            ));
        }
        Ok(())
    }

    pub(super) fn note(&mut self, text: String) {
        self.notes.push_back(format!("{}: {text}", self.setting.name));
    }

    pub(super) fn report(&mut self, number: usize, message: FromWorker) {
        self.reports.push_back(Report { number, message });
    }

    /// The task is over for this executor.
    pub(super) fn end(&mut self, number: usize, outcome: Outcome) {
        self.tasks.remove(&number);
        self.queue.retain(|queued| *queued != number);
        self.attempts.retain(|_, known| *known != number);
        self.report(number, FromWorker::Ended(outcome));
    }

    /// Another attempt at a task that may be running still, on a node that nobody hears of, has a folder of its own.
    pub(super) fn set_apart(&self, assignment: &mut Assignment) {
        let name = format!("{}-{}", self.setting.run, assignment.number);
        checkpoints::set_apart(&self.setting.store, assignment, &name);
    }

    /// Tells the pilot that has a task something about it; where none has it, the task is over.
    fn tell_or_end(&mut self, number: usize, message: impl FnOnce(Attempt) -> ToPilot, outcome: Outcome) {
        let Some(task) = self.tasks.get(&number) else { return };
        let attempt = self.attempts.iter().find(|(_, known)| **known == number).map(|(attempt, _)| attempt);
        let pilot = task.pilot.as_ref().and_then(|name| self.pilots.get_mut(name));
        match (attempt, pilot) {
            (Some(attempt), Some(pilot)) => pilot.unsent.push(message(attempt.clone())),
            _ => self.end(number, outcome),
        }
    }

    /// Everything that is due.
    fn turn(&mut self) -> Result<(), StoreError> {
        while let Some(answer) = self.desk.answer() {
            self.answered(answer)?;
        }
        if self.looked.elapsed() >= LOOK {
            self.looked = Instant::now();
            if !self.cancelled && self.groups.values().any(|submitted| submitted.group.is_to_stop()) {
                self.note("`onsager cancel` ends its jobs".to_owned());
                self.cancel();
            }
            self.look_for_pilots()?;
            self.look_after_pilots();
        }
        let talking = self.pilots.iter().filter(|(_, pilot)| !pilot.over).map(|(name, _)| name.clone());
        for name in talking.collect::<Vec<PilotName>>() {
            self.hear(&name)?;
        }
        self.assign()?;
        self.submit()?;
        let jobs = self.jobs_out();
        let wanted = !jobs.is_empty() || self.groups.values().any(Submitted::is_unknown);
        if wanted && self.asked.is_none_or(|at| at.elapsed() >= self.setting.profile.poll) {
            self.asked = Some(Instant::now());
            self.desk.list(jobs);
        }
        Ok(())
    }

    /// Whether the process of one of these pilots goes on.
    fn goes_on(&self, which: impl Fn(&Pilot) -> bool) -> bool {
        let mut pilots = self.pilots.values().filter(|pilot| which(pilot));
        pilots.any(|pilot| self.setting.store.has_pilot(&pilot.group, &pilot.name))
    }

    /// Ends the jobs, and removes what they shared with this coordinator.
    fn close(&mut self) -> Result<(), StoreError> {
        for pilot in self.pilots.values_mut().filter(|pilot| !pilot.over) {
            pilot.unsent.push(ToPilot::Stop);
            pilot.send()?;
        }
        let waiting = self.groups.values().flat_map(|group| &group.jobs).filter(|job| job.is_to_begin());
        let waiting: Vec<String> = waiting.map(|job| job.number.clone()).collect();
        if !waiting.is_empty() {
            self.desk.cancel(waiting);
        }
        let since = Instant::now();
        while since.elapsed() < FAREWELL && self.goes_on(|_| true) {
            std::thread::sleep(PERIOD);
        }
        // Some may be on their way to be started again.
        let jobs = self.jobs_out();
        if !jobs.is_empty() {
            self.desk.cancel(jobs);
        }
        // An engine that is silent is not waited for.
        while since.elapsed() < FAREWELL + FAREWELL && self.desk.is_busy() {
            match self.desk.answer() {
                Some(Answer::Submitted { jobs: Ok(jobs), .. }) => self.desk.cancel(jobs),
                Some(Answer::Cancelled(Err(fault))) => tracing::warn!("jobs were not cancelled: {fault}"),
                Some(_) => {}
                None => std::thread::sleep(PERIOD),
            }
        }
        // One may have begun just before its job was cancelled.
        self.look_for_pilots()?;
        while since.elapsed() < FAREWELL + FAREWELL && self.goes_on(|_| true) {
            std::thread::sleep(PERIOD);
        }
        for submitted in self.groups.values() {
            // What nobody has asked for yet stays for who does.
            if !self.goes_on(|pilot| pilot.group == submitted.group) && self.finished.is_empty() {
                files::remove(&submitted.group.folder)?;
            }
        }
        Ok(())
    }
}

impl Executor for ClusterExecutor {
    fn start(&mut self, mut assignment: Assignment) -> io::Result<Option<u32>> {
        let (number, key) = (assignment.number, assignment.key);
        if let Some(outcome) = self.finished.remove(&key) {
            self.report(number, FromWorker::Ended(outcome));
            return Ok(None);
        }
        if self.cancelled {
            self.report(number, FromWorker::Ended(Outcome::Interrupted));
            return Ok(None);
        }
        if let Some(fault) = self.too_much(&assignment) {
            self.report(number, FromWorker::Ended(fault.outcome(&self.setting.name)));
            return Ok(None);
        }
        if self.abandoned.remove(&key) {
            self.set_apart(&mut assignment);
        }
        let mut task = Task {
            assignment: Box::new(assignment),
            pilot: None,
            since: Instant::now(),
            lost: 0,
            stopped: 0,
            begun: false,
            killed: false,
        };
        if let Some((attempt, pilot, begun)) = self.running.remove(&key) {
            (task.pilot, task.begun) = (Some(pilot.clone()), begun);
            self.attempts.insert(attempt, number);
            if let (true, Some(pilot)) = (begun, self.pilots.get(&pilot)) {
                let (job, node) = (pilot.job.clone(), pilot.node.clone());
                self.report(number, FromWorker::Began { job, node, queued: 0.0 });
            }
        } else {
            self.queue.push_back(number);
        }
        self.tasks.insert(number, task);
        Ok(None)
    }

    fn next(&mut self, wait: Duration) -> Option<Report> {
        let until = Instant::now() + wait;
        loop {
            if let Some(report) = self.reports.pop_front() {
                return Some(report);
            }
            if let Err(error) = self.turn() {
                // A file system that fails now may work the next time; what cannot be read stays where it is.
                self.note(error.to_string());
            }
            let left = until.saturating_duration_since(Instant::now());
            if self.reports.is_empty() {
                if left.is_zero() {
                    return None;
                }
                let talking = self.pilots.values().filter(|pilot| !pilot.over).count();
                let period = PERIOD + PERIOD_OF_EACH * talking as u32;
                std::thread::sleep(period.min(left));
            }
        }
    }

    fn cancel(&mut self) {
        if self.left || std::mem::replace(&mut self.cancelled, true) {
            return;
        }
        for number in std::mem::take(&mut self.queue) {
            self.end(number, Outcome::Interrupted);
        }
        for pilot in self.pilots.values_mut().filter(|pilot| !pilot.over) {
            pilot.unsent.push(ToPilot::Cancel);
        }
    }

    fn stop(&mut self, number: usize) {
        self.tell_or_end(number, ToPilot::Interrupt, Outcome::Interrupted);
    }

    fn kill(&mut self, number: usize) {
        let Some(task) = self.tasks.get_mut(&number) else { return };
        task.killed = true;
        self.tell_or_end(number, ToPilot::Kill, WorkerDeath::Killed.outcome());
    }

    fn leave(&mut self) -> bool {
        self.left = true;
        true
    }

    fn fault(&mut self) -> Option<String> {
        self.fault.take()
    }

    fn note(&mut self) -> Option<String> {
        self.notes.pop_front()
    }
}

impl Drop for ClusterExecutor {
    fn drop(&mut self) {
        if self.left {
            return;
        }
        if let Err(error) = self.close() {
            tracing::warn!("jobs may go on for a while: {error}");
        }
    }
}
