//! Which source files a stage kind is built from, and the digest of each.
//!
//! Rust paths are followed from the kind's file as tokens, so those inside macros count too. Where a path is not precise,
//! more is taken rather than less: a digest that changes too often costs time, one that changes too seldom a wrong result.

use crate::digest::of_bytes;
use crate::error::Error;
use crate::manifest::ident;
use crate::reach::Extern;
use crate::scan::Source;
use crate::tokens;
use crate::tree::Tree;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// What a file is built from.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Closure {
    /// Each file with its digest: tokens without comments and tests for Rust, bytes for the others.
    pub files: BTreeMap<String, String>,
    /// Identifiers that may name an external crate.
    pub externs: BTreeSet<Extern>,
    /// The features that the files ask about, with the package that they are features of.
    pub features: BTreeSet<(String, String)>,
}

impl Tree {
    /// Everything that this file is built from, itself included.
    pub fn closure(&self, file: &str) -> Result<Closure, Error> {
        let mut closure = Closure::default();
        let mut waiting = vec![file.to_owned()];
        waiting.extend(self.programs_of(file));
        let own = self.sources.get(file).map(|source| source.module[0].as_str()).unwrap_or_default();
        while let Some(name) = waiting.pop() {
            let Some((name, source)) = self.sources.get_key_value(&name) else { continue };
            if self.packages.is_interface(name) || closure.files.contains_key(name) {
                continue;
            }
            closure.files.insert(name.clone(), source.digest.clone());
            let reach = &self.reaches[name];
            waiting.extend(reach.files.iter().cloned());
            closure.externs.extend(reach.externs.iter().cloned());
            // A parent's macros are visible without a path, and its items may shadow a child's name.
            for depth in 1..source.module.len() {
                let parent = self.modules.get(&source.module[..depth]);
                waiting.extend(parent.filter(|parent| self.sources[*parent].has_code).cloned());
            }
            waiting.extend(self.impls_for(name, own));
            self.add_crates(source, &mut closure);
            self.add_included(name, source, &mut waiting, &mut closure)?;
        }
        Ok(closure)
    }

    /// The programs that declare the module of this file: their macros are visible in it, and `crate` means them.
    fn programs_of(&self, file: &str) -> impl Iterator<Item = String> {
        let module = self.sources.get(file).map(|source| source.module.as_slice()).unwrap_or_default();
        let top = module.get(..2).unwrap_or_default();
        let declaring = self.roots.iter().filter(move |root| {
            self.sources.get(*root).is_some_and(|source| source.has_code && source.modules.contains(top))
        });
        declaring.cloned()
    }

    fn add_crates(&self, source: &Source, closure: &mut Closure) {
        let package = &self.packages.all[source.package];
        // A name that no dependency has is the library of one that is called otherwise.
        let any = package.dependencies.iter().filter(|dependency| source.strangers && !dependency.dev);
        let idents = source.externs.iter().cloned().chain(any.map(|dependency| ident(&dependency.key)));
        closure.externs.extend(idents.map(|ident| Extern { package: package.name.clone(), ident }));
        let features = source.features.iter().map(|feature| (package.name.clone(), feature.clone()));
        closure.features.extend(features);
    }

    fn add_included(
        &self,
        by: &str,
        source: &Source,
        waiting: &mut Vec<String>,
        closure: &mut Closure,
    ) -> Result<(), Error> {
        let package = &self.packages.all[source.package];
        for path in &source.includes {
            let name = self.packages.name(package, path);
            if self.sources.contains_key(&name) {
                waiting.push(name);
                continue;
            }
            let bytes = fs::read(path).map_err(|error| Error::Included {
                by: by.to_owned(),
                file: name.clone(),
                error,
            })?;
            closure.files.insert(name, of_bytes(&bytes));
        }
        let script = package.folder.join("build.rs");
        if source.includes_built && script.is_file() {
            let text =
                fs::read_to_string(&script).map_err(|error| Error::Read { path: script.clone(), error })?;
            closure.files.insert(self.packages.name(package, &script), tokens::digest_of(&text));
        }
        Ok(())
    }

    /// The files with an `impl` of something that `file` defines, whose type and trait both come from elsewhere: its methods
    /// can be called by who never names that file.
    fn impls_for<'a>(&'a self, file: &'a str, own: &'a str) -> impl Iterator<Item = String> + 'a {
        let defines = &self.sources[file].defines;
        let away = |source: &Source, names: &BTreeSet<String>| {
            names.is_disjoint(&source.defines) && !names.is_disjoint(defines)
        };
        let has_one = move |source: &Source| source.impls.iter().any(|names| away(source, names));
        let others = self.sources.iter().filter(move |(name, source)| {
            *name != file && self.is_linked(name, source, own) && has_one(source)
        });
        // A thing of the same name may be another's.
        others.filter(move |(name, _)| self.leads(name, file)).map(|(name, _)| name.clone())
    }

    /// Whether the crate `own` can have this file in it: programs are in no other.
    fn is_linked(&self, name: &str, source: &Source, own: &str) -> bool {
        let package = &self.packages.all[source.package];
        let crate_is_linked = source.module[0] == own || source.module[0] == package.space();
        crate_is_linked && (!self.roots.contains(name) || name == package.library_file())
    }

    /// Whether paths lead from one file to another.
    fn leads(&self, from: &str, to: &str) -> bool {
        let mut seen = BTreeSet::new();
        let mut waiting = vec![from];
        while let Some(name) = waiting.pop() {
            if name == to {
                return true;
            }
            if seen.insert(name) {
                waiting.extend(self.reaches[name].files.iter().map(String::as_str));
            }
        }
        false
    }

    /// The files that `include` macros name, wherever they stand.
    pub(crate) fn included(&self) -> impl Iterator<Item = &Path> {
        self.sources.values().flat_map(|source| &source.includes).map(|path| path.as_path())
    }
}
