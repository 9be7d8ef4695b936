//! The records of runs, each folded once: what was read of one is kept, and whoever looks again reads only what has come since.

use crate::run::watched::Watched;
use crate::store::Store;
use crate::store::files::StoreError;
use std::collections::VecDeque;
use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many runs are kept: those that were looked at last.
const KEPT: usize = 16;

/// A run, once somebody has looked at it.
type Slot = Arc<Mutex<Option<Watched>>>;

/// The runs that were looked at, the latest first.
#[derive(Debug, Default)]
pub struct Folds(Mutex<VecDeque<(String, Slot)>>);

impl Folds {
    /// Shows a run as far as its record goes now. Others may look at other runs meanwhile.
    pub fn look<T, E: From<StoreError>>(
        &self,
        store: &Store,
        run: &str,
        show: impl FnOnce(&Watched) -> Result<T, E>,
    ) -> Result<T, E> {
        let slot = self.slot(run);
        let mut kept = locked(&slot);
        // A record that became shorter is another one.
        let end = fs::metadata(store.record(run)).map_or(0, |record| record.len());
        // Taken out, so that one that cannot be read to its end is read again from its start.
        let watched = match kept.take().filter(|watched| watched.place() <= end) {
            Some(mut watched) => {
                watched.poll()?;
                watched
            }
            None => Watched::open(store, run)?,
        };
        show(kept.insert(watched))
    }

    fn slot(&self, run: &str) -> Slot {
        let mut all = locked(&self.0);
        let at = all.iter().position(|(name, _)| name == run);
        let found = at.and_then(|at| all.remove(at)).unwrap_or_else(|| (run.to_owned(), Slot::default()));
        let slot = found.1.clone();
        all.push_front(found);
        all.truncate(KEPT);
        slot
    }
}

/// Whoever panicked left nothing half done: see [`Folds::look`].
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn only_what_is_new_is_read() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let store = Store::open(folder.path()).expect("a store");
        let record = store.record("r");
        let line = |task: &str| {
            format!(r#"{{"at":"2026-11-29T10:00:00Z","event":"task-skipped","task":"{task}","because":""}}"#)
                + "\n"
        };
        let folds = Folds::default();
        let tasks = || {
            let names = |watched: &Watched| {
                Ok::<_, StoreError>(watched.account.tasks.keys().cloned().collect::<Vec<_>>())
            };
            folds.look(&store, "r", names).expect("a run")
        };
        fs::write(&record, line("a")).expect("a record");
        assert_eq!(tasks(), ["a"]);
        // What was read is not read again: nobody sees that it says something else now.
        fs::write(&record, line("x")).expect("a record");
        let mut file = fs::File::options().append(true).open(&record).expect("the record");
        file.write_all(line("b").as_bytes()).expect("a line");
        assert_eq!(tasks(), ["a", "b"]);
        fs::write(&record, line("c")).expect("a record");
        assert_eq!(tasks(), ["c"]);
        // Of many runs the latest are kept.
        for run in 0..KEPT {
            folds.look(&store, &run.to_string(), |_| Ok::<_, StoreError>(())).expect("an empty run");
        }
        fs::write(&record, line("d")).expect("a record");
        assert_eq!(tasks(), ["d"]);
    }
}
