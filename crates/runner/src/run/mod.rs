//! The scheduler: brings every selected task to a final state, and keeps the record, the store's index and the view.

pub mod events;
pub mod pools;
pub mod rerun;
pub mod retry;
pub mod session;
pub mod state;
pub mod watch;

mod known;
mod reports;

use crate::pipeline::graph::Dependents;
use crate::pipeline::spec::COMMAND;
use crate::plan::resolve::{self, EngineError, Resolver};
use crate::plan::unchanged::Unchanged;
use crate::run::events::{Event, Observer, Record};
use crate::run::pools::{Room, Share, Sizes};
use crate::run::retry::Retrying;
use crate::run::state::TaskState;
use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::files;
use crate::store::locks::Lock;
use crate::store::objects::{Content, Held};
use crate::store::view::View;
use crate::worker::checkpoints;
use crate::worker::folders::Folders;
use crate::worker::local::{self, Executor};
use onsager_numerics::kernel::Level;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

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
    /// How many places each pool has.
    pub pools: Sizes,
    /// Whether every command sees nothing but what it declares.
    pub sandbox: bool,
    pub keep_going: bool,
    pub kernel: Level,
    /// Whether the logs of tasks are JSON lines.
    pub json_logs: bool,
    /// How often Ctrl-C was pressed.
    pub interrupts: Arc<AtomicUsize>,
}

