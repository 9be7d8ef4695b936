//! What the first word of a path means: a crate whose sources are at hand, the runner, another crate, or something of Rust's own.

use crate::manifest::{Package, ident};
use crate::packages::Packages;
use std::collections::{BTreeMap, BTreeSet};

/// The runner and the facade, where they come from a registry: what of them decides when a stage runs, with what inputs, and
/// where its outputs go. The rest of them computes what a stage writes.
const RUNNER: [&str; 2] = ["onsager", "onsager-runner"];
const RUNNER_INTERFACES: [&[&str]; 12] = [
    &["builtin"],
    &["cli"],
    &["compare"],
    &["fingerprints"],
    &["kind"],
    &["kinds", "builtin"],
    &["kinds", "fingerprints"],
    &["pipeline"],
    &["plan"],
    &["run"],
    &["store"],
    &["worker"],
];

/// What a path can begin with that no dependency brings: crates, tools in attributes, and types.
const RUST: [&str; 27] = [
    "std",
    "core",
    "alloc",
    "proc_macro",
    "test",
    "clippy",
    "rustfmt",
    "rustdoc",
    "diagnostic",
    "miri",
    "bool",
    "char",
    "str",
    "f32",
    "f64",
    "i8",
    "i16",
    "i32",
    "i64",
    "i128",
    "isize",
    "u8",
    "u16",
    "u32",
    "u64",
    "u128",
    "usize",
];

/// What the identifiers in a package's code mean.
#[derive(Default)]
pub struct Names {
    /// The crates whose sources are at hand, each with the folder of its sources.
    local: BTreeMap<String, String>,
    /// The runner from a registry.
    runner: BTreeSet<String>,
    /// All other crates.
    external: BTreeSet<String>,
}

impl Names {
    /// What the identifiers in the code of `package` mean.
    pub fn of(package: &Package, packages: &Packages) -> Names {
        let mut names = Names::default();
        for dependency in &package.dependencies {
            let key = ident(&dependency.key);
            match dependency
                .folder
                .as_deref()
                .and_then(|folder| packages.at(folder))
                .map(|at| &packages.all[at])
            {
                Some(local) => {
                    let name = if dependency.is_renamed() { key } else { local.ident.clone() };
                    names.local.insert(name, local.space());
                }
                None if RUNNER.contains(&dependency.package.as_str()) => drop(names.runner.insert(key)),
                None => drop(names.external.insert(key)),
            }
        }
        names.local.insert(package.ident.clone(), package.space());
        names
    }

    /// The folder of the sources of a crate at hand.
    pub fn local(&self, ident: &str) -> Option<&str> {
        self.local.get(ident).map(String::as_str)
    }

    /// Whether this is the runner from a registry.
    pub fn is_runner(&self, ident: &str) -> bool {
        self.runner.contains(ident)
    }

    /// Whether a dependency has this name, or something of Rust's own.
    pub fn is_known(&self, ident: &str) -> bool {
        RUST.contains(&ident)
            || self.local.contains_key(ident)
            || self.runner.contains(ident)
            || self.external.contains(ident)
    }
}

/// Whether a path below the runner's root names a part that computes nothing that a stage writes.
pub fn is_runner_interface(path: &[String]) -> bool {
    RUNNER_INTERFACES.iter().any(|interface| {
        path.len() >= interface.len() && path.iter().zip(*interface).all(|(part, name)| part == name)
    })
}
