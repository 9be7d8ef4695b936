//! Results on their way to a remote store: their objects first, their record last, so that no record is ever without its objects.

use crate::store::Store;
use crate::store::actions::Action;
use crate::store::digest::Digest;
use crate::store::files::StoreError;
use crate::store::objects::Held;
use crate::store::redact::Redaction;
use crate::store::remote::check::found;
use crate::store::remote::elsewhere::Difference;
use crate::store::remote::error::{RemoteError, TransportError};
use crate::store::remote::layout;
use crate::store::remote::marker::Pushing;
use crate::store::remote::note::Note;
use crate::store::remote::opened::{Format, Naming, Remote, difference};
use crate::store::remote::place::Place;
use crate::store::remote::pull::RunProof;
use crate::store::remote::record::{self, Policy, content_of};
use crate::store::remote::transport::count;
use crate::store::remote::upload::{self, Sent, Way};
use crate::store::runs::{self, Foreign, Run};
use futures::{StreamExt, TryStreamExt};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OnceCell, Semaphore};

/// How many objects are on their way at once.
const OBJECTS: usize = 16;
/// How many results.
const RESULTS: usize = 32;

/// Whether this place takes what is sent there, and whether those who read it can trust it.
pub fn check(name: &str, place: &Place, policy: &Policy) -> Result<(), RemoteError> {
    if !place.is_writable() {
        return Err(RemoteError::ReadOnly { remote: name.to_owned() });
    }
    if policy.signer.is_none() && !policy.trust.accepts_unsigned() {
        return Err(RemoteError::NoKey { remote: name.to_owned() });
    }
    Ok(())
}

/// What became of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pushed {
    New,
    /// It stays here: nobody vouches for it.
    Unsigned,
    /// A record that says the same was there.
    There,
    /// One that says something else was there first, and stays.
    Differs(Box<Difference>),
}

/// What became of several results.
#[derive(Debug, Default)]
pub struct Report {
    pub new: usize,
    pub there: usize,
    /// Of the objects that were new there.
    pub bytes: u64,
    pub differs: Vec<Difference>,
    /// The tasks whose results stay here, since they came from elsewhere and nobody vouches for them.
    pub unsigned: Vec<String>,
    /// The task, and why its result was not sent.
    pub failed: Vec<(String, String)>,
}

/// Sends results; between [`Pusher::begin`] and [`Pusher::end`] nothing is removed there.
pub struct Pusher {
    pub remote: Remote,
    store: Store,
    format: Format,
    note: Mutex<Note>,
    /// Objects that were found damaged there: they are replaced.
    damaged: Mutex<HashSet<Digest>>,
    begun: Mutex<HashMap<Digest, Arc<OnceCell<Sent>>>>,
    slots: Semaphore,
    mark: tokio::sync::Mutex<Pushing>,
    /// Of the objects that were new there.
    bytes: AtomicU64,
}

impl Pusher {
    /// Begins to write. With `anew`, nothing counts as known to be there.
    pub async fn begin(remote: Remote, store: Store, anew: bool) -> Result<Pusher, RemoteError> {
        check(&remote.name, &remote.place, &remote.policy)?;
        let first = match remote.format().await? {
            Some(format) => format,
            None => found(&remote).await?,
        };
        let mark = Pushing::begin(&remote).await?;
        // Read again: something may have been removed before the mark stood.
        let format = remote.format().await?.unwrap_or(first);
        let path = store.remotes().join(format!("{}.journal", remote.name));
        let mut note = Note::open(&path, store.locks(), &format)?;
        if anew {
            note.forget(&format)?;
        }
        Ok(Pusher {
            remote,
            store,
            format,
            note: Mutex::new(note),
            damaged: Mutex::default(),
            begun: Mutex::default(),
            slots: Semaphore::new(OBJECTS),
            mark: tokio::sync::Mutex::new(mark),
            bytes: AtomicU64::new(0),
        })
    }

