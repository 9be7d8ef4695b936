//! The instances of a matrix from the values of its axes.

use crate::pipeline::expand::instance::{Coordinate, Instance, Open};
use crate::pipeline::yaml::sink::Span;
use serde_json::Value;
use std::rc::Rc;

/// A matrix beyond this is a mistake.
pub const INSTANCES: usize = 1_000_000;

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

/// The bundles of lock-step axes; no factor for no axes.
pub fn transpose(zipped: &[Axis]) -> Option<Vec<Axis>> {
    let length = zipped.first()?.len();
    Some((0..length).map(|at| zipped.iter().filter_map(|axis| axis.get(at).cloned()).collect()).collect())
}

/// Every choice of one bundle per factor, the last factor fastest.
pub fn product(factors: &[Vec<Axis>]) -> Vec<Instance> {
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
pub fn fan_out(factors: &[Vec<Axis>], froms: &[(usize, FromAxis)], fan: Fan) -> Option<Vec<Instance>> {
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
