//! What stops the build says what is wrong, where, and what to do.

use crate::common::{Made, closure_of, stage};
use onsager_fingerprint::fingerprints;

#[test]
fn what_cannot_be_followed_is_an_error() {
    let error = |train| closure_of(&[("src/stages/train.rs", train)]).unwrap_err().to_string();
    assert!(error("#[path = \"x.rs\"] mod y;").contains("`#[path]`"));
    assert!(error("#[cfg_attr(unix, path = \"x.rs\")] mod y;").contains("`#[path]`"));
    assert!(error("const X: &str = include_str!(NAME);").contains("computed name"));
    assert!(error("const X: &str = include_str!(\"no.csv\");").contains("`src/stages/no.csv`"));
    assert!(closure_of(&[("src/stages/train.rs", "fn f() { warn!(path = 1) }")]).is_ok());
}

/// The error of a package with these files over the usual ones, with `…` for its folder.
fn error(files: &[(&str, &str)]) -> String {
    let made = Made::usual(files);
    let folder = made.path("");
    let text = fingerprints(&folder, &[]).unwrap_err().to_string();
    text.replace(&format!("{}", folder.display()), "…/")
}

#[test]
fn two_kinds_of_one_name() {
    let (one, other) = (("src/a.rs", stage("fit", "")), ("examples/b.rs", stage("fit", "")));
    assert_eq!(
        error(&[(one.0, &one.1), (other.0, &other.1)]),
        "`examples/b.rs` and `src/a.rs` both define the stage kind `fit`: rename one of them"
    );
}

#[test]
fn a_kind_with_a_computed_name() {
    for name in ["NAME", "concat!(\"a\", \"b\")", "$kind", "\"a\".trim()"] {
        let text = format!("impl Stage for X {{ const KIND: &'static str = {name}; }}");
        assert_eq!(
            error(&[("src/a.rs", &text)]),
            "a stage kind in `src/a.rs` has a computed name: write it as a literal, \
             `const KIND: &'static str = \"my-kind\";`"
        );
    }
}

fn with_interfaces(list: &str) -> String {
    format!("[package]\nname = \"app\"\n[package.metadata.onsager]\ninterfaces = {list}\n")
}

#[test]
fn a_kind_in_an_interface() {
    assert_eq!(
        error(&[
            ("Cargo.toml", &with_interfaces("[\"src/stages/\"]")),
            ("src/stages/a.rs", &stage("fit", ""))
        ]),
        "the stage kind `fit` is in `src/stages/a.rs`, which `Cargo.toml` lists as an interface, so its code would not \
         count: move the kind to a file of its own"
    );
}

#[test]
fn an_interface_that_does_not_exist() {
    assert_eq!(
        error(&[("Cargo.toml", &with_interfaces("[\"src/nn/\", \"src/nowhere/\"]"))]),
        "`…/Cargo.toml` lists the interface `src/nowhere/`, but there is no such folder: correct the name, or delete it"
    );
    assert_eq!(
        error(&[("Cargo.toml", &with_interfaces("[\"src/nn\"]"))]),
        "`…/Cargo.toml` lists the interface `src/nn`, but there is no such file (a folder's name ends in `/`): correct \
         the name, or delete it"
    );
}

#[test]
fn interfaces_that_are_no_list_of_names() {
    for list in ["\"src/lib.rs\"", "[1]"] {
        assert_eq!(
            error(&[("Cargo.toml", &with_interfaces(list))]),
            "`interfaces` in `[package.metadata.onsager]` of `…/Cargo.toml` is not a list of names: write \
             `interfaces = [\"src/main.rs\"]`"
        );
    }
}

#[test]
fn manifests_that_do_not_fit() {
    assert_eq!(
        error(&[("Cargo.toml", "[package]\nname = \"app\"\n[dependencies]\nlibm.workspace = true\n")]),
        "`…/Cargo.toml` says `libm.workspace = true`, but its workspace has no `libm`: write it there, or give it here"
    );
    assert_eq!(
        error(&[("Cargo.toml", "[workspace]\n")]),
        "`…/Cargo.toml` has no `[package]` with a `name`: name the folder of a package"
    );
    assert_eq!(
        error(&[("Cargo.toml", "[package]\nname = \"app\"\n[lib]\npath = \"lib.rs\"\n")]),
        "`…/Cargo.toml` has its library at `lib.rs`: put it into a folder of its own, such as `src/lib.rs`"
    );
    assert!(error(&[("Cargo.toml", "[package\n")]).starts_with("`…/Cargo.toml` is not valid TOML: "));
}

#[test]
fn a_crate_that_is_not_there() {
    let manifest = "[package]\nname = \"app\"\n[dependencies]\nscience = { path = \"science\" }\n";
    assert!(error(&[("Cargo.toml", manifest)]).starts_with("cannot read `…/science/Cargo.toml`: "));
}
