//! The package that is built, and the crates below it whose sources are at hand.

use crate::error::Error;
use crate::manifest::Package;
use crate::paths::{normal, relative};
use crate::workspace::{Workspace, is_copy};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// A package and, recursively, all that its dependencies give by `path`.
pub struct Packages {
    /// The folder of the workspace, to which the names of files are relative.
    pub root: PathBuf,
    /// The package that is built comes first.
    pub all: Vec<Package>,
}

impl Packages {
    /// Reads the manifests, from the one in this folder on.
    pub fn read(folder: &Path) -> Result<Packages, Error> {
        let folder = normal(folder);
        let root = Workspace::of(&folder)?.folder;
        let mut all: Vec<Package> = Vec::new();
        let mut waiting = VecDeque::from([folder]);
        while let Some(folder) = waiting.pop_front() {
            if all.iter().any(|package| package.folder == folder) {
                continue;
            }
            let mut package = Package::read(&folder)?;
            package.prefix = match relative(&root, &folder) {
                same if same.is_empty() => same,
                // Where it lies outside the workspace may differ from machine to machine.
                outside if outside.starts_with("..") => format!("../{}/", package.name),
                inside => format!("{inside}/"),
            };
            for interface in &mut package.interfaces {
                interface.insert_str(0, &package.prefix);
            }
            // Only examples of the package itself can define a kind of it.
            let examples = all.is_empty() && folder.join("examples").is_dir();
            package.dependencies.retain(|dependency| examples || !dependency.dev);
            waiting.extend(package.dependencies.iter().filter_map(|dependency| dependency.folder.clone()));
            all.push(package);
        }
        Ok(Packages { root, all })
    }

    /// The package that is built.
    pub fn built(&self) -> &Package {
        &self.all[0]
    }

    /// The manifests and the folders of sources; some may not exist.
    pub fn watched(&self) -> impl Iterator<Item = PathBuf> {
        let examples = self.built().folder.join("examples");
        let own = self.all.iter().flat_map(|package| {
            ["Cargo.toml", "build.rs", package.sources()].map(|name| package.folder.join(name))
        });
        own.chain([examples, self.root.join("Cargo.toml")])
    }

    /// The package in this folder.
    pub fn at(&self, folder: &Path) -> Option<usize> {
        self.all.iter().position(|package| package.folder == folder)
    }

    /// The name of a file that `package` has or includes.
    pub fn name(&self, package: &Package, file: &Path) -> String {
        match package.prefix.starts_with("..") {
            true => format!("{}{}", package.prefix, relative(&package.folder, file)),
            false => relative(&self.root, file),
        }
    }

    /// Whether a file never enters a fingerprint.
    pub fn is_interface(&self, file: &str) -> bool {
        let mut names = self.all.iter().flat_map(|package| &package.interfaces);
        names.any(|name| file == *name || name.ends_with('/') && file.starts_with(name.as_str()))
    }

    /// The lock file that the build uses, as far as a build script can know; it may not exist.
    pub fn lock(&self, outputs: Option<&Path>) -> PathBuf {
        let own = self.root.join("Cargo.lock");
        // A package that Cargo fetched was built under another lock file than its own: that above the folder for outputs.
        let fetched =
            self.built().folder.ancestors().take_while(|folder| folder.starts_with(&self.root)).any(is_copy);
        let mut above = outputs.into_iter().flat_map(Path::ancestors).map(|folder| folder.join("Cargo.lock"));
        above.find(|lock| fetched && lock.is_file()).unwrap_or(own)
    }
}

impl Package {
    /// The folder of the library's sources, from the root of the workspace: it stands for the crate in paths.
    pub fn space(&self) -> String {
        format!("{}{}", self.prefix, self.sources())
    }

    /// The file of the library, from the root of the workspace.
    pub fn library_file(&self) -> String {
        format!("{}{}", self.prefix, self.library)
    }
}