    /// Ends: what is known to be there is noted, and the mark goes.
    pub async fn end(&self) -> Result<(), RemoteError> {
        self.note().write()?;
        self.mark.lock().await.end(&self.remote).await
    }

    /// Sends results, many at once, and the records of runs. It goes on after one that fails, unless nobody answers any more.
    pub async fn all(self: Arc<Pusher>, actions: Vec<Action>, runs: Vec<Run>) -> Result<Report, RemoteError> {
        let mut report = Report::default();
        let sent = futures::stream::iter(actions).map(|action| {
            let own = self.clone();
            tokio::spawn(async move { (action.task.clone(), own.result(&action).await) })
        });
        let mut sent = sent.buffer_unordered(RESULTS);
        while let Some(done) = sent.next().await {
            let (task, pushed) = done.map_err(|_| RemoteError::Interrupted)?;
            match pushed {
                Ok(Pushed::New) => report.new += 1,
                Ok(Pushed::There) => report.there += 1,
                Ok(Pushed::Unsigned) => report.unsigned.push(task),
                Ok(Pushed::Differs(difference)) => report.differs.push(*difference),
                Err(error) if error.is_offline() || matches!(error, RemoteError::Cleaned { .. }) => {
                    return Err(error);
                }
                Err(error) => report.failed.push((task, error.to_string())),
            }
        }
        for run in &runs {
            self.run(run).await?;
        }
        report.differs.sort_by(|a, b| a.task.cmp(&b.task));
        report.failed.sort();
        report.unsigned.sort();
        report.bytes = self.bytes.load(Ordering::Relaxed);
        Ok(report)
    }

