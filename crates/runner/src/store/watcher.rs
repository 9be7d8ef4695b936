//! Looks at leases, and tells whose holder is dead.
//!
//! A process of this system is looked up by its number and its start. Of any other holder only silence can tell: its counter was the
//! same for as long as its lease lasts, by the clock of this machine. What was seen is kept in a file of this system, so that many short
//! commands come to the same as a long one.

use crate::store::files::{self, StoreError};
use crate::store::leases::{self, Death, Holder, Lease};
use crate::store::system::{Process, System};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

/// How a lease's holder stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// There is no lease: it has ended, or there never was one.
    None,
    /// It goes on, or was not silent for long enough to tell.
    Alive(Holder),
    Dead(Death),
}

impl Standing {
    /// Whether it may be going on.
    pub fn is_alive(&self) -> bool {
        matches!(self, Standing::Alive(_))
    }
}

/// What was seen of a lease last: the digest of its bytes, and since when it has it, in seconds of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Seen {
    bytes: u64,
    since: f64,
}

/// Looks at the leases of a folder.
#[derive(Debug)]
pub struct Watcher {
    folder: PathBuf,
    /// Read when the first lease of another system is looked at.
    seen: Mutex<Option<BTreeMap<String, Seen>>>,
}

impl Watcher {
    pub fn new(folder: &Path) -> Watcher {
        Watcher { folder: folder.to_owned(), seen: Mutex::new(None) }
    }

    /// Every lease that was not taken away, in the order of the names, with how its holder stands.
    pub fn all(&self) -> Result<Vec<(String, Standing)>, StoreError> {
        let mut found = Vec::new();
        for path in files::list(&self.folder)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let taken = |death: Death| path.extension().is_some_and(|found| found == death.extension());
            if name.starts_with('.') || Death::ALL.into_iter().any(taken) {
                continue;
            }
            let standing = self.look(&name)?;
            if standing != Standing::None {
                found.push((name, standing));
            }
        }
        Ok(found)
    }

    /// How the holder of a lease stands.
    pub fn look(&self, name: &str) -> Result<Standing, StoreError> {
        let Some((holder, bytes)) = Lease::look(&self.folder.join(name))? else {
            let death = Death::ALL.into_iter().find(|death| death.path(&self.folder, name).exists());
            return Ok(death.map_or(Standing::None, Standing::Dead));
        };
        if holder.system().is_own() {
            let goes_on = Process::goes_on(holder.process, Some(holder.started));
            return Ok(if goes_on { Standing::Alive(holder) } else { Standing::Dead(Death::Gone) });
        }
        let silent = self.silent(name, &bytes);
        Ok(if silent >= holder.lasts { Standing::Dead(Death::Silent) } else { Standing::Alive(holder) })
    }

    /// Takes the lease of a dead holder away. False if another did, or it has ended.
    pub fn take_away(&self, name: &str, death: Death) -> Result<bool, StoreError> {
        leases::take_away(&self.folder, name, death)
    }

    /// For how many seconds a lease has had these bytes, as far as it was looked at.
    fn silent(&self, name: &str, bytes: &[u8]) -> f64 {
        let mut hash = DefaultHasher::new();
        bytes.hash(&mut hash);
        let (bytes, now) = (hash.finish(), now());
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = seen.get_or_insert_with(|| self.read());
        match seen.get(name) {
            // A machine whose clock went back was started again.
            Some(before) if before.bytes == bytes && before.since <= now => return now - before.since,
            _ => seen.insert(name.to_owned(), Seen { bytes, since: now }),
        };
        seen.retain(|name, _| self.folder.join(name).exists());
        // It only spares the next command the wait.
        if let Ok(text) = serde_json::to_vec(seen)
            && let Err(error) = files::write_soon(&self.notes(), &text)
        {
            tracing::debug!("what was seen of leases is not kept: {error}");
        }
        0.0
    }

    fn read(&self) -> BTreeMap<String, Seen> {
        let kept = fs::read(self.notes()).ok().filter(|_| uptime().is_some());
        kept.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    /// What this system has seen.
    fn notes(&self) -> PathBuf {
        self.folder.join(format!(".seen-{}", System::own().id()))
    }
}

/// Seconds by a clock of this machine that never stops and is never set.
fn now() -> f64 {
    static ORIGIN: OnceLock<Instant> = OnceLock::new();
    uptime().unwrap_or_else(|| ORIGIN.get_or_init(Instant::now).elapsed().as_secs_f64())
}

/// Seconds since the machine was started.
fn uptime() -> Option<f64> {
    fs::read_to_string("/proc/uptime").ok()?.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn write(folder: &Path, name: &str, change: impl FnOnce(&mut Holder)) {
        let lease = Lease::begin(folder, &format!("{name}-first"), "a test").unwrap();
        let mut holder = Lease::look(&folder.join(lease.name())).unwrap().unwrap().0;
        change(&mut holder);
        fs::write(folder.join(name), serde_json::to_vec(&holder).unwrap()).unwrap();
    }

    #[test]
    fn a_process_of_this_system_is_looked_up() {
        let folder = tempfile::tempdir().unwrap();
        let watcher = Watcher::new(folder.path());
        assert_eq!(watcher.look("own").unwrap(), Standing::None);
        write(folder.path(), "own", |_| {});
        assert!(watcher.look("own").unwrap().is_alive());
        write(folder.path(), "own", |holder| holder.started += 1);
        assert_eq!(watcher.look("own").unwrap(), Standing::Dead(Death::Gone));
        let all: Vec<String> = watcher.all().unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(all, ["own"]);
        assert!(watcher.take_away("own", Death::Gone).unwrap());
        assert_eq!(watcher.look("own").unwrap(), Standing::Dead(Death::Gone));
        assert!(watcher.all().unwrap().is_empty());
    }

    #[test]
    fn another_machine_is_dead_when_it_was_silent() {
        let folder = tempfile::tempdir().unwrap();
        let other = |beat: u64| {
            write(folder.path(), "other", |holder| {
                (holder.boot, holder.lasts, holder.beat) = ("another".into(), 0.05, beat);
            });
        };
        let watcher = Watcher::new(folder.path());
        other(1);
        assert!(watcher.look("other").unwrap().is_alive());
        other(2);
        assert!(watcher.look("other").unwrap().is_alive());
        let limit = Instant::now() + Duration::from_secs(60);
        // Another command goes on counting where the last one was.
        while Watcher::new(folder.path()).look("other").unwrap().is_alive() && Instant::now() < limit {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(watcher.look("other").unwrap(), Standing::Dead(Death::Silent));
        other(3);
        assert!(watcher.look("other").unwrap().is_alive());
    }
}
