//! What the doctor says of one thing that it tried.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How something was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is as the store needs it.
    Good,
    /// Good to know.
    Note,
    /// The store does without it: slower, or by another way.
    Lacking,
    /// Results may be lost or wrong.
    Bad,
}

/// Something that was tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// What was tried: `locks between processes`.
    pub what: String,
    pub verdict: Verdict,
    /// What was found, and what follows.
    pub found: String,
}

impl Finding {
    pub fn new(what: &str, verdict: Verdict, found: impl Into<String>) -> Finding {
        Finding { what: what.to_owned(), verdict, found: found.into() }
    }
}
