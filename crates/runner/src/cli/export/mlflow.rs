//! `onsager export mlflow`.

use crate::cli::common::{self, CliError, plural};
use crate::cli::curve_documents::{MlflowDocument, MlflowRun};
use crate::cli::exit;
use crate::cli::past::Among;
use crate::export::mlflow::{self, MlflowError, Sent};
use crate::export::server::{Server, ServerError};
use crate::kind::registry::Registry;
use crate::run::account::Account;
use clap::Args;

/// Send a run to a tracking server of MLflow: parameters, curves, results, and the commit
///
/// The pipeline is the experiment. Each point of the parameters becomes a run of MLflow; where there are several, they stand below one for
/// all. What is there already stays as it is. `MLFLOW_TRACKING_TOKEN`, or `MLFLOW_TRACKING_USERNAME` and `MLFLOW_TRACKING_PASSWORD`,
/// say who asks.
///
/// Example: onsager export mlflow last --to http://127.0.0.1:5000
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Mlflow {
    /// The run: its name or the beginning of it, `last`, or `last~1` for the one before
    #[arg(value_name = "RUN", default_value = "last")]
    run: String,
    #[command(flatten)]
    among: Among,
    /// The server's address
    #[arg(long, value_name = "URI")]
    to: String,
    /// Print one JSON document instead of text
    #[arg(long)]
    json: bool,
}

impl From<MlflowError> for CliError {
    fn from(error: MlflowError) -> CliError {
        match error {
            MlflowError::Store(error) => error.into(),
            MlflowError::Server(error) => error.into(),
        }
    }
}

impl From<ServerError> for CliError {
    fn from(error: ServerError) -> CliError {
        match error {
            ServerError::Address { .. } => CliError::Request(error.to_string()),
            error => CliError::Remote(error.to_string()),
        }
    }
}

impl Mlflow {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        let server = Server::at(&self.to)?;
        let runs = self.among.runs(registry)?;
        let past = runs.find(&self.run)?;
        let account = Account::read(&runs.store, &past.run)?;
        let sent = mlflow::send(&server, &runs.store, registry.parquet(), past, &account)?;
        if self.json {
            let run =
                |Sent { id, name, there, params, points }| MlflowRun { id, name, there, params, points };
            let runs = sent.into_iter().map(run).collect();
            let (run, experiment) = (past.run.clone(), account.pipeline);
            common::print_json(&MlflowDocument { run, experiment, runs });
            return Ok(exit::DONE);
        }
        for Sent { id, name, there, params, points } in sent {
            let what = match there {
                true => "was there already".to_owned(),
                false => format!("{}, {}", plural(params, "parameter"), plural(points, "point")),
            };
            common::print(&format!("{name}: run {id} of experiment `{}`, {what}\n", account.pipeline));
        }
        Ok(exit::DONE)
    }
}
