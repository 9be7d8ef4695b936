//! The graph of tasks that a pipeline stands for.

use crate::kind::stage::Output;
use crate::pipeline::condition::Condition;
use crate::pipeline::expand::instance::normal;
use crate::pipeline::experiments::overrides::Overrides;
use crate::pipeline::experiments::sweep::search::Search;
use crate::pipeline::shared::{self, same_as};
use crate::pipeline::spec::about::About;
use crate::pipeline::spec::claims::Claimed;
use crate::pipeline::spec::metrics::Metric;
use crate::pipeline::spec::reference::{self, ReferenceError};
pub use crate::pipeline::spec::resources::Resources;
use crate::store::chosen::Chosen;
use crate::store::digest::Digest;
use crate::store::names;
use onsager_tables::names::advice;
use onsager_tables::names::did_you_mean;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// A pipeline, expanded and checked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Graph {
    pub name: String,
    /// The file, as the user gave it.
    #[serde(with = "names")]
    pub file: PathBuf,
    /// The project root, absolute: relative file inputs start there.
    #[serde(with = "names")]
    pub root: PathBuf,
    /// Whether the file is an experiment rather than a pipeline.
    pub experiment: bool,
    /// The settings of the parameters: one, or those of an experiment's sweep.
    pub points: Vec<Point>,
    /// The parameters that are not the same at every point.
    pub swept: Vec<String>,
    /// Every task after those it depends on, otherwise in the order of declaration.
    #[serde(deserialize_with = "tasks")]
    pub tasks: Vec<Task>,
    /// The stages, in the order of declaration.
    pub stages: Vec<StageInfo>,
    /// What the file says of itself.
    pub about: About,
    /// The pools that tasks take places of, with their sizes.
    pub pools: Vec<(String, u32)>,
    /// What is claimed of the metrics; a run tells what became of it.
    pub claims: Vec<Claimed>,
    /// The search that gives an experiment its points.
    pub search: Option<Search>,
    /// The files that the pipeline was read from, with the digest of each.
    #[serde(with = "names::pairs")]
    pub sources: Vec<(PathBuf, Digest)>,
    /// How to read it again when more is known; none where nothing is open.
    pub recipe: Option<Recipe>,
    /// What enters the key of each task as far as the pipeline tells; empty until the engine has computed it.
    pub identities: Vec<Digest>,
    /// The variables of the environment that the pipeline reads, with the digest of each.
    pub env: Vec<(String, Digest)>,
    /// What is allowed, and still likely to be a mistake.
    pub warnings: Vec<String>,
}

/// The texts that a pipeline was read from, and what was laid over it: it grows from these, whatever happens to the files meanwhile.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    pub texts: Vec<(PathBuf, String)>,
    pub given: Overrides,
}

/// One setting of the parameters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// What stands before the names of its tasks, as in `tubes=40,seed=1/motion`; empty when there is only one point.
    pub name: String,
    /// The pipeline's parameters, and the values set inside stages by their dotted keys.
    pub params: Map<String, Value>,
    pub metrics: Vec<Metric>,
    /// The stages that fan out, each with a task that makes what it is over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fanned: Vec<Fanned>,
}

/// A stage that fans out over what a task makes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fanned {
    /// As its tasks are called before their coordinates: `fit`, or `tubes=40/fit` of a sweep.
    pub stage: String,
    pub over: String,
}

/// One instance of a stage.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task {
    /// `motion`, or `motion[system=free,diffusion=0.5]`; of a sweep `tubes=40,seed=1/motion`.
    pub id: String,
    pub stage: String,
    /// The position of its point in [`Graph::points`]; none for a stage of an experiment, which runs once.
    pub point: Option<usize>,
    /// Where its outputs go, below the folder of the graph's name.
    pub folder: String,
    /// The coordinates in the matrix, in the order of the axes.
    pub labels: Vec<(String, Value)>,
    pub kind: String,
    /// The parameters with their defaults, as the kind made them canonical.
    pub params: Params,
    /// The inputs in the order of declaration, each with its artifacts in the order of the pipeline.
    pub inputs: Vec<(String, Vec<Source>)>,
    /// Tasks that it waits for without taking anything of theirs, as positions in [`Graph::tasks`].
    pub after: Vec<usize>,
    #[serde(with = "shared")]
    pub outputs: Arc<Vec<Output>>,
    /// It runs only where this holds.
    pub when: Option<Box<When>>,
    /// It stands for one task for each of the items of an output that is not made yet.
    pub open: Option<Box<Open>>,
    #[serde(with = "shared")]
    pub resources: Arc<Resources>,
    /// Whether a command sees nothing but what it declares.
    pub sandbox: bool,
}

