//! Curves: what tasks measure while they go on, like the loss of a training, by step.
//!
//! The curves of a key are one file of JSON lines, a line for each point. The one attempt that has the task appends to it, so a point is
//! there as soon as it is measured, and no kill takes it away; of steps that are shorter than 20 ms a few go together. While the task
//! is unfinished, the file lies with its checkpoints and obeys their rules; of a finished one it is `metrics/<key>.jsonl`.
//!
//! An attempt that goes on from a checkpoint measures once more what came after that. So before its first point is written, everything is
//! dropped that earlier attempts had from the same step on: a resumed curve has no point twice.

use super::Store;
use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The file in the folder of an attempt's checkpoints.
pub const FILE: &str = "curve.jsonl";

/// A point as it stands in the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub step: u64,
    pub name: String,
    #[serde(with = "number")]
    pub value: f64,
    /// When it was measured, in milliseconds since 1970.
    pub at: i64,
}

/// A [`Line`] as it is written.
#[derive(Serialize)]
struct Written<'n> {
    step: u64,
    name: &'n str,
    #[serde(with = "number")]
    value: f64,
    at: i64,
}

/// A point of a curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    pub step: u64,
    pub value: f64,
    /// When it was measured, in milliseconds since 1970.
    pub at: i64,
}

/// The curves of a task by their names; the steps of each ascend.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Curves(pub BTreeMap<String, Vec<Point>>);

impl Curves {
    /// Adds a point; of two at the same step the later one counts.
    pub fn add(&mut self, Line { step, name, value, at }: Line) {
        let points = self.0.entry(name).or_default();
        let point = Point { step, value, at };
        match points.last() {
            Some(last) if last.step >= step => match points.binary_search_by_key(&step, |point| point.step) {
                Ok(same) => points[same] = point,
                Err(between) => points.insert(between, point),
            },
            _ => points.push(point),
        }
    }
}

/// How long points that come quickly, one upon another, are gathered: a write for each of them would cost steps of 0.2 ms more than
/// everything else that is done for their curves.
const GATHER: Duration = Duration::from_millis(20);

/// The curves that an attempt appends to.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    /// Opened with the first point.
    file: Option<File>,
    gathered: Vec<u8>,
    written: Option<Instant>,
}

impl Writer {
    /// In the folder of the attempt's checkpoints, which need not exist.
    pub fn new(folder: &Path) -> Writer {
        Writer { path: folder.join(FILE), file: None, gathered: Vec::new(), written: None }
    }

    /// Appends the values at a step, by a single write with those that were gathered before.
    pub fn add<'n>(
        &mut self,
        step: u64,
        values: impl IntoIterator<Item = (&'n str, f64)>,
    ) -> Result<(), StoreError> {
        if self.file.is_none() {
            cut(&self.path, step)?;
            let file = File::options().create(true).append(true).open(&self.path);
            self.file = Some(file.map_err(StoreError::io("open", &self.path))?);
        }
        let at = jiff::Timestamp::now().as_millisecond();
        for (name, value) in values {
            let line = Written { step, name, value, at };
            serde_json::to_writer(&mut self.gathered, &line)
                .map_err(|error| StoreError::io("append to", &self.path)(error.into()))?;
            self.gathered.push(b'\n');
        }
        if self.written.is_none_or(|at| at.elapsed() >= GATHER) { self.write() } else { Ok(()) }
    }

    /// Writes what was gathered.
    pub fn write(&mut self) -> Result<(), StoreError> {
        if let (Some(file), false) = (&mut self.file, self.gathered.is_empty()) {
            file.write_all(&self.gathered).map_err(StoreError::io("append to", &self.path))?;
            self.gathered.clear();
            self.written = Some(Instant::now());
        }
        Ok(())
    }

    /// Waits until everything appended is on the disk: before a checkpoint counts, and at the end.
    pub fn sync(&mut self) -> Result<(), StoreError> {
        self.write()?;
        self.file.as_ref().map_or(Ok(()), |file| file.sync_data().map_err(StoreError::io("sync", &self.path)))
    }
}

