//! `store gc`: drops objects, and what dead runs left behind. Action records stay: a collected result is still known, so a run
//! that needs only its digests goes on without it.
//!
//! **Last use.** An object was used last when the latest run began that had a result with it, whether executed or cached, or when it
//! came into the store. Both are known from the runs' records and the file's ctime, so using a result writes nothing.
//!
//! **Beside a running run.** Objects are removed while the gate is closed (see [`crate::store::gate`]), that is, while no run decides
//! what is cached and no worker moves outputs in. At such a moment everything that a run relies on is one of these, and kept:
//!
//! - the results that it found or made so far, and so every input of its running tasks: they are in the index of its pipeline's view;
//! - outputs of running tasks that are already objects: their ctime is later than the run's start, also where the same bytes were
//!   there before (they are renewed);
//! - what another run made since `gc` began to look: its ctime is later still.
//!
//! Fetched files and environments stand in no view: beside a run they all stay.
//!
//! A result that it would have found cached later is not one of these: it is made again, as after any `gc`.

use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
use crate::store::inventory::{Maker, Stored};
use crate::store::names;
use crate::store::objects::Content;
use crate::store::runs::{self, Run};
use crate::store::supplies::{self, Supply};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use walkdir::WalkDir;

/// How many runs of each pipeline keep their results when nothing else is said.
pub const KEEP_RUNS: usize = 10;
/// How long checkpoints that nobody waits for and cached graphs stay.
const STALE: Duration = Duration::from_secs(30 * 86_400);
/// How long a temporary file may be written to.
const WRITING: Duration = Duration::from_secs(86_400);
/// How far the clock of a file system may lag behind, in nanoseconds.
const LAG: i64 = 20_000_000;
const SECOND: i64 = 1_000_000_000;

/// What is to go.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Objects, fetched files and environments whose last use is longer ago.
    pub older_than: Option<Duration>,
    /// The least recently used of these until the rest is no larger than this.
    pub max_size: Option<u64>,
    /// The results of this many latest runs of each pipeline stay in any case.
    pub keep_runs: Option<usize>,
    /// The records and logs of older runs go too.
    pub logs: bool,
    /// Only tell.
    pub dry_run: bool,
}

/// Something that goes.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Item {
    pub what: What,
    #[serde(serialize_with = "names::serialize")]
    #[schemars(with = "String")]
    pub path: PathBuf,
    pub bytes: u64,
    /// Unix seconds.
    pub last_use: i64,
    /// Of an object: the tasks that made it.
    pub made_by: Vec<Maker>,
}

/// What kind of thing goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// Content that a result consists of, or did.
    Object,
    /// A file that was fetched from elsewhere.
    Fetched,
    /// An environment of commands.
    Environment,
    /// Those of one key.
    Checkpoints,
    /// The curves of one key, which no record of a run names any more.
    Metrics,
    /// The working folder of a dead run, or a file that was never finished.
    Leftover,
    /// An object that `verify` found damaged.
    Damaged,
    /// A cached graph.
    Graph,
    /// The record and the logs of a run.
    Log,
}

/// What went, or would go.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Collected {
    pub items: Vec<Item>,
    pub objects_left: usize,
    pub bytes_left: u64,
    /// Runs that go on just now.
    pub running: Vec<String>,
}

