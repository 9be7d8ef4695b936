//! `onsager status`.

use crate::cli::common::{self, CliError, Common};
use crate::cli::documents::{StatusDocument, StatusTask};
use crate::cli::exit;
use crate::kind::registry::Registry;
use crate::run::standing::{Standing, Standings, State};
use clap::Args;

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
        if self.common.json {
            let document = |task: Standing| StatusTask {
                task: task.task,
                state: task.state.name().to_owned(),
                seconds: task.seconds,
                failure: task.failure,
            };
            let tasks = tasks.into_iter().map(document).collect();
            common::print_json(&StatusDocument { pipeline: graph.name.clone(), last_run, tasks });
            return Ok(exit::DONE);
        }
        let width = tasks.iter().map(|task| task.task.chars().count()).max().unwrap_or(0);
        let mut text = String::new();
        for Standing { task, state, seconds, failure } in &tasks {
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
