//! `onsager store export`.

use crate::cli::common::{self, CliError};
use crate::cli::exit;
use crate::cli::store::text::{self, Place};
use crate::kind::registry::Registry;
use crate::pipeline::experiments::overrides::Overrides;
use crate::pipeline::load::load;
use crate::store::archive::ArchiveError;
use crate::store::export::{self, Form};
use crate::store::files::StoreError;
use crate::store::runs::{self, Run};
use crate::trust::sign::Signer;
use clap::Args;
use std::path::{Path, PathBuf};

/// Write a run with everything that it stands on to one file
///
/// The file is a tar with the run's record, the records of its tasks and all their objects; external input files are not in it.
/// The record says on which host the run was and where its files lay: `--redact` leaves that out. What stages wrote into their outputs
/// stays as it is.
///
/// Examples:
///   onsager store export experiments/quickstart.yaml -o quickstart.onsager
///   onsager store export 2026-05-01T12-00-00-3fa9c1d2 --task law -o law.onsager
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Export {
    #[command(flatten)]
    place: Place,
    /// A run's name, or a pipeline (its file or its name) for the latest run that finished
    #[arg(value_name = "RUN|PIPELINE")]
    run: String,
    /// The file to write
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Only this task or stage and what it needs; may be repeated
    #[arg(long, value_name = "TASK")]
    task: Vec<String>,
    /// Leave out what tells of the machine: host names, paths outside the project, messages of failed tasks, the pipeline's file
    #[arg(long)]
    redact: bool,
    /// Compress the file
    #[arg(long)]
    gzip: bool,
}

impl Export {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        let store = self.place.store()?;
        let run = self.find(runs::all(&store)?, registry)?;
        let form = Form { gzip: self.gzip, redact: self.redact };
        // The time is that of the run, so that exporting it twice gives the same bytes.
        let signer = Signer::of(&self.place.config()?.trust, run.started)?;
        let exported = export::export(&store, &run, &self.task, form, signer.as_ref(), &self.output);
        let moved = exported.map_err(|error| match error {
            ArchiveError::Store(StoreError::Io { path, source, .. }) if path == self.output => {
                CliError::Target { path, source }
            }
            error => error.into(),
        })?;
        if self.place.json {
            common::print_json(&moved);
        } else {
            common::print(&text::exported(&moved, &self.output));
        }
        Ok(exit::DONE)
    }

    fn find(&self, runs: Vec<Run>, registry: &Registry) -> Result<Run, CliError> {
        if let Some(run) = runs.iter().find(|run| run.id == self.run) {
            return Ok(run.clone());
        }
        let file = Path::new(&self.run);
        let pipeline =
            if file.is_file() { load(file, &Overrides::default(), registry)?.name } else { self.run.clone() };
        let of_pipeline: Vec<Run> = runs.into_iter().filter(|run| run.pipeline == pipeline).collect();
        let known = !of_pipeline.is_empty();
        of_pipeline.into_iter().rfind(|run| run.done).ok_or_else(|| {
            CliError::Request(if known {
                format!("no run of `{pipeline}` has finished: run it to its end, or give the name of a run")
            } else {
                format!(
                    "there is no run or pipeline `{}` in the store: `onsager store du` lists the pipelines",
                    self.run
                )
            })
        })
    }
}
