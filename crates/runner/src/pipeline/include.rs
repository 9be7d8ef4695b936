//! `include`: stages of another file, as a template with parameters.
//!
//! ```yaml
//! include:
//!   - {file: pipelines/shared/fit.yaml, prefix: first-, params: {data: one.table}}
//! ```
//! The file has `params`, `stages` and `metrics` as a pipeline has. Its names get the prefix, its references to its own stages too, and
//! `${params.…}` in it are its own parameters. All of this happens to the tree, before anything is laid over it: so what follows sees
//! one pipeline.

use crate::pipeline::assemble::Site;
use crate::pipeline::expand::interpolate::{given, given_value};
use crate::pipeline::files;
use crate::pipeline::spec;
use crate::pipeline::yaml::node::{Entry, Node, Yaml};
use crate::pipeline::yaml::sink::{Sink, Span};
use onsager_tables::names::did_you_mean;
use serde_json::Value;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// The fields of an entry of `include`.
pub const FIELDS: [&str; 3] = ["file", "prefix", "params"];
/// The fields of a file that is included.
const TEMPLATE: [&str; 9] =
    ["name", "title", "description", "license", "authors", "params", "include", "stages", "metrics"];

/// Puts the stages that a pipeline, read from this file, includes in the place of `include`.
pub fn expand(tree: &mut Node, file: &Path, site: &Site, sink: &mut Sink) {
    let mut chain = vec![absolute(file)];
    into(tree, site, &mut chain, sink);
}

fn absolute(file: &Path) -> PathBuf {
    std::path::absolute(file).unwrap_or_else(|_| file.to_owned())
}

/// The same for a file that was reached by this chain of files.
fn into(tree: &mut Node, site: &Site, chain: &mut Vec<PathBuf>, sink: &mut Sink) {
    let Yaml::Map(fields) = &mut tree.value else { return };
    let Some(at) = fields.iter().position(|field| field.key == "include") else { return };
    let include = fields.remove(at);
    let entries = match &include.value.value {
        Yaml::List(entries) => entries.as_slice(),
        Yaml::Map(_) => std::slice::from_ref(&include.value),
        _ => {
            let message = format!("`include` must be a list of files, but is {}", include.value.what());
            let help = "write `include: [{file: pipelines/shared.yaml, prefix: my-}]`";
            sink.help(spec::shown(&include), message, help);
            return;
        }
    };
    let (mut stages, mut metrics) = (Vec::new(), Vec::new());
    for entry in entries {
        if let Some(template) = template(entry, site, chain, sink) {
            stages.extend(template.stages);
            metrics.extend(template.metrics);
        }
    }
    put_first(fields, "stages", stages, include.span, sink);
    put_first(fields, "metrics", metrics, include.span, sink);
}

/// Puts entries before those of a field, which is made where it is not there.
fn put_first(fields: &mut Vec<Entry>, name: &str, mut entries: Vec<Entry>, span: Span, sink: &Sink) {
    if entries.is_empty() {
        return;
    }
    let at = fields.iter().position(|field| field.key == name).unwrap_or_else(|| {
        fields.push(Entry { key: name.to_owned(), span, value: Node { span, value: Yaml::Null } });
        fields.len() - 1
    });
    let own = match std::mem::replace(&mut fields[at].value.value, Yaml::Null) {
        Yaml::Map(own) => own,
        Yaml::Null => Vec::new(),
        // It is reported where it is read.
        other => {
            fields[at].value.value = other;
            return;
        }
    };
    entries.extend(own);
    let mut seen = HashSet::new();
    for entry in &entries {
        if !seen.insert(entry.key.as_str()) {
            let what = name.trim_end_matches('s');
            let help = "rename it, or give the `include` another `prefix`";
            sink.help(entry.span, format!("there is a {what} `{}` already", entry.key), help);
        }
    }
    fields[at].value.value = Yaml::Map(entries);
}

/// What a template gives, under the names that it has in the pipeline.
struct Included {
    stages: Vec<Entry>,
    metrics: Vec<Entry>,
}

