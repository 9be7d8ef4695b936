//! Records as they are handed to others: signed, where there is a key.

use crate::config::trust::Trust;
use crate::store::actions::Action;
use crate::store::digest::Digest;
use crate::store::proof::Proof;
use crate::trust::key::{PublicKey, SecretKey};
use crate::trust::keyring::{self, KeyringError};
use crate::trust::statement::{proof, run_statement, sign};

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

    /// Vouches for the record of a run, by the digest of its bytes.
    pub fn sign_run(&self, run: &str, record: &Digest) -> Proof {
        let Signer { key, scope, time } = self;
        proof(&run_statement(run, record, scope, *time), key, scope, *time)
    }

    pub fn public(&self) -> PublicKey {
        self.key.public()
    }
}

/// Who vouches for a record when it goes out; none where nobody does.
pub fn voucher(action: &Action, signer: Option<&Signer>) -> Option<String> {
    if action.origin.is_some() {
        return action.proof.as_ref().map(|proof| proof.signer.clone());
    }
    signer.filter(|_| !action.preimage.is_empty()).map(|signer| signer.public().to_string())
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
