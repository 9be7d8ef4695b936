//! `store verify --rerun`: executes a task again in a scratch store, and compares the bytes with those that are stored.
//!
//! The scratch store lies in a working folder of its own and links to the objects that the task reads; outputs, checkpoints and the
//! log go there. So nothing of the real store, the view or the records changes.

use crate::plan::assignment::Workplace;
use crate::plan::error::EngineError;
use crate::plan::planned::plan;
use crate::plan::resolve::Resolver;
use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
use crate::store::listing::{Entry, Listed};
use crate::store::objects::{Content, Objects, Outputs, Shape};
use crate::worker::executor::Executor;
use crate::worker::protocol::{FromWorker, Outcome};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufReader, Read};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How the new bytes of an output compare with the stored ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Comparison {
    /// The same bytes.
    Same,
    /// Both are text: the first line, from 1, that differs; null where the text ends before it.
    Line { line: usize, stored: Option<String>, new: Option<String> },
    /// The first byte, from 0, that differs.
    Byte { byte: u64, stored_size: u64, new_size: u64 },
    /// A file of a folder: its path, and how it compares where both folders have it.
    Inside { path: String, comparison: Option<Box<Comparison>> },
    /// The same bytes, but one of them is executable: whether the new one is.
    Executable { new: bool },
    /// Only one of them was written: whether the new one.
    Written { new: bool },
    /// Other bytes, and the stored ones were collected.
    Collected,
}

/// One output of a task.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Compared {
    pub output: String,
    #[serde(flatten)]
    pub comparison: Comparison,
}

/// What became of a task that was executed again.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(tag = "result", rename_all = "kebab-case")]
pub enum Rerun {
    /// It ended, and its outputs were compared.
    Compared { seconds: f64, outputs: Vec<Compared> },
    /// It failed.
    Failed { message: String, help: Option<String> },
    /// By Ctrl-C.
    Interrupted,
    /// It has no result to compare with.
    NoResult,
    /// What it reads is no longer in the store.
    NoInput { input: String },
}

/// The scratch store of a rerun.
pub struct Scratch {
    pub store: Store,
    work: PathBuf,
}

impl Scratch {
    /// In a working folder of the real store.
    pub fn new(work: &Path, real: &Store) -> Result<Scratch, StoreError> {
        let store = Store::open(&work.join("artifacts"))?;
        store.lock_like(real)?;
        Ok(Scratch { store, work: work.to_owned() })
    }

    /// Links an object of the real store to its place here.
    fn link(&self, digest: &Digest, real: &Objects) -> Result<bool, StoreError> {
        let target = self.store.objects().path(digest);
        if !real.contains(digest) || self.store.objects().contains(digest) {
            return Ok(real.contains(digest));
        }
        if let Some(parent) = target.parent() {
            files::create_folder(parent)?;
        }
        // A hard link keeps the bytes when `gc` drops the object meanwhile.
        let source = real.path(digest);
        fs::hard_link(&source, &target)
            .or_else(|_| symlink(source, &target))
            .map_err(StoreError::io("link", &target))
            .map(|()| true)
    }
}

/// Executes a task again, and compares.
pub fn rerun(
    resolver: &mut Resolver,
    store: &Store,
    number: usize,
    scratch: &Scratch,
    executor: &mut dyn Executor,
    threads: usize,
    interrupts: &AtomicUsize,
) -> Result<Rerun, EngineError> {
    let graph = resolver.graph;
    let mut selected = vec![false; graph.tasks.len()];
    for ancestor in graph.ancestors(&[number]) {
        selected[ancestor] = true;
    }
    let planned = plan(resolver, store, &store.view(&graph.name)?, &selected, &HashSet::new())?;
    let Some(key) = planned[number].as_ref().and_then(|planned| planned.key) else {
        return Ok(Rerun::NoResult);
    };
    let Some(action) = resolver.result(number, &key)? else { return Ok(Rerun::NoResult) };
    let outputs = |up: usize| planned[up].as_ref().and_then(|planned| planned.outputs.as_deref());
    let place = Workplace {
        work: scratch.work.join(number.to_string()),
        log: scratch.work.join(format!("{number}.log")),
        threads: graph.tasks[number].resources.threads.clamp(1, threads.max(1)),
        travels: false,
    };
    let mut assignment = resolver.assignment(number, &key, &outputs, place)?;
    assignment.checkpoints = scratch.store.checkpoints(&key);
    for (name, given) in &assignment.inputs {
        let contents: Vec<Content> = given.iter().filter_map(|given| given.content).collect();
        for digest in store.closure(&contents)? {
            if !scratch.link(&digest, &store.objects())? {
                return Ok(Rerun::NoInput { input: name.clone() });
            }
        }
    }
    executor.start(assignment).map_err(EngineError::Worker)?;
    let mut pressed = 0;
    let outcome = loop {
        if let Some(report) = executor.next(Duration::from_millis(100))
            && let FromWorker::Ended(outcome) = report.message
        {
            break outcome;
        }
        let now = interrupts.load(Ordering::Relaxed);
        if now > pressed {
            if now > 1 {
                executor.kill(number)
            } else {
                executor.cancel()
            }
            pressed = now;
        }
    };
    Ok(match outcome {
        Outcome::Done { outputs, seconds, .. } => Rerun::Compared {
            seconds,
            outputs: compare_all(&action.outputs, &outputs, store, &scratch.store)?,
        },
        Outcome::Interrupted => Rerun::Interrupted,
        Outcome::Failed { .. } if pressed > 0 => Rerun::Interrupted,
        Outcome::Failed { message, help } => Rerun::Failed { message, help },
        Outcome::InputLost { object } => {
            let lost = StoreError::DamagedObject { digest: object.to_string() };
            Rerun::Failed { message: lost.to_string(), help: None }
        }
    })
}

