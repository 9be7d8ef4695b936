//! Remote stores: results that a group shares through S3, GCS, Azure, HTTP or a folder. `docs/remote.md` describes what lies there.
//!
//! ```text
//! <url>/
//!   format.json                    what this is, and how records are named
//!   cas/ab/<sha256>                content, named by its SHA-256
//!   records/<scope>/<key>.json     key → outputs, with where it was made
//!   runs/<pipeline>/<id>.jsonl     records of runs, without what tells of the machine
//!   manifests/ab/<sha256>          the tasks of those runs with their keys
//!   pushes/<id>.json               of whoever is writing just now
//!   gc.json                        while what nobody needs is removed
//! ```
//!
//! Objects come first and the record last, so that no record is without its objects. Whatever arrives is hashed before it gets its name
//! in the store.

pub mod elsewhere;
pub mod record;
