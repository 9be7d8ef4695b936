//! Which source files a stage kind is built from, and the digest of each.
//!
//! Rust paths are followed from the kind's file as tokens, so those inside macros count too. Where a path is not precise,
//! more is taken rather than less: a digest that changes too often costs time, one that changes too seldom a wrong result.

mod scan;
mod tokens;

use proc_macro2::TokenStream;
use scan::{Scan, Source};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The sources that never enter a fingerprint: they move bytes to and from a stage and compute nothing that it writes.
/// A name that ends in `/` is a folder.
pub const INTERFACES: &[&str] = &[
    // The interface of a stage, what it sees of the world, and the list of kinds.
    "src/stages/stage.rs",
    "src/stages/context.rs",
    "src/stages/registry.rs",
    "src/stages/mod.rs",
    // The digests themselves: they cannot hold their own.
    "src/stages/fingerprints.rs",
    // The runner: decides when a stage runs, with what inputs, and where its outputs go.
    "src/cli/",
    "src/engine/",
    "src/pipeline/",
    "src/store/",
];

/// Why no closure can be made.
#[derive(Debug)]
pub enum ClosureError {
    /// A file or folder cannot be read.
    Read(PathBuf, io::Error),
    /// A module in a place that its path does not tell.
    PathAttribute(String),
    /// `include!`, `include_str!` or `include_bytes!` whose file is not told by string literals.
    Include(String),
    /// A file that an `include` macro names cannot be read.
    Included { by: String, file: PathBuf, error: io::Error },
}

impl std::fmt::Display for ClosureError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ClosureError::Read(path, error) => write!(f, "cannot read `{}`: {error}", path.display()),
            ClosureError::PathAttribute(file) => {
                write!(f, "`{file}` has a `#[path]` attribute: put the module where its name says")
            }
            ClosureError::Include(file) => {
                write!(f, "`{file}` includes a file by a computed name: write its path as one string literal")
            }
            ClosureError::Included { by, file, error } => {
                write!(f, "`{by}` includes `{}`, which cannot be read: {error}", file.display())
            }
        }
    }
}

impl std::error::Error for ClosureError {}

/// The sources of a package, read once.
pub struct Tree {
    root: PathBuf,
    /// By name relative to the package, with `/`: `src/motion/tubes.rs`.
    sources: BTreeMap<String, Source>,
    /// The file of each module: `["motion", "tubes"]`.
    modules: BTreeMap<Vec<String>, String>,
}

/// What a file is built from.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Closure {
    /// Each file with its digest: tokens without comments and tests for Rust, bytes for the others.
    pub files: BTreeMap<String, String>,
    /// Identifiers that may name an external crate.
    pub externs: BTreeSet<String>,
}

