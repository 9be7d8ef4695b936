//! Values of cells and labels, and filters over them.

use crate::names;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// The numbers that JSON lacks, as Python writes them; the text that stands for each in a JSON value; and the number. The mark
/// is a character that no text has.
pub const NOT_FINITE: [(&str, &str, f64); 3] = [
    ("NaN", "\u{e000}NaN", f64::NAN),
    ("-Infinity", "\u{e000}-Infinity", f64::NEG_INFINITY),
    ("Infinity", "\u{e000}Infinity", f64::INFINITY),
];

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

    /// Whether there is no value, or none that has a place in an order.
    pub fn missing(&self) -> bool {
        matches!(self, Value::Null) || matches!(self, Value::Number(number) if number.is_nan())
    }

    /// An order of values for people: numbers, then texts. What is missing is last, also where the order is `down`wards, so that it
    /// is never the best.
    pub fn order(&self, other: &Value, down: bool) -> Ordering {
        let ordering = match (self, other) {
            (a, b) if a.missing() || b.missing() => return a.missing().cmp(&b.missing()),
            (Value::Text(a), Value::Text(b)) => a.cmp(b),
            (Value::Text(_), _) => Ordering::Greater,
            (_, Value::Text(_)) => Ordering::Less,
            (a, b) => a.number().partial_cmp(&b.number()).unwrap_or(Ordering::Equal),
        };
        if down { ordering.reverse() } else { ordering }
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
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(integer), _) => Value::Integer(integer),
                // Rounded, two of these could become one.
                (_, Some(large)) if large as f64 as u128 != u128::from(large) => {
                    Value::Text(large.to_string())
                }
                _ => number.as_f64().map_or(Value::Null, Value::Number),
            },
            serde_json::Value::String(text) => {
                let number = NOT_FINITE.iter().find(|(_, mark, _)| text == mark);
                number.map_or_else(|| Value::Text(text.clone()), |(.., number)| Value::Number(*number))
            }
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

/// What to print in place of values: of the values of every column, `{free: Free particle}`, or of one column,
/// `{system: {free: Free particle}}`. The name of a column may be renamed too.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Names(pub BTreeMap<String, Name>);

/// What stands for a value, or for the values of a column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Name {
    /// For this value, or for the column of this name.
    Everywhere(String),
    /// For the values of the column of this name.
    Of(BTreeMap<String, String>),
}

impl Names {
    /// What to print for a value of a column, if it has a name.
    pub fn of(&self, column: &str, value: &str) -> Option<&str> {
        match (self.0.get(column), self.0.get(value)) {
            (Some(Name::Of(values)), everywhere) => match (values.get(value), everywhere) {
                (Some(name), _) | (None, Some(Name::Everywhere(name))) => Some(name),
                _ => None,
            },
            (_, Some(Name::Everywhere(name))) => Some(name),
            _ => None,
        }
    }

    /// What to print for the name of a column, if it has another.
    pub fn title(&self, column: &str) -> Option<&str> {
        match self.0.get(column) {
            Some(Name::Everywhere(name)) => Some(name),
            _ => None,
        }
    }
}

/// Why a filter finds nothing in the values of a column.
pub fn not_there(column: &str, wanted: &OneOrMany, values: &[Value]) -> String {
    let wanted = match wanted {
        OneOrMany::One(one) => std::slice::from_ref(one),
        OneOrMany::Many(many) => many,
    };
    let mut there: Vec<String> = Vec::new();
    for value in values.iter().filter(|value| **value != Value::Null) {
        let text = value.to_string();
        if there.len() <= 100 && !there.contains(&text) {
            there.push(text);
        }
    }
    if let [one] = wanted
        && there.contains(&one.to_string())
    {
        let (own, other) =
            if matches!(one, Value::Text(_)) { ("text", "number") } else { ("number", "text") };
        return format!("`{column}` is never the {own} `{one}`, but the {other} `{one}`");
    }
    let words: Vec<String> = wanted.iter().map(Value::to_string).collect();
    let meant = words.iter().find_map(|word| names::meant(word, there.iter().map(String::as_str)));
    let help = match meant {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if there.is_empty() => "it has no value".to_owned(),
        None => format!("it is {}", names::either(&there)),
    };
    format!("`{column}` is never {}; {help}", names::either(&words))
}

/// Why a filter finds nothing, where each of its columns has a value that is wanted.
pub fn apart(filter: &Filter) -> String {
    let shown = |(column, wanted): (&String, &OneOrMany)| match wanted {
        OneOrMany::One(one) => format!("`{column}` = {one}"),
        OneOrMany::Many(many) => {
            format!("`{column}` = {}", many.iter().map(Value::to_string).collect::<Vec<_>>().join(" or "))
        }
    };
    format!("{} are never in one row", filter.iter().map(shown).collect::<Vec<_>>().join(" and "))
}

/// A short text for an error or a caption: `system = free, diffusion = 0.5`.
pub fn coordinates(labels: &[(String, Value)]) -> String {
    let show = |value: &Value| value.number().map_or_else(|| value.to_string(), crate::cells::plain);
    labels.iter().map(|(name, value)| format!("{name} = {}", show(value))).collect::<Vec<_>>().join(", ")
}
