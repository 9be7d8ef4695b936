//! Values of cells and labels, and filters over them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A cell of a table, a label, or a value to compare with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Number(f64),
    Text(String),
}

impl Value {
    /// The value as a number; true and false are 1 and 0.
    pub fn number(&self) -> Option<f64> {
        match self {
            Value::Bool(value) => Some(f64::from(u8::from(*value))),
            Value::Integer(value) => Some(*value as f64),
            Value::Number(value) => Some(*value),
            Value::Null | Value::Text(_) => None,
        }
    }

    /// Equality for people: 1 equals 1.0.
    pub fn same(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Integer(a), Value::Number(b)) | (Value::Number(b), Value::Integer(a)) => *a as f64 == *b,
            _ => self == other,
        }
    }

    /// An order of all values: nothing, then numbers, then texts.
    pub fn order(&self, other: &Value) -> std::cmp::Ordering {
        match (self, other) {
            (Value::Text(a), Value::Text(b)) => a.cmp(b),
            (Value::Text(_), _) => std::cmp::Ordering::Greater,
            (_, Value::Text(_)) => std::cmp::Ordering::Less,
            (a, b) => {
                let key = |value: &Value| value.number().unwrap_or(f64::NEG_INFINITY);
                key(a).total_cmp(&key(b))
            }
        }
    }
}

impl std::fmt::Display for Value {
    /// As a person would write it: nothing for a missing value, the shortest digits that give the number back.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Value::Null => Ok(()),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Integer(value) => write!(f, "{value}"),
            Value::Number(value) => write!(f, "{}", crate::cells::plain(*value)),
            Value::Text(text) => f.write_str(text),
        }
    }
}

impl From<&serde_json::Value> for Value {
    fn from(value: &serde_json::Value) -> Value {
        match value {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(value) => Value::Bool(*value),
            serde_json::Value::Number(number) => match number.as_i64() {
                Some(integer) => Value::Integer(integer),
                None => number.as_f64().map_or(Value::Null, Value::Number),
            },
            serde_json::Value::String(text) => Value::Text(text.clone()),
            other => Value::Text(other.to_string()),
        }
    }
}

/// One value, or several.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum OneOrMany {
    One(Value),
    Many(Vec<Value>),
}

/// Which rows to keep: each column's value equals the given one, or is one of those given.
pub type Filter = BTreeMap<String, OneOrMany>;

/// Whether a row with this value passes.
pub fn passes(wanted: &OneOrMany, value: &Value) -> bool {
    match wanted {
        OneOrMany::One(one) => one.same(value),
        OneOrMany::Many(many) => many.iter().any(|one| one.same(value)),
    }
}

/// A short text for an error or a caption: `system = free, diffusion = 0.5`.
pub fn coordinates(labels: &[(String, Value)]) -> String {
    let show = |value: &Value| value.number().map_or_else(|| value.to_string(), crate::cells::plain);
    labels.iter().map(|(name, value)| format!("{name} = {}", show(value))).collect::<Vec<_>>().join(", ")
}
