//! `write()` is the whole of a build script.

use crate::common::{Made, stage};
use std::fs;
use std::process::Command;

const ASKED: &str = "ONSAGER_FINGERPRINT_SCRIPT";

/// Not a test of its own: what the others run as the build script.
#[test]
fn build_script() {
    if std::env::var_os(ASKED).is_some() {
        onsager_fingerprint::write();
    }
}

/// What the build script of the package in this folder prints to Cargo, in order.
fn run(made: &Made, package: &str, features: &str) -> Vec<String> {
    fs::create_dir_all(made.path("target/out")).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "script::build_script", "--nocapture"])
        .env(ASKED, "1")
        .env("CARGO_MANIFEST_DIR", made.path(package))
        .env("OUT_DIR", made.path("target/out"))
        .env("CARGO_CFG_FEATURE", features)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix("cargo::"));
    lines.map(|line| line.replace(&made.path("").display().to_string(), "")).collect()
}

fn workspace() -> Made {
    Made::new(&[
        ("Cargo.toml", "[workspace]\n"),
        (
            "app/Cargo.toml",
            "[package]\nname = \"app\"\n[dependencies]\nscience = { path = \"../science\" }\npng = \"1\"\n",
        ),
        ("app/src/lib.rs", &stage("fit", "use science::X; #[cfg(feature = \"fast\")] fn f() { png::x() }")),
        ("science/Cargo.toml", "[package]\nname = \"science\"\n"),
        ("science/src/lib.rs", "const X: &str = include_str!(\"../data/x.csv\");"),
        ("science/data/x.csv", "1"),
    ])
}

#[test]
fn it_writes_the_list_as_rust_code() {
    let made = workspace();
    run(&made, "app", "fast");
    let text = fs::read_to_string(made.path("target/out/fingerprints.rs")).unwrap();
    let masked: Vec<String> = text
        .lines()
        .map(|line| match line.split_once("digest: \"") {
            Some((before, digest)) => format!("{before}digest: \"{}", &digest[64..]),
            None => line.to_owned(),
        })
        .collect();
    let expected = r#"pub const FINGERPRINTS: &[Fingerprint] = &[
    Fingerprint {
        kind: "fit",
        digest: "",
        files: &[
            Part { name: "app/src/lib.rs", digest: "" },
            Part { name: "science/data/x.csv", digest: "" },
            Part { name: "science/src/lib.rs", digest: "" },
        ],
        crates: &[
            Part { name: "app/fast", digest: "" },
            Part { name: "png 1 of app 0.0.0", digest: "" },
        ],
    },
];"#;
    assert_eq!(masked.join("\n"), expected);
}

#[test]
fn it_watches_what_it_read_and_nothing_that_does_not_exist() {
    let made = workspace();
    let watched = [
        "app/Cargo.toml",
        "app/src",
        "science/Cargo.toml",
        "science/src",
        "Cargo.toml",
        "science/data/x.csv",
    ];
    let lines =
        |watched: &[&str]| watched.iter().map(|name| format!("rerun-if-changed={name}")).collect::<Vec<_>>();
    assert_eq!(run(&made, "app", ""), lines(&watched));
    made.write("Cargo.lock", "");
    made.write("app/examples/dice.rs", "");
    let more = [
        "app/Cargo.toml",
        "app/src",
        "science/Cargo.toml",
        "science/src",
        "app/examples",
        "Cargo.toml",
        "Cargo.lock",
        "science/data/x.csv",
    ];
    assert_eq!(run(&made, "app", ""), lines(&more));
}

#[test]
fn an_error_stops_the_build() {
    let made = workspace();
    made.write("app/src/lib.rs", "impl Stage for X { const KIND: &str = NAME; }");
    let last = run(&made, "app", "").pop().unwrap();
    assert!(
        last.starts_with("error=no fingerprints: a stage kind in `app/src/lib.rs` has a computed name"),
        "{last}"
    );
}

#[test]
fn a_package_that_cargo_fetched_uses_the_lock_file_of_the_build() {
    let package = "[[package]]\nname = \"app\"\nversion = \"0.0.0\"\ndependencies = [\"png\"]\n[[package]]\nname = \"png\"\n";
    let made = workspace();
    made.write("app/Cargo.toml", "[package]\nname = \"app\"\n[dependencies]\npng = \"1\"\n");
    made.write("app/src/lib.rs", &stage("fit", "use png::X;"));
    made.write("app/Cargo.lock", &format!("{package}version = \"1.1.0\"\n"));
    made.write("Cargo.lock", &format!("{package}version = \"1.2.0\"\n"));
    made.write("app/.cargo-ok", "");
    run(&made, "app", "");
    let text = fs::read_to_string(made.path("target/out/fingerprints.rs")).unwrap();
    assert!(text.contains("png 1.2.0") && !text.contains("png 1.1.0"), "{text}");
}
