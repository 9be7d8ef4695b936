//! The store: content-addressed objects, action records, checkpoints, run records, locks, and the view of the latest outputs.
//!
//! ```text
//! artifacts/
//!   .onsager/
//!     objects/ab/cdef…      content, read-only, named by its SHA-256; a folder is an object that lists its files
//!     actions/ab/cdef….json key → outputs, with everything that entered the key
//!     checkpoints/<key>/    of unfinished tasks
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
//!     stat.journal          digests of external files by their stat data: an index, appended to
//!   <pipeline>/<stage>/…    the view
//! ```
//!
//! Everything is written to a temporary name, synced and renamed, or appended as one line, so a kill at any instruction
//! leaves either the old state or the new.

pub mod actions;
pub mod archive;
pub mod beneath;
pub mod chosen;
pub mod copy;
pub mod destination;
pub mod digest;
pub mod export;
pub mod files;
pub mod gate;
pub mod gc;
pub mod host;
pub mod import;
pub mod inventory;
pub mod journal;
pub mod leases;
pub mod key;
pub mod listing;
pub mod lists;
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
pub mod system;
pub mod text;
pub mod turn;
pub mod usage;
pub mod verify;
pub mod view;
pub mod walk;
pub mod watcher;

use digest::Digest;
use files::StoreError;
use std::path::{Path, PathBuf};

/// The places of a store; cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    artifacts: PathBuf,
    root: PathBuf,
}

impl Store {
    /// Opens the store under this `artifacts` folder, making what is missing.
    pub fn open(artifacts: &Path) -> Result<Store, StoreError> {
        let store = Store::at(artifacts)?;
        for folder in
            ["objects", "actions", "checkpoints", "runs", "manifests", "graphs", "views", "locks", "work"]
        {
            files::create_folder(&store.root.join(folder))?;
        }
        Ok(store)
    }

    /// The store under this `artifacts` folder, which need not exist: for commands that only look.
    pub fn at(artifacts: &Path) -> Result<Store, StoreError> {
        let artifacts = std::path::absolute(artifacts).map_err(StoreError::io("find", artifacts))?;
        Ok(Store { root: artifacts.join(".onsager"), artifacts })
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
        objects::Objects::new(self.root.join("objects"))
    }

    pub fn actions(&self) -> actions::Actions {
        actions::Actions::new(self.root.join("actions"))
    }

    /// The checkpoints of the task with this key.
    pub fn checkpoints(&self, key: &Digest) -> PathBuf {
        self.root.join("checkpoints").join(key.to_string())
    }

    /// The folder of run records.
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
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

    /// The lock of something that has a name.
    pub fn lock_path(&self, name: &str) -> PathBuf {
        self.root.join("locks").join(name)
    }

    /// The folder of attempts' working folders.
    pub fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    /// The lock of the task with this key, if no other run holds it.
    pub fn try_lock(&self, key: &Digest) -> Result<Option<locks::Lock>, StoreError> {
        let lock = locks::Lock::try_take(&self.root.join("locks").join(key.to_string()))?;
        Ok(lock.map(locks::Lock::staying))
    }

    /// The lock of one place of a pool, if no run holds it.
    pub fn try_place(&self, pool: &str, place: u32) -> Result<Option<locks::Lock>, StoreError> {
        locks::Lock::try_take(&self.root.join("locks").join(format!("pool-{pool}-{place}")))
    }

    /// Whether a run computes the task with this key just now.
    pub fn is_locked(&self, key: &Digest) -> bool {
        locks::Lock::is_held(&self.root.join("locks").join(key.to_string()))
    }

    pub fn stat_cache(&self) -> Result<stat::StatCache, StoreError> {
        stat::StatCache::open(&self.root.join("stat.journal"), self.lists())
    }

    pub fn view(&self, pipeline: &str) -> Result<view::View, StoreError> {
        let index = self.root.join("views").join(format!("{pipeline}.journal"));
        view::View::open(&self.artifacts, self.objects(), &index)
    }

    /// The working folder of a run, held until the lock is dropped.
    pub fn start_work(&self, run: &str) -> Result<(PathBuf, locks::Lock), StoreError> {
        // The lock first: a folder without its lock is taken for one that a killed run left behind.
        let path = self.run_lock(run);
        let taken = || StoreError::NameTaken { run: run.to_owned() };
        let lock = locks::Lock::try_take(&path)?.ok_or_else(taken)?;
        if self.runs().join(format!("{run}.jsonl")).exists() {
            return Err(taken());
        }
        let folder = self.work().join(run);
        files::create_folder(&folder)?;
        Ok((folder, lock))
    }

    /// Removes the working folders that killed runs left behind: those whose run no longer holds its lock.
    pub fn sweep_work(&self) -> Result<(), StoreError> {
        let mut killed = false;
        for folder in files::list(&self.work())? {
            let run = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if let Some(_lock) = locks::Lock::try_take(&self.run_lock(&run))? {
                killed = true;
                if let Err(error) = files::remove(&folder) {
                    tracing::warn!("a killed run left its working folder: {error}");
                }
            }
        }
        // It may have been about to rename something.
        if killed { files::sweep_temporary(&self.artifacts) } else { Ok(()) }
    }

    fn run_lock(&self, run: &str) -> PathBuf {
        self.root.join("locks").join(format!("run-{run}"))
    }
}
