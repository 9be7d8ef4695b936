//! `store verify`: everything is read again and compared with its name.
//!
//! It may run beside a run. Action records are read before the objects are listed, so a record's objects are there already;
//! files being written have temporary names. A damaged object is moved to `damaged/` and hashed once more there, so that one
//! which a run has made anew in the meantime is put back. The results that consisted of it are forgotten: the next run makes
//! exactly those again.

use crate::config::trust::Trust;
use crate::store::Store;
use crate::store::actions::{Action, KeyCheck};
use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
use crate::store::inventory::{Maker, Stored};
use crate::store::names::{self, Written};
use crate::store::objects::{Content, Objects};
use crate::store::stat;
use crate::trust::judge::{Refusal, judge};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "damaged", rename_all = "kebab-case")]
pub enum Damage {
    /// An object whose bytes are not those of its name.
    Object {
        #[schemars(with = "String")]
        digest: Digest,
        message: String,
        made_by: Vec<Maker>,
    },
    /// An object that a result consists of, which is gone and was not collected.
    Missing {
        #[schemars(with = "String")]
        digest: Digest,
        made_by: Vec<Maker>,
    },
    /// An action record that cannot be read, or is not that of the key in its name; or a run's manifest.
    Record {
        #[serde(serialize_with = "names::serialize")]
        #[schemars(with = "String")]
        path: PathBuf,
    },
    /// An action record that its own objects contradict.
    Contradicted {
        #[serde(serialize_with = "names::serialize")]
        #[schemars(with = "String")]
        path: PathBuf,
        task: String,
        message: String,
    },
    /// An action record whose key is not that of the values in it.
    Key {
        #[serde(serialize_with = "names::serialize")]
        #[schemars(with = "String")]
        path: PathBuf,
        task: String,
    },
    /// The action record of a result that came from elsewhere, and that does not count any more as the project trusts now.
    Distrusted {
        #[serde(serialize_with = "names::serialize")]
        #[schemars(with = "String")]
        path: PathBuf,
        task: String,
        message: String,
    },
    /// A checkpoint whose bytes are not those of its name.
    Checkpoint {
        #[serde(serialize_with = "names::serialize")]
        #[schemars(with = "String")]
        path: PathBuf,
    },
    /// A copy in the view whose bytes changed though its stat data did not.
    Copy {
        #[serde(serialize_with = "names::serialize")]
        #[schemars(with = "String")]
        path: PathBuf,
        task: String,
    },
}

/// What `store verify` found.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Report {
    /// How many were read again.
    pub objects: usize,
    /// Of the objects.
    pub bytes: u64,
    /// How many action records.
    pub records: usize,
    /// How many of them do not keep what their key was made of, so that it cannot be computed again: those of version 0.1, and redacted
    /// ones.
    pub unchecked: usize,
    /// How many.
    pub checkpoints: usize,
    /// How many outputs in the views.
    pub copies: usize,
    /// How many objects of results were dropped by `store gc`.
    pub collected: usize,
    /// How many objects of results that came from elsewhere are not here: they come when somebody needs them.
    pub elsewhere: usize,
    /// Copies in the view that somebody edited or removed: the next run restores them.
    #[schemars(with = "Vec<String>")]
    pub edited: Vec<Written>,
    pub damage: Vec<Damage>,
    /// The tasks whose results are forgotten, to be made again.
    pub forgotten: Vec<Maker>,
}

