//! Locks of a store, in the way that holds there: see [`crate::store::locking`].
//!
//! **Kernel locks** end with their process, so none ever needs to be cleared by hand.
//!
//! **Leases.** A lock is a folder `<name>.held` with one empty file in it, whose name is the token of this holding: a number and the
//! holder's lease. It is made aside and renamed into place, which fails while there is one with something in it. A dead holder's lock is
//! taken over by a rename of its token, which only one can do, since no token is used twice; its lease was taken away before, so
//! that it finds out ([`Lock::check`]).

use crate::store::files::{self, StoreError};
use crate::store::leases::{self, Death, Holder, Lease};
use crate::store::locking::{self, Locking, Way};
use crate::store::watcher::{Standing, Watcher};
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

/// How often a lock that others are about to take as well is tried before it counts as held.
const TRIES: usize = 8;
/// Between two looks at a lock that another one holds.
const WAIT: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));
/// How leases begin that hold nothing but locks.
const PROCESS: &str = "process-";

/// The locks and the leases of a store; cheap to clone.
#[derive(Debug, Clone)]
pub struct Locks {
    root: PathBuf,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Found out when it is first needed.
    way: OnceLock<Way>,
    /// The lease that this process has now.
    lease: Mutex<Weak<Lease>>,
    watcher: Watcher,
}

/// A held lock, released when it is dropped.
#[derive(Debug)]
pub struct Lock(Held);

#[derive(Debug)]
enum Held {
    Kernel {
        path: PathBuf,
        /// Whether the file stays.
        stays: bool,
        _file: File,
    },
    Lease {
        folder: PathBuf,
        token: String,
        lease: Arc<Lease>,
        after: Option<Death>,
    },
}

impl Locks {
    /// Those of the store in this folder.
    pub(crate) fn new(root: &Path) -> Locks {
        let shared = Shared {
            way: OnceLock::new(),
            lease: Mutex::new(Weak::new()),
            watcher: Watcher::new(&root.join("leases")),
        };
        Locks { root: root.to_owned(), shared: Arc::new(shared) }
    }

    pub fn watcher(&self) -> &Watcher {
        &self.shared.watcher
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join("locks").join(name)
    }

    fn leases(&self) -> PathBuf {
        self.root.join("leases")
    }

    /// The way that holds. A process that finds out that kernel locks do not exclude changes the store to leases.
    pub fn way(&self) -> Result<Way, StoreError> {
        if let Some(way) = self.shared.way.get() {
            return Ok(*way);
        }
        let mut known = Locking::read(&self.root)?;
        if known.way == Way::Kernel && !locking::excludes(&self.root.join("gate"))? {
            if let Some((_, holder)) = self.others()?.into_iter().next() {
                // Unless that one has just found out the same.
                known = Locking::read(&self.root)?;
                if known.way == Way::Kernel {
                    return Err(StoreError::LocksInUse { about: holder.about, host: holder.host });
                }
            }
            if known.way == Way::Kernel {
                known = Locking { way: Way::Leases, ..known };
                known.write(&self.root)?;
                tracing::warn!(
                    "`flock` excludes nobody on the file system of `{}`: from now on the locks of this store are leases; \
                     `onsager store doctor` tells more",
                    self.root.display()
                );
            }
        }
        Ok(*self.shared.way.get_or_init(|| known.way))
    }

    /// The way as it is noted, for those who only look.
    fn noted(&self) -> Way {
        let known = self.shared.way.get().copied();
        known.unwrap_or_else(|| Locking::read(&self.root).unwrap_or_default().way)
    }

    /// Every other holder of a lease that may be going on, with the name of the lease.
    pub fn others(&self) -> Result<Vec<(String, Holder)>, StoreError> {
        let own = self.current().map(|lease| lease.name().to_owned());
        let alive = |(name, standing)| match standing {
            Standing::Alive(holder) if Some(&name) != own.as_ref() => Some((name, holder)),
            _ => None,
        };
        Ok(self.watcher().all()?.into_iter().filter_map(alive).collect())
    }

