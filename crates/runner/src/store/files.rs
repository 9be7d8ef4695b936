//! Files written so that nothing is ever half there.

use crate::store::names::NameFault;
use crate::store::system::{Process, System};
use serde::Serialize;
use std::fs::{self, File};
use std::hash::BuildHasher;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use walkdir::WalkDir;

/// A failed operation on the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("no file matches `{pattern}` in `{}`", .path.display())]
    NoMatch { path: PathBuf, pattern: String },
    #[error("cannot {action} `{}`: {source}{}", path.display(), advice(source))]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("`{}` is neither a file nor a folder", path.display())]
    NotAFile { path: PathBuf },
    #[error("object {digest} is missing from the store: run the pipeline again to make it anew")]
    MissingObject { digest: String },
    #[error(
        "object {digest} is damaged: its bytes are not those of its name; run the pipeline again to make it anew"
    )]
    DamagedObject { digest: String },
    #[error("`{}` cannot be kept: {fault}; rename it", path.to_string_lossy().escape_debug())]
    Name { path: PathBuf, fault: NameFault },
    #[error(
        "`{}` is a link, and nothing is written through links: remove it; to keep outputs elsewhere, make the whole `artifacts` \
         folder a link, or give `--artifacts`",
        path.display()
    )]
    Link { path: PathBuf },
    #[error("there is a run with the name `{run}` already: give the same command again")]
    NameTaken { run: String },
    #[error(
        "`{name}` was taken for dead, since it had not been heard of for {seconds} s, and others may have gone on with what it \
         had in hand: give the same command again"
    )]
    LeaseLost { name: String, seconds: f64 },
    #[error(
        "`flock` excludes nobody here, and {about} on `{host}` goes on and counts on it: wait until that has ended, then give the same \
         command again"
    )]
    LocksInUse { about: String, host: String },
    #[error(
        "{about} on `{host}` goes on, or was heard of less than {seconds} s ago, and the locks of this store keep nothing from it: \
         collect when it has ended"
    )]
    RunGoesOn { about: String, host: String, seconds: f64 },
    #[error(
        "{about} goes on, on `{host}`, and nobody knows whether locks hold between it and this machine: `onsager store doctor` \
         tells how to find out; or collect when it has ended"
    )]
    LocksUnknown { about: String, host: String },
    #[error(
        "nobody else came within {seconds} s: give `onsager store doctor --pair` on both machines at the same time"
    )]
    Alone { seconds: u64 },
    #[error("`{}` changed while it was read: run again", path.display())]
    Changed { path: PathBuf },
    #[error("`{}` is a link to `{}`, which leads nowhere: write the file itself, or remove the link", path.display(), target.display())]
    Dangling { path: PathBuf, target: PathBuf },
    #[error("`{}` is damaged ({message}): remove it and run again", path.display())]
    Damaged { path: PathBuf, message: String },
}

impl StoreError {
    /// For `map_err`: what was being done to which path.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
        move |source| StoreError::Io { action, path: path.to_owned(), source }
    }
}

/// What to do about an error that a person can mend.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space, then give the same command again: finished work is kept"
        }
        io::ErrorKind::PermissionDenied => {
            "; check who owns the folder, or choose another with `--artifacts`"
        }
        io::ErrorKind::ReadOnlyFilesystem => "; choose another folder with `--artifacts`",
        _ => "",
    }
}

/// Makes a folder and its parents.
pub fn create_folder(path: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(path).map_err(StoreError::io("make the folder", path))
}

/// The paths in a folder in the order of their names; none where the folder does not exist.
pub fn list(folder: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(StoreError::io("read the folder", folder))?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(StoreError::io("read the folder", folder))?.path());
    }
    paths.sort();
    Ok(paths)
}

/// Eight hexadecimal digits that no other process is likely to come to: numbers of processes are the same in many containers.
pub fn random() -> String {
    let random = std::hash::RandomState::new().hash_one(std::process::id());
    format!("{:08x}", random as u32)
}

/// What tells the processes of this system apart from those of others that use the same store: of another start of the machine, of
/// another container, of another machine. Only of its own a process can know whether they are still there.
fn system() -> &'static str {
    static ID: OnceLock<String> = OnceLock::new();
    ID.get_or_init(|| System::own().id())
}

