//! The second side of `store doctor`, in a process of its own: this very program, started with [`DOCTOR`] as its first argument.

use crate::run::program::this_program;
use crate::store::doctor::pair::{DoctorSide, Role, sides};
use crate::store::files::StoreError;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The first argument of such a process; the second is the folder in which both sides meet.
pub const DOCTOR: &str = "onsager-doctor";

/// The other process, until it is dropped.
pub struct Other(Child);

/// The first side, in a new folder inside this one, and the process that plays the second.
pub fn with_process(folder: &Path) -> Result<(DoctorSide, Other), StoreError> {
    let (first, second) = sides(folder)?;
    let failed = |error: io::Error| StoreError::io("start another process for", &second.folder)(error);
    let child = Command::new(this_program().map_err(failed)?)
        .arg0("onsager")
        .args([DOCTOR.as_ref(), second.folder.as_os_str()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(failed)?;
    Ok((first, Other(child)))
}

impl Drop for Other {
    fn drop(&mut self) {
        // It has said all that it has to say, or it waits in vain. Each fails only where it is gone.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Plays the second side.
pub(super) fn serve(arguments: &[OsString]) -> Result<(), StoreError> {
    let folder = arguments.first().map(PathBuf::from).unwrap_or_default();
    DoctorSide { folder, role: Role::Second }.play().map(|_| ())
}
