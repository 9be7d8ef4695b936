//! `onsager store`: the store's tools, one file per command.

mod again;
mod doctor;
mod du;
mod export;
mod gc;
mod import;
pub mod text;
mod verify;

use crate::cli::common::CliError;
use crate::kind::registry::Registry;
use clap::{Args, Subcommand};

/// Look after the store: check it, collect what is not needed, see what takes the space, try out its file system, move runs between stores
///
/// Example: onsager store verify
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Store {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Verify(verify::Verify),
    Gc(gc::Gc),
    Du(du::Du),
    Doctor(doctor::Doctor),
    Export(export::Export),
    Import(import::Import),
}

impl Store {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        match &self.command {
            Command::Verify(command) => command.execute(registry),
            Command::Gc(command) => command.execute(),
            Command::Du(command) => command.execute(),
            Command::Doctor(command) => command.execute(),
            Command::Export(command) => command.execute(registry),
            Command::Import(command) => command.execute(registry),
        }
    }
}
