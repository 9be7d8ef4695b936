//! What changes the digest of a file, and what does not.

use crate::common::{closure_of, reached};

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
            let files = closure_of(&[("src/stages/train.rs", train), (data.0, text)]).unwrap().files;
            files[data.0].clone()
        };
        assert_eq!(digest("1,2"), digest("1,2"));
        assert_ne!(digest("1,2"), digest("1,2 "), "{train}");
    }
}

#[test]
fn included_code_of_the_package_is_followed() {
    let code = ("src/stages/steps.rs", "use crate::random::Streams;");
    assert_eq!(reached("include!(\"steps.rs\");", &[code]), ["src/random.rs", code.0]);
}

#[test]
fn who_includes_what_the_build_script_wrote_is_built_from_the_script() {
    let script = ("build.rs", "fn main() { write(1) }");
    let train = "include!(concat!(env!(\"OUT_DIR\"), \"/weights.rs\"));";
    assert_eq!(reached(train, &[script]), [script.0]);
    assert_eq!(reached("", &[script]), [""; 0]);
}

#[test]
fn comments_and_tests_do_not_change_a_digest_but_code_does() {
    let digest = |train| closure_of(&[("src/stages/train.rs", train)]).unwrap().files;
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
