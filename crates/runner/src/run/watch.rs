//! Waits for files to change, by looking at their stat data: this works on network file systems, for files that editors replace by a
//! rename, and for paths that do not exist yet, where notifications of the kernel do not.

use crate::pipeline::graph::{Graph, Source};
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
    seen: BTreeMap<PathBuf, Option<Digest>>,
}

impl Watch {
    /// Takes these in as they are now, unless they are watched already.
    pub fn add(&mut self, paths: impl IntoIterator<Item = PathBuf>) {
        for path in paths {
            self.seen.entry(path).or_insert_with_key(|path| stat::signature(path).ok());
        }
    }

    /// Waits until some have changed and come to rest, and tells which; nothing after an interrupt.
    pub fn wait(&mut self, interrupts: &AtomicUsize) -> Option<Vec<PathBuf>> {
        let mut before = self.clone();
        while interrupts.load(Ordering::Relaxed) == 0 {
            let now = self.now();
            if now == before && now != *self {
                let changed = now.seen.iter().filter(|(path, seen)| self.seen.get(*path) != Some(seen));
                return Some(changed.map(|(path, _)| path.clone()).collect());
            }
            before = now;
            std::thread::sleep(PERIOD);
        }
        None
    }

    /// The same paths as they are now.
    fn now(&self) -> Watch {
        let now = self.seen.keys().map(|path| (path.clone(), stat::signature(path).ok()));
        Watch { seen: now.collect() }
    }
}

/// The files and folders that no task makes and some task reads.
pub fn external_inputs(graph: &Graph) -> impl Iterator<Item = PathBuf> {
    let sources = graph.tasks.iter().flat_map(|task| &task.inputs).flat_map(|(_, sources)| sources);
    sources.filter_map(|source| match source {
        Source::File { path, .. } => Some(path.clone()),
        Source::Artifact { .. } => None,
    })
}
