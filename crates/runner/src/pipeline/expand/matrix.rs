//! The matrix of a stage: axes, lock-step axes, and the points put in and left out.
//!
//! ```yaml
//! matrix:
//!   system: [free, harmonic]                       # an axis
//!   model: [{name: ddpm, objective: simple}, …]    # named points: `${matrix.model.objective}`, labelled by their name
//!   zip: {steps: [10, 100], seed: [1, 2]}          # axes that advance together
//!   exclude: [{system: free, seed: 2}]             # every instance with these coordinates is left out
//!   include: [{system: morse, model: ddpm, steps: [10, 20], seed: 3}]   # further instances; a list gives one for each value
//!   part: {from: split.parts}                      # one value for each file of a folder, or row of a table: see `items.rs`
//! ```
//! Instances come in the order of declaration, the last axis fastest, the included ones last.

use crate::pipeline::expand::instance::{Coordinate, Instance, Open, is_name, normal, plain, unfit};
use crate::pipeline::expand::interpolate::Scope;
use crate::pipeline::spec;
use crate::pipeline::yaml::node::{Entry, Node, Yaml, what_value};
use crate::pipeline::yaml::sink::{Sink, Span};
use onsager_tables::names::{did_you_mean, list};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// A matrix beyond this is a mistake.
const INSTANCES: usize = 1_000_000;

pub type Axis = Vec<Rc<Coordinate>>;

/// An axis over what another stage makes.
pub struct FromAxis<'a> {
    pub axis: Rc<str>,
    /// The artifact.
    pub from: &'a str,
    pub span: Span,
    /// The column that rows are called by.
    pub column: Option<&'a str>,
}

/// The values of such an axis.
pub enum Fanned {
    Known(Axis),
    Open(Open),
}

/// Finds the values of such an axis for an instance on the other axes; none after an error.
pub type Fan<'f> = &'f mut dyn FnMut(&FromAxis, &Instance) -> Option<Fanned>;

/// The instances of a matrix, at least one unless it fans out; none after an error. `scope` holds the parameters.
pub fn expand(node: &Node, scope: &Scope, fan: Fan, sink: &Sink) -> Option<Vec<Instance>> {
    let before = sink.count();
    let Some(entries) = node.entries() else {
        sink.help(
            node.span,
            format!("`matrix` must be a mapping of axes, but is {}", node.what()),
            "write `matrix: {seed: [1, 2, 3]}`",
        );
        return None;
    };
    let reader = Reader { scope, sink };
    let mut axes: Vec<Axis> = Vec::new();
    let mut products: Vec<Vec<Axis>> = Vec::new(); // one per factor; a factor is a list of bundles
    let mut froms: Vec<(usize, FromAxis)> = Vec::new(); // with their places among the factors
    let (mut include, mut exclude): (Option<&Entry>, Option<&Entry>) = (None, None);
    for entry in entries {
        match entry.key.as_str() {
            "include" => include = Some(entry),
            "exclude" => exclude = Some(entry),
            "zip" => {
                let groups = match &entry.value.value {
                    Yaml::List(groups) => groups.as_slice(),
                    _ => std::slice::from_ref(&entry.value),
                };
                for group in groups {
                    let zipped = reader.zip(group);
                    products.extend(transpose(&zipped));
                    axes.extend(zipped);
                }
            }
            _ if entry.value.entries().is_some() => {
                if let Some(from) = reader.from(entry) {
                    froms.push((products.len() + froms.len(), from));
                }
            }
            _ => {
                if let Some(axis) = reader.axis(entry) {
                    products.push(axis.iter().map(|coordinate| vec![coordinate.clone()]).collect());
                    axes.push(axis);
                }
            }
        }
    }
    let mut names: Vec<Rc<str>> = Vec::new();
    for name in axes.iter().filter_map(|axis| axis.first()).map(|coordinate| &coordinate.axis) {
        if names.contains(name) {
            sink.error(node.locate(["zip", name]), format!("axis `{name}` is given twice"));
        }
        names.push(name.clone());
    }
    if let (Some((_, from)), Some(include)) = (froms.first(), include) {
        let message =
            format!("`include` does not go with the axis `{}`, whose values are made by a stage", from.axis);
        sink.help(include.span, message, "leave it out, or write a stage of its own for these instances");
    }
    for (_, from) in &froms {
        if names.contains(&from.axis) {
            sink.error(node.locate(["zip", &*from.axis]), format!("axis `{}` is given twice", from.axis));
        }
        names.push(from.axis.clone());
    }
    if sink.count() > before {
        return None;
    }
    let size = products.iter().try_fold(1usize, |size, factor| size.checked_mul(factor.len()));
    if size.is_none_or(|size| size > INSTANCES) {
        sink.error(node.span, format!("the matrix has more than {INSTANCES} instances"));
        return None;
    }
    let mut instances = match froms.is_empty() {
        true if products.is_empty() => Vec::new(),
        true => product(&products),
        false => fan_out(&products, &froms, fan)?,
    };
    if instances.len() > INSTANCES {
        sink.error(node.span, format!("the matrix has more than {INSTANCES} instances"));
        return None;
    }
    if let Some(entry) = exclude {
        reader.exclude(entry, &names, !froms.is_empty(), &mut instances);
    }
    if let Some(entry) = include {
        reader.include(entry, &axes, names, &mut instances);
    }
    if sink.count() > before {
        return None;
    }
    if instances.is_empty() && froms.is_empty() {
        sink.help(node.span, "the matrix has no instance", "give it an axis, or leave it out");
        return None;
    }
    Some(instances)
}

