//! What the commands share that look at runs: among which, and which one.

use crate::cli::common::CliError;
use crate::compare::history::{self, HistoryError, Past};
use crate::kind::registry::Registry;
use crate::pipeline::load::load;
use crate::run::error::SessionError;
use crate::store::Store;
use clap::Args;
use std::path::PathBuf;

/// Among which runs.
#[derive(Args)]
pub struct Among {
    /// Look among the runs of this pipeline or experiment only
    #[arg(long, value_name = "FILE")]
    pipeline: Option<PathBuf>,
    /// The folder of the store [default: `artifacts` in the pipeline's project, or here]
    #[arg(long, value_name = "DIR")]
    artifacts: Option<PathBuf>,
}

/// The runs of a store, oldest first.
pub struct Runs {
    pub store: Store,
    /// The name of the pipeline whose runs they are, where one was chosen.
    pipeline: Option<String>,
    runs: Vec<Past>,
}

impl From<HistoryError> for CliError {
    fn from(error: HistoryError) -> CliError {
        CliError::Request(error.to_string())
    }
}

impl Among {
    pub fn runs(&self, registry: &Registry) -> Result<Runs, CliError> {
        let graph = match &self.pipeline {
            Some(file) => Some(load(file, &Default::default(), registry)?),
            None => None,
        };
        let default = || graph.as_ref().map_or("artifacts".into(), |graph| graph.root.join("artifacts"));
        let store = Store::at(&self.artifacts.clone().unwrap_or_else(default))?;
        if let Some(graph) = &graph {
            store.check_owner(&graph.name, &graph.file, &graph.root).map_err(SessionError::from)?;
        }
        let pipeline = graph.map(|graph| graph.name.clone());
        let runs = history::runs(&store, pipeline.as_deref())?;
        Ok(Runs { store, pipeline, runs })
    }
}

impl Runs {
    /// The run that a word names: a name or the beginning of one, `last`, or `last~2` for the second before the last.
    pub fn find(&self, word: &str) -> Result<&Past, CliError> {
        Ok(history::find(&self.runs, word, self.pipeline.as_deref())?)
    }

    /// The run of the same pipeline before one.
    pub fn before(&self, run: &Past) -> Option<&Past> {
        let before = self.runs.iter().take_while(|past| past.run != run.run);
        before.filter(|past| past.pipeline == run.pipeline).last()
    }
}
