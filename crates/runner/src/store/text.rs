//! What may be printed of what a stranger wrote.

use serde_json::Value;

/// Whether a text has no control characters but the ends of lines and tabs, so that it can be printed on a terminal.
pub fn is_clean(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t' | '\r'))
}

/// Whether it holds for every text of a document.
pub fn all_clean(value: &Value) -> bool {
    match value {
        Value::String(text) => is_clean(text),
        Value::Array(values) => values.iter().all(all_clean),
        Value::Object(fields) => fields.iter().all(|(name, value)| is_clean(name) && all_clean(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
    }
}

/// Whether a text stays on one line, too, as the name of a task does.
pub fn is_line(text: &str) -> bool {
    !text.chars().any(char::is_control)
}