/// Reads tasks; what those that follow each other have in common is kept once, and given back before the next is read.
fn tasks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Task>, D::Error> {
    struct Tasks;
    impl<'de> Visitor<'de> for Tasks {
        type Value = Vec<Task>;

        fn expecting(&self, out: &mut fmt::Formatter) -> fmt::Result {
            out.write_str("tasks")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut read: A) -> Result<Vec<Task>, A::Error> {
            let mut tasks: Vec<Task> = Vec::with_capacity(read.size_hint().unwrap_or(0));
            let (mut outputs, mut resources) = (None, None);
            while let Some(mut task) = read.next_element::<Task>()? {
                task.outputs = same_as(&mut outputs, task.outputs);
                task.resources = same_as(&mut resources, task.resources);
                tasks.push(task);
            }
            Ok(tasks)
        }
    }
    deserializer.deserialize_seq(Tasks)
}

/// The condition of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct When {
    /// As written.
    pub text: String,
    pub condition: Condition,
    /// The results that it compares: each a JSON file, and the field of it, with dots between the steps.
    pub results: Vec<(Source, String)>,
}

/// What a task stands for whose number of instances is not known yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// The output whose items are one instance each.
    pub items: Source,
    /// The axes that are not known; their labels are `*`.
    pub axes: Vec<String>,
}

/// Parameters, kept encoded until someone asks: most tasks of a large graph are cached, and nobody does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Params(Box<[u8]>);

impl Params {
    pub fn new(value: &Value) -> Params {
        // A JSON value has an encoding, and writing to memory does not fail.
        Params(rmp_serde::to_vec(value).unwrap_or_default().into())
    }

    pub fn value(&self) -> Value {
        rmp_serde::from_slice(&self.0).unwrap_or_default()
    }
}

impl Serialize for Params {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Params {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Params, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Params;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("encoded parameters")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Params, E> {
                Ok(Params(bytes.into()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

/// Where an input comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// An output of another task.
    Artifact {
        /// Its position in [`Graph::tasks`].
        task: usize,
        /// Its position in [`Task::outputs`].
        output: usize,
        /// A file or folder inside an output that is a folder: `part-1.csv`, `deep/part-2.csv`.
        member: Option<String>,
    },
    /// The outputs of tasks that are not known yet.
    Open {
        /// Its position in [`Graph::tasks`]; it stands for them.
        task: usize,
        /// As it is called in messages: `fit.result`.
        name: String,
    },
    /// A file or folder that no task makes, or what a pattern finds in one.
    File {
        chosen: Chosen,
        /// As written in the pipeline; of a pattern, the folder that it starts in.
        name: String,
    },
    /// A file from elsewhere.
    Remote { url: String, sha256: Digest },
    /// What a program says of itself: the command that asks it.
    Tool { command: String },
}

impl Source {
    /// The task that makes it.
    pub fn task(&self) -> Option<usize> {
        match self {
            Source::Artifact { task, .. } | Source::Open { task, .. } => Some(*task),
            Source::File { .. } | Source::Remote { .. } | Source::Tool { .. } => None,
        }
    }
}

/// A stage with its tasks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StageInfo {
    pub name: String,
    pub kind: String,
    pub description: Option<String>,
    /// The axes of the matrix, empty without one.
    pub axes: Vec<String>,
    /// The outputs that are data sets for others, each with what it is, in words.
    pub publish: Vec<(String, String)>,
    /// Positions in [`Graph::tasks`], ascending.
    pub tasks: Vec<usize>,
}

/// A word that selects no task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    #[error("`{word}` is no task: {reason}; write `stage` or `stage[axis=value]`")]
    Unreadable { word: String, reason: ReferenceError },
    #[error("`{word}` is an output, not a task; write `{stage}`")]
    Output { word: String, stage: String },
    #[error("there is no point `{point}`{}", advice(.help))]
    NoPoint { point: String, help: Option<String> },
    #[error("the pipeline has no stage `{stage}`{}", advice(.help))]
    NoStage { stage: String, help: Option<String> },
    #[error("stage `{stage}` has no axis `{axis}`{}", advice(.help))]
    NoAxis { stage: String, axis: String, help: Option<String> },
    #[error("`{word}` matches no instance of stage `{stage}`{}", advice(.help))]
    NoInstance { word: String, stage: String, help: Option<String> },
}

impl Graph {
    /// What tells an artifact of a task from others of its stage, for a task that takes it: its coordinates, and for a stage over all
    /// points what the sweep varies.
    pub fn labels<'a>(&'a self, taker: &Task, task: usize) -> impl Iterator<Item = (&'a str, &'a Value)> {
        let task = &self.tasks[task];
        let point = task.point.filter(|_| taker.point.is_none()).and_then(|point| self.points.get(point));
        let own = |name: &str| task.labels.iter().any(|(axis, _)| axis == name);
        let swept = self.swept.iter().filter(move |name| !own(name));
        let varied = swept.filter_map(move |name| Some((name.as_str(), point?.params.get(name)?)));
        varied.chain(task.labels.iter().map(|(axis, value)| (axis.as_str(), value)))
    }

