//! A remote store, opened: what it says of itself, and the records in it.

use crate::store::actions::Action;
use crate::store::digest::Digest;
use crate::store::files;
use crate::store::proof::Origin;
use crate::store::remote::elsewhere::{Difference, Machine};
use crate::store::remote::error::{RemoteError, TransportError};
use crate::store::remote::layout;
use crate::store::remote::place::Place;
use crate::store::remote::record::{self, NoRecord, Policy, content_of};
use crate::store::remote::server::Counters;
use crate::store::remote::transport::{BRIEF, PATIENT, Transport};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What `format.json` says that it is.
const KIND: &str = "onsager remote store";
const VERSION: u64 = 1;
/// A larger document is none of ours.
const DOCUMENT: u64 = 1 << 20;
/// A larger record is none: it would list millions of inputs.
const RECORD: u64 = 64 << 20;
/// How many records of one key are read, where several are there.
const RIVALS: usize = 16;
/// How often a record is read again whose bytes are wrong: they may have been changed on the way.
const READS: usize = 3;

/// How records are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Naming {
    /// By their key alone: the server lets only the first writer of a name win.
    ByKey,
    /// By their key and outputs: the server knows no conditional writes, so nobody is to write over another's record.
    ByContent,
}

/// `format.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Format {
    pub format: String,
    pub version: u64,
    /// Tells this store apart from an earlier one at the same place.
    pub id: String,
    pub records: Naming,
    /// How often something was removed: what is noted of the time before may be wrong.
    #[serde(default)]
    pub sweeps: u64,
}

impl Format {
    pub fn new(records: Naming) -> Format {
        let id = format!("{}{}", files::random(), files::random());
        Format { format: KIND.to_owned(), version: VERSION, id, records, sweeps: 0 }
    }
}

/// A place where results are shared.
#[derive(Clone)]
pub struct Remote {
    pub name: String,
    pub place: Place,
    pub transport: Transport,
    pub counters: Arc<Counters>,
    pub policy: Policy,
}

/// What is known there of a key.
#[derive(Debug, Default)]
pub struct Known {
    /// The record that counts, with where it comes from.
    pub record: Option<Action>,
    /// Why others do not count: the task and the reason.
    pub refused: Vec<(String, String)>,
    pub difference: Option<Difference>,
}

impl Remote {
    /// Opens a place; nothing is asked of it yet.
    pub fn open(name: &str, place: &Place, policy: Policy) -> Result<Remote, RemoteError> {
        place.check().map_err(|fault| RemoteError::Place { remote: name.to_owned(), fault })?;
        let counters = Arc::new(Counters::default());
        let opened = Transport::open(place, &counters);
        let failed = |source| RemoteError::Transport { remote: name.to_owned(), action: "open", source };
        let transport = opened.map_err(failed)?;
        Ok(Remote { name: name.to_owned(), place: place.clone(), transport, counters, policy })
    }

    /// For `map_err`: what was being done to the whole.
    pub fn failed(&self, action: &'static str) -> impl FnOnce(TransportError) -> RemoteError {
        let remote = self.name.clone();
        move |source| RemoteError::Transport { remote, action, source }
    }

    /// For `map_err`: what was being done to something there.
    pub fn failed_at(&self, action: &'static str, name: &str) -> impl FnOnce(TransportError) -> RemoteError {
        let (remote, name) = (self.name.clone(), name.to_owned());
        move |source| RemoteError::Object { remote, action, name, source }
    }

    /// What it says of itself; nothing where nobody has written there yet. Whether it can be reached at all shows soon.
    pub async fn format(&self) -> Result<Option<Format>, RemoteError> {
        let read = self.transport.get(layout::FORMAT, DOCUMENT, BRIEF).await.map_err(self.failed("reach"))?;
        let Some(bytes) = read else { return Ok(None) };
        let no = |message: String| RemoteError::NotARemote { remote: self.name.clone(), message };
        let format: Format = serde_json::from_slice(&bytes).map_err(|error| no(error.to_string()))?;
        if format.format != KIND {
            return Err(no("its `format` is another".to_owned()));
        }
        if format.records == Naming::ByContent && !self.place.is_writable() {
            return Err(RemoteError::NotListed { remote: self.name.clone() });
        }
        if format.version != VERSION {
            return Err(RemoteError::Version { remote: self.name.clone(), version: format.version });
        }
        Ok(Some(format))
    }

