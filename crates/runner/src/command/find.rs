//! Where a program is.

use crate::command::error::CommandError;
use crate::kind::stage::StageError;
use rustix::fs::{Access, access};
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The path of a program: along the PATH that it is started with; a name with a slash starts at `root`.
pub fn program(name: &OsStr, env: &[(OsString, OsString)], root: &Path) -> Result<PathBuf, StageError> {
    // A search costs a failed system call for each folder before it, and this one is everywhere.
    if name == "sh" {
        return Ok("/bin/sh".into());
    }
    let path = env.iter().rev().find(|(variable, _)| variable == "PATH").map(|(_, path)| path.clone());
    on_path(name, &path.or_else(|| env::var_os("PATH")).unwrap_or_default(), root)
        .ok_or_else(|| CommandError::NoProgram { name: name.to_string_lossy().into_owned() }.advised())
}

/// The first program of this name along `path`.
pub fn on_path(name: &OsStr, path: &OsStr, root: &Path) -> Option<PathBuf> {
    let is_program = |file: &PathBuf| file.is_file() && access(file, Access::EXEC_OK).is_ok();
    if name.as_encoded_bytes().contains(&b'/') {
        return Some(root.join(name)).filter(is_program);
    }
    env::split_paths(path).map(|folder| root.join(folder).join(name)).find(is_program)
}
