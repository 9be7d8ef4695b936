//! A name that a folder's module takes from elsewhere leads to where it comes from.

use crate::common::{File, Made, names, reached, stage};

/// A facade that is an interface, so that nothing enters by it.
fn reached_by_facade(lib: &str, train: &str) -> Vec<String> {
    let manifest: File = (
        "Cargo.toml",
        "[package]\nname = \"onsager\"\nversion = \"0.1.0\"\n\
         [package.metadata.onsager]\ninterfaces = [\"src/lib.rs\"]\n",
    );
    reached(train, &[manifest, ("src/lib.rs", lib)])
}

#[test]
fn a_name_leads_to_the_one_file_that_it_means() {
    for lib in [
        "pub use nn::layers; pub mod nn; pub mod random;",
        "pub use crate::nn::layers; pub mod nn;",
        "pub use self::nn::{layers, unet}; mod nn;",
        "pub use nn::{unet::*, layers::{self, Conv as Layer}}; mod nn;",
    ] {
        assert_eq!(reached_by_facade(lib, "use crate::layers::Conv;"), ["src/nn/layers.rs"], "{lib}");
    }
    let renamed = "pub use nn::layers as parts; pub mod nn;";
    assert_eq!(reached_by_facade(renamed, "use crate::parts::Conv;"), ["src/nn/layers.rs"]);
    let twice = "pub use nn::layers as parts; pub use random as parts; pub mod nn; pub mod random;";
    assert_eq!(reached_by_facade(twice, "use crate::parts::X;"), ["src/nn/layers.rs", "src/random.rs"]);
}

#[test]
fn a_name_can_come_by_another_import() {
    let lib = "use crate::nn as parts; pub use parts::layers; pub mod nn; pub mod random;";
    assert_eq!(reached_by_facade(lib, "use crate::layers::Conv;"), ["src/nn/layers.rs"]);
    let lib = "use nn::*; pub use layers::Conv; pub mod nn; pub mod random;";
    assert_eq!(reached_by_facade(lib, "use crate::Conv;"), ["src/nn/layers.rs"]);
}

#[test]
fn a_module_and_a_function_of_one_name_both_enter() {
    let lib = "pub mod random; pub use nn::layers::random; pub mod nn;";
    assert_eq!(reached_by_facade(lib, "use crate::random;"), ["src/nn/layers.rs", "src/random.rs"]);
}

#[test]
fn an_external_crate_that_an_interface_hands_on_is_counted() {
    let manifest = "[package]\nname = \"app\"\n[dependencies]\npng = \"1\"\n\
                    [package.metadata.onsager]\ninterfaces = [\"src/lib.rs\"]\n";
    let kind = stage("mine", "use crate::images::Encoder;");
    let made = Made::new(&[
        ("Cargo.toml", manifest),
        ("src/lib.rs", "pub mod kind; pub use png as images;"),
        ("src/kind.rs", &kind),
    ]);
    assert_eq!(names(&made.fingerprint(".").crates), ["png 1 of app 0.0.0"]);
}

#[test]
fn a_glob_leads_to_the_module_that_it_brings() {
    let lib = "pub use nn::*; pub mod nn; pub mod random;";
    assert_eq!(reached_by_facade(lib, "use crate::layers::Conv;"), ["src/nn/layers.rs"]);
    // It may bring anything else too.
    let found = reached_by_facade(lib, "use crate::Unheard;");
    assert!(found.contains(&"src/nn/unet.rs".to_owned()) && found.contains(&"src/random.rs".to_owned()));
}

#[test]
fn a_circle_of_globs_ends() {
    let lib = "pub use nn::*; pub mod nn;";
    let nn = ("src/nn/mod.rs", "pub use super::*; pub mod layers;");
    let made = Made::usual(&[("src/lib.rs", lib), nn, ("src/stages/train.rs", "use crate::nn::Unheard;")]);
    assert!(made.tree().unwrap().closure("src/stages/train.rs").unwrap().files.len() > 2);
}

#[test]
fn an_item_of_the_module_itself_takes_that_file() {
    let lib = "pub mod nn; pub mod random; pub fn builtin() {}";
    assert_eq!(reached_by_facade(lib, "fn f() { crate::builtin() }"), [""; 0]);
}
