//! The external crates that a file may name, each with the digest of its version, features and own dependencies.

use crate::digest::{feed, hex};
use crate::features::Features;
use crate::left_out::is_left_out;
use crate::lock::Lock;
use crate::manifest::{Dependency, Package, ident};
use crate::packages::Packages;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// The external crates that the packages at hand depend on.
pub struct Crates {
    /// By the name of the package and the name that its code uses: a crate's name and version.
    named: BTreeMap<(String, String), String>,
    /// The digest of each crate.
    digests: BTreeMap<String, String>,
}

/// All that is asked of a crate in one build: Cargo builds it once, with the features of everybody.
#[derive(Default)]
struct Asked {
    below: BTreeSet<String>,
    features: BTreeSet<String>,
    default_features: bool,
}

impl Crates {
    /// Finds the crates. Without a lock file the version is the one that a manifest asks for, with the version of the package
    /// that asks.
    pub fn read(packages: &Packages, lock: &Lock, features: &Features) -> Crates {
        let mut named: BTreeMap<(String, String), String> = BTreeMap::new();
        let mut asked: BTreeMap<String, Asked> = BTreeMap::new();
        for dev in [false, true] {
            // What examples ask of a crate that a release has does not reach the release.
            let released: BTreeSet<String> = asked.keys().cloned().collect();
            for (at, package) in packages.all.iter().enumerate() {
                let external = package.dependencies.iter().filter(|dependency| {
                    let at_hand = dependency.folder.as_deref().and_then(|folder| packages.at(folder));
                    dependency.dev == dev && at_hand.is_none() && !is_left_out(&dependency.package)
                });
                for dependency in external {
                    let entry = lock.entry(package, &dependency.package);
                    let name = match entry.and_then(|entry| lock.find(entry)) {
                        Some(locked) => format!("{} {}", dependency.package, locked.version),
                        None => unlocked(package, dependency),
                    };
                    let ident = (package.name.clone(), ident(&dependency.key));
                    named.entry(ident).or_insert_with(|| name.clone());
                    if !dev || !released.contains(&name) {
                        let asked = asked.entry(name).or_default();
                        asked.below.extend(entry.map(|entry| lock.below(entry)).unwrap_or_default());
                        asked.features.extend(dependency.features.iter().cloned());
                        asked.features.extend(features.passed(at, &dependency.key).cloned());
                        asked.default_features |= dependency.default_features;
                    }
                }
            }
        }
        let digests = asked.into_iter().map(|(name, asked)| {
            let digest = asked.digest(&name);
            (name, digest)
        });
        Crates { named, digests: digests.collect() }
    }

    /// The crate that an identifier in the code of a package names, if it names one that counts, and its digest.
    pub fn get(&self, package: &str, ident: &str) -> Option<(&str, &str)> {
        let name = self.named.get(&(package.to_owned(), ident.to_owned()))?;
        Some((name, self.digests.get(name)?))
    }
}

impl Asked {
    fn digest(&self, name: &str) -> String {
        let mut hash = Sha256::new();
        feed(&mut hash, name);
        for (tag, parts) in [("below", &self.below), ("feature", &self.features)] {
            for part in parts {
                feed(&mut hash, tag);
                feed(&mut hash, part);
            }
        }
        feed(&mut hash, if self.default_features { "default features" } else { "no default features" });
        hex(hash)
    }
}

fn unlocked(package: &Package, dependency: &Dependency) -> String {
    let version = dependency.version.as_deref().unwrap_or("*");
    format!("{} {version} of {} {}", dependency.package, package.name, package.version)
}
