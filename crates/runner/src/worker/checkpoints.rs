//! Whose checkpoints they are.
//!
//! The checkpoints of a key lie in `checkpoints/<key>/`, and attempts at it follow one another, each going on where the last one was.
//! Two must never write to one folder. So where the last one may still be running, on a machine that nobody hears of, the next one
//! works in a folder of its own, `checkpoints/<key>/attempts/<number>-<name>/`, with a copy of the newest sound checkpoint
//! ([`fork`]). From then on the newest folder is the key's ([`Store::latest_attempt`]).
//!
//! A command's checkpoint is dropped when the key of its task changes ([`claim`]).

use crate::kind::context::{file_digest, list_checkpoints};
use crate::store::Store;
use crate::store::attempts::{self, ATTEMPTS};
use crate::store::curves;
use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
use crate::worker::protocol::Assignment;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Names the owner of the checkpoint of a task that starts, and removes what the same task left under other keys. What another
/// run is using stays.
pub fn claim(store: &Store, key: &Digest, owner: &str) -> Result<(), StoreError> {
    let own = store.checkpoints(key);
    let Some(folder) = own.parent() else { return Ok(()) };
    for other in files::list(folder)? {
        let name = other.file_name().unwrap_or_default().to_string_lossy();
        let Ok(its_key) = name.parse::<Digest>() else { continue };
        if its_key == *key || fs::read(other.join("task")).ok().as_deref() != Some(owner.as_bytes()) {
            continue;
        }
        if let Some(_lock) = store.try_lock(&its_key)? {
            files::remove(&other)?;
        }
    }
    files::write_atomic(&own.join("task"), owner.as_bytes())
}

/// A folder of its own for an attempt whose predecessor may still be running, with a copy of the newest sound checkpoint. The caller
/// holds the lock of the key.
pub fn fork(store: &Store, key: &Digest, attempt: &str) -> Result<PathBuf, StoreError> {
    let own = store.checkpoints(key);
    let earlier = attempts::all(&own)?;
    let mut number = earlier.last().map_or(1, |(number, _)| number + 1);
    let target = loop {
        let target = attempts::folder(&own, number, attempt);
        if let Some(parent) = target.parent() {
            files::create_folder(parent)?;
        }
        match fs::create_dir(&target) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
            made => {
                made.map_err(StoreError::io("make the folder", &target))?;
                break target;
            }
        }
    };
    let sources: Vec<&Path> =
        earlier.iter().rev().map(|(_, folder)| folder.as_path()).chain([own.as_path()]).collect();
    let from = copy_newest_step(&sources, &target)?;
    // What a command keeps there has its own names, and no digest: that of the latest attempt counts, as after a kill.
    let mut others = sources.iter().map(|source| commands_own(source)).collect::<Result<Vec<_>, _>>()?;
    if let Some(latest) = others.iter_mut().find(|entries| !entries.is_empty()) {
        for path in latest {
            copy(path, &target.join(path.file_name().unwrap_or_default()))?;
        }
    }
    // The curve that belongs to it: another one may have a gap before that step, or none of its points.
    let curve = |source: &&&Path| source.join(curves::FILE).exists();
    if let Some(source) = from.or_else(|| sources.iter().find(curve).copied()) {
        copy(&source.join(curves::FILE), &target.join(curves::FILE))?;
    }
    Ok(target)
}

/// Gives a task whose last attempt may still be running a folder of its own. Where that fails it goes on in the one that there is.
pub fn set_apart(store: &Store, assignment: &mut Assignment, attempt: &str) {
    match fork(store, &assignment.key, attempt) {
        Ok(folder) => assignment.checkpoints = folder,
        Err(error) => tracing::warn!("its checkpoints are shared: {error}"),
    }
}

/// Copies the checkpoint with the most steps of those that are sound, and gives where it was. The one that writes there may remove it
/// meanwhile.
fn copy_newest_step<'s>(sources: &[&'s Path], target: &Path) -> Result<Option<&'s Path>, StoreError> {
    let mut steps = Vec::new();
    for &source in sources {
        let found = list_checkpoints(source).map_err(StoreError::io("read the folder", source))?;
        steps.extend(found.into_iter().map(|(step, digest, path)| (step, digest, path, source)));
    }
    steps.sort();
    while let Some((step, digest, path, source)) = steps.pop() {
        let kept = target.join(format!("step-{step}-{digest}"));
        let temporary = files::temporary_beside(&kept);
        let copied = fs::copy(&path, &temporary).and_then(|_| {
            fs::File::open(&temporary)?.sync_all()?;
            file_digest(&temporary)
        });
        match copied {
            Ok(found) if found == digest => {
                fs::rename(&temporary, &kept).map_err(StoreError::io("keep", &kept))?;
                return Ok(Some(source));
            }
            Err(error) if error.kind() == ErrorKind::StorageFull => {
                files::remove(&temporary)?;
                return Err(StoreError::io("copy the checkpoint", &path)(error));
            }
            _ => files::remove(&temporary)?,
        }
    }
    Ok(None)
}

