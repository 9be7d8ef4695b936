//! One point of a sweep, and its name.

use crate::pipeline::expand::instance;
use crate::pipeline::expand::instance::normal;
use crate::pipeline::experiments::overrides;
use crate::pipeline::spec;
use crate::pipeline::yaml::node::{Entry, Node, Yaml};
use crate::pipeline::yaml::sink::{Sink, Span};

/// A sweep beyond this is a mistake.
pub const POINTS: usize = 100_000;
/// A longer value is shown by its position.
const LABEL: usize = 60;

/// One point: what is laid over the pipeline.
#[derive(Debug, Clone, Default)]
pub struct Setting {
    /// `tubes=40,seed=1`.
    pub name: String,
    pub values: Vec<Entry>,
    /// Which point of the search it belongs to.
    pub search: Option<usize>,
}

impl Setting {
    /// The point `name` with these values.
    pub fn new(name: String, values: Vec<Entry>) -> Setting {
        Setting { name, values, search: None }
    }

    /// Both together.
    pub fn with(&self, more: &Setting) -> Setting {
        let comma = if self.name.is_empty() || more.name.is_empty() { "" } else { "," };
        let values = self.values.iter().chain(&more.values).cloned().collect();
        Setting {
            name: format!("{}{comma}{}", self.name, more.name),
            values,
            search: self.search.or(more.search),
        }
    }
}

/// `tubes=40`, or the position of a value that is too long for that.
pub fn named(key: &str, value: &Node, at: usize) -> String {
    format!("{key}={}", label(value, at))
}

/// A whole number, none where it is not given or is none.
pub fn whole(entry: &Entry, field: &str, sink: &Sink) -> Option<u64> {
    let entry = entry.value.get(field)?;
    let number = match &entry.value.value {
        Yaml::Number(number) => number.as_u64(),
        _ => None,
    };
    if number.is_none() {
        let message = format!("`{field}` must be a whole number, but is {}", entry.value.what());
        sink.error(spec::shown(entry), message);
    }
    number
}

/// Reports `${…}`: the name of a point could not be known.
pub fn literal(node: &Node, sink: &Sink) {
    match &node.value {
        Yaml::Text(text) if text.contains("${") => {
            sink.help(node.span, "a swept value cannot use `${…}`", "write the value itself");
        }
        Yaml::List(items) => items.iter().for_each(|item| literal(item, sink)),
        Yaml::Map(entries) => entries.iter().for_each(|entry| literal(&entry.value, sink)),
        _ => {}
    }
}

/// A value in the name of a point: itself, its `name`, or else its position from 1.
fn label(node: &Node, at: usize) -> String {
    let named = node.get("name").map_or(node, |entry| &entry.value);
    let text = match named.json() {
        Some(serde_json::Value::Number(number)) => normal(&number.to_string()),
        Some(value) => instance::plain(&value).unwrap_or_else(|| value.to_string()),
        None => String::new(),
    };
    if text.is_empty() || text.len() > LABEL || text.contains(['\n', '\0']) {
        return format!("#{}", at + 1);
    }
    text.replace('/', "%2F")
}

/// The place of the first setting of a key in the sweep.
pub fn place(points: &[Setting], key: &str) -> Option<Span> {
    let path = overrides::path(key);
    let values = points.first()?.values.iter();
    values.filter(|value| overrides::path(&value.key) == path).map(|value| value.span).next()
}
