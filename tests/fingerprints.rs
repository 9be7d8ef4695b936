//! The fingerprints of the stage kinds: no source that a kind is built from may be missing from its list.
//!
//! The first half follows paths through a small made-up tree. The second half checks the lists of this package by a plain
//! search of the text, which shares nothing with the build script but the rules.

#[path = "../build/closure.rs"]
mod closure;

use closure::{ClosureError, Tree};
use onsager::stages::builtin;
use onsager::stages::fingerprints::{FINGERPRINTS, Fingerprint, fingerprint};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const LIB: (&str, &str) = ("src/lib.rs", "//! Map.\npub mod nn;\npub mod random;\npub mod stages;\n");
const NN: (&str, &str) = ("src/nn/mod.rs", "//! Networks.\npub mod layers;\npub(crate) mod unet;\n");
const LAYERS: (&str, &str) = ("src/nn/layers.rs", "pub struct Conv;");
const UNET: (&str, &str) = ("src/nn/unet.rs", "use super::layers::Conv; pub struct UNet(Conv);");
const RANDOM: (&str, &str) = ("src/random.rs", "pub struct Streams;");

/// Writes the usual tree with these files over it.
fn write(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [LIB, NN, LAYERS, UNET, RANDOM].iter().chain(files) {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn closure_of(files: &[(&str, &str)]) -> Result<BTreeMap<String, String>, ClosureError> {
    let folder = write(files);
    Ok(Tree::read(folder.path(), "onsager")?.closure("src/stages/train.rs")?.files)
}

/// The files that `src/stages/train.rs` with this text is built from, without itself.
fn reached(train: &str, files: &[(&str, &str)]) -> Vec<String> {
    let files = [files, &[("src/stages/train.rs", train)]].concat();
    let found = closure_of(&files).unwrap();
    assert!(found.contains_key("src/stages/train.rs"));
    found.into_keys().filter(|name| name != "src/stages/train.rs").collect()
}

const ALL_NN: [&str; 3] = ["src/nn/layers.rs", "src/nn/mod.rs", "src/nn/unet.rs"];

#[test]
fn a_precise_path_takes_one_file_and_what_that_file_names() {
    assert_eq!(reached("use crate::nn::layers::Conv;", &[]), ["src/nn/layers.rs"]);
    assert_eq!(reached("use crate::nn::unet::UNet;", &[]), ["src/nn/layers.rs", "src/nn/unet.rs"]);
    assert_eq!(reached("fn run() { let x = 1; }", &[]), [""; 0]);
}

#[test]
fn every_way_to_write_a_path_is_followed() {
    for train in [
        "use crate::nn::layers::{self, Conv};",
        "use crate::nn::{\n    layers::Conv,\n};",
        "use crate::{nn::{layers as l}};",
        "use {crate::nn::layers, std::fmt};",
        "use crate::nn::layers::*;",
        "use super::super::nn::layers;",
        "use super::super::{nn::layers::Conv};",
        "use onsager::nn::layers;",
        "use ::onsager::nn::layers;",
        "fn run() -> Vec<crate::nn::layers::Conv> { Vec::new() }",
        "fn run() { crate::nn::layers::Conv::<f32>::new() }",
        "fn run() { assert!(matches!(x, crate::nn::layers::Conv)) }",
        "macro_rules! conv { () => { $crate::nn::layers::Conv } }",
        "mod inner { use super::super::super::nn::layers; }",
        "fn run() { mod inner { use super::super::super::nn::layers; } }",
        "use crate::r#nn::r#layers;",
        "#[derive(Clone)] struct X { #[serde(default = \"d\")] x: crate::nn::layers::Conv }",
    ] {
        assert_eq!(reached(train, &[]), ["src/nn/layers.rs"], "{train}");
    }
}

#[test]
fn a_path_that_is_not_precise_takes_the_whole_folder() {
    let deep = ("src/nn/deep/er.rs", "");
    for train in
        ["use crate::nn::Conv;", "use crate::nn;", "use crate::nn::*;", "use crate::{nn as networks};"]
    {
        assert_eq!(reached(train, &[]), ALL_NN, "{train}");
        assert!(reached(train, &[deep]).contains(&deep.0.to_owned()), "{train}");
    }
}

#[test]
fn a_path_into_the_root_takes_everything_but_the_interfaces() {
    let engine = ("src/engine/mod.rs", "pub struct Engine;");
    let everything = ["src/lib.rs", "src/nn/layers.rs", "src/nn/mod.rs", "src/nn/unet.rs", "src/random.rs"];
    assert_eq!(reached("use crate::Conv;", &[engine]), everything);
    assert_eq!(reached("use crate::*;", &[engine]), everything);
    // What cannot be read may lead anywhere.
    assert_eq!(reached("fn run() { (", &[engine]), everything);
}

#[test]
fn child_modules_enter() {
    let train = "mod loss; mod steps { mod adam; } pub fn run() { loss::mean() }";
    let loss = ("src/stages/train/loss.rs", "use crate::random::Streams;");
    let adam = ("src/stages/train/steps/adam.rs", "");
    assert_eq!(reached(train, &[loss, adam]), ["src/random.rs", loss.0, adam.0]);
}

#[test]
fn interfaces_stay_out_and_are_not_followed() {
    let stage = ("src/stages/stage.rs", "use crate::nn::layers;");
    let engine = ("src/engine/keys.rs", "use crate::nn::layers;");
    let train = "use super::stage::Stage; use crate::engine::keys::Key; use crate::random::Streams;";
    assert_eq!(reached(train, &[stage, engine]), ["src/random.rs"]);
}

#[test]
fn code_in_the_module_of_a_folder_enters_with_its_children() {
    for code in ["macro_rules! m { () => {} }", "pub use layers::Conv;", "#[macro_use]", "fn layers() {}"] {
        let nn = ("src/nn/mod.rs", format!("{code} pub mod layers; pub mod unet;"));
        assert_eq!(reached("use crate::nn::layers::Conv;", &[(nn.0, &nn.1)]), ALL_NN, "{code}");
    }
}

#[test]
fn an_impl_away_from_its_type_and_trait_enters() {
    let extra = ("src/nn/extra.rs", "use super::layers::Conv; impl Conv { pub fn run(&self) {} }");
    let from = ("src/from.rs", "impl<'a> From<&'a crate::nn::layers::Conv> for f64 {}");
    let own = ("src/own.rs", "struct Own(crate::nn::layers::Conv); impl From<Conv> for Own {}");
    let arm = ("src/arm.rs", "fn f() -> impl Into<Conv> { 1 }");
    // Another's type of the same name.
    let namesake = ("src/other/more.rs", "use super::convs::Conv; impl Conv { fn stop(&self) {} }");
    let convs = ("src/other/convs.rs", "pub struct Conv;");
    let found = reached("use crate::nn::layers::make;", &[extra, from, own, arm, namesake, convs]);
    assert_eq!(found, [from.0, extra.0, "src/nn/layers.rs"]);
}

#[test]
fn included_files_enter_by_their_bytes() {
    let data = ("data/digits.csv", "1,2");
    for train in [
        "const X: &str = include_str!(\"../../data/digits.csv\");",
        "const X: &[u8] = include_bytes!(r\"../../data/digits.csv\");",
        "const X: &str = include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/data/digits.csv\"));",
    ] {
        assert_eq!(reached(train, &[data]), [data.0], "{train}");
        let digest = |text| {
            let files = closure_of(&[("src/stages/train.rs", train), (data.0, text)]).unwrap();
            files[data.0].clone()
        };
        assert_eq!(digest("1,2"), digest("1,2"));
        assert_ne!(digest("1,2"), digest("1,2 "), "{train}");
    }
}

#[test]
fn comments_and_tests_do_not_change_a_digest_but_code_does() {
    let digest = |train| closure_of(&[("src/stages/train.rs", train)]).unwrap();
    let plain = "pub fn run(x: f64) -> f64 { x * 2.0 }\n";
    for same in [
        "//! Docs.\n/// Twice.\npub fn run(x: f64) -> f64 { x * 2.0 /* why */ }",
        "pub fn run(x: f64)\n  -> f64 {\n x * 2.0\n}\n#[cfg(test)]\nmod tests { use crate::nn::layers; }",
        "#[cfg(test)] #[allow(dead_code)] pub(crate) mod tests; pub fn run(x: f64) -> f64 { x * 2.0 }",
        "#[cfg(test)] use crate::nn::{layers}; pub fn run(x: f64) -> f64 { x * 2.0 }",
    ] {
        assert_eq!(digest(same), digest(plain), "{same}");
    }
    for other in [
        "pub fn run(x: f64) -> f64 { x * 3.0 }",
        "pub fn run(x: f64) -> f64 { (x) * 2.0 }",
        "#[inline] pub fn run(x: f64) -> f64 { x * 2.0 }",
        "#[cfg(not(test))] pub fn run(x: f64) -> f64 { x * 2.0 }",
        "pub fn run(x: f64) -> f64 { x * 2.0 } #[cfg(any(test, unix))] mod more {}",
    ] {
        assert_ne!(digest(other), digest(plain), "{other}");
    }
}

#[test]
fn a_test_only_field_hides_nothing_behind_it() {
    let train = "struct S { #[cfg(test)] a: u8, b: crate::nn::layers::Conv }";
    assert_eq!(reached(train, &[]), ["src/nn/layers.rs"]);
}

#[test]
fn what_cannot_be_followed_is_an_error() {
    let error = |train| closure_of(&[("src/stages/train.rs", train)]).unwrap_err().to_string();
    assert!(error("#[path = \"x.rs\"] mod y;").contains("`#[path]`"));
    assert!(error("const X: &str = include_str!(NAME);").contains("computed name"));
    assert!(error("const X: &str = include_str!(\"no.csv\");").contains("`src/stages/no.csv`"));
    assert!(closure_of(&[("src/stages/train.rs", "fn f() { warn!(path = 1) }")]).is_ok());
}

#[test]
fn kinds_are_the_stages_named_by_their_files() {
    let stage = |name| (name, "struct X; impl Stage for X {}");
    let folder = write(&[
        ("src/stages/mod.rs", "pub mod train; #[cfg(test)] mod motion_tests;"),
        stage("src/stages/stage.rs"),
        stage("src/stages/random_motion.rs"),
        stage("src/stages/train/mod.rs"),
        stage("src/stages/train/loss.rs"),
        stage("src/stages/motion_tests.rs"),
        ("src/stages/columns.rs", "impl X {}"),
    ]);
    let kinds = Tree::read(folder.path(), "onsager").unwrap().kinds();
    let expected = [("random-motion", "src/stages/random_motion.rs"), ("train", "src/stages/train/mod.rs")];
    assert_eq!(kinds, expected.map(|(kind, file)| (kind.to_owned(), file.to_owned())).into());
}

#[test]
fn files_for_tests_alone_stay_out() {
    let nn = ("src/nn/mod.rs", "pub mod layers; #[cfg(test)] pub(crate) mod check; pub mod unet;");
    let check = ("src/nn/check.rs", "impl super::layers::Conv {}");
    let below = ("src/nn/check/more.rs", "");
    assert_eq!(reached("use crate::nn::Conv;", &[nn, check, below]), ALL_NN);
    assert_eq!(reached("use crate::nn::layers::Conv;", &[nn, check, below]), ["src/nn/layers.rs"]);
}

#[test]
fn identifiers_that_may_name_a_crate_are_collected() {
    let train = "use polars::prelude::*; use png as p; fn f() { let x: libm::Y = rayon::join(|| x.libc); }";
    let folder = write(&[("src/stages/train.rs", train)]);
    let found = Tree::read(folder.path(), "onsager").unwrap().closure("src/stages/train.rs").unwrap();
    for named in ["polars", "png", "libm", "rayon"] {
        assert!(found.externs.contains(named), "{named}");
    }
    assert!(!found.externs.contains("libc"));
}

// From here on: this package itself, by a search of its text.

/// The rules of docs/hashing.md.
const INTERFACE_FILES: [&str; 5] = ["stage", "context", "registry", "mod", "fingerprints"];
const INTERFACE_FOLDERS: [&str; 4] = ["cli", "engine", "pipeline", "store"];
const INTERFACE_CRATES: [&str; 5] = ["thiserror", "tracing", "serde", "schemars", "sha2"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter();
    let files = entries.map(|entry| entry.unwrap().into_path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/")
}

fn is_interface(name: &str) -> bool {
    let inner = name.trim_start_matches("src/");
    INTERFACE_FOLDERS.iter().any(|folder| inner.starts_with(&format!("{folder}/")))
        || INTERFACE_FILES.iter().any(|file| inner == format!("stages/{file}.rs"))
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

/// The modules of a folder that its `mod.rs` declares for tests alone.
fn is_for_tests(file: &str) -> bool {
    let (folder, own) = file.rsplit_once('/').unwrap();
    let declared = fs::read_to_string(root().join(folder).join("mod.rs")).unwrap_or_default();
    let module = own.trim_end_matches(".rs");
    let line = format!("mod {module};");
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

/// The paths from the crate's root that a file's text holds, as `/nn/layers/Conv`.
fn crate_paths(file: &str) -> BTreeSet<String> {
    let (all, outer) = (code(file), outer_code(file));
    let module = file.trim_start_matches("src").trim_end_matches(".rs").trim_end_matches("/mod");
    let parent = module.rsplit_once('/').map_or("", |(parent, _)| parent);
    let grandparent = parent.rsplit_once('/').map_or("", |(parent, _)| parent);
    let mut found = BTreeSet::new();
    for (head, prefix, text) in [
        ("crate::", "", &all),
        ("onsager::", "", &all),
        ("super::super::", grandparent, &outer),
        ("super::", parent, &outer),
    ] {
        for (at, _) in text.match_indices(head) {
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

/// The files that a path may mean.
fn files_of(path: &str) -> Vec<String> {
    let mut module = path;
    loop {
        let file = format!("src{module}.rs");
        if root().join(&file).is_file() {
            return vec![file];
        }
        let folder = root().join(format!("src{module}"));
        if folder.join("mod.rs").is_file() || module.is_empty() {
            let files = rust_files(&folder).into_iter().map(|path| name(&path));
            return files.filter(|file| file != "src/main.rs").collect();
        }
        module = module.rsplit_once('/').map_or("", |(parent, _)| parent);
    }
}

fn holds(fingerprint: &Fingerprint, file: &str) -> bool {
    fingerprint.files.iter().any(|part| part.name == file)
}

fn is_rust(name: &str) -> bool {
    name.ends_with(".rs")
}

#[test]
fn every_path_of_a_listed_file_leads_to_a_listed_file() {
    for fingerprint in FINGERPRINTS {
        for part in fingerprint.files.iter().filter(|part| is_rust(part.name)) {
            for path in crate_paths(part.name) {
                for file in files_of(&path).iter().filter(|file| !is_interface(file) && !is_for_tests(file)) {
                    assert!(
                        holds(fingerprint, file),
                        "`{}` is built from `{}`, which names `{path}`, but `{file}` is not in its list",
                        fingerprint.kind,
                        part.name
                    );
                }
            }
        }
    }
}

#[test]
fn every_declared_module_and_included_file_of_a_listed_file_is_listed() {
    for fingerprint in FINGERPRINTS {
        for part in fingerprint.files.iter().filter(|part| is_rust(part.name)) {
            let text = code(part.name);
            let folder = part.name.trim_end_matches(".rs").trim_end_matches("/mod");
            for line in text.lines().map(str::trim) {
                let line = line.trim_start_matches("pub ").trim_start_matches("pub(crate) ");
                if let Some(child) = line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
                    let child = [format!("{folder}/{child}.rs"), format!("{folder}/{child}/mod.rs")];
                    let listed = child.iter().any(|file| holds(fingerprint, file));
                    assert!(listed, "`{}` misses `{}`", fingerprint.kind, child[0]);
                }
            }
            let included = text.matches("include_bytes!").count() + text.matches("include_str!").count();
            let others = fingerprint.files.iter().filter(|part| !is_rust(part.name)).count();
            assert!(others >= included, "`{}` misses a file that `{}` includes", fingerprint.kind, part.name);
        }
        for part in fingerprint.files.iter().filter(|part| !is_rust(part.name)) {
            let bytes = fs::read(root().join(part.name)).unwrap();
            assert_eq!(part.digest, closure::hex(Sha256::new_with_prefix(bytes)), "{}", part.name);
        }
    }
}

#[test]
fn every_library_file_belongs_to_a_kind() {
    let folders = ["motion", "diffusion", "nn", "data", "metrics", "report"];
    let mut files: Vec<String> = vec!["src/random.rs".into(), "src/kernel.rs".into()];
    for folder in folders {
        files.extend(rust_files(&root().join("src").join(folder)).iter().map(|path| name(path)));
    }
    for file in files.into_iter().filter(|file| !is_for_tests(file)) {
        let only_modules = code(&file).lines().all(|line| {
            line.trim().is_empty() || line.starts_with("#") || line.contains("mod ") && line.ends_with(';')
        });
        let used = FINGERPRINTS.iter().any(|fingerprint| holds(fingerprint, &file));
        assert!(used || only_modules, "no kind is built from `{file}`: use it or delete it");
    }
}

#[test]
fn every_registered_kind_has_its_fingerprint_and_no_two_are_equal() {
    let registered: BTreeSet<&str> = builtin().iter().map(|kind| kind.name()).collect();
    let listed: BTreeSet<&str> = FINGERPRINTS.iter().map(|fingerprint| fingerprint.kind).collect();
    assert_eq!(registered, listed, "every `impl Stage for` in src/stages/ is registered, and the reverse");
    for kind in builtin().iter() {
        assert_eq!(Some(kind.fingerprint()), fingerprint(kind.name()).map(|found| found.digest));
    }
    let digests: BTreeSet<&str> = FINGERPRINTS.iter().map(|fingerprint| fingerprint.digest).collect();
    assert_eq!(digests.len(), FINGERPRINTS.len());
}

/// The direct dependencies as (identifier in code, package name), from the lines of the manifest.
fn dependencies() -> BTreeMap<String, String> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    // Those of every system, and those of one.
    let sections = manifest.split("\n[").filter(|section| {
        let head = section.lines().next().unwrap_or_default();
        head == "dependencies]" || head.starts_with("target.") && head.ends_with(".dependencies]")
    });
    let lines = sections.flat_map(str::lines).filter_map(|line| line.split_once(" = "));
    let named = lines.map(|(key, value)| {
        let package = value.split("package = \"").nth(1).and_then(|rest| rest.split('"').next());
        (key.replace('-', "_"), package.unwrap_or(key).to_owned())
    });
    named.collect()
}

#[test]
fn every_crate_that_a_listed_file_names_is_listed_with_its_locked_version() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).unwrap();
    for fingerprint in FINGERPRINTS {
        for (ident, package) in dependencies() {
            let used = fingerprint.files.iter().filter(|part| is_rust(part.name)).any(|part| {
                let text = code(part.name);
                let path = format!("{ident}::");
                let mut starts = text.match_indices(&path).map(|(at, _)| &text[..at]);
                starts.any(|before| !before.ends_with(is_word) && !before.ends_with("::"))
            });
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
    let dependencies = dependencies();
    for part in
        FINGERPRINTS.iter().flat_map(|fingerprint| fingerprint.files).filter(|part| is_rust(part.name))
    {
        let text = code(part.name);
        for line in text.lines().map(str::trim_start) {
            let line = line
                .trim_start_matches("pub(crate) ")
                .trim_start_matches("pub(super) ")
                .trim_start_matches("pub ");
            let Some(path) = line.strip_prefix("use ") else { continue };
            let first = path.split(|letter| !is_word(letter)).next().unwrap();
            let known = ["std", "core", "alloc", "crate", "super", "self"].contains(&first)
                || dependencies.contains_key(first)
                || ["mod", "enum", "struct", "macro_rules!"]
                    .iter()
                    .any(|item| text.contains(&format!("{item} {first}")));
            assert!(
                known,
                "`{}` imports `{path}`: neither a module nor a dependency of that name",
                part.name
            );
        }
    }
}
