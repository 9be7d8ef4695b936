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

use crate::pipeline::expand::axes::Reader;
use crate::pipeline::expand::instance::Instance;
use crate::pipeline::expand::interpolate::Scope;
use crate::pipeline::expand::product::{Axis, Fan, FromAxis, INSTANCES, fan_out, product, transpose};
use crate::pipeline::yaml::node::{Entry, Node, Yaml};
use crate::pipeline::yaml::sink::Sink;
use std::rc::Rc;

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
