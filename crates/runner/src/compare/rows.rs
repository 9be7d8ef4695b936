//! Rows of a comparison: points that agree in all parameters but those averaged over.

use crate::compare::gather::Sample;
use crate::compare::measure::Measure;
use onsager_numerics::statistics::{mean, mean_interval};
use onsager_tables::value::Value;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::HashMap;

/// A metric of a row.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Measured {
    /// The mean over the row's points that have a value; the value itself of one point. Null where there is none, or where it
    /// is not finite.
    pub value: Value,
    /// The lower end of the mean's 95 % interval (Student's t), from two points on.
    pub lower: Option<f64>,
    /// Its upper end.
    pub upper: Option<f64>,
    /// The number of points that have a value.
    pub n: usize,
    /// Every point's value; null where it has none.
    pub values: Vec<Value>,
    /// The difference from the baseline, where one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub versus: Option<Versus>,
}

/// A difference from the baseline.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Versus {
    /// The mean over the seeds that both have, else the difference of the means.
    pub difference: f64,
    /// The lower end of its 95 % interval: paired by seeds where both have two or more of them, else Welch's.
    pub lower: Option<f64>,
    /// Its upper end.
    pub upper: Option<f64>,
    /// The seeds that both have; 0 where the difference is not paired.
    pub pairs: usize,
    /// The two-sided p-value of there being no difference.
    pub p: Option<f64>,
    /// The same, corrected by Holm's method for the number of rows that are compared.
    pub p_corrected: Option<f64>,
    /// The p-value of the difference being the margin or more, corrected likewise; where the metric has a margin.
    pub p_equivalent: Option<f64>,
}

/// A row: points that agree in all parameters but those averaged over.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub experiment: String,
    /// By name; those of `over` are left out.
    pub params: serde_json::Map<String, serde_json::Value>,
    /// What the points have for the parameters averaged over.
    pub seeds: Vec<Vec<Option<Value>>>,
    /// The names of the points, or of the runs.
    pub points: Vec<String>,
    /// By name.
    pub metrics: Vec<(String, Measured)>,
}

/// The samples that agree in these parameters, groups in the order of their first sample.
pub(super) fn group(samples: &[Sample], by: &[&String], over: &[String]) -> Vec<Row> {
    let mut groups: Vec<Vec<&Sample>> = Vec::new();
    let mut index: HashMap<String, usize> = HashMap::new();
    for sample in samples {
        let key: Vec<_> = by.iter().map(|name| sample.param(name)).collect();
        let at = *index.entry(format!("{} {key:?}", sample.experiment)).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[at].push(sample);
    }
    groups.into_iter().map(|group| row(&group, by, over)).collect()
}

fn row(group: &[&Sample], by: &[&String], over: &[String]) -> Row {
    let params = by.iter().filter_map(|name| {
        let value = group[0].param(name)?;
        Some(((*name).clone(), serde_json::to_value(value).unwrap_or_default()))
    });
    let mut metrics: Vec<(String, Measured)> = Vec::new();
    for Measure { metric, value, .. } in group.iter().flat_map(|sample| &sample.metrics) {
        match metrics.iter_mut().find(|(other, _)| other == metric) {
            Some((_, measured)) => measured.values.push(value.clone()),
            None => {
                let values = vec![value.clone()];
                let measured =
                    Measured { value: Value::Null, lower: None, upper: None, n: 0, values, versus: None };
                metrics.push((metric.clone(), measured));
            }
        }
    }
    metrics.iter_mut().for_each(|(_, measured)| measured.summarize());
    Row {
        experiment: group[0].experiment.clone(),
        params: params.collect(),
        seeds: group
            .iter()
            .map(|sample| over.iter().map(|name| sample.param(name).cloned()).collect())
            .collect(),
        points: group.iter().map(|sample| sample.point.clone()).collect(),
        metrics,
    }
}

impl Measured {
    /// Computes the mean and its interval over the values that there are; of texts, the one that all share. One that is not a
    /// number makes the mean that: to leave it out would be to choose.
    fn summarize(&mut self) {
        let there: Vec<&Value> = self.values.iter().filter(|value| **value != Value::Null).collect();
        self.n = there.len();
        let Some(&first) = there.first() else { return };
        if there.len() == 1 {
            self.value = first.clone();
            return;
        }
        let numbers: Vec<f64> = there.iter().filter_map(|value| value.number()).collect();
        if numbers.len() == there.len() {
            self.value = Value::Number(mean(&numbers));
            let interval =
                mean_interval(&numbers, 0.95).filter(|i| i.lower.is_finite() && i.upper.is_finite());
            self.lower = interval.map(|interval| interval.lower);
            self.upper = interval.map(|interval| interval.upper);
        } else if there.iter().all(|value| *value == first) {
            self.value = first.clone();
        }
    }
}

impl Sample {
    /// The value of a parameter.
    pub(super) fn param(&self, name: &str) -> Option<&Value> {
        self.params.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }
}

impl Row {
    /// The number of points that have a value of a metric.
    pub(super) fn count_of(&self, metric: &str) -> usize {
        self.metrics.iter().find(|(name, _)| name == metric).map_or(0, |(_, measured)| measured.n)
    }

    /// The number of points that have every metric.
    pub(super) fn complete(&self) -> usize {
        let has =
            |at: usize| self.metrics.iter().all(|(_, m)| m.values.get(at).is_some_and(|v| *v != Value::Null));
        (0..self.points.len()).filter(|&at| has(at)).count()
    }
}