    /// Writes a document of ours.
    pub async fn write_document(&self, name: &str, document: &impl Serialize) -> Result<(), RemoteError> {
        let bytes = self.document(document)?;
        self.transport.replace(name, &bytes).await.map_err(self.failed_at("write", name))
    }

    /// The bytes of a document of ours.
    pub fn document(&self, document: &impl Serialize) -> Result<Vec<u8>, RemoteError> {
        let mut bytes = serde_json::to_vec_pretty(document)
            .map_err(|error| self.failed("write to")(TransportError::Other { message: error.to_string() }))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads a document of ours; one that cannot be read counts as none.
    pub async fn read_document<T: serde::de::DeserializeOwned>(
        &self,
        name: &str,
    ) -> Result<Option<T>, RemoteError> {
        let read = self.transport.get(name, DOCUMENT, PATIENT).await.map_err(self.failed_at("read", name))?;
        Ok(read.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    /// Reads the record of this name; none where there is nothing.
    pub async fn record(
        &self,
        name: &str,
        key: &Digest,
    ) -> Result<Option<Result<Action, NoRecord>>, RemoteError> {
        let mut read = None;
        for _ in 0..READS {
            let bytes =
                self.transport.get(name, RECORD, PATIENT).await.map_err(self.failed_at("read", name))?;
            let Some(bytes) = bytes else { return Ok(None) };
            match record::decode(&bytes, key) {
                Err(NoRecord::Sum) => read = Some(Err(NoRecord::Sum)),
                decoded => return Ok(Some(decoded)),
            }
        }
        Ok(read)
    }

    /// What is known of a key, in the scopes that are read here: in the first of them that has a record that counts.
    pub async fn known(&self, format: &Format, key: &Digest) -> Result<Known, RemoteError> {
        let mut known = Known::default();
        for scope in self.policy.trust.read_scopes() {
            self.known_in(scope, format, key, &mut known).await?;
            if known.record.is_some() {
                break;
            }
        }
        Ok(known)
    }

    async fn known_in(
        &self,
        scope: &str,
        format: &Format,
        key: &Digest,
        known: &mut Known,
    ) -> Result<(), RemoteError> {
        match self.record(&layout::record(scope, key), key).await?.map(|read| self.counts(read)) {
            Some(Ok(record)) => {
                known.record = Some(record);
                return Ok(());
            }
            Some(Err(why)) => known.refused.push(why),
            None if format.records == Naming::ByKey => return Ok(()),
            None => {}
        }
        // A web server cannot list.
        if !self.place.is_writable() {
            return Ok(());
        }
        // Several may be there: where the server knows no conditional writes, and where the first that came does not count.
        let folder = layout::records(scope, key);
        let mut entries = self.transport.list(&folder).await.map_err(self.failed_at("list", &folder))?;
        entries.sort_by(|a, b| (a.modified, &a.name).cmp(&(b.modified, &b.name)));
        for entry in entries.into_iter().take(RIVALS) {
            let Some(read) = self.record(&entry.name, key).await? else { continue };
            match (self.counts(read), &known.record) {
                (Err(why), _) => known.refused.push(why),
                (Ok(record), None) => known.record = Some(record),
                (Ok(other), Some(first)) => known.difference = difference(first, &other),
            }
        }
        Ok(())
    }

    /// Whether a record counts; else its task and why not.
    fn counts(&self, read: Result<Action, NoRecord>) -> Result<Action, (String, String)> {
        let mut action = read.map_err(|fault| (String::new(), fault.to_string()))?;
        match self.policy.judge(&action) {
            Ok(signer) => {
                action.origin = Some(Origin { from: self.name.clone(), signer });
                Ok(action)
            }
            Err(refusal) => Err((action.task, refusal.to_string())),
        }
    }
}

/// Where two records of one key differ; `kept` stays.
pub fn difference(kept: &Action, other: &Action) -> Option<Difference> {
    if content_of(kept) == content_of(other) {
        return None;
    }
    let of = |action: &Action, name: &str| {
        action.outputs.iter().find(|(own, _)| own == name).map(|(_, content)| *content)
    };
    let mut outputs: Vec<String> = Vec::new();
    for (name, _) in kept.outputs.iter().chain(&other.outputs) {
        if of(kept, name) != of(other, name) && !outputs.contains(name) {
            outputs.push(name.clone());
        }
    }
    let machine = |action: &Action| Machine { host: action.host.clone(), run: action.run.clone() };
    let (task, key) = (kept.task.clone(), kept.key);
    Some(Difference { task, key, outputs, kept: machine(kept), other: machine(other) })
}
