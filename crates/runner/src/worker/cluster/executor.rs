//! The executor of a cluster's profile: it submits jobs, each with a pilot, and gives tasks to the pilots that have begun.
//!
//! Nothing that it knows is needed by anybody else. When it is killed, the pilots finish what they have; the next run that takes the
//! profile reads their mailboxes and goes on with them.

use crate::config::profiles::Profile;
use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
use crate::worker::cluster::desk::{Answer, Desk};
use crate::worker::cluster::engine::{Engine, EngineFault, JobState, Submission, hint, quoted};
use crate::worker::cluster::error::LostTask;
use crate::worker::cluster::jobs::{Job, Submitted};
use crate::worker::cluster::messages::{Attempt, FromPilot, Orders, ToPilot};
use crate::worker::cluster::orphans;
use crate::worker::cluster::pilots::Pilot;
use crate::worker::cluster::place::{PILOT, PilotName};
use crate::worker::error::WorkerDeath;
use crate::worker::executor::Executor;
use crate::worker::protocol::{Assignment, FromWorker, Outcome, Report};
use onsager_numerics::kernel::Level;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often mailboxes are looked into; with many pilots, so much longer for each.
const PERIOD: Duration = Duration::from_millis(20);
const PERIOD_OF_EACH: Duration = Duration::from_micros(500);
/// How often it looks whether jobs have begun and pilots are alive.
const LOOK: Duration = Duration::from_millis(500);
/// How long the last words of a pilot may take to arrive after its process is gone.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// A pilot has so much work ahead that it need not wait for more, and no more than so many tasks for each thread.
const AHEAD: f64 = 2.0;
const MOST_AHEAD: usize = 16;
/// So many jobs in a row may end before they begin, and so often may a task be lost or stopped without getting any further.
const PATIENCE: u32 = 3;
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
struct Task {
    assignment: Box<Assignment>,
    /// The pilot that has it.
    pilot: Option<PilotName>,
    since: Instant,
    /// How often its pilot was lost, and how often it was stopped at the end of a job, without a checkpoint since.
    lost: u32,
    stopped: u32,
    /// It has begun, with the pilot that has it.
    begun: bool,
    /// It is to be ended by force.
    killed: bool,
}

