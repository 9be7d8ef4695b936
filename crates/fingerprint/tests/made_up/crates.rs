//! External crates enter with their versions, features and what they depend on.

use crate::common::{File, Made, changes, names, stage};

const APP: &str = "[package]\nname = \"app\"\nversion = \"1.0.0\"\n[dependencies]\nscience = { path = \"science\" }\npng = \"0.18\"\n";
const SCIENCE: &str = "[package]\nname = \"science\"\nversion = \"1.0.0\"\n\
    [dependencies]\ncandle-core = { workspace = true, features = [\"f16\"] }\nserde = \"1\"\n";
const ROOT: &str =
    "[workspace]\n[workspace.dependencies]\ncandle-core = { version = \"0.11\", features = [\"std\"] }\n";
const LOCK: &str = r#"
[[package]]
name = "app"
version = "1.0.0"
dependencies = ["candle-core", "png 0.18.1", "science"]

[[package]]
name = "candle-core"
version = "0.11.1"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "c1"
dependencies = ["gemm", "serde"]

[[package]]
name = "gemm"
version = "0.3.0"
source = "git+https://example.org/gemm#abc"

[[package]]
name = "png"
version = "0.18.1"
checksum = "p1"

[[package]]
name = "png"
version = "0.17.0"
checksum = "p2"

[[package]]
name = "science"
version = "1.0.0"
dependencies = ["candle-core", "png 0.17.0", "serde"]

[[package]]
name = "serde"
version = "1.0.0"
checksum = "s1"
"#;

/// A package whose kind has this code, above a crate that uses candle.
fn package(kind: &str) -> Made {
    let root = format!("{ROOT}{APP}");
    let science: [File; 4] = [
        ("science/Cargo.toml", SCIENCE),
        ("science/src/lib.rs", "pub mod nn; pub mod motion;"),
        ("science/src/nn.rs", "use candle_core::Tensor; use serde::Serialize;"),
        ("science/src/motion.rs", ""),
    ];
    let kind = stage("mine", kind);
    Made::new(&[&science[..], &[("src/lib.rs", &kind), ("Cargo.toml", &root), ("Cargo.lock", LOCK)]].concat())
}

fn crates(made: &Made) -> Vec<String> {
    names(&made.fingerprint(".").crates).into_iter().map(str::to_owned).collect()
}

#[test]
fn a_crate_is_looked_up_in_the_manifest_of_the_package_that_names_it() {
    assert_eq!(crates(&package("use science::nn::x;")), ["candle-core 0.11.1"]);
    assert_eq!(crates(&package("use science::motion::x;")), [""; 0]);
    assert_eq!(crates(&package("use png::Encoder;")), ["png 0.18.1"]);
    // No dependency of this package.
    assert_eq!(crates(&package("use std::fmt; fn f() { candle_core::x() }")).len(), 1);
}

#[test]
fn another_version_changes_the_fingerprint_and_so_does_one_below() {
    let made = package("use science::nn::x;");
    for (old, new) in [
        ("0.11.1", "0.11.2"),
        ("checksum = \"c1\"", "checksum = \"c2\""),
        ("version = \"0.3.0\"", "version = \"0.3.1\""),
        ("#abc", "#abd"),
    ] {
        assert!(changes(&made, ".", "Cargo.lock", &LOCK.replacen(old, new, 1)), "{old}");
    }
    for (old, new) in [("0.18.1", "0.18.2"), ("\"s1\"", "\"s2\"")] {
        assert!(!changes(&made, ".", "Cargo.lock", &LOCK.replacen(old, new, 1)), "{old}");
    }
}

#[test]
fn features_change_the_fingerprint_wherever_they_are_asked() {
    let made = package("use science::nn::x;");
    let other_features = SCIENCE.replace("f16", "bf16");
    assert!(changes(&made, ".", "science/Cargo.toml", &other_features));
    let root = format!("{ROOT}{APP}");
    assert!(changes(&made, ".", "Cargo.toml", &root.replace("[\"std\"]", "[\"alloc\"]")));
    assert!(changes(
        &made,
        ".",
        "Cargo.toml",
        &root.replace("features = [\"std\"]", "default-features = false")
    ));
    // Cargo builds the crate once, with the features of all.
    assert!(changes(
        &made,
        ".",
        "Cargo.toml",
        &format!("{root}candle-core = {{ version = \"0.11\", features = [\"mkl\"] }}\n")
    ));
    let same = SCIENCE.replace("features = [\"f16\"]", "features = [\"f16\", \"std\"]");
    assert!(!changes(&made, ".", "science/Cargo.toml", &same));
    assert!(!changes(
        &made,
        ".",
        "Cargo.toml",
        &root.replace("png = \"0.18\"", "png = { version = \"0.18\", features = [\"x\"] }")
    ));
}

#[test]
fn features_that_only_examples_ask_for_change_nothing() {
    let made = package("use png::Encoder;");
    made.write("examples/show.rs", "");
    let manifest =
        format!("{ROOT}{APP}[dev-dependencies]\npng = {{ version = \"0.18\", features = [\"x\"] }}\n");
    assert!(!changes(&made, ".", "Cargo.toml", &manifest));
}

#[test]
fn two_names_of_one_crate_are_one_entry() {
    let made = package("use png::A; use image::B;");
    made.write("Cargo.toml", &format!("{ROOT}{APP}image = {{ package = \"png\", version = \"0.18\" }}\n"));
    assert_eq!(crates(&made), ["png 0.18.1"]);
}

#[test]
fn without_a_lock_file_the_asked_version_stands_in() {
    let made = package("use science::nn::x; use png::A;");
    made.delete("Cargo.lock");
    assert_eq!(crates(&made), ["candle-core 0.11 of science 1.0.0", "png 0.18 of app 1.0.0"]);
}

#[test]
fn a_library_with_another_name_than_its_package_takes_all_crates_in() {
    // `image` can be the library of any of them.
    for kind in ["use image::Encoder;", "fn f() { image::encode() }", "fn f() { ::image::encode() }"] {
        assert_eq!(crates(&package(kind)), ["png 0.18.1"], "{kind}");
    }
    for kind in [
        "mod image { pub fn encode() {} } fn f() { image::encode() }",
        "use std::image; fn f() { image::encode() }",
        "fn f() { x.image::<f64>(); f64::from(1); Image::new(); }",
        "macro_rules! m { ($image:ident) => { $image::encode() } }",
        "#[expect(clippy::image)] fn f() {}",
    ] {
        assert_eq!(crates(&package(kind)), [""; 0], "{kind}");
    }
}
