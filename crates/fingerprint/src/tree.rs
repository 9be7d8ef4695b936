//! The sources of a package and of the crates at hand below it, read once.

use crate::digest::{hex, of_bytes};
use crate::error::Error;
use crate::names::Names;
use crate::packages::Packages;
use crate::place::Place;
use crate::reach::Reach;
use crate::scan::{Scan, Source};
use crate::tokens;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The sources of a package and of all crates that it has by `path`.
pub struct Tree {
    pub(crate) packages: Packages,
    /// By name relative to the workspace, with `/`: `crates/science/src/motion/tubes.rs`.
    pub(crate) sources: BTreeMap<String, Source>,
    /// The file of each module: `["crates/science/src", "motion", "tubes"]`.
    pub(crate) modules: BTreeMap<Vec<String>, String>,
    /// The files with which a crate begins.
    pub(crate) roots: BTreeSet<String>,
    /// Where the paths of each file lead.
    pub(crate) reaches: BTreeMap<String, Reach>,
}

impl Tree {
    /// Reads the package in this folder.
    pub fn read(package: &Path) -> Result<Tree, Error> {
        Tree::of(Packages::read(package)?)
    }

    /// Reads the sources of these packages.
    pub(crate) fn of(packages: Packages) -> Result<Tree, Error> {
        let mut tree = Tree {
            packages,
            sources: BTreeMap::new(),
            modules: BTreeMap::new(),
            roots: BTreeSet::new(),
            reaches: BTreeMap::new(),
        };
        for at in 0..tree.packages.all.len() {
            let package = &tree.packages.all[at];
            let mut folders = vec![package.folder.join(package.sources())];
            // Examples of the package itself can have kinds of their own.
            folders.extend((at == 0).then(|| package.folder.join("examples")));
            let names = Names::of(package, &tree.packages);
            for file in folders.into_iter().filter(|folder| folder.is_dir()).map(rust_files) {
                for path in file? {
                    tree.add(at, &path, &names)?;
                }
            }
        }
        tree.remove_tests();
        tree.reaches = tree.sources.iter().map(|(name, source)| (name.clone(), tree.reach(source))).collect();
        Ok(tree)
    }

    fn add(&mut self, at: usize, path: &Path, names: &Names) -> Result<(), Error> {
        let package = &self.packages.all[at];
        let name = self.packages.name(package, path);
        let text = fs::read_to_string(path).map_err(|error| Error::Read { path: path.to_owned(), error })?;
        let place = Place::of(package, name.strip_prefix(&package.prefix).unwrap_or(&name));
        let mut source = Source { package: at, module: place.module, ..Source::default() };
        match tokens::parse(&text) {
            Some(mut tokens) => {
                let for_tests = tokens::test_modules(&tokens).into_iter();
                source.test_modules =
                    for_tests.map(|child| [source.module.as_slice(), &[child]].concat()).collect();
                tokens::strip(&mut tokens);
                if !self.packages.is_interface(&name) {
                    source.digest = hex(tokens::digest(&tokens));
                }
                source.has_code = !tokens::only_declares_modules(&tokens);
                source.kinds = crate::kinds::kinds(&tokens);
                Scan::new(&name, path, &package.folder, names, &mut source).file(&tokens)?;
            }
            // The compiler will say what is wrong. Until then the file may lead anywhere.
            None => {
                source.digest = of_bytes(text.as_bytes());
                source.paths.insert(source.module[..1].to_vec());
                source.has_code = true;
            }
        }
        self.modules.extend(place.known_as.map(|module| (module, name.clone())));
        self.roots.extend(place.is_root.then(|| name.clone()));
        self.sources.insert(name, source);
        Ok(())
    }

    /// Takes out the files that are compiled for tests alone.
    fn remove_tests(&mut self) {
        // A program may test a module that the library beside it has for all.
        let declared: BTreeSet<_> =
            self.sources.values().flat_map(|source| source.modules.iter().cloned()).collect();
        let for_tests = self.sources.values().flat_map(|source| source.test_modules.iter().cloned());
        let for_tests: Vec<_> = for_tests.filter(|module| !declared.contains(module)).collect();
        let is_for_tests = |module: &[String]| for_tests.iter().any(|tests| module.starts_with(tests));
        self.modules.retain(|module, _| !is_for_tests(module));
        self.sources.retain(|_, source| !is_for_tests(&source.module));
    }

    /// The stage kinds of the package itself by name, each with its file.
    pub fn kinds(&self) -> Result<BTreeMap<String, String>, Error> {
        let mut kinds: BTreeMap<String, String> = BTreeMap::new();
        for (file, source) in self.sources.iter().filter(|(_, source)| source.package == 0) {
            let is_interface = self.packages.is_interface(file);
            for kind in &source.kinds {
                match kind {
                    Some(kind) if is_interface => {
                        return Err(Error::KindInInterface { kind: kind.clone(), file: file.clone() });
                    }
                    Some(kind) => {
                        if let Some(other) =
                            kinds.insert(kind.clone(), file.clone()).filter(|other| other != file)
                        {
                            return Err(Error::SameKind { kind: kind.clone(), files: [other, file.clone()] });
                        }
                    }
                    // A wrapper that passes a kind's name on.
                    None if is_interface => {}
                    None => return Err(Error::KindName { file: file.clone() }),
                }
            }
        }
        Ok(kinds)
    }
}

/// The Rust files below a folder.
fn rust_files(folder: PathBuf) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        let unreadable = |error| Error::Read { path: folder.clone(), error };
        for entry in fs::read_dir(&folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    Ok(files)
}
