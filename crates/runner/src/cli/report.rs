//! `onsager report`.

use crate::cli::common::{self, CliError};
use crate::cli::exit;
use crate::cli::past::Among;
use crate::kind::registry::Registry;
use crate::pages::report;
use crate::pages::shell::Assets;
use crate::run::account::Account;
use crate::words::size;
use clap::Args;
use std::path::PathBuf;

/// Write a page about a run: timeline, graph, why each task ran, figures and how they were made
///
/// The page is one file that asks nobody for anything. A run is named by its name or the beginning of it, by `last`, or by `last~1` for
/// the one before.
///
/// Examples:
///   onsager report
///   onsager report last --against last~3 -o run.html
///   onsager report --pipeline experiments/quickstart.yaml
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Report {
    /// The run
    #[arg(value_name = "RUN", default_value = "last")]
    run: String,
    /// The file of the page
    #[arg(long, short, value_name = "FILE", default_value = "run.html")]
    output: PathBuf,
    /// Show what differs from this run; may be repeated [default: the run of the pipeline before it]
    #[arg(long, value_name = "RUN")]
    against: Vec<String>,
    #[command(flatten)]
    among: Among,
}

impl Report {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        common::check_folder(&self.output)?;
        let runs = self.among.runs(registry)?;
        let run = runs.find(&self.run)?;
        let mut others = Vec::new();
        for word in &self.against {
            others.push(runs.find(word)?);
        }
        if self.against.is_empty() {
            others.extend(runs.before(run));
        }
        let account = Account::read(&runs.store, &run.run)?;
        let page = report::page(&runs.store, registry.parquet(), &account, run, &others, Assets::Inlined)?;
        common::write_to(&self.output, &page)?;
        let bytes = size(page.len() as u64);
        common::print(&format!("{}: run {} of {}, {bytes}\n", self.output.display(), run.run, run.pipeline));
        Ok(exit::DONE)
    }
}