impl Tree {
    /// Reads every Rust file below `root/src`; `package` is the crate's own name.
    pub fn read(root: &Path, package: &str) -> Result<Tree, ClosureError> {
        let mut tree = Tree { root: root.to_owned(), sources: BTreeMap::new(), modules: BTreeMap::new() };
        let mut folders = vec![root.join("src")];
        while let Some(folder) = folders.pop() {
            let unreadable = |error| ClosureError::Read(folder.clone(), error);
            for entry in fs::read_dir(&folder).map_err(unreadable)? {
                let path = entry.map_err(unreadable)?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    tree.add(&path, package)?;
                }
            }
        }
        tree.remove_tests();
        Ok(tree)
    }

    fn add(&mut self, path: &Path, package: &str) -> Result<(), ClosureError> {
        let name = slashed(path.strip_prefix(&self.root).unwrap_or(path));
        let text = fs::read_to_string(path).map_err(|error| ClosureError::Read(path.to_owned(), error))?;
        let inner = name.trim_start_matches("src/").trim_end_matches(".rs");
        let mut module: Vec<String> = inner.split('/').map(str::to_owned).collect();
        match inner {
            // The binary is its own crate; no kind is built from it.
            "main" => return Ok(()),
            "lib" => module.clear(),
            _ if inner.ends_with("/mod") => drop(module.pop()),
            _ => {}
        }
        let mut source = Source { module: module.clone(), ..Source::default() };
        match text.parse::<TokenStream>() {
            Ok(tokens) => {
                let tokens: Vec<_> = tokens.into_iter().collect();
                source.test_modules = tokens::test_modules(&tokens);
                let tokens = tokens::strip(&tokens);
                let mut hash = Sha256::new();
                tokens::feed(&tokens, &mut hash);
                source.digest = hex(hash);
                source.has_code = !tokens::only_declares_modules(&tokens);
                let mut scan = Scan { root: &self.root, file: &name, package, source: &mut source };
                scan.items(&tokens, &module)?;
            }
            // The compiler will say what is wrong. Until then the file may lead anywhere.
            Err(_) => {
                source.digest = hex(Sha256::new_with_prefix(&text));
                source.paths.insert(Vec::new());
                source.has_code = true;
            }
        }
        self.modules.insert(module, name.clone());
        self.sources.insert(name, source);
        Ok(())
    }

    /// Takes out the files that are compiled for tests alone.
    fn remove_tests(&mut self) {
        let declared = self.sources.values().flat_map(|source| {
            source
                .test_modules
                .iter()
                .map(|child| [source.module.as_slice(), std::slice::from_ref(child)].concat())
        });
        let declared: Vec<Vec<String>> = declared.collect();
        let for_tests = |module: &[String]| declared.iter().any(|tests| module.starts_with(tests));
        self.modules.retain(|module, _| !for_tests(module));
        self.sources.retain(|_, source| !for_tests(&source.module));
    }

    /// The stage kinds by name, each with its file: `random-motion` is in `src/stages/random_motion.rs`, which says
    /// `impl Stage for`. Other files there help them.
    pub fn kinds(&self) -> BTreeMap<String, String> {
        let is_kind = |file: &str| {
            !is_interface(file) && self.sources[file].impls.iter().any(|names| names.contains("Stage"))
        };
        let named = self.modules.iter().filter_map(|(module, file)| match module.as_slice() {
            [stages, kind] if stages == "stages" && is_kind(file) => {
                Some((kind.replace('_', "-"), file.clone()))
            }
            _ => None,
        });
        named.collect()
    }

    /// Everything that this file is built from, itself included.
    pub fn closure(&self, file: &str) -> Result<Closure, ClosureError> {
        let mut closure = Closure::default();
        let mut waiting = vec![file.to_owned()];
        while let Some(name) = waiting.pop() {
            let Some(source) = self.sources.get(&name) else { continue };
            if is_interface(&name) || closure.files.insert(name.clone(), source.digest.clone()).is_some() {
                continue;
            }
            closure.externs.extend(source.externs.iter().cloned());
            for path in &source.paths {
                waiting.extend(self.resolve(path));
            }
            // A parent's macros are visible without a path, and its items may shadow a child's name.
            for depth in 0..source.module.len() {
                let parent = self.modules.get(&source.module[..depth]);
                waiting.extend(parent.filter(|parent| self.sources[*parent].has_code).cloned());
            }
            waiting.extend(self.impls_for(&name));
            for included in &source.includes {
                let path = self.root.join(included);
                let bytes = fs::read(&path).map_err(|error| ClosureError::Included {
                    by: name.clone(),
                    file: included.into(),
                    error,
                })?;
                closure.files.insert(included.clone(), hex(Sha256::new_with_prefix(bytes)));
            }
        }
        Ok(closure)
    }

    /// The files that a path from the crate's root may mean: one file, or the whole folder when the path names an item of
    /// a folder's `mod.rs`, since that may stand for anything below it.
    fn resolve(&self, path: &[String]) -> Vec<String> {
        for depth in (0..=path.len()).rev() {
            let module = &path[..depth];
            match self.modules.get(module) {
                Some(file) if depth > 0 && !file.ends_with("/mod.rs") => return vec![file.clone()],
                Some(_) => {
                    let below = self.modules.iter().filter(|(other, _)| other.starts_with(module));
                    return below.map(|(_, file)| file.clone()).collect();
                }
                None => {}
            }
        }
        Vec::new()
    }

    /// The files with an `impl` of something that `file` defines, whose type and trait both come from elsewhere: its methods
    /// can be called by who never names that file.
    fn impls_for<'a>(&'a self, file: &'a str) -> impl Iterator<Item = String> + 'a {
        let defines = &self.sources[file].defines;
        let away = |source: &Source, names: &BTreeSet<String>| {
            names.is_disjoint(&source.defines) && !names.is_disjoint(defines)
        };
        let has_one = move |source: &Source| source.impls.iter().any(|names| away(source, names));
        let others = self.sources.iter().filter(move |(name, _)| *name != file);
        // A thing of the same name may be another's.
        others
            .filter(move |(name, source)| has_one(source) && self.reaches(name, file))
            .map(|(name, _)| name.clone())
    }

    /// Whether paths lead from one file to another.
    fn reaches(&self, from: &str, to: &str) -> bool {
        let mut seen = BTreeSet::new();
        let mut waiting = vec![from.to_owned()];
        while let Some(name) = waiting.pop() {
            if name == to {
                return true;
            }
            if seen.insert(name.clone()) {
                waiting.extend(self.sources[&name].paths.iter().flat_map(|path| self.resolve(path)));
            }
        }
        false
    }
}

fn is_interface(file: &str) -> bool {
    INTERFACES.iter().any(|name| file == *name || name.ends_with('/') && file.starts_with(name))
}

/// A path's text with `/` on every system.
fn slashed(path: &Path) -> String {
    let parts: Vec<_> = path.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

/// The digest in hexadecimal.
pub fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
