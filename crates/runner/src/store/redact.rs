//! What an export leaves out when it is not to tell of the machine.

use crate::store::actions::Action;
use crate::store::material::Material;
use serde_json::{Value, json};

/// An action record without its host, and without paths in what entered the key. Where there are any, the key can no longer be computed from
/// the rest; and nobody has signed the rest.
pub fn action(action: &Action) -> Action {
    let mut lines = action.lines().into_owned();
    lines.iter_mut().for_each(|(_, value)| *value = text(value));
    let mut redacted = Action { host: String::new(), proof: None, ..action.clone() };
    if lines != *action.lines() {
        redacted.preimage = Material::default();
        redacted.material = lines;
    }
    redacted
}

/// What stands for something that is left out.
const GONE: &str = "(left out)";

/// The record of a run without its host and who ran it how, without paths from the root of the file system on, and without the messages of failed tasks,
/// which may say anything. Lines that cannot be read are left out.
pub fn record(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let Ok(Value::Object(mut event)) = serde_json::from_slice(line) else { continue };
        for (field, value) in event.iter_mut() {
            match (field.as_str(), &mut *value) {
                ("host", value) => *value = json!(""),
                ("file" | "log" | "target", value) if !value.is_null() => *value = json!(GONE),
                ("message" | "help", value) if !value.is_null() => *value = json!(GONE),
                ("source" | "facts" | "job" | "worker", value) => *value = Value::Null,
                (_, value) => texts(value),
            }
        }
        out.extend(Value::Object(event).to_string().into_bytes());
        out.push(b'\n');
    }
    out
}

fn texts(value: &mut Value) {
    match value {
        Value::String(own) => *own = text(own),
        Value::Array(values) => values.iter_mut().for_each(texts),
        Value::Object(fields) => fields.values_mut().for_each(texts),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A text in which `(left out)` stands for every path from the root of the file system or from somebody's home on.
pub fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = None;
    while let Some(c) = rest.chars().next() {
        let begins =
            before.is_none_or(|before: char| before.is_whitespace() || "\"'`=:,;()[]{}<>|&".contains(before));
        let after = rest[c.len_utf8()..].chars().next();
        let is_path = match c {
            '/' => after.is_some_and(|after| after.is_alphanumeric() || "._~-".contains(after)),
            '~' => after.is_none_or(|after| after == '/' || after.is_alphanumeric()),
            _ => false,
        };
        let length = if begins && is_path { path_length(rest) } else { 0 };
        if length == 0 {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            out += GONE;
            rest = &rest[length..];
        }
        before = Some(c);
    }
    out
}

/// How many bytes the path has that a text begins with.
fn path_length(text: &str) -> usize {
    text.find(|c: char| c.is_whitespace() || "\"'`:,;()[]{}<>|&".contains(c)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_left_out_and_nothing_else() {
        for (before, after) in [
            ("/home/anna/data.csv", "(left out)"),
            (
                "python3 /opt/fit.py --in=/data/x.csv '~/y' > out",
                "python3 (left out) --in=(left out) '(left out)' > out",
            ),
            ("data/a.csv", "data/a.csv"),
            ("a / b, 1/2, s|/|x|", "a / b, 1/2, s|/|x|"),
            ("PATH=/usr/bin:/bin", "PATH=(left out):(left out)"),
            ("", ""),
        ] {
            assert_eq!(text(before), after);
        }
    }
}
