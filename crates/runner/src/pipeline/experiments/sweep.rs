//! The sweep of an experiment: the points that it stands for.
//!
//! ```yaml
//! sweep:
//!   grid: {tubes: [40, 60], seed: [1, 2, 3]}       # every combination, the last one fastest
//!   list: [{tubes: 40, seed: 1}, {tubes: 60, seed: 2}]
//!   random: {points: 20, seed: 7, params: {lr: {log-uniform: [1e-4, 1e-1]}, width: {choice: [16, 32]}}}
//! ```
//! Together they multiply: every grid point at every random draw at every listed point. So a grid over seeds runs every draw
//! with every seed. A draw is a function of (seed of the sweep, the parameter's name, the draw's number): a further parameter
//! changes no other, and more points leave the first ones as they are.

use crate::pipeline::expand::instance;
use crate::pipeline::expand::instance::normal;
use crate::pipeline::spec;
use crate::pipeline::yaml::node::{Entry, Node, Yaml};
use crate::pipeline::yaml::sink::{Sink, Span};
use onsager_numerics::random::Streams;
use onsager_tables::names::{did_you_mean, list};
use serde_json::Number;
use std::collections::HashSet;

/// A sweep beyond this is a mistake.
const POINTS: usize = 100_000;
/// A longer value is shown by its position.
const LABEL: usize = 60;
const FIELDS: [&str; 3] = ["grid", "list", "random"];
const RANDOM_FIELDS: [&str; 3] = ["points", "seed", "params"];
/// The distributions of random parameters.
pub const DISTRIBUTIONS: [&str; 4] = ["uniform", "log-uniform", "integer", "choice"];

/// One point: what is laid over the pipeline.
#[derive(Debug, Clone, Default)]
pub struct Setting {
    /// `tubes=40,seed=1`.
    pub name: String,
    pub values: Vec<Entry>,
}

/// The points of a sweep, at least one, and the keys that they set; none after an error.
pub fn read(entry: &Entry, sink: &Sink) -> Option<Vec<Setting>> {
    let before = sink.count();
    let Some(fields) = entry.value.entries() else {
        let message = format!("`sweep` must be a mapping, but is {}", entry.value.what());
        sink.help(spec::shown(entry), message, "write `sweep: {grid: {seed: [1, 2, 3]}}`");
        return None;
    };
    for field in fields.iter().filter(|field| !FIELDS.contains(&field.key.as_str())) {
        spec::unknown(field, &FIELDS, "a sweep", sink);
    }
    let mut factors: Vec<Vec<Setting>> = Vec::new();
    factors.extend(entry.value.get("list").map(|entry| listed(entry, sink)));
    factors.extend(entry.value.get("random").map(|entry| random(entry, sink)));
    for axis in entry.value.get("grid").map_or(&[][..], |entry| spec::mapping(entry, sink)) {
        factors.push(self::axis(axis, sink));
    }
    if sink.count() == before && factors.is_empty() {
        sink.help(spec::shown(entry), "the sweep is empty", "write `sweep: {grid: {seed: [1, 2, 3]}}`");
    }
    let size = factors.iter().try_fold(1usize, |size, factor| size.checked_mul(factor.len()));
    if size.is_none_or(|size| size > POINTS) {
        sink.error(entry.span, format!("the sweep has more than {POINTS} points"));
    }
    if sink.count() > before {
        return None;
    }
    let points = factors.into_iter().fold(vec![Setting::default()], |points, factor| {
        points.iter().flat_map(|point| factor.iter().map(|more| point.with(more))).collect()
    });
    distinct(&points, sink);
    (sink.count() == before).then_some(points)
}

impl Setting {
    fn with(&self, more: &Setting) -> Setting {
        let comma = if self.name.is_empty() || more.name.is_empty() { "" } else { "," };
        let values = self.values.iter().chain(&more.values).cloned().collect();
        Setting { name: format!("{}{comma}{}", self.name, more.name), values }
    }
}

/// Reports keys that a point sets twice, and points of the same name.
fn distinct(points: &[Setting], sink: &Sink) {
    let mut names = HashSet::new();
    for point in points {
        let mut keys = HashSet::new();
        for value in &point.values {
            if !keys.insert(crate::pipeline::experiments::overrides::path(&value.key)) {
                sink.help(value.span, format!("`{}` is swept twice", value.key), "remove one of the two");
            }
        }
        if !names.insert(&point.name)
            && let Some(value) = point.values.first()
        {
            sink.help(value.span, format!("point `{}` is given twice", point.name), "remove one of the two");
        }
    }
}

