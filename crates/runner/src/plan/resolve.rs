//! Inputs and keys: what a task sees, as far as it is known.

use crate::command::tools::Question;
use crate::kind::context::Item;
use crate::kind::registry::{Kind, Registry};
use crate::kind::stage::Output;
use crate::pipeline::expand::interpolate::lookup;
use crate::pipeline::expand::items::Items;
use crate::pipeline::graph::{Graph, Source, Task, When};
use crate::plan::error::{ConditionFault, EngineError};
use crate::plan::explanation::Explanation;
use crate::plan::preimage::{Known, artifact_name, file_of, remote_name, traverse};
use crate::plan::rows;
use crate::store::Store;
use crate::store::actions::Action;
use crate::store::chosen::Chosen;
use crate::store::digest::Digest;
use crate::store::files::StoreError;
use crate::store::key::{IdentityHash, KeyHash};
use crate::store::material::Material;
use crate::store::members::Members;
use crate::store::objects::{Content, Held, Objects, Shape};
use crate::store::stat::{self, StatCache};
use crate::store::walk;
use crate::worker::protocol::{Assignment, DeclaredOutput, InputArtifact, Remote};
use onsager_numerics::kernel::Level;
use onsager_tables::names::did_you_mean;
use rayon::prelude::*;
use serde_json::Value;
use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
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
    /// The JSON files that conditions compare, as far as they were read.
    documents: HashMap<Digest, Value>,
    /// What is inside folders, as far as it was read.
    members: HashMap<Digest, Members>,
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
                let path = self.store.objects().path(&content.digest);
                if !path.exists() {
                    return Ok(None);
                }
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
            let bytes = match fs::read(self.store.objects().path(&content.digest)) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                bytes => bytes.map_err(|error| error.to_string())?,
            };
            let document = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
            self.documents.insert(content.digest, document);
        }
        Ok(self.documents.get(&content.digest))
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
    fn part(
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

    /// The tasks whose outputs have to be read to decide on a task, and whose bytes the store lacks: the lists of folders that it reads
    /// a part of, the results that its condition compares, and what it fans out over.
    pub fn unread<'o>(
        &mut self,
        number: usize,
        outputs: &dyn Fn(usize) -> Option<&'o [Content]>,
    ) -> Result<Vec<usize>, EngineError> {
        let task = &self.graph.tasks[number];
        let mut unread = Vec::new();
        for source in task.inputs.iter().flat_map(|(_, sources)| sources) {
            if let Source::Artifact { task, output, member: Some(_) } = source
                && let Some(made) = outputs(*task)
                && !unread.contains(task)
                && !made[*output].is_absent()
                && self.members(&made[*output].digest)?.is_none()
            {
                unread.push(*task);
            }
        }
        let results = task.when.iter().flat_map(|when| &when.results).map(|(source, _)| source);
        for source in results.chain(task.open.iter().map(|open| &open.items)) {
            if let Source::Artifact { task, output, .. } = source
                && let Some(made) = outputs(*task)
                && !unread.contains(task)
                && !made[*output].is_absent()
                && self.store.objects().check(&made[*output])? != Held::Sound
            {
                unread.push(*task);
            }
        }
        Ok(unread)
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
                let fits = match content.shape {
                    Shape::Absent => output.optional,
                    shape => output.folder == (shape == Shape::Folder),
                };
                fits && output.name == *name
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

    /// The assignment for a task whose inputs are all known. If it `travels`, files outside the store go with it as objects.
    // What it needs is one thing each.
    #[allow(clippy::too_many_arguments)]
    pub fn assignment<'o>(
        &mut self,
        number: usize,
        key: &Digest,
        outputs: &dyn Fn(usize) -> Option<&'o [Content]>,
        work: PathBuf,
        log: PathBuf,
        threads: usize,
        travels: bool,
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
                        for mut found in external_items(chosen, called) {
                            let one = if chosen.only.is_some() {
                                Chosen::whole(found.item.path.clone())
                            } else {
                                chosen.clone()
                            };
                            found.content = Some(self.kept_file(&one)?);
                            let file = found.item.path.file_name().unwrap_or_default().to_owned();
                            let folder = input_folder(name, given.len());
                            found.item.path = work.join("in").join(folder).join(file);
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