fn compare_all(
    stored: &Outputs,
    new: &Outputs,
    store: &Store,
    scratch: &Store,
) -> Result<Vec<Compared>, StoreError> {
    let both = stored.iter().zip(new);
    let compared = both.map(|((output, stored), (_, new))| {
        Ok(Compared { output: output.clone(), comparison: compare(stored, new, store, scratch)? })
    });
    compared.collect()
}

fn compare(
    stored: &Content,
    new: &Content,
    store: &Store,
    scratch: &Store,
) -> Result<Comparison, StoreError> {
    if stored == new {
        return Ok(Comparison::Same);
    }
    if stored.is_absent() || new.is_absent() {
        return Ok(Comparison::Written { new: stored.is_absent() });
    }
    let (old, fresh) = (store.objects(), scratch.objects());
    if !old.contains(&stored.digest) {
        return Ok(Comparison::Collected);
    }
    if (stored.shape, new.shape) != (Shape::Folder, Shape::Folder) {
        if stored.digest == new.digest {
            return Ok(Comparison::Executable { new: new.shape == Shape::Executable });
        }
        return compare_files(&old.path(&stored.digest), &fresh.path(&new.digest));
    }
    let (ours, theirs) = (old.entries(&stored.digest)?, fresh.entries(&new.digest)?);
    let path = |entry: &Entry| entry.path.to_string_lossy().into_owned();
    for entry in &ours {
        let Some(other) = theirs.iter().find(|other| other.path == entry.path) else {
            return Ok(Comparison::Inside { path: path(entry), comparison: None });
        };
        if other.what != entry.what {
            let comparison = match (&entry.what, &other.what) {
                (Listed::File { digest, .. }, Listed::File { digest: new, executable, .. }) => {
                    Some(Box::new(if digest == new {
                        Comparison::Executable { new: *executable }
                    } else if old.contains(digest) {
                        compare_files(&old.path(digest), &fresh.path(new))?
                    } else {
                        Comparison::Collected
                    }))
                }
                _ => None,
            };
            return Ok(Comparison::Inside { path: path(entry), comparison });
        }
    }
    let added = theirs.iter().find(|other| ours.iter().all(|entry| entry.path != other.path));
    Ok(added.map_or(Comparison::Same, |added| Comparison::Inside { path: path(added), comparison: None }))
}

/// Compares two files that differ: by lines where both are text as far as they are compared, else by bytes.
fn compare_files(stored: &Path, new: &Path) -> Result<Comparison, StoreError> {
    let open = |path: &Path| File::open(path).map(BufReader::new).map_err(StoreError::io("open", path));
    let mut bytes = [open(stored)?.bytes(), open(new)?.bytes()];
    let (mut at, mut line, mut start, mut text) = (0u64, 1usize, 0u64, true);
    loop {
        let next = [bytes[0].next().transpose(), bytes[1].next().transpose()];
        let [a, b] = next;
        let a = a.map_err(StoreError::io("read", stored))?;
        let b = b.map_err(StoreError::io("read", new))?;
        // A zero byte is in no text.
        text &= a != Some(0) && b != Some(0);
        if a != b || a.is_none() {
            break;
        }
        at += 1;
        if a == Some(b'\n') {
            line += 1;
            start = at;
        }
    }
    let lines = if text { (line_at(stored, start)?, line_at(new, start)?) } else { (None, None) };
    if let (Some(stored), Some(new)) = lines {
        return Ok(Comparison::Line { line, stored: stored.0, new: new.0 });
    }
    let size = |path: &Path| fs::metadata(path).map(|data| data.len()).map_err(StoreError::io("read", path));
    Ok(Comparison::Byte { byte: at, stored_size: size(stored)?, new_size: size(new)? })
}

/// A line as text, missing where the file ends before it.
struct TextLine(Option<String>);

/// The line that begins at a byte, if it is text of a length that a person reads.
fn line_at(path: &Path, start: u64) -> Result<Option<TextLine>, StoreError> {
    const LONGEST: u64 = 400;
    let mut file = File::open(path).map_err(StoreError::io("open", path))?;
    let mut bytes = Vec::new();
    let read = std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(start))
        .and_then(|_| file.take(LONGEST).read_to_end(&mut bytes));
    read.map_err(StoreError::io("read", path))?;
    if bytes.is_empty() {
        return Ok(Some(TextLine(None)));
    }
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    Ok(std::str::from_utf8(line).ok().map(|line| TextLine(Some(line.to_owned()))))
}
