//! `onsager status`.

use crate::cli::common::{self, CliError, Common};
use crate::cli::documents::{StatusDocument, StatusTask};
use crate::cli::exit;
use crate::kind::registry::Registry;
use crate::plan::planned::{Verdict, plan};
use crate::run::events::{self, Event};
use crate::store::Store;
use clap::Args;
use std::collections::{HashMap, HashSet};

/// Show where each task of a pipeline stands, and how long it took
///
/// Example: onsager status pipelines/path-action.yaml
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Status {
    #[command(flatten)]
    common: Common,
}

/// What the records of runs say of a task, the latest last.
#[derive(Default)]
struct Past {
    seconds: Option<f64>,
    failure: Option<String>,
}

impl Status {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        let opened = self.common.session(registry)?;
        let (graph, store) = (opened.graph()?, opened.store());
        let mut resolver = opened.resolver(&graph)?;
        let view = store.view(&graph.name)?;
        let selected = vec![true; graph.tasks.len()];
        let planned = plan(&mut resolver, store, &view, &selected, &HashSet::new())?;
        let (past, last) = history(store, &graph.name)?;
        let mut rows = Vec::new();
        let mut documents = Vec::new();
        for task in planned.into_iter().flatten() {
            let past = past.get(&task.task);
            let failure = past.and_then(|past| past.failure.clone());
            let busy = task.key.is_some_and(|key| store.is_locked(&key));
            let state = match (&task.verdict, &failure) {
                (_, _) if busy => "running",
                (Verdict::Current | Verdict::Restore, _) => "done",
                (_, Some(_)) => "failed",
                (Verdict::Execute { .. }, None) => "to do",
                (Verdict::Depends { .. }, None) => "waiting",
            };
            let seconds = past.and_then(|past| past.seconds).filter(|_| state == "done");
            let (name, state_name) = (task.task.clone(), state.to_owned());
            documents.push(StatusTask { task: name, state: state_name, seconds, failure: failure.clone() });
            rows.push((state, task.task, seconds, failure.filter(|_| state == "failed")));
        }
        if self.common.json {
            let pipeline = graph.name.clone();
            common::print_json(&StatusDocument { pipeline, last_run: last, tasks: documents });
            return Ok(exit::DONE);
        }
        let width = rows.iter().map(|(_, task, ..)| task.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for (state, task, seconds, failure) in &rows {
            let time = seconds.map(common::duration).unwrap_or_default();
            let line = format!("{state:8} {task:width$}  {time:>12}  {}", failure.as_deref().unwrap_or(""));
            text += line.trim_end();
            text.push('\n');
        }
        let done = rows.iter().filter(|(state, ..)| *state == "done").count();
        text += &format!("{} of {} done", done, common::plural(rows.len(), "task"));
        text += &last.map_or("; never run\n".to_owned(), |run| format!("; last run {run}\n"));
        common::print(&text);
        Ok(exit::DONE)
    }
}

/// What the records say of each task of a pipeline, and the name of its last run.
fn history(store: &Store, pipeline: &str) -> Result<(HashMap<String, Past>, Option<String>), CliError> {
    let mut past: HashMap<String, Past> = HashMap::new();
    let mut last = None;
    for record in events::records(store, pipeline)? {
        let record = record?;
        last = Some(record.run);
        for event in record.events {
            match event {
                Event::TaskFinished { task, seconds, .. } => {
                    past.insert(task, Past { seconds: Some(seconds), failure: None });
                }
                Event::TaskFailed { task, message, .. } => {
                    past.entry(task).or_default().failure = Some(message);
                }
                _ => {}
            }
        }
    }
    Ok((past, last))
}
