//! A number with its name: the mean over seeds where there are several, with its 95 % interval.

use crate::numbers::read::Reading;
use crate::numbers::seeds::is_seed;
use onsager_numerics::statistics::{NORMAL_QUANTILE, mean, mean_interval, standard_error};
use onsager_tables::value::Value;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// A number that a text or a claim may name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Number {
    /// The metric's name; of a sweep over more than seeds with what varies, as in `loss[lr=0.1]`.
    pub name: String,
    pub value: Value,
    /// The ends of its 95 % interval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lower: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upper: Option<f64>,
    /// Its standard error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<f64>,
    /// The values that it is the mean of, each with its seeds.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<(String, f64)>,
}

/// What a point of a sweep has of a metric, with what the sweep varies.
pub struct AtPoint {
    pub varied: Vec<(String, Value)>,
    pub reading: Reading,
}

/// The numbers of a metric at these points: means over those that differ in nothing but seeds, each with a name of its own.
pub fn numbers(metric: &str, points: Vec<AtPoint>) -> Vec<Number> {
    let mut groups: Vec<(String, Vec<(String, Reading)>)> = Vec::new();
    let mut index: HashMap<String, usize> = HashMap::new();
    for point in points {
        let (seeds, others): (Vec<_>, Vec<_>) = point.varied.into_iter().partition(|(name, _)| is_seed(name));
        let at = *index.entry(joined(&others)).or_insert_with_key(|label| {
            groups.push((label.clone(), Vec::new()));
            groups.len() - 1
        });
        groups[at].1.push((joined(&seeds), point.reading));
    }
    let named = |(label, readings): (String, Vec<_>)| {
        let name = if label.is_empty() { metric.to_owned() } else { format!("{metric}[{label}]") };
        Number::of(name, readings)
    };
    groups.into_iter().map(named).collect()
}

fn joined(values: &[(String, Value)]) -> String {
    values.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}

impl Number {
    /// One reading as it is, several as their mean. Of values that are no numbers the one that all share.
    fn of(name: String, readings: Vec<(String, Reading)>) -> Number {
        let mut number =
            Number { name, value: Value::Null, lower: None, upper: None, error: None, samples: Vec::new() };
        if let [(_, only)] = readings.as_slice() {
            number.value = only.value.clone();
            (number.lower, number.upper) = (only.ends.map(|ends| ends.0), only.ends.map(|ends| ends.1));
            number.error = only.error;
            if let (Some(value), Some(error), None) = (only.value.number(), only.error, only.ends) {
                number.lower = Some(value - NORMAL_QUANTILE * error);
                number.upper = Some(value + NORMAL_QUANTILE * error);
            }
            number.samples.clone_from(&only.samples);
        } else {
            let values: Vec<_> =
                readings.iter().filter_map(|(seeds, r)| Some((seeds.clone(), r.value.number()?))).collect();
            if values.len() == readings.len() {
                number.value = Value::Number(mean(&plain(&values)));
                number.samples = values;
            } else if let Some((_, first)) = readings.first()
                && readings.iter().all(|(_, reading)| reading.value == first.value)
            {
                number.value = first.value.clone();
            }
        }
        let interval = mean_interval(&plain(&number.samples), 0.95);
        if let Some(interval) = interval.filter(|i| i.lower.is_finite() && i.upper.is_finite()) {
            (number.lower, number.upper) = (Some(interval.lower), Some(interval.upper));
            number.error = Some(standard_error(&plain(&number.samples)));
        }
        number
    }

    /// Its interval.
    pub fn interval(&self) -> Option<(f64, f64)> {
        self.lower.zip(self.upper)
    }
}

fn plain(samples: &[(String, f64)]) -> Vec<f64> {
    samples.iter().map(|(_, value)| *value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(value: f64) -> Reading {
        Reading { value: Value::Number(value), ends: None, error: None, samples: Vec::new() }
    }

    #[test]
    fn seeds_are_averaged_over_and_what_else_varies_is_in_the_name() {
        let point = |lr: f64, seed: i64, value: f64| AtPoint {
            varied: vec![("lr".into(), Value::Number(lr)), ("seed".into(), Value::Integer(seed))],
            reading: reading(value),
        };
        let found = numbers("loss", vec![point(0.1, 1, 1.0), point(0.1, 2, 3.0), point(0.2, 1, 5.0)]);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].name.as_str(), &found[0].value), ("loss[lr=0.1]", &Value::Number(2.0)));
        assert_eq!(found[0].samples, [("seed=1".to_owned(), 1.0), ("seed=2".to_owned(), 3.0)]);
        // Student's t with one degree of freedom: 12.706 standard errors of 1.
        assert!((found[0].upper.unwrap() - 2.0 - 12.706_204_736).abs() < 1e-8);
        assert_eq!((found[1].name.as_str(), found[1].interval()), ("loss[lr=0.2]", None));
    }

    #[test]
    fn a_standard_error_is_an_interval() {
        let point = AtPoint { varied: Vec::new(), reading: Reading { error: Some(0.5), ..reading(1.0) } };
        let found = numbers("x", vec![point]);
        assert_eq!(found[0].interval(), Some((1.0 - 0.5 * NORMAL_QUANTILE, 1.0 + 0.5 * NORMAL_QUANTILE)));
    }
}
