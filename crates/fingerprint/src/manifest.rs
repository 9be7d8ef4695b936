//! What the `Cargo.toml` of a package says, with the values that it takes over from its workspace.

use crate::error::Error;
use crate::paths::normal;
use crate::workspace::{self, Workspace};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// A package whose sources are at hand.
#[derive(Default)]
pub struct Package {
    pub folder: PathBuf,
    /// What the names of its files begin with: `crates/science/`, or nothing.
    pub prefix: String,
    pub name: String,
    pub version: String,
    /// The name that Rust code uses: `onsager_science`.
    pub ident: String,
    /// The file of the library, also where there is none: `src/lib.rs`.
    pub library: String,
    /// The sources that never enter a fingerprint, with the prefix; a name that ends in `/` is a folder.
    pub interfaces: Vec<String>,
    pub dependencies: Vec<Dependency>,
    /// What each feature turns on.
    pub features: BTreeMap<String, Vec<String>>,
}

/// One line of `[dependencies]` or `[dev-dependencies]`.
pub struct Dependency {
    /// The key in the manifest: `candle-core`.
    pub key: String,
    /// The name of the package, which another key may stand for.
    pub package: String,
    /// The folder of a dependency given by `path`.
    pub folder: Option<PathBuf>,
    pub version: Option<String>,
    pub features: BTreeSet<String>,
    pub default_features: bool,
    /// Whether only examples, tests and benchmarks see it.
    pub dev: bool,
}

impl Package {
    /// Reads the manifest in this folder.
    pub fn read(folder: &Path) -> Result<Package, Error> {
        let path = folder.join("Cargo.toml");
        let manifest = workspace::read(&path)?;
        let workspace = Workspace::of(folder)?;
        let get = |table: &str, key: &str| manifest.get(table).and_then(|table| table.get(key));
        let Some(name) = get("package", "name").and_then(Value::as_str) else {
            return Err(Error::NoPackage { manifest: path });
        };
        let version = match get("package", "version") {
            Some(version) if is_inherited(version) => workspace.get("package", "version"),
            other => other,
        };
        let library = normal(Path::new(get("lib", "path").and_then(Value::as_str).unwrap_or("src/lib.rs")));
        if library.parent().is_none_or(|folder| folder == Path::new("")) {
            return Err(Error::LibraryPath { manifest: path, path: library.display().to_string() });
        }
        let features = manifest.get("features").and_then(Value::as_table).into_iter().flatten();
        Ok(Package {
            folder: folder.to_owned(),
            prefix: String::new(),
            name: name.to_owned(),
            version: version.and_then(Value::as_str).unwrap_or("0.0.0").to_owned(),
            ident: ident(get("lib", "name").and_then(Value::as_str).unwrap_or(name)),
            library: crate::paths::relative(Path::new(""), &library),
            interfaces: interfaces(&path, &manifest)?,
            dependencies: dependencies(&path, &manifest, &workspace)?,
            features: features.map(|(name, on)| (name.clone(), texts(Some(on)).collect())).collect(),
        })
    }

    /// The folder of the library's sources: `src`.
    pub fn sources(&self) -> &str {
        self.library.rsplit_once('/').map_or("src", |(folder, _)| folder)
    }
}

impl Dependency {
    fn read(
        key: &str,
        own: &Value,
        dev: bool,
        inherited: Option<(&Path, &Value)>,
        folder: &Path,
    ) -> Dependency {
        let inherited_value = inherited.map(|(_, value)| value);
        let get = |field: &str| own.get(field).or_else(|| inherited_value?.get(field));
        let text = |field: &str| get(field).and_then(Value::as_str);
        // A path is meant from the manifest that says it.
        let base = inherited.map_or(folder, |(base, _)| base);
        let asks = |value: &Value| value.get("default-features").and_then(Value::as_bool);
        let default_features = match inherited_value {
            Some(inherited) => asks(own) == Some(true) || asks(inherited).unwrap_or(true),
            None => asks(own).unwrap_or(true),
        };
        let features =
            texts(own.get("features")).chain(texts(inherited_value.and_then(|value| value.get("features"))));
        Dependency {
            key: key.to_owned(),
            package: text("package").unwrap_or(key).to_owned(),
            folder: text("path").map(|path| normal(&base.join(path))),
            version: inherited_value.unwrap_or(own).as_str().or_else(|| text("version")).map(str::to_owned),
            features: features.collect(),
            default_features,
            dev,
        }
    }

    /// Whether Rust code uses the key and not the name of the library.
    pub fn is_renamed(&self) -> bool {
        self.key != self.package
    }
}

/// A name as Rust code writes it.
pub fn ident(name: &str) -> String {
    name.replace('-', "_")
}

fn is_inherited(value: &Value) -> bool {
    value.get("workspace").and_then(Value::as_bool) == Some(true)
}

/// The strings of a list.
fn texts(list: Option<&Value>) -> impl Iterator<Item = String> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str).map(str::to_owned)
}

/// The dependencies of a manifest, those for one system only included, those for examples last.
fn dependencies(path: &Path, manifest: &Table, workspace: &Workspace) -> Result<Vec<Dependency>, Error> {
    let folder = path.parent().unwrap_or(Path::new(""));
    let targets = manifest.get("target").and_then(Value::as_table);
    let targets: Vec<&Table> =
        targets.into_iter().flat_map(Table::values).filter_map(Value::as_table).collect();
    let mut found = Vec::new();
    for (name, dev) in [("dependencies", false), ("dev-dependencies", true)] {
        let tables = std::iter::once(manifest).chain(targets.iter().copied());
        for (key, own) in tables.filter_map(|table| table.get(name)?.as_table()).flatten() {
            let inherited = match is_inherited(own) {
                false => None,
                true => Some(
                    workspace
                        .get("dependencies", key)
                        .ok_or_else(|| Error::NotInherited { manifest: path.to_owned(), key: key.clone() })?,
                ),
            };
            let inherited = inherited.map(|value| (workspace.folder.as_path(), value));
            found.push(Dependency::read(key, own, dev, inherited, folder));
        }
    }
    Ok(found)
}

/// The names in `[package.metadata.onsager]`, each of which must be there.
fn interfaces(path: &Path, manifest: &Table) -> Result<Vec<String>, Error> {
    let metadata = manifest
        .get("package")
        .and_then(|package| package.get("metadata")?.get("onsager")?.get("interfaces"));
    let Some(metadata) = metadata else { return Ok(Vec::new()) };
    let wrong = || Error::InterfaceList { manifest: path.to_owned() };
    let names = metadata.as_array().ok_or_else(wrong)?.iter();
    let names: Vec<&str> = names.map(|name| name.as_str().ok_or_else(wrong)).collect::<Result<_, _>>()?;
    for name in &names {
        let there = path.with_file_name(name);
        if !(if name.ends_with('/') { there.is_dir() } else { there.is_file() }) {
            return Err(Error::NoInterface { manifest: path.to_owned(), name: (*name).to_owned() });
        }
    }
    Ok(names.into_iter().map(str::to_owned).collect())
}
