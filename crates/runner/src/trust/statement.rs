//! What of a record is signed: all of it.
//!
//! The signature is that of a SHA-256 over these fields, each behind a byte for its tag and its length as eight bytes, little-endian.
//! Numbers have eight bytes, little-endian, too.
//!
//! | tag | field |
//! | --- | --- |
//! | `D` | `onsager record`, so that it is no signature of anything else |
//! | `V` | the version of this list, 1 |
//! | `S` | the scope |
//! | `K` | the key, as 32 bytes |
//! | `P` | the SHA-256 of the pre-image, as compact JSON |
//! | `T` | the task |
//! | `R` | the run |
//! | `H` | the host |
//! | `L` | the kernel level |
//! | `s` | the seconds, as the bits of a float |
//! | `n` | the number of outputs |
//! | `O`, `f` `x` `d` or `a`, `z` | for each output: its name; its digest, tagged as a file, a program, a folder or absent; its size |
//! | `t` | the time of the signature, in seconds since 1970 |

use crate::store::actions::Action;
use crate::store::digest::{Digest, Encoder};
use crate::store::objects::Shape;
use crate::store::proof::Proof;
use crate::trust::key::SecretKey;

/// The version of what is signed.
pub const VERSION: u32 = 1;

/// What is signed of a record, for a scope at a time.
pub fn statement(action: &Action, scope: &str, time: i64) -> Result<Digest, serde_json::Error> {
    // Every field is named, so that a new one cannot be forgotten here.
    let Action { key, task, run, host, kernel, seconds, outputs, preimage, material: _, proof: _, origin: _ } =
        action;
    let mut encoder = Encoder::new("onsager record");
    encoder.field(b'V', &u64::from(VERSION).to_le_bytes());
    encoder.field(b'S', scope.as_bytes());
    encoder.field(b'K', &key.0);
    encoder.field(b'P', &preimage.digest()?.0);
    encoder.field(b'T', task.as_bytes());
    encoder.field(b'R', run.as_bytes());
    encoder.field(b'H', host.as_bytes());
    encoder.field(b'L', kernel.as_bytes());
    encoder.field(b's', &seconds.to_bits().to_le_bytes());
    encoder.field(b'n', &(outputs.len() as u64).to_le_bytes());
    for (name, content) in outputs {
        encoder.field(b'O', name.as_bytes());
        let tag = match content.shape {
            Shape::File => b'f',
            Shape::Executable => b'x',
            Shape::Folder => b'd',
            Shape::Absent => b'a',
        };
        encoder.field(tag, &content.digest.0);
        encoder.field(b'z', &content.size.to_le_bytes());
    }
    encoder.field(b't', &time.to_le_bytes());
    Ok(encoder.finish())
}

/// Signs a record for a scope. Nothing where it does not keep what its key was made of, since nobody could check it.
pub fn sign(
    action: &Action,
    key: &SecretKey,
    scope: &str,
    time: i64,
) -> Result<Option<Proof>, serde_json::Error> {
    if action.preimage.is_empty() {
        return Ok(None);
    }
    Ok(Some(proof(&statement(action, scope, time)?, key, scope, time)))
}

/// What is signed of the record of a run, in the same form: `D` (`onsager run`), `V`, `S`, `R` (its name), `B` (the SHA-256 of its bytes)
/// and `t`.
pub fn run_statement(run: &str, record: &Digest, scope: &str, time: i64) -> Digest {
    let mut encoder = Encoder::new("onsager run");
    encoder.field(b'V', &u64::from(VERSION).to_le_bytes());
    encoder.field(b'S', scope.as_bytes());
    encoder.field(b'R', run.as_bytes());
    encoder.field(b'B', &record.0);
    encoder.field(b't', &time.to_le_bytes());
    encoder.finish()
}

/// The signature of what is stated.
pub fn proof(stated: &Digest, key: &SecretKey, scope: &str, time: i64) -> Proof {
    let signer = key.public().to_string();
    let signature = key.sign(&stated.0);
    Proof { version: VERSION, signer, scope: scope.to_owned(), time, signature }
}
