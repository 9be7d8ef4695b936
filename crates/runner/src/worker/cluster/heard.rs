//! What pilots say, and what it means for the tasks that they have.

use crate::store::files::StoreError;
use crate::worker::cluster::engine::JobState;
use crate::worker::cluster::error::LostTask;
use crate::worker::cluster::executor::{ClusterExecutor, PATIENCE};
use crate::worker::cluster::messages::{Attempt, FromPilot};
use crate::worker::cluster::place::PilotName;
use crate::worker::error::WorkerDeath;
use crate::worker::protocol::{FromWorker, Outcome};
use std::time::{Duration, Instant};

/// How long the last words of a pilot may take to arrive after its process is gone.
const LAST_WORDS: Duration = Duration::from_secs(2);

impl ClusterExecutor {
    /// Hears what a pilot says.
    pub(super) fn hear(&mut self, name: &PilotName) -> Result<(), StoreError> {
        let Some(pilot) = self.pilots.get_mut(name) else { return Ok(()) };
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

    pub(super) fn said(&mut self, name: &PilotName, message: FromPilot) {
        let Some(pilot) = self.pilots.get_mut(name) else { return };
        if let FromPilot::Began(attempt) | FromPilot::Said { attempt, .. } | FromPilot::Returned(attempt) =
            &message
            && !pilot.tasks.contains_key(attempt)
        {
            // Another pilot has it by now.
            return;
        }
        match message {
            FromPilot::Started { job, node, left } => {
                (pilot.job, pilot.node) = (job, node);
                pilot.end = Instant::now() + Duration::try_from_secs_f64(left).unwrap_or_default();
                self.stillborn = 0;
            }
            FromPilot::Unfit { job, node, message } => {
                let text = format!("job {job} on node `{node}` cannot work: {message}");
                self.stillborn += PATIENCE;
                match self.stillborn < PATIENCE * PATIENCE {
                    true => self.note(text),
                    false => self.give_up(&format!(
                        "{text}; set `kernel` in the profile to a level that every node has"
                    )),
                }
            }
            FromPilot::Began(attempt) => {
                if let Some((_, _, begun)) = self.running.values_mut().find(|(at, ..)| *at == attempt) {
                    *begun = true;
                }
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
                if let Some(number) = self.taken_back(&attempt) {
                    self.stopped(number);
                }
            }
            FromPilot::Ended { seen } => {
                pilot.over = true;
                let tasks = std::mem::take(&mut pilot.tasks);
                for (attempt, (_, file)) in tasks {
                    let Some(number) = self.taken_back(&attempt) else { continue };
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
    pub(super) fn passed_on(&mut self, attempt: Attempt, message: FromWorker) {
        let Some(number) = self.attempts.get(&attempt).copied() else {
            // Of a task that this run has not asked for yet.
            if let FromWorker::Ended(outcome) = message
                && let Some(key) =
                    self.running.iter().find(|(_, (at, ..))| *at == attempt).map(|(key, _)| *key)
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

    /// No pilot has the attempt any more. Gives the task, if this run has asked for it.
    fn taken_back(&mut self, attempt: &Attempt) -> Option<usize> {
        self.running.retain(|_, (running, ..)| running != attempt);
        self.attempts.remove(attempt)
    }

    /// A task was stopped since its job ends, or was not begun: it goes on in another job.
    pub(super) fn stopped(&mut self, number: usize) {
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
    pub(super) fn lost(&mut self, name: &PilotName) {
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
        let any = !tasks.is_empty();
        let mut go_on = false;
        for attempt in tasks.into_keys() {
            let begun = self.running.iter().find(|(_, (at, _, begun))| *begun && *at == attempt);
            let begun = begun.map(|(key, _)| *key);
            let Some(number) = self.taken_back(&attempt) else {
                // This run has not asked for it yet.
                self.abandoned.extend(begun);
                go_on = true;
                continue;
            };
            let Some(mut task) = self.tasks.remove(&number) else { continue };
            if task.begun {
                self.set_apart(&mut task.assignment);
            }
            let task = self.tasks.entry(number).or_insert(task);
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
            go_on |= self.tasks.contains_key(&number);
        }
        if any {
            let then = if go_on { "; its tasks start again elsewhere" } else { "" };
            self.note(format!("job {job} on node `{node}` is lost ({how}){then}"));
        }
        self.over(name);
    }

    /// A pilot is gone. What becomes of its job is for its engine to say.
    pub(super) fn over(&mut self, name: &PilotName) {
        let Some(pilot) = self.pilots.get(name) else { return };
        let group = pilot.group.name.clone();
        self.tell_jobs(&group);
    }

    /// Puts a task before all that wait.
    pub(super) fn requeue(&mut self, number: usize) {
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
}
