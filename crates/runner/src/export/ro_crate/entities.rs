//! The entities of a crate: flat JSON-LD, each with an `@id` of its own.

use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::fmt::Write;

/// Entities in the order in which they were added.
#[derive(Debug, Default)]
pub struct Entities {
    list: Vec<Value>,
    ids: HashSet<String>,
}

impl Entities {
    /// Adds an entity, unless there is one of this name, and gives the reference to it. Fields without a value are left out.
    pub fn add(&mut self, id: &str, fields: Value) -> Value {
        if self.ids.insert(id.to_owned()) {
            let mut entity = Map::new();
            entity.insert("@id".to_owned(), json!(id));
            let Value::Object(fields) = fields else { return reference(id) };
            entity.extend(fields.into_iter().filter(|(_, value)| !is_nothing(value)));
            self.list.push(Value::Object(entity));
        }
        reference(id)
    }

    pub fn into_inner(self) -> Vec<Value> {
        self.list
    }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(values) => values.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// `{"@id": …}`.
pub fn reference(id: &str) -> Value {
    json!({ "@id": id })
}

/// A name as a part of a URI.
pub fn encoded(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/=,+@".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// `#task/motion`: an entity that is no file.
pub fn local(kind: &str, name: &str) -> String {
    format!("#{kind}/{}", encoded(name))
}
