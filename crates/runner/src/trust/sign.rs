//! Records as they are handed to others: signed, where there is a key.

use crate::config::trust::Trust;
use crate::store::actions::Action;
use crate::trust::key::SecretKey;
use crate::trust::keyring::{self, KeyringError};
use crate::trust::statement::sign;

/// Who signs here, for which scope, and what time it says.
pub struct Signer {
    key: SecretKey,
    scope: String,
    time: i64,
}

impl Signer {
    /// The key of this user or of this machine, if there is one. The time is in seconds since 1970.
    pub fn of(trust: &Trust, time: i64) -> Result<Option<Signer>, KeyringError> {
        let scope = trust.write_scope().to_owned();
        Ok(keyring::signing()?.map(|key| Signer { key, scope, time }))
    }
}

/// A record for others. What was made here is signed; what came from elsewhere keeps the signature that it came with, for nobody here has
/// seen how it was made.
pub fn for_others(action: &Action, signer: Option<&Signer>) -> Result<Action, serde_json::Error> {
    let mut action = action.clone();
    let foreign = action.origin.take().is_some();
    if let Some(Signer { key, scope, time }) = signer.filter(|_| !foreign) {
        action.proof = sign(&action, key, scope, *time)?;
    }
    Ok(action)
}
