//! What the commands share: their common arguments, errors and output.

use crate::cli::colour;
use crate::cli::exit;
use crate::config::NoProfile;
use crate::kind::registry::Registry;
use crate::pipeline::experiments::overrides::{NoOverride, Override};
use crate::pipeline::graph::SelectError;
use crate::pipeline::project;
use crate::pipeline::template::TemplateError;
use crate::pipeline::yaml::diagnostics::Diagnostics;
use crate::plan::error::EngineError;
use crate::run::error::SessionError;
use crate::run::session::Session;
use crate::run::settings::Settings;
use crate::store::destination;
use crate::store::files::StoreError;
pub use crate::words::{count, duration, plural};
use clap::Args;
use onsager_numerics::kernel::{Level, LevelError};
use onsager_tables::error::TableError;
use serde::Serialize;
use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The arguments of every command that takes a pipeline.
#[derive(Args)]
pub struct Common {
    /// The YAML file of a pipeline or of an experiment
    pub pipeline: PathBuf,
    #[command(flatten)]
    pub asked: Asked,
    /// The profile of onsager.toml that tasks run on, like `cluster` [default: this machine]
    #[arg(long, value_name = "PROFILE")]
    pub on: Option<String>,
}

/// The arguments of every command that looks for results of pipelines.
#[derive(Args)]
pub struct Asked {
    #[command(flatten)]
    pub given: Given,
    /// Pin the kernel level of numeric stages: portable, avx2 or avx512 [default: the machine's best]
    #[arg(long, value_name = "LEVEL")]
    pub kernel: Option<Level>,
    /// Print one JSON document instead of text
    #[arg(long)]
    pub json: bool,
}

/// The folder that the program was started in.
pub fn here() -> Result<PathBuf, CliError> {
    Ok(std::env::current_dir().map_err(StoreError::io("find", ".".as_ref()))?)
}

/// The root of the project that this folder lies in.
pub fn root() -> Result<PathBuf, CliError> {
    Ok(project::find(&here()?))
}

/// What is laid over a pipeline, and where its results are.
#[derive(Args)]
pub struct Given {
    /// Lay a YAML file of parameters over the pipeline's, before `--set`; may be repeated
    #[arg(long = "params", value_name = "FILE")]
    params: Vec<PathBuf>,
    /// Set a parameter of the pipeline, as if it were written in the file; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The folder of the store and the outputs [default: `artifacts` in the project's root]
    #[arg(long, value_name = "DIR")]
    pub artifacts: Option<PathBuf>,
}

/// Why a command did not do its work.
#[derive(Debug)]
pub enum CliError {
    Session(SessionError),
    /// A table or a drawing that cannot be written.
    Report(TableError),
    Template(TemplateError),
    /// Standard output does not take what was printed.
    Output(io::Error),
    /// A file that was to be written.
    Target {
        path: PathBuf,
        source: io::Error,
    },
    /// Something with a server or a remote store that did not work.
    Remote(String),
    /// Work with one that Ctrl-C ended.
    #[cfg(feature = "remote")]
    Interrupted(String),
    /// A result that is not there, or not what the pipeline says now.
    NoResult(String),
    /// Something else that was asked for and is not there.
    Request(String),
}

impl CliError {
    pub fn code(&self) -> u8 {
        match self {
            CliError::Session(SessionError::Engine(EngineError::Interrupted)) => exit::INTERRUPTED,
            #[cfg(feature = "remote")]
            CliError::Interrupted(_) => exit::INTERRUPTED,
            CliError::Session(SessionError::Engine(_))
            | CliError::Report(_)
            | CliError::Output(_)
            | CliError::Remote(_)
            | CliError::NoResult(_) => exit::FAILED,
            CliError::Target { source, .. } | CliError::Template(TemplateError::Write { source, .. })
                if !is_wrong_path(source) =>
            {
                exit::FAILED
            }
            _ => exit::WRONG,
        }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CliError::Session(error) => f.write_str(&session_error(error)),
            CliError::Report(error) => {
                write!(f, "error: {error}")?;
                error.source().map_or(Ok(()), |source| write!(f, ": {source}"))
            }
            CliError::Template(error) => write!(f, "error: {error}"),
            CliError::Target { path, source } => {
                write!(f, "error: cannot write `{}`: {source}", path.display())
            }
            CliError::Output(error) => write!(f, "error: cannot write to standard output: {error}"),
            #[cfg(feature = "remote")]
            CliError::Interrupted(message) => f.write_str(message),
            CliError::NoResult(message) | CliError::Remote(message) | CliError::Request(message) => {
                write!(f, "error: {message}")
            }
        }
    }
}

