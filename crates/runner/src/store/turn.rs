//! Whose turn it is to show results in a view: runs of the same tasks show them together, runs with other parameters one after the
//! other, so that a view never holds some results of one and some of the other.
//!
//! A lock file for each view holds what its runs show. Runs that agree share its lock; whoever takes it alone writes down what it
//! shows and shares it from then on.

use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::files::StoreError;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

/// How often it looks whether the others have ended.
const PERIOD: Duration = Duration::from_millis(50);

/// A turn, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    _file: File,
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
        let path = self.root.join("locks").join(format!("view-{pipeline}"));
        loop {
            match try_turn(&path, shows).map_err(StoreError::io("lock", &path))? {
                Try::Turn(file) => return Ok(Some(Turn { _file: file })),
                Try::Others if !waiting() => return Ok(None),
                Try::Others => std::thread::sleep(PERIOD),
                Try::Again => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }
}

/// What came of a try.
enum Try {
    Turn(File),
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
        true if there => Try::Turn(file),
        false if there => Try::Others,
        _ => Try::Again,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_agree_share_and_others_wait() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
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