    /// The tasks that a word selects, ascending: `motion` (every instance), `motion[system=free]`, or a task's id. Of a sweep
    /// `motion` is that of every point, `tubes=40/motion` that of one, and `tubes=40` everything of one.
    pub fn select(&self, word: &str) -> Result<Vec<usize>, SelectError> {
        let Some((point, word)) = self.split_point(word)? else { return self.select_in(word, "") };
        let prefix = format!("{point}/");
        if word.is_empty() {
            let inside = |at: &usize| self.tasks[*at].id.starts_with(&prefix);
            return Ok((0..self.tasks.len()).filter(inside).collect());
        }
        self.select_in(word, &prefix)
    }

    /// The name of the point that a word starts with, and the rest of the word.
    fn split_point<'w>(&self, word: &'w str) -> Result<Option<(&'w str, &'w str)>, SelectError> {
        if self.points.len() < 2 {
            return Ok(None);
        }
        for point in &self.points {
            match word.strip_prefix(point.name.as_str()) {
                Some("") => return Ok(Some((word, ""))),
                Some(rest) if rest.starts_with('/') => {
                    return Ok(Some((&word[..point.name.len()], &rest[1..])));
                }
                _ => {}
            }
        }
        let stage = &word[..word.find('[').unwrap_or(word.len())];
        if !stage.contains(['/', '=']) {
            return Ok(None);
        }
        let point = stage.split('/').next().unwrap_or(stage).to_owned();
        let help = did_you_mean(&point, self.points.iter().map(|point| point.name.as_str()), "there are");
        Err(SelectError::NoPoint { point, help })
    }

    /// The tasks whose ids start with `prefix` that a word selects.
    fn select_in(&self, word: &str, prefix: &str) -> Result<Vec<usize>, SelectError> {
        let reference = reference::parse(word)
            .map_err(|reason| SelectError::Unreadable { word: word.to_owned(), reason })?;
        let name = reference.stage;
        if reference.output.is_some() {
            return Err(SelectError::Output { word: word.to_owned(), stage: name });
        }
        let Some(stage) = self.stages.iter().find(|stage| stage.name == name) else {
            let help = did_you_mean(&name, self.stages.iter().map(|stage| stage.name.as_str()), "there are");
            return Err(SelectError::NoStage { stage: name, help });
        };
        if let Some((axis, _)) = reference.wanted.iter().find(|(axis, _)| !stage.axes.contains(axis)) {
            let help = did_you_mean(axis, stage.axes.iter().map(String::as_str), "the axes are");
            return Err(SelectError::NoAxis { stage: name, axis: axis.clone(), help });
        }
        // What is not known yet may be what is wanted.
        let open =
            |task: &Task, axis: &String| task.open.as_ref().is_some_and(|open| open.axes.contains(axis));
        let agrees = |task: &usize| {
            let task = &self.tasks[*task];
            reference.wanted.iter().all(|(axis, value)| {
                open(task, axis)
                    || task
                        .labels
                        .iter()
                        .any(|(name, label)| name == axis && normal(&label_text(label)) == *value)
            })
        };
        let inside = |task: &usize| self.tasks[*task].id.starts_with(prefix);
        let all: Vec<usize> = stage.tasks.iter().copied().filter(inside).collect();
        let found: Vec<usize> = all.iter().copied().filter(agrees).collect();
        if found.is_empty() {
            let ids = all.iter().map(|&task| &self.tasks[task].id[prefix.len()..]);
            let help = did_you_mean(word, ids, "the instances are");
            return Err(SelectError::NoInstance { word: word.to_owned(), stage: name, help });
        }
        Ok(found)
    }

