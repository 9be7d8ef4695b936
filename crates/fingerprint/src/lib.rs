//! The fingerprints of stage kinds: for each, the digest of the sources and of the crates that it is built from, so that changed
//! code computes its results anew and nobody has to raise a version number. What enters and why: `docs/hashing.md`.
//!
//! A package with kinds of its own has this crate among its `[build-dependencies]`. Its whole `build.rs` is
//! `fn main() { onsager_fingerprint::write() }`. In its `Cargo.toml` it names the sources that hand bytes to the kinds and compute
//! none of them, if it has such:
//!
//! ```toml
//! [package.metadata.onsager]
//! interfaces = ["src/main.rs", "src/screen/"]
//! ```

mod closure;
mod crates;
mod digest;
mod error;
mod features;
mod fingerprint;
mod kinds;
mod left_out;
mod lock;
mod manifest;
mod names;
mod packages;
mod paths;
mod place;
mod reach;
mod resolve;
mod scan;
mod tokens;
mod tree;
mod uses;
mod workspace;

pub use closure::Closure;
pub use error::Error;
pub use fingerprint::Fingerprint;
pub use reach::Extern;
pub use tree::Tree;

use crates::Crates;
use features::Features;
use lock::Lock;
use packages::Packages;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The whole of a build script: writes `fingerprints.rs` into the folder for outputs, and tells Cargo what it read. A mistake
/// stops the build with a message.
pub fn write() {
    if let Err(error) = try_write() {
        println!("cargo::error=no fingerprints: {error}");
    }
}

/// The fingerprints of the kinds of the package in this folder, when it is built with these features.
pub fn fingerprints(folder: &Path, features: &[&str]) -> Result<Vec<Fingerprint>, Error> {
    let packages = Packages::read(folder)?;
    let lock = Lock::read(&packages.lock(None))?;
    let features = features.iter().map(|&feature| feature.to_owned()).collect();
    all(&Tree::of(packages)?, &lock, &features)
}

fn try_write() -> Result<(), Error> {
    let outputs = PathBuf::from(variable("OUT_DIR")?);
    // Cargo sets it only when a feature is on.
    let features = env::var("CARGO_CFG_FEATURE").unwrap_or_default();
    let features = features.split(',').map(str::to_owned).collect();

    let packages = Packages::read(Path::new(&variable("CARGO_MANIFEST_DIR")?))?;
    let lock = packages.lock(Some(&outputs));
    packages.watched().chain([lock.clone()]).for_each(|path| watch(&path));
    let tree = Tree::of(packages)?;
    tree.included().for_each(watch);

    let mut text = String::from("pub const FINGERPRINTS: &[Fingerprint] = &[\n");
    for fingerprint in all(&tree, &Lock::read(&lock)?, &features)? {
        text += &fingerprint.to_string();
    }
    text += "];\n";
    let path = outputs.join("fingerprints.rs");
    fs::write(&path, text).map_err(|error| Error::Write { path, error })
}

fn all(tree: &Tree, lock: &Lock, features: &BTreeSet<String>) -> Result<Vec<Fingerprint>, Error> {
    let features = Features::of(&tree.packages, features);
    let crates = Crates::read(&tree.packages, lock, &features);
    let kinds = tree.kinds()?.into_iter();
    kinds.map(|(kind, file)| Fingerprint::of(&kind, &file, tree, &crates, &features)).collect()
}

fn variable(name: &'static str) -> Result<String, Error> {
    env::var(name).map_err(|_| Error::Variable(name))
}

/// Asks Cargo to run the build script again when this changes. Cargo takes what does not exist for changed.
fn watch(path: &Path) {
    if path.exists() {
        println!("cargo::rerun-if-changed={}", path.display());
    }
}
