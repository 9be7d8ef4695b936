//! The workspace of a package: whose values its manifest takes over, and whose lock file chooses the versions.

use crate::error::Error;
use crate::paths::normal;
use std::fs;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// A workspace; for a package that is in none, the package itself.
pub struct Workspace {
    pub folder: PathBuf,
    pub manifest: Table,
}

/// What Cargo leaves beside the packages that it downloads or vendors.
const MARKS: [&str; 2] = [".cargo-ok", ".cargo-checksum.json"];

impl Workspace {
    /// The workspace of the package in this folder, by Cargo's rules.
    pub fn of(folder: &Path) -> Result<Workspace, Error> {
        let own = read(&folder.join("Cargo.toml"))?;
        let alone = |own| Ok(Workspace { folder: folder.to_owned(), manifest: own });
        if own.contains_key("workspace") {
            return alone(own);
        }
        if let Some(named) = own.get("package").and_then(|package| package.get("workspace")?.as_str()) {
            let folder = normal(&folder.join(named));
            let manifest = read(&folder.join("Cargo.toml"))?;
            return Ok(Workspace { folder, manifest });
        }
        for above in folder.ancestors() {
            let path = above.join("Cargo.toml");
            if above != folder && path.is_file() {
                let manifest = read(&path)?;
                match manifest.get("workspace") {
                    Some(workspace) if excludes(above, workspace, folder) => break,
                    Some(_) => return Ok(Workspace { folder: above.to_owned(), manifest }),
                    None => {}
                }
            }
            // What lies above a copy of Cargo's is another's.
            if is_copy(above) {
                break;
            }
        }
        alone(own)
    }

    /// A value below `[workspace]`.
    pub fn get(&self, table: &str, key: &str) -> Option<&Value> {
        self.manifest.get("workspace")?.get(table)?.get(key)
    }
}

/// Whether this folder is a package or a repository that Cargo fetched, so that its lock file is not the one in use.
pub fn is_copy(folder: &Path) -> bool {
    MARKS.iter().any(|mark| folder.join(mark).exists())
}

/// Reads a TOML file.
pub fn read(path: &Path) -> Result<Table, Error> {
    let text = fs::read_to_string(path).map_err(|error| Error::Read { path: path.to_owned(), error })?;
    toml::from_str(&text).map_err(|error| Error::Toml { path: path.to_owned(), error })
}

/// Whether a workspace shuts this folder out: below a name in `exclude` and not below one in `members`.
fn excludes(root: &Path, workspace: &Value, folder: &Path) -> bool {
    let below = |list: &str| {
        let names = workspace.get(list).and_then(Value::as_array).into_iter().flatten();
        names.filter_map(Value::as_str).any(|name| folder.starts_with(normal(&root.join(name))))
    };
    below("exclude") && !below("members")
}
