//! The environment of a conda `environment.yml`, by conda, mamba or micromamba.

use crate::command::environment::{Call, Run, first_of, made, prepare};
use crate::kind::context::Context;
use crate::kind::stage::StageError;
use crate::store::chosen::Chosen;
use std::ffi::OsString;
use std::path::Path;

/// Runs the command in the environment: what its packages do when it is entered is done.
pub fn enter(file: &Path, mut call: Call, ctx: &Context, run: Run) -> Result<Call, StageError> {
    let (name, path) = first_of(&["conda", "mamba", "micromamba"], &call.env, ctx)?;
    let folder = made("conda", &Chosen::whole(file.to_owned()), ctx, |folder| {
        let verb: &[&str] = if name == "micromamba" { &["create"] } else { &["env", "create"] };
        let words = [&[name], verb, &["--yes", "--prefix"]].concat();
        let words = words.into_iter().map(OsString::from);
        let words = words.chain([folder.into(), "--file".into(), file.into()]).collect();
        prepare(path.clone(), words, call.env.clone(), ctx, run)
    })?;
    let quiet = if name == "conda" { Some("--no-capture-output") } else { None };
    let words = [path.into_os_string(), "run".into(), "--prefix".into(), folder.clone().into()];
    call.arguments = words.into_iter().chain(quiet.map(OsString::from)).chain(call.arguments).collect();
    call.reads.push(folder);
    Ok(call)
}
