//! What a running stage sees of the world: its inputs, output paths, checkpoints, progress and cancellation.

use crate::kind::error::{ContextError, StageError};
use crate::store::curves;
use crate::store::locks::Locks;
use crate::store::names;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a program may take to stop after it was asked to, before it is killed.
pub const GRACE: Duration = Duration::from_secs(5);

/// One artifact given to an input.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Item {
    /// Where to read it; read-only.
    #[serde(with = "names")]
    pub path: PathBuf,
    /// The artifact's name, for example `motion.tubes`, or the file's name for an external file.
    pub name: String,
    /// The coordinates of the instance that made it: `[("system", "free"), ("diffusion", 0.5)]`.
    pub labels: Vec<(String, Value)>,
}

impl Item {
    /// The value of this coordinate.
    pub fn label(&self, axis: &str) -> Option<&Value> {
        self.labels.iter().find(|(name, _)| name == axis).map(|(_, value)| value)
    }
}

/// Hears what a stage has to say while it runs.
pub trait Reporter: Send + Sync {
    /// `done` of `total` units of work are finished.
    fn progress(&self, done: u64, total: u64, unit: &str);
    /// A checkpoint after `step` steps is safe on disk.
    fn checkpoint(&self, step: u64);
    /// The stage goes on from the checkpoint after `step` steps.
    fn resumed(&self, step: u64);
    /// A number after `step` steps, which is on its curve already.
    fn metric(&self, step: u64, name: &str, value: f64) {
        let _ = (step, name, value);
    }
    /// A program was started as the process group `group`, which must not outlive the task; when the run is interrupted, it
    /// is asked to stop, and killed after [`GRACE`].
    fn program_started(&self, group: i32) {
        let _ = group;
    }
    /// That program has ended.
    fn program_ended(&self) {}
    /// Whether a program is only to be told and not to be started: its path, its arguments and its environment.
    fn rehearses(&self, program: &Path, arguments: &[OsString], env: &[(OsString, OsString)]) -> bool {
        let _ = (program, arguments, env);
        false
    }
}

/// The world of one running stage.
pub struct Context {
    pub(crate) inputs: BTreeMap<String, Vec<Item>>,
    pub(crate) outputs: BTreeMap<String, PathBuf>,
    pub(crate) checkpoints: PathBuf,
    /// The attempt's folder.
    pub(crate) work: PathBuf,
    /// Where environments of commands are kept.
    pub(crate) environments: PathBuf,
    pub(crate) locks: Locks,
    pub(crate) root: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) threads: usize,
    /// Where a command is confined, the attempt's folder: the one that it may write to.
    pub(crate) sandbox: Option<PathBuf>,
    pub(crate) cancelled: Arc<AtomicBool>,
    pub(crate) reporter: Arc<dyn Reporter>,
    pub(crate) curves: Mutex<curves::Writer>,
}

/// A saved checkpoint.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    /// The number of steps it stands after.
    pub step: u64,
    /// The file.
    pub path: PathBuf,
}

impl Context {
    /// The one artifact of a required input.
    pub fn input(&self, name: &str) -> Result<&Item, StageError> {
        match self.items(name) {
            [item] => Ok(item),
            items => Err(ContextError::NotOne { name: name.to_owned(), count: items.len() }.into()),
        }
    }

    /// Every artifact of an input, in the order of the pipeline; empty where the input was not given.
    pub fn items(&self, name: &str) -> &[Item] {
        self.inputs.get(name).map_or(&[], Vec::as_slice)
    }

    /// Every input with its artifacts, by name.
    pub fn inputs(&self) -> &BTreeMap<String, Vec<Item>> {
        &self.inputs
    }

    /// Where to write the declared output `name`.
    pub fn output(&self, name: &str) -> Result<&Path, StageError> {
        match self.outputs.get(name) {
            Some(path) => Ok(path),
            None => Err(ContextError::NoOutput { name: name.to_owned() }.into()),
        }
    }

    /// Every declared output's path, by name.
    pub fn outputs(&self) -> &BTreeMap<String, PathBuf> {
        &self.outputs
    }

    /// The project's root folder: where commands run.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The task's log, for what an external program prints; a stage's own words go through `tracing`.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// The number of threads granted. The stage runs inside a rayon pool of this size, so `par_iter` needs no more.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// The one folder that a confined command may write to, besides its checkpoint; none for a command that is not confined.
    pub fn sandbox(&self) -> Option<&Path> {
        self.sandbox.as_deref()
    }

    /// The attempt's own folder, which inputs and outputs are in.
    pub(crate) fn work(&self) -> &Path {
        &self.work
    }

