//! What a task asks of the machine: threads, memory, time, places in pools, further tries.

use crate::pipeline::expand::instance::is_name;
use crate::pipeline::expand::interpolate::Scope;
use crate::pipeline::spec::unknown;
use crate::pipeline::yaml::node::{Entry, Node, what_value};
use crate::pipeline::yaml::sink::Sink;
use onsager_tables::names::did_you_mean;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;

/// What a task asks of the machine. None of it enters the key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Resources {
    /// At least 1, the default.
    pub threads: usize,
    /// In bytes; a task that takes more is ended.
    pub memory: Option<u64>,
    /// The longest that the task may run.
    pub time: Option<Duration>,
    /// What happens after a failure; none when it is final.
    pub retries: Option<Retries>,
    /// How many places it takes of which pools.
    pub pools: Vec<(String, u32)>,
    /// The profile of `onsager.toml` that it runs on; none for the one that the run is given.
    #[serde(default)]
    pub on: Option<String>,
}

/// Further tries after a failure, each after a longer wait.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Retries {
    /// How often the task is tried again.
    pub times: u32,
    /// Before the first of these tries.
    pub wait: Duration,
    /// How many times longer each further wait is.
    pub factor: f64,
    /// No wait is longer.
    pub longest: Duration,
}

impl Default for Retries {
    fn default() -> Retries {
        Retries { times: 0, wait: Duration::from_secs(10), factor: 2.0, longest: Duration::from_secs(300) }
    }
}

impl Default for Resources {
    fn default() -> Resources {
        Resources { threads: 1, memory: None, time: None, retries: None, pools: Vec::new(), on: None }
    }
}

/// The fields of `resources`; further ones are the names of pools.
pub const FIELDS: [&str; 5] = ["threads", "memory", "time", "retries", "on"];
/// The fields of `retries`.
const RETRY_FIELDS: [&str; 4] = ["times", "wait", "factor", "longest"];
/// A larger number is a mistake.
const MOST: u64 = 1 << 16;

const WHOLE: &str = "write a whole number of at least 1";
const TIME: &str = "write numbers with units, like `90s`, `30m`, `1h30m` or `2d`";

/// Reads the sizes of a pipeline's pools; what is wrong is reported.
pub fn pools(entries: &[Entry], scope: &Scope, sink: &Sink) -> Vec<(String, u32)> {
    let mut pools = Vec::new();
    for entry in entries {
        if !is_name(&entry.key) {
            let help = "use letters, digits, `_` and `-`, starting with a letter";
            sink.help(entry.span, format!("`{}` cannot be the name of a pool", entry.key), help);
        } else if FIELDS.contains(&entry.key.as_str()) {
            let message = format!("`{}` cannot be the name of a pool: it is a resource already", entry.key);
            sink.help(entry.span, message, "give the pool another name");
        }
        if let Some(value) = sound(entry, scope, sink) {
            let size = whole(&value);
            refuse(entry, &value, size.is_some(), WHOLE, sink);
            // An entry that is wrong counts as declared, so that its uses are not reported as well.
            pools.push((entry.key.clone(), size.unwrap_or(u32::MAX)));
        }
    }
    pools
}

