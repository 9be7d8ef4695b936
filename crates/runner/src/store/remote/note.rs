//! What this store knows to be in a remote one, so that it is not sent again: an index in `remotes/`, appended to. It counts only for the
//! very store that it was written of, and only until something is removed there.

use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
use crate::store::journal::Journal;
use crate::store::locks::Locks;
use crate::store::remote::opened::Format;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// How many facts are written at once.
const BATCH: usize = 256;

/// Something that is known.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Fact {
    /// What follows is of the store with this name after so many sweeps.
    Of(String, u64),
    Object(Digest),
    /// A record of this key with this claim.
    Record(Digest, Digest),
    /// An object is not there after all.
    Gone(Digest),
}

/// What is known of a remote store.
#[derive(Debug)]
pub struct Note {
    journal: Journal<Fact>,
    objects: HashSet<Digest>,
    records: HashMap<Digest, Digest>,
    unwritten: Vec<Fact>,
}

impl Note {
    /// Reads the note at this path, as far as it is of the store that says this of itself.
    pub fn open(path: &Path, locks: &Locks, format: &Format) -> Result<Note, StoreError> {
        if let Some(folder) = path.parent() {
            files::create_folder(folder)?;
        }
        let (journal, facts) = Journal::open(path, locks)?;
        let mut note =
            Note { journal, objects: HashSet::new(), records: HashMap::new(), unwritten: Vec::new() };
        let mut counts = false;
        for fact in facts {
            match fact {
                Fact::Of(id, sweeps) => {
                    counts = id == format.id && sweeps == format.sweeps;
                    note.objects.clear();
                    note.records.clear();
                }
                Fact::Object(digest) => _ = note.objects.insert(digest),
                Fact::Record(key, claim) => _ = note.records.insert(key, claim),
                Fact::Gone(digest) => _ = note.objects.remove(&digest),
            }
        }
        if !counts {
            note.forget(format)?;
        }
        Ok(note)
    }

    /// Knows nothing any more.
    pub fn forget(&mut self, format: &Format) -> Result<(), StoreError> {
        self.objects.clear();
        self.records.clear();
        self.unwritten.clear();
        let of = Fact::Of(format.id.clone(), format.sweeps);
        self.journal.rewrite(|_| vec![of])
    }

    pub fn has_object(&self, digest: &Digest) -> bool {
        self.objects.contains(digest)
    }

    /// What the record of this key claims that is known to be there.
    pub fn record(&self, key: &Digest) -> Option<Digest> {
        self.records.get(key).copied()
    }

    pub fn object(&mut self, digest: Digest) -> Result<(), StoreError> {
        if self.objects.insert(digest) { self.add(Fact::Object(digest)) } else { Ok(()) }
    }

    pub fn add_record(&mut self, key: Digest, claim: Digest) -> Result<(), StoreError> {
        if self.records.insert(key, claim) != Some(claim) {
            self.add(Fact::Record(key, claim))
        } else {
            Ok(())
        }
    }

    /// An object is not there, or not what its name says.
    pub fn gone(&mut self, digest: Digest) -> Result<(), StoreError> {
        if self.objects.remove(&digest) { self.add(Fact::Gone(digest)) } else { Ok(()) }
    }

    fn add(&mut self, fact: Fact) -> Result<(), StoreError> {
        self.unwritten.push(fact);
        if self.unwritten.len() >= BATCH { self.write() } else { Ok(()) }
    }

    /// Writes down what is not written yet.
    pub fn write(&mut self) -> Result<(), StoreError> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        let facts = std::mem::take(&mut self.unwritten);
        self.journal.append_with(|_| Ok((facts, ())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;
    use crate::store::remote::opened::Naming;

    #[test]
    fn a_note_counts_for_its_store_until_something_is_removed_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let path = store.remotes().join("lab.journal");
        let mut format = Format::new(Naming::ByKey);
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
        let mut note = Note::open(&path, store.locks(), &format).unwrap();
        note.object(one).unwrap();
        note.object(two).unwrap();
        note.add_record(one, two).unwrap();
        note.gone(two).unwrap();
        note.write().unwrap();
        let note = Note::open(&path, store.locks(), &format).unwrap();
        assert!(note.has_object(&one) && !note.has_object(&two));
        assert_eq!(note.record(&one), Some(two));
        format.sweeps += 1;
        assert!(!Note::open(&path, store.locks(), &format).unwrap().has_object(&one));
        format.sweeps -= 1;
        assert!(!Note::open(&path, store.locks(), &format).unwrap().has_object(&one));
    }
}
