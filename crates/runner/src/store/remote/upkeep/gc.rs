//! `remote gc`: removes what no record names, and records that are too old. Marks and sweeps: never beside a push that began before, and
//! nothing that is younger than a grace time, by the server's own clock.
//!
//! A record goes before its objects. Whoever reads it at that moment finds an object missing, and executes the task.

use crate::store::digest::Digest;
use crate::store::remote::error::RemoteError;
use crate::store::remote::layout;
use crate::store::remote::layout::Entry;
use crate::store::remote::marker::{Cleaning, age, now_there};
use crate::store::remote::opened::Remote;
use crate::store::remote::transport::{Transport, interruptible};
use crate::store::remote::upkeep::survey::Survey;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What is to go.
#[derive(Debug, Clone)]
pub struct Options {
    /// Nothing younger goes.
    pub grace: Duration,
    /// Records that were written longer ago go, and records of runs.
    pub older_than: Option<Duration>,
    /// Only tell.
    pub dry_run: bool,
}

/// What went, or would go.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Swept {
    pub remote: String,
    pub dry_run: bool,
    /// How many.
    pub objects: usize,
    /// Of these objects.
    pub bytes: u64,
    /// How many records of results.
    pub records: usize,
    /// How many records of runs, and manifests.
    pub runs: usize,
    /// Objects and records that stay.
    pub left: usize,
    /// What no record names, but is younger than the grace time.
    pub young: usize,
    /// Whether Ctrl-C ended it before all of it went.
    #[serde(skip)]
    pub interrupted: bool,
}

/// How many things are removed, before Ctrl-C is looked at again: as many as S3 takes at once.
const TOGETHER: usize = 1000;

#[derive(Clone, Copy)]
enum Kind {
    Record,
    Run,
    Object,
}

impl Swept {
    fn add(&mut self, kind: Kind, files: &[&Entry]) {
        match kind {
            Kind::Record => self.records += files.len(),
            Kind::Run => self.runs += files.len(),
            Kind::Object => {
                self.objects += files.len();
                self.bytes += files.iter().map(|file| file.size).sum::<u64>();
            }
        }
        if !matches!(kind, Kind::Run) {
            self.left -= files.len();
        }
    }
}

/// Removes what nobody needs, until Ctrl-C.
pub async fn collect(
    remote: &Remote,
    options: &Options,
    interrupts: &AtomicUsize,
) -> Result<Swept, RemoteError> {
    if !remote.place.is_writable() {
        return Err(RemoteError::ReadOnly { remote: remote.name.clone() });
    }
    let Some(mut format) = remote.format().await? else {
        return Err(RemoteError::Empty { remote: remote.name.clone() });
    };
    if options.dry_run {
        return sweep(remote, options, now_there(remote).await?, interrupts).await;
    }
    let cleaning = Cleaning::begin(remote).await?;
    // Before anything goes: whatever others noted of what is there does not count any more.
    format.sweeps += 1;
    let swept = match remote.write_document(layout::FORMAT, &format).await {
        Ok(()) => sweep(remote, options, cleaning.now, interrupts).await,
        Err(error) => Err(error),
    };
    let ended = cleaning.end(remote).await;
    if let Transport::Folder(folder) = &remote.transport {
        folder.sweep()?;
    }
    swept.and_then(|swept| ended.map(|()| swept))
}

async fn sweep(
    remote: &Remote,
    options: &Options,
    now: i64,
    interrupts: &AtomicUsize,
) -> Result<Swept, RemoteError> {
    let mut swept = Swept {
        remote: remote.name.clone(),
        dry_run: options.dry_run,
        objects: 0,
        bytes: 0,
        records: 0,
        runs: 0,
        left: 0,
        young: 0,
        interrupted: false,
    };
    let Some(survey) = interruptible((interrupts, 1), Survey::of(remote), || {}).await else {
        swept.interrupted = true;
        return Ok(swept);
    };
    let survey = survey?;
    swept.left = survey.objects.len() + survey.records.len();
    let old = |entry: &Entry| {
        let age = age(entry, now);
        age >= options.grace && options.older_than.is_some_and(|oldest| age >= oldest)
    };
    let mut needed: BTreeSet<Digest> = BTreeSet::new();
    let mut records = Vec::new();
    for found in &survey.records {
        match &found.record {
            _ if old(&found.entry) => records.push(&found.entry),
            Ok(record) => needed.extend(survey.objects_of(record)),
            // What it names is not known.
            Err(fault) if fault.is_newer() => {
                return Err(RemoteError::Newer {
                    remote: remote.name.clone(),
                    name: found.entry.name.clone(),
                });
            }
            Err(_) => {}
        }
    }
    let mut runs = Vec::new();
    for folder in [layout::RUNS, layout::MANIFESTS] {
        let there = remote.transport.list(folder).await.map_err(remote.failed_at("list", folder))?;
        runs.extend(there.into_iter().filter(old));
    }
    let mut objects = Vec::new();
    for (_, entry) in survey.objects.iter().filter(|(digest, _)| !needed.contains(*digest)) {
        if age(entry, now) < options.grace {
            swept.young += 1;
        } else {
            objects.push(entry);
        }
    }
    let runs = runs.iter().collect();
    for (kind, files) in [(Kind::Record, records), (Kind::Run, runs), (Kind::Object, objects)] {
        for files in files.chunks(TOGETHER) {
            if !options.dry_run {
                if interrupts.load(Ordering::Relaxed) > 0 {
                    swept.interrupted = true;
                    return Ok(swept);
                }
                let names = files.iter().map(|file| file.name.clone()).collect();
                remote.transport.delete(names).await.map_err(remote.failed("clean"))?;
            }
            swept.add(kind, files);
        }
    }
    Ok(swept)
}
