//! `onsager diff`.

use crate::cli::common::{self, CliError};
use crate::cli::exit;
use crate::cli::past::Among;
use crate::compare::difference::{self, Difference};
use crate::kind::registry::Registry;
use clap::Args;

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
    #[command(flatten)]
    among: Among,
    /// Print one JSON document instead of text
    #[arg(long)]
    json: bool,
}

impl Diff {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        let runs = self.among.runs(registry)?;
        let (old, new) = (runs.find(&self.old)?, runs.find(&self.new)?);
        let difference = difference::difference(&runs.store, registry.parquet(), old, new)?;
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
            text += &format!("  {change}\n");
        }
    }
    for task in &difference.tasks {
        text += &format!("{}\n", task.task);
        for change in &task.changes {
            text += &format!("  {change}\n");
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
