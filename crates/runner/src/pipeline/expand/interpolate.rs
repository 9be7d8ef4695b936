//! `${params.x}` and `${matrix.x}` in the values of a pipeline.
//!
//! A value that is one `${…}` and nothing else takes the type of what it names; inside longer text it is written out. `$${` is a
//! literal `${`. In a script each value is quoted as its place asks for.

use crate::command::shell::Language;
use crate::command::shell::fill::{self, fill};
use crate::kind::fields::Field;
use crate::kind::registry::Registry;
use crate::pipeline::expand::instance::{Instance, plain};
use crate::pipeline::yaml::node::{Entry, Node, Yaml, what_value};
use crate::pipeline::yaml::sink::{Sink, Span};
use onsager_tables::names::{did_you_mean, either};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// The beginning of a name that is a value itself: a parameter that an `include` gives, in the place where the template uses it.
pub const GIVEN: &str = "given:";

/// A name that is this value.
pub fn given(value: &Value) -> String {
    let digits: String = value.to_string().bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{GIVEN}{digits}")
}

/// The value that a name is, if it is one.
pub fn given_value(name: &str) -> Option<Value> {
    let digits = name.strip_prefix(GIVEN)?;
    let bytes: Option<Vec<u8>> = (0..digits.len() / 2)
        .map(|at| u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok())
        .collect();
    serde_json::from_slice(&bytes?).ok()
}

/// What the names in `${…}` stand for.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// The kinds, whose stages may have texts that name inputs and outputs.
    pub registry: &'a Registry,
    /// The pipeline's parameters, as far as they are known here.
    pub params: &'a Map<String, Value>,
    /// The parameters that are declared, known or not.
    pub declared: &'a [Entry],
    /// The coordinates of the instance; none where the matrix cannot be used.
    pub instance: Option<&'a Instance>,
    /// The inputs and outputs that the text may name; they are left in it for the stage itself to fill in.
    pub files: Option<Files<'a>>,
}

/// The names of a stage's inputs and outputs, and whether it has a checkpoint.
#[derive(Clone, Copy)]
pub struct Files<'a> {
    pub checkpoint: bool,
    pub inputs: &'a [&'a str],
    pub outputs: &'a [&'a str],
}