/// Reads the `resources` of a stage for one instance; what is wrong is reported.
pub fn read(node: &Node, pools: &[(String, u32)], scope: &Scope, sink: &Sink) -> Resources {
    let mut resources = Resources::default();
    for entry in node.entries().unwrap_or_default() {
        let field = entry.key.as_str();
        let pool = pools.iter().find(|(name, _)| name == field);
        if pool.is_none() && !FIELDS.contains(&field) {
            let names = FIELDS.into_iter().chain(pools.iter().map(|(name, _)| name.as_str()));
            let help = did_you_mean(field, names, "the fields of `resources` are");
            let help =
                help.unwrap_or_default() + "; a pool is declared at the top of the file: `pools: {gpu: 1}`";
            sink.help(entry.span, format!("unknown field `{field}`"), help);
            continue;
        }
        let Some(value) = sound(entry, scope, sink) else { continue };
        match (field, pool) {
            (_, Some((name, size))) => {
                let wanted = whole(&value);
                refuse(entry, &value, wanted.is_some(), WHOLE, sink);
                let wanted = wanted.unwrap_or(1);
                if wanted > *size {
                    let message = format!("pool `{name}` has {size}, but {wanted} are asked for");
                    sink.help(
                        entry.value.span,
                        message,
                        format!("ask for at most {size}, or enlarge it under `pools`"),
                    );
                }
                resources.pools.push((name.clone(), wanted));
            }
            ("threads", _) => {
                let threads = whole(&value);
                resources.threads = threads.unwrap_or(1) as usize;
                refuse(entry, &value, threads.is_some(), WHOLE, sink);
            }
            ("memory", _) => {
                resources.memory = value.as_str().and_then(memory);
                let help = "write a number with a unit, like `512MiB`, `1.5GiB` or `2GB`";
                refuse(entry, &value, resources.memory.is_some(), help, sink);
            }
            ("retries", _) => resources.retries = retries(entry, &value, scope, sink),
            ("on", _) => {
                resources.on = value.as_str().filter(|name| is_name(name)).map(str::to_owned);
                let help = "write the name of a profile of onsager.toml, like `gpu` for `[on.gpu]`";
                refuse(entry, &value, resources.on.is_some(), help, sink);
            }
            _ => {
                resources.time = value.as_str().and_then(time);
                refuse(entry, &value, resources.time.is_some(), TIME, sink);
            }
        }
    }
    resources
}

/// `3`, or `{times: 3, wait: 10s, factor: 2, longest: 5m}`.
fn retries(entry: &Entry, value: &Value, scope: &Scope, sink: &Sink) -> Option<Retries> {
    const NUMBER: &str = "write how often to try again, like `3`, or `{times: 3, wait: 10s}`";
    let count = |value: &Value| value.as_u64().filter(|&times| times <= MOST).map(|times| times as u32);
    let mut retries = Retries::default();
    let Some(entries) = entry.value.entries().filter(|_| value.is_object()) else {
        retries.times = count(value).unwrap_or(0);
        refuse(entry, value, count(value).is_some(), NUMBER, sink);
        return Some(retries);
    };
    for field in entries {
        if !RETRY_FIELDS.contains(&field.key.as_str()) {
            unknown(field, &RETRY_FIELDS, "`retries`", sink);
            continue;
        }
        let Some(value) = sound(field, scope, sink) else { continue };
        match field.key.as_str() {
            "times" => {
                retries.times = count(&value).unwrap_or(0);
                refuse(field, &value, count(&value).is_some(), "write a whole number", sink);
            }
            "factor" => {
                let factor = value.as_f64().filter(|factor| (1.0..=100.0).contains(factor));
                retries.factor = factor.unwrap_or(retries.factor);
                refuse(field, &value, factor.is_some(), "write a number from 1 to 100", sink);
            }
            name => {
                let wait = value.as_str().and_then(time);
                refuse(field, &value, wait.is_some(), TIME, sink);
                let slot = if name == "wait" { &mut retries.wait } else { &mut retries.longest };
                *slot = wait.unwrap_or(*slot);
            }
        }
    }
    if !entries.iter().any(|field| field.key == "times") {
        sink.help(entry.span, "`retries` does not say how often", "add `times: 3`");
    }
    Some(retries)
}

/// The value of an entry, unless something is wrong with it that is reported already.
fn sound(entry: &Entry, scope: &Scope, sink: &Sink) -> Option<Value> {
    let mut sound = true;
    scope.value(&entry.value, sink, &mut sound).filter(|_| sound)
}

/// Reports a value that is not `ok`.
fn refuse(entry: &Entry, value: &Value, ok: bool, help: &str, sink: &Sink) {
    if !ok {
        let span = if value.is_null() { entry.span } else { entry.value.span };
        sink.help(span, format!("`{}` cannot be {}", entry.key, what_value(value)), help);
    }
}

fn whole(value: &Value) -> Option<u32> {
    value.as_u64().filter(|&number| number > 0 && number <= MOST).map(|number| number as u32)
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
