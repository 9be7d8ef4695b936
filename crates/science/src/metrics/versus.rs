//! Differences from a baseline: paired over the seeds that both share, corrected for their number, and whether they are as good as
//! none.

use super::measurements::{CONFIDENCE, Group, Member, Set, with_reference};
use onsager_numerics::statistics::{Estimated, Interval, holm};
use serde_json::Value;
use std::collections::BTreeMap;

/// The power for which the smallest detectable difference is told.
const POWER: f64 = 0.8;

/// A difference from the baseline. All comparisons of one metric on the same features with the baseline are a family.
#[derive(Debug, Clone, PartialEq)]
pub struct Versus {
    /// The mean over the shared seeds, else mean minus the baseline's mean.
    pub difference: f64,
    /// The seeds that are shared; 0 for means of other trainings.
    pub pairs: usize,
    /// The difference with its error; none where one of the two has a single training, whose samples tell nothing about other trainings.
    pub estimate: Option<Estimated>,
    /// The p-value of there being no difference, corrected by Holm's method.
    pub corrected: Option<f64>,
    /// The p-value of the difference reaching the margin, corrected likewise.
    pub equivalence: Option<f64>,
}

impl Versus {
    /// The two-sided p-value: paired where there are pairs, else Welch's.
    pub fn p_value(&self) -> Option<f64> {
        self.estimate.map(|estimate| estimate.p_value())
    }

    /// The 95 % interval of the difference.
    pub fn interval(&self) -> Option<Interval> {
        self.estimate.map(|estimate| estimate.interval(CONFIDENCE))
    }

    /// Whether chance alone gives such a difference somewhere in the family in more than 5 % of repetitions.
    pub fn within_noise(&self) -> Option<bool> {
        self.corrected.map(|p| p > 1.0 - CONFIDENCE)
    }

    /// Whether the difference is smaller than the margin, beyond doubt of 5 %.
    pub fn equivalent(&self) -> Option<bool> {
        self.equivalence.map(|p| p <= 1.0 - CONFIDENCE)
    }

    /// The smallest difference that the uncorrected test finds in 80 % of repetitions.
    pub fn detectable(&self) -> Option<f64> {
        self.estimate.map(|estimate| estimate.detectable(1.0 - CONFIDENCE, POWER))
    }
}

/// Compares each generated group with the baseline's group that has the same labels but for the baseline's axes.
pub(super) fn against(
    groups: &[Group<'_>],
    baseline: &[(usize, Value)],
    margins: &BTreeMap<String, f64>,
) -> Vec<Option<Versus>> {
    let mut found: Vec<Option<Versus>> =
        groups.iter().map(|of| Some(compare(of, base(groups, of, baseline)?))).collect();
    let mut families: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (i, of) in groups.iter().enumerate() {
        families.entry(of.metric()).or_default().push(i);
    }
    for ((metric, _), members) in families {
        let margin = margins.get(metric).copied();
        correct(&mut found, &members, |e| Some(e.p_value()), |versus, p| versus.corrected = Some(p));
        let equivalence = |e: &Estimated| margin.map(|margin| e.equivalence_p_value(margin));
        correct(&mut found, &members, equivalence, |versus, p| versus.equivalence = Some(p));
    }
    found
}

/// Corrects the p-values of a family.
fn correct(
    all: &mut [Option<Versus>],
    family: &[usize],
    p_value: impl Fn(&Estimated) -> Option<f64>,
    set: impl Fn(&mut Versus, f64),
) {
    let estimate = |i: &usize| all[*i].as_ref().and_then(|versus| versus.estimate);
    let known: Vec<(usize, f64)> =
        family.iter().filter_map(|i| Some((*i, estimate(i).and_then(|e| p_value(&e))?))).collect();
    let corrected = holm(&known.iter().map(|(_, p)| *p).collect::<Vec<_>>());
    for ((i, _), p) in known.into_iter().zip(corrected) {
        if let Some(versus) = &mut all[i] {
            set(versus, p);
        }
    }
}

/// The baseline's group beside this one; none for the baseline itself.
fn base<'a, 'b>(
    groups: &'b [Group<'a>],
    of: &Group<'a>,
    baseline: &[(usize, Value)],
) -> Option<&'b Group<'a>> {
    if baseline.is_empty() || of.set() != Set::Generated {
        return None;
    }
    let mut labels = of.labels.clone();
    baseline.iter().for_each(|(axis, value)| labels[*axis] = value.clone());
    let same = |a: &[Value], b: &[Value]| a.iter().zip(b).all(|(a, b)| same_value(a, b));
    let beside =
        |g: &&Group<'_>| g.set() == of.set() && g.metric() == of.metric() && same(&g.labels, &labels);
    groups.iter().find(beside).filter(|g| !same(&g.labels, &of.labels))
}

fn compare(of: &Group<'_>, base: &Group<'_>) -> Versus {
    let pairs: Vec<(&Member<'_>, &Member<'_>)> = of
        .members
        .iter()
        .filter_map(|own| Some((own, base.members.iter().find(|other| other.seed == own.seed)?)))
        .collect();
    let less = |a: Vec<f64>, b: Vec<f64>| a.into_iter().zip(b).map(|(a, b)| a - b).collect::<Vec<f64>>();
    let means = |group: &Group<'_>| group.members.iter().map(Member::mean).collect::<Vec<_>>();
    let mean = onsager_numerics::statistics::mean;
    let (difference, count, estimate) = if pairs.len() > 1 {
        let values: Vec<f64> = pairs.iter().map(|(a, b)| a.mean() - b.mean()).collect();
        let without: Vec<_> =
            pairs.iter().map(|(a, b)| less(a.without_reference(), b.without_reference())).collect();
        let estimate = Estimated::mean(&values).map(|estimate| with_reference(estimate, &without));
        (mean(&values), pairs.len(), estimate)
    } else {
        let average = |group: &Group<'_>| {
            let all: Vec<_> = group.members.iter().map(Member::without_reference).collect();
            let blocks = all.iter().map(Vec::len).min().unwrap_or(0);
            (0..blocks).map(|b| mean(&all.iter().map(|of| of[b]).collect::<Vec<_>>())).collect()
        };
        let estimate = Estimated::mean(&means(of)).zip(Estimated::mean(&means(base)));
        let estimate = estimate.map(|(a, b)| with_reference(a.minus(b), &[less(average(of), average(base))]));
        (mean(&means(of)) - mean(&means(base)), 0, estimate)
    };
    Versus { difference, pairs: count, estimate, corrected: None, equivalence: None }
}

/// Equal, where 1 and 1.0 are the same number.
pub fn same_value(a: &Value, b: &Value) -> bool {
    a == b || matches!((a.as_f64(), b.as_f64()), (Some(a), Some(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_are_the_same_in_either_notation() {
        assert!(same_value(&json!(1), &json!(1.0)));
        assert!(!same_value(&json!("1"), &json!(1)));
    }
}
