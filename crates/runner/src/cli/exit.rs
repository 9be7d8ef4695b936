//! The exit codes.

/// Everything is done.
pub const DONE: u8 = 0;
/// A task failed, or the store could not be used.
pub const FAILED: u8 = 1;
/// The request or the file is wrong.
pub const WRONG: u8 = 2;
/// All is computed, and a claim fails or is stale, where that was asked for.
pub const CLAIM: u8 = 3;
/// Ctrl-C.
pub const INTERRUPTED: u8 = 130;
