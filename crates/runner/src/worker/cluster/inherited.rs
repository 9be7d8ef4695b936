//! What jobs of an earlier run have finished or have in hand counts for a run that does not use their profile, too.

use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
use crate::worker::checkpoints;
use crate::worker::cluster::orphans::{self, Orphan, OrphanPilot};
use crate::worker::error::WorkerDeath;
use crate::worker::executor::Executor;
use crate::worker::protocol::{Assignment, FromWorker, Outcome, Report};
use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::time::{Duration, Instant};

/// How often their mailboxes are looked into.
const LOOK: Duration = Duration::from_millis(500);

/// An executor that does not begin what a job still has.
pub struct Inherited {
    inner: Box<dyn Executor>,
    store: Store,
    orphans: Vec<Orphan>,
    finished: HashMap<Digest, Outcome>,
    /// What lost pilots had begun.
    abandoned: HashSet<Digest>,
    /// Tasks that wait for a job.
    held: Vec<Assignment>,
    reports: VecDeque<Report>,
    notes: VecDeque<String>,
    told: HashSet<String>,
    looked: Instant,
}

impl Inherited {
    /// Lays what the jobs of other profiles left over an executor, if there is anything.
    pub fn over(
        inner: Box<dyn Executor>,
        store: &Store,
        own: &[String],
    ) -> Result<Box<dyn Executor>, StoreError> {
        if !store.pilots().exists() {
            return Ok(inner);
        }
        let orphans = orphans::take(store, |orders| !own.contains(&orders.profile))?;
        if orphans.is_empty() {
            return Ok(inner);
        }
        let mut inherited = Inherited {
            inner,
            store: store.clone(),
            orphans,
            finished: HashMap::new(),
            abandoned: HashSet::new(),
            held: Vec::new(),
            reports: VecDeque::new(),
            notes: VecDeque::new(),
            told: HashSet::new(),
            looked: Instant::now(),
        };
        inherited.look()?;
        Ok(Box::new(inherited))
    }

    /// Hears what the pilots said since. A dead one has nothing in hand.
    fn look(&mut self) -> Result<(), StoreError> {
        for orphan in &mut self.orphans {
            for pilot in &mut orphan.pilots {
                // Before its last words are read.
                let going = self.store.has_pilot(&orphan.group, &pilot.name);
                pilot.hear()?;
                if !going {
                    self.abandoned.extend(pilot.abandon());
                }
                self.finished.extend(pilot.done.drain(..));
            }
        }
        for assignment in std::mem::take(&mut self.held) {
            if let Err(error) = self.start(assignment) {
                self.notes.push_back(error.to_string());
            }
        }
        Ok(())
    }

    /// Waits for a job no longer. False for a task that does not wait for any.
    fn give_up(&mut self, number: usize, outcome: Outcome) -> bool {
        let before = self.held.len();
        self.held.retain(|assignment| assignment.number != number);
        if self.held.len() == before {
            return false;
        }
        self.reports.push_back(Report { number, message: FromWorker::Ended(outcome) });
        true
    }

    /// The pilot that has the task with this key.
    fn has(&self, key: &Digest) -> Option<&OrphanPilot> {
        let mut pilots = self.orphans.iter().flat_map(|orphan| &orphan.pilots);
        pilots.find(|pilot| pilot.running.values().any(|in_hand| in_hand.key == *key))
    }
}

impl Executor for Inherited {
    fn start(&mut self, mut assignment: Assignment) -> io::Result<Option<u32>> {
        if let Some(outcome) = self.finished.remove(&assignment.key) {
            let number = assignment.number;
            self.reports.push_back(Report { number, message: FromWorker::Ended(outcome) });
            return Ok(None);
        }
        match self.has(&assignment.key) {
            None => {
                if self.abandoned.remove(&assignment.key) {
                    checkpoints::set_apart(&self.store, &mut assignment, &files::random());
                }
                self.inner.start(assignment)
            }
            Some(pilot) => {
                let text =
                    format!("`{}` is computed by job {} of an earlier run", assignment.task, pilot.job);
                if self.told.insert(text.clone()) {
                    self.notes.push_back(text);
                }
                self.held.push(assignment);
                Ok(None)
            }
        }
    }

    fn next(&mut self, wait: Duration) -> Option<Report> {
        if !self.held.is_empty() && self.looked.elapsed() >= LOOK {
            self.looked = Instant::now();
            if let Err(error) = self.look() {
                self.notes.push_back(error.to_string());
            }
        }
        self.reports.pop_front().or_else(|| self.inner.next(wait))
    }

    fn cancel(&mut self) {
        for assignment in self.held.drain(..) {
            let message = FromWorker::Ended(Outcome::Interrupted);
            self.reports.push_back(Report { number: assignment.number, message });
        }
        self.inner.cancel();
    }

    fn stop(&mut self, number: usize) {
        if !self.give_up(number, Outcome::Interrupted) {
            self.inner.stop(number);
        }
    }

    fn kill(&mut self, number: usize) {
        if !self.give_up(number, WorkerDeath::Killed.outcome()) {
            self.inner.kill(number);
        }
    }

    fn leave(&mut self) -> bool {
        self.inner.leave()
    }

    fn fault(&mut self) -> Option<String> {
        self.inner.fault()
    }

    fn note(&mut self) -> Option<String> {
        self.notes.pop_front().or_else(|| self.inner.note())
    }
}

impl Drop for Inherited {
    fn drop(&mut self) {
        for orphan in &self.orphans {
            let over = orphan.pilots.iter().all(|pilot| pilot.running.is_empty());
            // Where it stays, the next run looks again.
            if over && self.finished.is_empty() && !orphan.pilots.is_empty() {
                let _ = files::remove(&orphan.group.folder);
            }
        }
    }
}
