//! Values that are written down: the axes of a grid, zipped axes, listed points.

use crate::pipeline::experiments::sweep::setting::{POINTS, Setting, literal, named};
use crate::pipeline::spec;
use crate::pipeline::yaml::node::{Entry, Node, Yaml};
use crate::pipeline::yaml::sink::Sink;
use serde_json::Number;

/// The fields of a range.
pub const RANGE_FIELDS: [&str; 4] = ["from", "to", "steps", "scale"];
/// Significant digits of the values of a range, on a linear and on a logarithmic scale: so their names are short.
const DIGITS: [usize; 2] = [12, 6];

/// One axis of the grid: a list of values, or a range.
pub fn axis(entry: &Entry, sink: &Sink) -> Vec<Setting> {
    let value = |(at, item): (usize, Node)| {
        let name = named(&entry.key, &item, at);
        Setting::new(name, vec![Entry { key: entry.key.clone(), span: entry.span, value: item }])
    };
    values(entry, sink).into_iter().enumerate().map(value).collect()
}

/// Axes side by side: the first values together, then the second ones.
pub fn zip(entry: &Entry, sink: &Sink) -> Vec<Setting> {
    let axes: Vec<Vec<Setting>> =
        spec::mapping(entry, sink).iter().map(|axis| self::axis(axis, sink)).collect();
    let Some(first) = axes.first() else { return Vec::new() };
    let lengths = axes.iter().zip(spec::mapping(entry, sink));
    for (axis, written) in lengths.filter(|(axis, _)| axis.len() != first.len() && !axis.is_empty()) {
        let message = format!(
            "`{}` has {} values, but `{}` has {}",
            written.key,
            axis.len(),
            spec::mapping(entry, sink)[0].key,
            first.len()
        );
        sink.help(
            written.span,
            message,
            "zipped parameters have equally many; for every combination use `grid`",
        );
    }
    let fits = axes.iter().all(|axis| axis.len() == first.len());
    let together = |at: usize| axes.iter().fold(Setting::default(), |point, axis| point.with(&axis[at]));
    if fits { (0..first.len()).map(together).collect() } else { Vec::new() }
}

/// The values of an axis.
fn values(entry: &Entry, sink: &Sink) -> Vec<Node> {
    let help = || format!("write `{0}: [1, 2, 3]` or `{0}: {{from: 1, to: 3, steps: 3}}`", entry.key);
    match &entry.value.value {
        Yaml::List(items) if !items.is_empty() => {
            items.iter().for_each(|item| literal(item, sink));
            items.clone()
        }
        Yaml::List(_) => {
            let help = format!("give it a value, like `{}: [1]`, or remove it", entry.key);
            sink.help(entry.value.span, format!("`{}` has no value to sweep over", entry.key), help);
            Vec::new()
        }
        Yaml::Map(fields) => range(entry, fields, sink),
        _ => {
            let message =
                format!("`{}` must be a list of values or a range, but is {}", entry.key, entry.value.what());
            sink.help(spec::shown(entry), message, help());
            Vec::new()
        }
    }
}

/// `{from: 0.1, to: 1, steps: 10, scale: log}`.
fn range(entry: &Entry, fields: &[Entry], sink: &Sink) -> Vec<Node> {
    let before = sink.count();
    for field in fields.iter().filter(|field| !RANGE_FIELDS.contains(&field.key.as_str())) {
        spec::unknown(field, &RANGE_FIELDS, "a range", sink);
    }
    let number = |name: &str| match entry.value.get(name) {
        Some(Entry { value: Node { value: Yaml::Number(number), .. }, .. }) => Some(number.clone()),
        Some(field) => {
            sink.error(
                spec::shown(field),
                format!("`{name}` must be a number, but is {}", field.value.what()),
            );
            None
        }
        None => {
            let help = format!("write `{}: {{from: 0.1, to: 1, steps: 10}}`", entry.key);
            sink.help(entry.span, format!("the range of `{}` has no `{name}`", entry.key), help);
            None
        }
    };
    let (from, to, steps) = (number("from"), number("to"), number("steps"));
    let log = match entry.value.get("scale") {
        None => false,
        Some(field) => match field.value.text() {
            Some("linear") => false,
            Some("log") => true,
            _ => {
                let message = format!("`scale` must be `linear` or `log`, but is {}", field.value.what());
                sink.error(spec::shown(field), message);
                false
            }
        },
    };
    let (Some(from), Some(to), Some(steps)) = (from, to, steps) else { return Vec::new() };
    let (Some(low), Some(high)) = (from.as_f64(), to.as_f64()) else { return Vec::new() };
    let wrong = |field: &str, message: String| {
        let span = entry.value.get(field).map_or(entry.span, spec::shown);
        sink.error(span, message);
    };
    let steps = match steps.as_u64() {
        Some(steps @ 2..=100_000) => steps,
        _ => {
            wrong("steps", format!("`steps` must be a whole number from 2 to {POINTS}, but is {steps}"));
            return Vec::new();
        }
    };
    if low == high {
        wrong("to", "`from` and `to` are the same".to_owned());
    }
    if log && (low <= 0.0 || high <= 0.0) {
        let end = if low <= 0.0 { "from" } else { "to" };
        wrong(end, format!("`{end}` must be above 0 on a logarithmic scale"));
    }
    if sink.count() > before {
        return Vec::new();
    }
    let node = |number: Number| Node { span: entry.value.span, value: Yaml::Number(number) };
    let last = steps - 1;
    // Whole numbers stay whole, where every step is one.
    if let (Some(first), Some(end), false) = (from.as_i64(), to.as_i64(), log)
        && end.abs_diff(first) % last == 0
    {
        let step = end.abs_diff(first) / last;
        let at = |k: u64| {
            if end > first {
                first.wrapping_add_unsigned(k * step)
            } else {
                first.wrapping_sub_unsigned(k * step)
            }
        };
        return (0..steps).map(|k| node(at(k).into())).collect();
    }
    let at = |k: u64| {
        let t = k as f64 / last as f64;
        let value = match (k, log) {
            (0, _) => return from.clone(),
            (k, _) if k == last => return to.clone(),
            (_, true) => libm::exp(libm::log(low) * (1.0 - t) + libm::log(high) * t),
            (_, false) => low * (1.0 - t) + high * t,
        };
        let digits = DIGITS[usize::from(log)] - 1;
        let rounded = format!("{value:.digits$e}").parse().unwrap_or(value);
        Number::from_f64(rounded).unwrap_or_else(|| from.clone())
    };
    (0..steps).map(|k| node(at(k))).collect()
}

/// The points written one by one.
pub fn listed(entry: &Entry, sink: &Sink) -> Vec<Setting> {
    let Yaml::List(items) = &entry.value.value else {
        let message = format!("`list` must be a list of points, but is {}", entry.value.what());
        sink.help(spec::shown(entry), message, "write `list: [{tubes: 40, seed: 1}]`");
        return Vec::new();
    };
    if items.is_empty() {
        sink.help(entry.span, "`list` is empty", "write `list: [{tubes: 40, seed: 1}]`");
    }
    let mut points = Vec::new();
    for (at, item) in items.iter().enumerate() {
        match item.entries() {
            Some(values) if !values.is_empty() => {
                values.iter().for_each(|value| literal(&value.value, sink));
                let names: Vec<String> = values.iter().map(|v| named(&v.key, &v.value, at)).collect();
                points.push(Setting::new(names.join(","), values.to_vec()));
            }
            _ => sink.help(
                item.span,
                format!("a point is a mapping of values, but this is {}", item.what()),
                "write `{tubes: 40, seed: 1}`",
            ),
        }
    }
    points
}
