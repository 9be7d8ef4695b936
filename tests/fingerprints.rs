//! The fingerprints of the stage kinds: no source that a kind is built from may be missing from its list.
//!
//! The lists are checked by a plain search of the text, which shares nothing with the build script but the rules of
//! docs/hashing.md. The rules themselves are tested on made-up packages, in crates/fingerprint/.

use onsager::kind::fingerprints::Fingerprint;
use onsager::{fingerprints as of_the_runner, kinds};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The crates of the workspace that kinds are built from, each with the folder of its sources.
const CRATES: [(&str, &str); 6] = [
    ("onsager", "src"),
    ("onsager_numerics", "crates/numerics/src"),
    ("onsager_report", "crates/report/src"),
    ("onsager_runner", "crates/runner/src"),
    ("onsager_science", "crates/science/src"),
    ("onsager_tables", "crates/tables/src"),
];
/// What computes nothing that a stage writes.
const INTERFACES: [&str; 3] = ["src/lib.rs", "src/main.rs", "src/kinds/mod.rs"];
const INTERFACE_CRATES: [&str; 5] = ["thiserror", "tracing", "serde", "schemars", "sha2"];

fn fingerprints() -> impl Iterator<Item = &'static Fingerprint> {
    kinds::fingerprints::FINGERPRINTS.iter().chain(of_the_runner::FINGERPRINTS)
}

/// Every Rust file that is listed, with its fingerprint.
fn listed() -> impl Iterator<Item = (&'static Fingerprint, &'static str)> {
    let parts = fingerprints()
        .flat_map(|fingerprint| fingerprint.files.iter().map(move |part| (fingerprint, part.name)));
    parts.filter(|(_, name)| is_rust(name))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &str) -> Vec<String> {
    let entries = walkdir::WalkDir::new(root().join(folder)).sort_by_file_name().into_iter();
    let files = entries.map(|entry| name(entry.unwrap().path()));
    files.filter(|name| is_rust(name)).collect()
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/")
}

fn is_rust(name: &str) -> bool {
    name.ends_with(".rs")
}

fn is_interface(name: &str) -> bool {
    let runner = name.starts_with("crates/runner/") && !name.starts_with("crates/runner/src/command/");
    runner || INTERFACES.contains(&name)
}

/// The folder of the package that a file is of: `crates/science/`, or nothing for the root.
fn package(file: &str) -> &str {
    match file.strip_prefix("crates/").and_then(|inner| inner.split_once('/')) {
        Some((_, rest)) => &file[..file.len() - rest.len()],
        None => "",
    }
}

/// The folder of the sources of the crate that a file is of.
fn sources(file: &str) -> String {
    format!("{}src", package(file))
}

/// A file's lines without comments, without modules declared for tests, and without the tests at its end.
fn code(file: &str) -> String {
    let text = fs::read_to_string(root().join(file)).unwrap();
    let mut kept = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" {
            match lines.next() {
                Some(next) if next.contains("mod ") && next.ends_with(';') => continue,
                _ => break,
            }
        }
        if !line.trim_start().starts_with("//") {
            kept.push_str(line.split(" // ").next().unwrap());
            kept.push('\n');
        }
    }
    kept
}

/// The file of a folder's module: `mod.rs`, or `lib.rs` for a whole crate.
fn module_of(folder: &str) -> String {
    let file = if CRATES.iter().any(|(_, sources)| *sources == folder) { "lib.rs" } else { "mod.rs" };
    format!("{folder}/{file}")
}

/// Whether the folder's module declares this file for tests alone.
fn is_for_tests(file: &str) -> bool {
    let (folder, own) = file.rsplit_once('/').unwrap();
    let declared = fs::read_to_string(root().join(module_of(folder))).unwrap_or_default();
    let line = format!("mod {};", own.trim_end_matches(".rs"));
    declared.split("#[cfg(test)]\n").skip(1).any(|behind| behind.lines().next().unwrap().ends_with(&line))
}

