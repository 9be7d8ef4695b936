//! The files of a folder that changed, by name, where only the folder's digest enters a key.

use crate::plan::explanation::Change;
use crate::store::Store;
use crate::store::digest::Digest;
use crate::store::listing::{Entry, Listed};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// More files than these are counted.
const SHOWN: usize = 20;

/// The same changes, and after that of a folder those of its files, as far as it is known what was in it.
pub fn name_files(store: &Store, changes: Vec<Change>) -> Vec<Change> {
    let mut named = Vec::with_capacity(changes.len());
    for change in changes {
        let files = files(store, &change).unwrap_or_default();
        named.push(change);
        named.extend(files);
    }
    named
}

fn files(store: &Store, change: &Change) -> Option<Vec<Change>> {
    let list = |value: &Option<String>| -> Option<Vec<Entry>> {
        let digest: Digest = value.as_ref()?.strip_suffix(" (folder)")?.parse().ok()?;
        store.lists().get(&digest).or_else(|| store.objects().entries(&digest).ok())
    };
    let (old, new) = (by_path(list(&change.old)?), by_path(list(&change.new)?));
    let folder = change.field.strip_suffix(".content").unwrap_or(&change.field);
    let paths = old.keys().chain(new.keys().filter(|path| !old.contains_key(*path)));
    let mut paths: Vec<&PathBuf> = paths.filter(|path| old.get(*path) != new.get(*path)).collect();
    paths.sort();
    let more = paths.len().saturating_sub(SHOWN);
    let field = |path: &PathBuf| format!("{folder}/{}", path.display());
    let mut changes: Vec<Change> = paths
        .into_iter()
        .take(SHOWN)
        .map(|path| Change { field: field(path), old: old.get(path).cloned(), new: new.get(path).cloned() })
        .collect();
    if more > 0 {
        let (old, new) = (Some(old.len().to_string()), Some(new.len().to_string()));
        changes.push(Change { field: format!("{folder}: {more} more of the files; in all"), old, new });
    }
    Some(changes)
}

fn by_path(entries: Vec<Entry>) -> BTreeMap<PathBuf, String> {
    let text = |what: &Listed| match what {
        Listed::File { digest, executable: false, .. } => digest.to_string(),
        Listed::File { digest, executable: true, .. } => format!("{digest} (executable)"),
        Listed::Folder => "(empty folder)".to_owned(),
        Listed::Link(target) => format!("(link to {})", target.display()),
    };
    entries.into_iter().map(|entry| (entry.path, text(&entry.what))).collect()
}
