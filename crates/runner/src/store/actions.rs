//! Action records: for each key, what it made and what went into it. One small file each.

use crate::store::digest::Digest;
use crate::store::files::{self, StoreError};
use crate::store::key::key_of;
use crate::store::material::Material;
use crate::store::objects::Outputs;
use crate::store::proof::{Origin, Proof};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

/// What a task made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Action {
    pub key: Digest,
    /// The name of the task that made it first.
    pub task: String,
    /// The run that made it.
    pub run: String,
    /// The machine that made it.
    #[serde(default)]
    pub host: String,
    /// The machine's kernel level in that run.
    #[serde(default)]
    pub kernel: String,
    /// How long it took.
    pub seconds: f64,
    /// The outputs in their declared order.
    pub outputs: Outputs,
    /// Everything that entered the key. Records of version 0.1 lack it, and so do redacted ones.
    #[serde(default, skip_serializing_if = "Material::is_empty")]
    pub preimage: Material,
    /// The same as (field, value) for people, where the above is not there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub material: Vec<(String, String)>,
    /// Who vouches for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// Where it came from, if it was not made here; only in the records of a store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
}

/// Whether a key is that of the values in its record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyCheck {
    Right,
    Wrong,
    /// The record keeps the values as text for people only.
    Unknown,
}

impl Action {
    /// What this run made; what entered the key is not told yet.
    pub fn new(key: Digest, task: String, run: String, seconds: f64, outputs: Outputs) -> Action {
        Action {
            key,
            task,
            run,
            host: String::new(),
            kernel: String::new(),
            seconds,
            outputs,
            preimage: Material::default(),
            material: Vec::new(),
            proof: None,
            origin: None,
        }
    }

    /// The contents of its inputs, files that no task made among them.
    pub fn inputs(&self) -> impl Iterator<Item = Digest> {
        let is_input = |field: &str| field.starts_with("inputs.") || field.starts_with("environment.");
        let as_text = self.material.iter().filter(move |(field, _)| is_input(field));
        let as_text = as_text.filter_map(|(_, value)| value.split(' ').next()?.parse().ok());
        self.preimage.contents().chain(as_text)
    }

    /// What entered the key, as a person reads it.
    pub fn lines(&self) -> Cow<'_, [(String, String)]> {
        if self.preimage.is_empty() {
            Cow::Borrowed(&self.material)
        } else {
            Cow::Owned(self.preimage.lines())
        }
    }

    /// Computes the key anew.
    pub fn check_key(&self) -> KeyCheck {
        match key_of(&self.preimage) {
            _ if self.preimage.is_empty() => KeyCheck::Unknown,
            Some(key) if key == self.key => KeyCheck::Right,
            _ => KeyCheck::Wrong,
        }
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
        let bytes = files::json(&path, action)?;
        // Its objects are on the disk by now. After a loss of power a torn record counts as none.
        files::write_soon(&path, &bytes)
    }
}
