//! A run from its first task to its last.

use crate::pipeline::graph::Task;
use crate::plan::error::EngineError;
use crate::plan::resolve::Resolver;
use crate::run::away::Away;
use crate::run::claims;
use crate::run::commit::Asked;
use crate::run::description::Description;
use crate::run::events::{Event, Interrupt, Observer, Record};
use crate::run::facts::Facts;
use crate::run::grow::take_over;
use crate::run::growth::{Grow, Growth};
use crate::run::options::{Options, Summary};
use crate::run::requests::Requests;
use crate::run::retry::Retrying;
use crate::run::scheduler::Scheduler;
use crate::run::state::{Phase, TaskState};
use crate::run::states::TaskStates;
use crate::run::unchanged::Unchanged;
use crate::run::waits::Waiting;
use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::files;
use crate::store::gate::Gate;
use crate::store::host;
use crate::store::remote::elsewhere::Elsewhere;
use crate::store::view::Cleared;
use crate::worker::executor::Executor;
use crate::worker::folders::Folders;
use crate::worker::memory;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

/// How long a run that is over waits for what git has to say.
const GIT: Duration = Duration::from_secs(5);

/// How a run ended, and what the next run may compare with, if every task of the graph has its result in the view.
pub struct Ended {
    pub summary: Summary,
    pub unchanged: Option<Unchanged>,
}

/// What a run deals with outside itself.
pub struct Outside<'a> {
    pub executor: &'a mut dyn Executor,
    pub observer: &'a mut dyn Observer,
    pub grow: &'a mut dyn Grow,
    /// A remote store, if it is to use one.
    pub elsewhere: Option<&'a mut (dyn Elsewhere + 'static)>,
}

/// Runs the selected tasks of the resolver's graph, and of what that grows into.
pub fn run(
    resolver: Resolver,
    store: &Store,
    options: &Options,
    run: &str,
    outside: Outside,
) -> Result<Ended, EngineError> {
    let Outside { executor, observer, grow, elsewhere } = outside;
    let (started, since) = (Instant::now(), SystemTime::now());
    store.sweep_work()?;
    let graph = resolver.graph;
    let (work, _lock) = store.start_work(run)?;
    let mut told = false;
    let turn = store.take_turn(&graph.name, &resolver.shows(), &mut || {
        if !std::mem::replace(&mut told, true) {
            observer.event(&Event::ViewWaiting { pipeline: graph.name.clone() });
        }
        observer.tick();
        options.interrupts.load(Ordering::Relaxed) == 0
    })?;
    let Some(_turn) = turn else {
        files::remove(&work)?;
        return Err(EngineError::Interrupted);
    };
    store.own(&graph.name, &graph.file, &graph.root)?;
    files::create_folder(&store.runs().join(run))?;
    let mut scheduler = Scheduler {
        view: store.view(&graph.name)?,
        record: Record::create(&store.record(run))?,
        listed: false,
        requests: Requests::of(store, run),
        resolver,
        store,
        options,
        executor,
        observer,
        run: run.to_owned(),
        folders: Folders::new(work.clone()),
        states: TaskStates::new(std::iter::empty()),
        results: vec![None; graph.tasks.len()],
        dependents: graph.dependents(),
        decidable: Vec::new(),
        remade: HashMap::new(),
        damaged: HashSet::new(),
        lost: HashSet::new(),
        running: BTreeMap::new(),
        retrying: Retrying::default(),
        waits: Waiting::begin(),
        git: Asked::about(&graph.root),
        queued: HashSet::new(),
        attempts: 0,
        growth: Growth::default(),
        away: Away::new(elsewhere),
        memory: memory::of_machine(),
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
        source: source(&graph.file, &graph.sources, store)?,
        description: Description::keep(graph, store)?,
        host: host::name().to_owned(),
        points: graph.points.clone(),
        facts: Some(Box::new(Facts::now(scheduler.resolver.registry))),
    };
    scheduler.emit(begin.clone())?;
    scheduler.resolver.read_external(&options.selected);
    for (path, target) in scheduler.resolver.dangling() {
        scheduler.emit(Event::LinkDangling { path, target })?;
    }
    scheduler.begin();
    let ended = go_on(scheduler, grow, begin, &work, started, since)?;
    if let Err(error) = files::remove(&work) {
        tracing::warn!("the working folder stays: {error}");
    }
    Ok(ended)
}

