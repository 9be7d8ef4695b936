//! What workers report: progress, checkpoints, and how attempts end.

use crate::command::usage::Usage;
use crate::plan::error::EngineError;
use crate::run::events::{Event, JobOf};
use crate::run::retry::{Failure, Fault};
use crate::run::scheduler::{Running, Scheduler};
use crate::run::state::TaskState;
use crate::store::actions::Action;
use crate::store::curves;
use crate::store::digest::Digest;
use crate::store::files;
use crate::store::host;
use crate::store::objects::{Content, Outputs};
use crate::worker::protocol::{FromWorker, Outcome, Report};
use std::time::{Duration, Instant};

impl Scheduler<'_, '_> {
    /// Acts on what a worker reports.
    pub fn handle_report(&mut self, report: Report) -> Result<(), EngineError> {
        let attempt = report.number;
        let of = |(number, running): (&usize, &Running)| (running.attempt == attempt).then_some(*number);
        let Some(number) = self.running.iter().find_map(of) else { return Ok(()) };
        let task = self.task(number).id.clone();
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
                if !self.resolver.changed_since(self.task(number)).is_empty() {
                    // It holds what was read of the changed input: the end of the attempt removes it.
                    self.executor.kill(attempt);
                }
                self.emit(Event::TaskCheckpoint { task, step })
            }
            FromWorker::Began { job, node, queued } => {
                let Some(running) = self.running.get_mut(&number) else { return Ok(()) };
                running.begun += 1;
                let job = JobOf { job, node, queued, attempt: running.begun };
                let (key, threads, log) = (running.key, running.share.threads, running.log.clone());
                let (attempt, waited) = (running.number, Some(running.waited));
                let (host, worker) = (None, None);
                self.emit(Event::TaskStarted {
                    task,
                    key,
                    threads,
                    log,
                    job: Some(job),
                    attempt,
                    host,
                    worker,
                    waited,
                })
            }
            FromWorker::Metric { step, name, value } => {
                let Some(running) = self.running.get_mut(&number) else { return Ok(()) };
                let first = running.metrics.insert(name.clone());
                let event = Event::TaskMetric { task, step, name, value };
                self.observer.event(&event);
                // All of them are on the task's curves.
                if first { Ok(self.record.write(&event)?) } else { Ok(()) }
            }
            FromWorker::Took(usage) => {
                if let Some(running) = self.running.get_mut(&number) {
                    running.usage = Some(usage);
                }
                Ok(())
            }
            FromWorker::Group { .. } => Ok(()),
            FromWorker::Resumed { step } => self.emit(Event::TaskResumed { task, step }),
            FromWorker::Ended(outcome) => {
                let Some(running) = self.running.remove(&number) else { return Ok(()) };
                self.attempt_ended(number, running, outcome)
            }
        }
    }

    fn attempt_ended(
        &mut self,
        number: usize,
        running: Running,
        outcome: Outcome,
    ) -> Result<(), EngineError> {
        let well = matches!(outcome, Outcome::Done { .. });
        self.folders.put_back(running.work.clone(), well)?;
        if let Some(path) = self.resolver.changed_since(self.task(number)).first() {
            // Result and checkpoints may stem from other bytes than the key says.
            files::remove(&self.store.checkpoints(&running.key))?;
            let fault = Fault::InputChanged { path: path.clone() };
            return self.fail(number, Failure::of(&fault, running.log, running.usage));
        }
        match outcome {
            Outcome::Done { outputs, seconds, usage } => {
                self.executed(number, running, outputs, seconds, usage)
            }
            Outcome::Interrupted => self.interrupt(number, running.usage),
            Outcome::InputLost { object } => self.input_lost(number, running, object),
            Outcome::Failed { .. } if self.interrupts > 1 => self.interrupt(number, running.usage),
            Outcome::Failed { .. } if running.again && !self.stopping() => {
                self.set(number, TaskState::Ready { key: running.key })
            }
            Outcome::Failed { message, help } => {
                let failure = match self.task(number).resources.time {
                    Some(limit) if running.timed_out => {
                        Failure::of(&Fault::TimeLimit { limit }, running.log, running.usage)
                    }
                    _ => Failure { message, help, log: Some(running.log), usage: running.usage },
                };
                self.retry_or_fail(number, running.key, failure)
            }
        }
    }

    /// A task did not begin since the bytes of an input are damaged or gone: it waits until they are made again.
    fn input_lost(&mut self, number: usize, running: Running, object: Digest) -> Result<(), EngineError> {
        for up in self.resolver.graph.dependencies(number) {
            let outputs = self.results[up].clone().unwrap_or_default();
            self.object_damaged(up, object, &outputs)?;
        }
        // Once for each object: on a disk that damages what it has just been given there is no end.
        if self.lost.insert((number, object)) {
            return self.set(number, TaskState::Ready { key: running.key });
        }
        self.fail(number, Failure::of(&Fault::InputLost { object }, running.log, running.usage))
    }

    /// A worker has made the outputs: the action record, which makes the result count, comes last.
    fn executed(
        &mut self,
        number: usize,
        running: Running,
        outputs: Outputs,
        seconds: f64,
        usage: Option<Usage>,
    ) -> Result<(), EngineError> {
        let key = running.key;
        let task = &self.resolver.graph.tasks[number];
        let known = self.options.forced.contains(&number) || self.remade.contains_key(&number);
        let before = if known { self.store.actions().get(&key)? } else { None };
        let results = &self.results;
        let preimage = self.resolver.explain(number, &|up| results[up].as_deref())?.material;
        let (name, run) = (task.id.clone(), self.run.clone());
        let action = Action {
            host: host::name().to_owned(),
            kernel: self.options.kernel.to_string(),
            preimage,
            ..Action::new(key, name, run, seconds, outputs.clone())
        };
        curves::keep(self.store, &key, &running.checkpoints)?;
        self.store.actions().put(&action)?;
        self.send_elsewhere(&action);
        files::remove(&self.store.checkpoints(&key))?;
        for (name, content) in &outputs {
            let old = before.iter().flat_map(|action| &action.outputs).find(|(old, _)| old == name);
            if old.is_some_and(|(_, old)| old.digest != content.digest) {
                let (task, output) = (task.id.clone(), name.clone());
                self.emit(Event::TaskDiffers { task, output })?;
            }
        }
        let contents: Vec<Content> = outputs.iter().map(|(_, content)| *content).collect();
        if let Some(error) = self.put_into_view(number, key, &contents)? {
            return self.fail(number, Failure::to_show(&error, Some(running.log)));
        }
        let task = task.id.clone();
        self.emit(Event::TaskFinished { task, key, seconds, outputs, usage })?;
        self.has_result(number, TaskState::Executed { key }, contents)
    }

    /// A failed task waits for its next try, if it has one left and the run goes on.
    fn retry_or_fail(&mut self, number: usize, key: Digest, failure: Failure) -> Result<(), EngineError> {
        let task = &self.resolver.graph.tasks[number];
        let retries = task.resources.retries.as_ref().filter(|_| !self.stopping());
        let Failure { message, help, log, usage } = failure.clone();
        match self.retrying.put(number, retries, Instant::now(), failure) {
            Ok(again) => {
                self.set(number, TaskState::Retrying { key })?;
                self.emit(Event::TaskRetrying {
                    task: task.id.clone(),
                    message,
                    help,
                    log,
                    retry: again.retry,
                    of: again.of,
                    wait: again.wait.as_secs_f64(),
                    usage,
                })
            }
            Err(failure) => self.fail(number, failure),
        }
    }
}
