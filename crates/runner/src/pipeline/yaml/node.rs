//! The YAML file as a tree whose keys and values know where they stand.

use crate::pipeline::yaml::sink::{Sink, Span};
use crate::pipeline::yaml::syntax;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};
use serde_yaml::Spanned;
use std::fmt;

/// The deepest nesting of lists and mappings.
const DEPTH: usize = 64;
/// What reading a file of that depth takes: some 50 KiB for each level.
const STACK: usize = 16 << 20;
/// A file of 100,000 stages fits several times; a file beyond it is not a pipeline.
const NODES: usize = 20_000_000;
/// The largest whole number that a float holds exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub span: Span,
    pub value: Yaml,
}

/// What YAML can say (1.2, core schema: `yes` and `on` are text).
#[derive(Debug, Clone, PartialEq)]
pub enum Yaml {
    Null,
    Bool(bool),
    Number(Number),
    /// `.inf` or `.nan`, which no parameter can be.
    NotFinite(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key of a mapping with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub key: String,
    /// Where the key stands.
    pub span: Span,
    pub value: Node,
}

impl Node {
    /// Parses one YAML document, the sink's text number `text`, which starts `skip` bytes into that text. Reports syntax errors and
    /// duplicate keys.
    pub fn parse(source: &str, text: u32, skip: u32, sink: &Sink) -> Option<Node> {
        // In a thread of its own, for that of the caller may have less room.
        let read = std::thread::scope(|scope| {
            match std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || read(source)) {
                Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                Err(_) => read(source),
            }
        });
        match read {
            Ok(mut node) => {
                node.normalize(source, text, skip, sink);
                Some(node)
            }
            Err(error) => {
                let start = skip + error.location().map_or(0, |location| offset(source, &location));
                let (message, help) = syntax::explain(&error, DEPTH);
                sink.add(Some(Span { text, start, end: start }), message, help.map(str::to_owned));
                None
            }
        }
    }

    /// Moves the spans to their text, reports duplicate keys and whole numbers that would be rounded, and makes whole numbers of `2e7`
    /// and the like: those who count particles write them so, and a float parameter takes a whole number as well. Zero below nothing
    /// (`-0e0`) stays a float. What is a number to the parser and not to the core schema (`1_000`, `0b11`) is text.
    fn normalize(&mut self, source: &str, text: u32, skip: u32, sink: &Sink) {
        let shift = |span: Span| Span { text, start: span.start + skip, end: span.end + skip };
        let written = source.get(self.span.start as usize..self.span.end as usize).unwrap_or_default();
        self.span = shift(self.span);
        match &mut self.value {
            Yaml::Number(_) | Yaml::NotFinite(_) if other_number(written) => {
                self.value = Yaml::Text(written.to_owned());
            }
            Yaml::Number(number) if number.is_f64() && is_whole(written) => self.too_large(written, sink),
            Yaml::Text(text) if text == written && is_whole(written) => self.too_large(written, sink),
            Yaml::Number(number) if number.is_f64() && written.contains(['e', 'E']) => {
                if let Some(float) = number.as_f64()
                    && float.trunc() == float
                    && float.abs() <= EXACT
                    && float.to_bits() != (-0.0f64).to_bits()
                {
                    *number = Number::from(float as i64);
                }
            }
            Yaml::List(items) => {
                for item in items {
                    item.normalize(source, text, skip, sink);
                }
            }
            Yaml::Map(entries) => {
                let mut seen = std::collections::HashSet::with_capacity(entries.len());
                for entry in entries.iter_mut() {
                    entry.span = shift(entry.span);
                    if !seen.insert(entry.key.as_str()) {
                        sink.help(
                            entry.span,
                            format!("`{}` is given twice", entry.key),
                            "remove one of the two, or rename it",
                        );
                    }
                    entry.value.normalize(source, text, skip, sink);
                }
            }
            _ => {}
        }
    }

    fn too_large(&self, written: &str, sink: &Sink) {
        let message = format!("`{written}` is too large for a whole number, which has at most 64 bits");
        let help = "put it in quotes to keep it as text, or write `1.5e30` for a number that is not exact";
        sink.help(self.span, message, help);
    }

    /// The value as it is written, `${…}` and all; none where it is no JSON (`.nan`).
    pub fn json(&self) -> Option<Value> {
        Some(match &self.value {
            Yaml::Null => Value::Null,
            Yaml::Bool(value) => Value::Bool(*value),
            Yaml::Number(number) => Value::Number(number.clone()),
            Yaml::NotFinite(_) => return None,
            Yaml::Text(text) => Value::String(text.clone()),
            Yaml::List(items) => Value::Array(items.iter().map(Node::json).collect::<Option<_>>()?),
            Yaml::Map(entries) => {
                let fields = entries.iter().map(|entry| Some((entry.key.clone(), entry.value.json()?)));
                Value::Object(fields.collect::<Option<_>>()?)
            }
        })
    }

    /// The entries, if this is a mapping.
    pub fn entries(&self) -> Option<&[Entry]> {
        match &self.value {
            Yaml::Map(entries) => Some(entries),
            _ => None,
        }
    }

    /// The items, if this is a list.
    pub fn items(&self) -> Option<&[Node]> {
        match &self.value {
            Yaml::List(items) => Some(items),
            _ => None,
        }
    }

