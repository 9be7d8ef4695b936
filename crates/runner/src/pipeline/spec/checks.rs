//! What a kind says about its parameters, brought to the place in the file.

use crate::kind::registry::{Kind, ParamError, Parsed};
use crate::pipeline::yaml::node::{Node, Yaml};
use crate::pipeline::yaml::sink::{Sink, Span};
use onsager_tables::names::did_you_mean;
use serde_json::Value;

/// The kind's check stops at its first type error; the field is taken out and the check repeated, at most this often.
const ROUNDS: usize = 100;

/// Where the parameters of a task stand.
pub struct Site<'a> {
    /// The mapping that holds them, if there is one.
    pub node: Option<&'a Node>,
    /// The place to show when a parameter is missing.
    pub span: Span,
    /// The task, for what holds for one instance only.
    pub task: &'a str,
}

/// Lets the kind parse the parameters and reports everything that it refuses. `complete` is false when values had to be left out
/// because of errors reported already. The outcome is none unless all is well.
pub fn parse(kind: &dyn Kind, mut params: Value, complete: bool, site: &Site, sink: &Sink) -> Option<Parsed> {
    let mut sound = complete;
    for _ in 0..ROUNDS {
        match kind.parse(&params) {
            Ok(parsed) => {
                for issue in &parsed.issues {
                    let message = if issue.field.is_empty() {
                        format!("the parameters do not fit: {}", issue.message)
                    } else {
                        format!("`{}` {}", issue.field, issue.message)
                    };
                    site.report(&issue.field, issue.part.as_deref(), message, issue.help.clone(), sink);
                }
                return (sound && parsed.issues.is_empty()).then_some(parsed);
            }
            Err(error) => {
                let missing = error.message.starts_with("missing field");
                if !missing || sound {
                    let (message, help) = explain(kind, &error);
                    site.report(&error.field, None, message, help, sink);
                }
                sound = false;
                if missing || !remove_field(&mut params, &error.field) {
                    return None;
                }
            }
        }
    }
    None
}

impl Site<'_> {
    fn report(&self, field: &str, part: Option<&str>, message: String, help: Option<String>, sink: &Sink) {
        let Some(node) = self.node else {
            return sink.add(Some(self.span), message, help);
        };
        let path = steps(field);
        let mut span = node.locate(path.iter().map(String::as_str));
        if span == node.span {
            span = self.span;
        }
        // An unknown field: its name is what is wrong, not its value.
        if message.starts_with("unknown parameter") {
            span = key_span(node, &path).unwrap_or(span);
        }
        if let Some(part) = part {
            span = sink.narrow(span, part);
        }
        let written = sink.text(span).trim_matches(['"', '\'']);
        let help = help.or_else(|| {
            (written.contains("${")).then(|| format!("the value comes from `{written}` in `{}`", self.task))
        });
        sink.add(Some(span), message, help);
    }
}

/// The place of the key at a path.
fn key_span(node: &Node, path: &[String]) -> Option<Span> {
    let (last, parents) = path.split_last()?;
    let mut node = node;
    for step in parents {
        node = match &node.value {
            Yaml::List(items) => items.get(step.parse::<usize>().ok()?)?,
            _ => &node.get(step)?.value,
        };
    }
    node.get(last).map(|entry| entry.span)
}

/// `layers[0].x` as `layers`, `0`, `x`.
fn steps(path: &str) -> Vec<String> {
    path.split(['.', '['])
        .map(|step| step.trim_end_matches(']').to_owned())
        .filter(|s| !s.is_empty())
        .collect()
}

/// Removes the field at a path, or the field that holds the list which the path goes into. False if there is none.
fn remove_field(params: &mut Value, path: &str) -> bool {
    let steps = steps(path);
    let mut depth = 0;
    let mut value = &*params;
    while let (Some(step), Value::Object(map)) = (steps.get(depth), value) {
        let Some(inner) = map.get(step) else { break };
        value = inner;
        depth += 1;
    }
    let Some((last, parents)) = steps[..depth].split_last() else { return false };
    let mut value = params;
    for step in parents {
        match value.get_mut(step) {
            Some(inner) => value = inner,
            None => return false,
        }
    }
    value.as_object_mut().is_some_and(|map| map.shift_remove(last).is_some())
}

/// A message of serde in the words of the file, with advice.
fn explain(kind: &dyn Kind, error: &ParamError) -> (String, Option<String>) {
    let message = error.message.as_str();
    let message = message.split(" at line ").next().unwrap_or(message);
    let field =
        if error.field.is_empty() { "the parameters".to_owned() } else { format!("`{}`", error.field) };
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    if message.starts_with("missing field") {
        let prefix = if error.field.is_empty() { String::new() } else { format!("{}.", error.field) };
        let name = quoted.first().copied().unwrap_or_default();
        return (
            format!("parameter `{prefix}{name}` of kind `{}` is missing", kind.name()),
            Some(format!("add `{name}: …`; `onsager kinds {}` describes it", kind.name())),
        );
    }
    if message.starts_with("unknown field") {
        let (name, known) = quoted.split_first().map_or(("", &[][..]), |(name, known)| (*name, known));
        return (
            format!("unknown parameter `{name}` of kind `{}`", kind.name()),
            did_you_mean(name, known.iter().copied(), "the parameters are")
                .or_else(|| Some("remove it: there are no parameters".to_owned())),
        );
    }
    if message.starts_with("unknown variant") {
        let (name, known) = quoted.split_first().map_or(("", &[][..]), |(name, known)| (*name, known));
        return (
            format!("{field} cannot be `{name}`"),
            did_you_mean(name, known.iter().copied(), "it can be"),
        );
    }
    let parts = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))
        .and_then(|rest| rest.split_once(", expected "));
    match parts {
        Some((given, expected)) => (
            format!("{field} must be {}, but is {}", expected_in_words(expected), given_in_words(given)),
            None,
        ),
        None => (format!("{field}: {message}"), None),
    }
}

/// What serde expected, in words.
fn expected_in_words(expected: &str) -> &str {
    match expected {
        "f64" | "f32" => "a number",
        "usize" | "u64" | "u32" | "u16" | "u8" => "a whole number of at least 0",
        "isize" | "i64" | "i32" | "i16" | "i8" => "a whole number",
        "a boolean" => "`true` or `false`",
        "a string" => "text",
        "a sequence" => "a list",
        "a map" => "a mapping",
        other if other.starts_with("struct ") => "a mapping",
        other => other,
    }
}

/// What serde met, in words.
fn given_in_words(given: &str) -> String {
    if given == "null" || given == "unit value" || given == "Option value" {
        return "empty".to_owned();
    }
    for (prefix, word) in
        [("string ", "the text "), ("floating point ", "the number "), ("integer ", "the number ")]
    {
        if let Some(rest) = given.strip_prefix(prefix) {
            return format!("{word}{}", rest.replace('`', ""));
        }
    }
    match given {
        "sequence" => "a list".to_owned(),
        "map" => "a mapping".to_owned(),
        other => other.replace("boolean ", ""),
    }
}
