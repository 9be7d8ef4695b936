//! Programs and examples are crates of their own, and can have kinds of their own.

use crate::common::{File, Made, names, stage};

/// The files of the one kind of a package, without the file of the kind itself.
fn files(kind_file: &str, text: &str, files: &[File]) -> Vec<String> {
    let kind = stage("mine", text);
    let made =
        Made::new(&[files, &[(kind_file, &kind), ("Cargo.toml", "[package]\nname = \"app\"\n")]].concat());
    let mut found: Vec<_> = names(&made.fingerprint(".").files).into_iter().map(str::to_owned).collect();
    found.retain(|name| name != kind_file);
    found
}

const LIB: File = ("src/lib.rs", "pub mod motion;");
const MOTION: File = ("src/motion.rs", "pub struct Path;");

#[test]
fn an_example_has_its_kind_and_names_the_library() {
    assert_eq!(files("examples/dice.rs", "use app::motion::Path;", &[LIB, MOTION]), [MOTION.0]);
    let throw = ("examples/dice/throw.rs", "");
    assert_eq!(files("examples/dice/main.rs", "mod throw;", &[LIB, throw]), [throw.0]);
    let common = ("examples/common/mod.rs", "");
    let other = ("examples/other.rs", "mod common; fn main() { other() }");
    assert_eq!(
        files("examples/dice.rs", "mod common; use crate::common::x;", &[LIB, common, other]),
        [common.0]
    );
}

#[test]
fn the_root_of_a_program_is_its_own() {
    let helper = ("src/helper.rs", "pub struct H;");
    assert_eq!(files("src/main.rs", "mod helper; use crate::helper::H;", &[helper]), [helper.0]);
    assert_eq!(files("src/main.rs", "use app::motion::Path;", &[LIB, MOTION, helper]), [MOTION.0]);
    assert_eq!(files("src/bin/dice.rs", "use app::motion::Path;", &[LIB, MOTION, helper]), [MOTION.0]);
    let bin = ("src/bin/dice/throw.rs", "use super::Die;");
    assert_eq!(files("src/bin/dice/main.rs", "mod throw; struct Die;", &[LIB, MOTION, bin]), [bin.0]);
}

#[test]
fn the_program_that_declares_the_kind_enters_by_its_macros() {
    let main = ("src/main.rs", "macro_rules! m { () => {} } mod dice; fn main() {}");
    assert_eq!(files("src/dice.rs", "", &[main]), [main.0]);
    assert_eq!(files("src/dice.rs", "", &[main, LIB, MOTION]), [main.0]);
    // Another program beside the library does not.
    let lib = ("src/lib.rs", "pub mod dice;");
    assert_eq!(files("src/dice.rs", "", &[("src/main.rs", "fn main() {}"), lib]), [""; 0]);
}

#[test]
fn a_program_hands_nothing_to_the_library() {
    let shows = ("src/bin/show.rs", "mod show; impl show::Show for app::motion::Path {}");
    let show = ("src/bin/show/show.rs", "pub trait Show {}");
    let example = ("examples/show.rs", "mod traits; impl traits::Show for app::motion::Path {}");
    let lib = ("src/lib.rs", "pub mod motion; pub mod kind;");
    let found = files("src/kind.rs", "use crate::motion::Path;", &[lib, MOTION, shows, show, example]);
    assert_eq!(found, [MOTION.0]);
}

#[test]
fn a_module_that_only_a_program_tests_stays_in() {
    let lib = ("src/lib.rs", "pub mod motion; pub mod kind;");
    let main = ("src/main.rs", "#[cfg(test)] mod motion; fn main() {}");
    assert_eq!(files("src/kind.rs", "use crate::motion::Path;", &[lib, MOTION, main]), [MOTION.0]);
}
