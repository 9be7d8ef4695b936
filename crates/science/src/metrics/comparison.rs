//! Summaries over seeds: means with intervals, the place between floor and ceiling, and which differences are noise.
//!
//! The error of a mean has two sources: the trainings (or, of one training, the disjoint subsets of its samples), and the finite
//! reference, which all sets share. The first is their spread; the second is the jackknife's over the blocks of the reference, for the
//! scores that have it ([`without_reference`](super::quality::Score::without_reference)). They add, with Satterthwaite's degrees of freedom.

use super::measurements::{CONFIDENCE, Group, Measurement, Member, Set, group, with_reference};
use super::quality::DISTANCES;
use super::versus::{self, Versus};
use onsager_numerics::statistics::{Estimated, Interval, deviation, mean};
use serde_json::Value;
use std::collections::BTreeMap;

/// What an interval's error was estimated from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The spread over the label axes that are averaged over.
    Seeds,
    /// The spread over disjoint subsets of one set: the error of the finite samples, not of training.
    Subsets,
    /// The spread over the items of the only subset, or over its blocks.
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
    /// The mean with its error, unless there is nothing to estimate it from.
    pub estimate: Option<Estimated>,
    /// The 95 % interval of the mean.
    pub interval: Option<Interval>,
    pub basis: Basis,
    /// How many values were averaged: sets for `Seeds`, else subsets.
    pub n: usize,
    /// (mean − floor)/(ceiling − floor), for distances.
    pub fraction: Option<f64>,
    /// (mean − floor)/the deviation of the floor's subsets, for distances.
    pub floor_deviations: Option<f64>,
    /// Against the baseline with the same other labels.
    pub versus: Option<Versus>,
}

/// Averages measurements over replicates, then over the axes `over`, in the order of their first appearance. `baseline`
/// holds axes (by position) with the values that mark the baseline; `margins`, by the metric's name, the differences that count as none.
pub fn summarise(
    measurements: &[Measurement],
    over: &[usize],
    baseline: &[(usize, Value)],
    margins: &BTreeMap<String, f64>,
) -> Vec<Summary> {
    let groups = group(measurements, over);
    let mut summaries: Vec<Summary> = groups.iter().map(summary).collect();
    let floors: Vec<_> = groups.iter().map(|of| place(&groups, &summaries, of)).collect();
    let versus = versus::against(&groups, baseline, margins);
    for ((summary, (fraction, deviations)), versus) in summaries.iter_mut().zip(floors).zip(versus) {
        (summary.fraction, summary.floor_deviations, summary.versus) = (fraction, deviations, versus);
    }
    summaries
}

/// One group: its mean, and its error from the widest spread that it has.
fn summary(of: &Group<'_>) -> Summary {
    let means: Vec<f64> = of.members.iter().map(Member::mean).collect();
    let subsets = of.members[0].values();
    let without: Vec<Vec<f64>> = of.members.iter().map(Member::without_reference).collect();
    let (basis, n, estimate) = match (Estimated::mean(&means), Estimated::mean(&subsets)) {
        (Some(estimate), _) => (Basis::Seeds, means.len(), Some(with_reference(estimate, &without))),
        (None, Some(estimate)) => (Basis::Subsets, subsets.len(), Some(with_reference(estimate, &without))),
        _ => match of.first().score.estimate.filter(|estimate| estimate.error.is_finite()) {
            Some(estimate) => (Basis::Within, 1, Some(estimate)),
            None => (Basis::None, 1, None),
        },
    };
    let given = if basis == Basis::Within { of.first().score.interval } else { None };
    let (metric, features) = of.metric();
    Summary {
        set: of.set(),
        labels: of.labels.clone(),
        features,
        metric,
        mean: mean(&means),
        estimate,
        interval: given.or_else(|| estimate.map(|estimate| estimate.interval(CONFIDENCE))),
        basis,
        n,
        fraction: None,
        floor_deviations: None,
        versus: None,
    }
}

/// The place of a distance between the floor (0) and the ceiling (1), and above the floor in deviations of its subsets.
fn place(groups: &[Group<'_>], summaries: &[Summary], of: &Group<'_>) -> (Option<f64>, Option<f64>) {
    if !DISTANCES.contains(&of.metric().0) {
        return (None, None);
    }
    let own = of.members.iter().map(Member::mean).collect::<Vec<_>>();
    let end = |set| {
        let found = groups.iter().position(|g| g.set() == set && g.metric() == of.metric())?;
        Some((&groups[found], summaries[found].mean))
    };
    let Some((floor, low)) = end(Set::Real) else { return (None, None) };
    let above = mean(&own) - low;
    let spread = deviation(&floor.members[0].values());
    let fraction = end(Set::Noise).map(|(_, high)| above / (high - low));
    (fraction, (spread > 0.0).then(|| above / spread))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::quality::Score;
    use serde_json::json;

    fn row(set: Set, labels: [Value; 2], replicate: u32, value: f64) -> Measurement {
        Measurement {
            set,
            labels: labels.to_vec(),
            replicate,
            score: Score {
                features: "pixels",
                metric: "frechet_distance",
                value,
                estimate: None,
                interval: None,
                without_reference: Vec::new(),
            },
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
        let found = summarise(&rows, &[1], &[(0, json!("a"))], &BTreeMap::new());
        assert_eq!(found.len(), 4);
        let [real, noise, a, b] = &found[..] else { return };
        assert_eq!((real.mean, real.basis, real.n, real.fraction), (1.0, Basis::Subsets, 2, Some(0.0)));
        assert_eq!((noise.mean, noise.basis, noise.interval), (11.0, Basis::None, None));
        assert_eq!((a.mean, a.n, a.basis, a.fraction), (4.0, 3, Basis::Seeds, Some(0.3)));
        assert_eq!(a.floor_deviations, Some(3.0 / 2f64.sqrt()));
        let reach = 4.302652730 * 2.0 / 3f64.sqrt();
        assert!(a.interval.is_some_and(|i| (i.upper - 4.0 - reach).abs() < 1e-8));
        assert_eq!((&a.versus, b.labels.clone()), (&None, vec![json!("b"), Value::Null]));
        // Pairs 3, 2, 1: mean 2, deviation 1; t = 2 √3 with 2 degrees: p = 1 − t/√(2 + t²).
        let versus = b.versus.clone().unwrap();
        let t = 2.0 * 3f64.sqrt();
        assert_eq!((versus.difference, versus.pairs, versus.within_noise()), (2.0, 3, Some(true)));
        assert!((versus.p_value().unwrap() - (1.0 - t / (2.0 + t * t).sqrt())).abs() < 1e-9);
    }

    /// The blocks of the reference widen the interval of a mean: leaving them out moves it by ±1 in two blocks, an error of 1.
    #[test]
    fn the_reference_widens_the_interval() {
        let mut rows = Vec::new();
        for seed in 0..3 {
            let mut measurement = row(Set::Generated, [json!("a"), json!(seed)], 0, 5.0);
            measurement.score.without_reference = vec![4.0, 6.0];
            rows.push(measurement);
        }
        let found = summarise(&rows, &[1], &[], &BTreeMap::new());
        let estimate = found[0].estimate.unwrap();
        assert_eq!((estimate.value, estimate.error, estimate.degrees), (5.0, 1.0, 1.0));
    }
}
