//! `onsager export crate`.

use crate::cli::common::{self, CliError};
use crate::cli::curve_documents::CrateDocument;
use crate::cli::exit;
use crate::cli::past::Among;
use crate::cli::store::text::{self, Place};
use crate::export::ro_crate::write::{self, CrateError, Form};
use crate::kind::registry::Registry;
use crate::store::files::StoreError;
use crate::store::runs;
use crate::trust::sign::Signer;
use clap::Args;
use std::path::PathBuf;

/// Write a run as an archive that others can open: an RO-Crate, for Zenodo, a reviewer, or a colleague
///
/// The file is a zip: a Provenance Run Crate (RO-Crate 1.1) with the pipeline's files, the results by the names of their tasks, who ran what
/// when with which parameters, a page to look at (`ro-crate-preview.html`), `CITATION.cff` and `.zenodo.json`. `title`, `description`,
/// `license` and `authors` of the pipeline say what it is and whose. One run always gives the same bytes.
///
/// Unpacked, it is a project. `onsager store import FILE.zip` takes the results into a store; then `onsager run` executes nothing.
///
/// Examples:
///   onsager export crate -o run.zip
///   onsager export crate last~1 -o run.zip --pipeline experiments/quickstart.yaml --redact
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct RoCrate {
    /// The run: its name or the beginning of it, `last`, or `last~1` for the one before
    #[arg(value_name = "RUN", default_value = "last")]
    run: String,
    #[command(flatten)]
    among: Among,
    /// The file to write
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Leave out what tells of the machine: hosts, users, paths outside the project, the environment, messages of failed tasks
    #[arg(long)]
    redact: bool,
    /// Leave out the bytes of the results: their sizes and digests stay. Nothing can be imported then
    #[arg(long)]
    without_objects: bool,
    /// Print one JSON document instead of text
    #[arg(long)]
    json: bool,
}

impl From<CrateError> for CliError {
    fn from(error: CrateError) -> CliError {
        match error {
            CrateError::Archive(error) => error.into(),
            CrateError::Store(error) => error.into(),
            error => CliError::Request(error.to_string()),
        }
    }
}

impl RoCrate {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        let runs = self.among.runs(registry)?;
        let past = runs.find(&self.run)?;
        let id = past.run.clone();
        let Some(run) = runs::all(&runs.store)?.into_iter().find(|run| run.id == id) else {
            return Err(CliError::Request(format!("the record of run `{id}` cannot be read")));
        };
        let form = Form { redact: self.redact, objects: !self.without_objects };
        let place = Place { artifacts: Some(runs.store.artifacts().to_owned()), json: false };
        let trust = place.config()?.trust;
        // The time is that of the run, so that exporting it twice gives the same bytes.
        let signer = Signer::of(&trust, run.started)?;
        let written =
            write::write(&runs.store, &run, form, signer.as_ref(), registry.parquet(), &self.output);
        let written = written.map_err(|error| match error {
            CrateError::Store(StoreError::Io { path, source, .. }) if path == self.output => {
                CliError::Target { path, source }
            }
            error => error.into(),
        })?;
        let (moved, notes) = (written.moved, written.notes);
        if self.json {
            common::print_json(&CrateDocument {
                run: moved.run,
                pipeline: moved.pipeline,
                file: self.output.clone(),
                tasks: moved.tasks,
                objects: moved.objects,
                bytes: moved.bytes,
                notes,
            });
            return Ok(exit::DONE);
        }
        common::print(&text::exported(&moved, &self.output));
        notes.iter().for_each(|note| common::print_error(&format!("note: {note}")));
        Ok(exit::DONE)
    }
}
