//! `onsager export`: runs in the forms of other programs.

mod mlflow;
mod tensorboard;

use crate::cli::common::CliError;
use crate::kind::registry::Registry;
use clap::{Args, Subcommand};

/// Hand a run to another program: its curves to TensorBoard; parameters, curves and results to MLflow
///
/// `onsager store export` writes a run with all its results to one file.
///
/// Example: onsager export tensorboard -o logs
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Export {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Tensorboard(tensorboard::Tensorboard),
    Mlflow(mlflow::Mlflow),
}

impl Export {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        match &self.command {
            Command::Tensorboard(command) => command.execute(registry),
            Command::Mlflow(command) => command.execute(registry),
        }
    }
}