/// A file's code without its inline modules, in which `super` is the file itself.
fn outer_code(file: &str) -> String {
    let (mut inside, mut kept) = (false, String::new());
    for line in code(file).lines() {
        inside |= line.ends_with('{') && (line.starts_with("mod ") || line.starts_with("pub mod "));
        if !inside {
            kept.push_str(line);
            kept.push('\n');
        }
        inside &= line != "}";
    }
    kept
}

fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// The ends of `a::{b, c::d}::*` written at the start of `text`, as paths below `prefix`; and the rest of the text.
fn ends<'a>(text: &'a str, prefix: &str) -> (Vec<String>, &'a str) {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        let mut found = Vec::new();
        while !rest.trim_start().starts_with('}') && !rest.is_empty() {
            let (some, behind) = ends(rest, prefix);
            found.extend(some);
            // An alias, then the comma.
            let behind = behind.trim_start();
            let stop = behind.find([',', '}']).unwrap_or(behind.len());
            rest = behind[stop..].trim_start_matches(',');
        }
        return (found, rest.trim_start().get(1..).unwrap_or_default());
    }
    let length = text.find(|letter| !is_word(letter)).unwrap_or(text.len());
    let (word, rest) = text.split_at(length);
    let path = if word.is_empty() || word == "self" { prefix.to_owned() } else { format!("{prefix}/{word}") };
    match rest.strip_prefix("::") {
        Some(below) => ends(below, &path),
        None => (vec![path], rest),
    }
}

/// The paths into the crates of the workspace that a file's text holds: `crates/science/src/motion/tubes/Tube`.
fn crate_paths(file: &str) -> BTreeSet<String> {
    let (all, outer) = (code(file), outer_code(file));
    let module = file.trim_end_matches(".rs").trim_end_matches("/mod");
    let parent = module.rsplit_once('/').map_or("", |(parent, _)| parent);
    let grandparent = parent.rsplit_once('/').map_or("", |(parent, _)| parent);
    let own = sources(file);
    let mut heads = vec![
        ("crate::".to_owned(), own.as_str(), &all),
        ("super::super::".to_owned(), grandparent, &outer),
        ("super::".to_owned(), parent, &outer),
    ];
    heads.extend(CRATES.map(|(ident, folder)| (format!("{ident}::"), folder, &all)));
    let mut found = BTreeSet::new();
    for (head, prefix, text) in heads {
        for (at, _) in text.match_indices(&head) {
            let before = &text[..at];
            if !before.ends_with(is_word) && !before.ends_with("super::") {
                let below = &text[at + head.len()..];
                if !below.starts_with("super::") {
                    found.extend(ends(below, prefix).0);
                }
            }
        }
    }
    found
}

/// What the facade hands on: `src/random` is `crates/numerics/src/random`.
fn facade() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for line in code("src/lib.rs").lines().filter_map(|line| line.strip_prefix("pub use ")) {
        for (ident, folder) in CRATES {
            if let Some(name) = line.strip_prefix(&format!("{ident} as ")) {
                found.insert(format!("src/{}", name.trim_end_matches(';')), folder.to_owned());
            } else if let Some(below) = line.strip_prefix(&format!("{ident}::")) {
                let paths = ends(below, folder).0.into_iter();
                found.extend(paths.map(|path| (format!("src/{}", path.rsplit('/').next().unwrap()), path)));
            }
        }
    }
    found
}

/// The files that a path may mean.
fn files_of(path: &str, facade: &BTreeMap<String, String>) -> Vec<String> {
    let handed_on =
        facade.iter().find(|(name, _)| path == name.as_str() || path.starts_with(&format!("{name}/")));
    let path = match handed_on {
        Some((name, target)) => format!("{target}{}", &path[name.len()..]),
        None => path.to_owned(),
    };
    let mut module = path.as_str();
    loop {
        let file = format!("{module}.rs");
        if root().join(&file).is_file() {
            return vec![file];
        }
        let own = module_of(module);
        if root().join(&own).is_file() {
            let item = path[module.len()..].trim_start_matches('/').split('/').next().unwrap();
            // An item of the module itself, or the module that the runner's macro makes in it.
            if code(&own).contains(&format!("pub fn {item}(")) || item == "fingerprints" {
                return vec![own];
            }
            return rust_files(module).into_iter().filter(|file| file != "src/main.rs").collect();
        }
        module = module.rsplit_once('/').unwrap_or_else(|| panic!("`{path}` leads nowhere")).0;
    }
}

