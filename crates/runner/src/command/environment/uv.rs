//! The environment of a `uv.lock`.

use crate::command::environment::{Call, Run, first_of, made, prepare, search_path, uv_files};
use crate::kind::context::Context;
use crate::kind::stage::StageError;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Puts the programs of the environment first on PATH. It is one of onsager's own, made anew for each content of the lock file, so
/// that the user's own is left alone.
pub fn enter(lock: &Path, mut call: Call, ctx: &Context, run: Run) -> Result<Call, StageError> {
    let project = lock.parent().unwrap_or(ctx.root());
    let folder = made("uv", &uv_files(project), ctx, |folder| {
        let (name, path) = first_of(&["uv"], &call.env, ctx)?;
        let words = [name, "sync", "--locked", "--project"].map(OsString::from);
        let mut own = call.env.clone();
        own.push(("UV_PROJECT_ENVIRONMENT".into(), folder.into()));
        prepare(path, words.into_iter().chain([project.into()]).collect(), own, ctx, run)
    })?;
    let path = env::split_paths(&search_path(&call.env)).collect::<Vec<_>>();
    let path =
        env::join_paths([folder.join("bin")].into_iter().chain(path)).map_err(std::io::Error::other)?;
    call.reads.extend(interpreter(&folder));
    call.env.push(("PATH".into(), path));
    call.env.push(("VIRTUAL_ENV".into(), folder.clone().into()));
    call.reads.push(folder);
    Ok(call)
}

/// Where the interpreter behind the environment's own is.
fn interpreter(folder: &Path) -> Option<PathBuf> {
    let real = fs::canonicalize(folder.join("bin/python")).ok()?;
    real.parent()?.parent().map(Path::to_owned)
}
