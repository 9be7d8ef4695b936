//! Everything that lies in a remote store, and which record names which object.

use crate::store::actions::Action;
use crate::store::digest::Digest;
use crate::store::listing::{self, Entry as Listing};
use crate::store::objects::Shape;
use crate::store::remote::error::RemoteError;
use crate::store::remote::layout;
use crate::store::remote::layout::Entry;
use crate::store::remote::opened::Remote;
use crate::store::remote::record::NoRecord;
use crate::store::remote::transport::PATIENT;
use futures::{StreamExt, TryStreamExt};
use std::collections::{BTreeMap, BTreeSet};

/// How many records and lists are read at once.
const READ: usize = 32;
/// A larger list of a folder is none.
const LIST: u64 = 256 << 20;

/// A record, as it was found.
pub struct Found {
    pub entry: Entry,
    pub key: Digest,
    pub record: Result<Action, NoRecord>,
}

/// What lies there.
pub struct Survey {
    pub objects: BTreeMap<Digest, Entry>,
    pub records: Vec<Found>,
    /// Files with names that are none of ours.
    pub strangers: Vec<Entry>,
    /// The objects of each folder that is there.
    folders: BTreeMap<Digest, Vec<Digest>>,
}

impl Survey {
    /// Looks at everything; of objects only at their names, but for the lists of folders.
    pub async fn of(remote: &Remote) -> Result<Survey, RemoteError> {
        let list = |folder: &'static str| async move {
            remote.transport.list(folder).await.map_err(remote.failed_at("list", folder))
        };
        // Records first: an object that comes meanwhile is there for a record that comes later.
        let (mut records, mut strangers) = (Vec::new(), Vec::new());
        for entry in list(layout::RECORDS).await? {
            match layout::key_of(&entry.name) {
                Some((_, key)) => records.push((entry, key)),
                None => strangers.push(entry),
            }
        }
        let mut objects = BTreeMap::new();
        for entry in list(layout::OBJECTS).await? {
            match layout::digest_of(&entry.name) {
                Some(digest) => _ = objects.insert(digest, entry),
                None => strangers.push(entry),
            }
        }
        let read = futures::stream::iter(records).map(|(entry, key)| async move {
            let read = remote.record(&entry.name, &key).await?;
            // One that is gone by now is none.
            Ok::<_, RemoteError>(read.map(|read| Found { entry, key, record: read }))
        });
        let mut records: Vec<Found> =
            read.buffer_unordered(READ).try_filter_map(|found| async { Ok(found) }).try_collect().await?;
        records.sort_by(|a, b| a.entry.name.cmp(&b.entry.name));
        let outputs = records.iter().filter_map(|found| found.record.as_ref().ok());
        let outputs = outputs.flat_map(|record| &record.outputs).map(|(_, content)| content);
        let folders: BTreeSet<Digest> = outputs
            .filter(|content| content.shape == Shape::Folder && objects.contains_key(&content.digest))
            .map(|content| content.digest)
            .collect();
        let lists = futures::stream::iter(folders).map(|digest| async move {
            let name = layout::object(&digest);
            let bytes =
                remote.transport.get(&name, LIST, PATIENT).await.map_err(remote.failed_at("read", &name))?;
            let entries = bytes
                .filter(|bytes| Digest::of(bytes) == digest)
                .and_then(|bytes| listing::decode(&bytes).ok());
            Ok::<_, RemoteError>(
                entries.map(|entries| (digest, entries.iter().filter_map(Listing::object).collect())),
            )
        });
        let folders =
            lists.buffer_unordered(READ).try_filter_map(|found| async { Ok(found) }).try_collect().await?;
        Ok(Survey { objects, records, strangers, folders })
    }

    /// The objects of a record, as far as the lists of its folders are there.
    pub fn objects_of(&self, record: &Action) -> Vec<Digest> {
        let mut objects = Vec::new();
        for (_, content) in record.outputs.iter().filter(|(_, content)| !content.is_absent()) {
            objects.push(content.digest);
            objects.extend(self.folders.get(&content.digest).into_iter().flatten());
        }
        objects
    }
}
