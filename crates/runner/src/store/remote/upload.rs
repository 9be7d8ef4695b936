//! Objects on their way to a remote store. Each is hashed on its way, so that damage here goes no further. A large one goes in parts, and
//! an interrupted one goes on from the parts that are there.

use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
use crate::store::remote::bucket::Bucket;
use crate::store::remote::download::PART;
use crate::store::remote::error::{RemoteError, TransportError};
use crate::store::remote::layout;
use crate::store::remote::opened::Remote;
use crate::store::remote::transport::{PATIENT, Transport, blocking, count, patiently};
use futures::{Stream, StreamExt};
use object_store::PutPayload;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use tokio::task::JoinHandle;

/// How many parts of a file are on their way at once.
const PARTS: usize = 8;
/// The most parts that servers take.
const MOST: u64 = 10_000;
/// From this size on it is worth to ask first whether an object is there.
const ASK: u64 = 4 << 20;

/// What became of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// With so many bytes.
    New(u64),
    /// It was there already.
    There,
}

/// How an object is sent.
#[derive(Debug, Clone, Copy)]
pub struct Way<'a> {
    /// What the remote store calls itself.
    pub id: &'a str,
    /// Whether what is there is replaced: it was found damaged.
    pub replace: bool,
    /// Whether the server tells when something is there already.
    pub creates: bool,
}

/// Sends an object of the store.
pub async fn send(remote: &Remote, store: &Store, digest: Digest, way: Way<'_>) -> Result<Sent, RemoteError> {
    let name = layout::object(&digest);
    let path = store.objects().path(&digest);
    let missing = |_| StoreError::MissingObject { digest: digest.to_string() };
    let size = tokio::fs::metadata(&path).await.map_err(missing)?.len();
    // Without conditional writes everything would be sent whenever it is not known to be there.
    if !way.replace && (size >= ASK || !way.creates) {
        let there = remote.transport.head(&name).await.map_err(remote.failed_at("look at", &name))?;
        match there {
            Some(there) if there.size == size => return Ok(Sent::There),
            // It is not what its name says.
            Some(_) => return put(remote, store, &name, digest, size, Way { replace: true, ..way }).await,
            None => {}
        }
    }
    put(remote, store, &name, digest, size, way).await
}

async fn put(
    remote: &Remote,
    store: &Store,
    name: &str,
    digest: Digest,
    size: u64,
    way: Way<'_>,
) -> Result<Sent, RemoteError> {
    let path = store.objects().path(&digest);
    count(&remote.counters.to_send, size);
    let new = match &remote.transport {
        Transport::Folder(folder) => {
            let (folder, name) = (folder.clone(), name.to_owned());
            blocking(move || {
                let mut found = None;
                let put = folder.put(&name, way.replace, |target| {
                    let source = File::open(&path).map_err(TransportError::io("read", &path))?;
                    let each = |bytes: &[u8]| target.write_all(bytes);
                    let read =
                        Digest::reading(source, size, each).map_err(TransportError::io("copy", &path))?;
                    found = Some(read.0);
                    if read.0 == digest {
                        Ok(())
                    } else {
                        Err(TransportError::Other { message: String::new() })
                    }
                });
                match found {
                    Some(found) if found != digest => Err(damaged(&digest)),
                    _ => Ok(put?),
                }
            })
            .await?
        }
        Transport::Bucket(bucket) if size > PART => {
            send_parts(remote, store, bucket, digest, size, way).await?
        }
        Transport::Bucket(bucket) => {
            let bytes = blocking(move || {
                let bytes = std::fs::read(&path).map_err(StoreError::io("read", &path))?;
                if Digest::of(&bytes) == digest { Ok(bytes) } else { Err(damaged(&digest)) }
            })
            .await?;
            let replace = way.replace || !way.creates;
            let bytes = PutPayload::from(bytes);
            let put = patiently(PATIENT, || bucket.put(name, bytes.clone(), replace)).await;
            put.map_err(remote.failed_at("send", name))?
        }
    };
    count(&remote.counters.sent, size);
    Ok(if new { Sent::New(size) } else { Sent::There })
}

fn damaged(digest: &Digest) -> RemoteError {
    StoreError::DamagedObject { digest: digest.to_string() }.into()
}

/// What is known of a large object that is being sent.
#[derive(Debug, Serialize, Deserialize)]
struct Upload {
    /// What the server calls it.
    name: String,
    part: u64,
    /// What the server calls the parts that it has.
    parts: BTreeMap<usize, String>,
}

