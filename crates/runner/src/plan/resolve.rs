//! Inputs and keys: what a task sees, as far as it is known.

use crate::command::tools::Question;
use crate::kind::registry::{Kind, Registry};
use crate::kind::stage::Output;
use crate::pipeline::graph::{Graph, Source, Task};
use crate::plan::error::EngineError;
use crate::plan::explanation::Explanation;
use crate::plan::preimage::{Known, artifact_name, traverse};
use crate::store::Store;
use crate::store::actions::Action;
use crate::store::chosen::Chosen;
use crate::store::digest::Digest;
use crate::store::key::{IdentityHash, KeyHash};
use crate::store::material::Material;
use crate::store::members::Members;
use crate::store::objects::{Content, Held, Objects, Shape};
use crate::store::stat::{self, StatCache};
use onsager_numerics::kernel::Level;
use onsager_tables::names::did_you_mean;
use rayon::prelude::*;
use serde_json::Value;
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
    pub registry: &'a Registry,
    pub(super) store: &'a Store,
    pub kernel: Level,
    /// The same as text, which enters keys.
    level: String,
    stat: StatCache,
    external: HashMap<Chosen, (Content, Digest)>,
    /// What the tools said that were asked.
    tools: HashMap<Question, String>,
    /// The JSON files that conditions compare, as far as they were read.
    pub(super) documents: HashMap<Digest, Value>,
    /// What is inside folders, as far as it was read.
    pub(super) members: HashMap<Digest, Members>,
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
            documents: HashMap::new(),
            members: HashMap::new(),
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

    /// The same for a graph that this one has grown into: what was read is known.
    pub fn grown<'b>(self, graph: &'b Graph) -> Result<Resolver<'b>, EngineError>
    where
        'a: 'b,
    {
        let identities = match graph.identities.len() == graph.tasks.len() {
            true => Cow::Borrowed(graph.identities.as_slice()),
            false => Cow::Owned(identities(graph, self.registry)?),
        };
        Ok(Resolver {
            graph,
            identities,
            registry: self.registry,
            store: self.store,
            kernel: self.kernel,
            level: self.level,
            stat: self.stat,
            external: self.external,
            tools: self.tools,
            documents: self.documents,
            members: self.members,
        })
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
        let contents = self.find_contents(number, outputs)?;
        let graph = self.graph;
        let task = &graph.tasks[number];
        let kind = self.kind(task)?;
        let known = self.known(task, &contents);
        let gaps = contents.iter().flatten().any(Content::is_absent);
        let mut hash = if gaps {
            // The identity that is kept is that of the task with all that the pipeline tells.
            let mut identity = IdentityHash::default();
            traverse(graph, task, kind, "", &known, &mut identity);
            KeyHash::new(&identity.finish())
        } else {
            KeyHash::new(&self.identities[number])
        };
        traverse(graph, task, kind, &self.level, &known, &mut hash);
        Ok(hash.finish())
    }

    /// Everything that enters the key of a task, given the outputs that are known so far, and the key.
    pub fn explain<'o>(
        &mut self,
        number: usize,
        outputs: &dyn Fn(usize) -> Option<&'o [Content]>,
    ) -> Result<Explanation, EngineError> {
        let contents = self.find_contents(number, outputs)?;
        let task = &self.graph.tasks[number];
        let known = self.known(task, &contents);
        let mut material = Material::default();
        traverse(self.graph, task, self.kind(task)?, &self.level, &known, &mut material);
        Ok(Explanation::of(material))
    }

    /// Finds the contents of the inputs of a task, as far as they are known.
    fn find_contents<'o>(
        &mut self,
        number: usize,
        outputs: &dyn Fn(usize) -> Option<&'o [Content]>,
    ) -> Result<Vec<Option<Content>>, EngineError> {
        let graph = self.graph;
        let task = &graph.tasks[number];
        for question in questions(graph, task) {
            if let Entry::Vacant(unasked) = self.tools.entry(question) {
                let answer = unasked.key().ask()?;
                unasked.insert(answer);
            }
        }
        let mut contents = Vec::with_capacity(task.sources().count());
        for source in task.sources() {
            contents.push(match source {
                Source::Artifact { task, output, member } => match outputs(*task).map(|made| made[*output]) {
                    Some(content) => self.part(*task, *output, content, member.as_deref())?,
                    None => None,
                },
                Source::File { chosen, .. } => Some(self.external(chosen)?.0),
                Source::Remote { sha256, .. } => {
                    Some(Content { digest: *sha256, shape: Shape::File, size: 0 })
                }
                // What tools say is no content.
                Source::Open { .. } | Source::Tool { .. } => None,
            });
        }
        Ok(contents)
    }

    /// What is known of the inputs of a task: their contents, and what its tools said.
    fn known<'s>(&'s self, task: &Task, contents: &[Option<Content>]) -> Vec<Known<'s>> {
        let asked: Vec<Question> = questions(self.graph, task).collect();
        let mut asked = asked.iter();
        let known = task.sources().zip(contents).map(|(source, content)| match source {
            Source::Tool { .. } => {
                let answer = asked.next().and_then(|question| self.tools.get(question));
                answer.map_or(Known::Content(None), |answer| Known::Tool(answer))
            }
            _ => Known::Content(*content),
        });
        known.collect()
    }

    /// An output, or what is inside it; nothing while the store lacks the list of its files.
    pub(super) fn part(
        &mut self,
        task: usize,
        output: usize,
        content: Content,
        member: Option<&str>,
    ) -> Result<Option<Content>, EngineError> {
        let Some(member) = member.filter(|_| !content.is_absent()) else { return Ok(Some(content)) };
        let Some(members) = self.members(&content.digest)? else { return Ok(None) };
        let found = members.get(Path::new(member))?;
        if found.is_none() {
            let help = did_you_mean(member, members.files().filter_map(Path::to_str), "there are");
            let artifact = artifact_name(self.graph, task, output, None);
            return Err(EngineError::NoMember { artifact, member: member.to_owned(), help });
        }
        Ok(found)
    }

    /// What is inside a folder, read once; nothing while the store lacks the list.
    pub fn members(&mut self, folder: &Digest) -> Result<Option<&Members>, EngineError> {
        if !self.members.contains_key(folder) {
            let Some(read) = Members::of(&self.store.objects(), folder)? else { return Ok(None) };
            self.members.insert(*folder, read);
        }
        Ok(self.members.get(folder))
    }

    /// How a source is called in messages.
    pub fn name_of(&self, source: &Source) -> String {
        match source {
            Source::Artifact { task, output, member } => {
                artifact_name(self.graph, *task, *output, member.as_deref())
            }
            Source::Open { task, .. } => self.graph.tasks[*task].id.clone(),
            Source::File { name, .. } => name.clone(),
            Source::Remote { url, .. } => url.clone(),
            Source::Tool { command } => command.clone(),
        }
    }

    /// The kind of a task.
    pub fn kind(&self, task: &Task) -> Result<&'a dyn Kind, EngineError> {
        self.registry.get(&task.kind).ok_or_else(|| unknown_kind(task))
    }

    /// The content of an external file, hashed once in an invocation, and its stat signature then.
    pub(super) fn external(&mut self, chosen: &Chosen) -> Result<(Content, Digest), EngineError> {
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
        Ok(self.store.actions().get(key)?.filter(|action| self.fits(number, action)))
    }

    /// Whether a record has the outputs that a task declares.
    pub fn fits(&self, number: usize, action: &Action) -> bool {
        let declared = &self.graph.tasks[number].outputs;
        let same = |(output, (name, content)): (&Output, &(String, Content))| {
            let fits = match content.shape {
                Shape::Absent => output.optional,
                shape => output.folder == (shape == Shape::Folder),
            };
            fits && output.name == *name
        };
        declared.len() == action.outputs.len() && declared.iter().zip(&action.outputs).all(same)
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
