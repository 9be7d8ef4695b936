//! Summaries over seeds: means with intervals, the place between floor and ceiling, and which differences are noise.

use super::quality::DISTANCES;
use onsager_numerics::statistics::{Interval, mean, standard_error, student_quantile, welch_p_value};
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
    pub features: &'static str,
    pub metric: &'static str,
    pub value: f64,
    /// The standard error from within the subset.
    pub error: Option<f64>,
}

/// What an interval's error was estimated from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The spread over the label axes that are averaged over.
    Seeds,
    /// The spread over disjoint subsets of one set: the error of the finite sample, not of training.
    Subsets,
    /// The spread within the only subset.
    Within,
    /// Nothing to estimate it from.
    None,
}

impl Basis {
    /// The name in the tables.
    pub fn name(self) -> &'static str {
        match self {
            Basis::Seeds => "seeds",
            Basis::Subsets => "subsets",
            Basis::Within => "within",
            Basis::None => "none",
        }
    }
}

/// A metric averaged over seeds.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    pub set: Set,
    /// A value per axis, `Null` at the axes that are averaged over.
    pub labels: Vec<Value>,
    pub features: &'static str,
    pub metric: &'static str,
    pub mean: f64,
    /// The 95 % interval of the mean.
    pub interval: Option<Interval>,
    pub basis: Basis,
    /// How many values were averaged: sets for `Seeds`, else subsets.
    pub n: usize,
    /// (mean − floor)/(ceiling − floor), for distances.
    pub fraction: Option<f64>,
    /// Against the baseline with the same other labels.
    pub versus: Option<Versus>,
    error: f64,
    degrees: f64,
}

/// A difference from the baseline.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Versus {
    /// Mean minus the baseline's mean.
    pub difference: f64,
    /// Two-sided p-value of Welch's test, where both means have an error.
    pub p_value: Option<f64>,
}

impl Versus {
    /// Whether chance alone gives such a difference in more than 5 % of repetitions.
    pub fn within_noise(&self) -> Option<bool> {
        self.p_value.map(|p| p > 1.0 - CONFIDENCE)
    }
}

/// Averages measurements over replicates, then over the axes `over`, in the order of their first appearance. `baseline`
/// holds axes (by position) with the values that mark the baseline.
pub fn summarise(measurements: &[Measurement], over: &[usize], baseline: &[(usize, Value)]) -> Vec<Summary> {
    let labels_key = |labels: &[Value]| labels.iter().map(|v| format!("{v}\u{0}")).collect::<String>();
    let mut index: BTreeMap<(&str, String, &str, &str), usize> = BTreeMap::new();
    // Per group its labels and, per member (one labelled set), the measurements.
    type Members<'a> = Vec<(String, Vec<&'a Measurement>)>;
    let mut groups: Vec<(Vec<Value>, Members)> = Vec::new();
    for m in measurements {
        let mut labels = m.labels.clone();
        for &axis in over {
            labels[axis] = Value::Null;
        }
        let next = groups.len();
        let group = *index.entry((m.set.name(), labels_key(&labels), m.features, m.metric)).or_insert(next);
        if group == next {
            groups.push((labels, Vec::new()));
        }
        let member = labels_key(&m.labels);
        let members = &mut groups[group].1;
        match members.iter_mut().find(|(key, _)| *key == member) {
            Some((_, values)) => values.push(m),
            None => members.push((member, vec![m])),
        }
    }
    let mut summaries: Vec<Summary> = groups
        .into_iter()
        .filter_map(|(labels, members)| {
            summary(labels, &members.into_iter().map(|(_, m)| m).collect::<Vec<_>>())
        })
        .collect();
    for i in 0..summaries.len() {
        let found = place(&summaries, &summaries[i]);
        summaries[i].fraction = found;
        let found = versus(&summaries, i, baseline);
        summaries[i].versus = found;
    }
    summaries
}

/// One group: its mean, and its error from the widest spread that it has.
fn summary(labels: Vec<Value>, members: &[Vec<&Measurement>]) -> Option<Summary> {
    let first = *members.first()?.first()?;
    let values = |member: &[&Measurement]| member.iter().map(|m| m.value).collect::<Vec<f64>>();
    let means: Vec<f64> = members.iter().map(|member| mean(&values(member))).collect();
    let subsets = values(&members[0]);
    let (basis, n, error, degrees) = if means.len() > 1 {
        (Basis::Seeds, means.len(), standard_error(&means), (means.len() - 1) as f64)
    } else if subsets.len() > 1 {
        (Basis::Subsets, subsets.len(), standard_error(&subsets), (subsets.len() - 1) as f64)
    } else {
        match first.error.filter(|error| error.is_finite()) {
            Some(error) => (Basis::Within, 1, error, f64::INFINITY),
            None => (Basis::None, 1, f64::NAN, f64::NAN),
        }
    };
    let centre = mean(&means);
    let interval = (basis != Basis::None).then(|| {
        let reach = student_quantile(0.5 + 0.5 * CONFIDENCE, degrees) * error;
        Interval { lower: centre - reach, upper: centre + reach }
    });
    Some(Summary {
        set: first.set,
        labels,
        features: first.features,
        metric: first.metric,
        mean: centre,
        interval,
        basis,
        n,
        fraction: None,
        versus: None,
        error,
        degrees,
    })
}

