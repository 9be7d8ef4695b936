//! The store: content-addressed objects, action records, checkpoints, run records, locks, and the view of the latest outputs.
//!
//! ```text
//! artifacts/
//!   .onsager/
//!     objects/ab/cdef…      content, read-only, named by its SHA-256; a folder is an object that lists its files
//!     actions/ab/cdef….json key → outputs, with everything that entered the key
//!     checkpoints/<key>/    of unfinished tasks
//!     metrics/<key>.jsonl  the curves of finished tasks: see [`curves`]
//!     runs/<id>.jsonl       one event log per run, and runs/<id>/ with a log per task
//!     manifests/ab/cdef…    the tasks of finished runs with their keys, named by its SHA-256
//!     graphs/               pipelines as they were expanded: a cache
//!     views/<pipeline>.journal what was put into the view last, per task: an index, appended to
//!     leases/               who is alive: see [`leases`]
//!     locks/  work/         of running tasks
//!     pilots/  bin/         of the jobs of clusters: see [`crate::worker::cluster::place`]
//!     collected.jsonl       objects that `gc` dropped although action records name them
//!     damaged/              objects that `verify` found damaged
//!     gate                  the lock between runs and `gc`
//!     locking               what locks are here: see [`locking`]
//!     remotes/  incoming/   what is known to be in remote stores; objects that are arriving
//!     stat.journal          digests of external files by their stat data: an index, appended to
//!   <pipeline>/<stage>/…    the view
//! ```
//!
//! Everything is written to a temporary name, synced and renamed, or appended as one line, so a kill at any instruction
//! leaves either the old state or the new.

pub mod actions;
pub mod archive;
pub mod attempts;
pub mod beneath;
pub mod chosen;
pub mod copy;
pub mod curves;
pub mod destination;
pub mod digest;
pub mod doctor;
pub mod export;
pub mod files;
pub mod gate;
pub mod gc;
pub mod host;
pub mod import;
pub mod inventory;
pub mod journal;
pub mod key;
pub mod leases;
pub mod listing;
pub mod lists;
pub mod locking;
pub mod locks;
pub mod log;
pub mod manifests;
pub mod material;
pub mod members;
pub mod names;
pub mod objects;
pub mod owner;
pub mod place;
pub mod proof;
pub mod redact;
pub mod remote;
pub mod runs;
pub mod short;
pub mod stat;
pub mod supplies;
pub mod system;
pub mod tail;
pub mod text;
pub mod turn;
pub mod unpack;
pub mod untar;
pub mod unzip;
pub mod usage;
pub mod verify;
pub mod view;
pub mod walk;
pub mod watcher;
pub mod written;
pub mod zip;

use digest::Digest;
use files::StoreError;
use locking::{Locking, Way};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use watcher::Standing;

/// The places of a store; cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    artifacts: PathBuf,
    root: PathBuf,
    locks: locks::Locks,
    written: written::Written,
}

/// The working folder of a run or of a tool, which is its own until this is dropped.
#[derive(Debug)]
pub struct Work {
    /// None where locks are leases.
    _lock: Option<locks::Lock>,
    _lease: Arc<leases::Lease>,
}

impl Store {
    /// Opens the store under this `artifacts` folder, making what is missing.
    pub fn open(artifacts: &Path) -> Result<Store, StoreError> {
        let store = Store::at(artifacts)?;
        for folder in [
            "objects",
            "actions",
            "checkpoints",
            "runs",
            "manifests",
            "graphs",
            "views",
            "leases",
            "locks",
            "work",
        ] {
            files::create_folder(&store.root.join(folder))?;
        }
        Ok(store)
    }

    /// The store under this `artifacts` folder, which need not exist: for commands that only look.
    pub fn at(artifacts: &Path) -> Result<Store, StoreError> {
        let artifacts = std::path::absolute(artifacts).map_err(StoreError::io("find", artifacts))?;
        let root = artifacts.join(".onsager");
        Ok(Store { locks: locks::Locks::new(&root), root, artifacts, written: Default::default() })
    }

