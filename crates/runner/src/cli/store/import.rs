//! `onsager store import`.

use crate::cli::common::{self, CliError};
use crate::cli::exit;
use crate::cli::store::text::{self, Place};
use crate::store::import;
use clap::Args;
use std::path::PathBuf;

/// Read a run from a file that `onsager store export` wrote
///
/// Every member is checked before anything of it is in the store. A second time changes nothing.
///
/// Example: onsager store import quickstart.onsager
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Import {
    #[command(flatten)]
    place: Place,
    /// The archive
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl Import {
    pub fn execute(&self) -> Result<u8, CliError> {
        if !self.file.exists() {
            return Err(CliError::Request(format!("there is no file `{}`", self.file.display())));
        }
        let moved = import::import(&self.place.store_or_new()?, &self.file)?;
        if self.place.json {
            common::print_json(&moved);
        } else {
            common::print(&format!(
                "imported run {} of `{}`: {}, {}, {}; {} new\n",
                moved.run,
                moved.pipeline,
                text::counted(moved.tasks, "task"),
                text::counted(moved.objects, "object"),
                text::size(moved.bytes),
                common::count(moved.new as u64),
            ));
        }
        Ok(exit::DONE)
    }
}
