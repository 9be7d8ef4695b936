//! Where a data set comes from, and the digests by which its files are known.

use super::dataset::Dataset;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// The origin of a data set, as it is printed in `info.json`.
#[derive(Debug, Clone, Serialize)]
pub struct Source {
    /// Authors and title, or the formula for drawn points.
    pub citation: &'static str,
    /// The licence of the data.
    pub licence: &'static str,
    /// The files that were read.
    pub files: Vec<SourceFile>,
}

/// One file that was read.
#[derive(Debug, Clone, Serialize)]
pub struct SourceFile {
    pub name: String,
    /// SHA-256 in hexadecimal digits.
    pub sha256: String,
}

/// A data set divided into a training and a test part, with its origin.
#[derive(Debug, Clone)]
pub struct Split {
    pub train: Dataset,
    pub test: Dataset,
    pub source: Source,
}

/// The SHA-256 of some bytes in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Maps grey level `level` of `levels` to [-1, 1].
pub fn grey(level: u8, levels: u32) -> f32 {
    2.0 * f32::from(level) / (levels - 1) as f32 - 1.0
}
