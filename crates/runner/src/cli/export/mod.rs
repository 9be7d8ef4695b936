//! `onsager export`: runs in the forms of other programs.

mod mlflow;
mod ro_crate;
mod tensorboard;

use crate::cli::common::CliError;
use crate::kind::registry::Registry;
use clap::{Args, Subcommand};

/// Hand a run to others: an archive (RO-Crate) for publication; its curves to TensorBoard; parameters, curves and results to MLflow
///
/// `onsager store export` writes a run with all its results to one file for another onsager.
///
/// Examples:
///   onsager export crate -o run.zip
///   onsager export tensorboard -o logs
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Export {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    #[command(name = "crate")]
    RoCrate(ro_crate::RoCrate),
    Tensorboard(tensorboard::Tensorboard),
    Mlflow(mlflow::Mlflow),
}

impl Export {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        match &self.command {
            Command::RoCrate(command) => command.execute(registry),
            Command::Tensorboard(command) => command.execute(registry),
            Command::Mlflow(command) => command.execute(registry),
        }
    }
}
