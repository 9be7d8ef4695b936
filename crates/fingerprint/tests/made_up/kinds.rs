//! A kind is an `impl Stage for` with its name as a literal, wherever it stands.

use crate::common::{Made, stage};

fn kinds(files: &[(&str, &str)]) -> Vec<(String, String)> {
    Made::usual(files).tree().unwrap().kinds().unwrap().into_iter().collect()
}

fn expected(kinds: &[(&str, &str)]) -> Vec<(String, String)> {
    kinds.iter().map(|(kind, file)| (kind.to_string(), file.to_string())).collect()
}

#[test]
fn kinds_are_named_by_their_literals() {
    let found = kinds(&[
        ("src/stages/mod.rs", "pub mod train; #[cfg(test)] mod motion_tests;"),
        ("src/stages/motion/random_motion.rs", &stage("random-motion", "")),
        ("src/stages/report/page.rs", &stage("report", "")),
        (
            "src/stages/train/mod.rs",
            &stage("train", "#[cfg(test)] mod tests { impl Stage for Y { const KIND: &str = \"y\"; } }"),
        ),
        ("src/stages/motion_tests.rs", &stage("tested", "")),
        ("src/stages/columns.rs", "impl X {}"),
        ("tests/own.rs", &stage("of-a-test", "")),
    ]);
    let expected = expected(&[
        ("random-motion", "src/stages/motion/random_motion.rs"),
        ("report", "src/stages/report/page.rs"),
        ("train", "src/stages/train/mod.rs"),
    ]);
    assert_eq!(found, expected);
}

#[test]
fn every_way_to_write_a_kind_counts() {
    for text in [
        "impl onsager::kind::stage::Stage for X { type Params = P; const KIND: &str = \"x\"; }",
        "impl<T: Copy> Stage for X<T> where T: Send { const SUMMARY: &str = \"s\"; const KIND: &'static str = r\"x\"; }",
        "fn main() { struct X; impl Stage for X { const KIND: &'static str = \"x\"; } }",
        "mod inner { impl Stage for super::X { const KIND: &'static str = \"x\"; } }",
    ] {
        assert_eq!(kinds(&[("src/x.rs", text)]), expected(&[("x", "src/x.rs")]), "{text}");
    }
}

#[test]
fn a_trait_of_the_same_name_makes_no_kind() {
    assert_eq!(kinds(&[("src/x.rs", "impl Stage for X { fn rocket(&self) {} }")]), []);
    assert_eq!(kinds(&[("src/x.rs", "fn f() -> impl Stage { const KIND: &str = \"x\"; }")]), []);
}

#[test]
fn one_file_can_hold_two_kinds() {
    let two = format!("{} {}", stage("one", ""), stage("two", ""));
    assert_eq!(kinds(&[("src/x.rs", &two)]), expected(&[("one", "src/x.rs"), ("two", "src/x.rs")]));
}

#[test]
fn kinds_of_other_packages_are_theirs() {
    let found = kinds(&[
        ("Cargo.toml", "[package]\nname = \"app\"\n[dependencies]\nother = { path = \"other\" }\n"),
        ("other/Cargo.toml", "[package]\nname = \"other\"\n"),
        ("other/src/lib.rs", &stage("theirs", "")),
        ("src/x.rs", &stage("ours", "")),
    ]);
    assert_eq!(found, expected(&[("ours", "src/x.rs")]));
}
