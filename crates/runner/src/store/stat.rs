//! Stat data: a file whose stat data did not change is not read again.

use crate::store::chosen::Chosen;
use crate::store::digest::{Digest, Encoder};
use crate::store::files::StoreError;
use crate::store::journal::Journal;
use crate::store::lists::Lists;
use crate::store::locks::Locks;
use crate::store::objects::{Content, Objects};
use crate::store::walk::{self, Kind};
use rayon::prelude::*;
use rustix::fs::{AtFlags, CWD, FileType, Stat, statat};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// How close to the present a time stamp may be: a later write within the clock's grain would not change it.
const RACY: Duration = Duration::from_millis(50);

/// The digest of the stat data (device, inode, size, mode, mtime, ctime) of a file, or of every file of a folder.
pub fn signature(path: &Path) -> Result<Digest, StoreError> {
    scan(path, None).map(|(digest, _)| digest)
}

/// The same of what is chosen.
pub fn signature_of(chosen: &Chosen) -> Result<Digest, StoreError> {
    scan(&chosen.path, Some(chosen)).map(|(digest, _)| digest)
}

/// The signature of a path relative to a folder, which is open as well, if it can be read.
pub fn signature_at(folder: impl AsFd, root: &Path, relative: &Path) -> Option<Digest> {
    let data = statat(folder, relative, AtFlags::empty()).ok()?;
    match FileType::from_raw_mode(data.st_mode) {
        FileType::Directory => signature(&root.join(relative)).ok(),
        _ => Some(of_file(&data)),
    }
}

/// Whether what is chosen still has this signature, and got it so long before `since` that a change after that would show.
pub fn settled(chosen: &Chosen, signature: &Digest, since: SystemTime) -> bool {
    scan(&chosen.path, Some(chosen)).is_ok_and(|(now, changed)| now == *signature && !racy(changed, since))
}

/// The signature, and the time of the latest change.
fn scan(path: &Path, chosen: Option<&Chosen>) -> Result<(Digest, SystemTime), StoreError> {
    let read = |path: &Path| {
        let data = statat(CWD, path, AtFlags::empty()).map_err(io::Error::from);
        data.map_err(StoreError::io("read", path))
    };
    let data = read(path)?;
    let mut latest = changed(&data);
    if FileType::from_raw_mode(data.st_mode) != FileType::Directory {
        return Ok((of_file(&data), latest));
    }
    let mut encoder = Encoder::new("stat of a folder");
    let found = match chosen {
        // What is ignored in a folder changes its own stat data, and nothing that counts.
        Some(chosen) => {
            latest = SystemTime::UNIX_EPOCH;
            walk::walk_chosen(chosen)?
        }
        None => {
            encoder.field(b'S', &words(&data));
            walk::walk(path)?
        }
    };
    for found in found {
        encoder.field(b'P', found.path.as_os_str().as_encoded_bytes());
        if let Kind::Link(target) = &found.kind {
            encoder.field(b'L', target.as_os_str().as_encoded_bytes());
            continue;
        }
        if found.kind == Kind::Folder && chosen.is_some() {
            continue;
        }
        let data = read(&found.path)?;
        encoder.field(b'S', &words(&data));
        latest = latest.max(changed(&data));
    }
    Ok((encoder.finish(), latest))
}

fn of_file(data: &Stat) -> Digest {
    Digest(Sha256::digest(words(data)).into())
}

#[allow(clippy::unnecessary_cast, reason = "the types of the fields differ between systems")]
fn words(data: &Stat) -> [u8; 64] {
    let words = [
        lasting(data.st_dev as u64),
        data.st_ino as u64,
        data.st_size as u64,
        u64::from(data.st_mode),
        data.st_mtime as u64,
        data.st_mtime_nsec as u64,
        data.st_ctime as u64,
        data.st_ctime_nsec as u64,
    ];
    let mut bytes = [0; 64];
    for (bytes, word) in bytes.chunks_exact_mut(8).zip(words) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

/// The number of a device; 0 where the system makes one up whenever it mounts, as for a network: another machine has another, and
/// this one too after its next start.
fn lasting(device: u64) -> u64 {
    if cfg!(target_os = "linux") && rustix::fs::major(device) == 0 { 0 } else { device }
}

fn changed(data: &Stat) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::new(data.st_ctime.max(0) as u64, data.st_ctime_nsec as u32)
}

/// Whether a file that changed at `changed`, as seen at `now`, could change again without a trace in its stat data. Whole seconds
/// mean a file system that keeps no finer time.
fn racy(changed: SystemTime, now: SystemTime) -> bool {
    let whole = changed.duration_since(SystemTime::UNIX_EPOCH).is_ok_and(|time| time.subsec_nanos() == 0);
    let grain = if whole { Duration::from_secs(2) } else { RACY };
    now.duration_since(changed).map_or(true, |age| age < grain)
}

