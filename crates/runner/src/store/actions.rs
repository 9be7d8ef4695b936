//! Action records: for each key, what it made and what went into it. One small file each.

use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
use crate::store::objects::Outputs;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

/// What a task made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Action {
    pub key: Digest,
    /// The name of the task that made it first.
    pub task: String,
    /// The run that made it.
    pub run: String,
    /// How long it took.
    pub seconds: f64,
    /// The outputs in their declared order.
    pub outputs: Outputs,
    /// Everything that entered the key, as (field, value).
    pub material: Vec<(String, String)>,
}

impl Action {
    /// The contents of its inputs, files that no task made among them.
    pub fn inputs(&self) -> impl Iterator<Item = Digest> {
        let is_input = |field: &str| field.starts_with("inputs.") || field.starts_with("environment.");
        let contents = self.material.iter().filter(move |(field, _)| is_input(field));
        contents.filter_map(|(_, value)| value.split(' ').next()?.parse().ok())
    }
}

/// The folder of action records.
#[derive(Debug, Clone)]
pub struct Actions {
    root: PathBuf,
}

impl Actions {
    pub(super) fn new(root: PathBuf) -> Actions {
        Actions { root }
    }

    /// Where the record of this key is, or would be.
    pub fn path(&self, key: &Digest) -> PathBuf {
        let name = key.to_string();
        self.root.join(&name[..2]).join(format!("{}.json", &name[2..]))
    }

    /// The record of this key. A damaged record counts as none: the task is executed again.
    pub fn get(&self, key: &Digest) -> Result<Option<Action>, StoreError> {
        let path = self.path(key);
        match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            bytes => {
                let bytes = bytes.map_err(StoreError::io("read", &path))?;
                Ok(serde_json::from_slice(&bytes).ok().filter(|action: &Action| action.key == *key))
            }
        }
    }

    /// Removes a record: the key has no result any more.
    pub fn forget(&self, key: &Digest) -> Result<(), StoreError> {
        files::remove(&self.path(key))
    }

    /// Keeps a record.
    pub fn put(&self, action: &Action) -> Result<(), StoreError> {
        let path = self.path(&action.key);
        let bytes = serde_json::to_vec(action).map_err(|error| StoreError::Io {
            action: "write",
            path: path.clone(),
            source: error.into(),
        })?;
        // Its objects are on the disk by now. After a loss of power a torn record counts as none.
        files::write_soon(&path, &bytes)
    }
}
