//! Leases: who is alive. Every run, and whoever else holds something of a store, has a small file `leases/<name>` with a counter in it
//! that changes every few seconds.
//!
//! No clocks of two machines are compared. Whoever looks at a lease counts by its own clock for how long the counter stays the same
//! (see [`crate::store::watcher`]); of a process of its own system it knows at once whether it is there.
//!
//! Names are never used twice. Whoever takes a holder for dead first takes its lease away, by a rename that only one can do, and only
//! then what it held. So a holder that goes on after all, which was stopped or cut off, finds its lease gone and must not publish
//! anything any more ([`Lease::check`]).

use crate::store::files::{self, StoreError};
use crate::store::names;
use crate::store::system::{Process, System};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How long a holder may be silent before it counts as dead, unless `ONSAGER_LEASE` says otherwise.
const LASTS: f64 = 60.0;
/// How many beats there are in that time.
const BEATS: f64 = 12.0;
/// Every lease has this size at least, so that a counter that grows leaves no half-written rest.
const SIZE: usize = 512;

/// What a lease says of its holder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Holder {
    /// For people: `run of pipeline.yaml`.
    pub about: String,
    pub host: String,
    pub boot: String,
    pub namespace: String,
    pub process: u32,
    /// When the process started, in its machine's ticks.
    pub started: u64,
    /// After how many seconds of silence it counts as dead.
    pub lasts: f64,
    pub beat: u64,
}

impl Default for Holder {
    /// One whose lease cannot be read: it was made just now, or is being written.
    fn default() -> Holder {
        let (about, host, boot, namespace) = Default::default();
        Holder { about, host, boot, namespace, process: 0, started: 0, lasts: LASTS, beat: 0 }
    }
}

impl Holder {
    /// The system that it is part of.
    pub fn system(&self) -> System {
        System { host: self.host.clone(), boot: self.boot.clone(), namespace: self.namespace.clone() }
    }

    fn own(about: &str) -> Holder {
        let (system, process) = (System::own(), Process::own());
        Holder {
            about: about.to_owned(),
            host: system.host.clone(),
            boot: system.boot.clone(),
            namespace: system.namespace.clone(),
            process: process.id,
            started: process.started,
            lasts: lasts(),
            beat: 0,
        }
    }
}

/// How long a holder may be silent.
fn lasts() -> f64 {
    let given = std::env::var("ONSAGER_LEASE").ok().and_then(|text| text.trim().parse::<f64>().ok());
    given.filter(|seconds| seconds.is_finite() && *seconds >= 1.0).unwrap_or(LASTS)
}

/// A lease that this process holds, and keeps alive from a thread of its own, until it is dropped.
#[derive(Debug)]
pub struct Lease {
    name: String,
    path: PathBuf,
    /// The file, which nobody else can make again.
    file: (u64, u64),
    lasts: f64,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    ended: Mutex<bool>,
    end: Condvar,
    /// It was taken away.
    lost: AtomicBool,
}

impl Lease {
    /// Begins a lease in the folder of a store's leases, under a name that nobody has used before.
    pub fn begin(folder: &Path, name: &str, about: &str) -> Result<Lease, StoreError> {
        let taken = || StoreError::NameTaken { run: name.to_owned() };
        if !names::is_plain(name) || has_been(folder, name) {
            return Err(taken());
        }
        let path = folder.join(name);
        let mut holder = Holder::own(about);
        let made = (|| {
            let mut file = match File::create_new(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    fs::create_dir_all(folder)?;
                    File::create_new(&path)?
                }
                file => file?,
            };
            file.write_all(&encode(&holder)?)?;
            // Closing it hands it to a server, where there is one; a lease that a loss of power takes is that of a dead process.
            identity(&file)
        })();
        let file = match made {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(taken()),
            made => made.map_err(StoreError::io("write", &path))?,
        };
        let shared = Arc::new(Shared::default());
        let (beating, path_to_beat) = (shared.clone(), path.clone());
        let period = Duration::from_secs_f64(holder.lasts / BEATS);
        let lasts = holder.lasts;
        std::thread::spawn(move || {
            while !beating.wait(period) {
                holder.beat += 1;
                match beat(&path_to_beat, file, &holder) {
                    Ok(true) => {}
                    Ok(false) => {
                        beating.lost.store(true, Ordering::Relaxed);
                        return;
                    }
                    // A full disk or a server that is away: the next beat may come through.
                    Err(error) => tracing::debug!("the lease could not be kept: {error}"),
                }
            }
        });
        Ok(Lease { name: name.to_owned(), path, file, lasts, shared })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Fails if the lease was found to be taken away. Costs nothing.
    pub fn heard(&self) -> Result<(), StoreError> {
        if self.shared.lost.load(Ordering::Relaxed) { Err(self.lost()) } else { Ok(()) }
    }

