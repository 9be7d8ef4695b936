//! `onsager status`.

use crate::cli::common::{self, CliError, Common};
use crate::cli::documents::{StatusDocument, StatusTask};
use crate::cli::exit;
use crate::cli::facts::{AttemptFacts, RunFacts};
use crate::kind::registry::Registry;
use crate::run::account::Account;
use crate::run::standing::{Standing, Standings, State};
use crate::store::Store;
use clap::Args;
use std::collections::HashMap;

/// Show where each task of a pipeline stands, and how long it took
///
/// Example: onsager status pipelines/path-action.yaml
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Status {
    #[command(flatten)]
    common: Common,
}

impl Status {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        let opened = self.common.session(registry)?;
        let graph = opened.graph()?;
        let Standings { tasks, last_run } = Standings::of(&opened, &graph)?;
        if self.common.asked.json {
            let document = document(opened.store(), graph.name.clone(), last_run, tasks)?;
            common::print_json(&document);
            return Ok(exit::DONE);
        }
        let width = tasks.iter().map(|task| task.task.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for Standing { task, state, seconds, failure, run: _ } in &tasks {
            let time = seconds.map(common::duration).unwrap_or_default();
            let failure = failure.as_deref().filter(|_| *state == State::Failed).unwrap_or("");
            let line = format!("{:8} {task:width$}  {time:>12}  {failure}", state.name());
            text += line.trim_end();
            text.push('\n');
        }
        let done = tasks.iter().filter(|task| task.state == State::Done).count();
        text += &format!("{} of {} done", done, common::plural(tasks.len(), "task"));
        text += &last_run.map_or("; never run\n".to_owned(), |run| format!("; last run {run}\n"));
        common::print(&text);
        Ok(exit::DONE)
    }
}

/// What the records say of the last run, and of the latest attempts at each task.
fn document(
    store: &Store,
    pipeline: String,
    last_run: Option<String>,
    tasks: Vec<Standing>,
) -> Result<StatusDocument, CliError> {
    let mut accounts: HashMap<String, Account> = HashMap::new();
    for run in tasks.iter().filter_map(|task| task.run.as_ref()).chain(&last_run) {
        if !accounts.contains_key(run) {
            accounts.insert(run.clone(), Account::read(store, run)?);
        }
    }
    let document = |task: Standing| {
        let account = task.run.as_ref().and_then(|run| accounts.get(run));
        StatusTask {
            attempts: account.map_or(Vec::new(), |account| AttemptFacts::of(account, &task.task)),
            task: task.task,
            state: task.state.name().to_owned(),
            seconds: task.seconds,
            failure: task.failure,
            run: task.run,
        }
    };
    let tasks = tasks.into_iter().map(document).collect();
    let facts = last_run.as_ref().and_then(|run| accounts.get(run)).map(RunFacts::of);
    Ok(StatusDocument { pipeline, last_run, facts, tasks })
}
