//! `onsager man`.

use crate::cli::common::{self, CliError};
use crate::cli::exit;
use clap::{Args, Command};
use std::fs;
use std::path::PathBuf;

/// Write the manual pages of all commands
///
/// Example: onsager man ~/.local/share/man/man1, then `man onsager-run`
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Man {
    /// The folder that they go to
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Man {
    pub fn execute(&self, program: Command) -> Result<u8, CliError> {
        let cannot = |source| CliError::Target { path: self.folder.clone(), source };
        fs::create_dir_all(&self.folder).map_err(cannot)?;
        clap_mangen::generate_to(program, &self.folder).map_err(cannot)?;
        common::print(&format!(
            "{}: manual pages, `onsager.1` and one for each command\n",
            self.folder.display()
        ));
        Ok(exit::DONE)
    }
}