/// What a command keeps in a folder of checkpoints: neither those of stages, nor what tells whose they are, nor curves, nor what is being
/// written.
fn commands_own(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let of_command = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let other = ["step-", "incomplete-"].iter().any(|start| name.starts_with(start));
        let ours = ["task", ATTEMPTS, curves::FILE].contains(&name.as_ref());
        !(other || ours || name.ends_with(".tmp"))
    };
    Ok(files::list(folder)?.into_iter().filter(of_command).collect())
}

/// Copies a file or a folder, as far as it is there: somebody may be writing to it.
fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    let copied = match fs::symlink_metadata(from) {
        Err(error) => Err(error),
        Ok(data) if data.is_dir() => {
            files::create_folder(to)?;
            for path in files::list(from)? {
                copy(&path, &to.join(path.file_name().unwrap_or_default()))?;
            }
            Ok(())
        }
        Ok(data) if data.is_symlink() => {
            fs::read_link(from).and_then(|target| std::os::unix::fs::symlink(target, to))
        }
        Ok(data) if data.is_file() => fs::copy(from, to).map(|_| ()),
        // A socket or a pipe is nothing to go on from.
        Ok(_) => Ok(()),
    };
    match copied {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        copied => copied.map_err(StoreError::io("copy the checkpoint", from)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &Path, step: u64, text: &str) {
        files::create_folder(folder).unwrap();
        let temporary = folder.join("incomplete-1");
        fs::write(&temporary, text).unwrap();
        let name = format!("step-{step}-{}", file_digest(&temporary).unwrap());
        fs::rename(&temporary, folder.join(name)).unwrap();
    }

    fn steps(folder: &Path) -> Vec<u64> {
        list_checkpoints(folder).unwrap().into_iter().map(|(step, ..)| step).collect()
    }

    fn store() -> (tempfile::TempDir, Store, Digest) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        (folder, store, Digest::of(b"key"))
    }

    #[test]
    fn an_attempt_of_its_own_goes_on_from_the_newest_sound_checkpoint() {
        let (_folder, store, key) = store();
        let own = store.checkpoints(&key);
        assert_eq!(store.latest_attempt(&key).unwrap(), own);
        write(&own, 10, "ten");
        fs::write(own.join("step-20-00000000000000000000000000000000"), "damaged").unwrap();
        fs::create_dir(own.join("state")).unwrap();
        fs::write(own.join("state/model"), "weights").unwrap();
        fs::write(own.join("task"), "p/a").unwrap();
        fs::write(own.join(curves::FILE), "own").unwrap();
        let first = fork(&store, &key, "run-1").unwrap();
        assert_eq!(first, own.join("attempts/000001-run-1"));
        assert_eq!(steps(&first), [10]);
        assert_eq!(fs::read_to_string(first.join("state/model")).unwrap(), "weights");
        assert!(!first.join("task").exists());
        assert_eq!(fs::read_to_string(first.join(curves::FILE)).unwrap(), "own");
        fs::write(first.join(curves::FILE), "first").unwrap();
        // What the lost one writes does not reach it.
        fs::write(own.join("state/model"), "other").unwrap();
        assert_eq!(fs::read_to_string(first.join("state/model")).unwrap(), "weights");
        assert_eq!(store.latest_attempt(&key).unwrap(), first);
        // The lost one is further now; of a command's, the latest attempt counts.
        write(&own, 40, "forty");
        write(&first, 30, "thirty");
        let second = fork(&store, &key, "run-2").unwrap();
        assert_eq!(second, own.join("attempts/000002-run-2"));
        assert_eq!(steps(&second), [40]);
        // The curve goes with the checkpoint.
        assert_eq!(fs::read_to_string(second.join(curves::FILE)).unwrap(), "own");
        assert_eq!(fs::read_to_string(second.join("state/model")).unwrap(), "weights");
        assert_eq!(store.latest_attempt(&key).unwrap(), second);
    }
}
