//! What a task asks of the machine: threads, memory, time.

use super::interpolate::Scope;
use super::node::{Node, what_value};
use super::sink::Sink;
use super::spec::unknown;
use std::time::Duration;

/// What a task asks of the machine. None of it enters the key.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Resources {
    /// At least 1, the default.
    pub threads: usize,
    /// In bytes.
    pub memory: Option<u64>,
    /// The longest that the task may run.
    pub time: Option<Duration>,
}

impl Default for Resources {
    fn default() -> Resources {
        Resources { threads: 1, memory: None, time: None }
    }
}

/// The fields of `resources`.
pub const FIELDS: [&str; 3] = ["threads", "memory", "time"];

/// Reads the `resources` of a stage for one instance; what is wrong is reported.
pub fn read(node: &Node, scope: &Scope, sink: &Sink) -> Resources {
    let mut resources = Resources::default();
    for entry in node.entries().unwrap_or_default() {
        if !FIELDS.contains(&entry.key.as_str()) {
            unknown(entry, &FIELDS, "`resources`", sink);
            continue;
        }
        let mut sound = true;
        let Some(value) = scope.value(&entry.value, sink, &mut sound) else { continue };
        if !sound {
            continue;
        }
        let (ok, help) = match entry.key.as_str() {
            "threads" => {
                let threads = value.as_u64().filter(|&threads| threads > 0 && threads <= 1 << 16);
                resources.threads = threads.unwrap_or(1) as usize;
                (threads.is_some(), "write a whole number of at least 1")
            }
            "memory" => {
                resources.memory = value.as_str().and_then(memory);
                (resources.memory.is_some(), "write a number with a unit, like `512MiB`, `1.5GiB` or `2GB`")
            }
            _ => {
                resources.time = value.as_str().and_then(time);
                (resources.time.is_some(), "write numbers with units, like `90s`, `30m`, `1h30m` or `2d`")
            }
        };
        if !ok {
            let span = if value.is_null() { entry.span } else { entry.value.span };
            sink.help(span, format!("`{}` cannot be {}", entry.key, what_value(&value)), help);
        }
    }
    resources
}

/// The number at the start of a text, with what follows it.
fn number(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    Some((text[..end].parse().ok()?, text[end..].trim_start()))
}

/// `512MiB`, `1.5 GiB`, `2GB`, in bytes; at least one.
pub fn memory(text: &str) -> Option<u64> {
    let (number, unit) = number(text.trim())?;
    let unit = match unit.to_ascii_lowercase().as_str() {
        "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "tb" => 1e12,
        "kib" | "k" => 1024.0,
        "mib" | "m" => 1024.0 * 1024.0,
        "gib" | "g" => 1024.0 * 1024.0 * 1024.0,
        "tib" | "t" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    let bytes = number * unit;
    (bytes >= 1.0 && bytes < (1u64 << 60) as f64).then_some(bytes as u64)
}

/// `90s`, `1h30m`, `1.5h`, `2d`; longer than nothing.
pub fn time(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let (number, after) = number(rest)?;
        let end = after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len());
        seconds += number
            * match &after[..end] {
                "s" => 1.0,
                "m" | "min" => 60.0,
                "h" => 3600.0,
                "d" => 86_400.0,
                _ => return None,
            };
        rest = after[end..].trim_start();
    }
    if seconds <= 0.0 || seconds > 1e9 {
        return None;
    }
    Duration::try_from_secs_f64(seconds).ok()
}

/// The same as JSON Schema patterns.
pub const MEMORY_PATTERN: &str = r"^\s*[0-9.]+\s*([kKmMgGtT]([iI]?[bB])?|[bB])\s*$";
pub const TIME_PATTERN: &str = r"^\s*([0-9.]+\s*(s|m|min|h|d)\s*)+$";
