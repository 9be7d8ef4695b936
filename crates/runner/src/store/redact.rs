//! What an export leaves out when it is not to tell of the machine.

use crate::store::actions::Action;
use crate::store::material::Material;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What stands for something that is left out.
const GONE: &str = "(left out)";
/// A user, or a host, of this name is on every machine.
const NOBODY: [&str; 2] = ["root", "localhost"];
/// A shorter name of a host or a user is a word like any other.
const SHORTEST: usize = 3;

/// The names of hosts and users that are left out, besides paths from the root of the file system or from somebody's home on.
#[derive(Debug, Default)]
pub struct Redaction(BTreeSet<String>);

impl Redaction {
    /// Those that the record of a run and the records of its results tell.
    pub fn of<'a>(record: &[u8], actions: impl Iterator<Item = &'a Action>) -> Redaction {
        let mut names: BTreeSet<String> = actions.map(|action| action.host.clone()).collect();
        for line in record.split(|byte| *byte == b'\n') {
            let Ok(event) = serde_json::from_slice::<Value>(line) else { continue };
            let told = [&event["host"], &event["facts"]["user"], &event["job"]["node"]];
            names.extend(told.into_iter().filter_map(Value::as_str).map(str::to_owned));
        }
        names.retain(|name| name.len() >= SHORTEST && !NOBODY.contains(&name.as_str()));
        Redaction(names)
    }

    /// An action record without its host, and without paths and names in what entered the key. Where there are any, the key can no longer be
    /// computed from the rest; and nobody has signed the rest.
    pub fn action(&self, action: &Action) -> Action {
        let mut lines = action.lines().into_owned();
        lines.iter_mut().for_each(|(_, value)| *value = self.text(value));
        let mut redacted = Action { host: String::new(), proof: None, ..action.clone() };
        if lines != *action.lines() {
            redacted.preimage = Material::default();
            redacted.material = lines;
        }
        redacted
    }

    /// The record of a run without its host and who ran it how, without paths from the root of the file system on, and without the
    /// messages of failed tasks, which may say anything. Lines that cannot be read are left out.
    pub fn record(&self, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        for line in bytes.split(|byte| *byte == b'\n') {
            let Ok(Value::Object(mut event)) = serde_json::from_slice(line) else { continue };
            for (field, value) in event.iter_mut() {
                match (field.as_str(), &mut *value) {
                    ("host", value) => *value = json!(""),
                    ("file" | "log" | "target", value) if !value.is_null() => *value = json!(GONE),
                    ("message" | "help", value) if !value.is_null() => *value = json!(GONE),
                    ("source" | "description" | "facts" | "job" | "worker", value) => *value = Value::Null,
                    // Other records know them by these names.
                    ("event" | "at" | "run" | "pipeline", _) => {}
                    (_, value) => self.texts(value),
                }
            }
            out.extend(Value::Object(event).to_string().into_bytes());
            out.push(b'\n');
        }
        out
    }

    /// Leaves paths and names out of all texts of a value.
    pub fn texts(&self, value: &mut Value) {
        match value {
            Value::String(own) => *own = self.text(own),
            Value::Array(values) => values.iter_mut().for_each(|value| self.texts(value)),
            Value::Object(fields) => fields.values_mut().for_each(|value| self.texts(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// A text without paths and names.
    pub fn text(&self, text: &str) -> String {
        self.names(&without_paths(text))
    }

    /// A text without the names, where they stand alone.
    pub fn names(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for name in self.0.iter() {
            let mut out = String::with_capacity(text.len());
            let mut rest = text.as_str();
            while let Some(at) = rest.find(name.as_str()) {
                let (before, after) = (&rest[..at], &rest[at + name.len()..]);
                out += before;
                let joined = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
                let part = joined(out.chars().next_back()) || joined(after.chars().next());
                out += if part { name } else { GONE };
                rest = after;
            }
            out += rest;
            text = out;
        }
        text
    }
}

/// A text in which `(left out)` stands for every path from the root of the file system or from somebody's home on.
fn without_paths(text: &str) -> String {
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
            assert_eq!(without_paths(before), after);
        }
    }

    #[test]
    fn names_are_left_out_where_they_stand_alone() {
        let redaction = Redaction::of(br#"{"host": "node7", "facts": {"user": "anna"}}"#, [].into_iter());
        for (before, after) in [
            ("ssh anna@node7.example.org, please", "ssh (left out)@(left out).example.org, please"),
            ("savanna, annabel, node71", "savanna, annabel, node71"),
        ] {
            assert_eq!(redaction.text(before), after);
        }
    }
}