/// The bundles of lock-step axes; no factor for no axes.
fn transpose(zipped: &[Axis]) -> Option<Vec<Axis>> {
    let length = zipped.first()?.len();
    Some((0..length).map(|at| zipped.iter().filter_map(|axis| axis.get(at).cloned()).collect()).collect())
}

/// Every choice of one bundle per factor, the last factor fastest.
fn product(factors: &[Vec<Axis>]) -> Vec<Instance> {
    let mut instances = vec![Instance::default()];
    for factor in factors {
        let mut longer = Vec::with_capacity(instances.len() * factor.len());
        for instance in &instances {
            for bundle in factor {
                let mut coordinates = instance.coordinates.clone();
                coordinates.extend(bundle.iter().cloned());
                longer.push(Instance { coordinates, open: None });
            }
        }
        instances = longer;
    }
    instances
}

/// Every choice of one bundle per factor and one item per axis over what other stages make, the last one fastest. The others come
/// first: which task makes the items may depend on them.
fn fan_out(factors: &[Vec<Axis>], froms: &[(usize, FromAxis)], fan: Fan) -> Option<Vec<Instance>> {
    /// The places on the factors and axes in their order of declaration, the coordinates there, and what is not known.
    struct Part {
        places: Vec<usize>,
        coordinates: Vec<Axis>,
        open: Option<Open>,
    }
    let all = factors.len() + froms.len();
    let empty = || Part { places: vec![0; all], coordinates: vec![Axis::new(); all], open: None };
    let instance = |part: &Part| Instance {
        coordinates: part.coordinates.iter().flatten().cloned().collect(),
        open: part.open,
    };
    let with = |part: &Part, at: usize, place: usize, coordinates: Axis| {
        let mut next =
            Part { places: part.places.clone(), coordinates: part.coordinates.clone(), open: part.open };
        next.places[at] = place;
        next.coordinates[at] = coordinates;
        next
    };
    let mut parts = vec![empty()];
    let mut free = (0..all).filter(|at| froms.iter().all(|(from, _)| from != at));
    for factor in factors {
        let at = free.next()?;
        let longer = |part: &Part| {
            let bundles = factor.iter().enumerate();
            bundles.map(|(place, bundle)| with(part, at, place, bundle.clone())).collect::<Vec<_>>()
        };
        parts = parts.iter().flat_map(longer).collect();
    }
    for (at, from) in froms {
        let mut longer = Vec::new();
        for part in &parts {
            let fanned = match part.open {
                Some(open) => Fanned::Open(open),
                None => fan(from, &instance(part))?,
            };
            match fanned {
                Fanned::Known(axis) => {
                    let items = axis.into_iter().enumerate();
                    longer.extend(items.map(|(place, item)| with(part, *at, place, vec![item])));
                }
                Fanned::Open(open) => {
                    let any = Value::String("*".to_owned());
                    let axis = from.axis.clone();
                    let (value, label, text) = (any.clone(), any, "*".to_owned());
                    let coordinate = Rc::new(Coordinate { axis, value, label, text, open: true });
                    longer.push(Part { open: Some(open), ..with(part, *at, 0, vec![coordinate]) });
                }
            }
        }
        parts = longer;
    }
    parts.sort_by(|a, b| a.places.cmp(&b.places));
    Some(parts.iter().map(instance).collect())
}

struct Reader<'a> {
    scope: &'a Scope<'a>,
    sink: &'a Sink,
}

impl Reader<'_> {
    /// An axis over what another stage makes.
    fn from<'n>(&self, entry: &'n Entry) -> Option<FromAxis<'n>> {
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
    fn axis(&self, entry: &Entry) -> Option<Axis> {
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
    fn zip(&self, group: &Node) -> Vec<Axis> {
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
    fn exclude(&self, entry: &Entry, names: &[Rc<str>], fans: bool, instances: &mut Vec<Instance>) {
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
    fn include(&self, entry: &Entry, axes: &[Axis], mut names: Vec<Rc<str>>, instances: &mut Vec<Instance>) {
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
