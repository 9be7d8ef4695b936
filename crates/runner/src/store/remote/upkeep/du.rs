//! `remote du`: what takes the space.

use crate::store::digest::Digest;
use crate::store::remote::error::RemoteError;
use crate::store::remote::layout;
use crate::store::remote::opened::Remote;
use crate::store::remote::upkeep::survey::Survey;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What belongs to a stage.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Row {
    pub scope: String,
    pub stage: String,
    /// How many results.
    pub records: usize,
    /// What they consist of, each object once.
    pub objects: usize,
    pub bytes: u64,
}

/// The space that a remote store takes.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Space {
    pub remote: String,
    /// In the order of their scopes and stages.
    pub rows: Vec<Row>,
    /// How many there are.
    pub records: usize,
    pub record_bytes: u64,
    /// How many there are.
    pub objects: usize,
    /// Each object once.
    pub object_bytes: u64,
    /// Of objects that no record names.
    pub unreachable: u64,
    /// Of records of runs and their manifests.
    pub runs: u64,
}

/// Measures it.
pub async fn space(remote: &Remote) -> Result<Space, RemoteError> {
    let survey = Survey::of(remote).await?;
    let mut groups: BTreeMap<(String, String), (usize, BTreeSet<Digest>)> = BTreeMap::new();
    let mut reached: BTreeSet<Digest> = BTreeSet::new();
    for found in &survey.records {
        let Ok(record) = &found.record else { continue };
        let scope = layout::key_of(&found.entry.name).map_or("", |(scope, _)| scope).to_owned();
        let stage = record.task.split('[').next().unwrap_or_default().to_owned();
        let group = groups.entry((scope, stage)).or_default();
        group.0 += 1;
        let objects = survey.objects_of(record);
        reached.extend(&objects);
        group.1.extend(objects);
    }
    let size = |digest: &Digest| survey.objects.get(digest).map_or(0, |entry| entry.size);
    let rows = groups.into_iter().map(|((scope, stage), (records, objects))| Row {
        scope,
        stage,
        records,
        objects: objects.len(),
        bytes: objects.iter().map(size).sum(),
    });
    let mut runs = 0;
    for folder in [layout::RUNS, layout::MANIFESTS] {
        let there = remote.transport.list(folder).await.map_err(remote.failed_at("list", folder))?;
        runs += there.iter().map(|entry| entry.size).sum::<u64>();
    }
    let unreached = survey.objects.iter().filter(|(digest, _)| !reached.contains(*digest));
    Ok(Space {
        remote: remote.name.clone(),
        rows: rows.collect(),
        records: survey.records.len(),
        record_bytes: survey.records.iter().map(|found| found.entry.size).sum(),
        objects: survey.objects.len(),
        object_bytes: survey.objects.values().map(|entry| entry.size).sum(),
        unreachable: unreached.map(|(_, entry)| entry.size).sum(),
        runs,
    })
}
