//! The view: the latest outputs of a pipeline under `artifacts/<pipeline>/`, kept equal to the store's content.

use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
use crate::store::journal::Journal;
use crate::store::locks::Locks;
use crate::store::objects::{Content, Objects};
use crate::store::stat;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// What the view holds of one task.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Shown {
    pub task: String,
    /// Of the result: its action record tells the rest.
    pub key: Digest,
    /// In the order of the declaration; empty where the view has nothing of this result.
    pub outputs: Vec<ShownOutput>,
}

/// One output in the view.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ShownOutput {
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
    /// It had been edited by hand, and a newer result replaced it.
    Replaced,
}

/// What was taken out of the view.
#[derive(Debug, Default)]
pub struct Cleared {
    /// The tasks that are no longer there, in the order of their names.
    pub tasks: Vec<String>,
    /// How many outputs were removed.
    pub outputs: usize,
    /// Outputs that had been edited by hand, and stay.
    pub edited: Vec<PathBuf>,
}

/// The view of one pipeline and its index.
pub struct View {
    artifacts: PathBuf,
    /// Open, so that looking at an output is quick; none where it does not exist yet.
    folder: Option<File>,
    objects: Objects,
    journal: Journal<Shown>,
    shown: HashMap<String, Shown>,
}

impl View {
    /// The view below the folder `artifacts`, of the content of these objects, with this index.
    pub(super) fn open(
        artifacts: &Path,
        objects: Objects,
        index: &Path,
        locks: &Locks,
    ) -> Result<View, StoreError> {
        let (journal, lines) = Journal::open(index, locks)?;
        let mut shown = HashMap::with_capacity(lines.len());
        shown.extend(lines.into_iter().map(|line: Shown| (line.task.clone(), line)));
        let mut view = View {
            artifacts: artifacts.to_owned(),
            folder: File::open(artifacts).ok(),
            objects,
            journal,
            shown,
        };
        // It only saves space: on a read-only disk nothing is lost.
        if let Err(error) = view.compact() {
            tracing::debug!("the index of the view stays as it is: {error}");
        }
        Ok(view)
    }

    /// Rewrites the index when most of it is out of date; so rarely that its cost per task stays constant.
    fn compact(&mut self) -> Result<(), StoreError> {
        if self.journal.records() <= 1024 || self.journal.records() <= 4 * self.shown.len() {
            return Ok(());
        }
        let shown = &mut self.shown;
        self.journal.rewrite(|others| {
            shown.extend(others.into_iter().map(|line| (line.task.clone(), line)));
            let mut lines: Vec<Shown> = shown.values().cloned().collect();
            lines.sort_by(|a, b| a.task.cmp(&b.task));
            lines
        })
    }

    /// The index and its signature, if nobody else has added to it since it was read.
    pub fn index(&self) -> Option<(&Path, Digest)> {
        self.journal
            .is_read()
            .then(|| Some((self.journal.path(), stat::signature(self.journal.path()).ok()?)))?
    }

    /// What the view holds of this task.
    pub fn shown(&self, task: &str) -> Option<&Shown> {
        self.shown.get(task)
    }

    /// What the view holds of every task, in no order.
    pub fn all(&self) -> impl Iterator<Item = &Shown> {
        self.shown.values()
    }

    /// The outputs of exactly this result, if the view holds all `count` of them, untouched.
    pub fn current(&self, task: &str, key: &Digest, count: usize) -> Option<&[ShownOutput]> {
        let shown = self.shown.get(task).filter(|shown| shown.key == *key && shown.outputs.len() == count)?;
        let folder = self.folder.as_ref()?;
        let untouched = |output: &ShownOutput| {
            output.content.is_absent()
                || stat::signature_at(folder, &self.artifacts, &output.path) == Some(output.signature)
        };
        shown.outputs.iter().all(untouched).then_some(&shown.outputs)
    }

    /// The copy of an output that the view should hold, if it has one of this content.
    pub fn copy_of(&self, task: &str, content: &Content) -> Option<PathBuf> {
        let outputs = &self.shown.get(task)?.outputs;
        outputs
            .iter()
            .find(|output| output.content == *content)
            .map(|output| self.artifacts.join(&output.path))
    }

    /// Makes the view show this result: (content, path relative to `artifacts`) for each output. Tells what happened to each.
    pub fn show(
        &mut self,
        task: &str,
        key: Digest,
        outputs: &[(Content, PathBuf)],
    ) -> Result<Vec<Placed>, StoreError> {
        let (artifacts, objects, known) = (&self.artifacts, &self.objects, &mut self.shown);
        // Two runs of one pipeline take turns, so that the index and the files agree.
        let (placed, line) = self.journal.append_with(|others| {
            known.extend(others.into_iter().map(|line| (line.task.clone(), line)));
            let before = known.get(task);
            withdraw(artifacts, before, outputs)?;
            let mut placed = Vec::with_capacity(outputs.len());
            let mut shown = Vec::with_capacity(outputs.len());
            for (content, relative) in outputs {
                let path = artifacts.join(relative);
                if content.is_absent() {
                    placed.push(Placed::Same);
                    let (content, path) = (*content, relative.clone());
                    shown.push(ShownOutput { content, path, signature: Digest([0; 32]) });
                    continue;
                }
                let old =
                    before.and_then(|shown| shown.outputs.iter().find(|output| output.path == *relative));
                let signature = stat::signature(&path).ok();
                let untouched = old.is_some_and(|old| Some(old.signature) == signature);
                let what = match (signature, old) {
                    (Some(_), Some(old)) if untouched && old.content == *content => Placed::Same,
                    (Some(_), _) if !untouched && Objects::measure(&path)? == *content => Placed::Same,
                    (Some(_), Some(old)) if !untouched && old.content == *content => Placed::Edited,
                    (Some(_), Some(_)) if !untouched => Placed::Replaced,
                    (None, Some(_)) => Placed::Restored,
                    _ => Placed::Put,
                };
                if what != Placed::Same {
                    objects.place(content, artifacts, relative)?;
                }
                placed.push(what);
                shown.push(ShownOutput {
                    content: *content,
                    path: relative.clone(),
                    signature: stat::signature(&path)?,
                });
            }
            let line = Shown { task: task.to_owned(), key, outputs: shown };
            Ok((vec![line.clone()], (placed, line)))
        })?;
        if self.folder.is_none() {
            self.folder = File::open(&self.artifacts).ok();
        }
        self.shown.insert(task.to_owned(), line);
        Ok(placed)
    }

