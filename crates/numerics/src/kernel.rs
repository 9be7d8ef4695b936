//! The kernel level: which vector instructions the kernels of networks use. Fused multiply-adds round differently from separate
//! ones, so the level is part of every numeric task's key; `--kernel` pins it.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;

/// A kernel level, lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Plain Rust, separate multiply and add: runs on any machine.
    Portable,
    /// AVX2 with fused multiply-add.
    Avx2,
    /// AVX-512F with fused multiply-add.
    Avx512,
}

/// Why a kernel level cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum LevelError {
    #[error("unknown kernel level `{0}`: use `portable`, `avx2` or `avx512`")]
    Unknown(String),
    #[error("this machine has no `{wanted}` instructions: use `--kernel {best}` or lower")]
    Unsupported { wanted: Level, best: Level },
}

static CURRENT: OnceLock<Level> = OnceLock::new();

impl Level {
    /// The highest level that this machine can run.
    pub fn detect() -> Level {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                return Level::Avx512;
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return Level::Avx2;
            }
        }
        Level::Portable
    }

    /// The level of this process: the one that was pinned, else the machine's best.
    pub fn current() -> Level {
        *CURRENT.get_or_init(Level::detect)
    }

    /// Pins the level of this process; the first call wins, so call it before any computation.
    pub fn pin(level: Level) -> Result<(), LevelError> {
        level.check()?;
        CURRENT.get_or_init(|| level);
        Ok(())
    }

    /// Refuses a level that this machine cannot run.
    pub fn check(self) -> Result<(), LevelError> {
        let best = Level::detect();
        if self <= best { Ok(()) } else { Err(LevelError::Unsupported { wanted: self, best }) }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Level::Portable => "portable",
            Level::Avx2 => "avx2",
            Level::Avx512 => "avx512",
        })
    }
}

impl FromStr for Level {
    type Err = LevelError;
    fn from_str(text: &str) -> Result<Level, LevelError> {
        match text {
            "portable" => Ok(Level::Portable),
            "avx2" => Ok(Level::Avx2),
            "avx512" => Ok(Level::Avx512),
            _ => Err(LevelError::Unknown(text.to_owned())),
        }
    }
}