    fn note(&self) -> MutexGuard<'_, Note> {
        self.note.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These objects are not there, or not what their names say.
    pub fn replace(&self, missing: &HashSet<Digest>) -> Result<(), RemoteError> {
        let mut note = self.note();
        missing.iter().try_for_each(|digest| note.gone(*digest))?;
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner).extend(missing);
        Ok(())
    }

    /// Sends a result: its objects, then its record.
    pub async fn result(&self, action: &Action) -> Result<Pushed, RemoteError> {
        let Some(claim) = self.remote.policy.claim(action) else { return Ok(Pushed::Unsigned) };
        if self.note().record(&action.key) == Some(claim) {
            return Ok(Pushed::There);
        }
        let mut objects: Vec<Digest> = Vec::new();
        for (_, output) in action.outputs.iter().filter(|(_, output)| !output.is_absent()) {
            match self.store.objects().check(output)? {
                Held::Damaged => {
                    return Err(StoreError::DamagedObject { digest: output.digest.to_string() }.into());
                }
                Held::Sound | Held::Missing => objects.extend(self.store.closure([output])?),
            }
        }
        objects.sort_unstable();
        objects.dedup();
        let sent = objects.into_iter().map(|digest| self.object(digest, &action.task));
        futures::stream::iter(sent).buffer_unordered(OBJECTS).try_collect::<Vec<()>>().await?;
        let failed = |error: serde_json::Error| {
            self.remote.failed("write to")(TransportError::Other { message: error.to_string() })
        };
        let record = self.remote.policy.sign(action).map_err(failed)?;
        let pushed = self.record(&record).await?;
        if matches!(pushed, Pushed::New | Pushed::There) {
            self.note().add_record(action.key, claim)?;
        }
        Ok(pushed)
    }

    /// Sends an object, once.
    async fn object(&self, digest: Digest, task: &str) -> Result<(), RemoteError> {
        if self.note().has_object(&digest) {
            return Ok(());
        }
        let cell = {
            let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
            begun.entry(digest).or_default().clone()
        };
        cell.get_or_try_init(|| self.send(digest, task)).await.map(|_| ())?;
        Ok(self.note().object(digest)?)
    }

    async fn send(&self, digest: Digest, task: &str) -> Result<Sent, RemoteError> {
        let _slot = self.slots.acquire().await.map_err(|_| RemoteError::Interrupted)?;
        let replace = self.damaged.lock().unwrap_or_else(PoisonError::into_inner).contains(&digest);
        let way = Way { id: &self.format.id, replace, creates: self.format.records == Naming::ByKey };
        match upload::send(&self.remote, &self.store, digest, way).await {
            // It was collected here; it may be there.
            Err(RemoteError::Store(StoreError::MissingObject { .. })) if !replace => {
                let name = layout::object(&digest);
                let there = self.remote.transport.head(&name).await;
                match there.map_err(self.remote.failed_at("look at", &name))? {
                    Some(_) => Ok(Sent::There),
                    None => {
                        let (remote, task) = (self.remote.name.clone(), task.to_owned());
                        Err(RemoteError::NoObject { remote, task, digest })
                    }
                }
            }
            sent => {
                if let Ok(Sent::New(bytes)) = sent {
                    count(&self.bytes, bytes);
                }
                sent
            }
        }
    }

    /// Writes a record, unless there is one that counts.
    async fn record(&self, action: &Action) -> Result<Pushed, RemoteError> {
        self.mark.lock().await.renew(&self.remote).await?;
        let (remote, key) = (&self.remote, &action.key);
        let scope = remote.policy.trust.write_scope();
        let bytes = record::encode(action).map_err(|error| {
            remote.failed("write to")(TransportError::Other { message: error.to_string() })
        })?;
        let own = layout::record_of(scope, key, &content_of(action));
        if self.format.records == Naming::ByContent {
            remote.transport.replace(&own, &bytes).await.map_err(remote.failed_at("write", &own))?;
            return Ok(Pushed::New);
        }
        let name = layout::record(scope, key);
        loop {
            if remote.transport.create(&name, &bytes).await.map_err(remote.failed_at("write", &name))? {
                return Ok(Pushed::New);
            }
            let Some(read) = remote.record(&name, key).await? else { continue };
            return match read {
                Ok(there) if remote.policy.judge(&there).is_ok() => Ok(difference(&there, action)
                    .map_or(Pushed::There, |found| Pushed::Differs(Box::new(found)))),
                // What does not count must not keep out what does.
                _ => {
                    let new = remote
                        .transport
                        .create(&own, &bytes)
                        .await
                        .map_err(remote.failed_at("write", &own))?;
                    Ok(if new { Pushed::New } else { Pushed::There })
                }
            };
        }
    }

    /// Sends the record of a run and its manifest, without what tells of the machine. One that came from elsewhere unsigned stays here.
    pub async fn run(&self, run: &Run) -> Result<(), RemoteError> {
        let remote = &self.remote;
        if !layout::is_run(&run.id) {
            return Ok(());
        }
        let record = std::fs::read(&run.path).map_err(StoreError::io("read", &run.path))?;
        let (record, proof) = match runs::foreign(&self.store, &run.id)? {
            Some(Foreign { proof: None, .. }) => return Ok(()),
            Some(Foreign { proof, .. }) => (record, proof),
            None => {
                let record = Redaction::default().record(&record);
                let own = remote.policy.signer.as_deref();
                let proof = own.map(|signer| signer.sign_run(&run.id, &Digest::of(&record)));
                (record, proof)
            }
        };
        if let Some(manifest) = run.manifest
            && let Some(text) = self.store.manifests().text(&manifest)?
        {
            let name = layout::manifest(&manifest);
            remote.transport.create(&name, &text).await.map_err(remote.failed_at("write", &name))?;
        }
        let name = layout::run(&run.id);
        remote.transport.replace(&name, &record).await.map_err(remote.failed_at("write", &name))?;
        match proof {
            Some(proof) => {
                let proof = RunProof { record: Digest::of(&record), proof };
                remote.write_document(&layout::run_proof(&run.id), &proof).await
            }
            None => Ok(()),
        }
    }
}
