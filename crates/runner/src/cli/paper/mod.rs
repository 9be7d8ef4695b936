//! `onsager paper`: a text in LaTeX beside its run.

mod check;
mod site;
mod tarball;

use crate::cli::common::CliError;
use crate::kind::registry::Registry;
use clap::{Args, Subcommand};

/// Compare a paper in LaTeX with its run, and pack it for a publisher
///
/// Examples:
///   onsager paper check papers/feynman/paper.tex
///   onsager paper tarball papers/feynman/paper.tex -o feynman.tar.gz
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Paper {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Check(check::Check),
    Tarball(tarball::Tarball),
}

impl Paper {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        match &self.command {
            Command::Check(check) => check.execute(registry),
            Command::Tarball(tarball) => tarball.execute(registry),
        }
    }
}
