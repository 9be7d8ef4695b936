//! Inputs that no stage makes lie apart from what runs write: else each run would change what it has just read, and no end of it.

use crate::store::chosen::Chosen;
use std::fs;
use std::path::{Path, PathBuf};

/// What is wrong with an input's place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotApart {
    #[error("`{name}` holds `artifacts`, which every run changes")]
    Holds { name: String },
    #[error("`{name}` is what this pipeline's own stages write")]
    Own { name: String },
    #[error("`{name}` is part of the store")]
    Store { name: String },
}

impl NotApart {
    /// What to do.
    pub fn help(&self) -> &'static str {
        match self {
            NotApart::Holds { .. } => {
                "name the files or folders that the stage reads, like `{file: data}`, or `exclude` that folder"
            }
            NotApart::Own { .. } => "take it from the stage that makes it, like `stage.output`",
            NotApart::Store { .. } => "name a file of the project, or the output of a stage",
        }
    }
}

/// Refuses an input that holds the folder of outputs, unless that is left out of it, or lies in the part of it that this pipeline
/// writes.
pub fn check(chosen: &Chosen, name: &str, artifacts: &Path, pipeline: &str) -> Result<(), NotApart> {
    let (path, artifacts) = (real(&chosen.path), real(artifacts));
    let name = || if name.is_empty() { ".".to_owned() } else { name.to_owned() };
    let left_out = artifacts.strip_prefix(&path).is_ok_and(|below| {
        below.ancestors().any(|folder| !folder.as_os_str().is_empty() && !chosen.takes(folder, true))
    });
    let (view, store) = (artifacts.join(pipeline), artifacts.join(".onsager"));
    if artifacts.starts_with(&path) && !left_out {
        Err(NotApart::Holds { name: name() })
    } else if path.starts_with(view) {
        Err(NotApart::Own { name: name() })
    } else if path.starts_with(store) {
        Err(NotApart::Store { name: name() })
    } else {
        Ok(())
    }
}

/// The path without links and `..`, as far as it is there.
fn real(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}
