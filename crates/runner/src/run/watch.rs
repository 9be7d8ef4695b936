//! Waits for files to change, by looking at their stat data: this works on network file systems, for files that editors replace by a
//! rename, and for paths that do not exist yet, where notifications of the kernel do not.

use crate::pipeline::graph::{Graph, Task};
use crate::store::chosen::Chosen;
use crate::store::digest::Digest;
use crate::store::stat;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How often it looks. A change counts once two looks in a row see the same.
const PERIOD: Duration = Duration::from_millis(250);

/// Files and folders, and what was last seen of them; nothing for one that is not there.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Watch {
    seen: BTreeMap<Chosen, Option<Digest>>,
}

impl Watch {
    /// Takes these in as they are now, unless they are watched already.
    pub fn add(&mut self, all: impl IntoIterator<Item = Chosen>) {
        for chosen in all {
            self.seen.entry(chosen).or_insert_with_key(|chosen| stat::signature_of(chosen).ok());
        }
    }

    /// Waits until some have changed and come to rest, and tells which; nothing after an interrupt.
    pub fn wait(&mut self, interrupts: &AtomicUsize) -> Option<Vec<PathBuf>> {
        let mut before = self.clone();
        while interrupts.load(Ordering::Relaxed) == 0 {
            let now = self.now();
            if now == before && now != *self {
                let changed = now.seen.iter().filter(|(chosen, seen)| self.seen.get(*chosen) != Some(seen));
                return Some(changed.map(|(chosen, _)| chosen.path.clone()).collect());
            }
            before = now;
            std::thread::sleep(PERIOD);
        }
        None
    }

    /// The same paths as they are now.
    fn now(&self) -> Watch {
        let now = self.seen.keys().map(|chosen| (chosen.clone(), stat::signature_of(chosen).ok()));
        Watch { seen: now.collect() }
    }
}

/// The files and folders that no task makes and some task reads.
pub fn external_inputs(graph: &Graph) -> impl Iterator<Item = Chosen> {
    graph.tasks.iter().flat_map(Task::external).cloned()
}