fn holds(fingerprint: &Fingerprint, file: &str) -> bool {
    fingerprint.files.iter().any(|part| part.name == file)
}

#[test]
fn every_path_of_a_listed_file_leads_to_a_listed_file() {
    let facade = facade();
    for (fingerprint, part) in listed() {
        for path in crate_paths(part) {
            for file in
                files_of(&path, &facade).iter().filter(|file| !is_interface(file) && !is_for_tests(file))
            {
                assert!(
                    holds(fingerprint, file),
                    "`{}` is built from `{part}`, which names `{path}`, but `{file}` is not in its list",
                    fingerprint.kind
                );
            }
        }
    }
}

#[test]
fn every_declared_module_of_a_listed_file_is_listed() {
    for (fingerprint, part) in listed() {
        let folder = part.trim_end_matches(".rs").trim_end_matches("/mod").trim_end_matches("/lib");
        for line in code(part).lines().map(str::trim) {
            let line = line.trim_start_matches("pub ").trim_start_matches("pub(crate) ");
            if let Some(child) = line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
                let child = [format!("{folder}/{child}.rs"), format!("{folder}/{child}/mod.rs")];
                let listed = child.iter().any(|file| holds(fingerprint, file));
                assert!(listed, "`{}` misses `{}`", fingerprint.kind, child[0]);
            }
        }
    }
}

#[test]
fn every_included_file_of_a_listed_file_is_listed() {
    for (fingerprint, part) in listed() {
        let text = code(part);
        let included = text.matches("include_bytes!").count() + text.matches("include_str!").count();
        let others = fingerprint.files.iter().filter(|part| !is_rust(part.name)).count();
        assert!(others >= included, "`{}` misses a file that `{part}` includes", fingerprint.kind);
    }
    for part in fingerprints().flat_map(|fingerprint| fingerprint.files).filter(|part| !is_rust(part.name)) {
        let digest = Sha256::digest(fs::read(root().join(part.name)).unwrap());
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(part.digest, digest, "{}", part.name);
    }
}

#[test]
fn every_library_file_belongs_to_a_kind_or_to_the_program() {
    let program = || rust_files("crates/runner/src").into_iter().chain(["src/kinds/mod.rs".to_owned()]);
    let is_named_by_the_program = |file: &str| {
        let module = file.trim_start_matches("crates/").replace("/src/", "/").replace('/', "::");
        let module = format!("onsager_{}", module.trim_end_matches(".rs"));
        program().any(|own| code(&own).contains(&module))
    };
    let libraries = ["crates/numerics/src", "crates/report/src", "crates/science/src", "crates/tables/src"];
    let files = libraries.into_iter().flat_map(rust_files);
    for file in files.filter(|file| !is_for_tests(file)) {
        let only_modules = code(&file).lines().all(|line| {
            line.trim().is_empty() || line.starts_with("#") || line.contains("mod ") && line.ends_with(';')
        });
        let used = fingerprints().any(|fingerprint| holds(fingerprint, &file));
        let used = used || only_modules || is_named_by_the_program(&file);
        assert!(used, "neither a kind nor the program is built from `{file}`: use it or delete it");
    }
}

