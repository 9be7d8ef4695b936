//! The field `sweep` of an experiment: from its parts to the points.

use crate::pipeline::experiments::overrides;
use crate::pipeline::experiments::sweep::axes;
use crate::pipeline::experiments::sweep::draws::{self, Method};
use crate::pipeline::experiments::sweep::search::{self, Found};
use crate::pipeline::experiments::sweep::setting::{POINTS, Setting};
use crate::pipeline::spec;
use crate::pipeline::yaml::node::Entry;
use crate::pipeline::yaml::sink::Sink;
use std::collections::HashSet;
use std::path::Path;

/// The parts of a sweep.
pub const FIELDS: [&str; 7] = ["grid", "zip", "list", "random", "latin-hypercube", "sobol", "search"];

/// The points of a sweep, at least one; none after an error. The state of a search is at `state`.
pub fn read(entry: &Entry, state: &Path, sink: &Sink) -> Option<(Vec<Setting>, Option<Found>)> {
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
    let found = entry.value.get("search").and_then(|entry| search::read(entry, state, sink));
    factors.extend(found.as_ref().map(|found| found.points.clone()));
    factors.extend(entry.value.get("list").map(|entry| axes::listed(entry, sink)));
    for method in Method::ALL {
        factors.extend(entry.value.get(method.field()).map(|entry| draws::read(entry, method, sink)));
    }
    factors.extend(entry.value.get("zip").map(|entry| axes::zip(entry, sink)));
    for axis in entry.value.get("grid").map_or(&[][..], |entry| spec::mapping(entry, sink)) {
        factors.push(axes::axis(axis, sink));
    }
    if sink.count() == before && factors.iter().all(Vec::is_empty) {
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
    (sink.count() == before).then_some((points, found))
}

/// Reports keys that a point sets twice, and points of the same name.
fn distinct(points: &[Setting], sink: &Sink) {
    let mut names = HashSet::new();
    for point in points {
        let mut keys = HashSet::new();
        for value in &point.values {
            if !keys.insert(overrides::path(&value.key)) {
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