/// Collects.
pub fn collect(store: &Store, options: &Options) -> Result<Collected, StoreError> {
    let _tools = if options.dry_run { None } else { Some(store.lock_tools()?) };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let runs = runs::all(store)?;
    let objects = store.all_objects()?;
    let candidates = candidates(store, options, &runs, &objects, now)?;
    let mut items = Vec::new();
    let running;
    {
        let _gate = if options.dry_run { None } else { Some(store.close_gate()?) };
        // Read again: a run may have begun meanwhile. One without a record has not done anything yet.
        let going: Vec<Run> = runs::all(store)?.into_iter().filter(|run| store.is_going(&run.id)).collect();
        let mut needed = HashSet::new();
        let mut since = now.as_nanos() as i64;
        for run in &going {
            needed.extend(shown(store, &run.pipeline)?);
            since = since.min(run.started.saturating_mul(SECOND));
        }
        let mut dropped = Vec::new();
        for (digest, item) in candidates {
            let Some(digest) = digest else {
                // No record tells what a running task was given; one that begins later finds the gate closed.
                items.extend(going.is_empty().then_some(item));
                continue;
            };
            let Ok(data) = fs::symlink_metadata(&item.path) else { continue };
            if data.ctime() * SECOND + data.ctime_nsec() < since - LAG && !needed.contains(&digest) {
                dropped.push(digest);
                items.push(item);
            }
        }
        if !options.dry_run {
            store.note_collected(&dropped)?;
            for item in &items {
                match item.what {
                    What::Fetched | What::Environment => Supply::remove(&item.path)?,
                    _ => files::remove(&item.path)?,
                }
            }
        }
        running = going.into_iter().map(|run| run.id).collect();
    }
    let gone = items.iter().filter(|item| item.what == What::Object);
    let bytes_left = objects.iter().map(|object| object.size).sum::<u64>()
        - gone.clone().map(|item| item.bytes).sum::<u64>();
    let objects_left = objects.len() - gone.count();
    let rest = rest(store, options, &runs, now)?;
    if !options.dry_run {
        let known = store
            .all_actions()?
            .actions
            .iter()
            .flat_map(|action| action.inputs().collect::<Vec<_>>())
            .collect();
        store.lists().retain(&known)?;
        rest.iter().try_for_each(|item| remove(store, item))?;
        store.locks().sweep()?;
    }
    items.extend(rest);
    Ok(Collected { items, objects_left, bytes_left, running })
}

/// The objects of everything that a pipeline's view shows.
fn shown(store: &Store, pipeline: &str) -> Result<HashSet<Digest>, StoreError> {
    let view = store.view(pipeline)?;
    let contents: Vec<Content> =
        view.all().flat_map(|shown| &shown.outputs).map(|output| output.content).collect();
    Ok(store.closure(&contents)?.into_iter().collect())
}

/// For each pipeline its latest runs.
fn latest(runs: &[Run], count: usize) -> Vec<&Run> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let newest_first = runs.iter().rev().filter(|run| {
        let seen = seen.entry(&run.pipeline).or_default();
        *seen += 1;
        *seen <= count
    });
    newest_first.collect()
}

/// What is known of an object.
#[derive(Default)]
struct Use {
    last: i64,
    made_by: BTreeSet<Maker>,
    /// A run or a view that counts stands on it.
    kept: bool,
}