impl Scope<'_> {
    /// The node as JSON with every `${…}` filled in. Parts that cannot be are reported and left out; `sound` turns false.
    pub fn value(&self, node: &Node, sink: &Sink, sound: &mut bool) -> Option<Value> {
        self.fill(node, &mut LARGEST.clone(), sink, sound)
    }

    /// Text with every `${…}` filled in; errors are reported.
    pub fn text(&self, text: &str, span: Span, sink: &Sink) -> Option<Value> {
        self.fill_text(text, span, &mut LARGEST.clone(), sink)
    }

    /// `left` is how much may still be filled in.
    fn fill(&self, node: &Node, left: &mut usize, sink: &Sink, sound: &mut bool) -> Option<Value> {
        match &node.value {
            Yaml::Null => Some(Value::Null),
            Yaml::Bool(value) => Some(Value::Bool(*value)),
            Yaml::Number(number) => Some(Value::Number(number.clone())),
            Yaml::NotFinite(_) => {
                let message = format!("a parameter cannot be the number `{}`", sink.text(node.span).trim());
                sink.help(node.span, message, "put it in quotes to keep it as text");
                *sound = false;
                None
            }
            Yaml::Text(text) => {
                let value = self.fill_text(text, node.span, left, sink);
                *sound &= value.is_some();
                value
            }
            Yaml::List(items) => {
                Some(items.iter().filter_map(|item| self.fill(item, left, sink, sound)).collect())
            }
            Yaml::Map(entries) => {
                let mut map = Map::with_capacity(entries.len());
                for entry in entries {
                    if let Some(value) = self.fill(&entry.value, left, sink, sound) {
                        map.insert(entry.key.clone(), value);
                    }
                }
                Some(Value::Object(map))
            }
        }
    }

    fn fill_text(&self, text: &str, span: Span, left: &mut usize, sink: &Sink) -> Option<Value> {
        if !text.contains("${") {
            return Some(Value::String(text.to_owned()));
        }
        if let Some(name) = whole(text) {
            return match self.name(name, span, sink)? {
                Found::Value(value) => {
                    take(size(&value, *left), left, name, span, sink)?;
                    Some(value.into_owned())
                }
                Found::Open => None,
                Found::Kept => Some(Value::String(text.to_owned())),
            };
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        let mut sound = true;
        while let Some(at) = rest.find("${") {
            if rest[..at].ends_with('$') {
                out.push_str(&rest[..at - 1]);
                out.push_str("${");
                rest = &rest[at + 2..];
                continue;
            }
            out.push_str(&rest[..at]);
            let Some(end) = rest[at..].find('}') else {
                return not_closed(&rest[at..], span, sink);
            };
            let name = &rest[at + 2..at + end];
            match self.name(name, span, sink) {
                Some(Found::Kept) => out.push_str(&rest[at..=at + end]),
                Some(Found::Open) => sound = false,
                Some(Found::Value(value)) => match plain(&value) {
                    Some(text) => {
                        take(text.len(), left, name, span, sink)?;
                        out.push_str(&text);
                    }
                    None => {
                        not_text(name, &value, span, sink);
                        sound = false;
                    }
                },
                None => sound = false,
            }
            rest = &rest[at + end + 1..];
        }
        out.push_str(rest);
        sound.then_some(Value::String(out))
    }

    /// A script with the values of parameters and axes, quoted; the paths stay for the stage itself to fill in.
    pub fn script(&self, text: &str, span: Span, language: &Language, sink: &Sink) -> Option<String> {
        let text = self.raw(text, span, sink)?;
        let mut rest = text.as_str();
        while let Some(at) = rest.find("${") {
            let escaped = rest[..at].ends_with('$');
            let end = if escaped { Some(at + 1) } else { rest[at..].find('}').map(|end| at + end) };
            let Some(end) = end else { return not_closed(&rest[at..], span, sink) };
            rest = &rest[end + 1..];
        }
        let alone = whole(text.trim()).filter(|_| *language == Language::Shell);
        let find = |name: &str| match self.name(name, span, sink)? {
            Found::Kept => Some(fill::Found::Later),
            Found::Open => None,
            Found::Value(value)
                if alone.is_some() && value.as_str().is_some_and(|text| text.contains(' ')) =>
            {
                let message = format!("`${{{name}}}` is one word, which would be the name of a program");
                let help = format!("write `${{raw:{name}}}` for text that is shell on purpose");
                sink.help(sink.narrow(span, &format!("${{{name}}}")), message, help);
                None
            }
            Found::Value(value) => match words(&value) {
                Some(words) => Some(fill::Found::Texts(words.into_iter().map(String::into_bytes).collect())),
                None => {
                    not_text(name, &value, span, sink);
                    None
                }
            },
        };
        match fill(&text, language, true, find)? {
            Ok(filled) => Some(String::from_utf8_lossy(&filled).into_owned()),
            Err(error) => {
                sink.help(sink.narrow(span, &error.written), error.reason.to_string(), error.reason.help());
                None
            }
        }
    }

    /// The script with what is put into it as it is: `${raw:params.x}`.
    fn raw(&self, text: &str, span: Span, sink: &Sink) -> Option<String> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        let mut sound = true;
        while let Some(at) = rest.find("${raw:") {
            let Some(end) = rest[at..].find('}').filter(|_| !rest[..at].ends_with('$')) else {
                out.push_str(&rest[..at + 2]);
                rest = &rest[at + 2..];
                continue;
            };
            out.push_str(&rest[..at]);
            let name = &rest[at + 6..at + end];
            match self.name(name, span, sink) {
                Some(Found::Value(value)) => match words(&value) {
                    Some(words) => {
                        out.push_str(&String::from_utf8_lossy(&fill::escape(words.join(" ").as_bytes())));
                    }
                    None => {
                        not_text(&format!("raw:{name}"), &value, span, sink);
                        sound = false;
                    }
                },
                Some(Found::Kept) => {
                    let message = format!("`${{raw:{name}}}` is a path, which is always quoted");
                    sink.help(
                        sink.narrow(span, &rest[at..=at + end]),
                        message,
                        format!("write `${{{name}}}`"),
                    );
                    sound = false;
                }
                Some(Found::Open) | None => sound = false,
            }
            rest = &rest[at + end + 1..];
        }
        out.push_str(rest);
        sound.then_some(out)
    }

    /// What a name inside `${…}` stands for.
    fn name(&self, name: &str, span: Span, sink: &Sink) -> Option<Found<'_>> {
        let written = format!("${{{name}}}");
        let fail = |message: String, help: Option<String>| {
            sink.add(Some(sink.narrow(span, &written)), message, help);
            None
        };
        if let Some(given) = given_value(name) {
            return match given {
                Value::String(text) => {
                    self.text(&text, span, sink).map(|value| Found::Value(Cow::Owned(value)))
                }
                value => Some(Found::Value(Cow::Owned(value))),
            };
        }
        let (scope, path) = name.split_once('.').unwrap_or((name, ""));
        match (scope, path) {
            ("params", path) if !path.is_empty() => match lookup_params(self.params, path) {
                Ok(value) => Some(Found::Value(Cow::Borrowed(value))),
                Err((step, _))
                    if !self.params.contains_key(step) && self.declared.iter().any(|e| e.key == step) =>
                {
                    // Not known although declared: declared later, or wrong and reported already.
                    let declared = self.declared.iter().find(|entry| entry.key == step);
                    if self.instance.is_some()
                        || declared.is_some_and(|entry| sink.is_wrong(entry.value.span))
                    {
                        return None;
                    }
                    fail(
                        format!("`{written}` is used before it is known"),
                        Some(format!("declare `{step}` before this")),
                    )
                }
                Err((step, names)) => fail(
                    format!("`{written}` names no parameter of the pipeline"),
                    did_you_mean(step, names, "there are")
                        .or_else(|| Some(format!("declare `{step}` under `params`, before it is used"))),
                ),
            },
            ("matrix", path) if !path.is_empty() => {
                let Some(instance) = self.instance else {
                    return fail(
                        format!("`{written}` cannot be used here"),
                        Some("only `${params.…}` can".to_owned()),
                    );
                };
                let (axis, path) = path.split_once('.').unwrap_or((path, ""));
                let Some(coordinate) = instance.get(axis) else {
                    let axes = instance.coordinates.iter().map(|coordinate| &*coordinate.axis);
                    return fail(
                        format!("`{written}` names no axis of the stage's matrix"),
                        did_you_mean(axis, axes, "the axes are")
                            .or_else(|| Some(format!("give the stage `matrix: {{{axis}: [...]}}`"))),
                    );
                };
                if coordinate.open {
                    return Some(Found::Open);
                }
                if path.is_empty() {
                    return Some(Found::Value(Cow::Borrowed(&coordinate.value)));
                }
                match lookup(&coordinate.value, path) {
                    Ok(value) => Some(Found::Value(Cow::Borrowed(value))),
                    Err((step, names)) => fail(
                        format!(
                            "`{written}` names no field of `{axis}` where that is `{}`",
                            plain(&coordinate.label).unwrap_or_default()
                        ),
                        did_you_mean(step, names, "there are"),
                    ),
                }
            }
            ("env", variable) if !variable.is_empty() => match sink.variable(variable) {
                Some(value) => Some(Found::Value(Cow::Owned(Value::String(value)))),
                None => fail(
                    format!("`{written}` is not set in the environment, or is no text"),
                    Some(format!("set it: `export {variable}=…`, or make it a parameter")),
                ),
            },
            ("inputs" | "outputs", path) if !path.is_empty() => {
                let Some(files) = self.files else {
                    return fail(
                        format!("`{written}` cannot be used here"),
                        Some(format!(
                            "it can be in the `run` of a {} stage",
                            either(&self.registry.with_field(Field::Run))
                        )),
                    );
                };
                let names = if scope == "inputs" { files.inputs } else { files.outputs };
                if names.contains(&path) {
                    return Some(Found::Kept);
                }
                fail(
                    format!("`{written}` names no {} of the stage", &scope[..scope.len() - 1]),
                    did_you_mean(path, names.iter().copied(), "there are")
                        .or_else(|| Some(format!("declare `{path}` under `{scope}`"))),
                )
            }
            ("checkpoint", "") if self.files.is_some() => match self.files {
                Some(Files { checkpoint: true, .. }) => Some(Found::Kept),
                _ => fail(
                    "the stage has no checkpoint".to_owned(),
                    Some(
                        "declare it: `checkpoint: state/` for a folder, `checkpoint: state.bin` for a file"
                            .to_owned(),
                    ),
                ),
            },
            (raw, _) if raw.starts_with("raw:") => fail(
                format!("`{written}` cannot be used here"),
                Some(format!("write `${{{}}}`: only `run` has text that is quoted otherwise", &name[4..])),
            ),
            _ => fail(
                format!("`{written}` is not known"),
                Some(if self.params.contains_key(name) {
                    format!("did you mean `${{params.{name}}}`?")
                } else {
                    format!(
                        "write `${{params.…}}`, `${{matrix.…}}` or `${{env.…}}`, or `${written}` for a literal `{written}`"
                    )
                }),
            ),
        }
    }
}

