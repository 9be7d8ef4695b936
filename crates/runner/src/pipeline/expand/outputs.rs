//! The outputs that a stage declares, and where they are written.

use crate::kind::fields::Field;
use crate::pipeline::expand::interpolate::Scope;
use crate::pipeline::spec::{self, Stage};
use crate::pipeline::yaml::node::what_value;
use crate::pipeline::yaml::sink::Sink;
use serde_json::{Map, Value};
use std::path::{Component, Path};

/// The longest name of a file that an output may have: those of temporary files beside it are longer.
const LONGEST: usize = 200;

/// The outputs by name: the file of each as text, or `{file: …, optional: true}`.
pub fn read(stage: &Stage, scope: &Scope, sink: &Sink, sound: &mut bool) -> Option<Map<String, Value>> {
    let entries = stage.node.get(Field::Outputs.name())?.value.entries()?;
    let mut map = Map::new();
    for entry in entries {
        let Some(mut value) = scope.value(&entry.value, sink, sound) else { continue };
        let name = &entry.key;
        let before = sink.count();
        if let Some(fields) = value.as_object_mut() {
            for field in entry.value.entries().unwrap_or_default() {
                let wrong = match (field.key.as_str(), fields.get(&field.key)) {
                    (_, None) => continue,
                    ("file", Some(Value::String(_))) | ("optional", Some(Value::Bool(_))) => continue,
                    ("file", Some(other)) => format!("`file` must be text, but is {}", what_value(other)),
                    ("optional", Some(other)) => {
                        format!("`optional` must be `true` or `false`, but is {}", what_value(other))
                    }
                    _ => {
                        spec::unknown(field, &["file", "optional"], "an output", sink);
                        *sound = false;
                        continue;
                    }
                };
                sink.error(spec::shown(field), wrong);
                *sound = false;
            }
            if entry.value.get("file").is_none() {
                let message = format!("output `{name}` has no `file`");
                sink.help(
                    entry.span,
                    message,
                    format!("write `{name}: {{file: {name}.txt, optional: true}}`"),
                );
                *sound = false;
            }
            // Written out, the default is the short form: the key is the same.
            if fields.get("optional") != Some(&Value::Bool(true))
                && let Some(file) = fields.get("file").cloned()
            {
                value = file;
            }
        }
        if sink.count() > before {
            continue;
        }
        if !matches!(value, Value::String(_) | Value::Object(_)) {
            let span = if value.is_null() { entry.span } else { entry.value.span };
            let message = format!("`outputs.{name}` must be text, but is {}", what_value(&value));
            sink.help(
                span,
                message,
                format!("write `{name}: file.txt`, or `{name}: {{file: file.txt, optional: true}}`"),
            );
            *sound = false;
            continue;
        }
        map.insert(name.clone(), value);
    }
    Some(map)
}

/// Checks where the outputs, as names and files, are written.
pub fn check(stage: &Stage, outputs: &[(&str, &str)], sink: &Sink) -> bool {
    let declared = stage.node.get("outputs").filter(|_| stage.fields.has(Field::Outputs));
    let before = sink.count();
    for (at, &(name, file)) in outputs.iter().enumerate() {
        let span = || match declared {
            Some(entry) => entry.value.locate([name]),
            None => stage.kind.map_or(stage.span, |(_, span)| span),
        };
        if !inside(file) {
            sink.help(
                span(),
                format!("output `{name}` cannot be written to `{file}`"),
                "give a path inside the stage's folder, without `..` and with names of at most 200 bytes: `plot.png`",
            );
        } else if let Some((other, _)) = outputs[..at].iter().find(|(_, other)| overlap(other, file)) {
            sink.help(
                span(),
                format!("outputs `{other}` and `{name}` are written to the same place"),
                "give each a file of its own",
            );
        }
    }
    sink.count() == before
}

/// Whether a path stays in the folder that it starts from, and names something there.
pub fn inside(file: &str) -> bool {
    let path = Path::new(file);
    path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
        && path.file_name().is_some()
        && !file.contains(['\0', '\n'])
        && path.components().all(|part| part.as_os_str().len() <= LONGEST)
}

/// Whether two paths are the same or one is inside the other.
fn overlap(a: &str, b: &str) -> bool {
    let normal = |path| {
        let parts = Path::new(path).components().filter(|part| matches!(part, Component::Normal(_)));
        parts.map(Component::as_os_str).collect::<Vec<_>>()
    };
    let (a, b) = (normal(a), normal(b));
    a.iter().zip(&b).all(|(a, b)| a == b)
}
