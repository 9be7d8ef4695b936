//! Records that are only looked at, without taking anything of them into the store.

use crate::store::actions::Action;
use crate::store::digest::Digest;
use crate::store::remote::error::RemoteError;
use crate::store::remote::link::runtime;
use crate::store::remote::remote::{Format, Remote};
use futures::{StreamExt, TryStreamExt};
use tokio::runtime::Runtime;

/// How many records are asked for at once.
const ASKED: usize = 32;

/// Looks at records.
pub struct Asker {
    runtime: Runtime,
    remote: Remote,
    /// None where nobody has written there yet.
    format: Option<Format>,
}

impl Asker {
    pub fn open(remote: Remote) -> Result<Asker, RemoteError> {
        let runtime = runtime().map_err(remote.failed("open"))?;
        let format = runtime.block_on(remote.format())?;
        Ok(Asker { runtime, remote, format })
    }

    /// The records of these keys that are there and count.
    pub fn records(&self, keys: &[Digest]) -> Result<Vec<Action>, RemoteError> {
        let Some(format) = &self.format else { return Ok(Vec::new()) };
        let asked = futures::stream::iter(keys).map(|key| self.remote.known(format, key));
        let known = self.runtime.block_on(asked.buffer_unordered(ASKED).try_collect::<Vec<_>>())?;
        Ok(known.into_iter().filter_map(|known| known.record).collect())
    }
}
