//! What is inside results, as far as it decides which tasks there are and which of them run: conditions, and what is fanned out over.

use crate::pipeline::expand::interpolate::lookup;
use crate::pipeline::expand::items::Items;
use crate::pipeline::graph::{Source, When};
use crate::plan::error::{ConditionFault, EngineError};
use crate::plan::preimage::artifact_name;
use crate::plan::resolve::Resolver;
use crate::plan::rows;
use crate::store::digest::Digest;
use crate::store::files::StoreError;
use crate::store::objects::{Content, Held, Shape};
use onsager_tables::names::did_you_mean;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A result that has to be read to decide on a task, and cannot be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unread {
    /// The task that makes it.
    pub task: usize,
    /// Its object, where that is there but is damaged.
    pub damaged: Option<Digest>,
}

impl Resolver<'_> {
    /// Why a task is not to run, given the outputs that are known so far: its condition does not hold, or nothing is there of one of
    /// its inputs. While that is not known, nothing.
    pub fn gap<'o>(
        &mut self,
        number: usize,
        outputs: &dyn Fn(usize) -> Option<&'o [Content]>,
    ) -> Result<Option<String>, EngineError> {
        let graph = self.graph;
        if let Some(when) = &graph.tasks[number].when
            && let Some(because) = self.unmet(number, when, outputs)?
        {
            return Ok(Some(because));
        }
        let absent = |source: &Source| match source {
            Source::Artifact { task, output, .. } => {
                outputs(*task).is_some_and(|made| made[*output].is_absent())
            }
            _ => false,
        };
        let gap = graph.tasks[number].inputs.iter().find(|(_, sources)| sources.iter().all(absent));
        Ok(gap.map(|(name, sources)| match sources.first() {
            Some(Source::Artifact { task, output, .. }) => {
                let artifact = artifact_name(graph, *task, *output, None);
                format!("for `{artifact}` is not there, its input `{name}`")
            }
            _ => format!("for nothing is there of its input `{name}`"),
        }))
    }

    /// The items of an output: its task, its name, its content, and they. None where it is not known, or stands for others.
    pub fn items<'o>(
        &mut self,
        source: &Source,
        outputs: &dyn Fn(usize) -> Option<&'o [Content]>,
    ) -> Result<Option<(String, String, Digest, Arc<Items>)>, EngineError> {
        let Source::Artifact { task, output, .. } = source else { return Ok(None) };
        let Some(content) = outputs(*task).map(|made| made[*output]) else { return Ok(None) };
        let graph = self.graph;
        let made = &graph.tasks[*task];
        let artifact = self.name_of(source);
        let fault = |message| EngineError::Items { artifact: artifact.clone(), message };
        let items = match content.shape {
            Shape::Absent => Items::Rows(Vec::new()),
            Shape::Folder => match self.members(&content.digest)? {
                Some(members) => {
                    let text = |path: &Path| path.to_str().map(str::to_owned);
                    let named =
                        members.files().map(|path| text(path).ok_or_else(|| path.display().to_string()));
                    let files = named.collect::<Result<_, _>>();
                    Items::Files(files.map_err(|path| {
                        fault(format!(
                            "the name `{path}` of a file is not UTF-8, so no instance can be called by it"
                        ))
                    })?)
                }
                None => return Ok(None),
            },
            Shape::File | Shape::Executable => {
                let Some(path) = self.sound(&content.digest)? else { return Ok(None) };
                Items::Rows(rows::read(&path, self.registry.parquet()).map_err(fault)?)
            }
        };
        Ok(Some((made.id.clone(), made.outputs[*output].name.clone(), content.digest, Arc::new(items))))
    }

    /// Why the condition of a task does not hold.
    fn unmet<'o>(
        &mut self,
        number: usize,
        when: &When,
        outputs: &dyn Fn(usize) -> Option<&'o [Content]>,
    ) -> Result<Option<String>, EngineError> {
        let graph = self.graph;
        let fault = |fault: ConditionFault| EngineError::Condition {
            task: graph.tasks[number].id.clone(),
            condition: when.text.clone(),
            fault,
        };
        let mut values = Vec::with_capacity(when.results.len());
        let mut known = Vec::new();
        for (source, field) in &when.results {
            let Source::Artifact { task, output, member } = source else { return Ok(None) };
            let artifact = artifact_name(graph, *task, *output, member.as_deref());
            let Some(made) = outputs(*task).map(|made| made[*output]) else { return Ok(None) };
            let Some(content) = self.part(*task, *output, made, member.as_deref())? else { return Ok(None) };
            if content.is_absent() {
                return Ok(Some(format!("for `{artifact}` is not there, which its condition needs")));
            }
            let Some(document) = self
                .document(&content)
                .map_err(|message| fault(ConditionFault::Json { artifact: artifact.clone(), message }))?
            else {
                return Ok(None);
            };
            let value = lookup(document, field).map_err(|(step, names)| {
                let help = did_you_mean(step, names, "there are");
                fault(ConditionFault::NoField { artifact: artifact.clone(), field: field.clone(), help })
            })?;
            known.push(format!("{artifact}:{field} is {value}"));
            values.push(value.clone());
        }
        match when.condition.holds(&values) {
            Ok(true) => Ok(None),
            Ok(false) if known.is_empty() => Ok(Some(format!("for `{}` does not hold", when.text))),
            Ok(false) => Ok(Some(format!("for `{}` does not hold: {}", when.text, known.join(", ")))),
            Err(error) => Err(fault(ConditionFault::Value(error))),
        }
    }

    /// A JSON file of the store, read once; nothing while its bytes are not there.
    fn document(&mut self, content: &Content) -> Result<Option<&Value>, String> {
        if !self.documents.contains_key(&content.digest) {
            if content.shape == Shape::Folder {
                return Err("it is a folder".to_owned());
            }
            let Some(path) = self.sound(&content.digest).map_err(|error| error.to_string())? else {
                return Ok(None);
            };
            let bytes = fs::read(path).map_err(|error| error.to_string())?;
            let document = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
            self.documents.insert(content.digest, document);
        }
        Ok(self.documents.get(&content.digest))
    }

    /// Where the object of a file is, if it is there and its bytes are those of its name.
    fn sound(&self, digest: &Digest) -> Result<Option<PathBuf>, EngineError> {
        match self.store.objects().checked_file(digest) {
            Ok(path) => Ok(Some(path)),
            Err(StoreError::MissingObject { .. } | StoreError::DamagedObject { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What has to be read to decide on a task, and whose bytes the store lacks: the lists of folders that it reads a part of, the
    /// results that its condition compares, and what it fans out over. Each task once.
    pub fn unread<'o>(
        &mut self,
        number: usize,
        outputs: &dyn Fn(usize) -> Option<&'o [Content]>,
    ) -> Result<Vec<Unread>, EngineError> {
        let task = &self.graph.tasks[number];
        let mut unread: Vec<Unread> = Vec::new();
        for source in task.inputs.iter().flat_map(|(_, sources)| sources) {
            if let Source::Artifact { task, output, member: Some(_) } = source
                && let Some(made) = outputs(*task)
                && !unread.iter().any(|other| other.task == *task)
                && !made[*output].is_absent()
                && self.members(&made[*output].digest)?.is_none()
            {
                unread.push(Unread { task: *task, damaged: None });
            }
        }
        let results = task.when.iter().flat_map(|when| &when.results).map(|(source, _)| source);
        for source in results.chain(task.open.iter().map(|open| &open.items)) {
            if let Source::Artifact { task, output, .. } = source
                && let Some(made) = outputs(*task)
                && !unread.iter().any(|other| other.task == *task)
                && let Some(damaged) = self.unreadable(&made[*output])?
            {
                unread.push(Unread { task: *task, damaged });
            }
        }
        Ok(unread)
    }

    /// The contents that have to be read to decide on a task, and that the store lacks: of a folder its list, which comes before what is
    /// in it.
    pub fn lacking<'o>(
        &mut self,
        number: usize,
        outputs: &dyn Fn(usize) -> Option<&'o [Content]>,
    ) -> Result<Vec<Content>, EngineError> {
        let task = &self.graph.tasks[number];
        let of_inputs = task.inputs.iter().flat_map(|(_, sources)| sources).map(|source| (source, false));
        let results = task.when.iter().flat_map(|when| &when.results).map(|(source, _)| source);
        let read = results.chain(task.open.iter().map(|open| &open.items)).map(|source| (source, true));
        let mut lacking = Vec::new();
        for (source, is_read) in of_inputs.chain(read) {
            let Source::Artifact { task, output, member } = source else { continue };
            if member.is_none() && !is_read {
                continue;
            }
            let Some(made) = outputs(*task).map(|made| made[*output]) else { continue };
            let content = match self.part(*task, *output, made, member.as_deref()) {
                Ok(None) => made,
                Ok(Some(part)) if is_read => part,
                // That it is not there is told elsewhere.
                Ok(Some(_)) | Err(EngineError::NoMember { .. }) => continue,
                Err(error) => return Err(error),
            };
            if !content.is_absent() && !self.store.objects().contains(&content.digest) {
                lacking.push(content);
            }
        }
        Ok(lacking)
    }

    /// Whether a content cannot be read, and which object is damaged.
    fn unreadable(&mut self, content: &Content) -> Result<Option<Option<Digest>>, EngineError> {
        if content.is_absent() || self.documents.contains_key(&content.digest) {
            return Ok(None);
        }
        let objects = self.store.objects();
        if objects.check(content)? != Held::Sound {
            return Ok(Some(None));
        }
        // The list of a folder is hashed whenever it is read.
        let damaged = content.shape != Shape::Folder && !objects.is_itself(&content.digest)?;
        Ok(damaged.then_some(Some(content.digest)))
    }
}