/// A name beside `path` that no other process or thread uses.
pub fn temporary_beside(path: &Path) -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!("{TEMPORARY}{}-{}-{count}.tmp", system(), std::process::id()));
    path.with_file_name(name)
}

/// What marks the name of a temporary file, before its system and the number of its process.
const TEMPORARY: &str = ".onsager-";

/// Removes what dead processes of this system were about to rename, anywhere below a folder. What others left goes with `gc`.
pub fn sweep_temporary(folder: &Path) -> Result<(), StoreError> {
    if !System::own().is_own() {
        return Ok(());
    }
    let mut below = walkdir::WalkDir::new(folder).into_iter();
    while let Some(found) = below.next() {
        // What cannot be read is left alone.
        let Ok(found) = found else { continue };
        let name = found.file_name().to_string_lossy();
        let owner = name.strip_suffix(".tmp").and_then(|name| name.rsplit_once(TEMPORARY));
        let own = owner.and_then(|(_, rest)| rest.strip_prefix(system())?.strip_prefix('-')?.split_once('-'));
        let Some((process, _)) = own else { continue };
        if process.parse().is_ok_and(|process| !Process::goes_on(process, None)) {
            if found.file_type().is_dir() {
                below.skip_current_dir();
            }
            remove(found.path())?;
        }
    }
    Ok(())
}

/// A value as the JSON text of a file.
pub fn json(path: &Path, value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|error| StoreError::io("write", path)(error.into()))
}

/// Writes a file whole or not at all.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    write_finished(path, bytes, File::sync_data).map(drop)
}

/// The same without waiting for the disk: a machine that loses its power may lose the file, or keep it torn. For what is checked when it
/// is read, and can be made anew.
pub fn write_soon(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    write_finished(path, bytes, |_| Ok(())).map(drop)
}

/// The same with something to do before the file gets its name. Gives the file.
pub fn write_finished(
    path: &Path,
    bytes: &[u8],
    finish: impl FnOnce(&File) -> io::Result<()>,
) -> Result<File, StoreError> {
    let temporary = temporary_beside(path);
    let written = (|| {
        let mut file = match File::create(&temporary) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                path.parent().map_or(Ok(()), fs::create_dir_all)?;
                File::create(&temporary)?
            }
            file => file?,
        };
        file.write_all(bytes)?;
        finish(&file)?;
        fs::rename(&temporary, path).map(|()| file)
    })();
    written.map_err(|error| {
        // The temporary file is of no use to anyone; the first error is the one to tell.
        let _ = fs::remove_file(&temporary);
        StoreError::io("write", path)(error)
    })
}

/// Gives the owner of a folder, and of everything in it, the right to read it and to take things out of it.
pub fn open_up(folder: &Path) -> Result<(), StoreError> {
    let failed = || StoreError::io("open up", folder);
    let data = fs::symlink_metadata(folder).map_err(failed())?;
    let needed = if data.is_dir() { 0o700 } else { 0o400 };
    let mode = data.permissions().mode();
    if !data.is_symlink() && mode & needed != needed {
        fs::set_permissions(folder, fs::Permissions::from_mode(mode | needed)).map_err(failed())?;
    }
    if data.is_dir() {
        for entry in fs::read_dir(folder).map_err(failed())? {
            open_up(&entry.map_err(failed())?.path())?;
        }
    }
    Ok(())
}

/// Removes a file or a folder, if it is there; folders that were left read-only are opened first.
pub fn remove(path: &Path) -> Result<(), StoreError> {
    let removed = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Ok(data) if data.is_dir() => match fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                for entry in walkdir::WalkDir::new(path).into_iter().flatten() {
                    if entry.file_type().is_dir() {
                        // Whatever stays closed shows when it is removed.
                        let _ = fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o700));
                    }
                }
                fs::remove_dir_all(path)
            }
            removed => removed,
        },
        _ => fs::remove_file(path),
    };
    removed.map_err(StoreError::io("remove", path))
}

/// The size of a file or folder, and its latest change in Unix seconds.
pub fn measure(path: &Path) -> (u64, i64) {
    let (mut bytes, mut latest) = (0, 0);
    // What vanishes meanwhile takes no space.
    for found in WalkDir::new(path).into_iter().flatten() {
        if let Ok(data) = found.metadata() {
            bytes += if data.is_file() { data.len() } else { 0 };
            latest = latest.max(data.mtime());
        }
    }
    (bytes, latest)
}
