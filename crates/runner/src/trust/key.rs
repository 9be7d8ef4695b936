//! Keys as text: `onsager-ed25519:…` is public, `onsager-ed25519-secret:…` is not.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

const PUBLIC: &str = "onsager-ed25519:";
const SECRET: &str = "onsager-ed25519-secret:";

/// A text that is no key. It does not show the text, which may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAKey {
    #[error(
        "it is no key: a public key is written `{PUBLIC}` with 44 characters behind it, as `onsager key show` prints it"
    )]
    Public,
    #[error("it is a secret key: trust the public one, which `onsager key show` prints")]
    IsSecret,
    #[error("it is no secret key: one is written `{SECRET}` with 44 characters behind it")]
    Secret,
    #[error("the system gives no random numbers")]
    NoRandom,
}

/// Whom a signature is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Whether this signature in base64 is that of these bytes.
    pub fn verifies(&self, bytes: &[u8], signature: &str) -> bool {
        let Some(signature) = decode::<64>(signature) else { return false };
        // The strict check: no second signature of the same bytes, and no key that fits any bytes.
        self.0.verify_strict(bytes, &Signature::from_bytes(&signature)).is_ok()
    }
}

/// The bytes of a text in base64, which has only one such text.
fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC}{}", STANDARD.encode(self.0.as_bytes()))
    }
}

impl FromStr for PublicKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<PublicKey, NotAKey> {
        if text.starts_with(SECRET) {
            return Err(NotAKey::IsSecret);
        }
        let bytes = text.strip_prefix(PUBLIC).and_then(decode::<32>).ok_or(NotAKey::Public)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| NotAKey::Public)?;
        if key.is_weak() { Err(NotAKey::Public) } else { Ok(PublicKey(key)) }
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PublicKey, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// What signs. It is not printed, not even by `{:?}`, and its memory is cleared.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// A new one, from the system's random numbers.
    pub fn random() -> Result<SecretKey, NotAKey> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|_| NotAKey::NoRandom)?;
        Ok(SecretKey(SigningKey::from_bytes(&seed)))
    }

    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// The signature of these bytes, in base64.
    pub fn sign(&self, bytes: &[u8]) -> String {
        STANDARD.encode(self.0.sign(bytes).to_bytes())
    }

    /// For the file that holds it.
    pub(super) fn reveal(&self) -> String {
        format!("{SECRET}{}", STANDARD.encode(self.0.as_bytes()))
    }
}

impl FromStr for SecretKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<SecretKey, NotAKey> {
        let seed = text.trim().strip_prefix(SECRET).and_then(decode::<32>).ok_or(NotAKey::Secret)?;
        Ok(SecretKey(SigningKey::from_bytes(&seed)))
    }
}

/// A text in which stars stand for what follows the beginning of a secret key, up to the end of the word.
pub fn hide(text: &str) -> String {
    let mut parts = text.split(SECRET);
    let mut hidden = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(['"', '\'', '\n', ' ']).unwrap_or(part.len());
        // As long as before: places in it stay what they are.
        hidden += SECRET;
        hidden += &"*".repeat(end);
        hidden += &part[end..];
    }
    hidden
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_round_trip_as_text() {
        let secret = SecretKey::random().unwrap();
        let again: SecretKey = format!("{}\n", secret.reveal()).parse().unwrap();
        let public: PublicKey = again.public().to_string().parse().unwrap();
        assert_eq!(public, secret.public());
        assert!(public.verifies(b"text", &secret.sign(b"text")));
        assert!(!public.verifies(b"texT", &secret.sign(b"text")));
        assert_eq!(secret.reveal().parse::<PublicKey>(), Err(NotAKey::IsSecret));
        for wrong in ["", "onsager-ed25519:", "onsager-ed25519:AAAA", &public.to_string()[1..]] {
            assert_eq!(wrong.parse::<PublicKey>(), Err(NotAKey::Public), "{wrong}");
            assert!(wrong.parse::<SecretKey>().is_err());
        }
        // A key of small order, which some signature fits whatever was signed.
        let weak = format!("{PUBLIC}{}", STANDARD.encode([0; 32]));
        assert_eq!(weak.parse::<PublicKey>(), Err(NotAKey::Public));
    }

    #[test]
    fn secrets_in_a_text_are_hidden() {
        let text = "key = \"onsager-ed25519-secret:abc=\" # mine\nonsager-ed25519-secret:";
        assert_eq!(hide(text), "key = \"onsager-ed25519-secret:****\" # mine\nonsager-ed25519-secret:");
        assert_eq!(hide("onsager-ed25519:abc"), "onsager-ed25519:abc");
    }

    /// The first test vector of RFC 8032.
    #[test]
    fn the_signature_is_that_of_the_standard() {
        let seed = "nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=";
        let secret: SecretKey = format!("{SECRET}{seed}").parse().unwrap();
        assert_eq!(
            secret.public().to_string(),
            format!("{PUBLIC}11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
        );
        assert_eq!(
            secret.sign(b""),
            "5VZDAMNgrHKQhuLMgG6CioSHfx645dl02HPgZSJJAVVfuIIVkKM7rMYeOXAc+bRr0lv18FlbviRlUUFDjnoQCw=="
        );
    }
}
