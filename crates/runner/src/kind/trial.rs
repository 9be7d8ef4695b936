//! Trying out one kind outside of a run: the test kit of stage kinds.

use crate::kind::context::{Context, Item, Reporter};
use crate::kind::error::StageError;
use crate::kind::registry::Kind;
use crate::store::curves;
use crate::store::locks::Locks;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// One execution of a kind in a folder of its own: the outputs lie in it under their declared names, the checkpoints in
/// `checkpoints`. Try the same folder again to go on from a checkpoint.
#[derive(Debug)]
pub struct Trial {
    folder: PathBuf,
    inputs: BTreeMap<String, Vec<Item>>,
    threads: usize,
    watcher: Arc<Watcher>,
}

/// A value that the kind refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Refused {
    pub field: String,
    pub message: String,
}

/// Interrupts the stage once enough is done, and remembers where it went on.
#[derive(Debug)]
struct Watcher {
    limit: u64,
    cancelled: Arc<AtomicBool>,
    resumed: AtomicU64,
}

impl Reporter for Watcher {
    fn progress(&self, done: u64, _total: u64, _unit: &str) {
        if done >= self.limit {
            self.cancelled.store(true, Ordering::Relaxed);
        }
    }

    fn checkpoint(&self, _step: u64) {}

    fn resumed(&self, step: u64) {
        self.resumed.store(step, Ordering::Relaxed);
    }
}

impl Trial {
    /// In this folder, which is made on demand; without inputs, with one thread, never interrupted.
    pub fn new(folder: &Path) -> Trial {
        Trial { folder: folder.to_owned(), inputs: BTreeMap::new(), threads: 1, watcher: watcher(u64::MAX) }
    }

    /// With one more artifact of the input `name`.
    pub fn input(mut self, name: &str, item: Item) -> Trial {
        self.inputs.entry(name.to_owned()).or_default().push(item);
        self
    }

    /// With this file as one more artifact of the input `name`.
    pub fn file(self, name: &str, path: &Path) -> Trial {
        let item = Item { path: path.to_owned(), name: format!("test.{name}"), labels: Vec::new() };
        self.input(name, item)
    }

    /// Told that it has so many threads; run it inside a rayon pool of this size.
    pub fn threads(mut self, threads: usize) -> Trial {
        self.threads = threads;
        self
    }

    /// Interrupted once it has reported this many units of work.
    pub fn interrupted_after(mut self, units: u64) -> Trial {
        self.watcher = watcher(units);
        self
    }

    /// The world of the stage, with outputs of these names and files.
    pub fn context<'a>(
        &self,
        outputs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Context, StageError> {
        fs::create_dir_all(&self.folder)?;
        let output = |(name, file): (&str, &str)| (name.to_owned(), self.folder.join(file));
        Ok(Context {
            inputs: self.inputs.clone(),
            outputs: outputs.into_iter().map(output).collect(),
            checkpoints: self.folder.join("checkpoints"),
            work: self.folder.clone(),
            environments: self.folder.join("environments"),
            locks: Locks::new(&self.folder),
            root: PathBuf::new(),
            log: PathBuf::new(),
            threads: self.threads,
            sandbox: None,
            cancelled: self.watcher.cancelled.clone(),
            reporter: self.watcher.clone(),
            curves: Mutex::new(curves::Writer::new(&self.folder.join("checkpoints"))),
        })
    }

    /// Runs the kind with these parameters, defaults filled in; the outputs by name. Values that the kind refuses are an error.
    pub fn run(&self, kind: &dyn Kind, params: &Value) -> Result<BTreeMap<String, PathBuf>, StageError> {
        let parsed = kind.parse(params)?;
        if let Some(issue) = parsed.issues.first() {
            return Err(Refused { field: issue.field.clone(), message: issue.message.clone() }.into());
        }
        let files = parsed.outputs.iter().map(|output| (output.name.as_str(), output.file.as_str()));
        let context = self.context(files)?;
        kind.run(&parsed.canonical, &context)?;
        Ok(context.outputs)
    }

    /// The step of the checkpoint from which it went on; 0 when it began anew.
    pub fn resumed(&self) -> u64 {
        self.watcher.resumed.load(Ordering::Relaxed)
    }
}

fn watcher(limit: u64) -> Arc<Watcher> {
    let cancelled = Arc::new(AtomicBool::new(false));
    Arc::new(Watcher { limit, cancelled, resumed: AtomicU64::new(0) })
}
