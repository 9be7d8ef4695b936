//! What workers report: progress, checkpoints, and how attempts end.

use super::{Running, Scheduler};
use crate::plan::resolve::EngineError;
use crate::run::events::Event;
use crate::run::retry::Failure;
use crate::run::state::TaskState;
use crate::store::actions::Action;
use crate::store::digest::Digest;
use crate::store::files;
use crate::store::objects::Content;
use crate::worker::protocol::{FromWorker, Outcome, Report};
use std::path::PathBuf;
use std::time::{Duration, Instant};

impl Scheduler<'_, '_> {
    pub(super) fn hear(&mut self, report: Report) -> Result<(), EngineError> {
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
        let well = matches!(outcome, Outcome::Done { .. });
        self.folders.put_back(running.work, well)?;
        if let Some(path) = self.resolver.changed_since(task).first() {
            // Result and checkpoints may stem from other bytes than the key says.
            files::remove(&self.store.checkpoints(&running.key))?;
            let message = format!("input `{}` was changed while the task ran", path.display());
            let help = Some("run again: the result is not kept".to_owned());
            return self.fail(number, message, help, Some(running.log));
        }
        match outcome {
            Outcome::Done { outputs, seconds } => {
                let known = self.options.forced.contains(&number) || self.revived.contains_key(&number);
                let before = if known { self.store.actions().get(&running.key)? } else { None };
                let results = &self.results;
                let material = self.resolver.material(task, &|up| results[up].as_deref())?;
                self.store.actions().put(&Action {
                    key: running.key,
                    task: task.id.clone(),
                    run: self.run.clone(),
                    seconds,
                    outputs: outputs.clone(),
                    material: material.lines(),
                })?;
                files::remove(&self.store.checkpoints(&running.key))?;
                for (name, content) in &outputs {
                    let old = before.iter().flat_map(|action| &action.outputs).find(|(old, _)| old == name);
                    if old.is_some_and(|(_, old)| old.digest != content.digest) {
                        let (task, output) = (task.id.clone(), name.clone());
                        self.tell(Event::TaskDiffers { task, output })?;
                    }
                }
                let contents: Vec<Content> = outputs.iter().map(|(_, content)| *content).collect();
                if !self.put_into_view(number, running.key, &contents)? {
                    return Ok(());
                }
                let task = task.id.clone();
                self.tell(Event::TaskFinished { task, key: running.key, seconds, outputs })?;
                self.finish(number, TaskState::Executed { key: running.key }, contents);
                Ok(())
            }
            Outcome::Interrupted => self.interrupted(number),
            Outcome::Failed { .. } if self.interrupts > 1 => self.interrupted(number),
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
                let failure = Failure { message, help, log: Some(running.log) };
                self.retry_or_fail(number, running.key, failure)
            }
        }
    }

    /// A failed task waits for its next try, if it has one left and the run goes on.
    fn retry_or_fail(&mut self, number: usize, key: Digest, failure: Failure) -> Result<(), EngineError> {
        let task = &self.resolver.graph.tasks[number];
        let retries = task.resources.retries.as_ref().filter(|_| !self.stopping());
        let told = failure.clone();
        match self.retrying.put(number, retries, Instant::now(), failure) {
            Ok(again) => {
                self.states[number] = Some(TaskState::Retrying { key });
                self.tell(Event::TaskRetrying {
                    task: task.id.clone(),
                    message: told.message,
                    help: told.help,
                    log: told.log,
                    retry: again.retry,
                    of: again.of,
                    wait: again.wait.as_secs_f64(),
                })
            }
            Err(failure) => self.fail(number, failure.message, failure.help, failure.log),
        }
    }

    pub(super) fn interrupted(&mut self, number: usize) -> Result<(), EngineError> {
        self.states[number] = Some(TaskState::Interrupted);
        let task = self.resolver.graph.tasks[number].id.clone();
        self.tell(Event::TaskInterrupted { task })
    }

    pub(super) fn fail(
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
}
