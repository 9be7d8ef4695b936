//! Made-up packages in temporary folders.

use onsager_fingerprint::{Closure, Error, Fingerprint, Tree, fingerprints};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

pub type File<'a> = (&'a str, &'a str);

const MANIFEST: File = ("Cargo.toml", "[package]\nname = \"onsager\"\nversion = \"0.1.0\"\n");
const LIB: File = ("src/lib.rs", "//! Map.\npub mod nn;\npub mod random;\npub mod stages;\n");
const NN: File = ("src/nn/mod.rs", "//! Networks.\npub mod layers;\npub(crate) mod unet;\n");
const LAYERS: File = ("src/nn/layers.rs", "pub struct Conv;");
const UNET: File = ("src/nn/unet.rs", "use super::layers::Conv; pub struct UNet(Conv);");
const RANDOM: File = ("src/random.rs", "pub struct Streams;");

pub const ALL_NN: [&str; 3] = ["src/nn/layers.rs", "src/nn/mod.rs", "src/nn/unet.rs"];

/// A folder with these files.
pub struct Made(tempfile::TempDir);

impl Made {
    pub fn new(files: &[File]) -> Made {
        let made = Made(tempfile::tempdir().unwrap());
        files.iter().for_each(|(name, text)| made.write(name, text));
        made
    }

    /// The usual package, with these files over it.
    pub fn usual(files: &[File]) -> Made {
        Made::new(&[&[MANIFEST, LIB, NN, LAYERS, UNET, RANDOM], files].concat())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    pub fn delete(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    pub fn tree(&self) -> Result<Tree, Error> {
        Tree::read(&self.path("."))
    }

    /// The one fingerprint of the package in this folder.
    pub fn fingerprint(&self, package: &str) -> Fingerprint {
        self.fingerprint_with(package, &[])
    }

    /// The one fingerprint of the package in this folder, built with these features.
    pub fn fingerprint_with(&self, package: &str, features: &[&str]) -> Fingerprint {
        let mut all = fingerprints(&self.path(package), features).unwrap();
        assert_eq!(all.len(), 1);
        all.remove(0)
    }
}

pub fn names<T>(parts: &BTreeMap<String, T>) -> Vec<&str> {
    parts.keys().map(String::as_str).collect()
}

/// What `src/stages/train.rs` is built from in the usual package with these files over it.
pub fn closure_of(files: &[File]) -> Result<Closure, Error> {
    Made::usual(files).tree()?.closure("src/stages/train.rs")
}

/// The files that `src/stages/train.rs` with this text is built from, without itself.
pub fn reached(train: &str, files: &[File]) -> Vec<String> {
    let files = [files, &[("src/stages/train.rs", train)]].concat();
    let found = closure_of(&files).unwrap().files;
    assert!(found.contains_key("src/stages/train.rs"));
    found.into_keys().filter(|name| name != "src/stages/train.rs").collect()
}

/// The text of a stage kind, with more code behind it.
pub fn stage(kind: &str, more: &str) -> String {
    format!("struct X; impl Stage for X {{ const KIND: &'static str = {kind:?}; }} {more}")
}

/// Replaces the text of a file for the time of a look, and tells whether the fingerprint of the package changes by it.
pub fn changes(made: &Made, package: &str, name: &str, text: &str) -> bool {
    let before = made.fingerprint(package);
    let path: &Path = &made.path(name);
    let old = fs::read_to_string(path).unwrap();
    made.write(name, text);
    let after = made.fingerprint(package);
    made.write(name, &old);
    before.digest != after.digest
}
