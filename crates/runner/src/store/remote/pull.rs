//! The results of a run, by its name: its record, those of its results, and their bytes.

use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::files;
use crate::store::manifests;
use crate::store::proof::{Origin, Proof};
use crate::store::remote::download::Fetcher;
use crate::store::remote::error::RemoteError;
use crate::store::remote::layout;
use crate::store::remote::opened::{Format, Remote};
use crate::store::remote::transport::PATIENT;
use crate::store::runs::{self, Foreign};
use crate::trust::judge::judge_proof;
use crate::trust::statement::run_statement;
use futures::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A larger record of a run, or a larger manifest, is none.
const LARGEST: u64 = 256 << 20;
/// How many results are on their way at once.
const RESULTS: usize = 16;

/// Who vouches for the record of a run: `runs/<id>.proof.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunProof {
    /// The SHA-256 of the record, which names its manifest.
    pub record: Digest,
    pub proof: Proof,
}

/// What was taken of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// The tasks whose result came from there.
    pub found: Vec<String>,
    /// How many results are known here now.
    pub known: usize,
    /// The tasks that have no result, or not all of its bytes.
    pub missing: Vec<String>,
    /// The task of the first record that does not count, and why.
    pub refused: Option<(String, String)>,
}

impl Report {
    /// With another one.
    pub fn add(&mut self, other: Report) {
        self.found.extend(other.found);
        self.known += other.known;
        self.missing.extend(other.missing);
        self.refused = self.refused.take().or(other.refused);
    }
}

/// What became of a result.
enum Came {
    Here,
    Found,
    Missing(Option<(String, String)>),
}

/// The run that was sent there last.
pub async fn latest(remote: &Remote) -> Result<Option<String>, RemoteError> {
    let there = remote.transport.list(layout::RUNS).await.map_err(remote.failed_at("list", layout::RUNS))?;
    let latest = there.iter().filter_map(|entry| Some((entry.modified, layout::run_of(&entry.name)?))).max();
    Ok(latest.map(|(_, run)| run.to_owned()))
}

/// Takes a run. Its record says which results those are, so it must count as they must.
pub async fn run(remote: &Remote, store: &Store, id: &str) -> Result<Report, RemoteError> {
    let no_run = || RemoteError::NoRun { remote: remote.name.clone(), run: id.to_owned() };
    let format = remote.format().await?.filter(|_| layout::is_run(id)).ok_or_else(no_run)?;
    let bytes = read(remote, &layout::run(id)).await?.ok_or_else(no_run)?;
    let refused =
        |message: String| RemoteError::Run { remote: remote.name.clone(), run: id.to_owned(), message };
    let record = Digest::of(&bytes);
    let signed: Option<RunProof> = remote.read_document(&layout::run_proof(id)).await?;
    let proof = signed.map(|signed| signed.proof);
    let trust = &remote.policy.trust;
    let judged =
        judge_proof(trust, proof.as_ref(), |proof| Ok(run_statement(id, &record, &proof.scope, proof.time)));
    let signer = match judged {
        Err(_) if trust.accepts_unsigned() => None,
        judged => Some(judged.map_err(|refusal| refused(refusal.to_string()))?),
    };
    runs::check(&bytes, id).map_err(refused)?;
    let _gate = store.enter_gate()?;
    if let Some(digest) = runs::manifest_of(&bytes)
        && let Some(manifest) = read(remote, &layout::manifest(&digest)).await?
        && Digest::of(&manifest) == digest
        && manifests::is_manifest(&manifest)
    {
        store.manifests().keep(&manifest)?;
    }
    // Beside the others it is seen as soon as it has its name: what tells where it came from is there before.
    let target = store.record(id);
    if !target.exists() {
        let origin = Origin { from: remote.name.clone(), signer };
        runs::note_foreign(store, id, &Foreign { origin, proof })?;
        files::write_atomic(&target, &bytes)?;
    }
    let results = runs::all(store)?.into_iter().find(|run| run.id == id).ok_or_else(no_run)?.results;
    take(remote, store, &format, &results).await
}

/// Takes these results: tasks with their keys.
async fn take(
    remote: &Remote,
    store: &Store,
    format: &Format,
    results: &BTreeMap<String, Digest>,
) -> Result<Report, RemoteError> {
    let fetcher = &Fetcher::new(remote.clone(), store.clone());
    let came = futures::stream::iter(results).map(|(task, key)| async move {
        Ok::<_, RemoteError>((task.clone(), result(remote, store, format, fetcher, key).await?))
    });
    let came: Vec<(String, Came)> = came.buffered(RESULTS).try_collect().await?;
    let mut report = Report::default();
    for (task, came) in came {
        match came {
            Came::Here => {}
            Came::Found => report.found.push(task),
            Came::Missing(refused) => {
                report.refused = report.refused.take().or(refused);
                report.missing.push(task);
            }
        }
    }
    report.known = results.len() - report.missing.len();
    Ok(report)
}

async fn result(
    remote: &Remote,
    store: &Store,
    format: &Format,
    fetcher: &Fetcher,
    key: &Digest,
) -> Result<Came, RemoteError> {
    let own = store.actions().get(key)?;
    let is_own = own.is_some();
    let action = match own {
        Some(action) => action,
        None => {
            let known = remote.known(format, key).await?;
            let Some(action) = known.record else {
                return Ok(Came::Missing(known.refused.into_iter().next()));
            };
            store.actions().put(&action)?;
            action
        }
    };
    for (_, content) in &action.outputs {
        if !fetcher.content(content).await? {
            return Ok(Came::Missing(None));
        }
    }
    Ok(if is_own { Came::Here } else { Came::Found })
}

async fn read(remote: &Remote, name: &str) -> Result<Option<Vec<u8>>, RemoteError> {
    remote.transport.get(name, LARGEST, PATIENT).await.map_err(remote.failed_at("read", name))
}