    /// Takes what is out of date out of the view: the result with this key is known, and its bytes are not in the store.
    pub fn withdraw(&mut self, task: &str, key: Digest) -> Result<(), StoreError> {
        if self.shown.get(task).is_none_or(|shown| shown.outputs.is_empty()) {
            return Ok(());
        }
        let (artifacts, known) = (&self.artifacts, &mut self.shown);
        let line = self.journal.append_with(|others| {
            known.extend(others.into_iter().map(|line| (line.task.clone(), line)));
            withdraw(artifacts, known.get(task), &[])?;
            let line = Shown { task: task.to_owned(), key, outputs: Vec::new() };
            Ok((vec![line.clone()], line))
        })?;
        self.shown.insert(task.to_owned(), line);
        Ok(())
    }

    /// Takes out of the view what it holds of tasks that are not `known`, and the folders that are empty then. What was edited by hand
    /// stays, and is no longer the view's.
    pub fn clear(&mut self, known: &dyn Fn(&str) -> bool) -> Result<Cleared, StoreError> {
        let gone = |shown: &Shown| !shown.outputs.is_empty() && !known(&shown.task);
        if !self.shown.values().any(gone) {
            return Ok(Cleared::default());
        }
        let (artifacts, shown) = (&self.artifacts, &mut self.shown);
        self.journal.append_with(|others| {
            shown.extend(others.into_iter().map(|line| (line.task.clone(), line)));
            let mut lines: Vec<Shown> = shown.values().filter(|shown| gone(shown)).cloned().collect();
            lines.sort_by(|a, b| a.task.cmp(&b.task));
            let mut cleared = Cleared::default();
            for line in &mut lines {
                for output in line.outputs.drain(..) {
                    match stat::signature(&artifacts.join(&output.path)) {
                        Ok(now) if now == output.signature => {
                            remove_shown(artifacts, &output.path)?;
                            cleared.outputs += 1;
                        }
                        // Somebody removed it before.
                        Err(_) => {}
                        Ok(_) => cleared.edited.push(output.path),
                    }
                }
                cleared.tasks.push(line.task.clone());
            }
            shown.extend(lines.iter().map(|line| (line.task.clone(), line.clone())));
            Ok((lines, cleared))
        })
    }

    /// Takes what the view has of a task out of it: the task is not to run now.
    pub fn leave(&mut self, task: &str) -> Result<(), StoreError> {
        match self.shown.get(task).map(|shown| shown.key) {
            Some(key) => self.withdraw(task, key),
            None => Ok(()),
        }
    }

    /// Forgets what the view holds of these tasks, so that the next run looks at each anew. The files stay.
    pub fn forget(&mut self, tasks: &[&str]) -> Result<(), StoreError> {
        let lines: Vec<Shown> = tasks
            .iter()
            .filter_map(|task| self.shown.get(*task))
            .map(|shown| Shown { outputs: Vec::new(), ..shown.clone() })
            .collect();
        let known = &mut self.shown;
        self.journal.append_with(|others| {
            known.extend(others.into_iter().map(|line| (line.task.clone(), line)));
            known.extend(lines.iter().map(|line| (line.task.clone(), line.clone())));
            Ok((lines, ()))
        })
    }
}

/// Removes what outputs were called before: it must not stay and look current.
fn withdraw(
    artifacts: &Path,
    before: Option<&Shown>,
    outputs: &[(Content, PathBuf)],
) -> Result<(), StoreError> {
    for old in before.iter().flat_map(|shown| &shown.outputs) {
        let path = artifacts.join(&old.path);
        if outputs.iter().all(|(content, new)| *new != old.path || content.is_absent())
            && stat::signature(&path).is_ok_and(|now| now == old.signature)
        {
            remove_shown(artifacts, &old.path)?;
        }
    }
    Ok(())
}

/// Removes an output, and the folders of the pipeline that hold nothing then.
fn remove_shown(artifacts: &Path, output: &Path) -> Result<(), StoreError> {
    files::remove(&artifacts.join(output))?;
    let parents = output.ancestors().skip(1).take_while(|folder| folder.components().count() > 1);
    for folder in parents {
        // It fails where something is left.
        if std::fs::remove_dir(artifacts.join(folder)).is_err() {
            break;
        }
    }
    Ok(())
}