    /// Fails if the lease was taken away: what this process is about to publish is no longer its own. To be asked just before.
    pub fn check(&self) -> Result<(), StoreError> {
        self.heard()?;
        // Opened, since a network file system may answer anything else from what it remembers.
        match File::open(&self.path).and_then(|file| identity(&file)) {
            Ok(found) if found == self.file => Ok(()),
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(StoreError::io("read", &self.path)(error))
            }
            _ => {
                self.shared.lost.store(true, Ordering::Relaxed);
                Err(self.lost())
            }
        }
    }

    fn lost(&self) -> StoreError {
        StoreError::LeaseLost { name: self.name.clone(), seconds: self.lasts }
    }

    /// What a lease says, and its bytes; none where there is none.
    pub fn look(path: &Path) -> Result<Option<(Holder, Vec<u8>)>, StoreError> {
        match fs::read(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            bytes => {
                let bytes = bytes.map_err(StoreError::io("read", path))?;
                Ok(Some((serde_json::from_slice(&bytes).unwrap_or_default(), bytes)))
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        *self.shared.ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.end.notify_all();
        // One that stays is taken away when its process is found to be gone.
        let _ = fs::remove_file(&self.path);
    }
}

impl Shared {
    /// Waits for the next beat. True when there is to be none.
    fn wait(&self, period: Duration) -> bool {
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.end.wait_timeout_while(ended, period, |ended| !*ended);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Changes the counter. False if the lease was taken away.
fn beat(path: &Path, own: (u64, u64), holder: &Holder) -> io::Result<bool> {
    let file = match File::options().write(true).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        file => file?,
    };
    if identity(&file)? != own {
        return Ok(false);
    }
    file.write_all_at(&encode(holder)?, 0)?;
    file.sync_data()?;
    Ok(true)
}

fn identity(file: &File) -> io::Result<(u64, u64)> {
    let data = file.metadata()?;
    Ok((data.dev(), data.ino()))
}

fn encode(holder: &Holder) -> io::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(holder)?;
    bytes.resize(bytes.len().max(SIZE - 1), b' ');
    bytes.push(b'\n');
    Ok(bytes)
}

/// How a holder was found dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// Its process does not exist any more.
    Gone,
    /// It was not heard of for as long as its lease lasts: it may go on one day.
    Silent,
}

impl Death {
    /// Every one.
    pub const ALL: [Death; 2] = [Death::Gone, Death::Silent];

    /// Where the lease of a holder lies that was found dead.
    pub fn path(self, folder: &Path, name: &str) -> PathBuf {
        folder.join(format!("{name}.{}", self.extension()))
    }

    /// The end of that name.
    pub fn extension(self) -> &'static str {
        match self {
            Death::Gone => "gone",
            Death::Silent => "silent",
        }
    }
}

/// Whether the name is that of a holder that was found dead.
fn has_been(folder: &Path, name: &str) -> bool {
    Death::ALL.iter().any(|death| death.path(folder, name).exists())
}

/// Takes a lease away from a holder that was found dead. False if another has done that before, or it has ended.
pub fn take_away(folder: &Path, name: &str, death: Death) -> Result<bool, StoreError> {
    let path = folder.join(name);
    match fs::rename(&path, death.path(folder, name)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        renamed => renamed.map(|()| true).map_err(StoreError::io("take away", &path)),
    }
}

/// Removes what is left of a dead holder's lease: nothing names it any more.
pub fn forget(folder: &Path, name: &str) -> Result<(), StoreError> {
    Death::ALL.iter().try_for_each(|death| files::remove(&death.path(folder, name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_that_was_taken_away_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let lease = Lease::begin(folder.path(), "run", "a run").unwrap();
        assert!(matches!(Lease::begin(folder.path(), "run", "another"), Err(StoreError::NameTaken { .. })));
        lease.check().unwrap();
        let (holder, bytes) = Lease::look(&folder.path().join("run")).unwrap().unwrap();
        assert_eq!(holder, Holder::own("a run"));
        assert_eq!(bytes.len(), SIZE.max(bytes.len()));
        assert!(take_away(folder.path(), "run", Death::Silent).unwrap());
        assert!(!take_away(folder.path(), "run", Death::Silent).unwrap());
        assert!(matches!(lease.check(), Err(StoreError::LeaseLost { .. })));
        assert!(lease.heard().is_err());
        drop(lease);
        // The name stays taken for as long as something may name it.
        assert!(Lease::begin(folder.path(), "run", "another").is_err());
        forget(folder.path(), "run").unwrap();
        Lease::begin(folder.path(), "run", "another").unwrap();
    }

    #[test]
    fn a_beat_keeps_what_the_lease_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        let mut holder = Holder::own("a run");
        fs::write(&path, encode(&holder).unwrap()).unwrap();
        let own = identity(&File::open(&path).unwrap()).unwrap();
        for counter in [9, 10, 11] {
            holder.beat = counter;
            assert!(beat(&path, own, &holder).unwrap());
            assert_eq!(Lease::look(&path).unwrap().unwrap().0, holder);
        }
        assert!(!beat(&path, (own.0, own.1 + 1), &holder).unwrap());
        fs::remove_file(&path).unwrap();
        assert!(!beat(&path, own, &holder).unwrap());
    }
}
