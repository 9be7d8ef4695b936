//! What the store's commands share: which store, and how numbers read.

use crate::cli::common::{CliError, count, here, root};
use crate::config::trust::Trust;
use crate::config::{self, Config};
use crate::pipeline::project;
use crate::store::Store;
use crate::store::archive::{ArchiveError, Moved};
use crate::store::files::StoreError;
use crate::trust::keyring::{self, KeyringError};
pub use crate::words::size;
use clap::Args;
use std::path::{Path, PathBuf};

/// What an export to this file came to.
pub fn exported(moved: &Moved, file: &Path) -> String {
    format!(
        "exported run {} of `{}` to `{}`: {}, {}, {}\n",
        moved.run,
        moved.pipeline,
        file.display(),
        counted(moved.tasks, "task"),
        counted(moved.objects, "object"),
        size(moved.bytes),
    )
}

/// Which store.
#[derive(Args)]
pub struct Place {
    /// The folder of the store and the outputs [default: `artifacts` in this folder or the nearest above it]
    #[arg(long, value_name = "DIR")]
    pub artifacts: Option<PathBuf>,
    /// Print one JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

impl Place {
    /// The store, which must be there.
    pub fn store(&self) -> Result<Store, CliError> {
        let artifacts = self.found()?.ok_or_else(|| {
            CliError::Request(
                "there is no store in this folder or above it: go to a project that was run, or give `--artifacts DIR`".into(),
            )
        })?;
        if !artifacts.join(".onsager").is_dir() {
            let message = format!("`{}` holds no store: no pipeline was run with it", artifacts.display());
            return Err(CliError::Request(message));
        }
        Ok(Store::open(&artifacts)?)
    }

    /// What the `onsager.toml` says of the project in this folder, or of the store's where this one has none.
    pub fn config(&self) -> Result<Config, CliError> {
        let mut roots = vec![root()?];
        if let Some(store) = self.found()? {
            let store = std::path::absolute(&store).map_err(StoreError::io("find", &store))?;
            roots.extend(store.parent().map(project::find));
        }
        let root = roots.iter().find(|root| root.join(config::FILE).is_file()).unwrap_or(&roots[0]);
        Ok(Config::of(root)?)
    }

    /// Whose results count here.
    pub fn trust(&self) -> Result<Trust, CliError> {
        Ok(keyring::with_own(self.config()?.trust)?)
    }

    /// The store, made where there is none yet.
    pub fn store_or_new(&self) -> Result<Store, CliError> {
        Ok(Store::open(&self.found()?.unwrap_or_else(|| PathBuf::from("artifacts")))?)
    }

    fn found(&self) -> Result<Option<PathBuf>, CliError> {
        if let Some(given) = &self.artifacts {
            return Ok(Some(given.clone()));
        }
        let here = here()?;
        let all = here.ancestors().map(|folder| folder.join("artifacts"));
        Ok(all.into_iter().find(|artifacts| artifacts.join(".onsager").is_dir()))
    }
}

/// `1,234 objects`.
pub fn counted(number: usize, noun: &str) -> String {
    format!("{} {noun}{}", count(number as u64), if number == 1 { "" } else { "s" })
}

/// An error of an archive, by whose fault it is.
impl From<ArchiveError> for CliError {
    fn from(error: ArchiveError) -> CliError {
        match error {
            ArchiveError::Store(error) => error.into(),
            error => CliError::Request(error.to_string()),
        }
    }
}

/// A key that is wrong or not there.
impl From<KeyringError> for CliError {
    fn from(error: KeyringError) -> CliError {
        CliError::Request(error.to_string())
    }
}
