//! Records that are only looked at, without taking them into the store; and contents that have to be looked into.

use crate::store::Store;
use crate::store::actions::Action;
use crate::store::digest::Digest;
use crate::store::objects::{Content, Shape};
use crate::store::remote::download::Fetcher;
use crate::store::remote::elsewhere::Notice;
use crate::store::remote::error::RemoteError;
use crate::store::remote::link::runtime;
use crate::store::remote::opened::{Format, Remote};
use futures::{StreamExt, TryStreamExt};
use tokio::runtime::Runtime;

/// How many records are asked for at once.
const ASKED: usize = 32;

/// Looks at records.
pub struct Asker {
    runtime: Runtime,
    remote: Remote,
    store: Store,
    /// None where nobody has written there yet.
    format: Option<Format>,
}

impl Asker {
    pub fn open(remote: Remote, store: &Store) -> Result<Asker, RemoteError> {
        let runtime = runtime().map_err(remote.failed("open"))?;
        let format = runtime.block_on(remote.format())?;
        Ok(Asker { runtime, remote, store: store.clone(), format })
    }

    /// Fetches these contents into the store, of a folder its list only. Tells whether anything has come.
    pub fn fetch(&self, contents: &[Content]) -> Result<bool, RemoteError> {
        if self.format.is_none() || contents.is_empty() {
            return Ok(false);
        }
        let store = Store::open(self.store.artifacts())?;
        let _gate = store.enter_gate()?;
        let fetcher = &Fetcher::new(self.remote.clone(), store);
        let fetched = futures::stream::iter(contents).map(|content| {
            let size = (content.shape != Shape::Folder).then_some(content.size);
            fetcher.object(content.digest, size)
        });
        let fetched = fetched.buffer_unordered(ASKED).try_collect::<Vec<bool>>();
        Ok(self.runtime.block_on(fetched)?.contains(&true))
    }

    /// The records of these keys that are there and count, and what is to be told of one that does not.
    pub fn records(&self, keys: &[Digest]) -> Result<(Vec<Action>, Option<Notice>), RemoteError> {
        let Some(format) = &self.format else { return Ok(Default::default()) };
        let asked = futures::stream::iter(keys).map(|key| self.remote.known(format, key));
        let known = self.runtime.block_on(asked.buffered(ASKED).try_collect::<Vec<_>>())?;
        let mut refused = known.iter().flat_map(|known| &known.refused);
        let notice = refused
            .next()
            .map(|(task, message)| Notice::Refused { task: task.clone(), message: message.clone() });
        Ok((known.into_iter().filter_map(|known| known.record).collect(), notice))
    }
}
