//! `onsager worker`: the process that computes tasks. Started by the executor, never by a person.

use super::common::CliError;
use super::exit;
use crate::engine::resolve::EngineError;
use crate::engine::worker::{self, TaskLog};
use crate::kernel::Level;
use crate::stages::registry::Registry;
use crate::store::Store;
use clap::Args;
use std::path::PathBuf;
use tracing_subscriber::EnvFilter;

#[derive(Args)]
pub struct Worker {
    artifacts: PathBuf,
    kernel: Level,
    log_format: String,
}

impl Worker {
    pub fn execute(&self, registry: &Registry) -> Result<u8, CliError> {
        Level::pin(self.kernel)?;
        let log = TaskLog::default();
        let filter = EnvFilter::try_from_env("ONSAGER_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_ansi(false)
            .with_writer(move || writer.clone());
        if self.log_format == "json" {
            subscriber.json().init()
        } else {
            subscriber.init()
        }
        let store = Store::at(&self.artifacts)?;
        worker::serve(registry, &store, &log).map_err(EngineError::Worker)?;
        Ok(exit::DONE)
    }
}