/// Keeps the text of the pipeline's file, if it is still the one that the graph was read from.
fn source(file: &Path, sources: &[(PathBuf, Digest)], store: &Store) -> Result<Option<Digest>, EngineError> {
    let Some((path, digest)) = sources.first() else { return Ok(None) };
    let same = std::path::absolute(file).is_ok_and(|file| file == *path);
    let Some(text) = fs::read(path).ok().filter(|text| same && Digest::of(text) == *digest) else {
        return Ok(None);
    };
    store.manifests().keep(&text)?;
    Ok(Some(*digest))
}

/// Brings a run to its end, whatever its graph grows into on the way.
fn go_on(
    mut scheduler: Scheduler,
    grow: &mut dyn Grow,
    mut begin: Event,
    work: &Path,
    started: Instant,
    since: SystemTime,
) -> Result<Ended, EngineError> {
    loop {
        match scheduler.drive() {
            Err(error) => {
                // What the attempts wrote is of no use any more, and on a full disk its space is.
                for running in scheduler.running.values() {
                    scheduler.executor.kill(running.attempt);
                }
                let _ = files::remove(work);
                return Err(error);
            }
            Ok(Drove::Ended) => {
                scheduler.finish_sending()?;
                return scheduler.close(&begin, started, since);
            }
            Ok(Drove::Ripe) => {}
        }
        let began = Instant::now();
        let (graph, options) = match grow.grow(&scheduler.growth.known, scheduler.options) {
            Ok(grown) => grown,
            Err(message) => {
                scheduler.fail_to_grow(&message)?;
                continue;
            }
        };
        let old: Vec<String> = scheduler.resolver.graph.tasks.iter().map(|task| task.id.clone()).collect();
        if let Event::RunStarted { tasks, points, .. } = &mut begin {
            *tasks = options.selected.iter().filter(|selected| **selected).count();
            points.clone_from(&graph.points);
        }
        let mut scheduler = scheduler.on(&graph, &options)?;
        take_over(&mut scheduler, &old)?;
        scheduler.resolver.read_external(&options.selected);
        scheduler.growth.last = Some((Instant::now(), began.elapsed()));
        scheduler.growth.times += 1;
        return go_on(scheduler, grow, begin, work, started, since);
    }
}

/// Why a run does not go on by itself.
enum Drove {
    /// No task can change its state any more.
    Ended,
    /// Its graph is to grow.
    Ripe,
}

impl Scheduler<'_, '_> {
    /// Goes on until no task can change its state any more.
    fn drive(&mut self) -> Result<Drove, EngineError> {
        // Inside the gate while it decides; outside while it waits, when all that it relies on is in the view's index.
        let mut gate = self.store.enter_gate()?;
        loop {
            while let Some(number) = self.decidable.pop() {
                self.decide(number)?;
            }
            if !self.stopping() {
                if self.should_grow() {
                    return Ok(Drove::Ripe);
                }
                self.retry_what_is_due()?;
                self.start_what_fits()?;
                if !self.decidable.is_empty() {
                    continue;
                }
            }
            if self.running.is_empty() && (self.stopping() || self.nothing_waits()) {
                break;
            }
            gate = self.wait_for_report(gate)?;
            self.enforce_limits()?;
            self.heed_requests()?;
            self.observer.tick();
        }
        self.give_up_retries()?;
        self.leave_the_rest()?;
        Ok(Drove::Ended)
    }

    /// Every task of the run waits for those that it takes artifacts from.
    fn begin(&mut self) {
        let graph = self.resolver.graph;
        let selected = self.options.selected.iter().enumerate();
        let missing: Vec<Option<usize>> =
            selected.map(|(number, selected)| selected.then(|| graph.dependencies(number).len())).collect();
        // Taken from the end: so in the order of the graph.
        let first = missing.iter().enumerate().rev().filter(|(_, missing)| **missing == Some(0));
        self.decidable = first.map(|(number, _)| number).collect();
        self.states = TaskStates::new(missing.into_iter());
    }

