//! `when` of a stage: the condition of a task, with the results that it waits for.

use crate::pipeline::condition::{Condition, Operand, ReadError};
use crate::pipeline::expand::interpolate::{GIVEN, Scope};
use crate::pipeline::graph::{Source, When};
use crate::pipeline::spec::{self, Spec};
use crate::pipeline::yaml::node::{Entry, Yaml};
use crate::pipeline::yaml::sink::{Sink, Span};
use onsager_tables::names::did_you_mean;
use serde_json::Value;

/// Finds the one artifact that a reference stands for; what is wrong with it is reported.
pub type Find<'f> = &'f mut dyn FnMut(&str, Span) -> Option<Source>;

/// Reads the condition of a task; none after an error.
pub fn read(entry: &Entry, spec: &Spec, scope: &Scope, find: Find, sink: &Sink) -> Option<When> {
    let span = entry.value.span;
    let text = match &entry.value.value {
        Yaml::Text(text) => text.clone(),
        Yaml::Bool(truth) => truth.to_string(),
        _ => {
            let message = format!("`when` must be a condition, but is {}", entry.value.what());
            sink.help(
                spec::shown(entry),
                message,
                "write `when: ${params.name}`, or `when: ${params.name} > 1`",
            );
            return None;
        }
    };
    let mut results = Vec::new();
    let mut name = |name: &str| {
        let place = sink.narrow(span, &format!("${{{name}}}"));
        let (from, field) = match (name.strip_prefix("metrics."), name.split_once(':')) {
            _ if name.starts_with(GIVEN) => {
                return scope.text(&format!("${{{name}}}"), span, sink).map(Operand::Literal);
            }
            (Some(metric), _) => of_metric(metric, place, spec, sink)?,
            (None, Some((from, field))) => (from.to_owned(), field.to_owned()),
            (None, None) => return scope.text(&format!("${{{name}}}"), place, sink).map(Operand::Literal),
        };
        if field.split('.').any(str::is_empty) {
            sink.help(
                place,
                format!("`{field}` is no field"),
                "write `${stage.output:field}`, with dots between the steps",
            );
            return None;
        }
        // A reference may hold `${…}` only where it stands in a metric.
        results.push((find(&from, place)?, field));
        Some(Operand::Result(results.len() - 1))
    };
    let read = Condition::read(&text, &mut name);
    let condition = match read {
        Ok(condition) => condition,
        Err(error) => {
            let at = match &error {
                ReadError::Reported => return None,
                ReadError::NoValue { at }
                | ReadError::Unexpected { at, .. }
                | ReadError::Open { at }
                | ReadError::Quotation { at }
                | ReadError::Name { at } => *at,
            };
            let place = match text.get(at..).filter(|rest| !rest.is_empty()) {
                Some(rest) => {
                    let place = sink.narrow(span, rest.trim_end());
                    let end = place.start + rest.split_whitespace().next().map_or(1, str::len) as u32;
                    Span { end: end.min(place.end.max(place.start + 1)), ..place }
                }
                None => span,
            };
            let help = "compare with `==`, `!=`, `<`, `<=`, `>`, `>=`; join with `and`, `or`, `not`";
            sink.help(place, format!("the condition cannot be read: {error}"), help);
            return None;
        }
    };
    // Without results it is decided here.
    if results.is_empty()
        && let Err(error) = condition.holds(&[])
    {
        sink.help(
            span,
            format!("the condition has no answer: {error}"),
            "compare it: `when: ${params.name} == full`",
        );
        return None;
    }
    Some(When { text, condition, results })
}

/// The artifact and the field that a metric is read from.
fn of_metric(name: &str, span: Span, spec: &Spec, sink: &Sink) -> Option<(String, String)> {
    let Some(metric) = spec.metrics.iter().find(|metric| metric.key == name) else {
        let help =
            did_you_mean(name, spec.metrics.iter().map(|metric| metric.key.as_str()), "the metrics are")
                .or_else(|| Some("write `${stage.output:field}`, a field of a JSON file".to_owned()));
        sink.add(Some(span), format!("there is no metric `{name}`"), help);
        return None;
    };
    let text = |field: &str| metric.value.get(field).and_then(|entry| entry.value.text()).map(str::to_owned);
    match (text("from"), text("field")) {
        (Some(from), Some(field)) => Some((from, field)),
        // Without `from` it is reported where it stands.
        (None, _) => None,
        (Some(_), None) => {
            let help = "let a stage write the number to a JSON file, and write `${stage.output:field}`";
            sink.help(
                span,
                format!("metric `{name}` is read from a table, and a condition from a JSON file"),
                help,
            );
            None
        }
    }
}

/// Whether a condition needs no result, and does not hold.
pub fn never(when: &When) -> bool {
    when.results.is_empty() && when.condition.holds(&[]) == Ok(false)
}

/// A value in the reason why a task is skipped.
pub fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), |text| format!("\"{text}\""))
}
