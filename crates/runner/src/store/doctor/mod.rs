//! `store doctor`: what a store's file system keeps of what the store needs, tried out on it.
//!
//! [`alone`] tries what one process can, [`pair`] what needs two: processes of this machine, or of two machines. What follows for the
//! locks of the store is said by [`examine`].

pub mod alone;
pub mod finding;
pub mod mount;
pub mod pair;

use crate::store::Store;
use crate::store::files::StoreError;
use crate::store::locking::{Locking, Way};
use crate::store::watcher::Standing;
use finding::{Finding, Verdict};
use mount::Mount;
use pair::DoctorSide;
use schemars::JsonSchema;
use serde::Serialize;
use std::path::Path;

/// Somebody else who uses the store.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Other {
    pub lease: String,
    pub about: String,
    pub host: String,
    /// Whether it is on this machine.
    pub here: bool,
}

/// What the doctor found.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Report {
    pub store: String,
    /// Null where the system does not tell.
    pub mount: Option<Mount>,
    pub findings: Vec<Finding>,
    pub others: Vec<Other>,
    /// What locks are from now on.
    pub locking: Way,
    /// Whether somebody saw to it that they hold between machines.
    pub checked: bool,
    /// What to do.
    pub advice: Vec<String>,
}

impl Report {
    /// Whether results may be lost or wrong on this file system.
    pub fn is_bad(&self) -> bool {
        self.findings.iter().any(|finding| finding.verdict == Verdict::Bad)
    }
}

/// Tries everything, in a folder of the store. `meet` gives the first side of a pair, and what is to be kept until that has been played.
/// Notes how locks hold from now on.
pub fn examine<S>(
    store: &Store,
    folder: &Path,
    meet: impl FnOnce(&Path) -> Result<(DoctorSide, S), StoreError>,
) -> Result<Report, StoreError> {
    let before = Locking::read(&store.root)?;
    let (mut findings, alone) = alone::try_out(folder)?;
    let (first, other) = meet(folder)?;
    let paired = first.play()?;
    drop(other);
    findings.extend(paired.findings);
    let excluded = alone && paired.excludes;
    let known = settle(store, &before, excluded, paired.machines > 1)?;
    let others = others(store)?;
    let advice = advice(&before, &known, &others, excluded);
    Ok(Report {
        store: store.root.display().to_string(),
        mount: mount::of(&store.root),
        findings,
        others,
        locking: known.way,
        checked: known.checked,
        advice,
    })
}

/// Notes what follows from a trial. A store that locks by leases goes on so, unless two machines were found to exclude each other:
/// leases are good everywhere.
pub fn settle(
    store: &Store,
    before: &Locking,
    excluded: bool,
    two_machines: bool,
) -> Result<Locking, StoreError> {
    let after = match (excluded, two_machines) {
        (false, _) => Locking { way: Way::Leases, checked: true, ..*before },
        (true, true) => Locking { checked: true, ..*before },
        (true, false) => before.clone(),
    };
    choose(store, before, after)
}

/// Changes what locks are, at the user's word.
pub fn set(store: &Store, way: Way) -> Result<Locking, StoreError> {
    let before = Locking::read(&store.root)?;
    choose(store, &before, Locking { way, checked: true, ..before })
}

fn choose(store: &Store, before: &Locking, after: Locking) -> Result<Locking, StoreError> {
    if after.way != before.way
        && let Some((_, holder)) = store.locks().other_runs()?.into_iter().next()
    {
        return Err(StoreError::LocksInUse { about: holder.about, host: holder.host });
    }
    if after != *before {
        after.write(&store.root)?;
    }
    Ok(after)
}

/// Everybody else who uses the store just now, as far as can be known.
pub fn others(store: &Store) -> Result<Vec<Other>, StoreError> {
    let own = std::process::id();
    let mut others = Vec::new();
    for (lease, standing) in store.locks().watcher().all()? {
        let Standing::Alive(holder) = standing else { continue };
        let system = holder.system();
        if !(system.is_own() && holder.process == own) {
            let here = system.is_this_machine();
            others.push(Other { lease, about: holder.about, host: holder.host, here });
        }
    }
    Ok(others)
}

fn advice(before: &Locking, known: &Locking, others: &[Other], excluded: bool) -> Vec<String> {
    let mut advice = Vec::new();
    match (known.way, excluded) {
        (Way::Leases, false) => advice.push(
            "`flock` excludes nobody here, so locks are leases: a little slower, and `store gc` refuses while a run goes on; nothing else \
             changes"
                .to_owned(),
        ),
        (Way::Leases, true) => advice.push(
            "locks are leases although `flock` excludes on this machine; where it also does between all machines that use the store, \
             `onsager store doctor --locking kernel` goes back to it"
                .to_owned(),
        ),
        (Way::Kernel, _) if !known.checked => advice.push(
            "one machine needs nothing else; before two use this store at once, give `onsager store doctor --pair` on both at the \
             same time, or `onsager store doctor --locking leases`, which is good everywhere"
                .to_owned(),
        ),
        (Way::Kernel, _) => {}
    }
    if let Some(other) = others.iter().find(|other| !other.here && !known.checked) {
        advice.push(format!(
            "{} on `{}` uses this store just now: do that as soon as it has ended",
            other.about, other.host
        ));
    }
    if before.way != known.way {
        advice.push(format!("the locks of this store are {} from now on", known.way));
    }
    advice
}
