//! A result by its name: `stage.output` of a pipeline, as the last run left it, and whether that is what the pipeline says now.

use crate::pipeline::graph::{Graph, SelectError};
use crate::pipeline::spec::reference::{self, ReferenceError};
use crate::plan::planned::{Planned, Verdict, plan};
use crate::run::error::SessionError;
use crate::run::session::{self, Session};
use crate::store::objects::Content;
use onsager_tables::names::{did_you_mean, list};
use serde_json::Value;
use std::collections::HashSet;
use std::path::PathBuf;

/// The name of a result, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// What selects the tasks: `law`, `motion[system=free]`, `tubes=40/law`.
    pub tasks: String,
    /// The output; the only one where none is named.
    pub output: Option<String>,
}

/// Why a name stands for no result.
#[derive(Debug, thiserror::Error)]
pub enum NameError {
    #[error("`{name}` is no result: {reason}; write `stage.output` or `stage[axis=value].output`")]
    Unreadable { name: String, reason: ReferenceError },
    #[error(transparent)]
    Select(#[from] SelectError),
    #[error("`{task}` has no output `{output}`; {help}")]
    NoOutput { task: String, output: String, help: String },
    #[error("`{task}` has several outputs: {}; write `{task}.{}`", list(.outputs), .outputs[0])]
    Several { task: String, outputs: Vec<String> },
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// How a result stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Standing {
    /// It is what the pipeline says now, and in the view.
    Current,
    /// It is known, and the view lacks it or has an edited copy.
    Kept,
    /// The view has one that was made of something else, for what the plan tells.
    Stale(Box<Planned>),
    /// There is none.
    Missing(Box<Planned>),
}

/// One result.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    pub task: String,
    pub output: String,
    pub labels: Vec<(String, Value)>,
    /// Where it is, or would be, found.
    pub path: PathBuf,
    pub standing: Standing,
    /// Of a result that is known.
    pub content: Option<Content>,
}

impl Name {
    pub fn parse(name: &str) -> Result<Name, NameError> {
        let unreadable = |reason| NameError::Unreadable { name: name.to_owned(), reason };
        // A point of an experiment may hold dots: `lr=0.1/train.loss`.
        let start = name.split('[').next().and_then(|before| before.rfind('/')).map_or(0, |at| at + 1);
        let reference = reference::parse(&name[start..]).map_err(unreadable)?;
        let tasks = match &reference.output {
            Some(output) => name[..name.len() - output.len()].trim_end().trim_end_matches('.'),
            None => name,
        };
        Ok(Name { tasks: tasks.to_owned(), output: reference.output })
    }

    /// The tasks that the name stands for, and the position of the output in each.
    pub fn select(&self, graph: &Graph) -> Result<Vec<(usize, usize)>, NameError> {
        let tasks = graph.select(&self.tasks)?;
        let position = |number: usize| {
            let task = &graph.tasks[number];
            let names: Vec<&str> = task.outputs.iter().map(|output| output.name.as_str()).collect();
            match (&self.output, names.as_slice()) {
                (None, [_]) => Ok((number, 0)),
                (None, _) => Err(NameError::Several {
                    task: self.tasks.clone(),
                    outputs: names.iter().map(|name| (*name).to_owned()).collect(),
                }),
                (Some(output), _) => {
                    let found = names.iter().position(|name| name == output);
                    found.map(|at| (number, at)).ok_or_else(|| NameError::NoOutput {
                        task: self.tasks.clone(),
                        output: output.clone(),
                        help: did_you_mean(output, names.iter().copied(), "its outputs are")
                            .unwrap_or_default(),
                    })
                }
            }
        };
        tasks.into_iter().map(position).collect()
    }

    /// The results, and how they stand.
    pub fn find(&self, session: &Session, graph: &Graph) -> Result<Vec<Found>, NameError> {
        let chosen = self.select(graph)?;
        let store = session.store();
        let mut resolver = session.resolver(graph)?;
        let view = store.view(&graph.name).map_err(SessionError::from)?;
        let mut selected = vec![false; graph.tasks.len()];
        let numbers: Vec<usize> = chosen.iter().map(|(number, _)| *number).collect();
        graph.ancestors(&numbers).into_iter().for_each(|number| selected[number] = true);
        let planned =
            plan(&mut resolver, store, &view, &selected, &HashSet::new()).map_err(SessionError::from)?;
        let mut found = Vec::with_capacity(chosen.len());
        for (number, at) in chosen {
            let task = &graph.tasks[number];
            let output = &task.outputs[at].name;
            let Some(planned) = &planned[number] else { continue };
            let Some(path) = session::output(graph, store, task, output) else { continue };
            let content = planned.outputs.as_ref().and_then(|contents| contents.get(at)).copied();
            let standing = match planned.verdict {
                Verdict::Current => Standing::Current,
                Verdict::Restore => Standing::Kept,
                _ if path.exists() => Standing::Stale(Box::new(planned.clone())),
                _ => Standing::Missing(Box::new(planned.clone())),
            };
            let (task, output, labels) = (task.id.clone(), output.clone(), task.labels.clone());
            found.push(Found { task, output, labels, path, standing, content });
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        for (name, tasks, output) in [
            ("law", "law", None),
            ("law.fit", "law", Some("fit")),
            ("motion[system=free,d=0.5].tubes", "motion[system=free,d=0.5]", Some("tubes")),
            ("motion[d=0.5]", "motion[d=0.5]", None),
            ("lr=0.1,seed=1/train.loss", "lr=0.1,seed=1/train", Some("loss")),
            ("lr=0.1/train[model=a/b].loss", "lr=0.1/train[model=a/b]", Some("loss")),
        ] {
            let expected = Name { tasks: tasks.to_owned(), output: output.map(str::to_owned) };
            assert_eq!(Name::parse(name).unwrap(), expected, "{name}");
        }
        assert!(Name::parse("law.").is_err() && Name::parse("law[").is_err() && Name::parse("").is_err());
    }
}
