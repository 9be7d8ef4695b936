//! The stat cache: a file whose stat data did not change is not read again.

use super::files::StoreError;
use super::log::{self, Log};
use super::objects::{Content, Objects};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use walkdir::WalkDir;

use super::digest::{Digest, Encoder};

/// How close to the present a time stamp may be: a later write within the clock's grain would not change it.
const RACY: Duration = Duration::from_millis(50);

/// The digest of the stat data (device, inode, size, mtime, ctime) of a file, or of every file of a folder.
pub fn signature(path: &Path) -> Result<Digest, StoreError> {
    scan(path).map(|(digest, _)| digest)
}

/// The signature, and the time of the latest change.
fn scan(path: &Path) -> Result<(Digest, SystemTime), StoreError> {
    let mut encoder = Encoder::new("stat");
    let data = fs::metadata(path).map_err(StoreError::io("read", path))?;
    let mut latest = add(&mut encoder, &data);
    if data.is_dir() {
        for found in WalkDir::new(path).sort_by_file_name().follow_links(true).min_depth(1) {
            let found = found.map_err(|error| StoreError::Io {
                action: "read",
                path: error.path().unwrap_or(path).to_owned(),
                source: error.into(),
            })?;
            let data = fs::metadata(found.path()).map_err(StoreError::io("read", found.path()))?;
            encoder.field(b'P', found.path().as_os_str().as_encoded_bytes());
            latest = latest.max(add(&mut encoder, &data));
        }
    }
    Ok((encoder.finish(), latest))
}

fn add(encoder: &mut Encoder, data: &Metadata) -> SystemTime {
    for word in [data.dev(), data.ino(), data.size(), u64::from(data.mode())] {
        encoder.field(b'U', &word.to_le_bytes());
    }
    for time in [(data.mtime(), data.mtime_nsec()), (data.ctime(), data.ctime_nsec())] {
        encoder.field(b'T', &time.0.to_le_bytes());
        encoder.field(b'N', &time.1.to_le_bytes());
    }
    let changed = Duration::new(data.ctime().max(0) as u64, data.ctime_nsec().max(0) as u32);
    SystemTime::UNIX_EPOCH + changed
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
    path: PathBuf,
    signature: Digest,
    content: Content,
}

/// Digests of external files by their stat data.
pub struct StatCache {
    known: HashMap<PathBuf, (Digest, Content)>,
    path: PathBuf,
    log: Option<Log>,
}

impl StatCache {
    pub(super) fn open(path: &Path) -> Result<StatCache, StoreError> {
        let lines: Vec<Line> = log::read_lines(path)?;
        let known = lines.into_iter().map(|line| (line.path, (line.signature, line.content))).collect();
        Ok(StatCache { known, path: path.to_owned(), log: None })
    }

    /// The content of a file or folder, and the signature that it had: from the cache where the stat data are the same.
    pub fn content(&mut self, path: &Path) -> Result<(Content, Digest), StoreError> {
        let now = SystemTime::now();
        let (before, changed) = scan(path)?;
        if let Some((signature, content)) = self.known.get(path)
            && *signature == before
        {
            return Ok((*content, before));
        }
        let content = Objects::measure(path)?;
        if !racy(changed, now) && signature(path)? == before {
            self.remember(path, before, content);
        }
        Ok((content, before))
    }

    fn remember(&mut self, path: &Path, signature: Digest, content: Content) {
        self.known.insert(path.to_owned(), (signature, content));
        // It only saves time: where it cannot be written (before the first run, on a read-only disk) nothing is lost.
        if self.log.is_none() && self.path.parent().is_some_and(Path::exists) {
            self.log = Log::append_to(&self.path).ok();
        }
        if let Some(log) = &mut self.log
            && log.append(&Line { path: path.to_owned(), signature, content }).is_err()
        {
            self.log = None;
        }
    }
}