    /// Whether no task will be started that is not running now.
    fn nothing_waits(&self) -> bool {
        self.states.next_to_start(0).is_none()
            && self.retrying.is_empty()
            && self.growth.ripe.is_empty()
            && !self.away.is_busy()
    }

    /// Waits a while for a report of a worker, outside the gate, and acts on it.
    fn wait_for_report(&mut self, gate: Gate) -> Result<Gate, EngineError> {
        let wait = match self.states.any_elsewhere() {
            _ if self.away.is_busy() => 2,
            true => 20,
            false => 100,
        };
        drop(gate);
        let report = self.executor.next(Duration::from_millis(wait));
        let gate = self.store.enter_gate()?;
        self.store.locks().fence()?;
        if let Some(report) = report {
            self.handle_report(report)?;
        }
        self.take_answers()?;
        self.take_commit(Duration::ZERO)?;
        Ok(gate)
    }

    /// Notes what git knows of the project's files, waiting at most so long for it.
    fn take_commit(&mut self, wait: Duration) -> Result<(), EngineError> {
        match self.git.answer(wait) {
            Some(commit) => self.emit(Event::RunCommit(commit)),
            None => Ok(()),
        }
    }

    /// Tasks whose wait after a failure is over are ready once more.
    fn retry_what_is_due(&mut self) -> Result<(), EngineError> {
        for number in self.retrying.due(Instant::now()) {
            if let Some(TaskState::Retrying { key }) = self.states.get(number) {
                let key = *key;
                self.set(number, TaskState::Ready { key })?;
            }
        }
        Ok(())
    }

    /// Time limits and Ctrl-C.
    fn enforce_limits(&mut self) -> Result<(), EngineError> {
        let now = Instant::now();
        for running in self.running.values_mut() {
            if !running.timed_out && running.deadline.is_some_and(|deadline| now >= deadline) {
                running.timed_out = true;
                self.executor.kill(running.attempt);
            }
        }
        if let Some(fault) = self.executor.fault() {
            return Err(EngineError::Place(fault));
        }
        while let Some(text) = self.executor.note() {
            self.emit(Event::Note { text })?;
        }
        let mut interrupts = self.options.interrupts.load(Ordering::Relaxed);
        if interrupts > 0 && self.interrupts == 0 {
            let elsewhere = self.running_elsewhere();
            let meant = match elsewhere.len() {
                0 => Interrupt::Stop,
                tasks => self.observer.interrupted(tasks),
            };
            match meant {
                Interrupt::GoOn => {
                    self.options.interrupts.store(0, Ordering::Relaxed);
                    interrupts = 0;
                }
                Interrupt::Leave if self.executor.leave() => {
                    for number in elsewhere {
                        self.leave(number)?;
                    }
                    self.executor.cancel();
                }
                Interrupt::Stop | Interrupt::Leave => {
                    self.emit(Event::Interrupting { running: self.running.len() })?;
                    self.executor.cancel();
                }
            }
        }
        if interrupts > 1 && self.interrupts < 2 {
            for running in self.running.values() {
                self.executor.kill(running.attempt);
            }
        }
        self.interrupts = interrupts;
        Ok(())
    }

    /// The tasks that jobs of clusters have.
    fn running_elsewhere(&self) -> Vec<usize> {
        let running = self.running.keys().copied();
        running.filter(|number| self.options.is_elsewhere(self.task(*number))).collect()
    }

    /// Leaves a task to its job, which goes on with it.
    fn leave(&mut self, number: usize) -> Result<(), EngineError> {
        self.running.remove(&number);
        self.set(number, TaskState::Interrupted)?;
        let task = self.task(number).id.clone();
        self.emit(Event::TaskLeft { task })
    }

    /// The run ends before the wait of these tasks does.
    fn give_up_retries(&mut self) -> Result<(), EngineError> {
        for (number, failure) in self.retrying.give_up() {
            if self.interrupts > 0 { self.interrupt(number, None) } else { self.fail(number, failure) }?;
        }
        Ok(())
    }

