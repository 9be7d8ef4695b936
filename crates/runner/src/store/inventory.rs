//! Everything that a store holds, as its tools look at it: objects, action records, and which record names which object.

use super::{Store, locks, runs};
use crate::store::actions::Action;
use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
use crate::store::listing::{Entry, Listed};
use crate::store::log::{self, Log};
use crate::store::objects::{Content, Shape};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// An object's file.
#[derive(Debug, Clone)]
pub struct Stored {
    pub digest: Digest,
    pub path: PathBuf,
    pub size: u64,
    /// When it came into the store, or was made again: Unix seconds.
    pub changed: i64,
}

/// A task and the run that made something of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Maker {
    pub task: String,
    pub run: String,
}

/// The action records of a store.
pub struct Records {
    pub actions: Vec<Action>,
    /// Files that are no readable record of the key that their name says, and that key, if it says one.
    pub damaged: Vec<(Option<Digest>, PathBuf)>,
}

impl Store {
    /// Keeps two of the tools that change the store from running at once.
    pub fn lock_tools(&self) -> Result<locks::Lock, StoreError> {
        self.locks().take("tools")
    }

    /// Every object, in the order of the digests; files that are being written are passed over.
    pub fn all_objects(&self) -> Result<Vec<Stored>, StoreError> {
        let mut found = Vec::new();
        for (digest, path) in named_by_digest(&self.root.join("objects"), "")? {
            // A running task may drop a damaged one between the listing and this.
            if let (Some(digest), Ok(data)) = (digest, fs::symlink_metadata(&path)) {
                found.push(Stored { digest, path, size: data.len(), changed: data.ctime() });
            }
        }
        Ok(found)
    }

    /// Every action record, in the order of the keys.
    pub fn all_actions(&self) -> Result<Records, StoreError> {
        let mut records = Records { actions: Vec::new(), damaged: Vec::new() };
        let actions = self.actions();
        for (key, path) in named_by_digest(&self.root.join("actions"), ".json")? {
            match key.map(|key| actions.get(&key)).transpose()?.flatten() {
                Some(action) => records.actions.push(action),
                None => records.damaged.push((key, path)),
            }
        }
        Ok(records)
    }

    /// The file of every manifest with the digest in its name.
    pub fn all_manifests(&self) -> Result<Vec<(Option<Digest>, PathBuf)>, StoreError> {
        named_by_digest(&self.root.join("manifests"), "")
    }

    /// The digests of every object that these contents consist of: those of a folder's files too, as far as its list is there.
    pub fn closure<'c>(
        &self,
        contents: impl IntoIterator<Item = &'c Content>,
    ) -> Result<Vec<Digest>, StoreError> {
        let objects = self.objects();
        let mut digests = Vec::new();
        for content in contents.into_iter().filter(|content| !content.is_absent()) {
            digests.push(content.digest);
            if content.shape == Shape::Folder {
                match objects.entries(&content.digest) {
                    Ok(entries) => digests.extend(entries.iter().filter_map(Entry::object)),
                    // It counts as one object, which is reported for itself.
                    Err(
                        StoreError::MissingObject { .. }
                        | StoreError::DamagedObject { .. }
                        | StoreError::Damaged { .. },
                    ) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(digests)
    }

    /// The files of a folder with their sizes, each once; its list must be there.
    pub fn closure_sizes(&self, folder: &Content) -> Result<Vec<(Digest, u64)>, StoreError> {
        let entries = self.objects().entries(&folder.digest)?;
        let files = entries.into_iter().filter_map(|entry| match entry.what {
            Listed::File { digest, size, .. } => Some((digest, size)),
            Listed::Folder | Listed::Link(_) => None,
        });
        let files: BTreeMap<Digest, u64> = files.collect();
        Ok(files.into_iter().collect())
    }

    /// The names of the pipelines that have a view.
    pub fn pipelines(&self) -> Result<Vec<String>, StoreError> {
        let paths = files::list(&self.root.join("views"))?;
        let views = paths.iter().filter(|path| path.extension().is_some_and(|found| found == "journal"));
        Ok(views.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect())
    }

    /// The objects that `gc` dropped although records name them.
    pub fn collected(&self) -> Result<HashSet<Digest>, StoreError> {
        Ok(log::read_lines(&self.root.join("collected.jsonl"))?.into_iter().collect())
    }

    /// Writes down what is going to be dropped: before, so that a kill in between makes nothing look lost.
    pub fn note_collected(&self, digests: &[Digest]) -> Result<(), StoreError> {
        let path = self.root.join("collected.jsonl");
        let mut known = self.collected()?;
        let objects = self.objects();
        let before = known.len();
        known.retain(|digest| !objects.contains(digest));
        if known.len() < before {
            let known: BTreeSet<Digest> = known.into_iter().collect();
            let lines: String = known.iter().map(|digest| format!("\"{digest}\"\n")).collect();
            files::write_atomic(&path, lines.as_bytes())?;
        }
        let mut log = Log::append_to(&path)?;
        digests.iter().try_for_each(|digest| log.append(digest))?;
        log.sync()
    }
}

/// The files `ab/cdef…` of a folder with the digests that they are named by; none for other names.
fn named_by_digest(folder: &Path, ending: &str) -> Result<Vec<(Option<Digest>, PathBuf)>, StoreError> {
    let mut found = Vec::new();
    for group in files::list(folder)? {
        let start = group.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !group.is_dir() {
            continue;
        }
        for path in files::list(&group)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.ends_with(".tmp") {
                continue;
            }
            let digest = name.strip_suffix(ending).and_then(|rest| format!("{start}{rest}").parse().ok());
            found.push((digest, path));
        }
    }
    Ok(found)
}

/// Which pipelines' tasks have which result, from the runs' records and the views; results that neither names belong to the
/// task that their own record names.
pub fn owners(
    store: &Store,
    runs: &[runs::Run],
    actions: &[Action],
) -> Result<BTreeMap<Digest, BTreeSet<(String, String)>>, StoreError> {
    let mut owners: BTreeMap<Digest, BTreeSet<(String, String)>> = BTreeMap::new();
    for run in runs {
        for (task, key) in &run.results {
            owners.entry(*key).or_default().insert((run.pipeline.clone(), task.clone()));
        }
    }
    for pipeline in store.pipelines()? {
        for shown in store.view(&pipeline)?.all() {
            owners.entry(shown.key).or_default().insert((pipeline.clone(), shown.task.clone()));
        }
    }
    for action in actions {
        owners.entry(action.key).or_insert_with(|| {
            let run = runs.iter().find(|run| run.id == action.run);
            let pipeline = run.map_or("(unknown)".to_owned(), |run| run.pipeline.clone());
            BTreeSet::from([(pipeline, action.task.clone())])
        });
    }
    Ok(owners)
}
