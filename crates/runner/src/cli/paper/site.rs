//! Which paper, and the run that it is compared with.

use crate::cli::common::{CliError, Given};
use crate::kind::registry::Registry;
use crate::paper::document::{Document, DocumentError};
use crate::paper::results::{Results, ResultsError};
use crate::paper::tarball::TarballError;
use clap::Args;
use std::path::PathBuf;

/// Which paper, and of which run.
#[derive(Args)]
pub struct Site {
    /// The main file of the text
    #[arg(value_name = "FILE.tex")]
    text: PathBuf,
    /// The pipeline whose stage `values` has the numbers [default: the one of the project that builds the text]
    #[arg(long, value_name = "FILE")]
    pipeline: Option<PathBuf>,
    #[command(flatten)]
    given: Given,
    /// Print one JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

impl Site {
    pub fn open(&self, registry: &Registry) -> Result<(Document, Results), CliError> {
        let document = Document::read(&self.text)?;
        let settings = self.given.settings(None)?;
        let results = Results::find(&self.text, self.pipeline.as_deref(), &settings, registry)?;
        Ok((document, results))
    }
}

impl From<DocumentError> for CliError {
    fn from(error: DocumentError) -> CliError {
        CliError::Request(error.to_string())
    }
}

impl From<ResultsError> for CliError {
    fn from(error: ResultsError) -> CliError {
        match error {
            ResultsError::Session(error) => error.into(),
            error @ ResultsError::NotComputed { .. } => CliError::NoResult(error.to_string()),
            error => CliError::Request(error.to_string()),
        }
    }
}

impl From<TarballError> for CliError {
    fn from(error: TarballError) -> CliError {
        CliError::Request(error.to_string())
    }
}
