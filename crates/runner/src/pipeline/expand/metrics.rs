//! Metrics: their references resolved to the tasks that make the artifacts.

use crate::pipeline::expand::draft::{Draft, Drafts};
use crate::pipeline::expand::instance::{is_name, normal};
use crate::pipeline::expand::interpolate::Scope;
use crate::pipeline::spec::metrics::{
    AGGREGATES, Aggregate, FIELDS, FORMS, Form, Metric, MetricTask, Pick, Show, Spread,
};
use crate::pipeline::spec::reference::{self, Reference};
use crate::pipeline::spec::{self, Spec};
use crate::pipeline::yaml::node::{Entry, Node, Yaml};
use crate::pipeline::yaml::sink::Sink;
use onsager_tables::names::{did_you_mean, list};
use onsager_tables::value::{Filter, OneOrMany, Value};

/// Reads the metrics and resolves their references; what is wrong is reported and left out.
pub fn resolve(spec: &Spec, drafts: &Drafts, scope: &Scope, sink: &Sink) -> Vec<Metric> {
    spec.metrics.iter().filter_map(|entry| metric(entry, spec, drafts, scope, sink)).collect()
}

fn metric(entry: &Entry, spec: &Spec, drafts: &Drafts, scope: &Scope, sink: &Sink) -> Option<Metric> {
    let name = &entry.key;
    if !name.split('.').all(is_name) {
        let help = "use letters, digits, `_`, `-` and dots between, each part starting with a letter";
        sink.help(entry.span, format!("`{name}` cannot be the name of a metric"), help);
        return None;
    }
    if scope.declared.iter().any(|param| param.key == *name) {
        let message = format!("`{name}` is a parameter and a metric");
        sink.help(entry.span, message, "give the metric a name of its own");
        return None;
    }
    let Some(fields) = entry.value.entries() else {
        let message = format!("metric `{name}` must be a mapping, but is {}", entry.value.what());
        sink.help(spec::shown(entry), message, "write `{from: stage.output, column: name}`");
        return None;
    };
    let before = sink.count();
    for field in fields.iter().filter(|field| !FIELDS.contains(&field.key.as_str())) {
        spec::unknown(field, &FIELDS, "a metric", sink);
    }
    let given = |field: &str| entry.value.get(field);
    let pick = match (given("field"), given("column")) {
        (Some(field), None) => {
            for other in ["where", "aggregate"].iter().filter_map(|other| given(other)) {
                let message = format!("`{}` goes with `column`, not with `field`", other.key);
                sink.help(other.span, message, "remove it");
            }
            spec::text(field, sink).map(|field| Pick::Field { field: field.to_owned() })
        }
        (None, Some(column)) => {
            let filter = given("where").map_or_else(Filter::new, |entry| filter(entry, scope, sink));
            let aggregate = given("aggregate").and_then(|entry| aggregate(entry, sink));
            spec::text(column, sink).map(|column| Pick::Column {
                column: column.to_owned(),
                filter,
                aggregate,
            })
        }
        (Some(_), Some(column)) => {
            let message = format!("metric `{name}` has both `field` and `column`");
            sink.help(column.span, message, "keep `field` for a JSON file, `column` for a table");
            None
        }
        (None, None) => {
            let message = format!("metric `{name}` has neither `field` nor `column`");
            sink.help(entry.span, message, "add `field: name` for a JSON file, `column: name` for a table");
            None
        }
    };
    let Some(from) = given("from") else {
        let message = format!("metric `{name}` has no `from`");
        sink.help(entry.span, message, "add `from: stage.output`");
        return None;
    };
    let text = spec::text(from, sink)?;
    let (tasks, output) = source(text, &from.value, spec, drafts, sink)?;
    if tasks.len() > 1
        && let Some(Pick::Field { .. }) = pick
    {
        let message = format!("`{text}` is {} files, and a `field` is read from one", tasks.len());
        let ids: Vec<&str> = tasks.iter().map(|draft| draft.id.as_str()).collect();
        sink.help(from.value.span, message, format!("name one instance of {}", list(&ids)));
    }
    let tasks = tasks
        .into_iter()
        .map(|draft| MetricTask { task: draft.id.clone(), labels: draft.instance.labels() })
        .collect();
    let spread = spread(name, &given, sink);
    let show = show(&given, sink);
    let metric =
        Metric { name: name.clone(), from: text.to_owned(), tasks, output, pick: pick?, spread, show };
    (sink.count() == before).then_some(metric)
}

/// Where the interval of a metric stands.
fn spread<'e>(name: &str, given: &dyn Fn(&str) -> Option<&'e Entry>, sink: &Sink) -> Option<Spread> {
    let text = |entry: Option<&'e Entry>| entry.and_then(|entry| spec::text(entry, sink)).map(str::to_owned);
    match (given("lower"), given("upper"), given("error")) {
        (None, None, None) => None,
        (lower @ Some(_), upper @ Some(_), None) => {
            Some(Spread::Ends { lower: text(lower)?, upper: text(upper)? })
        }
        (None, None, error @ Some(_)) => text(error).map(Spread::Error),
        (lower, upper, error) => {
            let message = format!("metric `{name}` has half an interval, or two");
            let at = error.or(lower).or(upper)?;
            sink.help(at.span, message, "give both `lower` and `upper`, or `error`, the standard error");
            None
        }
    }
}

