//! `store export` and `store import`: a run with everything that it stands on, as one file.
//!
//! A crate is a zip, with more in it for people: see [`crate::store::unzip`]. Any other archive is a plain tar (or one behind gzip) of these members, in this order:
//!
//! ```text
//! onsager.json            the header: format, version, run, pipeline, tasks with their keys, and every further member
//!                         with its size and SHA-256
//! pipeline.yaml           the pipeline's file as it was when it ran, for reading
//! objects/ab/cdef…        in the order of their digests, which are their names
//! actions/ab/cdef….json   in the order of their keys
//! manifests/ab/cdef…      the run's manifest, where it finished
//! runs/<id>.jsonl         the run's record
//! ```
//!
//! Times, owners and modes are fixed, so the same run gives the same bytes. It can be written and read as a stream. An import
//! keeps what it reads in a working folder and hashes it; only when the last member is right do the objects, then the action
//! records, then the run's record move into the store.

use crate::store::digest::Digest;
use crate::store::files::StoreError;
use crate::trust::judge::Refusal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::PathBuf;

pub(super) const FORMAT: &str = "onsager archive";
/// Archives of version 1 have what entered a key as text only.
pub(super) const VERSION: u32 = 2;
pub(super) const HEADER: &str = "onsager.json";
pub const PIPELINE: &str = "pipeline.yaml";
/// The folder of a crate with what the run's record names besides its manifest: the texts of the pipeline's files, and what it is.
pub const TEXTS: &str = "texts";

/// The first member.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Header {
    pub format: String,
    pub version: u32,
    pub run: String,
    pub pipeline: String,
    pub tasks: BTreeMap<String, Digest>,
    pub members: Vec<Member>,
    /// Where in a zip the members are that do not lie below its folder of ours.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub places: BTreeMap<String, String>,
    /// Whether the bytes of the results were left out: then there is nothing to import.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_objects: bool,
}

/// A further member.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Member {
    pub name: String,
    pub size: u64,
    pub digest: Digest,
}

/// Where a member's bytes come from.
#[derive(Debug)]
pub enum Source {
    Bytes(Vec<u8>),
    File(PathBuf),
}

/// Why an archive cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("`{}` is not an archive of onsager: {reason}", path.display())]
    NotAnArchive { path: PathBuf, reason: String },
    #[error("`{}` has version {version}, and this program reads up to {VERSION}: use a newer onsager", path.display())]
    Version { path: PathBuf, version: u32 },
    #[error("`{}` has no objects, so there is nothing to import: export the run again without `--without-objects`", path.display())]
    WithoutObjects { path: PathBuf },
    #[error("`{}` is damaged: {reason}; nothing was imported", path.display())]
    Damaged { path: PathBuf, reason: Fault },
    #[error("`{}` has a result of `{task}` that does not count here: {refusal}; nothing was imported", path.display())]
    Refused { path: PathBuf, task: String, refusal: Refusal },
    #[error("run `{run}` has no result of `{task}`")]
    NoTask { run: String, task: String },
    #[error("the record of `{task}` is gone from the store: run the pipeline again, then export that run")]
    NoRecord { task: String },
    #[error(
        "object {digest} of `{task}` is not in the store: run the pipeline with `--force {task}`, then export that run"
    )]
    NoObject { task: String, digest: Digest },
    #[error("the store has another run named `{run}`: its record differs from the archive's")]
    OtherRun { run: String },
}

/// What is wrong with an archive.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("member `{0}` does not have the digest that the header names")]
    Differs(String),
    #[error("member `{0}` is not whole")]
    Short(String),
    #[error("member `{0}` is missing")]
    Missing(String),
    #[error("member `{}` is not in the header", .0.escape_debug())]
    Unknown(String),
    #[error("member `{}` comes twice", .0.escape_debug())]
    Twice(String),
    #[error("{what} `{}` is no plain name", name.escape_debug())]
    Name { what: &'static str, name: String },
    #[error("member `{name}` is contradicted by its objects: {message}")]
    Contradicted { name: String, message: String },
    #[error("member `{name}` is no record: {message}")]
    Record { name: String, message: String },
    #[error("member `{name}` names object {digest}, which the archive does not have")]
    Open { name: String, digest: Digest },
    #[error("member `{}` is a link", .0.escape_debug())]
    Link(String),
    #[error("member `{0}` is compressed so far that it looks made to fill the disk")]
    Bomb(String),
    #[error("member `{0}` is compressed by a method other than deflate")]
    Method(String),
    #[error("its members lie on top of each other")]
    Overlap,
    #[error("the zip cannot be read: {0}")]
    Zip(String),
    #[error("the tar cannot be read after member `{after}`: {source}")]
    Tar { after: String, source: io::Error },
}

/// What was exported or imported.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Moved {
    pub run: String,
    pub pipeline: String,
    /// How many.
    pub tasks: usize,
    /// How many.
    pub objects: usize,
    /// Of the objects.
    pub bytes: u64,
    /// Objects and records that the store did not have before.
    pub new: usize,
}

/// `objects/ab/cdef…`.
pub fn member_name(folder: &str, digest: &Digest, ending: &str) -> String {
    let name = digest.to_string();
    format!("{folder}/{}/{}{ending}", &name[..2], &name[2..])
}

/// Where a member lies in a zip, if the header names no other place.
pub fn in_zip(member: &str) -> String {
    format!("onsager/{member}")
}

/// A reader that hashes what goes through.
pub(super) struct Hashing<R> {
    inner: R,
    hash: Sha256,
}

impl<R: Read> Hashing<R> {
    pub(super) fn new(inner: R) -> Hashing<R> {
        Hashing { inner, hash: Sha256::new() }
    }

    pub(super) fn finish(self) -> Digest {
        Digest(self.hash.finalize().into())
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.hash.update(&buffer[..n]);
        Ok(n)
    }
}

/// The digest that a member of this folder is named by.
pub(super) fn digest_in(name: &str, folder: &str, ending: &str) -> Option<Digest> {
    let rest = name.strip_prefix(folder)?.strip_prefix('/')?.strip_suffix(ending)?;
    let (start, rest) = rest.split_once('/')?;
    (start.len() == 2).then(|| format!("{start}{rest}").parse().ok())?
}