/// How a run ended.
pub struct Summary {
    pub run: String,
    pub states: Vec<Option<TaskState>>,
    /// The outputs of each task, in declared order, as far as they are known.
    pub outputs: Vec<Option<Vec<Content>>>,
    /// What the next run may compare with, if every task of the graph has its result in the view.
    pub unchanged: Option<Unchanged>,
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
    share: Share,
    deadline: Option<Instant>,
    timed_out: bool,
    work: PathBuf,
    log: PathBuf,
    last_record: Instant,
    _lock: Lock,
    _places: Vec<Lock>,
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
    folders: Folders,
    states: Vec<Option<TaskState>>,
    /// The outputs of each task, as far as they are known; the store may lack their bytes.
    results: Vec<Option<Vec<Content>>>,
    dependents: Dependents,
    /// Waiting tasks whose inputs are all known now.
    settled: Vec<usize>,
    ready: BTreeSet<usize>,
    elsewhere: BTreeSet<usize>,
    /// Tasks whose known result is made again because its bytes are needed, each with the tasks that wait for it.
    revived: HashMap<usize, Vec<usize>>,
    /// Tasks whose known result was found damaged: they are executed, whether somebody needs the bytes or not.
    damaged: HashSet<usize>,
    running: BTreeMap<usize, Running>,
    retrying: Retrying,
    /// Tasks of which it was told that another run has the places of the pools that they need.
    queued: HashSet<usize>,
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
    let since = SystemTime::now();
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
        folders: Folders::new(work.clone()),
        states: Vec::new(),
        results: vec![None; graph.tasks.len()],
        dependents: graph.dependents(),
        settled: Vec::new(),
        ready: BTreeSet::new(),
        elsewhere: BTreeSet::new(),
        revived: HashMap::new(),
        damaged: HashSet::new(),
        running: BTreeMap::new(),
        retrying: Retrying::default(),
        queued: HashSet::new(),
        memory: local::machine_memory(),
        failed: false,
        interrupts: 0,
    };
    let begin = Event::RunStarted {
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
    };
    scheduler.tell(begin.clone())?;
    scheduler.resolver.read_external(&options.selected);
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
        outputs: std::mem::take(&mut scheduler.results),
        unchanged: None,
        interrupted: scheduler.interrupts > 0,
        seconds: started.elapsed().as_secs_f64(),
    };
    // An interrupt that came too late to stop anything changed nothing.
    summary.interrupted &=
        summary.count(|state| matches!(state, TaskState::Interrupted | TaskState::Skipped)) > 0;
    let keys = scheduler.resolver.graph.tasks.iter().zip(&summary.states);
    let keys = keys.filter_map(|(task, state)| Some((task.id.as_str(), state.as_ref()?.result()?)));
    let manifest = store.manifests().put(keys)?;
    scheduler.tell(Event::RunFinished {
        manifest,
        executed: summary.count(|state| matches!(state, TaskState::Executed { .. })),
        cached: summary.count(|state| matches!(state, TaskState::Cached { .. })),
        failed: summary.count(|state| matches!(state, TaskState::Failed { .. })),
        interrupted: summary.interrupted,
        seconds: summary.seconds,
    })?;
    let resolver = &scheduler.resolver;
    summary.unchanged =
        Unchanged::of(resolver, &scheduler.view, store, &summary.states, manifest, &begin, since);
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
        // Inside the gate while it decides; outside while it waits, when all that it relies on is in the view's index.
        let mut gate = self.store.enter_gate()?;
        loop {
            while let Some(number) = self.settled.pop() {
                self.settle(number)?;
            }
            if !self.stopping() {
                self.try_again();
                self.start_what_fits()?;
                if !self.settled.is_empty() {
                    continue;
                }
            }
            let idle = self.running.is_empty();
            if idle && (self.stopping() || self.nothing_waits()) {
                break;
            }
            let wait = if self.elsewhere.is_empty() { 100 } else { 20 };
            drop(gate);
            let report = self.executor.next(Duration::from_millis(wait));
            gate = self.store.enter_gate()?;
            if let Some(report) = report {
                self.hear(report)?;
            }
            self.watch()?;
            self.observer.tick();
        }
        for (number, failure) in self.retrying.give_up() {
            if self.interrupts > 0 {
                self.interrupted(number)?;
            } else {
                self.fail(number, failure.message, failure.help, failure.log)?;
            }
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

    /// Whether no task will be started that is not running now.
    fn nothing_waits(&self) -> bool {
        self.ready.is_empty() && self.elsewhere.is_empty() && self.retrying.is_empty()
    }

    /// Tasks whose wait after a failure is over are ready once more.
    fn try_again(&mut self) {
        for number in self.retrying.due(Instant::now()) {
            if let Some(TaskState::Retrying { key }) = self.states[number] {
                self.states[number] = Some(TaskState::Ready { key });
                self.ready.insert(number);
            }
        }
    }

    /// Whether no further task is to be started.
    fn stopping(&self) -> bool {
        self.interrupts > 0 || (self.failed && !self.options.keep_going)
    }

    /// Starts ready tasks, in the order of the graph, as far as threads, memory and pools go.
    fn start_what_fits(&mut self) -> Result<(), EngineError> {
        if self.running.len() >= self.options.jobs {
            return Ok(());
        }
        // One after the other, as far as there is room: the whole list may be long.
        let mut from = 0;
        let (threads, shares) = (self.options.threads, self.running.values().map(|running| &running.share));
        let mut room = Room::beside(threads, self.memory, &self.options.pools, shares);
        while self.running.len() < self.options.jobs && !room.is_full() {
            let next = [&self.ready, &self.elsewhere].into_iter().filter_map(|set| set.range(from..).next());
            let Some(number) = next.min().copied() else { break };
            from = number + 1;
            let resources = &self.resolver.graph.tasks[number].resources;
            let share = Share {
                threads: resources.threads.clamp(1, self.options.threads),
                memory: resources.memory.unwrap_or(0).min(self.memory),
                pools: resources.pools.clone(),
            };
            if !room.fits(&share) {
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
            self.elsewhere.remove(&number);
            self.ready.insert(number);
            // The other run may have finished it since; a forced task is executed all the same.
            if self.revived.contains_key(&number) {
                if let Some(outputs) = self.results[number].clone()
                    && self.bring(number, &outputs)? == Held::Sound
                {
                    drop(lock);
                    self.cached(number, key, outputs);
                    continue;
                }
            } else if !self.options.forced.contains(&number) && self.find(number, key)? {
                drop(lock);
                continue;
            }
            if !self.bring_inputs(number)? {
                // Those that it waits for come before it in the order.
                from = 0;
                continue;
            }
            let Some(places) = pools::take_places(self.store, &share, &self.options.pools)? else {
                room.keep(&share);
                if self.queued.insert(number) {
                    let task = self.resolver.graph.tasks[number].id.clone();
                    let pools = share.pools.into_iter().map(|(pool, _)| pool).collect();
                    self.tell(Event::TaskQueued { task, pools })?;
                }
                continue;
            };
            self.ready.remove(&number);
            room.take(&share);
            self.start(number, key, lock, share, places)?;
        }
        Ok(())
    }

    fn start(
        &mut self,
        number: usize,
        key: Digest,
        lock: Lock,
        share: Share,
        places: Vec<Lock>,
    ) -> Result<(), EngineError> {
        let threads = share.threads;
        let work = self.folders.take();
        let task = &self.resolver.graph.tasks[number];
        let log = self.store.runs().join(&self.run).join(format!("{}.log", resolve::file_name(task)));
        let results = &self.results;
        let outputs = |up: usize| results[up].as_deref();
        let mut assignment =
            self.resolver.assignment(number, &key, &outputs, work.clone(), log.clone(), threads);
        assignment.sandbox |= self.options.sandbox;
        if task.kind == COMMAND && assignment.params.get("checkpoint").is_some() {
            checkpoints::claim(self.store, &key, &format!("{}/{}", self.resolver.graph.name, task.id))?;
        }
        let now = Instant::now();
        let running = Running {
            key,
            share,
            deadline: task.resources.time.map(|limit| now + limit),
            timed_out: false,
            work,
            log: log.clone(),
            last_record: now,
            _lock: lock,
            _places: places,
        };
        let task = task.id.clone();
        self.tell(Event::TaskStarted { task, key, threads, log })?;
        self.executor.start(assignment)?;
        self.running.insert(number, running);
        self.states[number] = Some(TaskState::Running { key });
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
