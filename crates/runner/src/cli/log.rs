//! `onsager log`.

use crate::cli::common::{self, CliError, Common};
use crate::cli::documents::LogTask;
use crate::cli::exit;
use crate::kind::registry::Registry;
use crate::run::events::{self, Event};
use crate::store::Store;
use crate::store::files::StoreError;
use clap::Args;
use std::fs;
use std::path::PathBuf;

/// Show the log of a task's latest execution
///
/// Example: onsager log experiments/quickstart.yaml law
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Log {
    #[command(flatten)]
    common: Common,
    /// The task
    #[arg(value_name = "TASK")]
    task: String,
}

impl Log {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        let opened = self.common.session(registry)?;
        let (graph, store) = (opened.graph()?, opened.store());
        let mut documents = Vec::new();
        let mut text = String::new();
        let tasks = graph.select(&self.task)?;
        for number in &tasks {
            let id = &graph.tasks[*number].id;
            let Some((run, path)) = latest(store, &graph.name, id)? else { continue };
            let bytes = fs::read(&path).map_err(StoreError::io("read", &path))?;
            let content = String::from_utf8_lossy(&bytes).into_owned();
            if tasks.len() > 1 {
                text += &format!("==> {id} <==\n");
            }
            text += &content;
            documents.push(LogTask { task: id.clone(), run, path, log: content });
        }
        if documents.is_empty() {
            return Err(CliError::Request(format!(
                "`{}` has not been executed yet: there is no log",
                self.task
            )));
        }
        if self.common.json {
            common::print_json(&documents)
        } else {
            common::print(&text)
        }
        Ok(exit::DONE)
    }
}

/// The run that executed the task last, and its log.
fn latest(store: &Store, pipeline: &str, task: &str) -> Result<Option<(String, PathBuf)>, CliError> {
    for record in events::records(store, pipeline)?.rev() {
        let record = record?;
        let of_task = |event: &Event| matches!(event, Event::TaskStarted { task: id, .. } if id == task);
        // Not where the record says: it may come from elsewhere.
        let log = store.task_log(&record.run, task);
        if record.events.iter().any(of_task) && log.exists() {
            return Ok(Some((record.run, log)));
        }
    }
    Ok(None)
}
