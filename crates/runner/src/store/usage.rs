//! `store du`: what takes the space.

use super::{Store, runs};
use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
use crate::store::gc::{self, What};
use crate::store::inventory::owners;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How finely it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Pipeline,
    Stage,
    Task,
}

/// What belongs to a pipeline, a stage or a task.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Row {
    pub pipeline: String,
    /// Missing in a row of a pipeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Missing in a row of a pipeline or a stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The objects that its results consist of, those of earlier runs too, each once.
    pub objects: usize,
    pub bytes: u64,
    /// Of these, what other rows have as well.
    pub shared: u64,
    /// Its copies in the view.
    pub copies: u64,
}

/// The space that a store takes, in bytes.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Usage {
    pub rows: Vec<Row>,
    /// How many there are.
    pub objects: usize,
    /// Each object once.
    pub object_bytes: u64,
    /// The outputs in the views.
    pub copies: u64,
    pub checkpoints: u64,
    /// Files that were fetched from elsewhere.
    pub fetched: u64,
    /// Environments of commands.
    pub environments: u64,
    /// Action records.
    pub records: u64,
    /// Records and logs of runs.
    pub logs: u64,
    /// Working folders, damaged objects, indexes and cached graphs.
    pub other: u64,
    /// What `store gc` would free.
    pub unreachable: u64,
}

type Group = (String, Option<String>, Option<String>);

/// Measures the store, with rows for each pipeline, stage or task.
pub fn usage(store: &Store, level: Level) -> Result<Usage, StoreError> {
    let runs = runs::all(store)?;
    let objects = store.all_objects()?;
    let sizes: HashMap<Digest, u64> = objects.iter().map(|object| (object.digest, object.size)).collect();
    let actions = store.all_actions()?.actions;
    let owners = owners(store, &runs, &actions)?;
    let group = |pipeline: &str, task: &str| -> Group {
        let stage = task.split('[').next().unwrap_or(task).to_owned();
        match level {
            Level::Pipeline => (pipeline.to_owned(), None, None),
            Level::Stage => (pipeline.to_owned(), Some(stage), None),
            Level::Task => (pipeline.to_owned(), Some(stage), Some(task.to_owned())),
        }
    };
    let mut groups: BTreeMap<Group, BTreeSet<Digest>> = BTreeMap::new();
    for action in &actions {
        let digests = store.closure(action.outputs.iter().map(|(_, content)| content))?;
        for (pipeline, task) in owners.get(&action.key).into_iter().flatten() {
            let of = groups.entry(group(pipeline, task)).or_default();
            of.extend(digests.iter().filter(|digest| sizes.contains_key(digest)));
        }
    }
    let mut copies: BTreeMap<Group, u64> = BTreeMap::new();
    for pipeline in store.pipelines()? {
        for shown in store.view(&pipeline)?.all() {
            let of = copies.entry(group(&pipeline, &shown.task)).or_default();
            *of += shown
                .outputs
                .iter()
                .map(|output| files::measure(&store.artifacts().join(&output.path)).0)
                .sum::<u64>();
            groups.entry(group(&pipeline, &shown.task)).or_default();
        }
    }
    let mut times: HashMap<Digest, usize> = HashMap::new();
    for digest in groups.values().flatten() {
        *times.entry(*digest).or_default() += 1;
    }
    let bytes = |digests: &mut dyn Iterator<Item = &Digest>| -> u64 {
        digests.filter_map(|digest| sizes.get(digest)).sum()
    };
    let rows = groups.iter().map(|(group, digests)| Row {
        pipeline: group.0.clone(),
        stage: group.1.clone(),
        task: group.2.clone(),
        objects: digests.len(),
        bytes: bytes(&mut digests.iter()),
        shared: bytes(&mut digests.iter().filter(|digest| times.get(digest).is_some_and(|times| *times > 1))),
        copies: copies.get(group).copied().unwrap_or(0),
    });
    let rows: Vec<Row> = rows.collect();
    let part = |name: &str| files::measure(&store.root.join(name)).0;
    let (checkpoints, records, logs) = (part("checkpoints"), part("actions"), part("runs"));
    let (fetched, environments) = (part("remote"), part("environments"));
    let object_bytes = objects.iter().map(|object| object.size).sum();
    let named = part("objects") + checkpoints + fetched + environments + records + logs;
    let would = gc::collect(store, &gc::Options { dry_run: true, ..Default::default() })?;
    let frees = |what| matches!(what, What::Object | What::Fetched | What::Environment);
    let unreachable = would.items.iter().filter(|item| frees(item.what)).map(|item| item.bytes).sum();
    Ok(Usage {
        copies: copies.values().sum(),
        rows,
        objects: objects.len(),
        object_bytes,
        checkpoints,
        fetched,
        environments,
        records,
        logs,
        other: files::measure(&store.root).0.saturating_sub(named),
        unreachable,
    })
}
