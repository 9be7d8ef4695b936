//! The external crates that a file may name, each with the digest of its version, features and own dependencies.

use super::closure::hex;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use toml::{Table, Value};

/// Crates that cannot change a number or a byte of an output.
const INTERFACES: &[(&str, &str)] = &[
    ("thiserror", "derives the text of errors"),
    ("tracing", "writes logs"),
    ("serde", "hands over values; the formats that write them (`serde_json`, `safetensors`) count"),
    ("schemars", "describes parameters in the reference"),
    ("sha2", "its function is fixed by a standard"),
];

/// The direct dependencies of the package by the name that Rust code uses.
pub struct Crates(BTreeMap<String, Crate>);

/// One external crate.
pub struct Crate {
    /// Name and version: `candle-core 0.11.1`.
    pub name: String,
    /// The digest of its version, features and, with a lock file, everything that it depends on.
    pub digest: String,
}

/// A package of the lock file: version, checksum, dependencies.
struct Locked<'a> {
    version: &'a str,
    checksum: &'a str,
    dependencies: Vec<&'a str>,
}

impl Crates {
    /// Reads `Cargo.toml` and `Cargo.lock`. Without a lock file (a build as somebody's dependency) the version is the one that
    /// the manifest asks for, together with the package's own.
    pub fn read(manifest: &str, lock: Option<&str>) -> Result<Crates, toml::de::Error> {
        let manifest: Table = toml::from_str(manifest)?;
        let lock: Table = lock.map_or(Ok(Table::new()), toml::from_str)?;
        let own = |field| text(&manifest, &["package", field]);
        let mut packages: BTreeMap<&str, Vec<Locked>> = BTreeMap::new();
        for package in lock.get("package").and_then(Value::as_array).into_iter().flatten() {
            let get = |field| package.get(field).and_then(Value::as_str).unwrap_or_default();
            let dependencies = package.get("dependencies").and_then(Value::as_array).into_iter().flatten();
            packages.entry(get("name")).or_default().push(Locked {
                version: get("version"),
                checksum: get("checksum"),
                dependencies: dependencies.filter_map(Value::as_str).collect(),
            });
        }
        let chosen: &[&str] = match packages.get(own("name")).and_then(|found| found.first()) {
            Some(package) => &package.dependencies,
            None => &[],
        };
        let mut crates = BTreeMap::new();
        for (key, asked) in dependencies(&manifest) {
            let name = asked.get("package").and_then(Value::as_str).unwrap_or(key);
            if is_interface(name) {
                continue;
            }
            let asked_version = asked.as_str().or_else(|| asked.get("version").and_then(Value::as_str));
            let entry = chosen.iter().find(|entry| entry.split(' ').next() == Some(name));
            let below = entry.map(|entry| tree(&packages, entry)).unwrap_or_default();
            let version = entry.and_then(|entry| find(&packages, entry)).map(|package| package.version);
            let mut hash = Sha256::new();
            for part in below.iter().map(String::as_str).chain(features(asked)) {
                hash.update((part.len() as u64).to_le_bytes());
                hash.update(part);
            }
            let version = version.map(str::to_owned).unwrap_or_else(|| {
                format!("{} of {} {}", asked_version.unwrap_or("*"), own("name"), own("version"))
            });
            hash.update(&version);
            crates.insert(
                key.replace('-', "_"),
                Crate { name: format!("{name} {version}"), digest: hex(hash) },
            );
        }
        Ok(Crates(crates))
    }

    /// The crate that this identifier names, if it names one that counts.
    pub fn get(&self, ident: &str) -> Option<&Crate> {
        self.0.get(ident)
    }
}

fn is_interface(name: &str) -> bool {
    INTERFACES.iter().any(|(interface, _)| *interface == name)
}

fn text<'a>(table: &'a Table, path: &[&str; 2]) -> &'a str {
    table.get(path[0]).and_then(|inner| inner.get(path[1])).and_then(Value::as_str).unwrap_or_default()
}

/// The `[dependencies]` of a manifest, those for one system only included.
fn dependencies(manifest: &Table) -> impl Iterator<Item = (&String, &Value)> {
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let tables = targets.map(|target| target.get("dependencies"));
    let tables = std::iter::once(manifest.get("dependencies")).chain(tables);
    tables.flatten().filter_map(Value::as_table).flatten()
}

/// The features asked of a dependency: they choose code too.
fn features(asked: &Value) -> impl Iterator<Item = &str> {
    let without_defaults = asked.get("default-features").and_then(Value::as_bool) == Some(false);
    let listed = asked.get("features").and_then(Value::as_array).into_iter().flatten();
    listed.filter_map(Value::as_str).chain(without_defaults.then_some("no default features"))
}

/// The package that an entry `name`, `name version` or `name version (source)` of the lock file means.
fn find<'a, 'b>(packages: &'b BTreeMap<&str, Vec<Locked<'a>>>, entry: &str) -> Option<&'b Locked<'a>> {
    let mut words = entry.split(' ');
    let named = packages.get(words.next()?)?;
    match words.next() {
        Some(version) => named.iter().find(|package| package.version == version),
        None => named.first(),
    }
}

/// `name version checksum` of an entry and of everything below it that counts.
fn tree(packages: &BTreeMap<&str, Vec<Locked>>, entry: &str) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    let mut waiting = vec![entry];
    while let Some(entry) = waiting.pop() {
        let name = entry.split(' ').next().unwrap_or_default();
        if let Some(package) = find(packages, entry)
            && !is_interface(name)
            && lines.insert(format!("{name} {} {}", package.version, package.checksum))
        {
            waiting.extend(&package.dependencies);
        }
    }
    lines
}