async fn send_parts(
    remote: &Remote,
    store: &Store,
    bucket: &Bucket,
    digest: Digest,
    size: u64,
    way: Way<'_>,
) -> Result<bool, RemoteError> {
    let folder = store.remotes().join("uploads");
    files::create_folder(&folder)?;
    let note = folder.join(format!("{}-{digest}.json", way.id));
    // Another process of this store may send the same: then this one does not rely on what is noted.
    let lock = store.locks().try_take(&format!("upload-{digest}"))?;
    for _ in 0..2 {
        let known = lock.as_ref().and_then(|_| serde_json::from_slice(&std::fs::read(&note).ok()?).ok());
        let done =
            send_from(remote, store, bucket, digest, size, known, lock.as_ref().map(|_| note.clone())).await;
        if let Ok(Some(())) | Err(RemoteError::Store(StoreError::DamagedObject { .. })) = &done {
            files::remove(&note)?;
        }
        match done? {
            Some(()) => return Ok(true),
            // The server has forgotten it: once more from the beginning.
            None => files::remove(&note)?,
        }
    }
    let source =
        TransportError::Other { message: "the server does not know the upload that it began".to_owned() };
    Err(remote.failed_at("send", &layout::object(&digest))(source))
}

/// Sends the parts that the server has not, and makes the object of all. None where it does not know the upload any more.
async fn send_from(
    remote: &Remote,
    store: &Store,
    bucket: &Bucket,
    digest: Digest,
    size: u64,
    known: Option<Upload>,
    note: Option<PathBuf>,
) -> Result<Option<()>, RemoteError> {
    let name = layout::object(&digest);
    let failed = || remote.failed_at("send", &name);
    let mut upload = match known {
        Some(known) => known,
        None => {
            let own = patiently(PATIENT, || bucket.begin(&name)).await.map_err(failed())?;
            Upload { name: own, part: PART.max(size.div_ceil(MOST)), parts: BTreeMap::new() }
        }
    };
    let write = |upload: &Upload| -> Result<(), RemoteError> {
        let Some(note) = &note else { return Ok(()) };
        let bytes = remote.document(upload)?;
        Ok(files::write_soon(note, &bytes)?)
    };
    write(&upload)?;
    let (id, part) = (upload.name.clone(), upload.part);
    let there: BTreeSet<usize> = upload.parts.keys().copied().collect();
    let (parts, found) = read_parts(store.objects().path(&digest), part);
    let send = |(number, bytes): (usize, Vec<u8>)| {
        let (name, id, there) = (&name, &id, &there);
        async move {
            let length = bytes.len() as u64;
            if !there.contains(&number) {
                let bytes = PutPayload::from(bytes);
                let sent = patiently(PATIENT, || bucket.part(name, id, number, bytes.clone())).await?;
                count(&remote.counters.sent, length);
                return Ok(Some((number, sent)));
            }
            count(&remote.counters.sent, length);
            Ok(None)
        }
    };
    let mut sending = parts.map(send).buffer_unordered(PARTS);
    while let Some(sent) = sending.next().await {
        match sent.map_err(|error| failed()(error))? {
            None => {}
            Some((_, None)) => return Ok(None),
            Some((number, Some(own))) => {
                upload.parts.insert(number, own);
                write(&upload)?;
            }
        }
    }
    drop(sending);
    let found = found.await.map_err(|error| TransportError::Other { message: error.to_string() })?;
    if found? != digest {
        bucket.abort(&name, &id).await.map_err(failed())?;
        return Err(damaged(&digest));
    }
    let parts: Vec<String> = upload.parts.into_values().collect();
    let whole = patiently(PATIENT, || bucket.complete(&name, &id, parts.clone())).await.map_err(failed())?;
    Ok(whole.then_some(()))
}

/// Reads a file part by part, on a thread of its own, while earlier parts are on their way; ends with the digest of all.
fn read_parts(
    path: PathBuf,
    part: u64,
) -> (impl Stream<Item = (usize, Vec<u8>)>, JoinHandle<Result<Digest, RemoteError>>) {
    let (read, mut parts) = tokio::sync::mpsc::channel(1);
    let reader = tokio::task::spawn_blocking(move || {
        let failed = |source| StoreError::Io { action: "read", path: path.clone(), source };
        let (mut file, mut hash) = (File::open(&path).map_err(failed)?, Sha256::new());
        for number in 0.. {
            let mut bytes = Vec::with_capacity(part as usize);
            let length = (&mut file).take(part).read_to_end(&mut bytes).map_err(failed)?;
            hash.update(&bytes);
            // Nobody waits for it any more where sending has failed.
            if length == 0 || read.blocking_send((number, bytes)).is_err() {
                break;
            }
        }
        Ok(Digest(hash.finalize().into()))
    });
    (futures::stream::poll_fn(move |context| parts.poll_recv(context)), reader)
}
