//! What the server looks at.

use crate::kind::registry::Registry;
use crate::run::watched::Watched;
use crate::serve::folds::Folds;
use crate::store::Store;
use crate::store::files::StoreError;
use onsager_tables::head::Heads;
use onsager_tables::read::Parquet;
use std::fmt::Write;
use std::io;
use std::sync::Arc;

/// What is looked at.
pub struct Looking {
    pub store: Store,
    /// What reads Parquet files, and what shows their beginnings, where this build can.
    pub parquet: Option<Arc<dyn Parquet>>,
    pub heads: Option<Arc<dyn Heads>>,
    pub(super) token: String,
    folds: Folds,
}

impl Looking {
    /// At this store, with a token that nobody can guess.
    pub fn at(store: Store, registry: &Registry) -> io::Result<Looking> {
        let mut bytes = [0; 24];
        getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
        let mut token = String::new();
        for byte in bytes {
            // Writing to a String cannot fail.
            let _ = write!(token, "{byte:02x}");
        }
        let (parquet, heads) = registry.parquet_shared();
        Ok(Looking { store, parquet, heads, token, folds: Folds::default() })
    }

    /// Shows a run that is there, as far as its record goes now.
    pub fn watch<T, E: From<StoreError>>(
        &self,
        run: &str,
        show: impl FnOnce(&Watched) -> Result<T, E>,
    ) -> Result<T, E> {
        self.folds.look(&self.store, run, show)
    }
}
