//! One instance of a stage: its coordinates in the matrix, and how values stand in names.

use serde_json::Value;
use std::rc::Rc;

/// One instance of a stage.
#[derive(Debug, Clone, Default)]
pub struct Instance {
    /// In the order of the axes.
    pub coordinates: Vec<Rc<Coordinate>>,
    /// Where the items of an axis come from that are not known yet: the instance stands for one for each of them.
    pub open: Option<Open>,
}

/// An output whose items are not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open {
    /// The stage that makes it, by its position, and the place of the task among those of the stage.
    pub stage: usize,
    pub place: usize,
    pub output: usize,
}

/// The longest label of an axis, in bytes.
pub const LONGEST: usize = 100;

/// A value on an axis.
#[derive(Debug)]
pub struct Coordinate {
    pub axis: Rc<str>,
    /// The value, whole.
    pub value: Value,
    /// The value, or the name of a named point.
    pub label: Value,
    /// The label in the form that is compared: see [`normal`].
    pub text: String,
    /// Whether it stands for items that are not known yet.
    pub open: bool,
}

impl Instance {
    /// The coordinate on an axis.
    pub fn get(&self, axis: &str) -> Option<&Coordinate> {
        self.coordinates.iter().map(Rc::as_ref).find(|coordinate| &*coordinate.axis == axis)
    }

    /// The coordinates as labels.
    pub fn labels(&self) -> Vec<(String, Value)> {
        self.coordinates.iter().map(|c| (c.axis.to_string(), c.label.clone())).collect()
    }

    /// `stage`, or `stage[axis=value,axis=value]`.
    pub fn id(&self, stage: &str) -> String {
        let mut id = stage.to_owned();
        for (at, coordinate) in self.coordinates.iter().enumerate() {
            id.push(if at == 0 { '[' } else { ',' });
            id.push_str(&coordinate.axis);
            id.push('=');
            id.push_str(&plain(&coordinate.label).unwrap_or_default());
        }
        if !self.coordinates.is_empty() {
            id.push(']');
        }
        id
    }
}

/// Tells a text that cannot be a label: labels are parts of the names of tasks and files.
pub fn unfit(text: &str) -> Option<()> {
    let odd = |c: char| c.is_control() || c.is_whitespace() || "[],=/\\{}$*".contains(c);
    (text.is_empty() || text.starts_with('.') || text.len() > LONGEST || text.contains(odd)).then_some(())
}

/// A label in the form in which labels are compared: `1`, `1.0` and `"1"` are the same.
pub fn normal(label: &str) -> String {
    if let Ok(whole) = label.parse::<i128>() {
        return whole.to_string();
    }
    match label.parse::<f64>() {
        Ok(float) if float.is_finite() && label.contains(|c: char| c.is_ascii_digit()) => float.to_string(),
        _ => label.to_owned(),
    }
}

/// Whether a name can be an axis, a parameter, an input or an output: a letter or `_`, then letters, digits, `_` and `-`.
pub fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// A value written inside text: text, numbers and booleans as they are, a named point by its name.
pub fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Object(map) => map.get("name").and_then(Value::as_str).map(str::to_owned),
        Value::Null | Value::Array(_) => None,
    }
}
