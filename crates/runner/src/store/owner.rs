//! Whose view it is: two pipeline files with one name would overwrite each other's results in the view, and read each other's.

use crate::store::Store;
use crate::store::files::{self, StoreError};
use crate::store::names;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// The file that a view belongs to.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Owner {
    /// Absolute, without links.
    #[serde(with = "names")]
    file: PathBuf,
    /// From the project's root: the same file in another copy of the project is no other pipeline.
    #[serde(with = "names")]
    within: PathBuf,
}

impl Owner {
    fn of(file: &Path, root: &Path) -> Owner {
        let file = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        let root = fs::canonicalize(root).unwrap_or_else(|_| root.to_owned());
        let within = file.strip_prefix(root).unwrap_or(&file).to_owned();
        Owner { file, within }
    }

    /// Whether its file still exists and still has this name. One that cannot be read may have it.
    fn still_has(&self, name: &str) -> bool {
        let Ok(text) = fs::read_to_string(&self.file) else { return self.file.exists() };
        serde_yaml::from_str::<serde_json::Value>(&text).map_or(true, |tree| tree["name"] == name)
    }
}

/// The results of another file have this name.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{}` has the name `{name}`, and `{}` holds the results of `{}`, which has it too: give one of them another `name`",
    file.display(), view.display(), owner.display()
)]
pub struct Taken {
    pub name: String,
    pub file: PathBuf,
    pub view: PathBuf,
    pub owner: PathBuf,
}

impl Store {
    /// Refuses a pipeline whose name another file has, with results in the view.
    pub fn check_owner(&self, name: &str, file: &Path, root: &Path) -> Result<(), Taken> {
        let Some(owner) = self.owner(name) else { return Ok(()) };
        if owner.within == Owner::of(file, root).within || !owner.still_has(name) {
            return Ok(());
        }
        let view = self.artifacts().join(name);
        Err(Taken { name: name.to_owned(), file: file.to_owned(), view, owner: owner.file })
    }

    /// Notes that the view of this name is that of this file. A pipeline that a program made has none.
    pub fn own(&self, name: &str, file: &Path, root: &Path) -> Result<(), StoreError> {
        let owner = Owner::of(file, root);
        if !file.is_file() || self.owner(name).as_ref() == Some(&owner) {
            return Ok(());
        }
        let path = self.owner_path(name);
        let bytes = files::json(&path, &owner)?;
        files::write_soon(&path, &bytes)
    }

    fn owner(&self, name: &str) -> Option<Owner> {
        serde_json::from_slice(&fs::read(self.owner_path(name)).ok()?).ok()
    }

    fn owner_path(&self, name: &str) -> PathBuf {
        self.root.join("views").join(format!("{name}.owner"))
    }
}