/// How a metric is written.
fn show<'e>(given: &dyn Fn(&str) -> Option<&'e Entry>, sink: &Sink) -> Show {
    let count = |field: &str, range: std::ops::RangeInclusive<u64>| {
        let entry = given(field)?;
        let value = match &entry.value.value {
            Yaml::Number(number) => number.as_u64().filter(|value| range.contains(value)),
            _ => None,
        };
        if value.is_none() {
            let message =
                format!("`{field}` must be a whole number from {} to {}", range.start(), range.end());
            sink.error(spec::shown(entry), message);
        }
        value.map(|value| value as usize)
    };
    if let (Some(_), Some(decimals)) = (given("digits"), given("decimals")) {
        let help = "keep `digits` for significant digits, `decimals` for digits after the point";
        sink.help(decimals.span, "a metric has both `digits` and `decimals`", help);
    }
    let text = |field: &str| given(field).and_then(|entry| spec::text(entry, sink)).map(str::to_owned);
    let form = text("form").and_then(|form| {
        let known = [Form::Auto, Form::Plain, Form::Scientific, Form::Percent];
        let found = FORMS.iter().zip(known).find(|(name, _)| **name == form);
        if found.is_none() {
            let help = did_you_mean(&form, FORMS, "there are");
            let span = given("form").map(|entry| entry.value.span);
            sink.add(span, format!("there is no form `{form}`"), help);
        }
        found.map(|(_, form)| form)
    });
    let thousands = given("thousands").is_some_and(|entry| match entry.value.value {
        Yaml::Bool(value) => value,
        _ => {
            sink.error(spec::shown(entry), "`thousands` must be `true` or `false`");
            false
        }
    });
    Show {
        digits: count("digits", 1..=17),
        decimals: count("decimals", 0..=17),
        form: form.unwrap_or_default(),
        unit: text("unit"),
        thousands,
        about: text("about"),
    }
}

/// The tasks that make an artifact, and the name of their output.
fn source<'d>(
    text: &str,
    node: &Node,
    spec: &Spec,
    drafts: &'d Drafts,
    sink: &Sink,
) -> Option<(Vec<&'d Draft>, String)> {
    let span = node.span;
    let reference = match reference::parse(text) {
        Ok(Reference { member: Some(_), .. }) => {
            let help = "let a stage read it, and write the number to an output";
            sink.help(span, "a metric is read from an output, not from a file inside one", help);
            return None;
        }
        Ok(reference) if !reference.matching => reference,
        Ok(_) => {
            sink.help(span, "a metric has no instance to match", "write `stage[axis=value].output`");
            return None;
        }
        Err(error) => {
            sink.help(span, format!("`{text}` is no artifact: {error}"), "write `stage.output`");
            return None;
        }
    };
    let Some(&stage) = spec.by_name.get(reference.stage.as_str()) else {
        let help = did_you_mean(&reference.stage, spec.stages.iter().map(|stage| stage.name), "there are");
        let span = sink.narrow(span, &reference.stage);
        sink.add(Some(span), format!("there is no stage `{}`", reference.stage), help);
        return None;
    };
    let all = drafts.tasks.get(drafts.stages.get(stage)?.clone()?)?;
    let agrees = |draft: &&Draft| {
        reference.wanted.iter().all(|(axis, value)| {
            draft.instance.get(axis).is_some_and(|coordinate| normal(&coordinate.text) == *value)
        })
    };
    let found: Vec<&Draft> = all.iter().filter(agrees).collect();
    let open = |draft: &Draft| draft.open.is_some();
    if all.is_empty() || all.iter().any(open) {
        // Which instances there are is not known yet, or there are none: so far it is read from nothing.
        return Some((Vec::new(), reference.output.unwrap_or_default()));
    }
    if found.is_empty() {
        let ids: Vec<&str> = all.iter().map(|draft| draft.id.as_str()).collect();
        let message = format!("`{text}` matches no instance of stage `{}`", reference.stage);
        sink.help(span, message, format!("the instances are {}", list(&ids)));
        return None;
    }
    let outputs = found[0].outputs.as_ref()?;
    let names: Vec<&str> = outputs.iter().map(|output| output.name.as_str()).collect();
    let output = match (&reference.output, names.as_slice()) {
        (None, [only]) => (*only).to_owned(),
        (None, _) => {
            let message = format!("stage `{}` has {} outputs", reference.stage, names.len());
            sink.help(span, message, format!("name one of {}", list(&names)));
            return None;
        }
        (Some(output), _) if names.contains(&output.as_str()) => output.clone(),
        (Some(output), _) => {
            let help = did_you_mean(output, names.iter().copied(), "the outputs are");
            let message = format!("stage `{}` has no output `{output}`", reference.stage);
            sink.add(Some(sink.narrow(span, output)), message, help);
            return None;
        }
    };
    Some((found, output))
}

/// `where: {system: free, diffusion: [0.5, 1.0]}`.
fn filter(entry: &Entry, scope: &Scope, sink: &Sink) -> Filter {
    let mut filter = Filter::new();
    for wanted in spec::mapping(entry, sink) {
        let mut sound = true;
        let Some(value) = scope.value(&wanted.value, sink, &mut sound) else { continue };
        let value = match &value {
            serde_json::Value::Array(values) => OneOrMany::Many(values.iter().map(Value::from).collect()),
            one => OneOrMany::One(Value::from(one)),
        };
        filter.insert(wanted.key.clone(), value);
    }
    filter
}

fn aggregate(entry: &Entry, sink: &Sink) -> Option<Aggregate> {
    let text = match &entry.value.value {
        Yaml::Text(text) => text.as_str(),
        _ => spec::text(entry, sink)?,
    };
    match text {
        "mean" => Some(Aggregate::Mean),
        "min" => Some(Aggregate::Min),
        "max" => Some(Aggregate::Max),
        "last" => Some(Aggregate::Last),
        other => {
            let help = did_you_mean(other, AGGREGATES, "there are");
            sink.add(Some(entry.value.span), format!("there is no aggregate `{other}`"), help);
            None
        }
    }
}
