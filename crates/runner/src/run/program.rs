//! This very program, to be started once more.

use std::io;
use std::path::PathBuf;

/// Its file: on Linux the very one that this process was started from, even when it is built anew.
pub(super) fn this_program() -> io::Result<PathBuf> {
    if cfg!(target_os = "linux") {
        return Ok(PathBuf::from("/proc/self/exe"));
    }
    std::env::current_exe()
}