    /// Whether it was made already.
    pub fn exists(&self) -> bool {
        self.root.exists()
    }

    /// The folder that holds the views and the store.
    pub fn artifacts(&self) -> &Path {
        &self.artifacts
    }

    pub fn objects(&self) -> objects::Objects {
        objects::Objects::new(self.root.join("objects"), self.written.clone())
    }

    pub fn actions(&self) -> actions::Actions {
        actions::Actions::new(self.root.join("actions"))
    }

    /// The checkpoints of the task with this key.
    pub fn checkpoints(&self, key: &Digest) -> PathBuf {
        self.root.join("checkpoints").join(key.to_string())
    }

    /// The folder of the curves of finished tasks.
    pub fn metrics(&self) -> PathBuf {
        self.root.join("metrics")
    }

    /// The folder of run records.
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// The record of a run.
    pub fn record(&self, run: &str) -> PathBuf {
        self.runs().join(format!("{run}.jsonl"))
    }

    /// The log of a task in a run.
    pub fn task_log(&self, run: &str, task: &str) -> PathBuf {
        self.runs().join(run).join(format!("{}.log", short::short(task)))
    }

    /// The manifests of runs.
    pub fn manifests(&self) -> manifests::Manifests {
        manifests::Manifests::new(self.root.join("manifests"))
    }

    /// The lists of folders outside the store that tasks took.
    pub fn lists(&self) -> lists::Lists {
        lists::Lists::new(self.root.join("lists"))
    }

    /// The folder of environments that commands run in.
    pub fn environments(&self) -> PathBuf {
        self.root.join("environments")
    }

    /// The folder of files that were fetched from elsewhere.
    pub fn remote(&self) -> PathBuf {
        self.root.join("remote")
    }

    /// The folder of what is known of remote stores.
    pub fn remotes(&self) -> PathBuf {
        self.root.join("remotes")
    }

    /// The folder of large objects that are arriving from a remote store.
    pub fn incoming(&self) -> PathBuf {
        self.root.join("incoming")
    }

    /// The folder of cached graphs.
    pub fn graphs(&self) -> PathBuf {
        self.root.join("graphs")
    }

    /// The folder of leases.
    pub fn leases(&self) -> PathBuf {
        self.root.join("leases")
    }

    /// The folder of what the jobs of clusters and their coordinators share.
    pub fn pilots(&self) -> PathBuf {
        self.root.join("pilots")
    }

    /// The folder of the programs that jobs of clusters run.
    pub fn programs(&self) -> PathBuf {
        self.root.join("bin")
    }

    /// The folder of attempts' working folders.
    pub fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    /// Its locks, and who is alive.
    pub fn locks(&self) -> &locks::Locks {
        &self.locks
    }

    /// Locks in the same way as another store of the same file system.
    pub fn lock_like(&self, other: &Store) -> Result<(), StoreError> {
        match other.locks.way()? {
            Way::Kernel => Ok(()),
            Way::Leases => Locking::read(&other.root)?.write(&self.root),
        }
    }

    /// The lock of the task with this key, if no other run holds it.
    pub fn try_lock(&self, key: &Digest) -> Result<Option<locks::Lock>, StoreError> {
        Ok(self.locks.try_take(&key.to_string())?.map(locks::Lock::staying))
    }

    /// The lock of one place of a pool, if no run holds it.
    pub fn try_place(&self, pool: &str, place: u32) -> Result<Option<locks::Lock>, StoreError> {
        self.locks.try_take(&format!("pool-{pool}-{place}"))
    }

    /// Whether a run computes the task with this key just now.
    pub fn is_locked(&self, key: &Digest) -> bool {
        self.locks.is_held(&key.to_string())
    }

    pub fn stat_cache(&self) -> Result<stat::StatCache, StoreError> {
        stat::StatCache::open(&self.root.join("stat.journal"), self.lists(), &self.locks)
    }

    pub fn view(&self, pipeline: &str) -> Result<view::View, StoreError> {
        let index = self.root.join("views").join(format!("{pipeline}.journal"));
        view::View::open(&self.artifacts, self.objects(), &index, &self.locks)
    }