    /// Those of them that are runs, or other work on the store's contents.
    pub fn other_runs(&self) -> Result<Vec<(String, Holder)>, StoreError> {
        Ok(self.others()?.into_iter().filter(|(name, _)| !name.starts_with(PROCESS)).collect())
    }

    /// Begins the lease that this process holds its locks by from now on, until it is dropped.
    pub fn begin(&self, name: &str, about: &str) -> Result<Arc<Lease>, StoreError> {
        let lease = Arc::new(Lease::begin(&self.leases(), name, about)?);
        *self.shared.lease.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&lease);
        Ok(lease)
    }

    fn current(&self) -> Option<Arc<Lease>> {
        self.shared.lease.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    /// The lease that this process has, or one for as long as it holds locks.
    pub(super) fn lease(&self) -> Result<Arc<Lease>, StoreError> {
        let mut held = self.shared.lease.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lease) = held.upgrade() {
            return Ok(lease);
        }
        let id = std::process::id();
        let name = format!("{PROCESS}{id}-{}", files::random());
        let lease = Arc::new(Lease::begin(&self.leases(), &name, &format!("process {id}"))?);
        *held = Arc::downgrade(&lease);
        Ok(lease)
    }

    /// Fails if this process was taken for dead, and must not publish anything any more.
    pub fn fence(&self) -> Result<(), StoreError> {
        match self.current() {
            Some(lease) if self.noted() == Way::Leases => lease.check(),
            Some(lease) => lease.heard(),
            None => Ok(()),
        }
    }

    /// Takes the lock, or gives `None` where another one holds it.
    pub fn try_take(&self, name: &str) -> Result<Option<Lock>, StoreError> {
        match self.way()? {
            Way::Leases => self.try_lease(name),
            Way::Kernel => kernel(&self.path(name), |file| match file.try_lock() {
                Err(TryLockError::WouldBlock) => Ok(false),
                Err(TryLockError::Error(error)) => Err(error),
                Ok(()) => Ok(true),
            }),
        }
    }

    /// Takes the lock, waiting while another one holds it.
    pub fn take(&self, name: &str) -> Result<Lock, StoreError> {
        let mut wait = WAIT.0;
        loop {
            let taken = match self.way()? {
                Way::Leases => self.try_lease(name)?,
                Way::Kernel => kernel(&self.path(name), |file| file.lock().map(|()| true))?,
            };
            if let Some(lock) = taken {
                return Ok(lock);
            }
            if self.way()? == Way::Leases {
                std::thread::sleep(wait);
                wait = (wait * 2).min(WAIT.1);
            }
        }
    }

    /// Whether another one holds the lock; makes and changes nothing.
    pub fn is_held(&self, name: &str) -> bool {
        match self.noted() {
            Way::Kernel => File::open(self.path(name))
                .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))),
            Way::Leases => {
                let token = token_in(&self.folder(name)).ok().flatten();
                token.is_some_and(|token| self.is_alive(owner(&token)))
            }
        }
    }

    /// Whether the holder of a lease is known to be dead, or has ended. Then its lease is taken away.
    pub(super) fn is_dead(&self, lease: &str) -> Result<bool, StoreError> {
        match self.watcher().look(lease)? {
            Standing::Alive(_) => Ok(false),
            Standing::Dead(death) => self.watcher().take_away(lease, death).map(|_| true),
            Standing::None => Ok(true),
        }
    }

    /// Whether the holder of a lease may be going on.
    pub fn is_alive(&self, lease: &str) -> bool {
        self.watcher().look(lease).is_ok_and(|standing| standing.is_alive())
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.path(&format!("{name}.held"))
    }

    fn try_lease(&self, name: &str) -> Result<Option<Lock>, StoreError> {
        let (folder, lease) = (self.folder(name), self.lease()?);
        for _ in 0..TRIES {
            let token = new_token(&lease);
            let held = |after| {
                Lock(Held::Lease {
                    folder: folder.clone(),
                    token: token.clone(),
                    lease: lease.clone(),
                    after,
                })
            };
            let Some(old) = token_in(&folder).map_err(StoreError::io("lock", &folder))? else {
                if self.put(&folder, &token).map_err(StoreError::io("lock", &folder))? {
                    return Ok(Some(held(None)));
                }
                continue;
            };
            let death = match self.watcher().look(owner(&old))? {
                _ if owner(&old) == lease.name() => return Ok(None),
                Standing::Alive(_) => return Ok(None),
                Standing::Dead(death) => death,
                // It has let go of the lock since, or what told of its death was removed.
                Standing::None => Death::Silent,
            };
            self.watcher().take_away(owner(&old), death)?;
            match fs::rename(folder.join(&old), folder.join(&token)) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                renamed => renamed.map_err(StoreError::io("take over", &folder))?,
            }
            return Ok(Some(held(Some(death))));
        }
        Ok(None)
    }

    /// Puts a lock with this token where there is none. False if another one was faster.
    fn put(&self, folder: &Path, token: &str) -> io::Result<bool> {
        let aside = self.path(&format!(".{token}"));
        let put = match fs::create_dir(&aside) {
            Err(error) if error.kind() == ErrorKind::NotFound => fs::create_dir_all(&aside),
            made => made,
        };
        let put =
            put.and_then(|()| File::create_new(aside.join(token))).and_then(|_| fs::rename(&aside, folder));
        let Err(error) = put else { return Ok(true) };
        // Nobody else knows of it; one that stays goes with `gc`.
        let _ = fs::remove_dir_all(&aside);
        // Some file systems rename over no folder at all; one that holds something does not let itself be removed.
        let _ = fs::remove_dir(folder);
        match error.kind() {
            ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists => Ok(false),
            _ => Err(error),
        }
    }

    /// Removes what dead processes left in the folder of locks, and of their leases.
    pub fn sweep(&self) -> Result<(), StoreError> {
        for path in files::list(&self.root.join("locks"))?.iter().filter(|path| path.is_file()) {
            match self.way()? {
                // A lock that nobody holds is a file that a dead process left.
                Way::Kernel => drop(self.try_take(&file_name(path))?),
                Way::Leases => files::remove(path)?,
            }
        }
        for folder in files::list(&self.root.join("locks"))?.iter().filter(|path| path.is_dir()) {
            let name = file_name(folder);
            let aside = name.strip_prefix('.').map(|token| !self.is_alive(owner(token)));
            for path in files::list(folder)? {
                if !self.is_alive(owner(&file_name(&path))) {
                    files::remove(&path)?;
                }
            }
            if aside != Some(false) {
                // It fails where somebody has the lock.
                let _ = fs::remove_dir(folder);
            }
        }
        for path in files::list(&self.leases())? {
            if file_name(&path).starts_with('.') {
                // What a system has seen only spares it a wait.
                files::remove(&path)?;
            }
            let dead = |death: &Death| path.extension().is_some_and(|found| found == death.extension());
            if Death::ALL.iter().any(dead) {
                leases::forget(&self.leases(), &path.file_stem().unwrap_or_default().to_string_lossy())?;
            }
        }
        Ok(())
    }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// A token of a lease that no other holding has.
