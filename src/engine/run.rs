//! The scheduler: brings every selected task to a final state, and keeps the record, the store's index and the view.

use super::events::{Event, Observer, Record, RunOutputs};
use super::local::{self, Executor};
use super::protocol::{FromWorker, Outcome, Report};
use super::resolve::{self, EngineError, Resolver};
use super::state::TaskState;
use crate::kernel::Level;
use crate::store::Store;
use crate::store::actions::Action;
use crate::store::digest::Digest;
use crate::store::files;
use crate::store::locks::Lock;
use crate::store::view::{Placed, View};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What was asked for.
pub struct Options {
    /// Which tasks of the graph take part.
    pub selected: Vec<bool>,
    /// Tasks to execute although their result is there.
    pub forced: HashSet<usize>,
    /// How many tasks may run side by side.
    pub jobs: usize,
    /// How many threads they may have in all.
    pub threads: usize,
    pub keep_going: bool,
    pub kernel: Level,
    /// How often Ctrl-C was pressed.
    pub interrupts: Arc<AtomicUsize>,
}

/// How a run ended.
pub struct Summary {
    pub run: String,
    pub states: Vec<Option<TaskState>>,
    pub interrupted: bool,
    pub seconds: f64,
}

impl Summary {
    /// How many tasks are in a state.
    pub fn count(&self, of: impl Fn(&TaskState) -> bool) -> usize {
        self.states.iter().flatten().filter(|state| of(state)).count()
    }
}

/// A new run's name: its start in UTC, and the process.
pub fn new_run_name() -> String {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H-%M-%S");
    format!("{now}-{}", std::process::id())
}

/// A task that a worker has.
struct Running {
    key: Digest,
    threads: usize,
    memory: u64,
    deadline: Option<Instant>,
    timed_out: bool,
    work: PathBuf,
    log: PathBuf,
    last_record: Instant,
    _lock: Lock,
}

struct Scheduler<'a, 'r> {
    resolver: Resolver<'r>,
    store: &'a Store,
    options: &'a Options,
    executor: &'a mut dyn Executor,
    observer: &'a mut dyn Observer,
    record: Record,
    view: View,
    run: String,
    work: PathBuf,
    attempts: usize,
    states: Vec<Option<TaskState>>,
    dependents: Vec<Vec<usize>>,
    /// Waiting tasks whose inputs are all known now.
    settled: Vec<usize>,
    ready: BTreeSet<usize>,
    elsewhere: BTreeSet<usize>,
    materials: HashMap<usize, Vec<(String, String)>>,
    running: BTreeMap<usize, Running>,
    memory: u64,
    failed: bool,
    interrupts: usize,
}

/// Runs the selected tasks of the resolver's graph.
pub fn run(
    resolver: Resolver,
    store: &Store,
    options: &Options,
    run: &str,
    executor: &mut dyn Executor,
    observer: &mut dyn Observer,
) -> Result<Summary, EngineError> {
    let started = Instant::now();
    store.sweep_work()?;
    let (work, _lock) = store.start_work(run)?;
    files::create_folder(&store.runs().join(run))?;
    let graph = resolver.graph;
    let mut scheduler = Scheduler {
        view: store.view(&graph.name)?,
        record: Record::create(&store.runs().join(format!("{run}.jsonl")))?,
        resolver,
        store,
        options,
        executor,
        observer,
        run: run.to_owned(),
        work: work.clone(),
        attempts: 0,
        states: Vec::new(),
        dependents: graph.dependents(),
        settled: Vec::new(),
        ready: BTreeSet::new(),
        elsewhere: BTreeSet::new(),
        materials: HashMap::new(),
        running: BTreeMap::new(),
        memory: local::machine_memory(),
        failed: false,
        interrupts: 0,
    };
    scheduler.tell(Event::RunStarted {
        run: run.to_owned(),
        pipeline: graph.name.clone(),
        file: graph.file.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        kernel: options.kernel.to_string(),
        tasks: options.selected.iter().filter(|selected| **selected).count(),
        jobs: options.jobs,
        threads: options.threads,
        host: fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned(),
        points: graph.points.clone(),
    })?;
    scheduler.prepare();
    if let Err(error) = scheduler.drive() {
        // What the attempts wrote is of no use any more, and on a full disk its space is.
        for number in scheduler.running.keys() {
            scheduler.executor.kill(*number);
        }
        let _ = files::remove(&work);
        return Err(error);
    }
    let mut summary = Summary {
        run: run.to_owned(),
        states: std::mem::take(&mut scheduler.states),
        interrupted: scheduler.interrupts > 0,
        seconds: started.elapsed().as_secs_f64(),
    };
    // An interrupt that came too late to stop anything changed nothing.
    summary.interrupted &=
        summary.count(|state| matches!(state, TaskState::Interrupted | TaskState::Skipped)) > 0;
    scheduler.tell(Event::RunFinished {
        executed: summary.count(|state| matches!(state, TaskState::Executed { .. })),
        cached: summary.count(|state| matches!(state, TaskState::Cached { .. })),
        failed: summary.count(|state| matches!(state, TaskState::Failed { .. })),
        interrupted: summary.interrupted,
        seconds: summary.seconds,
    })?;
    if let Err(error) = files::remove(&work) {
        tracing::warn!("the working folder stays: {error}");
    }
    Ok(summary)
}

