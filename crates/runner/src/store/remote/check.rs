//! What the server of a remote store can do, found out by doing it.

use crate::store::digest::Digest;
use crate::store::files;
use crate::store::remote::error::RemoteError;
use crate::store::remote::layout;
use crate::store::remote::opened::{Format, Naming, Remote};
use crate::store::remote::transport::{PATIENT, Transport};
use schemars::JsonSchema;
use serde::Serialize;
use std::time::SystemTime;

/// What a server can do.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Abilities {
    pub remote: String,
    pub url: String,
    /// Whether results can be written there at all.
    pub writable: bool,
    /// Whether only the first writer of a name wins. Else records get the names of their content.
    pub conditional_create: Option<bool>,
    /// Whether parts of a file can be read. Else a large file comes as one stream.
    pub ranges: Option<bool>,
    /// Whether bytes come back as they were sent.
    pub same_bytes: Option<bool>,
    /// How far the server's clock is ahead of this machine's, in seconds.
    pub clock: Option<f64>,
    /// How records are named there: `by-key` or `by-content`; null where nothing was pushed yet.
    pub records: Option<String>,
}

/// Finds out what the server can do, and makes a remote store of the place if it can be written to. What it was made with stays.
pub async fn check(remote: &Remote) -> Result<Abilities, RemoteError> {
    let format = remote.format().await?;
    let named = |format: &Format| match format.records {
        Naming::ByKey => "by-key".to_owned(),
        Naming::ByContent => "by-content".to_owned(),
    };
    let mut found = Abilities {
        remote: remote.name.clone(),
        url: remote.place.url.clone(),
        writable: remote.place.is_writable(),
        conditional_create: None,
        ranges: None,
        same_bytes: None,
        clock: None,
        records: format.as_ref().map(named),
    };
    if !found.writable {
        return Ok(found);
    }
    if let Transport::Folder(folder) = &remote.transport {
        folder.make()?;
    }
    let name = layout::push(&format!("clock-{}{}", files::random(), files::random()));
    let failed = |action| remote.failed_at(action, &name);
    let bytes: Vec<u8> = (0..1000u32).flat_map(|number| Digest::of(&number.to_le_bytes()).0).collect();
    let local = |time: SystemTime| {
        time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis() as f64 / 1000.0
    };
    let before = local(SystemTime::now());
    remote.transport.replace(&name, &bytes).await.map_err(failed("write"))?;
    let after = local(SystemTime::now());
    let creates = !remote.transport.create(&name, &bytes).await.map_err(failed("write"))?;
    found.conditional_create = Some(creates);
    let whole = remote.transport.get(&name, bytes.len() as u64, PATIENT).await.map_err(failed("read"))?;
    found.same_bytes = Some(whole.as_ref() == Some(&bytes));
    let part = remote.transport.range(&name, 100..200).await;
    found.ranges = Some(part.is_ok_and(|part| part.is_some_and(|pieces| pieces.concat() == bytes[100..200])));
    if let Some(there) = remote.transport.head(&name).await.map_err(failed("look at"))? {
        let there = there.modified as f64 / 1000.0;
        // Within the time that the request took, and the second that some servers round to, it is right.
        found.clock = Some(if there > after { there - after } else { (there + 1.0 - before).min(0.0) });
    }
    remote.transport.delete(vec![name.clone()]).await.map_err(failed("remove"))?;
    let naming = if creates { Naming::ByKey } else { Naming::ByContent };
    match format {
        // Its records stay where they are, and new ones get names that nobody writes over.
        Some(format) if format.records == Naming::ByKey && !creates => {
            let format = Format { records: naming, ..format };
            remote.write_document(layout::FORMAT, &format).await?;
            found.records = Some(named(&format));
        }
        Some(_) => {}
        None => {
            let format = Format::new(naming);
            if creates {
                // Of two who come first, one makes it.
                let bytes = remote.document(&format)?;
                let made = remote.transport.create(layout::FORMAT, &bytes).await;
                made.map_err(remote.failed_at("write", layout::FORMAT))?;
            } else {
                remote.write_document(layout::FORMAT, &format).await?;
            }
            found.records = Some(named(&format));
        }
    }
    Ok(found)
}

/// Makes a remote store of a place where nothing was written yet.
pub async fn found(remote: &Remote) -> Result<Format, RemoteError> {
    check(remote).await?;
    remote.format().await?.ok_or_else(|| RemoteError::Empty { remote: remote.name.clone() })
}
