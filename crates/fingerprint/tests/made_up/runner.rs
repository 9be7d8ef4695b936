//! The runner from a registry is left out, as far as it only runs stages.

use crate::common::{Made, names, stage};

const MANIFEST: &str = "[package]\nname = \"app\"\n[dependencies]\nonsager = \"1\"\nrun = { package = \"onsager-runner\", version = \"2\" }\n";

fn crates(kind: &str) -> Vec<String> {
    let made = Made::new(&[("Cargo.toml", MANIFEST), ("src/lib.rs", &stage("mine", kind))]);
    names(&made.fingerprint(".").crates).into_iter().map(str::to_owned).collect()
}

#[test]
fn the_interface_of_the_runner_does_not_enter() {
    for kind in [
        "use onsager::kind::stage::{Inputs, Stage};",
        "use onsager::{kind::context::Context, store::Store}; fn f() { onsager::cli::main() }",
        "use run::kind::stage::Stage; use onsager::kind as k;",
        "onsager::fingerprints!(); fn f() { onsager::builtin() }",
    ] {
        assert_eq!(crates(kind), [""; 0], "{kind}");
    }
}

#[test]
fn the_science_of_the_runner_enters_with_its_version() {
    for kind in [
        "use onsager::science::motion::tubes::Tube;",
        "use onsager::{kind::stage::Stage, science::motion};",
        "use onsager as o;",
        "use onsager::*;",
        "fn f() { onsager::random::Streams::new(1) }",
        "fn f() { onsager::kinds::motion::x() }",
    ] {
        assert_eq!(crates(kind), ["onsager 1 of app 0.0.0"], "{kind}");
    }
    assert_eq!(crates("use run::command::Spawn;"), ["onsager-runner 2 of app 0.0.0"]);
}