/// Runs tasks on a cluster.
pub struct ClusterExecutor {
    setting: Setting,
    desk: Desk,
    groups: BTreeMap<String, Submitted>,
    pilots: BTreeMap<PilotName, Pilot>,
    tasks: HashMap<usize, Task>,
    /// Tasks that no pilot has, in the order in which they are to start.
    queue: VecDeque<usize>,
    /// The attempts that pilots have, by how they call them.
    attempts: HashMap<Attempt, usize>,
    /// What other coordinators' pilots have finished, and what they have in hand.
    finished: HashMap<Digest, Outcome>,
    running: HashMap<Digest, (Attempt, PilotName)>,
    reports: VecDeque<Report>,
    notes: VecDeque<String>,
    cancelled: bool,
    left: bool,
    /// How many jobs ended in a row before they began.
    stillborn: u32,
    /// The mean time of a task, and over how many.
    mean: (f64, u32),
    looked: Instant,
    asked: Option<Instant>,
    silent: bool,
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
            reports: VecDeque::new(),
            notes: VecDeque::new(),
            cancelled: false,
            left: false,
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
            let mut jobs: Vec<Job> = orphan.group.jobs().into_iter().enumerate().map(Job::numbered).collect();
            for pilot in orphan.pilots {
                self.finished.extend(pilot.done.iter().cloned());
                let going = self.setting.store.is_going(&orphan.group.lease(&pilot.name));
                if let Some(job) = jobs.get_mut(pilot.name.index) {
                    job.begun = true;
                    job.over |= pilot.over || !going;
                }
                if pilot.over || !going {
                    continue;
                }
                let running = pilot.running.iter();
                self.running.extend(running.map(|(at, (key, _))| (*key, (at.clone(), pilot.name.clone()))));
                self.pilots.insert(pilot.name.clone(), Pilot::adopted(&orphan.group, pilot)?);
            }
            let name = orphan.group.name.clone();
            let submitted = Submitted { group: orphan.group, jobs, pending: false, _lock: orphan.lock };
            self.groups.insert(name, submitted);
        }
        let (done, running) = (self.finished.len(), self.running.len());
        if done + running > 0 {
            self.note(format!(
                "jobs of an earlier run have finished {done} tasks and have {running} in hand: they count"
            ));
        }
        Ok(())
    }

    fn note(&mut self, text: String) {
        self.notes.push_back(format!("{}: {text}", self.setting.name));
    }

    fn report(&mut self, number: usize, message: FromWorker) {
        self.reports.push_back(Report { number, message });
    }

    /// The task is over for this executor.
    fn end(&mut self, number: usize, outcome: Outcome) {
        self.tasks.remove(&number);
        self.queue.retain(|queued| *queued != number);
        self.attempts.retain(|_, known| *known != number);
        self.report(number, FromWorker::Ended(outcome));
    }

    /// Everything that is due.
    fn turn(&mut self) -> Result<(), StoreError> {
        while let Some(answer) = self.desk.answer() {
            self.answered(answer)?;
        }
        if self.looked.elapsed() >= LOOK {
            self.looked = Instant::now();
            self.look_for_pilots()?;
            self.look_after_pilots();
        }
        let names: Vec<PilotName> = self.pilots.keys().cloned().collect();
        for name in names {
            self.hear(&name)?;
        }
        self.assign()?;
        self.submit()?;
        let jobs = self.jobs_out();
        if !jobs.is_empty() && self.asked.is_none_or(|at| at.elapsed() >= self.setting.profile.poll) {
            self.asked = Some(Instant::now());
            self.desk.list(jobs);
        }
        Ok(())
    }

    /// The jobs that have not ended.
    fn jobs_out(&self) -> Vec<String> {
        let jobs = self.groups.values().flat_map(|group| &group.jobs).filter(|job| !job.over);
        jobs.map(|job| job.number.clone()).collect()
    }

    fn answered(&mut self, answer: Answer) -> Result<(), StoreError> {
        match answer {
            Answer::Submitted { group, jobs } => {
                let Some(submitted) = self.groups.get_mut(&group) else { return Ok(()) };
                submitted.pending = false;
                match jobs {
                    Ok(numbers) => {
                        submitted.group.submitted(&numbers)?;
                        let text = format!("submitted {}", span(&numbers));
                        submitted.jobs = numbers.into_iter().enumerate().map(Job::numbered).collect();
                        self.note(text);
                        (self.silent, self.asked) = (false, Some(Instant::now()));
                    }
                    Err(fault @ EngineFault::Silent { .. }) => {
                        // Whether it has taken the jobs is not known: pilots that begin all the same are welcome.
                        self.stays_silent(&fault);
                    }
                    Err(fault) => {
                        self.groups.remove(&group);
                        self.give_up(&fault.to_string(), None);
                    }
                }
            }
            Answer::Listed(Ok(listed)) => {
                if std::mem::take(&mut self.silent) {
                    self.note("it answers again".to_owned());
                }
                self.look_for_pilots()?;
                let mut failed = Vec::new();
                for (name, group) in &mut self.groups {
                    for job in &mut group.jobs {
                        if job.hear(&listed) {
                            failed.push((name.clone(), job.clone()));
                        }
                    }
                }
                for (group, job) in failed {
                    self.stillborn(&group, &job);
                }
            }
            Answer::Listed(Err(fault)) => self.stays_silent(&fault),
            Answer::Cancelled(Err(fault)) => self.note(format!("jobs were not cancelled: {fault}")),
            Answer::Cancelled(Ok(())) => {}
        }
        Ok(())
    }

    /// An engine that does not answer is no failure.
    fn stays_silent(&mut self, fault: &EngineFault) {
        if !std::mem::replace(&mut self.silent, true) {
            self.note(format!("{fault}; jobs that run go on, and it is asked again"));
        }
    }

    /// A job ended before its pilot began.
    fn stillborn(&mut self, group: &str, job: &Job) {
        self.stillborn += 1;
        if let Some(JobState::Stuck(reason)) = &job.state {
            self.desk.cancel(vec![job.number.clone()]);
            let text = format!("job {} will not start ({reason}){}", job.number, hint(reason));
            // A node that was faulty may be the only one that is.
            return match reason.contains("launch failed") && self.stillborn < PATIENCE {
                true => self.note(text),
                false => self.give_up(&text, None),
            };
        }
        let Some(submitted) = self.groups.get(group) else { return };
        let printed = submitted.group.printed(job.index);
        let printed = if printed.is_empty() { String::new() } else { format!(": {}", printed.join("; ")) };
        let text = format!("job {} ended before it began ({}){printed}", job.number, job.end());
        if self.stillborn < PATIENCE {
            return self.note(text);
        }
        let folder = submitted.group.folder.display().to_string();
        let help = format!("see what the jobs printed in `{folder}`, and the `setup` lines of the profile");
        self.give_up(&text, Some(help));
    }

    /// No job can be had: the tasks that wait for one fail.
    fn give_up(&mut self, message: &str, help: Option<String>) {
        self.stillborn = 0;
        for number in std::mem::take(&mut self.queue) {
            let message = format!("profile `{}`: {message}", self.setting.name);
            self.end(number, Outcome::Failed { message, help: help.clone() });
        }
    }

    /// Finds the pilots that have begun.
    fn look_for_pilots(&mut self) -> Result<(), StoreError> {
        for submitted in self.groups.values_mut() {
            if !submitted.pending && submitted.jobs.iter().all(|job| job.over) {
                continue;
            }
            for name in submitted.group.pilots()? {
                if self.pilots.contains_key(&name) {
                    continue;
                }
                if let Some(job) = submitted.jobs.get_mut(name.index) {
                    job.begun = true;
                }
                self.pilots.insert(name.clone(), Pilot::new(&submitted.group, name)?);
            }
        }
        Ok(())
    }

    /// Finds the pilots whose process is gone.
    fn look_after_pilots(&mut self) {
        let store = &self.setting.store;
        let mut gone = false;
        for pilot in self.pilots.values_mut().filter(|pilot| !pilot.over && pilot.gone.is_none()) {
            if !store.is_going(&pilot.group.lease(&pilot.name)) {
                pilot.gone = Some(Instant::now());
                gone = true;
            }
        }
        if gone {
            // The engine may know why.
            self.asked = None;
        }
    }

    /// Hears what a pilot says.
    fn hear(&mut self, name: &PilotName) -> Result<(), StoreError> {
        let Some(pilot) = self.pilots.get_mut(name).filter(|pilot| !pilot.over) else { return Ok(()) };
        let messages = pilot.inbox.receive::<FromPilot>()?;
        let lost = messages.is_empty() && pilot.gone.is_some_and(|at| at.elapsed() >= LAST_WORDS);
        for message in messages {
            self.said(name, message);
        }
        if lost {
            self.lost(name);
        }
        Ok(())
    }

    fn said(&mut self, name: &PilotName, message: FromPilot) {
        let Some(pilot) = self.pilots.get_mut(name) else { return };
        match message {
            FromPilot::Started { job, node, left } => {
                (pilot.job, pilot.node) = (job, node);
                pilot.end = Instant::now() + Duration::try_from_secs_f64(left).unwrap_or_default();
                self.stillborn = 0;
            }
            FromPilot::Unfit { job, node, message } => {
                let text = format!("job {job} on node `{node}` cannot work: {message}");
                self.stillborn += 1;
                match self.stillborn < PATIENCE {
                    true => self.note(text),
                    false => self.give_up(
                        &text,
                        Some("set `kernel` in the profile to a level that every node has".into()),
                    ),
                }
            }
            FromPilot::Began(attempt) => {
                let (job, node) = (pilot.job.clone(), pilot.node.clone());
                if let Some(number) = self.attempts.get(&attempt).copied()
                    && let Some(task) = self.tasks.get_mut(&number)
                {
                    task.begun = true;
                    let queued = task.since.elapsed().as_secs_f64();
                    self.report(number, FromWorker::Began { job, node, queued });
                }
            }
            FromPilot::Said { attempt, message } => {
                if let FromWorker::Ended(outcome) = &message {
                    pilot.tasks.remove(&attempt);
                    if let Outcome::Done { seconds, .. } = outcome {
                        let (mean, count) = self.mean;
                        let count = (count + 1).min(100);
                        self.mean = (mean + (seconds - mean) / f64::from(count), count);
                    }
                }
                self.passed_on(attempt, message);
            }
            FromPilot::Returned(attempt) => {
                pilot.tasks.remove(&attempt);
                if let Some(number) = self.attempts.remove(&attempt) {
                    self.stopped(number);
                }
            }
            FromPilot::Ended { seen } => {
                pilot.over = true;
                let tasks = std::mem::take(&mut pilot.tasks);
                for (attempt, (_, file)) in tasks {
                    let Some(number) = self.attempts.remove(&attempt) else { continue };
                    // What it never saw is as it was.
                    if let Some(task) = self.tasks.get_mut(&number) {
                        task.lost += u32::from(file <= seen && task.begun);
                        self.requeue(number);
                    }
                }
                self.over(name);
            }
        }
    }

    /// Passes on what a task's worker says.
    fn passed_on(&mut self, attempt: Attempt, message: FromWorker) {
        let Some(number) = self.attempts.get(&attempt).copied() else {
            // Of a task that this run has not asked for yet.
            if let FromWorker::Ended(outcome) = message
                && let Some(key) =
                    self.running.iter().find(|(_, (at, _))| *at == attempt).map(|(key, _)| *key)
            {
                self.running.remove(&key);
                if matches!(outcome, Outcome::Done { .. }) {
                    self.finished.insert(key, outcome);
                }
            }
            return;
        };
        match message {
            FromWorker::Ended(outcome) => self.end(number, outcome),
            message => {
                if let (FromWorker::Checkpoint { .. }, Some(task)) = (&message, self.tasks.get_mut(&number)) {
                    (task.lost, task.stopped) = (0, 0);
                }
                self.report(number, message);
            }
        }
    }

    /// A task was stopped since its job ends, or was not begun: it goes on in another job.
    fn stopped(&mut self, number: usize) {
        let Some(task) = self.tasks.get_mut(&number) else { return };
        if task.begun {
            task.stopped += 1;
        }
        if task.stopped >= PATIENCE {
            let fault = LostTask::NeverEnds { times: task.stopped, time: self.setting.profile.time };
            return self.end(number, fault.outcome(&self.setting.name));
        }
        self.requeue(number);
    }

    /// A pilot's process is gone, and its last words have been heard.
    fn lost(&mut self, name: &PilotName) {
        let Some(pilot) = self.pilots.get_mut(name) else { return };
        pilot.over = true;
        let (job, node) = (pilot.job.clone(), pilot.node.clone());
        let tasks = std::mem::take(&mut pilot.tasks);
        let state = self.groups.get(&pilot.group.name).and_then(|group| group.jobs.get(name.index));
        let how = match state.and_then(|job| job.state.as_ref()) {
            Some(JobState::Ended(how)) => how.clone(),
            Some(JobState::Waiting(_)) => "requeued".to_owned(),
            _ => "its process is gone".to_owned(),
        };
        let again = how == "requeued" || how.starts_with("NODE_FAIL") || how.starts_with("PREEMPTED");
        if !tasks.is_empty() {
            self.note(format!("job {job} on node `{node}` is lost ({how}); its tasks start again elsewhere"));
        }
        for attempt in tasks.into_keys() {
            self.running.retain(|_, (running, _)| *running != attempt);
            let Some(number) = self.attempts.remove(&attempt) else { continue };
            let Some(task) = self.tasks.get_mut(&number) else { continue };
            task.lost += u32::from(task.begun && !again);
            if task.lost >= PATIENCE {
                let fault = LostTask::Lost {
                    times: task.lost,
                    job: job.clone(),
                    node: node.clone(),
                    how: how.clone(),
                };
                self.end(number, fault.outcome(&self.setting.name));
            } else {
                self.requeue(number);
            }
        }
        self.over(name);
    }

    /// The job of a pilot will not bring another one, unless its engine starts it again.
    fn over(&mut self, name: &PilotName) {
        let Some(pilot) = self.pilots.get(name) else { return };
        if let Some(group) = self.groups.get_mut(&pilot.group.name)
            && let Some(job) = group.jobs.get_mut(name.index)
            && !matches!(job.state, Some(JobState::Waiting(_)))
        {
            job.over = true;
        }
    }

    /// Puts a task before all that wait.
    fn requeue(&mut self, number: usize) {
        let Some(task) = self.tasks.get_mut(&number) else { return };
        (task.pilot, task.begun) = (None, false);
        if task.killed {
            return self.end(number, WorkerDeath::Killed.outcome());
        }
        if self.cancelled {
            return self.end(number, Outcome::Interrupted);
        }
        self.queue.push_front(number);
    }

    /// Gives tasks to pilots that have room.
    fn assign(&mut self) -> Result<(), StoreError> {
        if !self.cancelled {
            let (mean, count) = self.mean;
            let ahead = match count {
                0 => 0,
                _ if mean > 5.0 * AHEAD => 0,
                _ => (libm::ceil(AHEAD / mean.max(1e-3)) as usize).min(MOST_AHEAD),
            };
            let mut waiting = VecDeque::new();
            while let Some(number) = self.queue.pop_front() {
                match self.pilot_for(number, ahead) {
                    Some(name) => self.give(number, &name),
                    None => waiting.push_back(number),
                }
            }
            self.queue = waiting;
        }
        self.pilots.values_mut().filter(|pilot| !pilot.over).try_for_each(Pilot::send)
    }

    /// The pilot that has the most room for a task.
    fn pilot_for(&self, number: usize, ahead: usize) -> Option<PilotName> {
        let Profile { threads, drain, tasks, .. } = &self.setting.profile;
        let assignment = &self.tasks.get(&number)?.assignment;
        let wanted = assignment.threads.min(*threads);
        let time = assignment.time.unwrap_or(Duration::from_secs(1)) + *drain;
        let fits = |pilot: &&Pilot| {
            let most = threads + ahead * threads;
            pilot.is_at_work()
                && pilot.left() > time
                && tasks.is_none_or(|tasks| pilot.given < tasks)
                && (pilot.tasks.is_empty() || pilot.load() + wanted <= most)
        };
        let best = self.pilots.values().filter(fits).min_by_key(|pilot| pilot.load())?;
        Some(best.name.clone())
    }

    fn give(&mut self, number: usize, name: &PilotName) {
        let (Some(task), Some(pilot)) = (self.tasks.get_mut(&number), self.pilots.get_mut(name)) else {
            return;
        };
        let attempt = Attempt { run: self.setting.run.clone(), number };
        task.pilot = Some(name.clone());
        let threads = task.assignment.threads.min(self.setting.profile.threads);
        pilot.tasks.insert(attempt.clone(), (threads, u64::MAX));
        pilot.given += 1;
        let (run, assignment) = (attempt.run.clone(), task.assignment.clone());
        pilot.unsent.push(ToPilot::Assign { run, assignment });
        self.attempts.insert(attempt, number);
    }

    /// Submits as many jobs as there is work for.
    fn submit(&mut self) -> Result<(), StoreError> {
        let pending = self.groups.values().any(|group| group.pending);
        if self.cancelled || pending || self.queue.is_empty() {
            return Ok(());
        }
        let profile = &self.setting.profile;
        let threads: usize =
            self.tasks.values().map(|task| task.assignment.threads.min(profile.threads)).sum();
        let by_threads = threads.div_ceil(profile.threads);
        let by_count = profile.tasks.map_or(0, |tasks| self.tasks.len().div_ceil(tasks));
        let wanted = by_threads.max(by_count).min(profile.jobs);
        let at_work =
            |pilot: &&Pilot| pilot.is_at_work() && pilot.left() > profile.drain && !self.is_spent(pilot);
        let begun = self.pilots.values().filter(at_work).count();
        let to_begin = self.groups.values().flat_map(|group| &group.jobs);
        let to_begin = to_begin.filter(|job| !job.over && !job.begun).count();
        // What is given back is submitted anew; what is spent makes room for another.
        let Some(count) = wanted.checked_sub(begun + to_begin).filter(|count| *count > 0) else {
            return Ok(());
        };
        let name = format!("{}.{}", self.setting.run, self.groups.len() + 1);
        let group = self.setting.store.group(&name);
        let Some(lock) = self.setting.store.try_coordinate(&group)? else { return Ok(()) };
        group.give(&self.orders(count))?;
        let program = quoted(self.setting.program.0.as_os_str());
        let artifacts = quoted(self.setting.store.artifacts().as_os_str());
        let submission = Submission {
            group: group.clone(),
            count,
            name: format!("onsager-{}", self.setting.name),
            pilot: format!("{program} {PILOT} {artifacts} {}", quoted(name.as_ref())),
        };
        self.groups.insert(name, Submitted { group, jobs: Vec::new(), pending: true, _lock: lock });
        self.desk.submit(submission);
        Ok(())
    }

    fn is_spent(&self, pilot: &Pilot) -> bool {
        self.setting.profile.tasks.is_some_and(|tasks| pilot.given >= tasks)
    }

    fn orders(&self, size: usize) -> Orders {
        let Setting { name, profile, run, kernel, log_format, program, .. } = &self.setting;
        Orders {
            run: run.clone(),
            profile: name.clone(),
            size,
            kernel: *kernel,
            log_format: log_format.clone(),
            threads: profile.threads,
            memory: profile.memory,
            time: profile.time,
            idle: profile.idle,
            drain: profile.drain,
            tasks: profile.tasks,
            program: program.0.clone(),
            digest: program.1,
        }
    }

    /// What a task asks for and no job of the profile can have.
    fn too_much(&self, assignment: &Assignment) -> Option<LostTask> {
        let Profile { time, drain, memory, .. } = &self.setting.profile;
        let longest = time.saturating_sub(*drain);
        match (assignment.time, assignment.memory, memory) {
            (Some(wanted), _, _) if wanted > longest => Some(LostTask::TooLong { wanted, longest }),
            (_, Some(wanted), Some(most)) if wanted > *most => {
                Some(LostTask::TooLarge { wanted, most: *most })
            }
            _ => None,
        }
    }

    /// Ends the jobs, and removes what they shared with this coordinator.
    fn close(&mut self) -> Result<(), StoreError> {
        for pilot in self.pilots.values_mut().filter(|pilot| !pilot.over) {
            pilot.unsent.push(ToPilot::Stop);
            pilot.send()?;
        }
        let jobs = self.jobs_out();
        let waiting: Vec<String> = {
            let all = self.groups.values().flat_map(|group| &group.jobs);
            all.filter(|job| !job.over && !job.begun).map(|job| job.number.clone()).collect()
        };
        if !waiting.is_empty() {
            self.desk.cancel(waiting);
        }
        let since = Instant::now();
        let going = |executor: &ClusterExecutor| {
            let store = &executor.setting.store;
            executor.pilots.values().any(|pilot| store.is_going(&pilot.group.lease(&pilot.name)))
        };
        while since.elapsed() < FAREWELL && going(self) {
            std::thread::sleep(PERIOD);
        }
        if going(self) || self.groups.values().any(|group| group.pending) {
            self.desk.cancel(jobs);
        }
        // The answers to all that was asked; an engine that is silent is not waited for.
        while since.elapsed() < FAREWELL + FAREWELL
            && !matches!(self.desk.answer(), Some(Answer::Cancelled(_)) | None)
        {}
        for submitted in self.groups.values() {
            let alive = self.pilots.values().any(|pilot| {
                pilot.group == submitted.group && self.setting.store.is_going(&pilot.group.lease(&pilot.name))
            });
            // What nobody has asked for yet stays for who does.
            if !alive && self.finished.is_empty() {
                files::remove(&submitted.group.folder)?;
            }
        }
        Ok(())
    }
}