    /// The working folder of a run or of a tool, with a lease of this name: it is its own until the second is dropped.
    pub fn start_work(&self, run: &str) -> Result<(PathBuf, Work), StoreError> {
        let taken = || StoreError::NameTaken { run: run.to_owned() };
        // Whoever has a lease has decided how it locks: so two that find out the same at the same time do not wait for each other.
        let way = self.locks.way()?;
        // The lease and the lock first: a folder without them is taken for one that a killed run left behind.
        let lease = self.locks.begin(run, &format!("`{run}`"))?;
        let lock = match way {
            Way::Kernel => Some(self.locks.try_take(&run_lock(run))?.ok_or_else(taken)?),
            Way::Leases => None,
        };
        self.pass_gate()?;
        if self.record(run).exists() {
            return Err(taken());
        }
        let folder = self.work().join(run);
        files::create_folder(&folder)?;
        Ok((folder, Work { _lock: lock, _lease: lease }))
    }

    /// Removes the working folders that dead runs left behind: those whose lease says so, by its silence where no other way is left.
    pub fn sweep_work(&self) -> Result<(), StoreError> {
        let work = files::list(&self.work())?;
        let leases = self.locks.watcher().all()?;
        let mut names: BTreeSet<String> = leases.iter().map(|(name, _)| name.clone()).collect();
        names.extend(work.iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())));
        let mut killed = false;
        for name in names {
            if let Some(_lock) = self.claim_dead(&name)? {
                killed = true;
                if let Err(error) = files::remove(&self.work().join(&name)) {
                    tracing::warn!("a killed run left its working folder: {error}");
                }
            }
        }
        self.tell_of_other_machines(&leases)?;
        // It may have been about to rename something.
        if killed { files::sweep_temporary(&self.artifacts) } else { Ok(()) }
    }

    /// Takes the lease of a run away that is dead, and gives the right to remove what it left.
    fn claim_dead(&self, run: &str) -> Result<Option<Claim>, StoreError> {
        if self.locks.is_alive(run) {
            return Ok(None);
        }
        let lock = match self.locks.way()? {
            // One that holds its lock is not dead, whatever its lease says.
            Way::Kernel => match self.locks.try_take(&run_lock(run))? {
                None => return Ok(None),
                lock => lock,
            },
            Way::Leases => None,
        };
        if !self.locks.is_dead(run)? {
            return Ok(None);
        }
        if lock.is_some() {
            // No lock names it.
            leases::forget(&self.leases(), run)?;
        }
        Ok(Some(Claim { _lock: lock }))
    }

    /// Whether this run goes on just now, as far as can be known.
    pub fn is_going(&self, run: &str) -> bool {
        self.locks.is_held(&run_lock(run)) || self.locks.is_alive(run)
    }

    /// Tells once that locks have to hold between machines, and that nobody has seen to it.
    fn tell_of_other_machines(&self, leases: &[(String, Standing)]) -> Result<(), StoreError> {
        let Some(other) = leases.iter().find_map(|(_, standing)| on_another_machine(standing)) else {
            return Ok(());
        };
        let known = Locking::read(&self.root)?;
        if known.way == Way::Leases || known.checked || known.told {
            return Ok(());
        }
        tracing::warn!(
            "{} goes on with the same store, on `{}`, and nobody has seen to it that locks hold between machines: \
             `onsager store doctor` tells how",
            other.about,
            other.host
        );
        Locking { told: true, ..known }.write(&self.root)
    }
}

/// The right to remove what a dead run left.
struct Claim {
    _lock: Option<locks::Lock>,
}

/// Whose lease it is, if that is alive and on another machine. One whose lease cannot be read yet tells nothing.
fn on_another_machine(standing: &Standing) -> Option<&leases::Holder> {
    match standing {
        Standing::Alive(holder) => Some(holder),
        _ => None,
    }
    .filter(|holder| !holder.boot.is_empty() && !holder.system().is_this_machine())
}

fn run_lock(run: &str) -> String {
    format!("run-{run}")
}
