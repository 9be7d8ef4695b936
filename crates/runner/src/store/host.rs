//! The name of this machine.

use std::fs;
use std::sync::OnceLock;

/// The name of this machine; empty where the system does not tell it.
pub fn name() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned())
}
