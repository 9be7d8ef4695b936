//! Why no fingerprints can be made: each error says what is wrong, where, and what to do.

use std::fmt::{Display, Formatter};
use std::io;
use std::path::PathBuf;

/// What stops the build.
#[derive(Debug)]
pub enum Error {
    /// A variable that Cargo sets for build scripts is not there.
    Variable(&'static str),
    /// A file or folder cannot be read.
    Read { path: PathBuf, error: io::Error },
    /// The list cannot be written.
    Write { path: PathBuf, error: io::Error },
    /// A manifest or lock file that is not valid TOML.
    Toml { path: PathBuf, error: toml::de::Error },
    /// A manifest of a workspace where one of a package is needed.
    NoPackage { manifest: PathBuf },
    /// `key.workspace = true` where the workspace has no such key.
    NotInherited { manifest: PathBuf, key: String },
    /// A library in the package's own folder, beside its tests and build outputs.
    LibraryPath { manifest: PathBuf, path: String },
    /// `interfaces` is not a list of names.
    InterfaceList { manifest: PathBuf },
    /// A name in `interfaces` that nothing has.
    NoInterface { manifest: PathBuf, name: String },
    /// A kind in a file that enters no fingerprint.
    KindInInterface { kind: String, file: String },
    /// A kind whose name is computed.
    KindName { file: String },
    /// Two kinds of one name.
    SameKind { kind: String, files: [String; 2] },
    /// A module in a place that its name does not tell.
    PathAttribute { file: String },
    /// An `include` macro whose file is not told by string literals.
    ComputedInclude { file: String },
    /// A file that an `include` macro names cannot be read.
    Included { by: String, file: String, error: io::Error },
}

impl Display for Error {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Error::Variable(name) => {
                write!(
                    f,
                    "`{name}` is not set: call `onsager_fingerprint::write()` in a `build.rs` that Cargo runs"
                )
            }
            Error::Read { path, error } => write!(f, "cannot read `{}`: {error}", path.display()),
            Error::Write { path, error } => write!(f, "cannot write `{}`: {error}", path.display()),
            Error::Toml { path, error } => {
                write!(f, "`{}` is not valid TOML: {}", path.display(), error.message())
            }
            Error::NoPackage { manifest } => {
                write!(
                    f,
                    "`{}` has no `[package]` with a `name`: name the folder of a package",
                    manifest.display()
                )
            }
            Error::NotInherited { manifest, key } => write!(
                f,
                "`{}` says `{key}.workspace = true`, but its workspace has no `{key}`: write it there, or give it here",
                manifest.display()
            ),
            Error::LibraryPath { manifest, path } => write!(
                f,
                "`{}` has its library at `{path}`: put it into a folder of its own, such as `src/lib.rs`",
                manifest.display()
            ),
            Error::InterfaceList { manifest } => write!(
                f,
                "`interfaces` in `[package.metadata.onsager]` of `{}` is not a list of names: write \
                 `interfaces = [\"src/main.rs\"]`",
                manifest.display()
            ),
            Error::NoInterface { manifest, name } => write!(
                f,
                "`{}` lists the interface `{name}`, but there is no such {}: correct the name, or delete it",
                manifest.display(),
                if name.ends_with('/') { "folder" } else { "file (a folder's name ends in `/`)" }
            ),
            Error::KindInInterface { kind, file } => write!(
                f,
                "the stage kind `{kind}` is in `{file}`, which `Cargo.toml` lists as an interface, so its code would not \
                 count: move the kind to a file of its own"
            ),
            Error::KindName { file } => write!(
                f,
                "a stage kind in `{file}` has a computed name: write it as a literal, \
                 `const KIND: &'static str = \"my-kind\";`"
            ),
            Error::SameKind { kind, files: [one, other] } => {
                write!(f, "`{one}` and `{other}` both define the stage kind `{kind}`: rename one of them")
            }
            Error::PathAttribute { file } => {
                write!(f, "`{file}` has a `#[path]` attribute: put the module where its name says")
            }
            Error::ComputedInclude { file } => {
                write!(f, "`{file}` includes a file by a computed name: write its path as one string literal")
            }
            Error::Included { by, file, error } => {
                write!(f, "`{by}` includes `{file}`, which cannot be read: {error}")
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Read { error, .. } | Error::Write { error, .. } | Error::Included { error, .. } => {
                Some(error)
            }
            Error::Toml { error, .. } => Some(error),
            _ => None,
        }
    }
}
