//! Inputs and keys: what a task sees, as far as it is known.

use crate::command::tools::Question;
use crate::kind::context::Item;
use crate::kind::registry::{Kind, Registry};
use crate::kind::stage::Output;
use crate::pipeline::graph::{Graph, Source, Task};
use crate::plan::error::EngineError;
use crate::plan::explanation::{Explain, Explanation};
use crate::plan::key::{IdentityHash, KeyHash};
use crate::plan::preimage::{Known, Sink, artifact_name, file_of, remote_name, traverse};
use crate::store::Store;
use crate::store::actions::Action;
use crate::store::chosen::Chosen;
use crate::store::digest::Digest;
use crate::store::objects::{Content, Held, Objects, Shape};
use crate::store::stat::{self, StatCache};
use crate::store::walk;
use crate::worker::protocol::{Assignment, DeclaredOutput, InputArtifact, Remote};
use onsager_numerics::kernel::Level;
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Looks up contents and results for one invocation.
pub struct Resolver<'a> {
    pub graph: &'a Graph,
    identities: Cow<'a, [Digest]>,
    registry: &'a Registry,
    store: &'a Store,
    pub kernel: Level,
    /// The same as text, which enters keys.
    level: String,
    stat: StatCache,
    external: HashMap<Chosen, (Content, Digest)>,
    /// What the tools said that were asked.
    tools: HashMap<Question, String>,
}

