//! A pilot as its coordinator sees it.

use crate::store::files::StoreError;
use crate::worker::cluster::mailbox::{Inbox, Outbox};
use crate::worker::cluster::messages::{Attempt, ToPilot};
use crate::worker::cluster::orphans::OrphanPilot;
use crate::worker::cluster::place::{Group, PilotName};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A pilot that has begun.
pub struct Pilot {
    pub group: Group,
    pub name: PilotName,
    pub inbox: Inbox,
    pub outbox: Outbox,
    /// As its engine calls it; empty until its first message is there.
    pub job: String,
    pub node: String,
    /// When its job's time is over.
    pub end: Instant,
    /// It said its last word, or is lost.
    pub over: bool,
    /// Since when its process is seen to be gone.
    pub gone: Option<Instant>,
    /// What it has, with the threads of each and the number of the file that brought it.
    pub tasks: BTreeMap<Attempt, (usize, u64)>,
    /// How many tasks it was given in all.
    pub given: usize,
    /// What is to be sent.
    pub unsent: Vec<ToPilot>,
}

impl Pilot {
    pub fn new(group: &Group, name: PilotName) -> Result<Pilot, StoreError> {
        let folder = group.pilot(&name);
        Ok(Pilot {
            group: group.clone(),
            inbox: Inbox::open(&folder.join("from")),
            outbox: Outbox::open(&folder.join("to"))?,
            name,
            job: String::new(),
            node: String::new(),
            end: Instant::now(),
            over: false,
            gone: None,
            tasks: BTreeMap::new(),
            given: 0,
            unsent: Vec::new(),
        })
    }

    /// One that another coordinator began with.
    pub fn adopted(group: &Group, orphan: OrphanPilot) -> Result<Pilot, StoreError> {
        let mut pilot = Pilot::new(group, orphan.name)?;
        (pilot.inbox, pilot.job, pilot.node) = (orphan.inbox, orphan.job, orphan.node);
        (pilot.end, pilot.over) = (orphan.end, orphan.over);
        pilot.given = orphan.running.len() + orphan.done.len();
        // Which file a task came in is not told: as the first, it counts as read.
        let tasks = orphan.running.into_iter();
        pilot.tasks = tasks.map(|(attempt, in_hand)| (attempt, (in_hand.threads, 0))).collect();
        Ok(pilot)
    }

    /// Whether it has begun and goes on.
    pub fn is_at_work(&self) -> bool {
        !self.job.is_empty() && !self.over && self.gone.is_none()
    }

    /// Until its job's time is over.
    pub fn left(&self) -> Duration {
        self.end.saturating_duration_since(Instant::now())
    }

    /// How many threads its tasks take.
    pub fn load(&self) -> usize {
        self.tasks.values().map(|(threads, _)| threads).sum()
    }

    /// Sends what is unsent.
    pub fn send(&mut self) -> Result<(), StoreError> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        let file = self.outbox.send(&self.unsent)?;
        for message in self.unsent.drain(..) {
            if let ToPilot::Assign { run, assignment } = message
                && let Some(task) = self.tasks.get_mut(&Attempt { run, number: assignment.number })
            {
                task.1 = file;
            }
        }
        Ok(())
    }
}
