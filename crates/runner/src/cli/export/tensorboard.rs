//! `onsager export tensorboard`.

use crate::cli::common::{self, CliError, plural};
use crate::cli::curve_documents::TensorboardDocument;
use crate::cli::exit;
use crate::cli::past::Among;
use crate::export::tensorboard::{self, Written};
use crate::kind::registry::Registry;
use crate::run::account::Account;
use clap::Args;
use std::path::PathBuf;

/// Write the curves of a run as event files, which `tensorboard --logdir DIR` shows
///
/// Each task has a folder of its own, DIR/RUN/TASK. Event files have single precision. `onsager run --tensorboard DIR` writes the same
/// while the run goes on.
///
/// Examples:
///   onsager export tensorboard -o logs
///   onsager export tensorboard last~1 -o logs --pipeline experiments/quickstart.yaml
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Tensorboard {
    /// The run: its name or the beginning of it, `last`, or `last~1` for the one before
    #[arg(value_name = "RUN", default_value = "last")]
    run: String,
    #[command(flatten)]
    among: Among,
    /// The folder to write to
    #[arg(long, short, value_name = "DIR")]
    output: PathBuf,
    /// Print one JSON document instead of text
    #[arg(long)]
    json: bool,
}

impl Tensorboard {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        let runs = self.among.runs(registry)?;
        let run = runs.find(&self.run)?.run.clone();
        let account = Account::read(&runs.store, &run)?;
        let Written { tasks, curves, points } = tensorboard::export(&runs.store, &account, &self.output)?;
        if self.json {
            let folder = self.output.clone();
            common::print_json(&TensorboardDocument { run, folder, tasks, curves, points });
        } else if tasks == 0 {
            common::print(&format!("the tasks of run {run} have no curves: nothing was written\n"));
        } else {
            common::print(&format!(
                "wrote {} of {} of run {run} to `{}`\n",
                plural(curves, "curve"),
                plural(tasks, "task"),
                self.output.display()
            ));
        }
        Ok(exit::DONE)
    }
}
