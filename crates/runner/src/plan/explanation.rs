//! What enters a key, as a person reads it, and what differs between two keys.

use crate::store::digest::Digest;
use crate::store::key::key_of;
use crate::store::material::{Material, UNKNOWN};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::HashMap;

/// Everything that enters the key of a task, and the key.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Explanation {
    /// None while an input is not known.
    pub key: Option<Digest>,
    pub material: Material,
}

impl Explanation {
    /// The key is hashed from what is explained.
    pub fn of(material: Material) -> Explanation {
        Explanation { key: key_of(&material), material }
    }
}

/// A difference between two materials.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Change {
    pub field: String,
    /// Missing where the field is new.
    pub old: Option<String>,
    /// Missing where the field is gone.
    pub new: Option<String>,
}

/// What differs between the lines of two explanations, in the order of the new one, what is gone last.
pub fn changes(old: &[(String, String)], new: &[(String, String)]) -> Vec<Change> {
    let by_field =
        |lines: &[(String, String)]| -> HashMap<String, String> { lines.iter().cloned().collect() };
    let (before, now) = (by_field(old), by_field(new));
    let mut found = Vec::new();
    for (field, value) in new {
        let before = before.get(field);
        if before != Some(value) && value != UNKNOWN {
            found.push(Change { field: field.clone(), old: before.cloned(), new: Some(value.clone()) });
        }
    }
    for (field, value) in old {
        if !now.contains_key(field) {
            found.push(Change { field: field.clone(), old: Some(value.clone()), new: None });
        }
    }
    found
}
