//! Differences from a baseline: paired over the seeds that both rows have, and corrected for the number of rows.

use crate::compare::rows::{Row, Versus};
use onsager_numerics::statistics::{Estimated, holm, mean};
use onsager_tables::value::Value;

/// The rows to compare with.
#[derive(Debug, Clone, Default)]
pub struct Baseline {
    /// The parameters that mark them, with their values.
    pub marks: Vec<(String, Value)>,
    /// For metrics, the difference that counts as none.
    pub margins: Vec<(String, f64)>,
}

impl Baseline {
    /// Whether a row is of the baseline.
    pub fn is(&self, row: &Row) -> bool {
        self.marks
            .iter()
            .all(|(name, value)| row.params.get(name).is_some_and(|own| Value::from(own).same(value)))
    }

    /// Whether `base` is what to compare `row` with: they agree in all other parameters.
    fn beside(&self, base: &Row, row: &Row) -> bool {
        let marked = |name: &String| self.marks.iter().any(|(mark, _)| mark == name);
        let same = |(name, value): (&String, &serde_json::Value)| {
            marked(name) || row.params.get(name) == Some(value)
        };
        base.experiment == row.experiment
            && base.params.len() == row.params.len()
            && base.params.iter().all(same)
    }
}

/// Compares each row with the baseline's among `all`. The rows are one family for each metric.
pub fn compare(rows: &mut [Row], all: &[Row], baseline: &Baseline) {
    for row in rows.iter_mut().filter(|row| !baseline.is(row)) {
        let Some(base) = all.iter().find(|base| baseline.is(base) && baseline.beside(base, row)) else {
            continue;
        };
        for at in 0..row.metrics.len() {
            let metric = row.metrics[at].0.clone();
            row.metrics[at].1.versus = versus(row, base, &metric, baseline);
        }
    }
    let mut metrics: Vec<String> =
        rows.iter().flat_map(|row| &row.metrics).map(|(name, _)| name.clone()).collect();
    metrics.sort();
    metrics.dedup();
    for metric in metrics {
        correct(rows, &metric, |versus| &mut versus.p_corrected);
        correct(rows, &metric, |versus| &mut versus.p_equivalent);
    }
}

/// A row's values of a metric, with its seeds; what is missing is left out.
fn values(row: &Row, metric: &str) -> Vec<(Vec<Option<Value>>, f64)> {
    let values = row.metrics.iter().find(|(name, _)| name == metric).map_or(&[][..], |(_, of)| &of.values);
    let each = row.seeds.iter().zip(values);
    each.filter_map(|(seed, value)| Some((seed.clone(), value.number()?))).collect()
}

fn versus(row: &Row, base: &Row, metric: &str, baseline: &Baseline) -> Option<Versus> {
    let (own, other) = (values(row, metric), values(base, metric));
    let pair = |(seed, value): &(Vec<Option<Value>>, f64)| {
        other.iter().find(|(of, _)| of == seed && !seed.is_empty()).map(|(_, base)| value - base)
    };
    let paired: Vec<f64> = own.iter().filter_map(pair).collect();
    let plain =
        |values: &[(Vec<Option<Value>>, f64)]| values.iter().map(|(_, value)| *value).collect::<Vec<f64>>();
    let (own, other) = (plain(&own), plain(&other));
    // A value that is not a number is not left out: to do so would be to choose.
    let finite = |values: &[f64]| !values.is_empty() && values.iter().all(|value| value.is_finite());
    if !finite(&own) || !finite(&other) {
        return None;
    }
    let (difference, pairs, estimate) = match Estimated::mean(&paired) {
        Some(estimate) => (estimate.value, paired.len(), Some(estimate)),
        None => {
            let welch = Estimated::mean(&own).zip(Estimated::mean(&other)).map(|(a, b)| a.minus(b));
            (mean(&own) - mean(&other), 0, welch)
        }
    };
    let p = estimate.map(|estimate| estimate.p_value());
    let margin = baseline.margins.iter().find(|(name, _)| name == metric).map(|(_, margin)| *margin);
    let interval = estimate.map(|e| e.interval(0.95)).filter(|i| i.lower.is_finite() && i.upper.is_finite());
    Some(Versus {
        difference,
        lower: interval.map(|interval| interval.lower),
        upper: interval.map(|interval| interval.upper),
        pairs,
        p,
        p_corrected: p,
        p_equivalent: estimate.zip(margin).map(|(estimate, margin)| estimate.equivalence_p_value(margin)),
    })
}

/// Corrects a kind of p-value of one metric for the number of rows that have it.
fn correct(rows: &mut [Row], metric: &str, of: impl Fn(&mut Versus) -> &mut Option<f64>) {
    let mut known: Vec<&mut f64> = rows
        .iter_mut()
        .filter_map(|row| row.metrics.iter_mut().find(|(name, _)| name == metric)?.1.versus.as_mut())
        .filter_map(|versus| of(versus).as_mut())
        .collect();
    let corrected = holm(&known.iter().map(|p| **p).collect::<Vec<f64>>());
    known.iter_mut().zip(corrected).for_each(|(p, corrected)| **p = corrected);
}
