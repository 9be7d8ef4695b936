//! Whose turn it is to show results in a view: runs of the same tasks show them together, runs with other parameters one after the
//! other, so that a view never holds some results of one and some of the other.
//!
//! A lock file for each view holds what its runs show. Runs that agree share its lock; whoever takes it alone writes down what it
//! shows and shares it from then on.

use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
use crate::store::leases::Lease;
use crate::store::locking::Way;
use crate::store::locks::{Locks, new_token, owner};
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How often it looks whether the others have ended.
const PERIOD: Duration = Duration::from_millis(50);

/// A turn, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    _held: Held,
}

#[derive(Debug)]
enum Held {
    Kernel { _file: File },
    Lease { _note: Note },
}

impl Store {
    /// Waits for the turn to show these tasks in the view of a pipeline. `waiting` is called again and again while others show other
    /// ones, and gives false to give up: then there is none.
    pub fn take_turn(
        &self,
        pipeline: &str,
        shows: &Digest,
        waiting: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Turn>, StoreError> {
        let locks = self.locks();
        let name = format!("view-{pipeline}");
        let path = locks.path(&name);
        loop {
            let tried = match locks.way()? {
                Way::Kernel => try_turn(&path, shows).map_err(StoreError::io("lock", &path))?,
                Way::Leases => try_note(locks, &name, shows)?,
            };
            match tried {
                Try::Turn(held) => return Ok(Some(Turn { _held: held })),
                Try::Others if !waiting() => return Ok(None),
                Try::Others => std::thread::sleep(PERIOD),
                Try::Again => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }
}

/// Where locks are leases: a file that says what a run shows, in its name, beside those of the other runs of the view.
#[derive(Debug)]
struct Note {
    path: PathBuf,
    _lease: Arc<Lease>,
}

impl Drop for Note {
    fn drop(&mut self) {
        // One that stays is passed over when its lease has ended.
        let _ = fs::remove_file(&self.path);
    }
}

/// Under the lock of the view, which is held only for so long.
fn try_note(locks: &Locks, name: &str, shows: &Digest) -> Result<Try, StoreError> {
    let Some(lock) = locks.try_take(name)? else { return Ok(Try::Again) };
    let folder = locks.path(&format!("{name}.shows"));
    let lease = locks.lease()?;
    for path in files::list(&folder)? {
        let note = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (other, token) = note.split_once('~').unwrap_or_default();
        if locks.is_dead(owner(token))? {
            files::remove(&path)?;
        } else if other != shows.to_string() {
            return Ok(Try::Others);
        }
    }
    files::create_folder(&folder)?;
    lock.check()?;
    let path = folder.join(format!("{shows}~{}", new_token(&lease)));
    File::create_new(&path).map_err(StoreError::io("lock", &path))?;
    Ok(Try::Turn(Held::Lease { _note: Note { path, _lease: lease } }))
}

/// What came of a try.
enum Try {
    Turn(Held),
    /// Runs go on that show something else.
    Others,
    /// Another process has the lock for a moment.
    Again,
}

fn try_turn(path: &Path, shows: &Digest) -> io::Result<Try> {
    let mut file = File::options().create(true).truncate(false).read(true).write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0)?;
            file.write_all(shows.to_string().as_bytes())?;
            // Another may have it alone for a moment in between, so what is written is read again below.
            file.lock_shared()?;
        }
        Err(TryLockError::WouldBlock) => match file.try_lock_shared() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Try::Again),
            Err(TryLockError::Error(error)) => return Err(error),
        },
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // `gc` removes lock files that nobody holds.
    let held = file.metadata()?;
    let there = fs::metadata(path).is_ok_and(|there| (there.ino(), there.dev()) == (held.ino(), held.dev()));
    let mut written = String::new();
    file.rewind()?;
    file.read_to_string(&mut written)?;
    Ok(match written == shows.to_string() {
        true if there => Try::Turn(Held::Kernel { _file: file }),
        false if there => Try::Others,
        _ => Try::Again,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::locking::Locking;

    #[test]
    fn runs_that_agree_share_and_others_wait() {
        for way in [Way::Kernel, Way::Leases] {
            share_and_wait(way);
        }
    }

    fn share_and_wait(way: Way) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        Locking { way, ..Locking::default() }.write(&store.root).unwrap();
        let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
        let turn = |shows: &Digest| store.take_turn("p", shows, &mut || false).unwrap();
        let (first, second) = (turn(&one).unwrap(), turn(&one).unwrap());
        assert!(turn(&two).is_none());
        assert!(store.take_turn("q", &two, &mut || false).unwrap().is_some());
        drop(first);
        assert!(turn(&two).is_none());
        drop(second);
        let third = turn(&two).unwrap();
        assert!(turn(&one).is_none());
        drop(third);
        assert!(turn(&one).is_some());
    }
}