/// Whether a path that a person gave is to blame, and not the disk.
fn is_wrong_path(error: &io::Error) -> bool {
    use io::ErrorKind::{
        AlreadyExists, IsADirectory, NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem,
    };
    matches!(
        error.kind(),
        AlreadyExists | NotFound | NotADirectory | IsADirectory | PermissionDenied | ReadOnlyFilesystem
    )
}

/// Refuses a file that the user named in a folder that is not there.
pub fn check_folder(path: &Path) -> Result<(), CliError> {
    match path.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        Some(_) => Err(CliError::Target { path: path.to_owned(), source: io::ErrorKind::NotFound.into() }),
        None => Ok(()),
    }
}

/// Writes text to a file that the user named.
pub fn write_to(path: &Path, text: &str) -> Result<(), CliError> {
    destination::write(path, |file| file.write_all(text.as_bytes()))
        .map_err(|source| CliError::Target { path: path.to_owned(), source })
}

/// An error as it is printed; a pipeline's own say themselves what they are.
pub fn session_error(error: &SessionError) -> String {
    match error {
        SessionError::Pipeline(diagnostics) => diagnostics.to_string(),
        error => format!("error: {error}"),
    }
}

macro_rules! from {
    ($($error:ty => $variant:ident),*) => {
        $(impl From<$error> for CliError {
            fn from(error: $error) -> CliError {
                CliError::$variant(error.into())
            }
        })*
    };
}
from!(SessionError => Session, Diagnostics => Session, SelectError => Session, LevelError => Session,
      NoProfile => Session, EngineError => Session, StoreError => Session, TableError => Report, TemplateError => Template);

impl Common {
    /// The pipeline, opened.
    pub fn session<'r>(&self, registry: &'r Registry) -> Result<Session<'r>, CliError> {
        let settings = Settings { on: self.on.clone(), ..self.asked.settings()? };
        Ok(Session::open(&self.pipeline, registry, settings)?)
    }
}

impl Asked {
    /// What a session is opened with.
    pub fn settings(&self) -> Result<Settings, CliError> {
        self.given.settings(self.kernel)
    }
}

impl Given {
    /// What a session is opened with.
    pub fn settings(&self, kernel: Option<Level>) -> Result<Settings, CliError> {
        Ok(Settings {
            params: self.params.clone(),
            sets: overrides(&self.set)?,
            artifacts: self.artifacts.clone(),
            kernel,
            on: None,
        })
    }
}

/// The arguments of `--set`.
pub fn overrides(sets: &[String]) -> Result<Vec<Override>, CliError> {
    let sets: Result<Vec<Override>, NoOverride> = sets.iter().map(|text| text.parse()).collect();
    sets.map_err(|error| CliError::Request(error.to_string()))
}

/// The first failure to print, which ends the program with an error.
static UNPRINTED: OnceLock<io::Error> = OnceLock::new();

/// Prints to standard output.
pub fn print(text: &str) {
    print_with(|out| out.write_all(text.as_bytes()));
}

/// Prints to standard output what `write` writes. A reader that has gone away (`| head`) is no error; any other failure is one of
/// the whole command: see [`printed`].
pub fn print_with(write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
    let mut out = io::stdout().lock();
    if let Err(error) = write(&mut out).and_then(|()| out.flush())
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        // The first one is told.
        let _ = UNPRINTED.set(error);
    }
}

/// Whether everything that was printed has arrived.
pub fn printed() -> Result<(), CliError> {
    match UNPRINTED.get() {
        None => Ok(()),
        Some(error) => {
            Err(CliError::Output(error.raw_os_error().map_or_else(
                || io::Error::new(error.kind(), error.to_string()),
                io::Error::from_raw_os_error,
            )))
        }
    }
}

/// Prints a line to standard error, where nobody may be listening any more.
pub fn print_error(line: &str) {
    // In one piece: other programs may write there too.
    let _ = io::stderr().write_all(format!("{}\n", colour::paint(line)).as_bytes());
}

/// One JSON document.
pub fn json(value: &impl Serialize) -> String {
    // The values that commands print have string keys only, so this cannot fail.
    serde_json::to_string_pretty(value).map_or_else(|_| String::new(), |text| text + "\n")
}

/// Prints one JSON document.
pub fn print_json(value: &impl Serialize) {
    print(&json(value));
}
