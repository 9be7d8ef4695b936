//! Writes the fingerprint of the kind `command`, and what `onsager --version --verbose` tells of the build.

use std::env;
use std::process::Command;

fn main() {
    onsager_fingerprint::write();
    println!("cargo::rustc-env=ONSAGER_TARGET={}", env::var("TARGET").unwrap_or_default());
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let told = Command::new(rustc).arg("--version").output().map(|told| told.stdout).unwrap_or_default();
    println!("cargo::rustc-env=ONSAGER_RUSTC={}", String::from_utf8_lossy(&told).trim());
}
