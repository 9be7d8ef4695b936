//! How a result was made: the tasks before it, what entered their keys, and the command that makes it again. All of it is in the action
//! records of a run's keys, so nothing here reads a pipeline.

use crate::pages::names::{pipeline_word, point_and_stage, shell_word};
use crate::pipeline::spec::reference;
use crate::run::account::{Account, Standing};
use crate::store::Store;
use crate::store::actions::Action;
use crate::store::digest::Digest;
use crate::store::files::StoreError;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Of more tasks with the same bytes the first are looked at.
const ALIKE: usize = 256;

/// The records of the results that a run has.
#[derive(Debug, Default)]
pub struct Made {
    records: BTreeMap<String, Record>,
    /// What has an output of this stage, of this name, with this content.
    by_content: HashMap<(String, String, Digest), Vec<String>>,
    by_stage: HashMap<String, Vec<String>>,
    /// Every content that a task took, with the kinds of those tasks.
    taken: HashMap<Digest, HashSet<String>>,
}

/// A result, with what is asked of it again and again.
#[derive(Debug)]
pub struct Record {
    pub action: Action,
    pub kind: String,
    /// The fingerprint of the kind.
    pub code: String,
    /// Of a kind that computes.
    pub kernel: Option<String>,
    /// In their order.
    pub inputs: Vec<Input>,
}

/// Something that a task took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// As the stage calls it: `tubes`.
    pub name: String,
    /// As the pipeline calls it: `motion.tubes`, or the path of a file.
    pub called: String,
    pub content: String,
    pub digest: Option<Digest>,
    pub origin: Origin,
}

/// Where an input comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A task of the run.
    Task(String),
    /// A task that the records do not name.
    Lost,
    /// No task: a file of the project, or from elsewhere.
    Outside,
}

impl Made {
    /// The records of a run's tasks, as far as the store has them.
    pub fn read(store: &Store, account: &Account) -> Result<Made, StoreError> {
        let actions = store.actions();
        let mut known = Vec::new();
        for (task, account) in &account.tasks {
            let there = matches!(account.standing, Standing::Cached | Standing::Executed);
            if let Some(key) = account.key.filter(|_| there)
                && let Some(action) = actions.get(&key)?
            {
                known.push((task.clone(), action));
            }
        }
        Ok(Made::of(known.into_iter()))
    }

    /// Of these records, with the tasks that they are of.
    pub fn of(records: impl Iterator<Item = (String, Action)>) -> Made {
        let mut made = Made::default();
        records.for_each(|(task, action)| made.add(&task, action));
        // Who made what is known when all are there.
        let tasks: Vec<String> = made.records.keys().cloned().collect();
        for task in tasks {
            let inputs = made.inputs(&task);
            if let Some(record) = made.records.get_mut(&task) {
                record.inputs = inputs;
            }
        }
        made
    }

    fn add(&mut self, task: &str, action: Action) {
        let stage = point_and_stage(task).1.to_owned();
        for (output, content) in &action.outputs {
            let at = (stage.clone(), output.clone(), content.digest);
            self.by_content.entry(at).or_default().push(task.to_owned());
        }
        let kind = field(&action, "kind").unwrap_or_default();
        for digest in action.inputs() {
            let kinds = self.taken.entry(digest).or_default();
            if !kinds.contains(&kind) {
                kinds.insert(kind.clone());
            }
        }
        self.by_stage.entry(stage).or_default().push(task.to_owned());
        let (code, kernel) = (field(&action, "code").unwrap_or_default(), field(&action, "kernel"));
        let record = Record { action, kind, code, kernel, inputs: Vec::new() };
        self.records.insert(task.to_owned(), record);
    }

    /// The record of a task's result.
    pub fn record(&self, task: &str) -> Option<&Record> {
        self.records.get(task)
    }

    /// The kinds of the tasks that took this content.
    pub fn takers(&self, content: &Digest) -> impl Iterator<Item = &str> {
        self.taken.get(content).into_iter().flatten().map(String::as_str)
    }

    /// What a task took, in the order of its inputs.
    fn inputs(&self, task: &str) -> Vec<Input> {
        let Some(record) = self.record(task) else { return Vec::new() };
        let lines = record.action.lines();
        let mut inputs = Vec::new();
        // The lines of an input come one after the other, its content last.
        let mut about: Vec<&(String, String)> = Vec::new();
        for line in lines.iter() {
            let (field, value) = line;
            let Some(prefix) = field.strip_prefix("inputs").and_then(|rest| rest.strip_suffix(".content"))
            else {
                about.push(line);
                continue;
            };
            let within = |ending: &str| {
                let name = format!("inputs{prefix}{ending}");
                about.iter().find(|(field, _)| *field == name).map(|(_, value)| value.as_str())
            };
            let called = within(".name").unwrap_or_default().to_owned();
            let digest = value.split(' ').next().and_then(|digest| digest.parse().ok());
            let origin = match (within(".file"), digest) {
                (Some(_), Some(digest)) => {
                    let start = format!("inputs{prefix}.label ");
                    let labels = about.iter().filter_map(|(field, value)| {
                        Some(format!("{}={value}", field.strip_prefix(&start)?))
                    });
                    self.origin(task, &called, digest, &labels.collect::<Vec<_>>())
                }
                _ => Origin::Outside,
            };
            let name = prefix.trim_start_matches('.');
            let name = name.strip_suffix("[0]").unwrap_or(name).to_owned();
            inputs.push(Input { name, called, content: value.clone(), digest, origin });
            about.clear();
        }
        inputs
    }