    /// What has not come to an end is not tried any more.
    fn leave_the_rest(&mut self) -> Result<(), EngineError> {
        let graph = self.resolver.graph;
        for number in self.states.unfinished() {
            self.set(number, TaskState::NotRun)?;
            let spoilt = |up: &usize| {
                let phase = self.states.get(*up).map(TaskState::phase);
                // An interrupt of the whole run is reason enough.
                matches!(phase, Some(Phase::Failed | Phase::NotRun))
                    || (phase == Some(Phase::Interrupted) && self.interrupts == 0)
            };
            let because = graph.dependencies(number).into_iter().find(spoilt);
            let because = because.map(|up| graph.tasks[up].id.clone());
            let task = graph.tasks[number].id.clone();
            self.emit(Event::TaskNotRun { task, because })?;
        }
        Ok(())
    }

    /// Takes out of the view what the pipeline no longer says, once a run has come to its end.
    fn clear_view(&mut self, summary: &Summary) -> Result<(), EngineError> {
        // While it is not known what there is to be, everything stays.
        if summary.interrupted || self.resolver.graph.tasks.iter().any(|task| task.open.is_some()) {
            return Ok(());
        }
        let tasks = &self.resolver.graph.tasks;
        let shown = |task: &&Task| self.view.shown(&task.id).is_some_and(|shown| !shown.outputs.is_empty());
        let all = self.view.all().filter(|shown| !shown.outputs.is_empty()).count();
        if tasks.iter().filter(shown).count() == all {
            return Ok(());
        }
        let known: HashSet<&str> = tasks.iter().map(|task| task.id.as_str()).collect();
        let cleared = self.view.clear(&|task| known.contains(task))?;
        if cleared.tasks.is_empty() {
            return Ok(());
        }
        let Cleared { tasks, outputs, edited } = cleared;
        self.emit(Event::ViewCleared { tasks, outputs, edited })
    }

    /// Sums the run up, and ends its record.
    fn close(mut self, begin: &Event, started: Instant, since: SystemTime) -> Result<Ended, EngineError> {
        let graph = self.resolver.graph;
        let states = std::mem::replace(&mut self.states, TaskStates::new(std::iter::empty()));
        #[cfg(test)]
        crate::run::tests::WALKED.with_borrow_mut(|walked| walked.extend(states.walked.iter().copied()));
        let states = states.into_states();
        let keys = graph.tasks.iter().zip(&states);
        let keys = keys.filter_map(|(task, state)| Some((task.id.as_str(), state.as_ref()?.result()?)));
        let manifest = self.store.manifests().put(keys)?;
        let stopped = states.iter().flatten().any(|state| state.phase() == Phase::Interrupted);
        let mut summary = Summary {
            run: self.run.clone(),
            states,
            outputs: std::mem::take(&mut self.results),
            manifest,
            claims: Vec::new(),
            // Or all tasks were stopped where they run.
            interrupted: self.interrupts > 0 || stopped,
            seconds: started.elapsed().as_secs_f64(),
        };
        self.clear_view(&summary)?;
        // Where nothing was computed, nobody asks of what.
        self.take_commit(if self.attempts > 0 { GIT } else { Duration::ZERO })?;
        // An interrupt that came too late to stop anything changed nothing.
        summary.interrupted &=
            summary.count(|state| matches!(state, TaskState::Interrupted | TaskState::NotRun)) > 0;
        summary.claims = claims::check(graph, &summary.outputs, self.store, self.resolver.registry.parquet());
        if !summary.claims.is_empty() {
            self.emit(Event::ClaimsJudged { claims: summary.claims.clone() })?;
        }
        self.emit(Event::RunFinished {
            manifest,
            executed: summary.count(|state| matches!(state, TaskState::Executed { .. })),
            cached: summary.count(|state| matches!(state, TaskState::Cached { .. })),
            failed: summary.count(|state| matches!(state, TaskState::Failed { .. })),
            skipped: summary.count(|state| matches!(state, TaskState::Skipped { .. })),
            interrupted: summary.interrupted,
            seconds: summary.seconds,
        })?;
        let unchanged = Unchanged::of(&self.resolver, &self.view, self.store, &summary, begin, since);
        Ok(Ended { summary, unchanged })
    }
}
