//! `claims` of a pipeline: read, with every name checked.

use crate::numbers::claims::{metric_of, read};
use crate::pipeline::expand::instance::is_name;
use crate::pipeline::spec;
use crate::pipeline::spec::claims::{Claimed, FIELDS};
use crate::pipeline::yaml::node::{Entry, Node, Yaml};
use crate::pipeline::yaml::sink::{Sink, Span};
use onsager_tables::names::did_you_mean;

/// What to write.
const HELP: &str = "write for example `free.slope within 0.5 ± 0.02`, `a < b with p < 0.05`, `min over seeds of a > 0.9` or \
                    `a in its interval of 0.5`";

/// Reads the claims; what is wrong is reported and left out. `metrics` are the names of all metrics.
pub fn read(claims: Option<&Entry>, metrics: &[&str], sink: &Sink) -> Vec<Claimed> {
    let Some(entry) = claims else { return Vec::new() };
    let items = match &entry.value.value {
        Yaml::List(items) => items.as_slice(),
        Yaml::Null => &[],
        _ => {
            let message = format!("`claims` must be a list, but is {}", entry.value.what());
            sink.help(spec::shown(entry), message, "write `claims: [free.slope within 0.5 ± 0.02]`");
            &[]
        }
    };
    let mut found: Vec<Claimed> = Vec::new();
    for item in items {
        let Some(claimed) = claim(item, metrics, sink) else { continue };
        if claimed.name.is_some() && found.iter().any(|other| other.name == claimed.name) {
            let message = format!("claim `{}` is there twice", claimed.name.unwrap_or_default());
            sink.help(item.span, message, "give each claim a name of its own");
            continue;
        }
        found.push(claimed);
    }
    found
}

fn claim(item: &Node, metrics: &[&str], sink: &Sink) -> Option<Claimed> {
    if let Yaml::Text(says) = &item.value {
        return of_text(says, item.span, metrics, sink);
    }
    let Some(entries) = item.entries() else {
        let message = format!("a claim must be text, but is {}", item.what());
        sink.help(item.span, message, HELP);
        return None;
    };
    for entry in entries.iter().filter(|entry| !FIELDS.contains(&entry.key.as_str())) {
        spec::unknown(entry, &FIELDS, "a claim", sink);
    }
    let Some(says) = item.get("claim") else {
        sink.help(item.span, "a claim lacks `claim`", HELP);
        return None;
    };
    let name = item.get("name").and_then(|entry| {
        let name = spec::text(entry, sink)?;
        if !name.split('.').all(is_name) {
            let help = "use letters, digits, `_`, `-` and dots between, each part starting with a letter";
            sink.help(entry.value.span, format!("`{name}` cannot be the name of a claim"), help);
        }
        Some(name.to_owned())
    });
    let text = item.get("text").and_then(|entry| spec::text(entry, sink)).map(str::to_owned);
    let claimed = of_text(spec::text(says, sink)?, says.value.span, metrics, sink)?;
    Some(Claimed { name, text, ..claimed })
}

fn of_text(says: &str, span: Span, metrics: &[&str], sink: &Sink) -> Option<Claimed> {
    let claim = match read::read(says) {
        Ok(claim) => claim,
        Err(error) => {
            sink.help(at(says, error.at(), span, sink), format!("the claim cannot be read: {error}"), HELP);
            return None;
        }
    };
    let unknown: Vec<&str> =
        claim.names().into_iter().filter(|name| !metrics.contains(&metric_of(name))).collect();
    for name in &unknown {
        let metric = metric_of(name);
        let help = did_you_mean(metric, metrics.iter().copied(), "there are")
            .unwrap_or_else(|| "declare it under `metrics`: `{from: stage.output, column: name}`".to_owned());
        sink.help(sink.narrow(span, metric), format!("there is no metric `{metric}`"), help);
    }
    let (file, line, column) = sink.where_is(span)?;
    let (name, text) = (None, None);
    unknown.is_empty().then(|| Claimed { name, says: says.to_owned(), text, file, line, column, claim })
}

/// The word at a byte of a claim, or what is behind it.
fn at(says: &str, byte: usize, span: Span, sink: &Sink) -> Span {
    match says.get(byte..).map(str::trim_end).filter(|rest| !rest.is_empty()) {
        Some(rest) => {
            let place = sink.narrow(span, rest);
            let end = place.start + rest.split_whitespace().next().map_or(1, str::len) as u32;
            Span { end: end.min(place.end.max(place.start + 1)), ..place }
        }
        None => Span { start: span.end.saturating_sub(1).max(span.start), ..span },
    }
}
