//! The variables of the environment that a stage sets.

use crate::kind::fields::Field;
use crate::pipeline::expand::instance::plain;
use crate::pipeline::expand::interpolate::Scope;
use crate::pipeline::spec::Stage;
use crate::pipeline::yaml::node::what_value;
use crate::pipeline::yaml::sink::Sink;
use serde_json::{Map, Value};

/// Texts by name; numbers and truth values are text too.
pub fn read(stage: &Stage, scope: &Scope, sink: &Sink, sound: &mut bool) -> Option<Map<String, Value>> {
    let name = Field::Env.name();
    let entries = stage.node.get(name)?.value.entries()?;
    let mut map = Map::new();
    for entry in entries {
        let Some(value) = scope.value(&entry.value, sink, sound) else { continue };
        let nul = value.as_str().is_some_and(|text| text.contains('\0'));
        if entry.key.is_empty() || entry.key.contains(['=', '\0']) || nul {
            let (span, message) = match nul {
                true => {
                    (entry.value.span, format!("the value of `{name}.{}` has a NUL character", entry.key))
                }
                false => (
                    entry.span,
                    format!(
                        "`{}` cannot be the name of an environment variable",
                        entry.key.replace('\0', "\\0")
                    ),
                ),
            };
            sink.help(
                span,
                message,
                "a name has at least one character, and neither it nor a value has NUL, nor a name `=`",
            );
            *sound = false;
            continue;
        }
        match (plain(&value), &value) {
            (Some(text), Value::String(_) | Value::Number(_) | Value::Bool(_)) => {
                _ = map.insert(entry.key.clone(), Value::String(text))
            }
            _ => {
                let span = if value.is_null() { entry.span } else { entry.value.span };
                let message = format!("`{name}.{}` must be text, but is {}", entry.key, what_value(&value));
                sink.error(span, message);
                *sound = false;
            }
        }
    }
    Some(map)
}
