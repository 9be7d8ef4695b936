//! Interfaces enter no fingerprint and are not followed; what they hand on is.

use crate::common::{File, reached};

const MANIFEST: File = (
    "Cargo.toml",
    "[package]\nname = \"onsager\"\nversion = \"0.1.0\"\n\
     [package.metadata.onsager]\ninterfaces = [\"src/stages/stage.rs\", \"src/engine/\"]\n",
);
const STAGE: File = ("src/stages/stage.rs", "use crate::nn::layers;");
const ENGINE: File = ("src/engine/mod.rs", "pub struct Engine;");

#[test]
fn interfaces_stay_out_and_are_not_followed() {
    let engine = ("src/engine/keys.rs", "use crate::nn::layers;");
    let train = "use super::stage::Stage; use crate::engine::keys::Key; use crate::random::Streams;";
    assert_eq!(reached(train, &[MANIFEST, STAGE, engine]), ["src/random.rs"]);
}

#[test]
fn a_path_into_the_root_takes_everything_but_the_interfaces() {
    let everything = ["src/lib.rs", "src/nn/layers.rs", "src/nn/mod.rs", "src/nn/unet.rs", "src/random.rs"];
    for train in ["use crate::Conv;", "use crate::*;", "fn run() { ("] {
        assert_eq!(reached(train, &[MANIFEST, STAGE, ENGINE]), everything, "{train}");
    }
}

#[test]
fn what_an_interface_hands_on_is_followed() {
    let stage = ("src/stages/stage.rs", "pub use crate::nn::layers::Conv; use crate::random::Streams;");
    for train in ["use super::stage::Conv;", "use super::stage::*;", "fn f(x: super::stage::Conv) {}"] {
        assert_eq!(reached(train, &[MANIFEST, stage, ENGINE]), ["src/nn/layers.rs"], "{train}");
    }
    let glob = ("src/stages/stage.rs", "pub use crate::nn::layers::*;");
    assert_eq!(reached("use super::stage::Conv;", &[MANIFEST, glob, ENGINE]), ["src/nn/layers.rs"]);
}

#[test]
fn a_package_can_be_an_interface_as_a_whole() {
    let whole =
        (MANIFEST.0, MANIFEST.1.replace("[\"src/stages/stage.rs\", \"src/engine/\"]", "[\"src/nn/\"]"));
    assert_eq!(reached("use crate::nn::Conv;", &[(whole.0, &whole.1)]), [""; 0]);
}
