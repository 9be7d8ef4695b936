//! The gate between runs and the removal of objects.
//!
//! A run is inside while it decides what is cached and until that is in the view's index, and a worker while it moves outputs
//! into the store; both leave it whenever they wait. `store gc` removes objects only while nobody is inside. What runs rely
//! on then is all written down: see [`crate::store::gc`].

use crate::store::Store;
use crate::store::files::StoreError;
use std::fs::File;

/// Being inside the gate, or having closed it; until it is dropped.
#[derive(Debug)]
pub struct Gate {
    _file: File,
}

impl Store {
    /// Enters the gate, waiting while it is closed.
    pub fn enter_gate(&self) -> Result<Gate, StoreError> {
        self.gate(File::lock_shared)
    }

    /// Closes the gate, waiting until nobody is inside.
    pub fn close_gate(&self) -> Result<Gate, StoreError> {
        self.gate(File::lock)
    }

    fn gate(&self, lock: impl Fn(&File) -> std::io::Result<()>) -> Result<Gate, StoreError> {
        // Never removed, unlike other locks: the next one inside would hold another file.
        let path = self.root.join("gate");
        let opened = File::options().create(true).append(true).open(&path);
        let file = opened.map_err(StoreError::io("lock", &path))?;
        lock(&file).map_err(StoreError::io("lock", &path))?;
        Ok(Gate { _file: file })
    }
}