fn template(entry: &Node, site: &Site, chain: &mut Vec<PathBuf>, sink: &mut Sink) -> Option<Included> {
    let Some(given) = entry.entries() else {
        let message = format!("an included file is named by a mapping, but this is {}", entry.what());
        sink.help(entry.span, message, "write `{file: pipelines/shared.yaml, prefix: my-}`");
        return None;
    };
    for field in given.iter().filter(|field| !FIELDS.contains(&field.key.as_str())) {
        spec::unknown(field, &FIELDS, "an `include`", sink);
    }
    let Some(name) = entry.get("file") else {
        sink.help(
            entry.span,
            "the `include` names no file",
            "write `{file: pipelines/shared.yaml, prefix: my-}`",
        );
        return None;
    };
    let span = name.value.span;
    let name = spec::text(name, sink)?;
    let file = files::folder_of_project(site.file).join(name);
    if chain.contains(&absolute(&file)) {
        let message = format!("`{}` includes itself, directly or through others", file.display());
        sink.help(span, message, "remove one of these `include`s");
        return None;
    }
    let text = files::open(&file, Some(span), sink)?;
    let mut tree = Node::parse(sink.whole(text), text, 0, sink)?;
    chain.push(absolute(&file));
    into(&mut tree, site, chain, sink);
    chain.pop();
    if tree.entries().is_none() {
        let message =
            format!("an included file is a mapping of `params` and `stages`, but this is {}", tree.what());
        sink.error(tree.span, message);
        return None;
    }
    for field in tree.entries().unwrap_or_default() {
        if !TEMPLATE.contains(&field.key.as_str()) {
            spec::unknown(field, &TEMPLATE, "an included file", sink);
        }
    }
    if tree.get("stages").is_none() {
        sink.help(
            span,
            format!("`{}` has no stages", file.display()),
            "add `stages:` to it, or leave it out",
        );
        return None;
    }
    let prefix = match entry.get("prefix") {
        Some(prefix) => {
            let text = spec::text(prefix, sink)?;
            let before = sink.count();
            spec::slug(text, prefix.value.span, "a prefix of stages", sink);
            (sink.count() == before).then(|| text.to_owned())?
        }
        None => String::new(),
    };
    let params = params(entry, &tree, &file, span, sink)?;
    let own = |field: &str| tree.get(field).map_or(&[][..], |entry| spec::mapping(entry, sink));
    let names = |entries: &[Entry]| entries.iter().map(|entry| entry.key.clone()).collect::<Vec<String>>();
    let filler =
        Filler { prefix, stages: names(own("stages")), metrics: names(own("metrics")), params, file, sink };
    let named = |mut entry: Entry, filler: &Filler| {
        entry.key.insert_str(0, &filler.prefix);
        entry
    };
    let stages = own("stages").iter().map(|stage| named(filler.stage(stage.clone()), &filler)).collect();
    let metrics = own("metrics").iter().map(|metric| named(filler.metric(metric.clone()), &filler)).collect();
    Some(Included { stages, metrics })
}

/// The parameters of a template: its own values, and those that the `include` gives instead.
fn params(entry: &Node, tree: &Node, file: &Path, span: Span, sink: &Sink) -> Option<Vec<(String, Node)>> {
    let own = tree.get("params").map_or(&[][..], |params| spec::mapping(params, sink));
    let given = entry.get("params").map_or(&[][..], |params| spec::mapping(params, sink));
    let before = sink.count();
    for wrong in given.iter().filter(|given| !own.iter().any(|own| own.key == given.key)) {
        let help = did_you_mean(&wrong.key, own.iter().map(|own| own.key.as_str()), "there are")
            .or_else(|| Some("remove it: the file has no parameters".to_owned()));
        sink.add(Some(wrong.span), format!("`{}` has no parameter `{}`", file.display(), wrong.key), help);
    }
    let mut params: Vec<(String, Node)> = Vec::with_capacity(own.len());
    for param in own {
        let value = match given.iter().find(|given| given.key == param.key) {
            Some(given) => given.value.clone(),
            None if param.value.value == Yaml::Null => {
                let message = format!("`{}` needs the parameter `{}`", file.display(), param.key);
                sink.help(span, message, format!("add `params: {{{}: …}}`", param.key));
                continue;
            }
            None => {
                let mut value = param.value.clone();
                fill(&mut value, &params, file, sink);
                value
            }
        };
        params.push((param.key.clone(), value));
    }
    (sink.count() == before).then_some(params)
}

/// Fills a template in.
struct Filler<'a> {
    prefix: String,
    stages: Vec<String>,
    metrics: Vec<String>,
    params: Vec<(String, Node)>,
    file: PathBuf,
    sink: &'a Sink,
}

impl Filler<'_> {
    fn stage(&self, mut stage: Entry) -> Entry {
        if let Yaml::Map(fields) = &mut stage.value.value {
            for field in fields {
                match field.key.as_str() {
                    "inputs" => values(&mut field.value, &mut |input| self.references(input)),
                    "after" => self.references(&mut field.value),
                    "matrix" => values(&mut field.value, &mut |axis| {
                        if let Yaml::Map(fields) = &mut axis.value {
                            let from = fields.iter_mut().filter(|field| field.key == "from");
                            from.for_each(|field| self.references(&mut field.value));
                        }
                    }),
                    "when" => {
                        if let Yaml::Text(text) = &mut field.value.value {
                            *text = self.condition(text);
                        }
                    }
                    _ => {}
                }
            }
        }
        fill(&mut stage.value, &self.params, &self.file, self.sink);
        stage
    }

    fn metric(&self, mut metric: Entry) -> Entry {
        if let Yaml::Map(fields) = &mut metric.value.value {
            let from = fields.iter_mut().filter(|field| field.key == "from");
            from.for_each(|field| self.references(&mut field.value));
        }
        fill(&mut metric.value, &self.params, &self.file, self.sink);
        metric
    }

    /// Gives references to stages of the template their prefix.
    fn references(&self, node: &mut Node) {
        match &mut node.value {
            Yaml::Text(text) if self.is_own(text) => text.insert_str(0, &self.prefix),
            Yaml::List(items) => items.iter_mut().for_each(|item| self.references(item)),
            _ => {}
        }
    }

    /// Whether a reference is to a stage of the template.
    fn is_own(&self, reference: &str) -> bool {
        let stage = reference[..reference.find(['[', '.']).unwrap_or(reference.len())].trim();
        self.stages.iter().any(|own| own == stage)
    }

    /// A condition whose results and metrics of the template have their prefix.
    fn condition(&self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            let (before, inside) = rest.split_at(at + 2);
            out.push_str(before);
            let metric = inside.strip_prefix("metrics.").and_then(|name| name.split('}').next());
            if metric.is_some_and(|name| self.metrics.iter().any(|own| own == name)) {
                out.push_str("metrics.");
                out.push_str(&self.prefix);
                rest = &inside["metrics.".len()..];
                continue;
            }
            if inside.split('}').next().is_some_and(|name| name.contains(':') && self.is_own(name)) {
                out.push_str(&self.prefix);
            }
            rest = inside;
        }
        out + rest
    }
}

