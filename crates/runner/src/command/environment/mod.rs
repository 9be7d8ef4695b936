//! Environments: what a command runs in, made from a lock file, or a container.

pub mod conda;
pub mod container;
pub mod uv;

use crate::command::error::CommandError;
use crate::command::find;
use crate::command::spawn::Program;
use crate::kind::context::Context;
use crate::kind::stage::{Issue, StageError};
use crate::store::chosen::Chosen;
use crate::store::objects::Objects;
use crate::store::supplies;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// What a command runs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// The packages of a `uv.lock`, beside its `pyproject.toml`.
    Uv(String),
    /// The packages of a conda `environment.yml`.
    Conda(String),
    /// A container image with its digest: `image@sha256:…`.
    Container(String),
}

/// The names of the environments that stand in a file, which enters the key.
pub const FILES: [&str; 2] = ["uv", "conda"];
/// The lock file of uv.
pub const LOCK: &str = "uv.lock";

impl Environment {
    /// What is wrong with it.
    pub fn check(&self) -> Option<Issue> {
        let Environment::Container(image) = self else { return None };
        let pinned = image.split_once("@sha256:").is_some_and(|(name, digest)| {
            !name.is_empty() && digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
        });
        (!pinned).then(|| {
            let message = format!(
                "names the image `{image}` without its digest, so that it can change under the same name"
            );
            Issue::new("environment.container", message)
                .help("write `image@sha256:…`; `podman image inspect IMAGE` prints it as `RepoDigests`")
        })
    }
}

/// A command with what has to be done in its environment.
pub struct Call {
    pub arguments: Vec<OsString>,
    /// Environment variables, besides those of the caller.
    pub env: Vec<(OsString, OsString)>,
    /// What it reads besides its inputs.
    pub reads: Vec<PathBuf>,
    /// What has to be run when it has not ended well.
    pub cleanup: Option<Vec<OsString>>,
}

/// How a program is run to its end: in a group of its own, and stopped when the task is.
pub type Run<'a> = &'a dyn Fn(Program, &Context) -> Result<bool, StageError>;

/// The files of a uv project that say what is in its environment.
pub fn uv_files(project: &Path) -> Chosen {
    let only = Some(format!("{{{LOCK},pyproject.toml,.python-version}}"));
    Chosen { path: project.to_owned(), only, exclude: Vec::new() }
}

/// A folder that holds an environment, made once for each content of the files that say what is in it.
fn made(
    kind: &str,
    files: &Chosen,
    ctx: &Context,
    make: impl FnOnce(&Path) -> Result<(), StageError>,
) -> Result<PathBuf, StageError> {
    let content = Objects::measure_chosen(files, &|_, _| {}, &|_, _| {})?;
    let name = supplies::environment(kind, &content.digest);
    fs::create_dir_all(ctx.environments())?;
    let folder = ctx.environments().join(&name);
    let complete = supplies::complete(&folder);
    if !complete.exists() {
        let lock = ctx.locks().take(&format!("environment-{name}"))?;
        if !complete.exists() {
            // What an attempt left that was killed is no environment.
            let _ = fs::remove_dir_all(&folder);
            make(&folder)?;
            lock.check()?;
            File::create(&complete)?.sync_all()?;
        }
    }
    Ok(folder)
}

/// The first of these programs that is there.
fn first_of(
    programs: &[&'static str],
    env: &[(OsString, OsString)],
    ctx: &Context,
) -> Result<(&'static str, PathBuf), StageError> {
    let path = search_path(env);
    let found =
        |name: &&'static str| find::on_path(OsStr::new(name), &path, ctx.root()).map(|path| (*name, path));
    programs
        .iter()
        .find_map(found)
        .ok_or_else(|| CommandError::NoEnvironment { programs: programs.to_vec() }.advised())
}

/// The PATH that a command is started with.
fn search_path(env: &[(OsString, OsString)]) -> OsString {
    let own = env.iter().rev().find(|(name, _)| name == "PATH").map(|(_, path)| path.clone());
    own.or_else(|| env::var_os("PATH")).unwrap_or_default()
}

/// Runs a program that makes an environment; what it prints is in the task's log.
fn prepare(
    path: PathBuf,
    arguments: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    ctx: &Context,
    run: Run,
) -> Result<(), StageError> {
    let shown: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
    tracing::info!("making the environment: {}", shown.join(" "));
    let output = File::options().append(true).open(ctx.log())?;
    let name = arguments.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let program = Program { path, arguments, env, folder: ctx.root().to_owned(), output };
    match run(program, ctx)? {
        true => Ok(()),
        false if ctx.cancelled() => Err(StageError::Cancelled),
        false => Err(CommandError::Environment { program: name }.advised()),
    }
}
