//! `onsager --version --verbose`: what this program is built from, and what it can do on this machine.

use crate::kind::registry::Registry;
use crate::run::facts;
use onsager_numerics::kernel::Level;
use std::ffi::OsStr;

/// The commit that the program was built from, where its builder told: git is not asked, since a build of the same sources must have the
/// same bytes wherever they lie.
const COMMIT: Option<&str> = option_env!("ONSAGER_COMMIT");

/// Whether more is asked for than the version; the parser ends where it meets `--version`.
pub fn is_verbose() -> bool {
    std::env::args_os().skip(1).any(|argument| argument == OsStr::new("--verbose"))
}

/// All that is known, one fact a line.
pub fn verbose(registry: &Registry) -> String {
    let levels = [Level::Portable, Level::Avx2, Level::Avx512];
    let levels: Vec<String> =
        levels.iter().filter(|level| level.check().is_ok()).map(Level::to_string).collect();
    let mut features: Vec<&str> = registry.features().collect();
    let own = [("remote", cfg!(feature = "remote")), ("serve", cfg!(feature = "serve"))];
    features.extend(own.iter().filter(|(_, there)| *there).map(|(name, _)| *name));
    features.sort_unstable();
    let features = if features.is_empty() { "none".to_owned() } else { features.join(", ") };
    let facts = [
        ("commit", COMMIT.unwrap_or("not known").to_owned()),
        ("target", env!("ONSAGER_TARGET").to_owned()),
        ("compiler", env!("ONSAGER_RUSTC").to_owned()),
        ("features", features),
        ("kinds", registry.iter().count().to_string()),
        ("fingerprint", facts::program(registry).to_string()),
        ("kernel levels here", levels.join(", ")),
        ("kernel level in use", Level::current().to_string()),
    ];
    let lines = facts.iter().map(|(name, fact)| format!("{name}: {fact}\n"));
    format!("onsager {}\n", env!("CARGO_PKG_VERSION")) + &lines.collect::<String>()
}
