//! Paths are followed from the kind's file, one file where they are precise and more where they are not.

use crate::common::{ALL_NN, closure_of, reached};

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
fn a_path_into_the_root_takes_everything() {
    let everything = ["src/lib.rs", "src/nn/layers.rs", "src/nn/mod.rs", "src/nn/unet.rs", "src/random.rs"];
    assert_eq!(reached("use crate::Conv;", &[]), everything);
    assert_eq!(reached("use crate::*;", &[]), everything);
    // What cannot be read may lead anywhere.
    assert_eq!(reached("fn run() { (", &[]), everything);
}

#[test]
fn child_modules_enter() {
    let train = "mod loss; mod steps { mod adam; } pub fn run() { loss::mean() }";
    let loss = ("src/stages/train/loss.rs", "use crate::random::Streams;");
    let adam = ("src/stages/train/steps/adam.rs", "");
    assert_eq!(reached(train, &[loss, adam]), ["src/random.rs", loss.0, adam.0]);
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
fn a_test_only_field_hides_nothing_behind_it() {
    let train = "struct S { #[cfg(test)] a: u8, b: crate::nn::layers::Conv }";
    assert_eq!(reached(train, &[]), ["src/nn/layers.rs"]);
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
    let found = closure_of(&[("src/stages/train.rs", train)]).unwrap();
    let contains = |ident| found.externs.iter().any(|named| named.ident == ident);
    for named in ["polars", "png", "libm", "rayon"] {
        assert!(contains(named), "{named}");
    }
    assert!(!contains("libc"));
}