/// The most that is filled into one value, in bytes of text: a few lines can say more than any memory holds, when each repeats
/// the one before ten times.
const LARGEST: usize = 1 << 20;

/// Counts what is filled in against what may be, of one value and of the whole pipeline.
fn take(bytes: usize, left: &mut usize, name: &str, span: Span, sink: &Sink) -> Option<()> {
    match left.checked_sub(bytes) {
        Some(rest) if sink.filled_in(bytes) => {
            *left = rest;
            Some(())
        }
        _ => {
            // It is told once for a value.
            if std::mem::take(left) == 0 {
                return None;
            }
            let place = sink.narrow(span, &format!("${{{name}}}"));
            let help = "does it repeat itself? give a long text to stages as an input `{file: …}`";
            sink.help(place, format!("`${{{name}}}` makes this value larger than 1 MiB"), help);
            None
        }
    }
}

/// About how much a value takes; beyond `enough` it is not looked at any further.
fn size(value: &Value, enough: usize) -> usize {
    fn add(value: &Value, sum: &mut usize, enough: usize) {
        *sum += match value {
            Value::String(text) => text.len() + 1,
            Value::Object(map) => map.keys().map(|key| key.len() + 1).sum::<usize>() + 1,
            _ => 8,
        };
        if *sum <= enough {
            match value {
                Value::Array(items) => items.iter().for_each(|item| add(item, sum, enough)),
                Value::Object(map) => map.values().for_each(|item| add(item, sum, enough)),
                _ => {}
            }
        }
    }
    let mut sum = 0;
    add(value, &mut sum, enough);
    sum
}