pub(super) fn new_token(lease: &Lease) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{}~{}", COUNT.fetch_add(1, Ordering::Relaxed), lease.name())
}

/// The lease in a token.
pub(super) fn owner(token: &str) -> &str {
    token.split_once('~').map_or("", |(_, lease)| lease)
}

/// The token of whoever holds the lock of this folder.
fn token_in(folder: &Path) -> io::Result<Option<String>> {
    let mut entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        entries => entries?,
    };
    Ok(entries.next().transpose()?.map(|entry| entry.file_name().to_string_lossy().into_owned()))
}

fn kernel(path: &Path, lock: impl Fn(&File) -> io::Result<bool>) -> Result<Option<Lock>, StoreError> {
    loop {
        let opened = File::options().create(true).append(true).open(path);
        let file = opened.map_err(StoreError::io("lock", path))?;
        if !lock(&file).map_err(StoreError::io("lock", path))? {
            return Ok(None);
        }
        // The holder before us removes the file while it holds the lock: then ours is on a file that nobody else
        // can open any more.
        let held = file.metadata().map_err(StoreError::io("lock", path))?;
        match fs::metadata(path) {
            Ok(data) if data.ino() == held.ino() && data.dev() == held.dev() => {
                return Ok(Some(Lock(Held::Kernel { path: path.to_owned(), stays: false, _file: file })));
            }
            Ok(_) => continue,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(StoreError::io("lock", path)(error)),
        }
    }
}

