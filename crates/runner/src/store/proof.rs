//! What a record says of who vouches for it, and where it came from. What it is worth is judged in `trust/`.

use serde::{Deserialize, Serialize};

/// A signature of a record. It covers everything in the record but itself: see [`crate::trust::statement`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The version of what is signed.
    pub version: u32,
    /// The public key: `onsager-ed25519:…`.
    pub signer: String,
    /// What it was signed for: `main`, `pr-17`.
    pub scope: String,
    /// When, in seconds since 1970.
    pub time: i64,
    /// In base64.
    pub signature: String,
}

/// Where a result came from that was not made here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The name of a remote, or of an archive's file.
    pub from: String,
    /// Who signed it, by the name that the project calls the key; none where nobody was asked to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signer: Option<String>,
}
