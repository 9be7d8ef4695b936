//! Starts tasks whose keys are known, as far as there is room.

use crate::kind::fields::Field;
use crate::plan::assignment::Workplace;
use crate::plan::error::EngineError;
use crate::run::events::Event;
use crate::run::known::Found;
use crate::run::pools::{self, Room, Share};
use crate::run::scheduler::{Running, Scheduler};
use crate::run::state::TaskState;
use crate::run::waits::For;
use crate::store::digest::Digest;
use crate::store::host;
use crate::store::leases::Death;
use crate::store::locks::Lock;
use crate::store::objects::Held;
use crate::worker::checkpoints;
use std::collections::BTreeSet;
use std::time::Instant;

/// What became of a task that there is room for.
enum Attempt {
    /// A worker has it.
    Started,
    /// Other runs have the places of its pools.
    NoPlaces,
    /// It waits for inputs that are made again first.
    InputsMissing,
    /// It needs no worker, or another one is at it.
    Passed,
}

impl Scheduler<'_, '_> {
    /// Starts tasks in the order of the graph, as far as threads, memory and pools go.
    pub fn start_what_fits(&mut self) -> Result<(), EngineError> {
        let shares = self.running.values().map(|running| &running.share);
        let mut room = Room::beside(self.options.capacities(self.memory), &self.options.pools, shares);
        // One after the other, as far as there is room: the whole list may be long.
        let mut from = 0;
        while !room.is_full() {
            let Some(number) = self.states.next_to_start(from) else { break };
            from = number + 1;
            let share = self.share(number);
            if !room.fits(&share) {
                continue;
            }
            match self.attempt(number, &share)? {
                Attempt::Started => room.take(&share),
                Attempt::NoPlaces => room.keep(&share),
                // Those that it waits for come before it in the order.
                Attempt::InputsMissing => from = 0,
                Attempt::Passed => {}
            }
        }
        Ok(())
    }

    /// What a task takes while it runs.
    fn share(&self, number: usize) -> Share {
        let resources = &self.task(number).resources;
        let elsewhere = self.options.is_elsewhere(self.task(number));
        let most = if elsewhere { usize::MAX } else { self.options.threads.max(1) };
        Share {
            place: self.options.place_of(self.task(number)),
            threads: resources.threads.clamp(1, most),
            memory: resources.memory.unwrap_or(0).min(self.memory),
            pools: resources.pools.clone(),
        }
    }

    /// Starts a task, unless another run has it, its result is there meanwhile, or something that it needs is not.
    fn attempt(&mut self, number: usize, share: &Share) -> Result<Attempt, EngineError> {
        let (key, elsewhere) = match self.states.get(number) {
            Some(TaskState::Ready { key }) => (*key, false),
            Some(TaskState::Elsewhere { key }) => (*key, true),
            _ => return Ok(Attempt::Passed),
        };
        // Another task of this run is about to make the same result: points of a sweep share tasks.
        if self.running.values().any(|running| running.key == key) {
            return Ok(Attempt::Passed);
        }
        let Some(lock) = self.store.try_lock(&key)? else {
            if !elsewhere {
                self.set(number, TaskState::Elsewhere { key })?;
                let task = self.task(number).id.clone();
                self.emit(Event::TaskWaiting { task, key })?;
            }
            return Ok(Attempt::Passed);
        };
        if elsewhere {
            self.set(number, TaskState::Ready { key })?;
        }
        if self.result_appeared(number, key)? {
            return Ok(Attempt::Passed);
        }
        if !self.options.execute {
            self.set(number, TaskState::NotRun)?;
            let task = self.task(number).id.clone();
            self.emit(Event::TaskNotRun { task, because: None })?;
            return Ok(Attempt::Passed);
        }
        if !self.ensure_inputs(number)? {
            return Ok(Attempt::InputsMissing);
        }
        let Some(places) = pools::take_places(self.store, share, &self.options.pools)? else {
            self.waits.wait_for(number, For::Pool);
            if self.queued.insert(number) {
                let task = self.task(number).id.clone();
                let pools = share.pools.iter().map(|(pool, _)| pool.clone()).collect();
                self.emit(Event::TaskQueued { task, pools })?;
            }
            return Ok(Attempt::NoPlaces);
        };
        self.start(number, key, lock, share.clone(), places)?;
        Ok(Attempt::Started)
    }