impl Drop for Writer {
    /// An attempt that fails leaves the points that it had.
    fn drop(&mut self) {
        if let Err(error) = self.write() {
            tracing::warn!(%error, "the last points of the curves are lost");
        }
    }
}

/// Drops what a file has from this step on, and a line that a kill tore.
fn cut(path: &Path, from: u64) -> Result<(), StoreError> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return path.parent().map_or(Ok(()), files::create_folder);
        }
        bytes => bytes.map_err(StoreError::io("read", path))?,
    };
    let stays = |line: &&[u8]| serde_json::from_slice::<Line>(line).is_ok_and(|line| line.step < from);
    let kept: Vec<u8> = whole_lines(&bytes).filter(stays).flat_map(|line| [line, b"\n"].concat()).collect();
    if kept == bytes { Ok(()) } else { files::write_atomic(path, &kept) }
}

/// The lines that have their end, without it.
fn whole_lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\n"))
}

/// The points in these lines; others are passed over.
fn parsed(bytes: &[u8]) -> impl Iterator<Item = Line> {
    whole_lines(bytes).filter_map(|line| serde_json::from_slice(line).ok())
}

/// Keeps the curves of an attempt that ended well, which worked in this folder, before its checkpoints are removed.
pub fn keep(store: &Store, key: &Digest, folder: &Path) -> Result<(), StoreError> {
    let from = folder.join(FILE);
    if !from.exists() {
        return Ok(());
    }
    files::create_folder(&store.metrics())?;
    let to = finished(store, key);
    let temporary = files::temporary_beside(&to);
    // Not moved: if this process dies before the result counts, the next attempt finds it where it was.
    let linked = fs::hard_link(&from, &temporary).or_else(|_| fs::copy(&from, &temporary).map(|_| ()));
    linked.and_then(|()| fs::rename(&temporary, &to)).map_err(StoreError::io("keep", &to))?;
    // Nothing is renamed where both are the same file already.
    files::remove(&temporary)
}

fn finished(store: &Store, key: &Digest) -> PathBuf {
    store.metrics().join(format!("{key}.jsonl"))
}

/// The file that has the curves of a key now.
fn current(store: &Store, key: &Digest) -> Result<PathBuf, StoreError> {
    let (unfinished, finished) = (store.latest_attempt(key)?.join(FILE), finished(store, key));
    // What a forced execution left that came to nothing counts less than a result.
    let first = unfinished.exists() && (store.is_locked(key) || !finished.exists());
    Ok(if first { unfinished } else { finished })
}

impl Store {
    /// The curves of the task with this key, finished or not; none where it measured nothing.
    pub fn curves(&self, key: &Digest) -> Result<Curves, StoreError> {
        let mut curves = Curves::default();
        let path = current(self, key)?;
        match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            bytes => parsed(&bytes.map_err(StoreError::io("read", &path))?).for_each(|line| curves.add(line)),
        }
        Ok(curves)
    }
}

/// Curves that are followed while they grow.
#[derive(Debug)]
pub struct Follow {
    store: Store,
    key: Digest,
    /// The file that was read last, as its device and number, and how much of it.
    read: Option<((u64, u64), u64)>,
}

/// What has become of curves since they were looked at last.
#[derive(Debug, PartialEq)]
pub enum Change {
    Nothing,
    /// These points came.
    More(Vec<Line>),
    /// They are read for the first time, or were cut back by an attempt that goes on from a checkpoint.
    Anew(Curves),
}

impl Follow {
    pub fn of(store: &Store, key: Digest) -> Follow {
        Follow { store: store.clone(), key, read: None }
    }