#[derive(Serialize, Deserialize)]
struct Line {
    chosen: Chosen,
    signature: Digest,
    content: Content,
}

/// Digests of external files by their stat data.
pub struct StatCache {
    known: HashMap<Chosen, (Digest, Content)>,
    journal: Journal<Line>,
    path: PathBuf,
    lists: Lists,
    /// Links that lead nowhere, in what was read so far, and what they say.
    dangling: Vec<(PathBuf, PathBuf)>,
}

impl StatCache {
    pub(super) fn open(path: &Path, lists: Lists, locks: &Locks) -> Result<StatCache, StoreError> {
        let (journal, lines) = Journal::open(path, locks)?;
        let known =
            lines.into_iter().map(|line: Line| (line.chosen, (line.signature, line.content))).collect();
        Ok(StatCache { known, journal, path: path.to_owned(), lists, dangling: Vec::new() })
    }

    /// The contents of files and folders, and the signature that each had: from the cache where the stat data are the same. What has
    /// to be read is read in parallel. Paths that cannot be read are left out: whoever needs one gets the error then.
    pub fn contents<'p>(&mut self, paths: &HashSet<&'p Chosen>) -> Vec<(&'p Chosen, (Content, Digest))> {
        let now = SystemTime::now();
        let mut found = Vec::with_capacity(paths.len());
        let mut unread = Vec::new();
        for path in paths {
            let Ok((before, changed)) = scan(&path.path, Some(path)) else { continue };
            match self.known.get(*path) {
                Some((signature, content)) if *signature == before => found.push((*path, (*content, before))),
                _ => unread.push((*path, before, racy(changed, now))),
            }
        }
        let lists = self.lists.clone();
        let read = unread.into_par_iter().filter_map(|(path, before, racy)| {
            let links = RefCell::new(Vec::new());
            let note =
                |link: &Path, target: &Path| links.borrow_mut().push((link.to_owned(), target.to_owned()));
            let list = |bytes: &[u8], digest: &Digest| lists.keep(bytes, digest);
            let content = Objects::measure_chosen(path, &note, &list).ok()?;
            let keep = !racy && signature_of(path).is_ok_and(|after| after == before);
            Some(((path, content, before, keep), links.into_inner()))
        });
        let (read, links): (Vec<_>, Vec<_>) = read.unzip();
        self.dangling.extend(links.into_iter().flatten());
        let keep = read.iter().filter(|(.., keep)| *keep);
        let lines = keep.map(|(path, content, signature, _)| Line {
            chosen: (*path).clone(),
            signature: *signature,
            content: *content,
        });
        self.remember(lines.collect());
        found.extend(read.into_iter().map(|(path, content, before, _)| (path, (content, before))));
        found
    }

    /// The links that lead nowhere, in what had to be read, and what they say; each time those that are new.
    pub fn dangling(&mut self) -> Vec<(PathBuf, PathBuf)> {
        let mut links = std::mem::take(&mut self.dangling);
        links.sort();
        links.dedup();
        links
    }

    /// The content of one file or folder, and the signature that it had.
    pub fn content(&mut self, chosen: &Chosen) -> Result<(Content, Digest), StoreError> {
        match self.contents(&HashSet::from([chosen])).pop() {
            Some((_, found)) => Ok(found),
            // The same again, for its error.
            None => Ok((Objects::measure_chosen(chosen, &|_, _| {}, &|_, _| {})?, signature_of(chosen)?)),
        }
    }

    fn remember(&mut self, lines: Vec<Line>) {
        // It only saves time: where it cannot be written (before the first run, on a read-only disk) nothing is lost.
        if lines.is_empty() || !self.path.parent().is_some_and(Path::exists) {
            return;
        }
        for line in &lines {
            self.known.insert(line.chosen.clone(), (line.signature, line.content));
        }
        let known = &self.known;
        let written = if self.journal.records() > 1024 && self.journal.records() > 4 * known.len() {
            self.journal.rewrite(|_| {
                let line = |(chosen, (signature, content)): (&Chosen, &(Digest, Content))| Line {
                    chosen: chosen.clone(),
                    signature: *signature,
                    content: *content,
                };
                known.iter().map(line).collect()
            })
        } else {
            self.journal.append_with(|_| Ok((lines, ())))
        };
        if let Err(error) = written {
            tracing::debug!("the stat cache is not kept: {error}");
        }
    }
}