    /// The text, if this is text.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Yaml::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value of a key, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.entries()?.iter().find(|entry| entry.key == key)
    }

    /// What this is, for messages: `a list`, `the number 3`.
    pub fn what(&self) -> String {
        match &self.value {
            Yaml::Null => "empty".to_owned(),
            Yaml::Bool(value) => format!("`{value}`"),
            Yaml::Number(number) => format!("the number {number}"),
            Yaml::NotFinite(number) => format!("{number}"),
            Yaml::Text(text) if text.chars().count() <= 40 => format!("the text \"{text}\""),
            Yaml::Text(_) => "text".to_owned(),
            Yaml::List(_) => "a list".to_owned(),
            Yaml::Map(_) => "a mapping".to_owned(),
        }
    }

    /// The node at a path of keys and list positions, as far as the path goes: the place to show for it.
    pub fn locate<'a>(&self, path: impl IntoIterator<Item = &'a str>) -> Span {
        let mut node = self;
        let mut span = None;
        for step in path {
            match &node.value {
                Yaml::Map(_) => match node.get(step) {
                    Some(entry) => {
                        node = &entry.value;
                        // An empty value has no text to point at.
                        span = Some(if node.value == Yaml::Null { entry.span } else { node.span });
                    }
                    None => break,
                },
                Yaml::List(items) => match step.parse().ok().and_then(|at: usize| items.get(at)) {
                    Some(item) => {
                        node = item;
                        span = Some(item.span);
                    }
                    None => break,
                },
                _ => break,
            }
        }
        span.unwrap_or(self.span)
    }
}

/// Whether this is a number to the parser alone: the core schema knows no `_` in numbers, no `0b11`, and no sign before `0x1f`.
fn other_number(written: &str) -> bool {
    let digits = written.trim_start_matches(['+', '-']);
    let signed = digits.len() < written.len();
    let is = |prefix: [&str; 2]| prefix.iter().any(|prefix| digits.starts_with(prefix));
    let begins = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    begins && (digits.contains('_') || is(["0b", "0B"]) || is(["0X", "0O"]) || signed && is(["0x", "0o"]))
}

/// Whether this is a whole number in the core schema, of any size. One with a leading zero is text.
fn is_whole(written: &str) -> bool {
    let all = |digits: &str, of: fn(&char) -> bool| !digits.is_empty() && digits.chars().all(|c| of(&c));
    if let Some(digits) = written.strip_prefix("0x") {
        return all(digits, char::is_ascii_hexdigit);
    }
    if let Some(digits) = written.strip_prefix("0o") {
        return all(digits, |c| matches!(c, '0'..='7'));
    }
    let digits = written.strip_prefix(['+', '-']).unwrap_or(written);
    all(digits, char::is_ascii_digit) && (digits == "0" || !digits.starts_with('0'))
}

/// What a JSON value is, for messages.
pub fn what_value(value: &Value) -> String {
    match value {
        Value::Null => "empty".to_owned(),
        Value::Bool(value) => format!("`{value}`"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the text \"{text}\""),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
    }
}

/// The tree of one document, its spans those of the parser.
fn read(source: &str) -> Result<Node, serde_yaml::Error> {
    let options = serde_yaml::options! {
        with_snippet: false,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        duplicate_keys: serde_yaml::options::DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: serde_yaml::options::NonFiniteFloatPolicy::PassThrough,
        budget: serde_yaml::budget! {
            max_depth: DEPTH,
            max_nodes: NODES,
            max_events: 2 * NODES,
            max_total_scalar_bytes: 1 << 30,
        },
    };
    serde_yaml::from_str_with_options(source, options)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Node, D::Error> {
        let spanned = Spanned::<Yaml>::deserialize(deserializer)?;
        Ok(Node { span: span(spanned.defined), value: spanned.value })
    }
}

/// The byte at which the line and column of a location stand.
fn offset(source: &str, location: &serde_yaml::Location) -> u32 {
    let line = location.line().saturating_sub(1) as usize;
    let start = match line {
        0 => 0,
        _ => source.match_indices('\n').nth(line - 1).map_or(source.len(), |(at, _)| at + 1),
    };
    let text = source[start..].lines().next().unwrap_or_default();
    let column = location.column().saturating_sub(1) as usize;
    (start + text.char_indices().nth(column).map_or(text.len(), |(at, _)| at)) as u32
}

/// The bytes of a location; [`Node::normalize`] moves them to their text.
fn span(location: serde_yaml::Location) -> Span {
    let span = location.span();
    let start = span.byte_offset().unwrap_or(0) as u32;
    Span { text: 0, start, end: start + span.byte_len().unwrap_or(0) as u32 }
}

impl<'de> Deserialize<'de> for Yaml {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Yaml, D::Error> {
        deserializer.deserialize_any(YamlVisitor)
    }
}

struct YamlVisitor;

impl<'de> Visitor<'de> for YamlVisitor {
    type Value = Yaml;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Null)
    }

    fn visit_none<E>(self) -> Result<Yaml, E> {
        Ok(Yaml::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Yaml, E> {
        Ok(Yaml::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Yaml, E> {
        Ok(Yaml::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Yaml, E> {
        Ok(Yaml::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Yaml, E> {
        Ok(Number::from_f64(value).map_or(Yaml::NotFinite(value), Yaml::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Yaml, E> {
        Ok(Yaml::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Yaml, E> {
        Ok(Yaml::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Yaml, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Yaml::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Yaml, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let value = map.next_value()?;
            entries.push(Entry { key: key.value, span: span(key.defined), value });
        }
        Ok(Yaml::Map(entries))
    }
}
