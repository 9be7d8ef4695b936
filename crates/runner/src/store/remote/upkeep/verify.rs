//! `remote verify`: reads everything and compares it with its name. What is damaged is removed, so that the next push sends it again, and
//! so are records that name objects which are not there.

use crate::store::digest::Digest;
use crate::store::remote::error::RemoteError;
use crate::store::remote::layout;
use crate::store::remote::marker::Cleaning;
use crate::store::remote::opened::Remote;
use crate::store::remote::transport::{self, count, interruptible};
use crate::store::remote::upkeep::survey::Survey;
use futures::{StreamExt, TryStreamExt};
use schemars::JsonSchema;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::sync::atomic::AtomicUsize;

/// How many objects are read at once.
const READ: usize = 8;
/// How much of an object is read at once.
const PART: u64 = 16 << 20;

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Wrong {
    pub name: String,
    pub message: String,
    /// Whether it was removed.
    pub removed: bool,
}

/// What was found.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Verified {
    pub remote: String,
    /// How many were read.
    pub objects: usize,
    pub bytes: u64,
    pub records: usize,
    /// How many records do not count here: nobody who is trusted vouches for them. They stay.
    pub untrusted: usize,
    pub wrong: Vec<Wrong>,
    /// Whether Ctrl-C ended it before everything was read: then nothing was removed.
    #[serde(skip)]
    pub interrupted: bool,
}

/// Reads everything, until Ctrl-C. With `remove`, what is wrong goes.
pub async fn verify(
    remote: &Remote,
    remove: bool,
    interrupts: &AtomicUsize,
) -> Result<Verified, RemoteError> {
    let Some(mut format) = remote.format().await? else {
        return Err(RemoteError::Empty { remote: remote.name.clone() });
    };
    let cleaning = if remove { Some(Cleaning::begin(remote).await?) } else { None };
    let verified = look(remote, interrupts).await;
    let done = match verified {
        Ok(mut verified) if remove && !verified.interrupted && !verified.wrong.is_empty() => {
            format.sweeps += 1;
            let noted = remote.write_document(layout::FORMAT, &format).await;
            let names = verified.wrong.iter().map(|wrong| wrong.name.clone()).collect();
            let removed = match noted {
                Ok(()) => remote.transport.delete(names).await.map_err(remote.failed("clean")),
                Err(error) => Err(error),
            };
            verified.wrong.iter_mut().for_each(|wrong| wrong.removed = true);
            removed.map(|()| verified)
        }
        verified => verified,
    };
    if let Some(cleaning) = cleaning {
        cleaning.end(remote).await?;
    }
    done
}

async fn look(remote: &Remote, interrupts: &AtomicUsize) -> Result<Verified, RemoteError> {
    let mut verified = Verified {
        remote: remote.name.clone(),
        objects: 0,
        bytes: 0,
        records: 0,
        untrusted: 0,
        wrong: Vec::new(),
        interrupted: true,
    };
    let Some(survey) = interruptible((interrupts, 1), Survey::of(remote), || {}).await else {
        return Ok(verified);
    };
    let survey = survey?;
    survey.objects.values().for_each(|entry| count(&remote.counters.to_receive, entry.size));
    let read = futures::stream::iter(&survey.objects).map(|(digest, entry)| async move {
        Ok::<_, RemoteError>((*digest, entry.size, is_itself(remote, digest, entry.size).await?))
    });
    let mut read = read.buffer_unordered(READ);
    let mut damaged: BTreeSet<Digest> = BTreeSet::new();
    let wrong = |name: &str, message: String| Wrong { name: name.to_owned(), message, removed: false };
    let all = async {
        while let Some((digest, size, right)) = read.try_next().await? {
            verified.objects += 1;
            verified.bytes += size;
            if !right {
                damaged.insert(digest);
                let message = "its bytes are not those of its name".to_owned();
                verified.wrong.push(wrong(&layout::object(&digest), message));
            }
        }
        Ok::<_, RemoteError>(())
    };
    match interruptible((interrupts, 1), all, || {}).await {
        None => {
            verified.wrong.sort();
            return Ok(verified);
        }
        Some(all) => all?,
    }
    for there in &survey.records {
        let record = match &there.record {
            Err(fault) if fault.is_newer() => {
                verified.untrusted += 1;
                continue;
            }
            Err(fault) => {
                verified.wrong.push(wrong(&there.entry.name, fault.to_string()));
                continue;
            }
            Ok(record) => record,
        };
        verified.untrusted += usize::from(remote.policy.judge(record).is_err());
        let objects = survey.objects_of(record);
        let gone = |digest: &&Digest| damaged.contains(*digest) || !survey.objects.contains_key(*digest);
        if let Some(digest) = objects.iter().find(gone) {
            let message = format!("its object {} is damaged or gone", digest.short());
            verified.wrong.push(wrong(&there.entry.name, message));
        }
    }
    verified.wrong.sort();
    verified.records = survey.records.len();
    verified.interrupted = false;
    Ok(verified)
}

/// Whether the bytes of an object are those of its name.
async fn is_itself(remote: &Remote, digest: &Digest, size: u64) -> Result<bool, RemoteError> {
    let name = layout::object(digest);
    let mut hash = Sha256::new();
    for start in (0..size).step_by(PART as usize) {
        let part = remote.transport.range(&name, start..(start + PART).min(size)).await;
        let Some(pieces) = part.map_err(remote.failed_at("read", &name))? else { return Ok(true) };
        count(&remote.counters.received, transport::size(&pieces));
        pieces.iter().for_each(|piece| hash.update(piece));
    }
    Ok(Digest(hash.finalize().into()) == *digest)
}