    /// Whether the task need not be executed after all: another run may have made its result since. A forced task is executed all the
    /// same.
    fn result_appeared(&mut self, number: usize, key: Digest) -> Result<bool, EngineError> {
        if !self.remade.contains_key(&number) {
            if self.options.forced.contains(&number) {
                return Ok(false);
            }
            return match self.find_result(number, key)? {
                Found::Here => Ok(true),
                Found::Nowhere => Ok(false),
                Found::Coming => {
                    self.set(number, TaskState::Waiting { missing: 1 })?;
                    Ok(true)
                }
            };
        }
        if let Some(outputs) = self.results[number].clone()
            && self.ensure_in_store(number, &outputs)? == Held::Sound
        {
            self.cached(number, key, outputs)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Sees to it that the inputs of a task that is about to start are in the store. True when all are; else those that are not
    /// are made again first, and the task waits for them.
    fn ensure_inputs(&mut self, number: usize) -> Result<bool, EngineError> {
        let mut missing = 0;
        for up in self.resolver.graph.suppliers(number) {
            missing += usize::from(!self.ensure_bytes(up, number)?);
        }
        if missing > 0 {
            self.set(number, TaskState::Waiting { missing })?;
        }
        Ok(missing == 0)
    }

    /// Whether the store holds the bytes of a result that another task is to read; else it is made again, and the other one waits.
    pub fn ensure_bytes(&mut self, up: usize, reader: usize) -> Result<bool, EngineError> {
        if let Some(waiting) = self.remade.get_mut(&up) {
            waiting.push(reader);
            return Ok(false);
        }
        let Some(key) = self.states.get(up).and_then(TaskState::result) else { return Ok(true) };
        let outputs = self.results[up].clone().unwrap_or_default();
        if self.ensure_in_store(up, &outputs)? == Held::Sound {
            return Ok(true);
        }
        if self.fetch_elsewhere(&outputs, reader)? {
            return Ok(false);
        }
        self.remade.insert(up, vec![reader]);
        self.set(up, TaskState::Ready { key })?;
        let task = self.task(up).id.clone();
        self.emit(Event::ResultLost { task })?;
        Ok(false)
    }

    /// Gives a task to the executor.
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
        let log = self.store.task_log(&self.run, &task.id);
        let results = &self.results;
        let outputs = |up: usize| results[up].as_deref();
        let elsewhere = self.options.is_elsewhere(task);
        let place = Workplace { work: work.clone(), log: log.clone(), threads, travels: elsewhere };
        let mut assignment = self.resolver.assignment(number, &key, &outputs, place)?;
        assignment.place = share.place;
        let fields = self.resolver.kind(task)?.fields();
        assignment.sandbox |= self.options.sandbox && fields.has(Field::Sandbox);
        if fields.has(Field::Checkpoint) && assignment.params.get(Field::Checkpoint.name()).is_some() {
            checkpoints::claim(self.store, &key, &format!("{}/{}", self.resolver.graph.name, task.id))?;
        }
        self.attempts += 1;
        assignment.checkpoints = match lock.after() {
            // The one that had the task may still write to its own.
            Some(Death::Silent) => {
                checkpoints::fork(self.store, &key, &format!("{}-{}", self.run, self.attempts))?
            }
            _ => self.store.latest_attempt(&key)?,
        };
        let now = Instant::now();
        assignment.number = self.attempts;
        let (attempt, waited) = self.waits.start(number);
        let running = Running {
            attempt: self.attempts,
            key,
            share,
            // On a cluster its pilot looks after the time: it does not begin now.
            deadline: task.resources.time.filter(|_| !elsewhere).map(|limit| now + limit),
            timed_out: false,
            again: false,
            begun: 0,
            number: attempt,
            waited,
            work,
            checkpoints: assignment.checkpoints.clone(),
            log: log.clone(),
            metrics: BTreeSet::new(),
            usage: None,
            last_record: now,
            _lock: lock,
            _places: places,
        };
        let task = task.id.clone();
        self.list_tasks()?;
        let worker = self.executor.start(assignment).map_err(EngineError::Worker)?;
        if !elsewhere {
            let (host, waited) = (Some(host::name().to_owned()), Some(waited));
            self.emit(Event::TaskStarted {
                task,
                key,
                threads,
                log,
                job: None,
                attempt,
                host,
                worker,
                waited,
            })?;
        }
        self.running.insert(number, running);
        self.set(number, TaskState::Running { key })
    }
}
