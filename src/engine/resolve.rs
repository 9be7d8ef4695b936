//! Inputs and keys: what a task sees, as far as it is known.

use super::events::RunOutputs;
use super::key::{Material, SeenItem};
use super::protocol::{Assignment, DeclaredOutput, Given};
use crate::kernel::Level;
use crate::pipeline::graph::{Graph, Source, Task};
use crate::stages::context::Item;
use crate::stages::registry::{Kind, Registry};
use crate::store::Store;
use crate::store::actions::Action;
use crate::store::digest::Digest;
use crate::store::files::StoreError;
use crate::store::objects::{Content, Objects};
use crate::store::stat::{self, StatCache};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A failure of the engine itself, which ends the run.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("task `{task}` is of kind `{kind}`, which this program does not have")]
    UnknownKind { task: String, kind: String },
    #[error("cannot start a worker: {0}")]
    Worker(#[source] std::io::Error),
    #[error("cannot listen for Ctrl-C: {0}")]
    Signals(#[source] std::io::Error),
}

/// Looks up contents and results for one invocation.
pub struct Resolver<'a> {
    pub graph: &'a Graph,
    registry: &'a Registry,
    store: &'a Store,
    kernel: Level,
    stat: StatCache,
    external: HashMap<PathBuf, (Content, Digest)>,
}

impl<'a> Resolver<'a> {
    pub fn new(
        graph: &'a Graph,
        registry: &'a Registry,
        store: &'a Store,
        kernel: Level,
    ) -> Result<Resolver<'a>, EngineError> {
        let stat = store.stat_cache()?;
        Ok(Resolver { graph, registry, store, kernel, stat, external: HashMap::new() })
    }

    /// The kind of a task.
    pub fn kind(&self, task: &Task) -> Result<&'a dyn Kind, EngineError> {
        self.registry
            .get(&task.kind)
            .ok_or_else(|| EngineError::UnknownKind { task: task.id.clone(), kind: task.kind.clone() })
    }

    /// Everything that enters the key of a task, given the outputs that are known so far.
    pub fn material<'o>(
        &mut self,
        task: &Task,
        outputs: &dyn Fn(usize) -> Option<&'o RunOutputs>,
    ) -> Result<Material, EngineError> {
        let graph = self.graph;
        let mut inputs = Vec::with_capacity(task.inputs.len());
        for (name, sources) in &task.inputs {
            let mut items = Vec::with_capacity(sources.len());
            for source in sources {
                items.push(match source {
                    Source::Artifact { task, output } => SeenItem {
                        name: artifact_name(graph, *task, *output),
                        file: Some(file_of(graph, *task, *output)),
                        labels: graph.tasks[*task].labels.clone(),
                        content: outputs(*task).map(|outputs| outputs[*output].1),
                    },
                    Source::File { path, name } => SeenItem {
                        name: name.clone(),
                        file: None,
                        labels: Vec::new(),
                        content: Some(self.external(path)?.0),
                    },
                });
            }
            inputs.push((name.clone(), items));
        }
        Ok(Material::of(task, self.kind(task)?, &self.kernel.to_string(), &inputs))
    }

    /// The content of an external file, hashed once in an invocation, and its stat signature then.
    fn external(&mut self, path: &Path) -> Result<(Content, Digest), EngineError> {
        if let Some(known) = self.external.get(path) {
            return Ok(*known);
        }
        let found = self.stat.content(path)?;
        self.external.insert(path.to_owned(), found);
        Ok(found)
    }

    /// The external inputs of a task that changed since its key was computed.
    pub fn changed_since(&self, task: &Task) -> Vec<PathBuf> {
        let files = task.inputs.iter().flat_map(|(_, sources)| sources).filter_map(|source| match source {
            Source::File { path, .. } => Some(path),
            Source::Artifact { .. } => None,
        });
        let mut changed: Vec<PathBuf> = files
            .filter(|path| match self.external.get(*path) {
                // Other stat data need not mean other content: it may have been touched, or linked.
                Some((content, then)) => {
                    !stat::signature(path).is_ok_and(|now| now == *then)
                        && !Objects::measure(path).is_ok_and(|now| now == *content)
                }
                None => true,
            })
            .cloned()
            .collect();
        changed.dedup();
        changed
    }

    /// The result of this key, if there is one and the store holds all of it.
    pub fn result(&self, key: &Digest) -> Result<Option<Action>, EngineError> {
        let Some(action) = self.store.actions().get(key)? else { return Ok(None) };
        let objects = self.store.objects();
        for (_, content) in &action.outputs {
            if !objects.holds(content).unwrap_or(false) {
                return Ok(None);
            }
        }
        Ok(Some(action))
    }

    /// The assignment for a task whose inputs are all known.
    pub fn assignment<'o>(
        &mut self,
        number: usize,
        key: &Digest,
        outputs: &dyn Fn(usize) -> Option<&'o RunOutputs>,
        work: PathBuf,
        log: PathBuf,
        threads: usize,
    ) -> Assignment {
        let graph = self.graph;
        let task = &graph.tasks[number];
        let mut inputs = Vec::new();
        for (name, sources) in &task.inputs {
            let given = sources.iter().enumerate().map(|(i, source)| match source {
                Source::Artifact { task, output } => {
                    let file = file_of(graph, *task, *output);
                    Given {
                        item: Item {
                            path: work.join("in").join(name).join(i.to_string()).join(file),
                            name: artifact_name(graph, *task, *output),
                            labels: graph.tasks[*task].labels.clone(),
                        },
                        content: outputs(*task).map(|outputs| outputs[*output].1),
                    }
                }
                Source::File { path, name } => Given {
                    item: Item { path: path.clone(), name: name.clone(), labels: Vec::new() },
                    content: None,
                },
            });
            inputs.push((name.clone(), given.collect()));
        }
        let declared = |output: &crate::stages::stage::Output| DeclaredOutput {
            name: output.name.clone(),
            file: output.file.clone(),
            folder: output.folder,
        };
        Assignment {
            number,
            task: task.id.clone(),
            kind: task.kind.clone(),
            params: task.params.clone(),
            inputs,
            outputs: task.outputs.iter().map(declared).collect(),
            work,
            fingerprint: self.kind(task).map(|kind| kind.fingerprint().to_owned()).unwrap_or_default(),
            root: graph.root.clone(),
            checkpoints: self.store.checkpoints(key),
            log,
            threads,
        }
    }
}

/// How a stage sees the name of an artifact: `motion.tubes`.
fn artifact_name(graph: &Graph, task: usize, output: usize) -> String {
    let task = &graph.tasks[task];
    format!("{}.{}", task.stage, task.outputs[output].name)
}

/// The name of the file that a stage reads an artifact from: `tubes.parquet`.
fn file_of(graph: &Graph, task: usize, output: usize) -> String {
    let file = &graph.tasks[task].outputs[output].file;
    Path::new(file).file_name().map_or(file.clone(), |name| name.to_string_lossy().into_owned())
}

/// A task's name as a file name.
pub fn file_name(task: &Task) -> String {
    task.id.replace('/', "%2F")
}
