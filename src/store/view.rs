//! The view: the latest outputs of a pipeline under `artifacts/<pipeline>/`, kept equal to the store's content.

use super::Store;
use super::digest::Digest;
use super::files::{self, StoreError};
use super::locks::Lock;
use super::log::{self, Log};
use super::objects::{Content, Objects};
use super::stat;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What the view holds of one task.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Shown {
    pub task: String,
    pub key: Digest,
    pub run: String,
    pub outputs: Vec<ShownOutput>,
    /// Everything that entered the key, as (field, value): what `plan` compares with.
    pub material: Vec<(String, String)>,
}

/// One output in the view.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ShownOutput {
    pub name: String,
    pub content: Content,
    /// Relative to the `artifacts` folder.
    pub path: PathBuf,
    /// The stat data of the copy that was put there.
    pub signature: Digest,
}

/// What happened to an output of the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// It was there already.
    Same,
    /// It was put there, or replaced an older result.
    Put,
    /// It had been deleted, and was restored.
    Restored,
    /// It had been edited by hand, and was restored.
    Edited,
}

/// The view of one pipeline and its index.
pub struct View {
    artifacts: PathBuf,
    pipeline: String,
    objects: Objects,
    path: PathBuf,
    lock: PathBuf,
    /// How many lines the index has.
    lines: usize,
    shown: HashMap<String, Shown>,
}

impl View {
    pub(super) fn open(
        store: &Store,
        pipeline: &str,
        path: PathBuf,
        lock: PathBuf,
    ) -> Result<View, StoreError> {
        let lines: Vec<Shown> = log::read_lines(&path)?;
        let count = lines.len();
        let shown: HashMap<String, Shown> = lines.into_iter().map(|line| (line.task.clone(), line)).collect();
        Ok(View {
            artifacts: store.artifacts().to_owned(),
            pipeline: pipeline.to_owned(),
            objects: store.objects(),
            path,
            lock,
            lines: count,
            shown,
        })
    }

    /// Rewrites the index when most of it is out of date; so rarely that its cost per task stays constant.
    fn compact(&mut self) -> Result<(), StoreError> {
        if self.lines <= 64 || self.lines <= 4 * self.shown.len() {
            return Ok(());
        }
        let lines: Vec<Shown> = log::read_lines(&self.path)?;
        self.shown.extend(lines.into_iter().map(|line| (line.task.clone(), line)));
        let mut tasks: Vec<&Shown> = self.shown.values().collect();
        tasks.sort_by(|a, b| a.task.cmp(&b.task));
        let mut bytes = Vec::new();
        for task in tasks {
            let line = serde_json::to_vec(task).map_err(|error| StoreError::Io {
                action: "write",
                path: self.path.clone(),
                source: error.into(),
            })?;
            bytes.extend(line);
            bytes.push(b'\n');
        }
        self.lines = self.shown.len();
        files::write_atomic(&self.path, &bytes)
    }

    /// What the view holds of this task.
    pub fn shown(&self, task: &str) -> Option<&Shown> {
        self.shown.get(task)
    }

    /// The path of an output, relative to the `artifacts` folder.
    pub fn relative(&self, folder: &str, file: &str) -> PathBuf {
        Path::new(&self.pipeline).join(folder).join(file)
    }

    /// Whether the view holds exactly this result of the task, untouched.
    pub fn is_current(&self, task: &str, key: &Digest) -> bool {
        self.shown.get(task).is_some_and(|shown| {
            shown.key == *key
                && shown.outputs.iter().all(|output| {
                    stat::signature(&self.artifacts.join(&output.path))
                        .is_ok_and(|now| now == output.signature)
                })
        })
    }

    /// Makes the view show this result: (name, content, path relative to `artifacts`) for each output. Tells what happened
    /// to each.
    pub fn show(
        &mut self,
        task: &str,
        key: Digest,
        run: &str,
        outputs: &[(String, Content, PathBuf)],
        material: &[(String, String)],
    ) -> Result<Vec<Placed>, StoreError> {
        // Two runs of one pipeline take turns, so that the index and the files agree.
        let _turn = Lock::take(&self.lock)?;
        self.compact()?;
        let before = self.shown.get(task);
        // What an output was called before must not stay and look current.
        for old in before.iter().flat_map(|shown| &shown.outputs) {
            let path = self.artifacts.join(&old.path);
            if outputs.iter().all(|(_, _, new)| *new != old.path)
                && stat::signature(&path).is_ok_and(|now| now == old.signature)
            {
                files::remove(&path)?;
            }
        }
        let mut placed = Vec::new();
        let mut shown = Vec::new();
        for (name, content, relative) in outputs {
            let path = self.artifacts.join(relative);
            let old = before.and_then(|shown| shown.outputs.iter().find(|output| output.path == *relative));
            let signature = stat::signature(&path).ok();
            let untouched = old.is_some_and(|old| Some(old.signature) == signature);
            let what = match (signature, old) {
                (Some(_), Some(old)) if untouched && old.content == *content => Placed::Same,
                (Some(_), _) if Objects::measure(&path)? == *content => Placed::Same,
                (Some(_), Some(old)) if !untouched && old.content == *content => Placed::Edited,
                (None, Some(_)) => Placed::Restored,
                _ => Placed::Put,
            };
            if what != Placed::Same {
                self.objects.place(content, &path)?;
            }
            placed.push(what);
            shown.push(ShownOutput {
                name: name.clone(),
                content: *content,
                path: relative.clone(),
                signature: stat::signature(&path)?,
            });
        }
        let line = Shown {
            task: task.to_owned(),
            key,
            run: run.to_owned(),
            outputs: shown,
            material: material.to_vec(),
        };
        Log::append_to(&self.path)?.append(&line)?;
        self.lines += 1;
        self.shown.insert(task.to_owned(), line);
        Ok(placed)
    }
}
