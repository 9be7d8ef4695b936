//! A run does what it is asked while it goes on: see `requests.rs`.

use crate::plan::error::EngineError;
use crate::run::events::Event;
use crate::run::requests::Asked;
use crate::run::scheduler::Scheduler;
use crate::run::state::{Phase, TaskState};

impl Scheduler<'_, '_> {
    /// Does what was asked since the last look. A run that stops has no ear for it.
    pub fn heed_requests(&mut self) -> Result<(), EngineError> {
        for asked in self.requests.new_ones()? {
            let (Asked::Cancel { task } | Asked::Retry { task }) = &asked;
            let number = self.resolver.graph.tasks.iter().position(|known| known.id == *task);
            let phase = number.and_then(|number| Some((number, self.states.get(number)?.phase())));
            let done = match (&asked, phase) {
                (_, None) => false,
                _ if self.interrupts > 0 => false,
                (Asked::Cancel { .. }, Some((number, phase))) => self.cancel_one(number, phase)?,
                (Asked::Retry { .. }, Some((number, phase))) => self.try_again(number, phase)?,
            };
            let text = match (&asked, done) {
                (Asked::Cancel { task }, true) => format!("{task}: cancelled on request"),
                (Asked::Retry { task }, true) => format!("{task}: tried again on request"),
                (Asked::Cancel { task }, false) => format!("{task}: there is nothing to cancel"),
                (Asked::Retry { task }, false) => format!("{task}: it cannot be tried again now"),
            };
            self.emit(Event::Note { text })?;
        }
        Ok(())
    }

    /// Stops a task, or leaves it out. False where it has ended.
    fn cancel_one(&mut self, number: usize, phase: Phase) -> Result<bool, EngineError> {
        match phase {
            Phase::Running => {
                if let Some(running) = self.running.get(&number) {
                    self.executor.stop(running.attempt);
                }
            }
            Phase::Retrying => {
                self.retrying.remove(number);
                self.interrupt(number, None)?;
            }
            // One that stands for others is not known by their names yet.
            Phase::Waiting | Phase::Ready | Phase::Elsewhere if self.task(number).open.is_none() => {
                self.decidable.retain(|decidable| *decidable != number);
                self.set(number, TaskState::NotRun)?;
                let task = self.task(number).id.clone();
                self.emit(Event::TaskNotRun { task, because: None })?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Begins a task again. False where it has a result, or has not been tried.
    fn try_again(&mut self, number: usize, phase: Phase) -> Result<bool, EngineError> {
        match phase {
            Phase::Running => {
                if let Some(running) = self.running.get_mut(&number) {
                    running.again = true;
                    let attempt = running.attempt;
                    self.executor.kill(attempt);
                }
            }
            Phase::Retrying => {
                if let Some(TaskState::Retrying { key }) = self.states.get(number) {
                    let key = *key;
                    self.retrying.forget(number);
                    self.set(number, TaskState::Ready { key })?;
                }
            }
            Phase::Failed | Phase::Interrupted => {
                self.retrying.forget(number);
                self.set(number, TaskState::Waiting { missing: 0 })?;
                self.decidable.push(number);
                self.failed = self.states.any(Phase::Failed);
                let task = self.task(number).id.clone();
                self.emit(Event::TaskAgain { task })?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}
