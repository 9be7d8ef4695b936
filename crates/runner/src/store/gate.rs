//! The gate between runs and the removal of objects.
//!
//! A run is inside while it decides what is cached and until that is in the view's index, and a worker while it moves outputs
//! into the store; both leave it whenever they wait. `store gc` removes objects only while nobody is inside. What runs rely
//! on then is all written down: see [`crate::store::gc`].
//!
//! Where locks are leases, nothing can be shared as quickly as that. There a run passes the gate once, when it has its lease, and counts
//! as inside until it has ended; whoever closes the gate looks at the leases of all runs while it is closed, and refuses beside them.

use crate::store::files::StoreError;
use crate::store::locking::{Locking, Way};
use crate::store::locks::Lock;
use crate::store::{Store, on_another_machine};
use std::fs::File;

/// The lock of the gate, where locks are leases.
const GATE: &str = "gate";

/// Being inside the gate, or having closed it; until it is dropped.
#[derive(Debug)]
pub struct Gate {
    _held: Held,
}

#[derive(Debug)]
enum Held {
    Kernel {
        _file: File,
    },
    /// Closed.
    Lease {
        _lock: Lock,
    },
    /// Inside, as long as its lease says so.
    Passed,
}

impl Store {
    /// Enters the gate, waiting while it is closed.
    pub fn enter_gate(&self) -> Result<Gate, StoreError> {
        match self.locks().way()? {
            Way::Kernel => self.gate(File::lock_shared),
            Way::Leases => Ok(Gate { _held: Held::Passed }),
        }
    }

    /// Waits until the gate is open, for a run that has its lease.
    pub(super) fn pass_gate(&self) -> Result<(), StoreError> {
        if self.locks().way()? == Way::Leases {
            drop(self.locks().take(GATE)?);
        }
        Ok(())
    }

    /// Closes the gate, waiting until nobody is inside. Where that cannot be known, it is an error while others may be.
    pub fn close_gate(&self) -> Result<Gate, StoreError> {
        match self.locks().way()? {
            Way::Kernel => {
                if !Locking::read(&self.root)?.checked {
                    let leases = self.locks().watcher().all()?;
                    if let Some(other) = leases.iter().find_map(|(_, standing)| on_another_machine(standing))
                    {
                        let (about, host) = (other.about.clone(), other.host.clone());
                        return Err(StoreError::LocksUnknown { about, host });
                    }
                }
                self.gate(File::lock)
            }
            Way::Leases => {
                let lock = self.locks().take(GATE)?;
                if let Some((_, holder)) = self.locks().other_runs()?.into_iter().next() {
                    let (about, host, seconds) = (holder.about, holder.host, holder.lasts);
                    return Err(StoreError::RunGoesOn { about, host, seconds });
                }
                Ok(Gate { _held: Held::Lease { _lock: lock } })
            }
        }
    }

    fn gate(&self, lock: impl Fn(&File) -> std::io::Result<()>) -> Result<Gate, StoreError> {
        // Never removed, unlike other locks: the next one inside would hold another file.
        let path = self.root.join("gate");
        let opened = File::options().create(true).append(true).open(&path);
        let file = opened.map_err(StoreError::io("lock", &path))?;
        lock(&file).map_err(StoreError::io("lock", &path))?;
        Ok(Gate { _held: Held::Kernel { _file: file } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::leases::{Holder, Lease};
    use std::fs;

    /// A run that goes on, on another machine, as far as can be known.
    fn elsewhere(store: &Store) {
        let lease = Lease::begin(&store.leases(), "mine", "a run").unwrap();
        let (own, _) = Lease::look(&store.leases().join("mine")).unwrap().unwrap();
        let other = Holder { host: "node2".into(), boot: "another".into(), ..own };
        fs::write(store.leases().join("other"), serde_json::to_vec(&other).unwrap()).unwrap();
        drop(lease);
    }

    fn locking(store: &Store, way: Way, checked: bool) {
        Locking { way, checked, told: false }.write(&store.root).unwrap();
    }

    #[test]
    fn nothing_is_collected_beside_a_run_that_the_locks_may_not_hold_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = || Store::open(folder.path()).unwrap();
        elsewhere(&store());
        assert!(
            matches!(store().close_gate(), Err(StoreError::LocksUnknown { host, .. }) if host == "node2")
        );
        locking(&store(), Way::Leases, true);
        assert!(matches!(store().close_gate(), Err(StoreError::RunGoesOn { host, .. }) if host == "node2"));
        locking(&store(), Way::Kernel, true);
        drop(store().close_gate().unwrap());
        fs::remove_file(store().leases().join("other")).unwrap();
        locking(&store(), Way::Leases, true);
        // While it is closed, a run waits with its lease.
        let gate = store().close_gate().unwrap();
        assert!(store().locks().try_take(GATE).unwrap().is_none());
        drop(gate);
        store().start_work("next").unwrap();
    }

    #[test]
    fn that_locks_may_not_hold_between_machines_is_told_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.sweep_work().unwrap();
        assert!(!Locking::read(&store.root).unwrap().told);
        elsewhere(&store);
        store.sweep_work().unwrap();
        assert!(Locking::read(&store.root).unwrap().told);
        assert!(store.is_going("other") && !store.is_going("mine"));
    }
}