#[test]
fn every_registered_kind_has_its_fingerprint_and_no_two_are_equal() {
    let registry = kinds::builtin();
    let registered: BTreeSet<&str> = registry.iter().map(|kind| kind.name()).collect();
    let of_an_example =
        |fingerprint: &Fingerprint| fingerprint.files.iter().any(|part| part.name.starts_with("examples/"));
    // The runner's `values`, which reads no Parquet, has another of that name in its place.
    let listed: BTreeSet<(&str, &str)> = fingerprints()
        .filter(|fingerprint| !of_an_example(fingerprint))
        .map(|fingerprint| (fingerprint.kind, fingerprint.digest))
        .collect();
    let names: BTreeSet<&str> = listed.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(registered, names, "every `impl Stage for` is registered, and the reverse");
    for kind in registry.iter() {
        assert!(listed.contains(&(kind.name(), kind.fingerprint())), "{}", kind.name());
    }
    let digests: BTreeSet<&str> = fingerprints().map(|fingerprint| fingerprint.digest).collect();
    assert_eq!(digests.len(), fingerprints().count());
}

/// The external dependencies of a file's package as (identifier in code, package name), from the lines of its manifest.
fn dependencies(file: &str) -> BTreeMap<String, String> {
    let read = |package: &str| fs::read_to_string(root().join(package).join("Cargo.toml")).unwrap();
    // A renamed one says so in the workspace.
    let workspace = read("");
    let renamed = |key: &str| {
        let line = workspace.lines().find(|line| line.starts_with(&format!("{key} = {{ package = \"")))?;
        line.split('"').nth(1).map(str::to_owned)
    };
    let manifest = read(package(file));
    // Those of every system, and those of one.
    let sections = manifest.split("\n[").filter(|section| {
        let head = section.lines().next().unwrap_or_default();
        let of_examples = file.starts_with("examples/") && head == "dev-dependencies]";
        head == "dependencies]"
            || head.starts_with("target.") && head.ends_with(".dependencies]")
            || of_examples
    });
    let keys =
        sections.flat_map(str::lines).filter_map(|line| line.split_once([' ', '.'])).map(|(key, _)| key);
    let external = keys.filter(|key| !key.is_empty() && *key != "#" && !key.starts_with("onsager-"));
    external.map(|key| (key.replace('-', "_"), renamed(key).unwrap_or_else(|| key.to_owned()))).collect()
}

#[test]
fn every_crate_that_a_listed_file_names_is_listed_with_its_locked_version() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    for (fingerprint, part) in listed() {
        let text = code(part);
        for (ident, package) in dependencies(part) {
            let path = format!("{ident}::");
            let mut starts = text.match_indices(&path).map(|(at, _)| &text[..at]);
            let used = starts.any(|before| !before.ends_with(is_word) && !before.ends_with("::"));
            if !used || INTERFACE_CRATES.contains(&package.as_str()) {
                continue;
            }
            let start = format!("{package} ");
            let listed = fingerprint.crates.iter().find(|part| part.name.starts_with(&start));
            let listed = listed
                .unwrap_or_else(|| panic!("`{}` uses `{package}`, which is not listed", fingerprint.kind));
            let version = &listed.name[start.len()..];
            let entry = format!("name = \"{package}\"\nversion = \"{version}\"\n");
            assert!(lock.contains(&entry), "`{}` is not in Cargo.lock", listed.name);
        }
    }
}

#[test]
fn every_import_of_a_listed_file_is_understood() {
    for part in listed().map(|(_, part)| part).collect::<BTreeSet<_>>() {
        let dependencies = dependencies(part);
        let text = code(part);
        for line in text.lines().map(str::trim_start) {
            let line = line
                .trim_start_matches("pub(crate) ")
                .trim_start_matches("pub(super) ")
                .trim_start_matches("pub ");
            let Some(path) = line.strip_prefix("use ") else { continue };
            let first = path.split(|letter| !is_word(letter)).next().unwrap();
            let known = ["std", "core", "alloc", "crate", "super", "self"].contains(&first)
                || CRATES.iter().any(|(ident, _)| *ident == first)
                || dependencies.contains_key(first)
                || ["mod", "enum", "struct", "macro_rules!"]
                    .iter()
                    .any(|item| text.contains(&format!("{item} {first}")));
            assert!(known, "`{part}` imports `{path}`: neither a module nor a dependency of that name");
        }
    }
}