enum Found<'a> {
    Value(Cow<'a, Value>),
    /// An input or output, which stays in the text.
    Kept,
    /// An item that is not known yet: nothing is wrong, and there is no value.
    Open,
}

/// The words that a value is in a script: one for each item of a list.
fn words(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(items) => items.iter().map(plain).collect(),
        value => Some(vec![plain(value)?]),
    }
}

fn not_text(name: &str, value: &Value, span: Span, sink: &Sink) {
    let what = match name.contains(GIVEN) {
        true => "a parameter of an included file".to_owned(),
        false => format!("`${{{name}}}`"),
    };
    sink.help(
        sink.narrow(span, &format!("${{{name}}}")),
        format!("{what} is {}, which cannot stand inside text", what_value(value)),
        "let it be the whole value, or name one of its fields",
    );
}

fn not_closed<T>(rest: &str, span: Span, sink: &Sink) -> Option<T> {
    let place = sink.narrow(span, rest);
    let place = Span { end: place.end.min(place.start + 2), ..place };
    sink.help(place, "`${` is not closed", "write `${params.name}`, or `$${` for a literal `${`");
    None
}

/// The name, if the text is one `${…}` and nothing else.
fn whole(text: &str) -> Option<&str> {
    let name = text.strip_prefix("${")?.strip_suffix('}')?;
    (!name.contains(['{', '}', '$'])).then_some(name)
}

pub type Missing<'a, 'b> = (&'a str, Vec<&'b str>);

fn lookup_params<'a, 'b>(
    params: &'b Map<String, Value>,
    path: &'a str,
) -> Result<&'b Value, Missing<'a, 'b>> {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    match params.get(first) {
        None => Err((first, params.keys().map(String::as_str).collect())),
        Some(value) if rest.is_empty() => Ok(value),
        Some(value) => lookup(value, rest),
    }
}

/// The value at a dotted path, else the step that fails and the names that exist there.
pub fn lookup<'a, 'b>(value: &'b Value, path: &'a str) -> Result<&'b Value, Missing<'a, 'b>> {
    let mut value = value;
    for step in path.split('.') {
        value = match value {
            Value::Object(map) => {
                map.get(step).ok_or_else(|| (step, map.keys().map(String::as_str).collect()))?
            }
            Value::Array(items) => {
                step.parse().ok().and_then(|at: usize| items.get(at)).ok_or((step, Vec::new()))?
            }
            _ => return Err((step, Vec::new())),
        };
    }
    Ok(value)
}