impl<'a> Resolver<'a> {
    pub fn new(
        graph: &'a Graph,
        registry: &'a Registry,
        store: &'a Store,
        kernel: Level,
    ) -> Result<Resolver<'a>, EngineError> {
        let identities = match graph.identities.len() == graph.tasks.len() {
            true => Cow::Borrowed(graph.identities.as_slice()),
            false => Cow::Owned(identities(graph, registry)?),
        };
        let stat = store.stat_cache()?;
        Ok(Resolver {
            graph,
            identities,
            registry,
            store,
            kernel,
            level: kernel.to_string(),
            stat,
            external: HashMap::new(),
            tools: HashMap::new(),
        })
    }

    /// What the view shows of this graph: runs that agree in it may show their results at once.
    pub fn shows(&self) -> Digest {
        // Quicker than a digest of all that, which nobody has a reason to forge.
        let mut hash = DefaultHasher::new();
        for (task, identity) in self.graph.tasks.iter().zip(self.identities.iter()) {
            (&task.id, &task.folder, identity).hash(&mut hash);
        }
        self.level.hash(&mut hash);
        Digest::of(&hash.finish().to_le_bytes())
    }

    /// Reads the external inputs of these tasks and asks their tools, in parallel where they are not known. What cannot be read is left
    /// to the task that needs it.
    pub fn read_external(&mut self, selected: &[bool]) {
        let graph = self.graph;
        let tasks = graph.tasks.iter().zip(selected).filter(|(_, selected)| **selected);
        let tasks: Vec<&Task> = tasks.map(|(task, _)| task).collect();
        let chosen: HashSet<&Chosen> = tasks.iter().flat_map(|task| task.external()).collect();
        let found = self.stat.contents(&chosen);
        self.external.extend(found.into_iter().map(|(chosen, content)| (chosen.clone(), content)));
        let questions: HashSet<Question> = tasks.iter().flat_map(|task| questions(graph, task)).collect();
        let answers =
            questions.into_par_iter().filter_map(|question| Some((question.clone(), question.ask().ok()?)));
        self.tools.par_extend(answers);
    }

    /// The links that lead nowhere, in the external inputs that had to be read, and what they say.
    pub fn dangling(&mut self) -> Vec<(PathBuf, PathBuf)> {
        self.stat.dangling()
    }

    /// The external inputs that were read, with their stat data, if none of them has changed since then or shortly before.
    pub fn settled_external(&self, since: SystemTime) -> Option<Vec<(Chosen, Digest)>> {
        let settled = |(chosen, (_, signature)): (&Chosen, &(Content, Digest))| {
            stat::settled(chosen, signature, since).then(|| (chosen.clone(), *signature))
        };
        self.external.iter().map(settled).collect()
    }

    /// What the tools said that were asked.
    pub fn tools(&self) -> Vec<(Question, String)> {
        self.tools.iter().map(|(question, answer)| (question.clone(), answer.clone())).collect()
    }

    /// The key of a task, given the outputs that are known so far; none while an input is not known.
    pub fn key<'o>(
        &mut self,
        number: usize,
        outputs: &dyn Fn(usize) -> Option<&'o [Content]>,
    ) -> Result<Option<Digest>, EngineError> {
        let mut hash = KeyHash::new(&self.identities[number]);
        self.hand_over(number, outputs, &mut hash)?;
        Ok(hash.finish())
    }

    /// Everything that enters the key of a task, given the outputs that are known so far, and the key.
    pub fn explain<'o>(
        &mut self,
        number: usize,
        outputs: &dyn Fn(usize) -> Option<&'o [Content]>,
    ) -> Result<Explanation, EngineError> {
        let mut explain = Explain::default();
        self.hand_over(number, outputs, &mut explain)?;
        Ok(explain.finish())
    }

    /// Hands what enters the key of a task to a sink.
    fn hand_over<'o>(
        &mut self,
        number: usize,
        outputs: &dyn Fn(usize) -> Option<&'o [Content]>,
        sink: &mut impl Sink,
    ) -> Result<(), EngineError> {
        let graph = self.graph;
        let task = &graph.tasks[number];
        let kind = self.kind(task)?;
        for question in questions(graph, task) {
            if let Entry::Vacant(unasked) = self.tools.entry(question) {
                let answer = unasked.key().ask()?;
                unasked.insert(answer);
            }
        }
        let asked: Vec<Question> = questions(graph, task).collect();
        let mut known = Vec::with_capacity(task.sources().count());
        for source in task.sources() {
            known.push(match source {
                Source::Artifact { task, output } => {
                    Known::Content(outputs(*task).map(|outputs| outputs[*output]))
                }
                Source::File { chosen, .. } => Known::Content(Some(self.external(chosen)?.0)),
                Source::Remote { sha256, .. } => {
                    Known::Content(Some(Content { digest: *sha256, shape: Shape::File, size: 0 }))
                }
                // Filled in below, where nothing is read any more.
                Source::Tool { .. } => Known::Content(None),
            });
        }
        let mut asked = asked.iter();
        for (known, _) in
            known.iter_mut().zip(task.sources()).filter(|(_, source)| matches!(source, Source::Tool { .. }))
        {
            let answer = asked.next().and_then(|question| self.tools.get(question));
            *known = answer.map_or(Known::Content(None), |answer| Known::Tool(answer));
        }
        traverse(graph, task, kind, &self.level, &known, sink);
        Ok(())
    }

    /// The kind of a task.
    pub fn kind(&self, task: &Task) -> Result<&'a dyn Kind, EngineError> {
        self.registry.get(&task.kind).ok_or_else(|| unknown_kind(task))
    }

    /// The content of an external file, hashed once in an invocation, and its stat signature then.
    fn external(&mut self, chosen: &Chosen) -> Result<(Content, Digest), EngineError> {
        if let Some(known) = self.external.get(chosen) {
            return Ok(*known);
        }
        let found = self.stat.content(chosen)?;
        self.external.insert(chosen.clone(), found);
        Ok(found)
    }

    /// The external inputs of a task that changed since its key was computed.
    pub fn changed_since(&self, task: &Task) -> Vec<PathBuf> {
        let measure = |chosen| Objects::measure_chosen(chosen, &|_, _| {}, &|_, _| {});
        let mut changed: Vec<PathBuf> = task
            .external()
            .filter(|chosen| match self.external.get(*chosen) {
                // Other stat data need not mean other content: it may have been touched, or linked.
                Some((content, then)) => {
                    !stat::signature_of(chosen).is_ok_and(|now| now == *then)
                        && !measure(chosen).is_ok_and(|now| now == *content)
                }
                None => true,
            })
            .map(|chosen| chosen.path.clone())
            .collect();
        changed.dedup();
        changed
    }

    /// The result of this task with this key, if there is one; the store may hold its bytes or not. A record of other outputs than
    /// the task declares counts as none.
    pub fn result(&self, number: usize, key: &Digest) -> Result<Option<Action>, EngineError> {
        let declared = &self.graph.tasks[number].outputs;
        let fits = |action: &Action| {
            let same = |(output, (name, content)): (&Output, &(String, Content))| {
                output.name == *name && output.folder == (content.shape == Shape::Folder)
            };
            declared.len() == action.outputs.len() && declared.iter().zip(&action.outputs).all(same)
        };
        Ok(self.store.actions().get(key)?.filter(fits))
    }

    /// How the bytes of these outputs stand in the store: as the worst of them does.
    pub fn held(&self, outputs: &[Content]) -> Result<Held, EngineError> {
        let objects = self.store.objects();
        let mut worst = Held::Sound;
        for content in outputs {
            worst = worst.max(objects.check(content)?);
        }
        Ok(worst)
    }

    /// The assignment for a task whose inputs are all known.
    pub fn assignment<'o>(
        &mut self,
        number: usize,
        key: &Digest,
        outputs: &dyn Fn(usize) -> Option<&'o [Content]>,
        work: PathBuf,
        log: PathBuf,
        threads: usize,
    ) -> Result<Assignment, EngineError> {
        let graph = self.graph;
        let task = &graph.tasks[number];
        let mut inputs = Vec::new();
        for (name, sources) in &task.inputs {
            let given = sources.iter().enumerate().flat_map(|(i, source)| match source {
                Source::Artifact { task, output } => {
                    let file = file_of(graph, *task, *output);
                    vec![InputArtifact {
                        item: Item {
                            path: work.join("in").join(input_folder(name, i)).join(file),
                            name: artifact_name(graph, *task, *output),
                            labels: graph.tasks[*task].labels.clone(),
                        },
                        content: outputs(*task).map(|outputs| outputs[*output]),
                        remote: None,
                    }]
                }
                Source::File { chosen, name } => external_items(chosen, name),
                Source::Remote { url, sha256 } => {
                    let name = remote_name(url);
                    let path = self.store.remote().join(sha256.to_string()).join(&name);
                    let remote = Some(Remote { url: url.clone(), sha256: *sha256 });
                    let item = Item { path, name, labels: Vec::new() };
                    vec![InputArtifact { item, content: None, remote }]
                }
                Source::Tool { .. } => Vec::new(),
            });
            inputs.push((name.clone(), given.collect()));
        }
        let declared = |output: &Output| DeclaredOutput {
            name: output.name.clone(),
            file: output.file.clone(),
            folder: output.folder,
        };
        Ok(Assignment {
            number,
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
            sandbox: task.sandbox,
        })
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

/// What the tools of a task are asked, in the order of its inputs.
fn questions<'g>(graph: &'g Graph, task: &'g Task) -> impl Iterator<Item = Question> + 'g {
    let asked = |source: &Source| matches!(source, Source::Tool { .. });
    // Most tasks have none: their parameters stay encoded.
    let params = if task.sources().any(asked) { task.params.value() } else { serde_json::Value::Null };
    task.sources().filter_map(move |source| match source {
        Source::Tool { command } => Some(Question::new(command, &params, &graph.root)),
        _ => None,
    })
}

/// The identity of every task: what its key is made of as far as the pipeline tells.
pub fn identities(graph: &Graph, registry: &Registry) -> Result<Vec<Digest>, EngineError> {
    let identity = |task: &Task| {
        let kind = registry.get(&task.kind).ok_or_else(|| unknown_kind(task))?;
        let mut hash = IdentityHash::default();
        traverse(graph, task, kind, "", &[], &mut hash);
        Ok(hash.finish())
    };
    graph.tasks.iter().map(identity).collect()
}

fn unknown_kind(task: &Task) -> EngineError {
    EngineError::UnknownKind { task: task.id.clone(), kind: task.kind.clone() }
}

/// The folder of an input's artifact: the first one's has the input's name. A name holds no dot.
fn input_folder(name: &str, i: usize) -> String {
    if i == 0 { name.to_owned() } else { format!("{name}.{i}") }
}
