//! The entries of a matrix: its axes, and the points put in and left out.

use crate::pipeline::expand::instance::{Coordinate, Instance, is_name, normal, plain, unfit};
use crate::pipeline::expand::interpolate::Scope;
use crate::pipeline::expand::product::{Axis, FromAxis, INSTANCES, product};
use crate::pipeline::spec;
use crate::pipeline::yaml::node::{Entry, Node, Yaml, what_value};
use crate::pipeline::yaml::sink::{Sink, Span};
use onsager_tables::names::{did_you_mean, list};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// Reads the entries of a matrix.
pub struct Reader<'a> {
    pub scope: &'a Scope<'a>,
    pub sink: &'a Sink,
}

impl Reader<'_> {
    /// An axis over what another stage makes.
    pub fn from<'n>(&self, entry: &'n Entry) -> Option<FromAxis<'n>> {
        let name = &entry.key;
        let before = self.sink.count();
        self.name(entry);
        for field in entry.value.entries().unwrap_or_default() {
            if !matches!(field.key.as_str(), "from" | "name") {
                spec::unknown(field, &["from", "name"], "an axis over what a stage makes", self.sink);
            }
        }
        let text = |field: &str| entry.value.get(field).and_then(|entry| spec::text(entry, self.sink));
        let column = text("name");
        let Some(from) = entry.value.get("from") else {
            self.sink.help(
                entry.value.span,
                format!("axis `{name}` must be a list, or say `from` which output its values are, but is a mapping"),
                format!("write `{name}: [...]`, or `{name}: {{from: stage.output}}`"),
            );
            return None;
        };
        let span = from.value.span;
        let from = spec::text(from, self.sink)?;
        (self.sink.count() == before).then(|| FromAxis { axis: Rc::from(name.as_str()), from, span, column })
    }

    /// Reports a name that no axis can have.
    fn name(&self, entry: &Entry) -> bool {
        let name = &entry.key;
        let fits = is_name(name);
        if !fits {
            self.sink.help(
                entry.span,
                format!("`{name}` cannot be the name of an axis"),
                "use letters, digits, `_` and `-`, starting with a letter",
            );
        }
        fits
    }

    /// The values of an axis, each with a label of its own.
    pub fn axis(&self, entry: &Entry) -> Option<Axis> {
        let name = &entry.key;
        if !self.name(entry) {
            return None;
        }
        let axis: Rc<str> = Rc::from(name.as_str());
        let mut seen = HashSet::new();
        let mut values = Vec::new();
        let mut sound = true;
        for (value, span) in self.values(&entry.value, name, false)? {
            match self.coordinate(&axis, value, span) {
                Some(coordinate) if !seen.insert(coordinate.text.clone()) => {
                    self.sink.error(span, format!("axis `{name}` has the value `{}` twice", coordinate.text));
                    sound = false;
                }
                Some(coordinate) => values.push(Rc::new(coordinate)),
                None => sound = false,
            }
        }
        if values.is_empty() && sound {
            self.sink.help(entry.span, format!("axis `{name}` is empty"), "give it a value, or remove it");
            return None;
        }
        sound.then_some(values)
    }

    /// The values of a list with their places; `single` allows one value without a list.
    fn values(&self, node: &Node, name: &str, single: bool) -> Option<Vec<(Value, Span)>> {
        let mut sound = true;
        let value = self.scope.value(node, self.sink, &mut sound)?;
        if !sound {
            return None;
        }
        let values = match value {
            Value::Array(values) => values,
            value if single => vec![value],
            value => {
                self.sink.help(
                    node.span,
                    format!("axis `{name}` must be a list, but is {}", what_value(&value)),
                    format!("write `{name}: [...]`"),
                );
                return None;
            }
        };
        let span = |at: usize| match &node.value {
            Yaml::List(items) => items.get(at).map_or(node.span, |item| item.span),
            _ => node.span,
        };
        Some(values.into_iter().enumerate().map(|(at, value)| (value, span(at))).collect())
    }

    fn coordinate(&self, axis: &Rc<str>, value: Value, span: Span) -> Option<Coordinate> {
        let label = match &value {
            Value::Object(map) => match map.get("name") {
                Some(label @ (Value::String(_) | Value::Number(_) | Value::Bool(_))) => label.clone(),
                _ => {
                    self.sink.help(
                        span,
                        format!("a value of axis `{axis}` that is a mapping must have a name"),
                        "write `{name: …, …}`",
                    );
                    return None;
                }
            },
            Value::Null | Value::Array(_) => {
                self.sink.help(
                    span,
                    format!("a value of axis `{axis}` is {}", what_value(&value)),
                    "use numbers, text, or mappings with a `name`",
                );
                return None;
            }
            scalar => scalar.clone(),
        };
        let text = plain(&label).unwrap_or_default();
        if unfit(&text).is_some() {
            self.sink.help(
                span,
                format!("`{text}` cannot be a label of axis `{axis}`: labels are parts of file names"),
                "give it a name: `{name: short, value: …}`, and use `${matrix.AXIS.value}`"
                    .replace("AXIS", axis),
            );
            return None;
        }
        Some(Coordinate { axis: axis.clone(), value, label, text: normal(&text), open: false })
    }

    /// Axes of equal length.
    pub fn zip(&self, group: &Node) -> Vec<Axis> {
        let Some(entries) = group.entries() else {
            self.sink.help(
                group.span,
                format!("`zip` must be a mapping of axes, but is {}", group.what()),
                "write `zip: {steps: [10, 100], seed: [1, 2]}`",
            );
            return Vec::new();
        };
        if let Some(entry) = entries.iter().find(|entry| entry.value.get("from").is_some()) {
            let help = "give it beside `zip`: it multiplies with what is zipped";
            self.sink.help(
                entry.span,
                format!("axis `{}` cannot be zipped: its values are made by a stage", entry.key),
                help,
            );
            return Vec::new();
        }
        let axes: Vec<Axis> = entries.iter().filter_map(|entry| self.axis(entry)).collect();
        if let Some(first) = axes.first()
            && let Some(other) = axes.iter().find(|axis| axis.len() != first.len())
        {
            let name =
                |axis: &Axis| axis.first().map_or(String::new(), |coordinate| coordinate.axis.to_string());
            self.sink.error(
                group.get(&name(other)).map_or(group.span, |entry| entry.span),
                format!(
                    "axes that are zipped must have the same length: `{}` has {} values and `{}` has {}",
                    name(first),
                    first.len(),
                    name(other),
                    other.len()
                ),
            );
        }
        axes
    }

    /// The entries of `include` or `exclude`, each a mapping of axes.
    fn points<'n>(&self, entry: &'n Entry) -> Vec<(&'n Node, &'n [Entry])> {
        let Yaml::List(items) = &entry.value.value else {
            self.sink.help(
                entry.value.span,
                format!("`{}` must be a list of points, but is {}", entry.key, entry.value.what()),
                format!("write `{}: [{{axis: value}}]`", entry.key),
            );
            return Vec::new();
        };
        let mut points = Vec::new();
        for item in items {
            match item.entries() {
                Some(entries) if !entries.is_empty() => points.push((item, entries)),
                _ => self.sink.help(
                    item.span,
                    format!("a point of `{}` must be a mapping of axes, but is {}", entry.key, item.what()),
                    format!("write `{}: [{{axis: value}}]`", entry.key),
                ),
            }
        }
        points
    }

    /// The labels that a point of `exclude` names, per axis.
    /// Of a matrix that fans out nothing need be left out: the items may not be known, or be others.
    pub fn exclude(&self, entry: &Entry, names: &[Rc<str>], fans: bool, instances: &mut Vec<Instance>) {
        for (point, entries) in self.points(entry) {
            let mut wanted: HashMap<&str, HashSet<String>> = HashMap::new();
            let mut sound = true;
            for axis in entries {
                if !names.iter().any(|name| **name == *axis.key) {
                    self.unknown_axis(axis, names);
                    sound = false;
                    continue;
                }
                let Some(values) = self.values(&axis.value, &axis.key, true) else {
                    sound = false;
                    continue;
                };
                let labels = values.iter().filter_map(|(value, _)| plain(value)).map(|text| normal(&text));
                wanted.insert(&axis.key, labels.collect());
            }
            if !sound {
                continue;
            }
            let before = instances.len();
            instances.retain(|instance| {
                !instance.coordinates.iter().all(|coordinate| {
                    let wanted = wanted.get(&*coordinate.axis);
                    wanted.is_none_or(|labels| !coordinate.open && labels.contains(&coordinate.text))
                })
            });
            if instances.len() == before && !fans {
                self.sink.help(
                    point.span,
                    "`exclude` matches no instance",
                    "correct the coordinates, or remove the point",
                );
            }
        }
    }

    fn unknown_axis(&self, axis: &Entry, names: &[Rc<str>]) {
        let help = did_you_mean(&axis.key, names.iter().map(|name| &**name), "the axes are");
        self.sink.add(Some(axis.span), format!("the matrix has no axis `{}`", axis.key), help);
    }

    /// Further instances; without other axes, the first point says what the axes are.
    pub fn include(
        &self,
        entry: &Entry,
        axes: &[Axis],
        mut names: Vec<Rc<str>>,
        instances: &mut Vec<Instance>,
    ) {
        let known: HashMap<(&str, &str), &Rc<Coordinate>> =
            axes.iter().flatten().map(|c| ((&*c.axis, c.text.as_str()), c)).collect();
        let mut seen: HashSet<String> = instances.iter().map(|instance| instance.id("")).collect();
        for (point, entries) in self.points(entry) {
            if names.is_empty() {
                names = entries.iter().map(|axis| Rc::from(axis.key.as_str())).collect();
            }
            for axis in entries.iter().filter(|axis| !names.iter().any(|name| **name == *axis.key)) {
                self.unknown_axis(axis, &names);
            }
            let mut factors: Vec<Vec<Axis>> = Vec::new();
            for name in &names {
                let Some(axis) = point.get(name) else {
                    self.sink.help(
                        point.span,
                        format!("the included point has no `{name}`"),
                        format!(
                            "give it a value for {}",
                            list(&names.iter().map(|n| &**n).collect::<Vec<_>>())
                        ),
                    );
                    continue;
                };
                let mut factor = Vec::new();
                for (value, span) in self.values(&axis.value, name, true).unwrap_or_default() {
                    // The name of a named point stands for the point.
                    let text = normal(&plain(&value).unwrap_or_default());
                    match known.get(&(&**name, text.as_str())) {
                        Some(coordinate) if !value.is_object() => factor.push(vec![(*coordinate).clone()]),
                        _ => {
                            if let Some(coordinate) = self.coordinate(name, value, span) {
                                factor.push(vec![Rc::new(coordinate)]);
                            }
                        }
                    }
                }
                factors.push(factor);
            }
            let size = factors.iter().try_fold(1usize, |size, factor| size.checked_mul(factor.len()));
            if size.is_none_or(|size| size > INSTANCES) {
                self.sink.error(point.span, format!("the point has more than {INSTANCES} instances"));
                continue;
            }
            for instance in product(&factors) {
                if !seen.insert(instance.id("")) {
                    self.sink.error(
                        point.span,
                        format!("the included point `{}` is in the matrix already", instance.id("")),
                    );
                }
                instances.push(instance);
            }
        }
    }
}