    /// The tasks that select any of the words; every task when there are no words.
    pub fn select_all<S: AsRef<str>>(&self, words: &[S]) -> Result<Vec<usize>, SelectError> {
        if words.is_empty() {
            return Ok((0..self.tasks.len()).collect());
        }
        let mut found = Vec::new();
        for word in words {
            found.extend(self.select(word.as_ref())?);
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// The position of the task with this id.
    pub fn find(&self, id: &str) -> Option<usize> {
        self.tasks.iter().position(|task| task.id == id)
    }

    /// The tasks whose outputs a task takes, ascending, each once.
    pub fn suppliers(&self, task: usize) -> Vec<usize> {
        let mut found: Vec<usize> = self.tasks[task].suppliers().collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The tasks that a task waits for, ascending, each once: those whose outputs it takes, and those that it comes after.
    pub fn dependencies(&self, task: usize) -> Vec<usize> {
        let mut found: Vec<usize> = self.tasks[task].dependencies().collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// For every task the tasks that wait for it.
    pub fn dependents(&self) -> Dependents {
        // A task may take several artifacts of another one: the second and further ones are passed over.
        let mut edges = Vec::new();
        let mut last = vec![usize::MAX; self.tasks.len()];
        for (at, task) in self.tasks.iter().enumerate() {
            for on in task.dependencies() {
                if last[on] != at {
                    last[on] = at;
                    edges.push((on, at));
                }
            }
        }
        let mut starts = vec![0; self.tasks.len() + 1];
        edges.iter().for_each(|(on, _)| starts[on + 1] += 1);
        for at in 0..self.tasks.len() {
            starts[at + 1] += starts[at];
        }
        let mut next = starts.clone();
        let mut tasks = vec![0; edges.len()];
        for (on, at) in edges {
            tasks[next[on]] = at;
            next[on] += 1;
        }
        Dependents { starts, tasks }
    }

    /// These tasks and everything that they depend on, ascending.
    pub fn ancestors(&self, tasks: &[usize]) -> Vec<usize> {
        let mut needed = vec![false; self.tasks.len()];
        for &task in tasks {
            needed[task] = true;
        }
        // Dependencies come first in the order, so one pass backwards meets each task before what it needs.
        for at in (0..self.tasks.len()).rev() {
            if needed[at] {
                for dependency in self.tasks[at].dependencies() {
                    needed[dependency] = true;
                }
            }
        }
        needed.iter().enumerate().filter(|(_, needed)| **needed).map(|(at, _)| at).collect()
    }
}

/// The edges of a graph turned around.
#[derive(Debug, Clone)]
pub struct Dependents {
    starts: Vec<usize>,
    tasks: Vec<usize>,
}

impl Dependents {
    /// The tasks that wait for this one, ascending, each once.
    pub fn of(&self, task: usize) -> &[usize] {
        &self.tasks[self.starts[task]..self.starts[task + 1]]
    }
}

impl Task {
    /// Everything that it is given.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        self.inputs.iter().flat_map(|(_, sources)| sources)
    }

    /// The files and folders that it takes and no task makes.
    pub fn external(&self) -> impl Iterator<Item = &Chosen> {
        self.sources().filter_map(|source| match source {
            Source::File { chosen, .. } => Some(chosen),
            Source::Artifact { .. } | Source::Open { .. } | Source::Remote { .. } | Source::Tool { .. } => {
                None
            }
        })
    }

    /// The tasks that it waits for; a task may come several times.
    pub fn dependencies(&self) -> impl Iterator<Item = usize> {
        self.suppliers().chain(self.after.iter().copied())
    }

    /// The tasks whose outputs it takes, compares or fans out over, in the order of the inputs; a task may come several times.
    pub fn suppliers(&self) -> impl Iterator<Item = usize> {
        self.all_sources().filter_map(Source::task)
    }

    /// Where its inputs come from, what its condition compares, and what it fans out over.
    pub fn all_sources(&self) -> impl Iterator<Item = &Source> {
        let inputs = self.inputs.iter().flat_map(|(_, sources)| sources);
        let results = self.when.iter().flat_map(|when| &when.results).map(|(source, _)| source);
        inputs.chain(results).chain(self.open.iter().map(|open| &open.items))
    }

    /// Renumbers the tasks that it waits for.
    pub fn renumber(&mut self, new: impl Fn(usize) -> usize) {
        self.after.iter_mut().for_each(|task| *task = new(*task));
        let inputs = self.inputs.iter_mut().flat_map(|(_, sources)| sources);
        let results = self.when.iter_mut().flat_map(|when| &mut when.results).map(|(source, _)| source);
        for source in inputs.chain(results).chain(self.open.iter_mut().map(|open| &mut open.items)) {
            if let Source::Artifact { task, .. } | Source::Open { task, .. } = source {
                *task = new(*task);
            }
        }
    }
}

/// A label as it stands in a task's id.
pub fn label_text(label: &Value) -> String {
    match label {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