/// The objects that are to go, and what tasks are given besides, the least recently used first; the others have no digest here.
fn candidates(
    store: &Store,
    options: &Options,
    runs: &[Run],
    objects: &[Stored],
    now: Duration,
) -> Result<Vec<(Option<Digest>, Item)>, StoreError> {
    let by_reach = options.older_than.is_none() && options.max_size.is_none();
    let keep_runs = options.keep_runs.unwrap_or(if by_reach { KEEP_RUNS } else { 0 });
    let kept: HashSet<Digest> =
        latest(runs, keep_runs).iter().flat_map(|run| run.results.values().copied()).collect();
    let mut last_run: HashMap<Digest, i64> = HashMap::new();
    for run in runs {
        for key in run.results.values() {
            last_run.insert(*key, run.started);
        }
    }
    let mut supplies: Vec<(Supply, Use)> =
        supplies::all(store)?.into_iter().map(|supply| (supply, Use::default())).collect();
    let mut shown_keys = HashSet::new();
    if by_reach && !supplies.is_empty() {
        for pipeline in store.pipelines()? {
            shown_keys.extend(store.view(&pipeline)?.all().map(|shown| shown.key));
        }
    }
    let mut uses: HashMap<Digest, Use> = HashMap::new();
    for action in store.all_actions()?.actions {
        for (supply, of) in &mut supplies {
            if action.inputs().any(|input| supply.is(&input)) {
                of.last = of.last.max(last_run.get(&action.key).copied().unwrap_or(0));
                of.kept |= kept.contains(&action.key) || shown_keys.contains(&action.key);
            }
        }
        for digest in store.closure(action.outputs.iter().map(|(_, content)| content))? {
            let of = uses.entry(digest).or_default();
            of.last = of.last.max(last_run.get(&action.key).copied().unwrap_or(0));
            of.made_by.insert(Maker { task: action.task.clone(), run: action.run.clone() });
            of.kept |= kept.contains(&action.key);
        }
    }
    if by_reach {
        for pipeline in store.pipelines()? {
            for digest in shown(store, &pipeline)? {
                uses.entry(digest).or_default().kept = true;
            }
        }
    }
    let mut free: Vec<(Option<Digest>, Item)> = Vec::new();
    let mut total: u64 = objects.iter().map(|object| object.size).sum();
    for (supply, of) in supplies {
        let what = if supply.environment { What::Environment } else { What::Fetched };
        let bytes = files::measure(&supply.path).0;
        total += bytes;
        if !of.kept {
            let last_use = of.last.max(supply.changed);
            free.push((None, Item { what, path: supply.path, bytes, last_use, made_by: Vec::new() }));
        }
    }
    for object in objects {
        let of = uses.remove(&object.digest).unwrap_or_default();
        if !of.kept {
            let item = Item {
                what: What::Object,
                path: object.path.clone(),
                bytes: object.size,
                last_use: of.last.max(object.changed),
                made_by: of.made_by.into_iter().collect(),
            };
            free.push((Some(object.digest), item));
        }
    }
    free.sort_by(|(a, one), (b, other)| (one.last_use, a, &one.path).cmp(&(other.last_use, b, &other.path)));
    if by_reach {
        return Ok(free);
    }
    let oldest = options.older_than.map(|age| now.saturating_sub(age).as_secs() as i64);
    // In the order of their last use, so what is too old comes before what is too much.
    free.retain(|(_, item)| {
        let goes = oldest.is_some_and(|oldest| item.last_use < oldest)
            || options.max_size.is_some_and(|largest| total > largest);
        if goes {
            total -= item.bytes;
        }
        goes
    });
    Ok(free)
}