impl Scheduler<'_, '_> {
    fn tell(&mut self, event: Event) -> Result<(), EngineError> {
        self.observer.event(&event);
        Ok(self.record.write(&event)?)
    }

    fn prepare(&mut self) {
        let graph = self.resolver.graph;
        for (number, _) in graph.tasks.iter().enumerate() {
            if !self.options.selected[number] {
                self.states.push(None);
                continue;
            }
            let upstream = graph.dependencies(number);
            if upstream.is_empty() {
                self.settled.push(number);
            }
            self.states.push(Some(TaskState::Waiting { missing: upstream.len() }));
        }
        // Taken from the end: so in the order of the graph.
        self.settled.reverse();
    }

    /// Goes on until no task can change its state any more.
    fn drive(&mut self) -> Result<(), EngineError> {
        loop {
            while let Some(number) = self.settled.pop() {
                self.settle(number)?;
            }
            if !self.stopping() {
                self.start_what_fits()?;
                if !self.settled.is_empty() {
                    continue;
                }
            }
            let idle = self.running.is_empty();
            if idle && (self.stopping() || (self.ready.is_empty() && self.elsewhere.is_empty())) {
                break;
            }
            let wait = if self.elsewhere.is_empty() { 100 } else { 20 };
            if let Some(report) = self.executor.next(Duration::from_millis(wait)) {
                self.hear(report)?;
            }
            self.watch()?;
            self.observer.tick();
        }
        for number in 0..self.states.len() {
            if self.states[number].as_ref().is_some_and(|state| !state.is_final()) {
                self.states[number] = Some(TaskState::Skipped);
                let graph = self.resolver.graph;
                let failed = graph.dependencies(number).into_iter().find(|up| {
                    matches!(self.states[*up], Some(TaskState::Failed { .. } | TaskState::Skipped))
                });
                let because = failed.map(|up| graph.tasks[up].id.clone());
                let task = graph.tasks[number].id.clone();
                self.tell(Event::TaskSkipped { task, because })?;
            }
        }
        Ok(())
    }

    /// Whether no further task is to be started.
    fn stopping(&self) -> bool {
        self.interrupts > 0 || (self.failed && !self.options.keep_going)
    }

    /// Computes the key of a task whose inputs are known, and looks for its result.
    fn settle(&mut self, number: usize) -> Result<(), EngineError> {
        let task = &self.resolver.graph.tasks[number];
        let states = &self.states;
        let outputs = |up: usize| states[up].as_ref().and_then(TaskState::outputs);
        let material = match self.resolver.material(task, &outputs) {
            // An input that cannot be read is this task's trouble alone.
            Err(EngineError::Store(error)) => return self.fail(number, error.to_string(), None, None),
            material => material?,
        };
        let Some(key) = material.key() else { return Ok(()) };
        self.materials.insert(number, material.lines());
        if !self.options.forced.contains(&number)
            && let Some(action) = self.resolver.result(&key)?
        {
            return self.finish(number, key, action.outputs, None);
        }
        self.states[number] = Some(TaskState::Ready { key });
        self.ready.insert(number);
        Ok(())
    }