fn values(node: &mut Node, each: &mut dyn FnMut(&mut Node)) {
    if let Yaml::Map(entries) = &mut node.value {
        entries.iter_mut().for_each(|entry| each(&mut entry.value));
    }
}

/// Puts the parameters of a template in the place of `${params.…}`.
fn fill(node: &mut Node, params: &[(String, Node)], file: &Path, sink: &Sink) {
    match &mut node.value {
        Yaml::List(items) => items.iter_mut().for_each(|item| fill(item, params, file, sink)),
        Yaml::Map(_) => values(node, &mut |value| fill(value, params, file, sink)),
        Yaml::Text(text) => {
            if let Some(name) = whole(text) {
                if let Some(value) = lookup(name, node.span, params, file, sink) {
                    *node = value.clone();
                }
            } else if let Some(filled) = filled(text, node.span, params, file, sink) {
                *text = filled;
            }
        }
        _ => {}
    }
}

/// Text with the parameters in their places, for what follows to put in as the place asks for: a script quotes them. None where
/// something is wrong with one.
fn filled(text: &str, span: Span, params: &[(String, Node)], file: &Path, sink: &Sink) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let end = at + rest[at..].find('}')?;
        let name = &rest[at + 2..end];
        let (raw, path) = name.strip_prefix("raw:").map_or(("", name), |path| ("raw:", path));
        out.push_str(&rest[..at]);
        // `$${` is a literal `${`.
        let value = match (path.strip_prefix("params."), given_value(path)) {
            _ if rest[..at].ends_with('$') => None,
            (Some(path), _) => Some(lookup(path, span, params, file, sink)?.json().unwrap_or_default()),
            // What a template gives to one that it includes may use its own parameters.
            (None, Some(value)) => Some(filled_value(value, span, params, file, sink)?),
            (None, None) => None,
        };
        match value {
            Some(value) => {
                out += &format!("${{{raw}{}}}", given(&value));
                rest = &rest[end + 1..];
            }
            None => {
                out.push_str("${");
                rest = &rest[at + 2..];
            }
        }
    }
    Some(out + rest)
}

fn filled_value(
    value: Value,
    span: Span,
    params: &[(String, Node)],
    file: &Path,
    sink: &Sink,
) -> Option<Value> {
    let within = |value: Value| filled_value(value, span, params, file, sink);
    match value {
        Value::String(text) => match whole(&text) {
            Some(name) => Some(lookup(name, span, params, file, sink)?.json().unwrap_or_default()),
            None => filled(&text, span, params, file, sink).map(Value::String),
        },
        Value::Array(items) => items.into_iter().map(within).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| Some((name, within(value)?)));
            fields.collect::<Option<_>>().map(Value::Object)
        }
        other => Some(other),
    }
}

/// The parameter, if the text is one `${params.…}` and nothing else.
fn whole(text: &str) -> Option<&str> {
    let name = text.strip_prefix("${params.")?.strip_suffix('}')?;
    (!name.contains(['{', '}', '$'])).then_some(name)
}

fn lookup<'p>(
    name: &str,
    span: Span,
    params: &'p [(String, Node)],
    file: &Path,
    sink: &Sink,
) -> Option<&'p Node> {
    let mut steps = name.split('.');
    let first = steps.next().unwrap_or_default();
    let mut found = params.iter().find(|(param, _)| param == first).map(|(_, value)| value);
    for step in steps {
        found = found.and_then(|value| match &value.value {
            Yaml::List(items) => step.parse().ok().and_then(|at: usize| items.get(at)),
            _ => value.get(step).map(|entry| &entry.value),
        });
    }
    if found.is_none() {
        let place = sink.narrow(span, &format!("${{params.{name}}}"));
        let names = params.iter().map(|(param, _)| param.as_str());
        let help = did_you_mean(first, names, "there are")
            .unwrap_or_else(|| format!("declare `{first}` under `params` of that file"));
        sink.help(place, format!("`${{params.{name}}}` names no parameter of `{}`", file.display()), help);
    }
    found
}
