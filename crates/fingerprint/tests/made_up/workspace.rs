//! Sources are followed into the crates that are given by `path`.

use crate::common::{File, Made, changes, names, stage};

const ROOT: File = (
    "Cargo.toml",
    "[workspace]\nmembers = [\"app\", \"crates/*\"]\n\
     [workspace.package]\nversion = \"0.2.0\"\n\
     [workspace.dependencies]\nrandom-science = { path = \"crates/science\" }\nnumerics = { path = \"crates/numerics\" }\n\
     base = { path = \"crates/numerics\", package = \"numerics\" }\n",
);
const APP: File = (
    "app/Cargo.toml",
    "[package]\nname = \"app\"\nversion.workspace = true\n[dependencies]\nrandom-science.workspace = true\n",
);
const LIB: File = ("app/src/lib.rs", "pub mod motion;");
const SCIENCE: File = (
    "crates/science/Cargo.toml",
    "[package]\nname = \"random-science\"\n[dependencies]\nbase.workspace = true\n",
);
const SCIENCE_LIB: File = ("crates/science/src/lib.rs", "pub mod motion; pub mod nn;");
const MOTION: File = ("crates/science/src/motion/mod.rs", "pub mod law; pub mod tubes;");
const TUBES: File =
    ("crates/science/src/motion/tubes.rs", "use crate::motion::law::Law; pub struct Tube(Law);");
const LAW: File = ("crates/science/src/motion/law.rs", "pub struct Law(numerics::random::Streams);");
const NN: File = ("crates/science/src/nn.rs", "pub struct Conv;");
const NUMERICS: File = ("crates/numerics/Cargo.toml", "[package]\nname = \"numerics\"\n");
const NUMERICS_LIB: File = ("crates/numerics/src/lib.rs", "pub mod kernel; pub mod random;");
const RANDOM: File = ("crates/numerics/src/random.rs", "pub struct Streams;");
const KERNEL: File = ("crates/numerics/src/kernel.rs", "pub struct Level;");

/// The workspace with this code in the kind's file, and these files over it.
fn workspace(kind: &str, files: &[File]) -> Made {
    let usual = [
        ROOT,
        APP,
        LIB,
        SCIENCE,
        SCIENCE_LIB,
        MOTION,
        TUBES,
        LAW,
        NN,
        NUMERICS,
        NUMERICS_LIB,
        RANDOM,
        KERNEL,
    ];
    let kind = stage("motion", kind);
    Made::new(&[&usual[..], &[("app/src/motion.rs", kind.as_str())], files].concat())
}

/// The files of that kind, without its own.
fn files(kind: &str, over: &[File]) -> Vec<String> {
    let fingerprint = workspace(kind, over).fingerprint("app");
    let found = names(&fingerprint.files).into_iter().filter(|name| *name != "app/src/motion.rs");
    found.map(str::to_owned).collect()
}

#[test]
fn a_path_into_another_crate_is_as_precise_as_one_into_its_own() {
    assert_eq!(files("use random_science::motion::law::Law;", &[]), [LAW.0]);
    assert_eq!(files("use random_science::motion::tubes::Tube;", &[]), [LAW.0, TUBES.0]);
    assert_eq!(files("use random_science::nn::Conv;", &[]), [NN.0]);
    assert_eq!(files("use random_science::motion::Tube;", &[]), [LAW.0, MOTION.0, TUBES.0]);
    assert_eq!(files("", &[]), [""; 0]);
}

#[test]
fn a_path_to_the_root_of_another_crate_takes_all_of_that_crate() {
    let science = [SCIENCE_LIB.0, LAW.0, MOTION.0, TUBES.0, NN.0];
    for kind in [
        "use random_science::Tube;",
        "use random_science as science;",
        "use random_science;",
        "extern crate random_science;",
        "use random_science::*;",
    ] {
        assert_eq!(files(kind, &[]), science, "{kind}");
    }
}

#[test]
fn a_crate_is_known_by_the_name_that_its_user_gives_it() {
    // The science calls `numerics` otherwise, and only that name counts.
    let law = (LAW.0, "pub struct Law(base::random::Streams);");
    assert_eq!(files("use random_science::motion::law::Law;", &[law]), [RANDOM.0, LAW.0]);
    let library = (NUMERICS.0, "[package]\nname = \"numerics\"\n[lib]\nname = \"numbers\"\n");
    let app =
        (APP.0, "[package]\nname = \"app\"\n[dependencies]\nnumerics = { path = \"../crates/numerics\" }\n");
    assert_eq!(files("use numbers::random::Streams;", &[library, app]), [RANDOM.0]);
    let source = (NUMERICS.0, "[package]\nname = \"numerics\"\n[lib]\npath = \"code/random.rs\"\n");
    let code = ("crates/numerics/code/streams.rs", "");
    assert_eq!(files("use numerics::streams::X;", &[source, app, code]), [code.0]);
}

