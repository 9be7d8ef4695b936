//! Whose results count here. A record that comes from elsewhere is a claim: this key has these outputs. It is believed when somebody
//! signed it whom the project trusts, and when its key is that of the values in it. What the documentation promises is in
//! `docs/trust.md`.
//!
//! - [`key`]: public and secret keys as text;
//! - [`keyring`]: the keys of this user, or of this machine;
//! - [`sign`]: a record for others;
//! - [`statement`]: what of a record is signed;
//! - [`record`]: a record of elsewhere, read from its bytes;
//! - [`judge`]: whether it is believed, and why not.

pub mod judge;
pub mod key;
pub mod keyring;
pub mod record;
pub mod sign;
pub mod statement;
