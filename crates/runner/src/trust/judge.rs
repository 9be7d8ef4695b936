//! Whether a record that comes from elsewhere is believed. Everything that does, goes through [`judge`].

use crate::config::trust::Trust;
use crate::store::actions::{Action, KeyCheck};
use crate::store::digest::Digest;
use crate::store::proof::Proof;
use crate::trust::key::PublicKey;
use crate::trust::statement::{VERSION, statement};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// Why a record of elsewhere is not believed; one line, which follows `it is refused: `.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("it is not signed: whoever made it makes a key by `onsager key new`, and sends it again")]
    Unsigned,
    #[error(
        "it is signed as version {version}, and this program knows version {VERSION}: use a newer onsager"
    )]
    Version { version: u64 },
    #[error(
        "it is signed by a key that the project does not trust: `onsager key trust {signer} --name NAME`, if you know whose it is"
    )]
    Untrusted { signer: String },
    #[error("its signature is not one of `{name}`: it is forged, or was altered since")]
    Forged { name: String },
    #[error("`{name}` signed it after {until}, until when the project trusts this key")]
    Expired { name: String, until: Date },
    #[error("it is of the scope `{scope}`, which this project does not read")]
    Scope { scope: String },
    #[error("`{name}` signed it for the scope `{scope}`, for which this key does not count")]
    Writer { name: String, scope: String },
    #[error("it does not keep what its key was made of: it is redacted, or was made by an old onsager")]
    NotCheckable,
    #[error("its key is not that of the values in it")]
    Key,
    #[error("{what} is too large: {bytes} bytes")]
    TooLarge { what: String, bytes: u64 },
    #[error("it is no record: {message}")]
    Malformed { message: String },
}

impl Refusal {
    /// What is wrong with it as a record, where it is not one.
    pub fn as_record(self) -> String {
        match self {
            Refusal::Malformed { message } => message,
            other => other.to_string(),
        }
    }
}

/// Whether a record is believed: by whom it is signed, as the project calls the key, or why not. Where unsigned ones are taken, it is
/// whoever signed it, as far as its key is that of its values.
pub fn judge(trust: &Trust, action: &Action) -> Result<Option<String>, Refusal> {
    let checked = action.check_key();
    if checked == KeyCheck::Wrong {
        return Err(Refusal::Key);
    }
    match judge_signed(trust, action, checked) {
        Err(_) if trust.accepts_unsigned() => Ok(None),
        judged => judged.map(Some),
    }
}

fn judge_signed(trust: &Trust, action: &Action, checked: KeyCheck) -> Result<String, Refusal> {
    let name =
        judge_proof(trust, action.proof.as_ref(), |proof| statement(action, &proof.scope, proof.time))?;
    if checked == KeyCheck::Unknown {
        return Err(Refusal::NotCheckable);
    }
    // Beside the values, lines for people are not signed.
    if !action.material.is_empty() {
        return Err(Refusal::Malformed { message: "it tells what its key was made of twice".into() });
    }
    Ok(name)
}

/// Whether a signature of what is stated counts here: what the project calls the key, or why not.
pub fn judge_proof(
    trust: &Trust,
    proof: Option<&Proof>,
    stated: impl FnOnce(&Proof) -> Result<Digest, serde_json::Error>,
) -> Result<String, Refusal> {
    let proof = proof.ok_or(Refusal::Unsigned)?;
    if proof.version != VERSION {
        return Err(Refusal::Version { version: proof.version.into() });
    }
    // A text that is no key is not repeated as one.
    let signer: PublicKey =
        proof.signer.parse().map_err(|_| Refusal::Malformed { message: "its signer is no key".into() })?;
    let (name, trusted) =
        trust.of(&signer).ok_or_else(|| Refusal::Untrusted { signer: signer.to_string() })?;
    let name = name.to_owned();
    let signed = stated(proof).map_err(|error| Refusal::Malformed { message: error.to_string() })?;
    if !signer.verifies(&signed.0, &proof.signature) {
        return Err(Refusal::Forged { name });
    }
    if trusted.is_some_and(|trusted| !trusted.writes(&proof.scope)) {
        return Err(Refusal::Writer { name, scope: proof.scope.clone() });
    }
    if !trust.reads(&proof.scope) {
        return Err(Refusal::Scope { scope: proof.scope.clone() });
    }
    let until = trusted.and_then(|trusted| trusted.until);
    if let Some(until) = until.filter(|until| is_after(proof.time, *until)) {
        return Err(Refusal::Expired { name, until });
    }
    Ok(name)
}

/// Whether a time is after the end of a day, in UTC. A time that is none is after all days.
fn is_after(time: i64, day: Date) -> bool {
    Timestamp::from_second(time).map_or(true, |time| time.to_zoned(TimeZone::UTC).date() > day)
}
