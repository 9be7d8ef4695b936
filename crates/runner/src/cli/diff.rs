//! `onsager diff`.

use crate::cli::common::{self, CliError};
use crate::cli::exit;
use crate::compare::difference::{self, Difference};
use crate::compare::history::{self, HistoryError};
use crate::kind::registry::Registry;
use crate::pipeline::load::load;
use crate::run::error::SessionError;
use crate::store::Store;
use clap::Args;
use std::path::PathBuf;

/// Show what differs between two runs: parameters, metrics, code, inputs and outputs
///
/// A run is named by its name or the beginning of it, by `last`, or by `last~1` for the one before.
///
/// Examples:
///   onsager diff
///   onsager diff last~2 last --pipeline experiments/quickstart.yaml
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Diff {
    /// The old run
    #[arg(value_name = "RUN", default_value = "last~1")]
    old: String,
    /// The new run
    #[arg(value_name = "RUN", default_value = "last")]
    new: String,
    /// Look among the runs of this pipeline or experiment only
    #[arg(long, value_name = "FILE")]
    pipeline: Option<PathBuf>,
    /// The folder of the store [default: `artifacts` in the pipeline's project, or here]
    #[arg(long, value_name = "DIR")]
    artifacts: Option<PathBuf>,
    /// Print one JSON document instead of text
    #[arg(long)]
    json: bool,
}

impl From<HistoryError> for CliError {
    fn from(error: HistoryError) -> CliError {
        CliError::Request(error.to_string())
    }
}

impl Diff {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        let graph = match &self.pipeline {
            Some(file) => Some(load(file, &Default::default(), registry)?),
            None => None,
        };
        let default = || graph.as_ref().map_or("artifacts".into(), |graph| graph.root.join("artifacts"));
        let store = Store::at(&self.artifacts.clone().unwrap_or_else(default))?;
        if let Some(graph) = &graph {
            store.check_owner(&graph.name, &graph.file, &graph.root).map_err(SessionError::from)?;
        }
        let pipeline = graph.as_ref().map(|graph| graph.name.as_str());
        let runs = history::runs(&store, pipeline)?;
        let old = history::find(&runs, &self.old, pipeline)?;
        let new = history::find(&runs, &self.new, pipeline)?;
        let difference = difference::difference(&store, registry.parquet(), old, new)?;
        if self.json {
            common::print_json(&difference);
        } else {
            common::print(&text(&difference));
        }
        Ok(exit::DONE)
    }
}

fn text(difference: &Difference) -> String {
    let (old, new) = (&difference.old, &difference.new);
    let mut text = format!("{} of {} → {} of {}\n", old.run, old.pipeline, new.run, new.pipeline);
    for (title, changes) in [("parameters", &difference.params), ("metrics", &difference.metrics)] {
        if !changes.is_empty() {
            text += &format!("{title}\n");
        }
        for change in changes {
            text += &format!("  {}\n", common::change(change));
        }
    }
    for task in &difference.tasks {
        text += &format!("{}\n", task.task);
        for change in &task.changes {
            text += &format!("  {}\n", common::change(change));
        }
        let named = |same| {
            let outputs = task.outputs.iter().filter(|output| output.same == same);
            outputs.map(|output| output.output.as_str()).collect::<Vec<_>>().join(", ")
        };
        let (differ, same) = (named(false), named(true));
        match (differ.as_str(), same.as_str()) {
            _ if !task.known => text += "  the store no longer knows both results\n",
            ("", _) => text += "  the outputs are the same\n",
            (differ, "") => text += &format!("  outputs that differ: {differ}\n"),
            (differ, same) => text += &format!("  outputs that differ: {differ}; the same: {same}\n"),
        }
    }
    for (tasks, run) in [(&difference.only_old, old), (&difference.only_new, new)] {
        if !tasks.is_empty() {
            text += &format!("only in {}\n", run.run);
        }
        for task in tasks {
            text += &format!("  {task}\n");
        }
    }
    let differ = difference.tasks.len();
    text + &format!("{} with the same key, {differ} with another\n", common::plural(difference.same, "task"))
}