    /// What has become of them.
    pub fn poll(&mut self) -> Result<Change, StoreError> {
        let path = current(&self.store, &self.key)?;
        let mut file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Change::Nothing),
            file => file.map_err(StoreError::io("open", &path))?,
        };
        let before = self.read;
        let looked: io::Result<Vec<u8>> = (|| {
            let data = file.metadata()?;
            let (is, length) = ((data.dev(), data.ino()), data.len());
            let start =
                before.filter(|(was, read)| *was == is && *read <= length).map_or(0, |(_, read)| read);
            file.seek(SeekFrom::Start(start))?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1));
            self.read = Some((is, start + bytes.len() as u64));
            Ok(bytes)
        })();
        let bytes = looked.map_err(StoreError::io("read", &path))?;
        let goes_on = before.is_some_and(|(was, read)| {
            self.read.is_some_and(|(is, now)| was == is && now == read + bytes.len() as u64)
        });
        if !goes_on {
            let mut curves = Curves::default();
            parsed(&bytes).for_each(|line| curves.add(line));
            return Ok(Change::Anew(curves));
        }
        let lines: Vec<Line> = parsed(&bytes).collect();
        Ok(if lines.is_empty() { Change::Nothing } else { Change::More(lines) })
    }
}

/// A number as JSON writes it, and as a text where JSON has none.
pub mod number {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::{Serialize, Serializer};

    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            value if value.is_finite() => value.serialize(serializer),
            value if value.is_nan() => "NaN".serialize(serializer),
            value if *value > 0.0 => "Infinity".serialize(serializer),
            _ => "-Infinity".serialize(serializer),
        }
    }

    #[derive(serde::Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(f64),
        Text(String),
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        match Written::deserialize(deserializer)? {
            Written::Number(value) => Ok(value),
            Written::Text(text) => match text.as_str() {
                "NaN" => Ok(f64::NAN),
                "Infinity" => Ok(f64::INFINITY),
                "-Infinity" => Ok(f64::NEG_INFINITY),
                _ => Err(D::Error::custom("no number")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(curves: &Curves, name: &str) -> Vec<(u64, f64)> {
        curves.0.get(name).into_iter().flatten().map(|point| (point.step, point.value)).collect()
    }

    #[test]
    fn an_attempt_that_goes_on_leaves_no_point_twice() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let key = Digest::of(b"key");
        let own = store.checkpoints(&key);
        let mut follow = Follow::of(&store, key);
        assert_eq!(follow.poll().unwrap(), Change::Nothing);
        let mut first = Writer::new(&own);
        for step in 1..=5 {
            first.add(step, [("loss", 1.0 / step as f64), ("rate", 0.1)]).unwrap();
        }
        first.write().unwrap();
        assert_eq!(follow.poll().unwrap(), Change::Anew(store.curves(&key).unwrap()));
        assert_eq!(follow.poll().unwrap(), Change::Nothing);
        first.add(6, [("loss", f64::NAN)]).unwrap();
        first.write().unwrap();
        let Change::More(more) = follow.poll().unwrap() else { panic!("one more") };
        assert!(matches!(&more[..], [line] if line.step == 6 && line.value.is_nan()), "{more:?}");
        // A kill tore the last line.
        let path = own.join(FILE);
        let mut torn = fs::read(&path).unwrap();
        torn.extend(b"{\"step\":7,\"name\":\"lo");
        fs::write(&path, torn).unwrap();
        let mut second = Writer::new(&own);
        second.add(4, [("loss", 0.25)]).unwrap();
        let curves = store.curves(&key).unwrap();
        assert_eq!(follow.poll().unwrap(), Change::Anew(curves.clone()));
        assert_eq!(steps(&curves, "loss"), [(1, 1.0), (2, 0.5), (3, 1.0 / 3.0), (4, 0.25)]);
        assert_eq!(steps(&curves, "rate"), [(1, 0.1), (2, 0.1), (3, 0.1)]);
        second.add(5, [("loss", f64::NEG_INFINITY)]).unwrap();
        second.sync().unwrap();
        keep(&store, &key, &own).unwrap();
        keep(&store, &key, &own).unwrap();
        files::remove(&own).unwrap();
        let Change::More(more) = follow.poll().unwrap() else { panic!("one more") };
        assert_eq!((more[0].step, more[0].value), (5, f64::NEG_INFINITY));
        assert_eq!(files::list(&store.metrics()).unwrap(), [finished(&store, &key)]);
        assert_eq!(steps(&store.curves(&key).unwrap(), "loss").len(), 5);
    }
}
