//! `onsager serve`.

use crate::cli::common::{self, CliError};
use crate::cli::exit;
use crate::cli::store::text::Place;
use crate::kind::registry::Registry;
use crate::run::workers;
use crate::serve;
use crate::serve::looking::Looking;
use clap::Args;

/// Look at the runs of a project in a browser: live curves, logs, tables, figures
///
/// The server answers only on 127.0.0.1, and only to who has the token in the address that it prints. It reads what runs have written
/// and changes nothing, so it can be opened and ended at any time, beside any run. Of a machine that is elsewhere, take it through
/// `ssh -L 8750:127.0.0.1:8750 MACHINE` with `--port 8750`.
///
/// Examples:
///   onsager serve
///   onsager serve --port 8750 --artifacts /scratch/artifacts
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Serve {
    /// The port [default: one that is free]
    #[arg(long, value_name = "N", default_value = "0", hide_default_value = true)]
    port: u16,
    /// The folder of the store and the outputs [default: `artifacts` in this folder or the nearest above it]
    #[arg(long, value_name = "DIR")]
    artifacts: Option<std::path::PathBuf>,
}

impl Serve {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        let store = Place { artifacts: self.artifacts.clone(), json: false }.store()?;
        let artifacts = store.artifacts().display().to_string();
        let interrupts = workers::interrupts()?;
        let failed = |error: std::io::Error| match self.port {
            0 => CliError::Request(format!("cannot serve on 127.0.0.1: {error}")),
            port => CliError::Request(format!(
                "cannot serve on 127.0.0.1:{port}: {error}; without `--port` a free one is taken"
            )),
        };
        let looking = Looking::at(store, registry).map_err(failed)?;
        serve::serve(looking, self.port, &interrupts, |url| {
            common::print(&format!("`{artifacts}` is shown at {url}\npress Ctrl-C to end\n"));
        })
        .map_err(failed)?;
        Ok(exit::DONE)
    }
}