impl Executor for ClusterExecutor {
    fn start(&mut self, assignment: Assignment) -> io::Result<()> {
        let (number, key) = (assignment.number, assignment.key);
        if let Some(outcome) = self.finished.remove(&key) {
            self.report(
                number,
                FromWorker::Began { job: "an earlier run's".into(), node: String::new(), queued: 0.0 },
            );
            self.report(number, FromWorker::Ended(outcome));
            return Ok(());
        }
        if let Some(fault) = self.too_much(&assignment) {
            self.report(number, FromWorker::Ended(fault.outcome(&self.setting.name)));
            return Ok(());
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
        if let Some((attempt, pilot)) = self.running.remove(&key) {
            (task.pilot, task.begun) = (Some(pilot.clone()), true);
            let (job, node) = self
                .pilots
                .get(&pilot)
                .map_or_else(Default::default, |pilot| (pilot.job.clone(), pilot.node.clone()));
            self.attempts.insert(attempt, number);
            self.report(number, FromWorker::Began { job, node, queued: 0.0 });
        } else {
            self.queue.push_back(number);
        }
        self.tasks.insert(number, task);
        Ok(())
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
                let period = PERIOD + PERIOD_OF_EACH * self.pilots.len() as u32;
                std::thread::sleep(period.min(left));
            }
        }
    }

    fn cancel(&mut self) {
        self.cancelled = true;
        for number in std::mem::take(&mut self.queue) {
            self.end(number, Outcome::Interrupted);
        }
        for pilot in self.pilots.values_mut().filter(|pilot| !pilot.over) {
            pilot.unsent.push(ToPilot::Cancel);
        }
    }

    fn kill(&mut self, number: usize) {
        let Some(task) = self.tasks.get_mut(&number) else { return };
        task.killed = true;
        let attempt = self.attempts.iter().find(|(_, known)| **known == number).map(|(attempt, _)| attempt);
        let pilot = task.pilot.as_ref().and_then(|name| self.pilots.get_mut(name));
        match (attempt, pilot) {
            (Some(attempt), Some(pilot)) => pilot.unsent.push(ToPilot::Kill(attempt.clone())),
            _ => self.end(number, WorkerDeath::Killed.outcome()),
        }
    }

    fn leave(&mut self) -> bool {
        self.left = true;
        true
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

/// `job 17_0`, `4 jobs, 17_0 to 17_3`.
fn span(numbers: &[String]) -> String {
    match numbers {
        [] => "no job".to_owned(),
        [one] => format!("job {one}"),
        [first, .., last] => format!("{} jobs, {first} to {last}", numbers.len()),
    }
}