/// What dead runs left, and what only saves time.
fn rest(store: &Store, options: &Options, runs: &[Run], now: Duration) -> Result<Vec<Item>, StoreError> {
    let before = |age: Duration| now.saturating_sub(age).as_secs() as i64;
    let stale = before(options.older_than.unwrap_or(STALE));
    let mut items = Vec::new();
    let mut add = |what, path: PathBuf| {
        let (bytes, last_use) = files::measure(&path);
        items.push(Item { what, path, bytes, last_use, made_by: Vec::new() });
    };
    let recent = latest(runs, options.keep_runs.unwrap_or(KEEP_RUNS));
    let wanted: HashSet<Digest> = recent.iter().flat_map(|run| run.attempted.iter().copied()).collect();
    for path in files::list(&store.root.join("checkpoints"))? {
        let Some(key) = name(&path).parse::<Digest>().ok() else { continue };
        let finished = store.actions().get(&key)?.is_some();
        if !store.is_locked(&key) && (finished || (files::measure(&path).1 < stale && !wanted.contains(&key)))
        {
            add(What::Checkpoints, path);
        }
    }
    let old = old_runs(store, options, runs, now);
    let named: HashSet<Digest> = runs
        .iter()
        .filter(|run| !old.contains(run.id.as_str()))
        .flat_map(|run| run.results.values().chain(&run.attempted).copied())
        .collect();
    for path in files::list(&store.metrics())? {
        let key = name(&path).strip_suffix(".jsonl").and_then(|key| key.parse().ok());
        // A run may be about to name it in its record; and what is unfinished is a temporary file.
        let unnamed = key.is_none_or(|key| !named.contains(&key) && !store.is_locked(&key));
        if unnamed && files::measure(&path).1 < before(WRITING) {
            add(What::Metrics, path);
        }
    }
    for path in files::list(&store.work())? {
        if !store.is_going(&name(&path)) {
            add(What::Leftover, path);
        }
    }
    for folder in ["objects", "actions", "views", "runs", "graphs"] {
        for found in WalkDir::new(store.root.join(folder)).sort_by_file_name().into_iter().flatten() {
            let unfinished = found.file_type().is_file() && name(found.path()).ends_with(".tmp");
            if unfinished && files::measure(found.path()).1 < before(WRITING) {
                add(What::Leftover, found.into_path());
            }
        }
    }
    // Of an object whose transfer nobody has gone on with.
    for path in files::list(&store.incoming())? {
        if files::measure(&path).1 < before(WRITING) {
            add(What::Leftover, path);
        }
    }
    // What the jobs of a cluster left, whose coordinator never came back; and programs that no jobs run.
    let mut programs = String::new();
    for path in files::list(&store.pilots())? {
        let going = files::list(&path)?
            .iter()
            .any(|pilot| store.is_going(&format!("{}.{}", name(&path), name(pilot))));
        if !going && files::measure(&path).1 < stale {
            add(What::Leftover, path);
        } else {
            programs += &fs::read_to_string(path.join("orders.json")).unwrap_or_default();
        }
    }
    for path in files::list(&store.programs())? {
        if !programs.contains(&name(&path)) && files::measure(&path).1 < before(WRITING) {
            add(What::Leftover, path);
        }
    }
    for path in files::list(&store.root.join("damaged"))? {
        add(What::Damaged, path);
    }
    for path in files::list(&store.root.join("graphs"))? {
        if files::measure(&path).1 < stale && !name(&path).ends_with(".tmp") {
            add(What::Graph, path);
        }
    }
    if options.logs {
        let entries = files::list(&store.runs())?;
        for run in runs.iter().filter(|run| old.contains(run.id.as_str())) {
            let of_run = |path: &&PathBuf| {
                name(path).strip_prefix(&run.id).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            entries.iter().filter(of_run).for_each(|path| add(What::Log, path.clone()));
        }
    }
    Ok(items)
}

/// The runs whose records and logs go.
fn old_runs<'r>(store: &Store, options: &Options, runs: &'r [Run], now: Duration) -> HashSet<&'r str> {
    if !options.logs {
        return HashSet::new();
    }
    let recent = latest(runs, options.keep_runs.unwrap_or(KEEP_RUNS));
    let recent: HashSet<&str> = recent.iter().map(|run| run.id.as_str()).collect();
    let before = |age: Duration| now.saturating_sub(age).as_secs() as i64;
    let goes = |run: &&Run| {
        let old = options.older_than.is_none_or(|age| run.started < before(age));
        old && !recent.contains(run.id.as_str()) && !store.is_going(&run.id)
    };
    runs.iter().filter(goes).map(|run| run.id.as_str()).collect()
}

/// Removes one of the rest, unless a run has taken it up meanwhile.
fn remove(store: &Store, item: &Item) -> Result<(), StoreError> {
    let owner = name(&item.path);
    let _lock = match (item.what, owner.parse::<Digest>()) {
        (What::Checkpoints, Ok(key)) => match store.try_lock(&key)? {
            None => return Ok(()),
            lock => lock,
        },
        (What::Leftover, _) if item.path.parent() == Some(&store.work()) => {
            match store.claim_dead(&owner)? {
                None => return Ok(()),
                Some(claim) => claim._lock,
            }
        }
        _ => None,
    };
    files::remove(&item.path)
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
