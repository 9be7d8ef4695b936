//! One way to reach a remote store, wherever it is. What fails for a while is tried again, later and later.

use crate::store::remote::bucket::{Bucket, Piece};
use crate::store::remote::error::TransportError;
use crate::store::remote::folder::Folder;
use crate::store::remote::layout::Entry;
use crate::store::remote::place::{Place, Scheme};
use crate::store::remote::server::Counters;
use futures::StreamExt;
use object_store::PutPayload;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The longest wait between two tries.
const LONGEST: Duration = Duration::from_secs(20);
/// How long nothing may arrive.
const SILENCE: Duration = Duration::from_secs(60);
/// How soon Ctrl-C is noticed.
const GLANCE: Duration = Duration::from_millis(100);

/// How often something is tried, and the first wait between two tries.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    pub tries: u32,
    pub wait: Duration,
}

/// What a push or a pull has.
pub const PATIENT: Patience = Patience { tries: 7, wait: Duration::from_millis(200) };
/// Whether anybody is there at all.
pub const BRIEF: Patience = Patience { tries: 3, wait: Duration::from_millis(200) };

/// Where the bytes are.
#[derive(Debug, Clone)]
pub enum Transport {
    Folder(Folder),
    Bucket(Bucket),
}

/// Tries until it works, fails for good, or patience ends.
pub async fn patiently<T, F, A>(patience: Patience, mut attempt: A) -> Result<T, TransportError>
where
    A: FnMut() -> F,
    F: Future<Output = Result<T, TransportError>>,
{
    let mut wait = patience.wait;
    for _ in 1..patience.tries {
        match attempt().await {
            Err(error) if error.is_passing() => {
                tracing::debug!("tried again: {error}");
                // Several that failed at once are not to come back at once.
                let part = RandomState::new().hash_one(0) % 512;
                let own = wait.mul_f64(0.75 + part as f64 / 1024.0);
                tokio::time::sleep(error.after().unwrap_or(own).min(LONGEST)).await;
                wait = (wait * 2).min(LONGEST);
            }
            done => return done,
        }
    }
    attempt().await
}

/// Work that may be given up at any moment: none where Ctrl-C was pressed so often before it was done. Does something now and then.
pub async fn interruptible<T>(
    interrupts: (&AtomicUsize, usize),
    work: impl Future<Output = T>,
    mut meanwhile: impl FnMut(),
) -> Option<T> {
    let mut work = std::pin::pin!(work);
    loop {
        match tokio::time::timeout(GLANCE, &mut work).await {
            Ok(done) => return Some(done),
            Err(_) if interrupts.0.load(Ordering::Relaxed) >= interrupts.1 => return None,
            Err(_) => meanwhile(),
        }
    }
}

/// Work with files, beside the network.
pub async fn blocking<T: Send + 'static, E: Send + From<TransportError> + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(TransportError::Other { message: error.to_string() }.into()),
    }
}

impl Transport {
    pub fn open(place: &Place, counters: &Arc<Counters>) -> Result<Transport, TransportError> {
        match place.location() {
            Ok(location) if location.scheme == Scheme::File => {
                Ok(Transport::Folder(Folder::new(PathBuf::from(location.path))))
            }
            _ => Ok(Transport::Bucket(Bucket::open(place, counters.clone())?)),
        }
    }

    /// Writes something small, unless it is there already. True where it is new.
    pub async fn create(&self, name: &str, bytes: &[u8]) -> Result<bool, TransportError> {
        self.put(name, bytes, false, PATIENT).await
    }

