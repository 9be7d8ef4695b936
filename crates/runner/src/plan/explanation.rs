//! What enters a key, as a person reads it, and what differs between two keys.

use crate::store::digest::Digest;
use crate::store::key::key_of;
use crate::store::material::{Material, UNKNOWN};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::HashMap;
use std::fmt;

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

/// `params.tubes: 40 → 60`, digests cut to what a person can tell apart.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = |value: &Option<String>| match value {
            Some(text) => match text.split_at_checked(64) {
                Some((digest, "" | " (folder)" | " (executable)")) if digest.parse::<Digest>().is_ok() => {
                    digest[..12].to_owned()
                }
                _ => text.clone(),
            },
            None => "(none)".to_owned(),
        };
        write!(f, "{}: {} → {}", self.field, value(&self.old), value(&self.new))
    }
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