/// One axis of the grid.
fn axis(entry: &Entry, sink: &Sink) -> Vec<Setting> {
    let items = match &entry.value.value {
        Yaml::List(items) if !items.is_empty() => items,
        Yaml::List(_) => {
            let help = format!("give it a value, like `{}: [1]`, or remove it", entry.key);
            sink.help(entry.value.span, format!("`{}` has no value to sweep over", entry.key), help);
            return Vec::new();
        }
        _ => {
            let message = format!("`{}` must be a list of values, but is {}", entry.key, entry.value.what());
            sink.help(spec::shown(entry), message, format!("write `{}: [1, 2, 3]`", entry.key));
            return Vec::new();
        }
    };
    let value = |(at, item): (usize, &Node)| {
        literal(item, sink);
        let value = Entry { key: entry.key.clone(), span: entry.span, value: item.clone() };
        Setting { name: format!("{}={}", entry.key, label(item, at)), values: vec![value] }
    };
    items.iter().enumerate().map(value).collect()
}

/// The points written one by one.
fn listed(entry: &Entry, sink: &Sink) -> Vec<Setting> {
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
                let names: Vec<String> =
                    values.iter().map(|v| format!("{}={}", v.key, label(&v.value, at))).collect();
                points.push(Setting { name: names.join(","), values: values.to_vec() });
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

/// Random points.
fn random(entry: &Entry, sink: &Sink) -> Vec<Setting> {
    let fields = spec::mapping(entry, sink);
    for field in fields.iter().filter(|field| !RANDOM_FIELDS.contains(&field.key.as_str())) {
        spec::unknown(field, &RANDOM_FIELDS, "`random`", sink);
    }
    let whole = |field: &str| {
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
    };
    let count = match (whole("points"), entry.value.get("points")) {
        (Some(count @ 1..=100_000), _) => count,
        (Some(_), Some(points)) => {
            sink.error(points.value.span, format!("`points` must be from 1 to {POINTS}"));
            return Vec::new();
        }
        (None, Some(_)) => return Vec::new(),
        (_, None) => {
            sink.help(entry.span, "`random` has no `points`", "add `points: 20`, how many to draw");
            return Vec::new();
        }
    };
    let seed = whole("seed").unwrap_or(0);
    let params = entry.value.get("params").map_or(&[][..], |params| spec::mapping(params, sink));
    if params.is_empty() {
        let help = "add `params: {lr: {log-uniform: [1e-4, 1e-1]}}`";
        sink.help(entry.span, "`random` has no `params`", help);
    }
    let drawn: Vec<(&Entry, Distribution)> =
        params.iter().filter_map(|param| Some((param, Distribution::read(param, sink)?))).collect();
    let draw = |at: u64| {
        let value = |(param, distribution): &(&Entry, Distribution)| {
            let value = Node { span: param.value.span, value: distribution.draw(seed, &param.key, at) };
            Entry { key: param.key.clone(), span: param.span, value }
        };
        Setting { name: format!("draw={}", at + 1), values: drawn.iter().map(value).collect() }
    };
    (0..count).map(draw).collect()
}

/// What a random parameter is drawn from.
#[derive(Debug, Clone, PartialEq)]
pub enum Distribution {
    /// Between the two.
    Uniform(f64, f64),
    /// Between the two, the logarithm uniform.
    LogUniform(f64, f64),
    /// A whole number from the first to the second, both included.
    Integer(i64, i64),
    /// One of these.
    Choice(Vec<Yaml>),
}

impl Distribution {
    fn read(param: &Entry, sink: &Sink) -> Option<Distribution> {
        let span = spec::shown(param);
        let [entry] = param.value.entries().unwrap_or_default() else {
            let message = format!("`{}` must name a distribution, but is {}", param.key, param.value.what());
            sink.help(span, message, "write for example `{uniform: [0, 1]}`");
            return None;
        };
        let items = match &entry.value.value {
            Yaml::List(items) => items.as_slice(),
            _ => &[],
        };
        let refuse = |message: &str| {
            sink.error(spec::shown(entry), format!("`{}` {message}", entry.key));
            None
        };
        let numbers: Vec<&Number> = items
            .iter()
            .filter_map(|item| match &item.value {
                Yaml::Number(number) => Some(number),
                _ => None,
            })
            .collect();
        let ends = match numbers.as_slice() {
            [low, high] if items.len() == 2 => low.as_f64().zip(high.as_f64()),
            _ => None,
        };
        match (entry.key.as_str(), ends) {
            ("uniform", Some((low, high))) if low < high => Some(Distribution::Uniform(low, high)),
            ("log-uniform", Some((low, high))) if 0.0 < low && low < high => {
                Some(Distribution::LogUniform(low, high))
            }
            ("integer", Some(_)) => match (numbers[0].as_i64(), numbers[1].as_i64()) {
                (Some(low), Some(high)) if low <= high => Some(Distribution::Integer(low, high)),
                _ => refuse("needs two whole numbers, the lower one first"),
            },
            ("choice", _) if !items.is_empty() => {
                items.iter().for_each(|item| literal(item, sink));
                Some(Distribution::Choice(items.iter().map(|item| item.value.clone()).collect()))
            }
            ("choice", _) => refuse("needs a list of values"),
            ("uniform", _) => refuse("needs two numbers, the lower one first"),
            ("log-uniform", _) => refuse("needs two positive numbers, the lower one first"),
            ("integer", _) => refuse("needs two whole numbers, the lower one first"),
            (other, _) => {
                let help = did_you_mean(other, DISTRIBUTIONS, "there are")
                    .unwrap_or_else(|| format!("there are {}", list(&DISTRIBUTIONS)));
                sink.help(entry.span, format!("there is no distribution `{other}`"), help);
                None
            }
        }
    }

    /// The value of draw `at` of the parameter `name`.
    pub fn draw(&self, seed: u64, name: &str, at: u64) -> Yaml {
        let mut stream = Streams::new(seed, &format!("sweep {name}")).stream(at);
        let float = |value: f64| Number::from_f64(value).map_or(Yaml::NotFinite(value), Yaml::Number);
        match self {
            Distribution::Uniform(low, high) => {
                let u = stream.uniform();
                float((low * (1.0 - u) + high * u).clamp(*low, *high))
            }
            Distribution::LogUniform(low, high) => {
                // Not by the system's library: the same bits on every machine.
                let (a, b, u) = (libm::log(*low), libm::log(*high), stream.uniform());
                float(libm::exp(a * (1.0 - u) + b * u).clamp(*low, *high))
            }
            Distribution::Integer(low, high) => {
                let width = high.abs_diff(*low).saturating_add(1);
                Yaml::Number(low.wrapping_add_unsigned(stream.below(width)).into())
            }
            Distribution::Choice(values) => values[stream.below(values.len() as u64) as usize].clone(),
        }
    }
}

/// Reports `${…}`: the name of a point could not be known.
fn literal(node: &Node, sink: &Sink) {
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
    let path = crate::pipeline::experiments::overrides::path(key);
    let values = points.first()?.values.iter();
    values
        .filter(|value| crate::pipeline::experiments::overrides::path(&value.key) == path)
        .map(|value| value.span)
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(value: &Yaml) -> f64 {
        match value {
            Yaml::Number(number) => number.as_f64().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn draws_stay_in_range_and_fill_it() {
        let draws = |d: Distribution| (0..4000).map(|at| number(&d.draw(7, "x", at))).collect::<Vec<f64>>();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        // The standard error of the mean of a uniform is width/√(12 n): five of them are 0.023 of the width.
        let uniform = draws(Distribution::Uniform(-1.0, 3.0));
        assert!(uniform.iter().all(|x| (-1.0..=3.0).contains(x)));
        assert!((mean(&uniform) - 1.0).abs() < 4.0 * 0.023);
        let logs: Vec<f64> =
            draws(Distribution::LogUniform(1e-4, 1e-1)).iter().map(|x| libm::log10(*x)).collect();
        assert!(logs.iter().all(|x| (-4.0..=-1.0).contains(x)));
        assert!((mean(&logs) + 2.5).abs() < 3.0 * 0.023);
        let integers = draws(Distribution::Integer(1, 8));
        for k in 1..=8 {
            let share = integers.iter().filter(|x| **x == f64::from(k)).count() as f64 / 4000.0;
            assert!((share - 0.125).abs() < 0.027, "{k}: {share}");
        }
        let choice = Distribution::Choice(vec![Yaml::Bool(true), Yaml::Bool(false)]);
        let share = (0..4000).filter(|at| choice.draw(7, "x", *at) == Yaml::Bool(true)).count();
        assert!((share as f64 / 4000.0 - 0.5).abs() < 0.04, "{share}");
    }

    #[test]
    fn draws_depend_on_seed_name_and_number_alone() {
        let d = Distribution::Uniform(0.0, 1.0);
        let value = |seed, name, at| number(&d.draw(seed, name, at));
        assert_eq!(value(7, "lr", 3), value(7, "lr", 3));
        for other in [value(8, "lr", 3), value(7, "width", 3), value(7, "lr", 4)] {
            assert_ne!(value(7, "lr", 3), other);
        }
    }

    #[test]
    fn draws_never_change() {
        let lr = Distribution::LogUniform(1e-4, 1e-1);
        let draws: Vec<f64> = (0..3).map(|at| number(&lr.draw(7, "lr", at))).collect();
        assert_eq!(draws, [0.0040292356120225385, 0.011435930237541594, 0.0007778393688613093]);
        let depth = Distribution::Integer(1, 8);
        let draws: Vec<f64> = (0..3).map(|at| number(&depth.draw(7, "depth", at))).collect();
        assert_eq!(draws, [7.0, 1.0, 5.0]);
    }
}