/// Checks everything; puts right what is damaged, unless it is only to be told. Results that came from elsewhere are judged anew by whom
/// the project trusts now.
pub fn verify(store: &Store, trust: &Trust, dry_run: bool) -> Result<Report, StoreError> {
    let _tools = if dry_run { None } else { Some(store.lock_tools()?) };
    let records = store.all_actions()?;
    let objects = store.all_objects()?;
    let mut report = Report {
        objects: objects.len(),
        bytes: objects.iter().map(|object| object.size).sum(),
        records: records.actions.len(),
        ..Report::default()
    };
    let wrong: Vec<(Digest, String)> = objects.par_iter().filter_map(check_object).collect();
    let parts = |action: &Action| -> Result<Vec<Vec<Digest>>, StoreError> {
        action.outputs.iter().map(|(_, content)| store.closure([content])).collect()
    };
    let parts: Vec<Vec<Vec<Digest>>> = records.actions.par_iter().map(parts).collect::<Result<_, _>>()?;
    let present: HashSet<Digest> = objects.iter().map(|object| object.digest).collect();
    let collected = store.collected()?;
    let [mut gone, mut absent, mut elsewhere] = [const { BTreeSet::<Digest>::new() }; 3];
    for (action, parts) in records.actions.iter().zip(&parts) {
        for digest in parts.iter().flatten().filter(|digest| !present.contains(digest)) {
            match (collected.contains(digest), action.origin.is_some()) {
                (true, _) => absent.insert(*digest),
                // It comes when somebody needs it.
                (false, true) => elsewhere.insert(*digest),
                (false, false) => gone.insert(*digest),
            };
        }
    }
    (report.collected, report.elsewhere) = (absent.len(), elsewhere.difference(&gone).count());

    let mut bad: HashSet<Digest> = wrong.iter().map(|(digest, _)| *digest).collect();
    let claims: Vec<Claim> = records.actions.par_iter().map(|action| check_claim(action, trust)).collect();
    report.unchecked = claims.iter().filter(|claim| **claim == Claim::Unchecked).count();
    let wrong_claim = |claim: &Claim| matches!(claim, Claim::Key | Claim::Distrusted(_));
    let claimed = claims.iter().zip(&parts).filter(|(claim, _)| wrong_claim(claim));
    // What was executed from a wrong result is as wrong as what was executed from a damaged one.
    let tainted = claimed.flat_map(|(_, parts)| parts).flatten().chain(&bad).copied().collect();
    let spoilt = executed_from(&records.actions, &parts, &tainted);
    bad.extend(&gone);
    let mut makers: BTreeMap<Digest, BTreeSet<Maker>> = BTreeMap::new();
    let mut forget: Vec<&Action> = Vec::new();
    for (((action, parts), spoilt), claim) in records.actions.iter().zip(&parts).zip(spoilt).zip(claims) {
        let maker = Maker { task: action.task.clone(), run: action.run.clone() };
        let mut hit = spoilt;
        for digest in parts.iter().flatten().filter(|digest| bad.contains(digest)) {
            makers.entry(*digest).or_default().insert(maker.clone());
            hit = true;
        }
        let (path, task) = (store.actions().path(&action.key), action.task.clone());
        hit |= wrong_claim(&claim);
        match claim {
            Claim::Key => report.damage.push(Damage::Key { path, task }),
            Claim::Distrusted(refusal) => {
                report.damage.push(Damage::Distrusted { path, task, message: refusal.to_string() })
            }
            Claim::Right | Claim::Unchecked => {}
        }
        let objects = store.objects();
        for (_, content) in &action.outputs {
            if let Some(message) = objects.contradiction(content)? {
                let (path, task) = (store.actions().path(&action.key), action.task.clone());
                report.damage.push(Damage::Contradicted { path, task, message });
                hit = true;
            }
        }
        if hit {
            forget.push(action);
            report.forgotten.push(maker);
        }
    }
    report.forgotten.sort();
    let mut made_by = |digest: &Digest| makers.remove(digest).unwrap_or_default().into_iter().collect();
    for (digest, message) in &wrong {
        let made_by = made_by(digest);
        report.damage.push(Damage::Object { digest: *digest, message: message.clone(), made_by });
    }
    for digest in gone {
        report.damage.push(Damage::Missing { digest, made_by: made_by(&digest) });
    }
    report.damage.extend(records.damaged.iter().map(|(_, path)| Damage::Record { path: path.clone() }));
    let manifests = store.all_manifests()?;
    let damaged = manifests.par_iter().filter(|(digest, path)| {
        digest.is_none_or(|digest| Digest::of_file(path).map_or(path.exists(), |(found, _)| found != digest))
    });
    report.damage.par_extend(damaged.map(|(_, path)| Damage::Record { path: path.clone() }));
    check_checkpoints(store, &mut report)?;
    check_copies(store, &mut report)?;

    if !dry_run {
        for (digest, _) in &wrong {
            set_aside(store, digest)?;
        }
        // First the view's index: what it holds untouched counts as cached without a look at the record.
        let unreadable = records.damaged.iter().filter_map(|(key, _)| *key);
        let keys: HashSet<Digest> = forget.iter().map(|action| action.key).chain(unreadable).collect();
        for pipeline in store.pipelines()? {
            let mut view = store.view(&pipeline)?;
            let shown = view.all().filter(|shown| keys.contains(&shown.key) && !shown.outputs.is_empty());
            let tasks: Vec<String> = shown.map(|shown| shown.task.clone()).collect();
            view.forget(&tasks.iter().map(String::as_str).collect::<Vec<_>>())?;
        }
        for action in forget {
            // While its key is locked it is being made again anyway, and its record written anew.
            if let Some(_lock) = store.try_lock(&action.key)? {
                store.actions().forget(&action.key)?;
            }
        }
        for damage in &report.damage {
            match damage {
                Damage::Record { path } | Damage::Checkpoint { path } | Damage::Copy { path, .. } => {
                    files::remove(path)?
                }
                Damage::Object { .. }
                | Damage::Missing { .. }
                | Damage::Contradicted { .. }
                | Damage::Key { .. }
                | Damage::Distrusted { .. } => {}
            }
        }
    }
    Ok(report)
}

/// What a record claims beside its objects.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Claim {
    Right,
    /// What entered its key is there as text only.
    Unchecked,
    /// Its key is not that of the values in it.
    Key,
    /// Who signed it does not count any more.
    Distrusted(Refusal),
}

fn check_claim(action: &Action, trust: &Trust) -> Claim {
    let signed = action.origin.as_ref().is_some_and(|origin| origin.signer.is_some());
    match action.check_key() {
        KeyCheck::Wrong => Claim::Key,
        _ if signed => match judge(trust, action) {
            Ok(_) => Claim::Right,
            Err(refusal) => Claim::Distrusted(refusal),
        },
        KeyCheck::Right => Claim::Right,
        KeyCheck::Unknown => Claim::Unchecked,
    }
}