impl Lock {
    /// Leaves the file where it is when the lock is released: making and removing one for each of thousands of tasks takes some file
    /// systems longer than the rest of the task. `gc` removes them.
    pub fn staying(mut self) -> Lock {
        if let Held::Kernel { stays, .. } = &mut self.0 {
            *stays = true;
        }
        self
    }

    /// Fails if the lock may be another's by now, since its holder was taken for dead. A kernel lock cannot be lost.
    pub fn check(&self) -> Result<(), StoreError> {
        match &self.0 {
            Held::Kernel { .. } => Ok(()),
            Held::Lease { lease, .. } => lease.check(),
        }
    }

    /// How the holder was found dead that it was taken over from, if it was.
    pub fn after(&self) -> Option<Death> {
        match &self.0 {
            Held::Kernel { .. } => None,
            Held::Lease { after, .. } => *after,
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        match &self.0 {
            Held::Kernel { path, stays, .. } => {
                if !stays {
                    // A lock file that is left is harmless: it holds nothing.
                    let _ = fs::remove_file(path);
                }
            }
            // Each fails only where the lock was taken over; the second also where another one has taken it in between.
            Held::Lease { folder, token, .. } => {
                let _ = fs::remove_file(folder.join(token));
                let _ = fs::remove_dir(folder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(way: Way) -> (tempfile::TempDir, Locks, Locks) {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("locks")).unwrap();
        Locking { way, ..Locking::default() }.write(folder.path()).unwrap();
        let (one, two) = (Locks::new(folder.path()), Locks::new(folder.path()));
        (folder, one, two)
    }

    #[test]
    fn only_one_holds_a_lock() {
        for way in [Way::Kernel, Way::Leases] {
            let (folder, one, two) = store(way);
            assert_eq!(one.way().unwrap(), way);
            let lock = one.try_take("a").unwrap().unwrap();
            assert!(two.is_held("a") && !two.is_held("b"));
            assert!(two.try_take("a").unwrap().is_none());
            assert!(one.try_take("a").unwrap().is_none());
            drop(two.try_take("b").unwrap().unwrap());
            lock.check().unwrap();
            drop(lock);
            assert!(!two.is_held("a"));
            assert!(two.take("a").unwrap().after().is_none());
            assert_eq!(files::list(&folder.path().join("locks")).unwrap(), Vec::<PathBuf>::new(), "{way}");
            assert_eq!(one.others().unwrap(), []);
        }
    }

    #[test]
    fn a_dead_holder_s_lock_is_taken_over_by_one() {
        let (folder, one, two) = store(Way::Leases);
        let lock = one.try_take("a").unwrap().unwrap();
        let name = one.current().unwrap().name().to_owned();
        assert!(leases::take_away(&folder.path().join("leases"), &name, Death::Silent).unwrap());
        let other = two.try_take("a").unwrap().unwrap();
        assert_eq!(other.after(), Some(Death::Silent));
        assert!(matches!(lock.check(), Err(StoreError::LeaseLost { .. })));
        assert!(one.fence().is_err());
        other.check().unwrap();
        // What the first one does at its end changes nothing.
        drop(lock);
        assert!(two.is_held("a"));
        drop(other);
        assert!(two.try_take("a").unwrap().unwrap().after().is_none());
        two.sweep().unwrap();
        assert_eq!(files::list(&folder.path().join("leases")).unwrap(), Vec::<PathBuf>::new());
    }

    #[test]
    fn many_threads_take_turns() {
        let (_folder, one, two) = store(Way::Leases);
        let inside = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for locks in [&one, &one, &two, &two] {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let lock = locks.take("a").unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
    }
}
