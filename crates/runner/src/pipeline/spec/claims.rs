//! Claims as a pipeline has them: what is said, and where it stands.

use crate::numbers::claims::Claim;
use serde::{Deserialize, Serialize};

/// The fields of a claim.
pub const FIELDS: [&str; 3] = ["claim", "name", "text"];

/// A claim of a pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Claimed {
    /// What a text calls it.
    pub name: Option<String>,
    /// As written.
    pub says: String,
    /// In words.
    pub text: Option<String>,
    /// The file that it stands in, as the user gave it.
    pub file: String,
    pub line: usize,
    pub column: usize,
    pub claim: Claim,
}
