//! Features choose code in the crates at hand, and ask for features of the crates below.

use crate::common::{File, Made, names, stage};

const MANIFEST: File = (
    "Cargo.toml",
    "[package]\nname = \"app\"\n[features]\ndefault = [\"fast\"]\nfast = [\"science/simd\"]\nmkl = [\"candle?/mkl\"]\nserve = []\n\
     [dependencies]\ncandle = { version = \"1\", optional = true }\nscience = { path = \"science\" }\n",
);
const SCIENCE: File =
    ("science/Cargo.toml", "[package]\nname = \"science\"\n[features]\nsimd = [\"wide\"]\nwide = []\n");

fn package(kind: &str, science: &str) -> Made {
    let kind = stage("mine", kind);
    Made::new(&[MANIFEST, SCIENCE, ("science/src/lib.rs", science), ("src/lib.rs", &kind)])
}

#[test]
fn a_feature_that_no_file_asks_about_changes_nothing() {
    let made = package("use candle::Tensor;", "");
    assert_eq!(made.fingerprint_with(".", &["serve"]), made.fingerprint("."));
}

#[test]
fn a_feature_that_a_file_asks_about_enters_when_it_is_on() {
    let made = package("#[cfg(feature = \"serve\")] mod served {}", "");
    assert_eq!(names(&made.fingerprint(".").crates), [""; 0]);
    assert_eq!(names(&made.fingerprint_with(".", &["serve"]).crates), ["app/serve"]);
    assert_ne!(made.fingerprint_with(".", &["serve"]).digest, made.fingerprint(".").digest);
}

#[test]
fn features_are_followed_into_the_crates_at_hand() {
    let made = package("use science::X;", "fn f() { if cfg!(feature = \"wide\") {} }");
    assert_eq!(names(&made.fingerprint(".").crates), [""; 0]);
    assert_eq!(names(&made.fingerprint_with(".", &["default", "fast"]).crates), ["science/wide"]);
    let manifest = MANIFEST.1.replace("path = \"science\"", "path = \"science\", features = [\"simd\"]");
    made.write("Cargo.toml", &manifest);
    assert_eq!(names(&made.fingerprint(".").crates), ["science/wide"]);
}

#[test]
fn a_feature_can_ask_for_one_of_an_external_crate() {
    let made = package("use candle::Tensor;", "");
    let (without, with) = (made.fingerprint("."), made.fingerprint_with(".", &["mkl"]));
    assert_eq!(names(&without.crates), names(&with.crates));
    assert_ne!(without.digest, with.digest);
}
