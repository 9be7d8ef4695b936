//! Jobs whose coordinator is gone: what they finished, and what they have in hand. A coordinator may be killed at any time; the next
//! run goes on from here.

use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::files::StoreError;
use crate::store::locks::Lock;
use crate::store::objects::Held;
use crate::worker::cluster::mailbox::Inbox;
use crate::worker::cluster::messages::{Attempt, FromPilot, Orders, ToPilot};
use crate::worker::cluster::place::{Group, PilotName};
use crate::worker::protocol::{FromWorker, Outcome};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The jobs of a submission that nobody coordinates any more.
pub struct Orphan {
    pub group: Group,
    pub orders: Orders,
    /// The right to be their coordinator.
    pub lock: Lock,
    pub pilots: Vec<OrphanPilot>,
}

/// A pilot, as its mailbox shows it.
pub struct OrphanPilot {
    pub name: PilotName,
    pub job: String,
    pub node: String,
    /// When its job's time is over.
    pub end: Instant,
    /// It said its last word.
    pub over: bool,
    pub inbox: Inbox,
    pub running: BTreeMap<Attempt, InHand>,
    /// What it finished.
    pub done: Vec<(Digest, Outcome)>,
}

/// A task that a pilot has.
#[derive(Debug, Clone)]
pub struct InHand {
    pub key: Digest,
    pub task: String,
    pub threads: usize,
    pub begun: bool,
}

/// Takes over the groups without a coordinator that are `wanted`.
pub fn take(store: &Store, wanted: impl Fn(&Orders) -> bool) -> Result<Vec<Orphan>, StoreError> {
    let mut orphans = Vec::new();
    for group in store.groups()? {
        let Some(orders) = group.orders().filter(|orders| !orders.detached && wanted(orders)) else {
            continue;
        };
        let Some(lock) = store.try_coordinate(&group)? else { continue };
        let mut pilots = Vec::new();
        for name in group.pilots()? {
            let mut pilot = OrphanPilot::of(&group, name)?;
            pilot.hear()?;
            // What its coordinator has recorded is known, and what was collected since is of no use.
            let known = |key: &Digest| store.actions().get(key).is_ok_and(|action| action.is_some());
            pilot.done.retain(|(key, outcome)| !known(key) && is_kept(store, outcome));
            pilots.push(pilot);
        }
        orphans.push(Orphan { group, orders, lock, pilots });
    }
    Ok(orphans)
}

/// Whether the store has the outputs.
fn is_kept(store: &Store, outcome: &Outcome) -> bool {
    let Outcome::Done { outputs, .. } = outcome else { return false };
    outputs.iter().all(|(_, content)| store.objects().check(content).is_ok_and(|held| held == Held::Sound))
}

impl OrphanPilot {
    /// A pilot with what it was given.
    pub fn of(group: &Group, name: PilotName) -> Result<OrphanPilot, StoreError> {
        let folder = group.pilot(&name);
        let mut given = Inbox::open(&folder.join("to"));
        let mut running = BTreeMap::new();
        for message in given.receive::<ToPilot>()? {
            if let ToPilot::Assign { run, assignment } = message {
                let (key, task, threads) = (assignment.key, assignment.task, assignment.threads);
                let attempt = Attempt { run, number: assignment.number };
                running.insert(attempt, InHand { key, task, threads, begun: false });
            }
        }
        Ok(OrphanPilot {
            inbox: Inbox::open(&folder.join("from")),
            job: String::new(),
            node: String::new(),
            end: Instant::now(),
            over: false,
            name,
            running,
            done: Vec::new(),
        })
    }

    /// Its process is gone. Gives the keys of what it had begun, which may be running still, on a node that nobody hears of.
    pub fn abandon(&mut self) -> Vec<Digest> {
        let running = std::mem::take(&mut self.running).into_values();
        running.filter(|in_hand| in_hand.begun).map(|in_hand| in_hand.key).collect()
    }

    /// What it said since.
    pub fn hear(&mut self) -> Result<(), StoreError> {
        for message in self.inbox.receive::<FromPilot>()? {
            match message {
                FromPilot::Started { job, node, left } => {
                    (self.job, self.node) = (job, node);
                    // Its age is not known: the pilot itself refuses what its time does not suffice for.
                    self.end = Instant::now() + Duration::try_from_secs_f64(left).unwrap_or_default();
                }
                FromPilot::Began(attempt) => {
                    if let Some(in_hand) = self.running.get_mut(&attempt) {
                        in_hand.begun = true;
                    }
                }
                FromPilot::Said { attempt, message: FromWorker::Ended(outcome) } => {
                    if let Some(in_hand) = self.running.remove(&attempt)
                        && matches!(outcome, Outcome::Done { .. })
                    {
                        self.done.push((in_hand.key, outcome));
                    }
                }
                FromPilot::Returned(attempt) => _ = self.running.remove(&attempt),
                FromPilot::Ended { .. } => {
                    self.over = true;
                    self.running.clear();
                }
                FromPilot::Said { .. } | FromPilot::Unfit { .. } => {}
            }
        }
        Ok(())
    }
}