    /// Writes something small, whatever is there.
    pub async fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), TransportError> {
        self.put(name, bytes, true, PATIENT).await.map(|_| ())
    }

    async fn put(
        &self,
        name: &str,
        bytes: &[u8],
        replace: bool,
        patience: Patience,
    ) -> Result<bool, TransportError> {
        match self {
            Transport::Folder(folder) => {
                let (folder, name, bytes) = (folder.clone(), name.to_owned(), bytes.to_vec());
                blocking(move || folder.put_bytes(&name, &bytes, replace)).await
            }
            Transport::Bucket(bucket) => {
                let bytes = PutPayload::from(bytes.to_vec());
                patiently(patience, || bucket.put(name, bytes.clone(), replace)).await
            }
        }
    }

    pub async fn head(&self, name: &str) -> Result<Option<Entry>, TransportError> {
        match self {
            Transport::Folder(folder) => {
                let (folder, name) = (folder.clone(), name.to_owned());
                blocking(move || folder.head(&name)).await
            }
            Transport::Bucket(bucket) => patiently(PATIENT, || bucket.head(name)).await,
        }
    }

    /// Reads something whole that is no larger than this.
    pub async fn get(
        &self,
        name: &str,
        limit: u64,
        patience: Patience,
    ) -> Result<Option<Vec<u8>>, TransportError> {
        match self {
            Transport::Folder(folder) => {
                let (own, path) = (folder.clone(), name.to_owned());
                let read = blocking(move || {
                    own.check()?;
                    own.range(&path, 0..limit.saturating_add(1))
                })
                .await?;
                match read {
                    Some(bytes) if bytes.len() as u64 > limit => Err(too_long(limit)),
                    read => Ok(read),
                }
            }
            Transport::Bucket(bucket) => {
                let pieces = patiently(patience, || collect(bucket, name, None, limit)).await?;
                Ok(pieces.map(|pieces| pieces.concat()))
            }
        }
    }

    /// Reads a part of something, in pieces as they came.
    pub async fn range(&self, name: &str, range: Range<u64>) -> Result<Option<Vec<Piece>>, TransportError> {
        let length = range.end - range.start;
        match self {
            Transport::Folder(folder) => {
                let (folder, name) = (folder.clone(), name.to_owned());
                let read = blocking(move || folder.range(&name, range)).await?;
                Ok(read.map(|bytes| vec![bytes.into()]))
            }
            Transport::Bucket(bucket) => {
                let whole = || async {
                    match collect(bucket, name, Some(range.clone()), length).await? {
                        Some(pieces) if size(&pieces) != length => {
                            let message = format!("{} of {length} bytes", size(&pieces));
                            Err(TransportError::Length { message })
                        }
                        got => Ok(got),
                    }
                };
                patiently(PATIENT, whole).await
            }
        }
    }

    /// What is below a folder there.
    pub async fn list(&self, prefix: &str) -> Result<Vec<Entry>, TransportError> {
        match self {
            Transport::Folder(folder) => {
                let (folder, prefix) = (folder.clone(), prefix.to_owned());
                blocking(move || folder.list(&prefix)).await
            }
            Transport::Bucket(bucket) => patiently(PATIENT, || bucket.list(prefix)).await,
        }
    }

    /// Removes things; what is gone already is no error.
    pub async fn delete(&self, names: Vec<String>) -> Result<(), TransportError> {
        match self {
            Transport::Folder(folder) => {
                let folder = folder.clone();
                blocking(move || names.iter().try_for_each(|name| folder.delete(name))).await
            }
            Transport::Bucket(bucket) => patiently(PATIENT, || bucket.delete(names.clone())).await,
        }
    }
}

fn too_long(limit: u64) -> TransportError {
    TransportError::Other { message: format!("it has more than {limit} bytes") }
}

/// The bytes of several pieces.
pub fn size(pieces: &[Piece]) -> u64 {
    pieces.iter().map(|piece| piece.len() as u64).sum()
}

/// Reads an object, or a part of it, no further than the limit: what a server says of lengths may be wrong.
async fn collect(
    bucket: &Bucket,
    name: &str,
    range: Option<Range<u64>>,
    limit: u64,
) -> Result<Option<Vec<Piece>>, TransportError> {
    let part = range.is_some();
    let Some(mut arriving) = bucket.get(name, range).await? else { return Ok(None) };
    if !part && arriving.size > limit {
        return Err(too_long(limit));
    }
    let (mut pieces, mut came) = (Vec::new(), 0);
    loop {
        let next = tokio::time::timeout(SILENCE, arriving.pieces.next()).await;
        let silent = |_| TransportError::Unreachable { message: "nothing arrives any more".to_owned() };
        let Some(piece) = next.map_err(silent)? else { break };
        let piece = piece?;
        came += piece.len() as u64;
        pieces.push(piece);
        if came > limit {
            return Err(if part {
                TransportError::Length { message: "more than was asked for".into() }
            } else {
                too_long(limit)
            });
        }
    }
    if !part && came != arriving.size {
        let message = format!("{came} of {} bytes", arriving.size);
        return Err(TransportError::Length { message });
    }
    Ok(Some(pieces))
}

/// Adds to a counter.
pub fn count(counter: &std::sync::atomic::AtomicU64, bytes: u64) {
    counter.fetch_add(bytes, Ordering::Relaxed);
}
