//! Measurements of sets of samples, gathered in groups that agree in all but their seeds.

use super::quality::Score;
use onsager_numerics::statistics::{Estimated, mean};
use serde_json::Value;
use std::collections::BTreeMap;

/// The confidence of every interval.
pub const CONFIDENCE: f64 = 0.95;

/// What a set of samples is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// Drawn from a model.
    Generated,
    /// Real items that are not in the reference: the floor.
    Real,
    /// Noise: the ceiling.
    Noise,
}

impl Set {
    /// The name in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Set::Generated => "generated",
            Set::Real => "real",
            Set::Noise => "noise",
        }
    }
}

/// One metric of one set.
#[derive(Debug, Clone, PartialEq)]
pub struct Measurement {
    pub set: Set,
    /// A value per label axis, `Null` where the set has none.
    pub labels: Vec<Value>,
    /// Which of the disjoint subsets.
    pub replicate: u32,
    pub score: Score,
}

/// One labelled set: its values at the axes that are averaged over, and its measurements, one of each subset.
pub(super) struct Member<'a> {
    pub seed: String,
    measurements: Vec<&'a Measurement>,
}

impl Member<'_> {
    /// The value of each subset.
    pub fn values(&self) -> Vec<f64> {
        self.measurements.iter().map(|m| m.score.value).collect()
    }

    /// The mean over the subsets.
    pub fn mean(&self) -> f64 {
        mean(&self.values())
    }

    /// The mean over the subsets with a block of the reference left out each.
    pub fn without_reference(&self) -> Vec<f64> {
        let blocks = self.measurements.iter().map(|m| m.score.without_reference.len()).min().unwrap_or(0);
        let mean_of =
            |b| mean(&self.measurements.iter().map(|m| m.score.without_reference[b]).collect::<Vec<_>>());
        (0..blocks).map(mean_of).collect()
    }
}

/// The members that agree in all labels but those averaged over.
pub(super) struct Group<'a> {
    pub labels: Vec<Value>,
    pub members: Vec<Member<'a>>,
}

impl<'a> Group<'a> {
    /// A measurement of the group.
    pub fn first(&self) -> &'a Measurement {
        self.members[0].measurements[0]
    }

    pub fn set(&self) -> Set {
        self.first().set
    }

    /// What was measured, on which features.
    pub fn metric(&self) -> (&'static str, &'static str) {
        (self.first().score.metric, self.first().score.features)
    }
}

/// Adds to an estimate of a mean the error of the reference: `without` holds, for each member, what it is with a block left out.
pub(super) fn with_reference(estimate: Estimated, without: &[Vec<f64>]) -> Estimated {
    let blocks = without.iter().map(Vec::len).min().unwrap_or(0);
    let mean_of = |b: usize| mean(&without.iter().map(|of| of[b]).collect::<Vec<_>>());
    match Estimated::jackknife(0.0, &(0..blocks).map(mean_of).collect::<Vec<_>>()) {
        Some(reference) => estimate.widened(reference.error, reference.degrees),
        None => estimate,
    }
}

/// The groups, in the order of their first appearance; `over` are the axes (by position) that are averaged over.
pub(super) fn group<'a>(measurements: &'a [Measurement], over: &[usize]) -> Vec<Group<'a>> {
    let text = |labels: &[&Value]| labels.iter().map(|v| format!("{v}\u{0}")).collect::<String>();
    let mut index: BTreeMap<(&str, String, &str, &str), usize> = BTreeMap::new();
    let mut groups: Vec<Group<'a>> = Vec::new();
    for m in measurements {
        let mut labels = m.labels.clone();
        over.iter().for_each(|&axis| labels[axis] = Value::Null);
        let key = (m.set.name(), text(&labels.iter().collect::<Vec<_>>()), m.score.features, m.score.metric);
        let at = *index.entry(key).or_insert(groups.len());
        if at == groups.len() {
            groups.push(Group { labels, members: Vec::new() });
        }
        let seed = text(&over.iter().map(|&axis| &m.labels[axis]).collect::<Vec<_>>());
        let members = &mut groups[at].members;
        match members.iter_mut().find(|member| member.seed == seed) {
            Some(member) => member.measurements.push(m),
            None => members.push(Member { seed, measurements: vec![m] }),
        }
    }
    groups
}