    /// Starts ready tasks, in the order of the graph, as far as threads and memory go.
    fn start_what_fits(&mut self) -> Result<(), EngineError> {
        if self.running.len() >= self.options.jobs {
            return Ok(());
        }
        let candidates: Vec<usize> = self.ready.union(&self.elsewhere).copied().collect();
        for number in candidates {
            if self.running.len() >= self.options.jobs {
                break;
            }
            let resources = &self.resolver.graph.tasks[number].resources;
            let threads = resources.threads.clamp(1, self.options.threads);
            let memory = resources.memory.unwrap_or(0).min(self.memory);
            let used_threads: usize = self.running.values().map(|running| running.threads).sum();
            let used_memory: u64 = self.running.values().map(|running| running.memory).sum();
            if used_threads + threads > self.options.threads || used_memory + memory > self.memory {
                continue;
            }
            let (Some(TaskState::Ready { key }) | Some(TaskState::Elsewhere { key })) = self.states[number]
            else {
                continue;
            };
            // Another task of this run is about to make the same result: points of a sweep share tasks.
            if self.running.values().any(|running| running.key == key) {
                continue;
            }
            let Some(lock) = self.store.try_lock(&key)? else {
                if self.ready.remove(&number) {
                    self.elsewhere.insert(number);
                    self.states[number] = Some(TaskState::Elsewhere { key });
                    let task = self.resolver.graph.tasks[number].id.clone();
                    self.tell(Event::TaskWaiting { task, key })?;
                }
                continue;
            };
            self.ready.remove(&number);
            self.elsewhere.remove(&number);
            // The other run may have finished it since; a forced task is executed all the same.
            if !self.options.forced.contains(&number)
                && let Some(action) = self.resolver.result(&key)?
            {
                drop(lock);
                self.finish(number, key, action.outputs, None)?;
                continue;
            }
            self.start(number, key, lock, threads, memory)?;
        }
        Ok(())
    }

    fn start(
        &mut self,
        number: usize,
        key: Digest,
        lock: Lock,
        threads: usize,
        memory: u64,
    ) -> Result<(), EngineError> {
        self.attempts += 1;
        let work = self.work.join(self.attempts.to_string());
        let task = &self.resolver.graph.tasks[number];
        let log = self.store.runs().join(&self.run).join(format!("{}.log", resolve::file_name(task)));
        let states = &self.states;
        let outputs = |up: usize| states[up].as_ref().and_then(TaskState::outputs);
        let assignment = self.resolver.assignment(number, &key, &outputs, work.clone(), log.clone(), threads);
        let now = Instant::now();
        let running = Running {
            key,
            threads,
            memory,
            deadline: task.resources.time.map(|limit| now + limit),
            timed_out: false,
            work,
            log: log.clone(),
            last_record: now,
            _lock: lock,
        };
        let task = task.id.clone();
        self.tell(Event::TaskStarted { task, key, threads, log })?;
        self.executor.start(assignment)?;
        self.running.insert(number, running);
        self.states[number] = Some(TaskState::Running { key });
        Ok(())
    }

    fn hear(&mut self, report: Report) -> Result<(), EngineError> {
        let number = report.number;
        let task = self.resolver.graph.tasks[number].id.clone();
        match report.message {
            FromWorker::Progress { done, total, unit } => {
                let event = Event::TaskProgress { task, done, total, unit };
                self.observer.event(&event);
                // The record needs no more than one line a second.
                if let Some(running) = self.running.get_mut(&number)
                    && running.last_record.elapsed() >= Duration::from_secs(1)
                {
                    running.last_record = Instant::now();
                    self.record.write(&event)?;
                }
                Ok(())
            }
            FromWorker::Checkpoint { step } => {
                if !self.resolver.changed_since(&self.resolver.graph.tasks[number]).is_empty() {
                    // It holds what was read of the changed input: the end of the attempt removes it.
                    self.executor.kill(number);
                }
                self.tell(Event::TaskCheckpoint { task, step })
            }
            FromWorker::Group { .. } => Ok(()),
            FromWorker::Resumed { step } => self.tell(Event::TaskResumed { task, step }),
            FromWorker::Ended(outcome) => {
                let Some(running) = self.running.remove(&number) else { return Ok(()) };
                self.end(number, running, outcome)
            }
        }
    }