    /// The task that made an input: one of its stage with these bytes, of several that of the same point and coordinates.
    fn origin(&self, taker: &str, called: &str, digest: Digest, labels: &[String]) -> Origin {
        let Ok(name) = reference::parse(called) else { return Origin::Lost };
        let candidates = match &name.member {
            // The bytes are those of something inside an output.
            Some(_) => self.by_stage.get(&name.stage),
            None => self.by_content.get(&(name.stage, name.output.unwrap_or_default(), digest)),
        };
        let point = point_and_stage(taker).0;
        let fit = |task: &&String| {
            let coordinates = task.split_once('[').map_or("", |(_, inside)| inside.trim_end_matches(']'));
            let agree =
                coordinates.split(',').filter(|part| labels.iter().any(|label| label == part)).count();
            (point_and_stage(task).0 == point, agree)
        };
        // The first of those that fit best.
        let candidates = candidates.map_or(&[][..], Vec::as_slice);
        match candidates[..candidates.len().min(ALIKE)].iter().rev().max_by_key(fit) {
            Some(task) => Origin::Task(task.clone()),
            None => Origin::Lost,
        }
    }

    /// The tasks that a result stands on, each after those that it takes from, and the task itself last.
    pub fn chain(&self, task: &str) -> Vec<String> {
        let mut chain = Vec::new();
        let mut seen = HashSet::new();
        // A task is left when what it takes from is there: no recursion, for a chain may have thousands of links.
        let mut waiting = vec![(task.to_owned(), false)];
        while let Some((task, ready)) = waiting.pop() {
            if ready {
                chain.push(task);
                continue;
            }
            if !seen.insert(task.clone()) {
                continue;
            }
            let sources = self.record(&task).map_or(&[][..], |record| &record.inputs);
            waiting.push((task, true));
            for input in sources.iter().rev() {
                if let Origin::Task(source) = &input.origin
                    && !seen.contains(source)
                {
                    waiting.push((source.clone(), false));
                }
            }
        }
        chain
    }

    /// The arrows between stages: outputs of the first are inputs of the second.
    pub fn arrows(&self) -> Vec<(String, String)> {
        let mut arrows = Vec::new();
        let mut seen = HashSet::new();
        for (task, record) in &self.records {
            let stage = point_and_stage(task).1;
            // An artifact has a file's name after its own; a file of the project has none.
            for pair in record.action.lines().windows(2) {
                let [(field, called), (next, _)] = pair else { continue };
                let artifact = field.strip_suffix(".name").zip(next.strip_suffix(".file"));
                if artifact.is_none_or(|(of, other)| of != other || !of.starts_with("inputs")) {
                    continue;
                }
                if let Ok(name) = reference::parse(called)
                    && seen.insert((name.stage.clone(), stage.to_owned()))
                {
                    arrows.push((name.stage, stage.to_owned()));
                }
            }
        }
        arrows
    }

    /// The command that makes a result again, given in the project's folder.
    pub fn command(&self, account: &Account, task: &str) -> String {
        let mut words = vec!["onsager".to_owned(), "run".to_owned()];
        words.push(pipeline_word(&account.file));
        words.push(shell_word(task));
        let arguments = account.facts.as_ref().map_or(&[][..], |facts| &facts.arguments);
        words.extend(given(arguments).iter().map(|word| shell_word(word)));
        // A machine that knows more levels would take another one. Kinds that do not compute have none.
        let numeric = |task: &String| self.record(task).is_some_and(|record| record.kernel.is_some());
        if self.chain(task).iter().any(numeric) {
            words.push(format!("--kernel {}", account.kernel));
        }
        words.join(" ")
    }
}

/// A line of what entered a key.
pub fn field(action: &Action, name: &str) -> Option<String> {
    action.lines().iter().find(|(field, _)| field == name).map(|(_, value)| value.clone())
}

/// The arguments of a run that lay something over its pipeline: `--set KEY=VALUE` and `--params FILE`.
fn given(arguments: &[String]) -> Vec<String> {
    let mut given = Vec::new();
    let mut rest = arguments.iter().take_while(|argument| *argument != "--");
    while let Some(argument) = rest.next() {
        let named = ["--set", "--params"].into_iter().find(|name| argument.starts_with(name));
        match named.and_then(|name| Some((name, argument.strip_prefix(name)?))) {
            Some((name, "")) => {
                if let Some(value) = rest.next() {
                    given.extend([name.to_owned(), value.clone()]);
                }
            }
            Some((name, value)) => {
                if let Some(value) = value.strip_prefix('=') {
                    given.extend([name.to_owned(), value.to_owned()]);
                }
            }
            None => {}
        }
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_laid_over_the_pipeline_is_given_again() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let arguments =
            words("run p.yaml law --jobs 2 --set tubes=60 --set=a=b=c --params more.yaml --json -- --set x");
        assert_eq!(given(&arguments), words("--set tubes=60 --set a=b=c --params more.yaml"));
    }
}
