//! The versions that `Cargo.lock` chose.

use crate::error::Error;
use crate::left_out::is_left_out;
use crate::manifest::Package;
use crate::workspace::read;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use toml::{Table, Value};

/// The packages of a lock file by name. Empty where there is no such file.
#[derive(Default)]
pub struct Lock(BTreeMap<String, Vec<Locked>>);

/// One package.
pub struct Locked {
    pub version: String,
    /// Where it came from, with its revision if from Git; nothing for what is at hand.
    source: String,
    checksum: String,
    /// As `name`, `name version` or `name version (source)`.
    dependencies: Vec<String>,
}

impl Lock {
    /// Reads a lock file, if there is one.
    pub fn read(path: &Path) -> Result<Lock, Error> {
        let table = if path.is_file() { read(path)? } else { Table::new() };
        let mut lock = Lock::default();
        for package in table.get("package").and_then(Value::as_array).into_iter().flatten() {
            let get = |field| package.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
            let dependencies = package.get("dependencies").and_then(Value::as_array).into_iter().flatten();
            lock.0.entry(get("name")).or_default().push(Locked {
                version: get("version"),
                source: get("source"),
                checksum: get("checksum"),
                dependencies: dependencies.filter_map(Value::as_str).map(str::to_owned).collect(),
            });
        }
        Ok(lock)
    }

    /// The entry that a package at hand has for its dependency of this name.
    pub fn entry(&self, package: &Package, dependency: &str) -> Option<&str> {
        let named = self.0.get(&package.name)?;
        let same = named.iter().filter(|locked| locked.version == package.version);
        // Of two, the one that is at hand has no source.
        let locked = same.min_by_key(|locked| !locked.source.is_empty()).or(named.first())?;
        let mut entries = locked.dependencies.iter();
        entries.find(|entry| entry.split(' ').next() == Some(dependency)).map(String::as_str)
    }

    /// The package that an entry means.
    pub fn find(&self, entry: &str) -> Option<&Locked> {
        let mut words = entry.split(' ');
        let named = self.0.get(words.next()?)?;
        match words.next() {
            Some(version) => named.iter().find(|locked| locked.version == version),
            None => named.first(),
        }
    }

    /// Name, version and checksum of an entry and of everything below it that counts.
    pub fn below(&self, entry: &str) -> BTreeSet<String> {
        let mut lines = BTreeSet::new();
        let mut waiting = vec![entry];
        while let Some(entry) = waiting.pop() {
            let name = entry.split(' ').next().unwrap_or_default();
            if let Some(locked) = self.find(entry)
                && !is_left_out(name)
                && lines.insert(format!("{name} {} {}", locked.version, locked.content()))
            {
                waiting.extend(locked.dependencies.iter().map(String::as_str));
            }
        }
        lines
    }
}

impl Locked {
    /// What tells its code: a package from Git has no checksum, but its source holds the revision.
    fn content(&self) -> &str {
        if self.checksum.is_empty() { &self.source } else { &self.checksum }
    }
}