    fn end(&mut self, number: usize, running: Running, outcome: Outcome) -> Result<(), EngineError> {
        let task = &self.resolver.graph.tasks[number];
        files::remove(&running.work)?;
        if let Some(path) = self.resolver.changed_since(task).first() {
            // Result and checkpoints may stem from other bytes than the key says.
            files::remove(&self.store.checkpoints(&running.key))?;
            let message = format!("input `{}` was changed while the task ran", path.display());
            let help = Some("run again: the result is not kept".to_owned());
            return self.fail(number, message, help, Some(running.log));
        }
        match outcome {
            Outcome::Done { outputs, seconds } => {
                let before = self.store.actions().get(&running.key)?;
                self.store.actions().put(&Action {
                    key: running.key,
                    task: task.id.clone(),
                    run: self.run.clone(),
                    seconds,
                    outputs: outputs.clone(),
                    material: self.materials.get(&number).cloned().unwrap_or_default(),
                })?;
                files::remove(&self.store.checkpoints(&running.key))?;
                for (name, content) in &outputs {
                    let old = before.iter().flat_map(|action| &action.outputs).find(|(old, _)| old == name);
                    if old.is_some_and(|(_, old)| old.digest != content.digest) {
                        let (task, output) = (task.id.clone(), name.clone());
                        self.tell(Event::TaskDiffers { task, output })?;
                    }
                }
                self.finish(number, running.key, outputs, Some(seconds))
            }
            Outcome::Interrupted => {
                self.states[number] = Some(TaskState::Interrupted);
                let task = task.id.clone();
                self.tell(Event::TaskInterrupted { task })
            }
            Outcome::Failed { .. } if self.interrupts > 1 => {
                self.states[number] = Some(TaskState::Interrupted);
                let task = task.id.clone();
                self.tell(Event::TaskInterrupted { task })
            }
            Outcome::Failed { message, help } => {
                let (message, help) = match (running.timed_out, task.resources.time) {
                    (true, Some(limit)) => (
                        format!("the time limit of {} s was reached", limit.as_secs()),
                        Some(
                            "raise `resources: {time: …}`; a stage with checkpoints goes on from the last"
                                .to_owned(),
                        ),
                    ),
                    _ => (message, help),
                };
                self.fail(number, message, help, Some(running.log))
            }
        }
    }

    fn fail(
        &mut self,
        number: usize,
        message: String,
        help: Option<String>,
        log: Option<PathBuf>,
    ) -> Result<(), EngineError> {
        self.failed = true;
        self.states[number] = Some(TaskState::Failed { message: message.clone() });
        let task = self.resolver.graph.tasks[number].id.clone();
        self.tell(Event::TaskFailed { task, message, help, log })
    }

    /// A result is known: shows it in the view, and lets the tasks that wait for it go on.
    fn finish(
        &mut self,
        number: usize,
        key: Digest,
        outputs: RunOutputs,
        seconds: Option<f64>,
    ) -> Result<(), EngineError> {
        let task = &self.resolver.graph.tasks[number];
        let id = task.id.clone();
        if !self.view.is_current(&id, &key) {
            let placed: Vec<_> = task
                .outputs
                .iter()
                .zip(&outputs)
                .map(|(declared, (name, content))| {
                    let path = self.view.relative(&task.folder, &declared.file);
                    (name.clone(), *content, path)
                })
                .collect();
            let material = self.materials.get(&number).map_or(&[][..], Vec::as_slice);
            let what = match self.view.show(&id, key, &self.run, &placed, material) {
                // The result itself is in the store.
                Err(error) => return self.fail(number, error.to_string(), None, None),
                Ok(what) => what,
            };
            for (what, (_, _, path)) in what.into_iter().zip(placed) {
                if matches!(what, Placed::Restored | Placed::Edited) {
                    let edited = what == Placed::Edited;
                    self.tell(Event::OutputRestored { task: id.clone(), path, edited })?;
                }
            }
        }
        let state = match seconds {
            Some(seconds) => {
                self.tell(Event::TaskFinished { task: id, key, seconds, outputs: outputs.clone() })?;
                TaskState::Executed { key, outputs }
            }
            None => {
                self.tell(Event::TaskCached { task: id, key, outputs: outputs.clone() })?;
                TaskState::Cached { key, outputs }
            }
        };
        self.states[number] = Some(state);
        for dependent in std::mem::take(&mut self.dependents[number]) {
            if let Some(TaskState::Waiting { missing }) = &mut self.states[dependent] {
                *missing -= 1;
                if *missing == 0 {
                    self.settled.push(dependent);
                }
            }
        }
        Ok(())
    }

    /// Time limits and Ctrl-C.
    fn watch(&mut self) -> Result<(), EngineError> {
        let now = Instant::now();
        for (number, running) in &mut self.running {
            if !running.timed_out && running.deadline.is_some_and(|deadline| now >= deadline) {
                running.timed_out = true;
                self.executor.kill(*number);
            }
        }
        let interrupts = self.options.interrupts.load(Ordering::Relaxed);
        if interrupts > 0 && self.interrupts == 0 {
            self.tell(Event::Interrupting { running: self.running.len() })?;
            self.executor.cancel();
        }
        if interrupts > 1 && self.interrupts < 2 {
            for number in self.running.keys() {
                self.executor.kill(*number);
            }
        }
        self.interrupts = interrupts;
        Ok(())
    }
}
