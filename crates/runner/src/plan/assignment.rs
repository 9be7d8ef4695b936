//! What a worker is told of a task.

use crate::kind::context::Item;
use crate::kind::stage::Output;
use crate::pipeline::graph::Source;
use crate::plan::error::EngineError;
use crate::plan::preimage::{artifact_name, file_of, remote_name};
use crate::plan::resolve::Resolver;
use crate::store::chosen::Chosen;
use crate::store::digest::Digest;
use crate::store::files::StoreError;
use crate::store::objects::{Content, Held, Shape};
use crate::store::walk;
use crate::worker::protocol::{Assignment, DeclaredOutput, InputArtifact, Remote};
use std::path::{Path, PathBuf};

/// Where a task is to run, and with what.
pub struct Workplace {
    /// Its working folder.
    pub work: PathBuf,
    pub log: PathBuf,
    pub threads: usize,
    /// Whether files outside the store go with it as objects.
    pub travels: bool,
}

impl Resolver<'_> {
    /// The assignment for a task whose inputs are all known.
    pub fn assignment<'o>(
        &mut self,
        number: usize,
        key: &Digest,
        outputs: &dyn Fn(usize) -> Option<&'o [Content]>,
        Workplace { work, log, threads, travels }: Workplace,
    ) -> Result<Assignment, EngineError> {
        let graph = self.graph;
        let task = &graph.tasks[number];
        let mut inputs = Vec::new();
        for (name, sources) in &task.inputs {
            let mut given: Vec<InputArtifact> = Vec::with_capacity(sources.len());
            for source in sources {
                let i = given.len();
                match source {
                    Source::Artifact { task: maker, output, member } => {
                        let member = member.as_deref();
                        let file = file_of(graph, *maker, *output, member);
                        if outputs(*maker).is_some_and(|made| made[*output].is_absent()) {
                            continue;
                        }
                        let labels = graph.labels(task, *maker);
                        let item = Item {
                            path: work.join("in").join(input_folder(name, i)).join(file),
                            name: artifact_name(graph, *maker, *output, member),
                            labels: labels.map(|(axis, value)| (axis.to_owned(), value.clone())).collect(),
                        };
                        let content = match outputs(*maker).map(|made| made[*output]) {
                            Some(content) => self.kept_part(*maker, *output, content, member)?,
                            None => None,
                        };
                        given.push(InputArtifact { item, content, remote: None });
                    }
                    Source::File { chosen, name: called } if travels => {
                        // The files of a pattern stay beside each other.
                        let folder = work.join("in").join(input_folder(name, i));
                        for mut found in external_items(chosen, called) {
                            let (one, inside) = match &chosen.only {
                                Some(_) => {
                                    let inside = found.item.path.strip_prefix(&chosen.path);
                                    (Chosen::whole(found.item.path.clone()), inside.ok())
                                }
                                None => (chosen.clone(), found.item.path.file_name().map(Path::new)),
                            };
                            found.item.path = folder.join(inside.unwrap_or(Path::new("file")));
                            found.content = Some(self.kept_file(&one)?);
                            given.push(found);
                        }
                    }
                    Source::File { chosen, name } => given.extend(external_items(chosen, name)),
                    Source::Remote { url, sha256 } => {
                        let name = remote_name(url);
                        let path = self.store.remote().join(sha256.to_string()).join(&name);
                        let remote = Some(Remote { url: url.clone(), sha256: *sha256 });
                        let item = Item { path, name, labels: Vec::new() };
                        given.push(InputArtifact { item, content: None, remote });
                    }
                    // A task that waits for what is not known yet has no key, and does not start.
                    Source::Open { .. } | Source::Tool { .. } => {}
                }
            }
            inputs.push((name.clone(), given));
        }
        let declared = |output: &Output| DeclaredOutput {
            name: output.name.clone(),
            file: output.file.clone(),
            folder: output.folder,
            optional: output.optional,
        };
        Ok(Assignment {
            number,
            place: 0,
            key: *key,
            task: task.id.clone(),
            kind: task.kind.clone(),
            params: task.params.value(),
            inputs,
            outputs: task.outputs.iter().map(declared).collect(),
            work,
            fingerprint: self.kind(task)?.fingerprint().to_owned(),
            root: graph.root.clone(),
            checkpoints: self.store.checkpoints(key),
            log,
            threads,
            memory: task.resources.memory,
            time: task.resources.time,
            sandbox: task.sandbox,
        })
    }

    /// A file or folder outside the store, as an object of it.
    fn kept_file(&mut self, chosen: &Chosen) -> Result<Content, EngineError> {
        let (content, _) = self.external(chosen)?;
        let objects = self.store.objects();
        if objects.check(&content)? == Held::Sound || objects.keep_chosen(chosen)? == content {
            return Ok(content);
        }
        Err(StoreError::Changed { path: chosen.path.clone() }.into())
    }

    /// An output, or what is inside it, as an object of the store.
    fn kept_part(
        &mut self,
        task: usize,
        output: usize,
        content: Content,
        member: Option<&str>,
    ) -> Result<Option<Content>, EngineError> {
        let part = self.part(task, output, content, member)?;
        if let (Some(Content { shape: Shape::Folder, .. }), Some(member)) = (part, member) {
            let objects = self.store.objects();
            self.members(&content.digest)?
                .map_or(Ok(()), |members| members.keep(Path::new(member), &objects))?;
        }
        Ok(part)
    }
}

/// The files that an external input gives a task: itself, or each that its pattern finds.
fn external_items(chosen: &Chosen, name: &str) -> Vec<InputArtifact> {
    let artifact = |path: PathBuf, name: String| InputArtifact {
        item: Item { path, name, labels: Vec::new() },
        content: None,
        remote: None,
    };
    if chosen.only.is_none() {
        return vec![artifact(chosen.path.clone(), name.to_owned())];
    }
    // They were read for the key; what has changed since makes the task start again.
    let found = walk::walk_chosen(chosen).unwrap_or_default();
    let named = |found: walk::Found| {
        let own = found.path.strip_prefix(&chosen.path).unwrap_or(&found.path);
        let name = Path::new(name).join(own).to_string_lossy().into_owned();
        artifact(found.path, name)
    };
    found.into_iter().map(named).collect()
}

/// The folder of an input's artifact: the first one's has the input's name. A name holds no dot.
fn input_folder(name: &str, i: usize) -> String {
    if i == 0 { name.to_owned() } else { format!("{name}.{i}") }
}
