//! Objects on their way here. Each is hashed before it gets its name in the store; what an interrupted transfer of a large one left is
//! gone on from.

use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
use crate::store::locks::Lock;
use crate::store::objects::{Content, Held, Shape};
use crate::store::remote::bucket::Piece;
use crate::store::remote::error::{RemoteError, TransportError};
use crate::store::remote::layout;
use crate::store::remote::opened::Remote;
use crate::store::remote::transport::{self, PATIENT, Transport, blocking, count};
use futures::{StreamExt, TryStreamExt};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OnceCell, Semaphore};

/// A larger file comes in parts of this size.
pub const PART: u64 = 16 << 20;
/// How many parts of a file are on their way at once.
const PARTS: usize = 8;
/// How many small files are on their way at once.
const SMALL: usize = 32;
/// How many large ones.
const LARGE: usize = 2;
/// A larger list of a folder is none: it would have millions of files.
const LIST: u64 = 256 << 20;
/// How often an object is fetched whose bytes are wrong: they may have been changed on the way.
const FETCHES: usize = 3;

/// Fetches objects, each once.
pub struct Fetcher {
    remote: Remote,
    store: Store,
    small: Semaphore,
    large: Semaphore,
    begun: Mutex<HashMap<Digest, Arc<OnceCell<bool>>>>,
}

impl Fetcher {
    pub fn new(remote: Remote, store: Store) -> Fetcher {
        let (small, large) = (Semaphore::new(SMALL), Semaphore::new(LARGE));
        Fetcher { remote, store, small, large, begun: Mutex::default() }
    }

    /// Fetches what the store lacks of a content: of a folder its list, and each of its files. False where not all of it is there.
    pub async fn content(&self, content: &Content) -> Result<bool, RemoteError> {
        if content.is_absent() || self.store.objects().check(content)? == Held::Sound {
            return Ok(true);
        }
        if content.shape != Shape::Folder {
            return self.object(content.digest, Some(content.size)).await;
        }
        if !self.object(content.digest, None).await? {
            return Ok(false);
        }
        // Its sizes are part of what the digest of the list vouches for.
        let members = self.store.closure_sizes(content)?;
        let all = futures::stream::iter(members).map(|(digest, size)| self.object(digest, Some(size)));
        let whole =
            all.buffer_unordered(SMALL).try_fold(true, |all, one| async move { Ok(all && one) }).await?;
        Ok(whole && self.store.objects().check(content)? == Held::Sound)
    }

    /// Fetches an object of this size; a list of a folder where no size is given. False where it is not there.
    pub async fn object(&self, digest: Digest, size: Option<u64>) -> Result<bool, RemoteError> {
        let cell = {
            let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
            begun.entry(digest).or_default().clone()
        };
        let done = cell.get_or_try_init(|| self.fetch(digest, size)).await.copied();
        if !matches!(done, Ok(true)) {
            // It may be there the next time.
            self.begun.lock().unwrap_or_else(PoisonError::into_inner).remove(&digest);
        }
        done
    }

    async fn fetch(&self, digest: Digest, size: Option<u64>) -> Result<bool, RemoteError> {
        if self.store.objects().is_sound(&digest, size)? {
            return Ok(true);
        }
        let large = size.filter(|size| *size > PART);
        let slots = if large.is_some() { &self.large } else { &self.small };
        let _slot = slots.acquire().await.map_err(|_| RemoteError::Interrupted)?;
        let counters = &self.remote.counters;
        count(&counters.to_receive, size.unwrap_or(0));
        for _ in 0..FETCHES {
            let came = match large {
                Some(size) => self.fetch_large(digest, size).await?,
                None => self.fetch_small(digest, size).await?,
            };
            match came {
                Came::Right => return Ok(true),
                Came::Nothing => return Ok(false),
                Came::Wrong => {}
            }
        }
        let (remote, name) = (self.remote.name.clone(), layout::object(&digest));
        Err(RemoteError::Damaged { remote, name, message: "its bytes are not those of its name".to_owned() })
    }

    async fn fetch_small(&self, digest: Digest, size: Option<u64>) -> Result<Came, RemoteError> {
        let name = layout::object(&digest);
        let limit = size.unwrap_or(LIST);
        let got = self.remote.transport.get(&name, limit, PATIENT).await;
        let Some(bytes) = got.map_err(self.remote.failed_at("fetch", &name))? else {
            return Ok(Came::Nothing);
        };
        self.came(bytes.len());
        let objects = self.store.objects();
        blocking(move || {
            if size.is_some_and(|size| size != bytes.len() as u64) || Digest::of(&bytes) != digest {
                return Ok(Came::Wrong);
            }
            objects.receive(&bytes, &digest)?;
            Ok(Came::Right)
        })
        .await
    }

