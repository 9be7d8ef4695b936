//! Remote stores: results that a group shares through S3, GCS, Azure, HTTP or a folder. `docs/remote.md` describes what lies there.
//!
//! ```text
//! <url>/
//!   format.json                    what this is, and how records are named
//!   cas/ab/<sha256>                content, named by its SHA-256
//!   records/<scope>/<key>.json     key → outputs, with where it was made
//!   runs/<id>.jsonl                records of runs, without what tells of the machine
//!   runs/<id>.proof.json           who vouches for them
//!   manifests/ab/<sha256>          the tasks of those runs with their keys
//!   pushes/<id>.json               of whoever is writing just now
//!   gc.json                        while what nobody needs is removed
//! ```
//!
//! Objects come first and the record last, so that no record is without its objects. Whatever arrives is hashed before it gets its name
//! in the store.

#[cfg(feature = "remote")]
pub mod ask;
#[cfg(feature = "remote")]
pub mod bucket;
#[cfg(feature = "remote")]
pub mod check;
#[cfg(feature = "remote")]
pub mod credentials;
#[cfg(feature = "remote")]
pub mod download;
pub mod elsewhere;
#[cfg(feature = "remote")]
pub mod error;
#[cfg(feature = "remote")]
pub mod folder;
#[cfg(feature = "remote")]
pub mod layout;
#[cfg(feature = "remote")]
pub mod link;
#[cfg(feature = "remote")]
pub mod marker;
#[cfg(feature = "remote")]
pub mod note;
#[cfg(feature = "remote")]
pub mod opened;
pub mod place;
#[cfg(feature = "remote")]
pub mod pull;
#[cfg(feature = "remote")]
pub mod push;
pub mod record;
#[cfg(feature = "remote")]
pub mod server;
#[cfg(feature = "remote")]
pub mod transport;
#[cfg(feature = "remote")]
pub mod upkeep;
#[cfg(feature = "remote")]
pub mod upload;