    /// The folder of environments that commands run in: what is in it stays for later tasks.
    pub(crate) fn environments(&self) -> &Path {
        &self.environments
    }

    /// The locks of the store.
    pub(crate) fn locks(&self) -> &Locks {
        &self.locks
    }

    /// Whether a program is only to be told, and the stage ends without it.
    pub fn rehearses(&self, program: &Path, arguments: &[OsString], env: &[(OsString, OsString)]) -> bool {
        self.reporter.rehearses(program, arguments, env)
    }

    /// Reports progress; call it as often as you like.
    pub fn progress(&self, done: u64, total: u64, unit: &str) {
        self.reporter.progress(done, total, unit);
    }

    /// Puts numbers that were measured after `step` steps on the curves of these names: they can be looked at from now on, and outlive
    /// a kill. They never reach an output. The steps must ascend; what is measured once more after an interruption replaces what was
    /// measured before. So give numbers that depend on the step alone at the same steps in every attempt.
    pub fn metrics(&self, step: u64, values: &[(&str, f64)]) -> Result<(), StageError> {
        let mut curves = self.curves.lock().unwrap_or_else(PoisonError::into_inner);
        curves.add(step, values.iter().copied())?;
        drop(curves);
        values.iter().for_each(|(name, value)| self.reporter.metric(step, name, *value));
        Ok(())
    }

    /// Shows the points that were gathered: no more may come for a while.
    pub(crate) fn write_metrics(&self) -> Result<(), StageError> {
        Ok(self.curves.lock().unwrap_or_else(PoisonError::into_inner).write()?)
    }

    /// Waits until all curves are on the disk.
    pub(crate) fn sync_metrics(&self) -> Result<(), StageError> {
        Ok(self.curves.lock().unwrap_or_else(PoisonError::into_inner).sync()?)
    }

    /// Tells who watches over the task that it started a program as this process group.
    pub(crate) fn program_started(&self, group: i32) {
        self.reporter.program_started(group);
    }

    /// Tells that the program has ended.
    pub(crate) fn program_ended(&self) {
        self.reporter.program_ended();
    }

    /// Whether the run was interrupted: save a checkpoint and return [`StageError::Cancelled`].
    pub fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// The folder of this task's checkpoints, which outlives a killed attempt.
    pub fn checkpoint_folder(&self) -> &Path {
        &self.checkpoints
    }

    /// The latest intact checkpoint. Its name holds its digest, so a damaged one is passed over.
    pub fn latest_checkpoint(&self) -> Result<Option<Checkpoint>, StageError> {
        let mut found = list_checkpoints(&self.checkpoints)?;
        while let Some((step, digest, path)) = found.pop() {
            if file_digest(&path)? == digest {
                self.reporter.resumed(step);
                return Ok(Some(Checkpoint { step, path }));
            }
            tracing::warn!(path = %path.display(), "a damaged checkpoint is passed over");
        }
        Ok(None)
    }

    /// Saves a checkpoint: `write` fills the file at the path it is given; it is synced, renamed into place, and only then
    /// are the older ones removed.
    pub fn save_checkpoint(
        &self,
        step: u64,
        write: impl FnOnce(&Path) -> Result<(), StageError>,
    ) -> Result<(), StageError> {
        fs::create_dir_all(&self.checkpoints)?;
        let older = list_checkpoints(&self.checkpoints)?;
        let temporary = self.checkpoints.join(format!("incomplete-{}", std::process::id()));
        write(&temporary)?;
        fs::File::open(&temporary)?.sync_all()?;
        // Who goes on from it does not measure again what came before.
        self.sync_metrics()?;
        let path = self.checkpoints.join(format!("step-{step}-{}", file_digest(&temporary)?));
        fs::rename(&temporary, &path)?;
        fs::File::open(&self.checkpoints)?.sync_all()?;
        for (_, _, old) in older {
            if old != path {
                fs::remove_file(old)?;
            }
        }
        self.reporter.checkpoint(step);
        Ok(())
    }
}

/// The checkpoints of a folder as (step, digest, path), in the order of their steps.
pub(crate) fn list_checkpoints(folder: &Path) -> io::Result<Vec<(u64, String, PathBuf)>> {
    let mut found = Vec::new();
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().into_string().unwrap_or_default();
        if let Some((step, digest)) = name.strip_prefix("step-").and_then(|rest| rest.split_once('-'))
            && let Ok(step) = step.parse()
        {
            found.push((step, digest.to_owned(), entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

/// The first 32 hexadecimal digits of a file's SHA-256.
pub(crate) fn file_digest(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut file = fs::File::open(path)?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        hash.update(&buffer[..n]);
    }
    Ok(hash.finalize()[..16].iter().map(|byte| format!("{byte:02x}")).collect())
}