    async fn fetch_large(&self, digest: Digest, size: u64) -> Result<Came, RemoteError> {
        let (store, transport) = (self.store.clone(), self.remote.transport.clone());
        let name = layout::object(&digest);
        let incoming = blocking(move || Incoming::open(&store, digest, size)).await?;
        count(&self.remote.counters.received, incoming.length);
        let starts = (incoming.length..size).step_by(PART as usize);
        let fetch = |start: u64| {
            let (transport, name) = (&transport, &name);
            async move { transport.range(name, start..(start + PART).min(size)).await }
        };
        let mut parts = futures::stream::iter(starts).map(fetch).buffered(PARTS);
        // Parts arrive while earlier ones are hashed and written.
        let (arrived, mut waiting) = tokio::sync::mpsc::channel::<Vec<Piece>>(1);
        let kept = tokio::task::spawn_blocking(move || {
            let mut incoming = incoming;
            while let Some(pieces) = waiting.blocking_recv() {
                incoming.add(&pieces)?;
            }
            Ok::<_, RemoteError>(incoming)
        });
        let all = loop {
            match parts.next().await {
                None => break Ok(true),
                Some(Ok(None)) => break Ok(false),
                Some(Ok(Some(pieces))) => {
                    count(&self.remote.counters.received, transport::size(&pieces));
                    if arrived.send(pieces).await.is_err() {
                        // It could not be written: the error is there.
                        break Ok(true);
                    }
                }
                Some(Err(error)) => break Err(error),
            }
        };
        drop((arrived, parts));
        let kept = kept.await.map_err(|error| TransportError::Other { message: error.to_string() })?;
        let incoming = kept?;
        match all {
            Ok(true) => {
                let store = self.store.clone();
                blocking(move || incoming.finish(&store)).await
            }
            Ok(false) => Ok(Came::Nothing),
            // A server without ranges sends everything at once.
            Err(TransportError::Length { .. } | TransportError::Other { .. }) => {
                self.fetch_whole(incoming, &name, size).await
            }
            Err(error) => Err(self.remote.failed_at("fetch", &name)(error)),
        }
    }

    fn came(&self, bytes: usize) {
        count(&self.remote.counters.received, bytes as u64);
    }

    /// Fetches a large object as one stream.
    async fn fetch_whole(&self, incoming: Incoming, name: &str, size: u64) -> Result<Came, RemoteError> {
        let Transport::Bucket(bucket) = &self.remote.transport else { return Ok(Came::Wrong) };
        let failed = || self.remote.failed_at("fetch", name);
        let mut incoming = blocking(move || incoming.again()).await?;
        let Some(mut arriving) = bucket.get(name, None).await.map_err(failed())? else {
            return Ok(Came::Nothing);
        };
        while let Some(bytes) = arriving.pieces.try_next().await.map_err(failed())? {
            self.came(bytes.len());
            if incoming.length + bytes.len() as u64 > size {
                return Ok(Came::Wrong);
            }
            incoming = blocking(move || incoming.add(&[bytes]).map(|()| incoming)).await?;
        }
        let store = self.store.clone();
        blocking(move || incoming.finish(&store)).await
    }
}

impl From<TransportError> for RemoteError {
    /// Of work with files here.
    fn from(error: TransportError) -> RemoteError {
        match error {
            TransportError::Io { action, path, source } => StoreError::Io { action, path, source }.into(),
            source => RemoteError::Transport { remote: String::new(), action: "use", source },
        }
    }
}

/// What came of an object.
enum Came {
    Right,
    /// It is not there.
    Nothing,
    /// Bytes that are not those of its name.
    Wrong,
}

/// A large object that is arriving: a file in `incoming/`.
struct Incoming {
    digest: Digest,
    path: PathBuf,
    folder: PathBuf,
    file: File,
    hash: Sha256,
    length: u64,
    _lock: Option<Lock>,
}

impl Incoming {
    /// Goes on from what is there of it.
    fn open(store: &Store, digest: Digest, size: u64) -> Result<Incoming, RemoteError> {
        let folder = store.incoming();
        files::create_folder(&folder)?;
        let path = folder.join(digest.to_string());
        let lock = store.locks().try_take(&format!("incoming-{digest}"))?;
        // Where another process fetches it, too, each has its own.
        let own = if lock.is_some() { path } else { files::temporary_beside(&path) };
        let opened = File::options().create(true).read(true).append(true).open(&own);
        let file = opened.map_err(StoreError::io("open", &own))?;
        let there = file.metadata().map_or(0, |data| data.len());
        let usable = if there > size { 0 } else { there - there % PART };
        let room =
            rustix::fs::statvfs(&folder).map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        if room < size - usable {
            return Err(RemoteError::NoRoom { bytes: size - usable, free: room });
        }
        let mut incoming =
            Incoming { digest, path: own, folder, file, hash: Sha256::new(), length: 0, _lock: lock };
        incoming.hash_up_to(usable).map_err(StoreError::io("read", &incoming.path))?;
        Ok(incoming)
    }

    fn hash_up_to(&mut self, usable: u64) -> io::Result<()> {
        self.file.set_len(usable)?;
        self.file.seek(SeekFrom::Start(0))?;
        let mut buffer = vec![0; 1 << 18];
        loop {
            let n = self.file.read(&mut buffer)?;
            if n == 0 {
                return Ok(());
            }
            self.hash.update(&buffer[..n]);
            self.length += n as u64;
        }
    }

    /// Begins anew.
    fn again(mut self) -> Result<Incoming, RemoteError> {
        self.file.set_len(0).map_err(StoreError::io("write", &self.path))?;
        (self.hash, self.length) = (Sha256::new(), 0);
        Ok(self)
    }

    /// One thread hashes while another one writes.
    fn add(&mut self, pieces: &[Piece]) -> Result<(), RemoteError> {
        let (hash, mut file) = (&mut self.hash, &self.file);
        let hashed = || pieces.iter().for_each(|piece| hash.update(piece));
        let written = || pieces.iter().try_for_each(|piece| file.write_all(piece));
        rayon::join(hashed, written).1.map_err(StoreError::io("write", &self.path))?;
        self.length += transport::size(pieces);
        Ok(())
    }

    /// Gives it its name in the store, if its bytes are those.
    fn finish(self, store: &Store) -> Result<Came, RemoteError> {
        let Incoming { digest, path, folder, hash, file, _lock, .. } = self;
        if Digest(hash.finalize().into()) != digest {
            files::remove(&path)?;
            return Ok(Came::Wrong);
        }
        let _gate = store.enter_gate()?;
        store.objects().ingest(&path, &digest, &folder)?;
        store.objects().note_written(&file, &digest)?;
        // It stays where the store had the object meanwhile.
        files::remove(&path)?;
        Ok(Came::Right)
    }
}
