//! Which features the crates at hand are built with: they choose code, and they ask for features of the crates below.

use crate::packages::Packages;
use std::collections::{BTreeMap, BTreeSet};

/// The features that are on.
#[derive(Default)]
pub struct Features {
    /// By the place of the package among those at hand.
    on: BTreeSet<(usize, String)>,
    /// What they ask of a dependency (`mkl = ["candle-core/mkl"]`), by the key of the dependency.
    passed: BTreeMap<(usize, String), BTreeSet<String>>,
}

impl Features {
    /// Follows features from those of the package that is built.
    pub fn of(packages: &Packages, built: &BTreeSet<String>) -> Features {
        let mut features = Features::default();
        let mut waiting: Vec<(usize, String)> = built.iter().map(|feature| (0, feature.clone())).collect();
        for package in &packages.all {
            for dependency in package.dependencies.iter().filter(|dependency| !dependency.dev) {
                let Some(at) = dependency.folder.as_deref().and_then(|folder| packages.at(folder)) else {
                    continue;
                };
                let default = dependency.default_features.then(|| "default".to_owned());
                waiting
                    .extend(dependency.features.iter().cloned().chain(default).map(|feature| (at, feature)));
            }
        }
        while let Some((at, feature)) = waiting.pop() {
            if !features.on.insert((at, feature.clone())) {
                continue;
            }
            let package = &packages.all[at];
            for turned_on in package.features.get(&feature).into_iter().flatten() {
                let Some((key, feature)) = turned_on.split_once('/') else {
                    waiting.push((at, turned_on.clone()));
                    continue;
                };
                let key = key.trim_end_matches('?');
                features.passed.entry((at, key.to_owned())).or_default().insert(feature.to_owned());
                let named = package.dependencies.iter().filter(|dependency| dependency.key == key);
                let at_hand = named.filter_map(|dependency| packages.at(dependency.folder.as_deref()?));
                waiting.extend(at_hand.map(|at| (at, feature.to_owned())));
            }
        }
        features
    }

    /// Whether a package at hand has this feature on.
    pub fn is_on(&self, package: usize, feature: &str) -> bool {
        self.on.contains(&(package, feature.to_owned()))
    }

    /// What the features of a package ask of one of its dependencies.
    pub fn passed(&self, package: usize, key: &str) -> impl Iterator<Item = &String> {
        self.passed.get(&(package, key.to_owned())).into_iter().flatten()
    }
}