/// Which results were executed from damaged objects, or from results that were: nobody can tell whether the damage was there
/// already. `parts` are the objects of each output of each result.
fn executed_from(actions: &[Action], parts: &[Vec<Vec<Digest>>], damaged: &HashSet<Digest>) -> Vec<bool> {
    let mut readers: HashMap<Digest, Vec<usize>> = HashMap::new();
    for (at, action) in actions.iter().enumerate() {
        action.inputs().for_each(|digest| readers.entry(digest).or_default().push(at));
    }
    let read_by = |content: &Content| readers.get(&content.digest).into_iter().flatten().copied();
    let mut open: Vec<usize> = Vec::new();
    for (action, parts) in actions.iter().zip(parts) {
        for ((_, content), objects) in action.outputs.iter().zip(parts) {
            if objects.iter().any(|digest| damaged.contains(digest)) {
                open.extend(read_by(content));
            }
        }
    }
    let mut spoilt = vec![false; actions.len()];
    while let Some(at) = open.pop() {
        if !std::mem::replace(&mut spoilt[at], true) {
            open.extend(actions[at].outputs.iter().flat_map(|(_, content)| read_by(content)));
        }
    }
    spoilt
}

/// What is wrong with an object, if anything.
fn check_object(object: &Stored) -> Option<(Digest, String)> {
    match Digest::of_file(&object.path) {
        Ok((found, _)) if found == object.digest => None,
        Ok((found, size)) => {
            Some((object.digest, format!("its {size} bytes have the digest {}", found.short())))
        }
        // One that a run has dropped since is missing, not damaged.
        Err(_) if !object.path.exists() => None,
        Err(error) => Some((object.digest, error.to_string())),
    }
}

fn set_aside(store: &Store, digest: &Digest) -> Result<(), StoreError> {
    let path = store.objects().path(digest);
    let aside = store.root.join("damaged").join(digest.to_string());
    files::create_folder(&store.root.join("damaged"))?;
    match fs::rename(&path, &aside) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        moved => moved.map_err(StoreError::io("move away", &path))?,
    }
    if Digest::of_file(&aside).is_ok_and(|(found, _)| found == *digest) {
        fs::rename(&aside, &path).map_err(StoreError::io("move back", &aside))?;
    }
    Ok(())
}

fn check_checkpoints(store: &Store, report: &mut Report) -> Result<(), StoreError> {
    let mut found: Vec<(PathBuf, String)> = Vec::new();
    let mut folders = files::list(&store.root.join("checkpoints"))?;
    for at in 0..folders.len() {
        folders.extend(files::list(&folders[at].join("attempts"))?);
    }
    for folder in folders.iter().filter(|path| path.is_dir()) {
        for path in files::list(folder)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let digest = name.strip_prefix("step-").and_then(|rest| rest.split_once('-'));
            if let Some((_, digest)) = digest {
                found.push((path, digest.to_owned()));
            }
        }
    }
    report.checkpoints = found.len();
    let damaged = found.par_iter().filter(|(path, digest)| {
        // Half a digest stands in its name. One that was replaced by a later one in the meantime is no damage.
        Digest::of_file(path).map_or(path.exists(), |(found, _)| found.to_string()[..32] != **digest)
    });
    report
        .damage
        .extend(damaged.map(|(path, _)| Damage::Checkpoint { path: path.clone() }).collect::<Vec<_>>());
    Ok(())
}

/// A copy in the view, as its index has it.
struct Copied {
    path: PathBuf,
    task: String,
    content: Content,
    signature: Digest,
}

enum Copy {
    Same,
    Edited,
    Damaged,
}

fn check_copies(store: &Store, report: &mut Report) -> Result<(), StoreError> {
    let mut copies = Vec::new();
    for pipeline in store.pipelines()? {
        for shown in store.view(&pipeline)?.all() {
            let there = shown.outputs.iter().filter(|output| !output.content.is_absent());
            copies.extend(there.map(|output| Copied {
                path: store.artifacts().join(&output.path),
                task: shown.task.clone(),
                content: output.content,
                signature: output.signature,
            }));
        }
    }
    copies.sort_by(|a, b| a.path.cmp(&b.path));
    report.copies = copies.len();
    let states: Vec<Copy> = copies.par_iter().map(check_copy).collect();
    for (copied, state) in copies.into_iter().zip(states) {
        match state {
            Copy::Same => {}
            Copy::Edited => report.edited.push(Written(copied.path)),
            Copy::Damaged => report.damage.push(Damage::Copy { path: copied.path, task: copied.task }),
        }
    }
    Ok(())
}

fn check_copy(copied: &Copied) -> Copy {
    let untouched = |path: &Path| stat::signature(path).is_ok_and(|now| now == copied.signature);
    let before = untouched(&copied.path);
    match Objects::measure(&copied.path) {
        Ok(content) if content == copied.content => Copy::Same,
        // A run may be replacing it just now: then its stat data are others.
        _ if before && untouched(&copied.path) => Copy::Damaged,
        _ => Copy::Edited,
    }
}
