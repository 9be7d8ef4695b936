//! Marks in a remote store: of a push, so that nothing is removed beside it, and of a removal, so that no push begins beside it. Each writes
//! its own mark first and then looks for the others', so at least one of two sees the other.

use crate::store::files;
use crate::store::host;
use crate::store::remote::error::RemoteError;
use crate::store::remote::layout;
use crate::store::remote::layout::Entry;
use crate::store::remote::opened::Remote;
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

/// How often a mark is renewed.
pub const RENEWED: Duration = Duration::from_secs(300);
/// When a mark that was not renewed is one of the dead.
pub const DEAD: Duration = Duration::from_secs(3600);
/// How long a push waits for a removal to end.
const WAIT: Duration = Duration::from_secs(60);

/// What a mark says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Mark {
    pub host: String,
    /// When it was begun, by the clock of that machine.
    pub started: String,
}

impl Mark {
    pub fn new() -> Mark {
        Mark { host: host::name().to_owned(), started: jiff::Timestamp::now().to_string() }
    }
}

impl Default for Mark {
    fn default() -> Mark {
        Mark::new()
    }
}

/// The mark of a push that goes on.
#[derive(Debug)]
pub struct Pushing {
    name: String,
    /// When it was renewed last.
    renewed: SystemTime,
}

impl Pushing {
    /// Marks a push, after any removal that goes on.
    pub async fn begin(remote: &Remote) -> Result<Pushing, RemoteError> {
        let name = layout::push(&format!("{}{}", files::random(), files::random()));
        let began = SystemTime::now();
        loop {
            remote.write_document(&name, &Mark::new()).await?;
            let pushing = Pushing { name: name.clone(), renewed: SystemTime::now() };
            let Some(cleaning) = cleaning(remote).await? else { return Ok(pushing) };
            pushing.end(remote).await?;
            if began.elapsed().unwrap_or_default() > WAIT {
                return Err(RemoteError::Cleaning { remote: remote.name.clone(), host: cleaning.host });
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    }

    /// Before a record is written: the mark must still stand, or objects that were taken to be there may be gone. After a long sleep of
    /// the machine it does not.
    pub async fn renew(&mut self, remote: &Remote) -> Result<(), RemoteError> {
        let age = self.renewed.elapsed().unwrap_or(DEAD);
        if age < RENEWED {
            return Ok(());
        }
        let there =
            remote.transport.head(&self.name).await.map_err(remote.failed_at("look at", &self.name))?;
        if there.is_none() {
            return Err(RemoteError::Cleaned { remote: remote.name.clone() });
        }
        remote.write_document(&self.name, &Mark::new()).await?;
        self.renewed = SystemTime::now();
        Ok(())
    }

    pub async fn end(&self, remote: &Remote) -> Result<(), RemoteError> {
        let gone = remote.transport.delete(vec![self.name.clone()]).await;
        gone.map_err(remote.failed_at("remove", &self.name))
    }
}

/// The mark of a removal that goes on; a dead one counts as none.
async fn cleaning(remote: &Remote) -> Result<Option<Mark>, RemoteError> {
    let Some(mark) = remote.read_document::<Mark>(layout::CLEANING).await? else { return Ok(None) };
    // The own mark was written a moment ago: its time is the server's now.
    let there = remote.transport.head(layout::CLEANING).await;
    let Some(there) = there.map_err(remote.failed_at("look at", layout::CLEANING))? else { return Ok(None) };
    let now = now_there(remote).await?;
    Ok((age(&there, now) < DEAD).then_some(mark))
}

/// How long ago something was written, by the server's clock.
pub fn age(entry: &Entry, now: i64) -> Duration {
    Duration::from_millis(now.saturating_sub(entry.modified).max(0) as u64)
}

/// The server's clock: when something that is written now was written.
pub async fn now_there(remote: &Remote) -> Result<i64, RemoteError> {
    let name = layout::push(&format!("clock-{}{}", files::random(), files::random()));
    remote.write_document(&name, &Mark::new()).await?;
    let there = remote.transport.head(&name).await.map_err(remote.failed_at("look at", &name))?;
    remote.transport.delete(vec![name.clone()]).await.map_err(remote.failed_at("remove", &name))?;
    let local = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Ok(there.map_or(local.as_millis() as i64, |there| there.modified))
}

/// The mark of a removal, which stands alone.
pub struct Cleaning {
    /// The server's clock when it began.
    pub now: i64,
}

impl Cleaning {
    /// Marks a removal, unless another one or a push goes on.
    pub async fn begin(remote: &Remote) -> Result<Cleaning, RemoteError> {
        let bytes = remote.document(&Mark::new())?;
        let failed = || remote.failed_at("write", layout::CLEANING);
        if !remote.transport.create(layout::CLEANING, &bytes).await.map_err(failed())? {
            if let Some(mark) = cleaning(remote).await? {
                return Err(RemoteError::Cleaning { remote: remote.name.clone(), host: mark.host });
            }
            remote.transport.replace(layout::CLEANING, &bytes).await.map_err(failed())?;
        }
        let begun = Cleaning { now: now_there(remote).await? };
        let pushes =
            remote.transport.list(layout::PUSHES).await.map_err(remote.failed_at("list", layout::PUSHES))?;
        let alive = pushes.iter().find(|push| age(push, begun.now) < DEAD && !push.name.contains("/clock-"));
        if let Some(push) = alive {
            let mark = remote.read_document::<Mark>(&push.name).await?;
            begun.end(remote).await?;
            // It may have ended a moment ago, but what it wrote is not yet looked at.
            let host = mark.map_or_else(|| "another machine".to_owned(), |mark| mark.host);
            return Err(RemoteError::Pushing { remote: remote.name.clone(), host });
        }
        // Somebody may be looking at a clock just now.
        let dead = pushes.into_iter().filter(|push| age(push, begun.now) >= DEAD).map(|push| push.name);
        let dead = dead.collect();
        remote.transport.delete(dead).await.map_err(remote.failed_at("clean", layout::PUSHES))?;
        Ok(begun)
    }

    pub async fn end(self, remote: &Remote) -> Result<(), RemoteError> {
        let gone = remote.transport.delete(vec![layout::CLEANING.to_owned()]).await;
        gone.map_err(remote.failed_at("remove", layout::CLEANING))
    }
}