#[test]
fn dependencies_of_one_system_are_followed() {
    let app = (
        APP.0,
        "[package]\nname = \"app\"\n[target.'cfg(unix)'.dependencies]\nrandom-science.workspace = true\n",
    );
    assert_eq!(files("use random_science::nn::Conv;", &[app]), [NN.0]);
}

#[test]
fn dependencies_of_examples_are_followed_from_examples() {
    let app = (APP.0, "[package]\nname = \"app\"\n[dev-dependencies]\nrandom-science.workspace = true\n");
    let example = ("app/examples/dice.rs", stage("dice", "use random_science::nn::Conv;"));
    let made = workspace("", &[app, (example.0, &example.1)]);
    made.write("app/src/motion.rs", "");
    assert_eq!(names(&made.fingerprint("app").files), [example.0, NN.0]);
}

#[test]
fn a_reexport_of_another_crate_leads_into_it() {
    let facade = (
        "crates/facade/Cargo.toml",
        "[package]\nname = \"facade\"\n[dependencies]\nrandom-science.workspace = true\n",
    );
    let lib = (
        "crates/facade/src/lib.rs",
        "pub use random_science as science; pub use random_science::{motion, nn}; pub mod own;",
    );
    let own = ("crates/facade/src/own.rs", "");
    let app =
        (APP.0, "[package]\nname = \"app\"\n[dependencies]\nfacade = { path = \"../crates/facade\" }\n");
    let over = [facade, lib, own, app];
    assert_eq!(files("use facade::science::motion::law::Law;", &over), [LAW.0]);
    assert_eq!(files("use facade::motion::law::Law;", &over), [LAW.0]);
    assert_eq!(
        files("use facade::own::X;", &over),
        [lib.0, own.0, SCIENCE_LIB.0, LAW.0, MOTION.0, TUBES.0, NN.0]
    );
}

#[test]
fn an_impl_in_another_crate_enters_with_its_type_and_trait() {
    let app = (
        APP.0,
        "[package]\nname = \"app\"\n[dependencies]\nrandom-science.workspace = true\nnumerics.workspace = true\n",
    );
    let lib = (LIB.0, "pub mod motion; pub mod show; pub mod shown;");
    let show = ("app/src/show.rs", "pub trait Show {}");
    let shown = ("app/src/shown.rs", "impl crate::show::Show for numerics::random::Streams {}");
    assert_eq!(files("use crate::show::Show;", &[app, lib, show, shown]), [show.0, shown.0, RANDOM.0]);
}

#[test]
fn only_what_a_kind_uses_of_a_crate_changes_its_fingerprint() {
    let made = workspace("use random_science::motion::tubes::Tube;", &[]);
    let unused =
        [(NN.0, "pub struct Conv(f64);"), (KERNEL.0, ""), (SCIENCE_LIB.0, "pub mod nn; pub mod motion;")];
    for (name, text) in unused {
        assert!(!changes(&made, "app", name, text), "{name}");
    }
    for (name, text) in [(LAW.0, "pub struct Law(f64);"), (TUBES.0, "pub struct Tube;")] {
        assert!(changes(&made, "app", name, text), "{name}");
    }
    // Explained and tested.
    let same = format!("//! The law.\n{}\n#[cfg(test)]\nmod tests {{ use crate::nn::Conv; }}", LAW.1);
    assert!(!changes(&made, "app", LAW.0, &same));
}

#[test]
fn a_package_alone_names_its_files_from_its_own_folder() {
    let made = workspace("use random_science::nn::Conv;", &[]);
    let science = workspace("use random_science::nn::Conv;", &[]);
    // Excluded by the workspace, and so without one.
    let root = ROOT.1.replace("members = [\"app\", ", "exclude = [\"app\"]\nmembers = [");
    made.write(ROOT.0, &root);
    let path = science.path("crates/science");
    made.write(
        APP.0,
        &format!("[package]\nname = \"app\"\n[dependencies]\nrandom-science = {{ path = {path:?} }}\n"),
    );
    // A crate outside has a name that does not tell where it lies.
    assert_eq!(names(&made.fingerprint("app").files), ["../random-science/src/nn.rs", "src/motion.rs"]);
    assert_eq!(names(&science.fingerprint("app").files), ["app/src/motion.rs", NN.0]);
}

#[test]
fn a_package_that_cargo_fetched_is_in_no_workspace_above() {
    let made = workspace("", &[("app/.cargo-ok", "")]);
    made.write(APP.0, "[package]\nname = \"app\"\n");
    assert_eq!(names(&made.fingerprint("app").files), ["src/motion.rs"]);
}