/// The place of a distance between the floor (0) and the ceiling (1).
fn place(summaries: &[Summary], of: &Summary) -> Option<f64> {
    if !DISTANCES.contains(&of.metric) {
        return None;
    }
    let end = |set| {
        let same = |s: &&Summary| s.set == set && s.features == of.features && s.metric == of.metric;
        summaries.iter().find(same).map(|s| s.mean)
    };
    let (floor, ceiling) = (end(Set::Real)?, end(Set::Noise)?);
    Some((of.mean - floor) / (ceiling - floor))
}

/// Compares a generated group with the baseline's group that has the same labels but for the baseline's axes.
fn versus(summaries: &[Summary], i: usize, baseline: &[(usize, Value)]) -> Option<Versus> {
    let of = &summaries[i];
    if baseline.is_empty() || of.set != Set::Generated {
        return None;
    }
    let mut labels = of.labels.clone();
    for (axis, value) in baseline {
        labels[*axis] = value.clone();
    }
    let (j, base) = summaries.iter().enumerate().find(|(_, s)| {
        s.set == of.set
            && s.features == of.features
            && s.metric == of.metric
            && s.labels.iter().zip(&labels).all(|(a, b)| same_value(a, b))
    })?;
    if i == j {
        return None;
    }
    let difference = of.mean - base.mean;
    let known = of.basis != Basis::None && base.basis != Basis::None;
    let p_value =
        known.then(|| welch_p_value(difference, [of.error, base.error], [of.degrees, base.degrees]));
    Some(Versus { difference, p_value })
}

/// Equal, where 1 and 1.0 are the same number.
pub fn same_value(a: &Value, b: &Value) -> bool {
    a == b || matches!((a.as_f64(), b.as_f64()), (Some(a), Some(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(set: Set, labels: [Value; 2], replicate: u32, value: f64) -> Measurement {
        Measurement {
            set,
            labels: labels.to_vec(),
            replicate,
            features: "pixels",
            metric: "frechet_distance",
            value,
            error: None,
        }
    }

    /// Axes (model, seed): a has 2, 4, 6 (the second as the mean of two subsets), b has 5, 6, 7; floor 0 and 2, ceiling 11.
    #[test]
    fn means_intervals_places_and_differences() {
        let mut rows = vec![
            row(Set::Real, [Value::Null, Value::Null], 0, 0.0),
            row(Set::Real, [Value::Null, Value::Null], 1, 2.0),
            row(Set::Noise, [Value::Null, Value::Null], 0, 11.0),
        ];
        for (seed, values) in [(1, vec![2.0]), (2, vec![3.0, 5.0]), (3, vec![6.0])] {
            for (replicate, value) in values.into_iter().enumerate() {
                rows.push(row(Set::Generated, [json!("a"), json!(seed)], replicate as u32, value));
            }
        }
        for seed in 1..4 {
            rows.push(row(Set::Generated, [json!("b"), json!(seed)], 0, 4.0 + f64::from(seed)));
        }
        let found = summarise(&rows, &[1], &[(0, json!("a"))]);
        assert_eq!(found.len(), 4);
        let [real, noise, a, b] = &found[..] else { return };
        assert_eq!((real.mean, real.basis, real.n, real.fraction), (1.0, Basis::Subsets, 2, Some(0.0)));
        assert_eq!((noise.mean, noise.basis, noise.interval), (11.0, Basis::None, None));
        assert_eq!((a.mean, a.n, a.basis, a.fraction), (4.0, 3, Basis::Seeds, Some(0.3)));
        let reach = 4.302652730 * 2.0 / 3f64.sqrt();
        assert!(a.interval.is_some_and(|i| (i.upper - 4.0 - reach).abs() < 1e-8));
        assert_eq!((a.versus, b.labels.clone()), (None, vec![json!("b"), Value::Null]));
        let versus = b.versus.unwrap_or(Versus { difference: f64::NAN, p_value: None });
        // Welch: t = 2/sqrt(4/3 + 1/3) = 1.549, 2.941 degrees of freedom: p = 0.220881 by midpoint quadrature of the density.
        assert_eq!((versus.difference, versus.within_noise()), (2.0, Some(true)));
        assert!(versus.p_value.is_some_and(|p| (p - 0.220_880_840).abs() < 1e-8), "{:?}", versus.p_value);
    }

    #[test]
    fn numbers_are_the_same_in_either_notation() {
        assert!(same_value(&json!(1), &json!(1.0)));
        assert!(!same_value(&json!("1"), &json!(1)));
    }
}
