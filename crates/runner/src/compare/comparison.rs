//! One table of parameters and metrics: rows chosen, averaged over seeds, sorted, columns chosen.

use crate::compare::gather::Sample;
use onsager_numerics::statistics::{mean, mean_interval};
use onsager_tables::cells::{self, Cell};
use onsager_tables::names::advice;
use onsager_tables::names::did_you_mean;
use onsager_tables::table::{Head, Mark, Table};
use onsager_tables::value::Value;
use schemars::JsonSchema;
use serde::Serialize;
use std::cmp::Ordering;
use std::collections::HashMap;

/// The column that tells experiments apart when there are several.
const EXPERIMENT: &str = "experiment";
/// The column with the number of points behind a mean.
const COUNT: &str = "n";
/// Significant digits of a metric without an interval.
const DIGITS: usize = 4;

/// What to show.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// The parameters to average over.
    pub over: Vec<String>,
    /// Show parameters that do not vary, too.
    pub all_params: bool,
    pub conditions: Vec<Condition>,
    /// Columns to sort by; `-name` sorts downwards.
    pub sort: Vec<String>,
    /// The columns to show, all of them when empty.
    pub columns: Vec<String>,
}

/// `tubes>=40`: a condition on a parameter, or on the mean of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    column: String,
    comparison: Comparison,
    value: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Less,
    AtMost,
    Equal,
    Unequal,
    AtLeast,
    More,
}

/// Something asked for that is not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChoiceError {
    #[error("`{text}` is no condition; write for example `tubes>=40`, with one of < <= = != >= >")]
    Condition { text: String },
    #[error("there is no column `{column}`{}", advice(.help))]
    NoColumn { column: String, help: Option<String> },
    #[error("there is no parameter `{parameter}` to average over{}", advice(.help))]
    NoParameter { parameter: String, help: Option<String> },
}

/// A metric of a row.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Measured {
    /// The mean over the row's points; the value itself of one point.
    pub value: Value,
    /// The lower end of the mean's 95 % interval (Student's t), from two points on.
    pub lower: Option<f64>,
    /// Its upper end.
    pub upper: Option<f64>,
    /// Every point's value.
    pub values: Vec<Value>,
}

/// A row: points that agree in all parameters but those averaged over.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub experiment: String,
    /// By name; those of `over` are left out.
    pub params: serde_json::Map<String, serde_json::Value>,
    /// The names of the points, or of the runs.
    pub points: Vec<String>,
    /// By name.
    pub metrics: Vec<(String, Measured)>,
}

/// The rows with the names of their columns.
#[derive(Debug, Clone, PartialEq)]
pub struct Compared {
    /// The parameters that are columns.
    pub parameters: Vec<String>,
    pub metrics: Vec<String>,
    /// The parameters averaged over.
    pub over: Vec<String>,
    pub rows: Vec<Row>,
    columns: Vec<String>,
}

impl std::str::FromStr for Condition {
    type Err = ChoiceError;

    fn from_str(text: &str) -> Result<Condition, ChoiceError> {
        let wrong = || ChoiceError::Condition { text: text.to_owned() };
        let at = text.find(['<', '>', '=', '!']).ok_or_else(wrong)?;
        let (column, rest) = text.split_at(at);
        let signs = [
            ("<=", Comparison::AtMost),
            (">=", Comparison::AtLeast),
            ("!=", Comparison::Unequal),
            ("==", Comparison::Equal),
            ("<", Comparison::Less),
            (">", Comparison::More),
            ("=", Comparison::Equal),
        ];
        let (comparison, value) = signs
            .iter()
            .find_map(|(sign, comparison)| Some((*comparison, rest.strip_prefix(sign)?.trim())))
            .ok_or_else(wrong)?;
        if column.trim().is_empty() || value.is_empty() {
            return Err(wrong());
        }
        let value = match (value.parse::<i64>(), value.parse::<f64>(), value) {
            (Ok(integer), ..) => Value::Integer(integer),
            (_, Ok(number), _) => Value::Number(number),
            (.., "true") => Value::Bool(true),
            (.., "false") => Value::Bool(false),
            (.., text) => Value::Text(text.to_owned()),
        };
        Ok(Condition { column: column.trim().to_owned(), comparison, value })
    }
}

impl Condition {
    fn holds(&self, value: &Value) -> bool {
        let ordering = match value {
            Value::Null => return self.comparison == Comparison::Unequal,
            value => order(value, &self.value),
        };
        match self.comparison {
            Comparison::Less => ordering.is_lt(),
            Comparison::AtMost => ordering.is_le(),
            Comparison::Equal => ordering.is_eq(),
            Comparison::Unequal => ordering.is_ne(),
            Comparison::AtLeast => ordering.is_ge(),
            Comparison::More => ordering.is_gt(),
        }
    }
}

/// Nothing first, then numbers, then texts.
fn order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => a.cmp(b),
        (Value::Text(_), _) => Ordering::Greater,
        (_, Value::Text(_)) => Ordering::Less,
        (a, b) => {
            let key = |value: &Value| value.number().unwrap_or(f64::NEG_INFINITY);
            key(a).partial_cmp(&key(b)).unwrap_or(Ordering::Equal)
        }
    }
}

/// Averages, filters and sorts the samples.
pub fn compare(samples: &[Sample], choice: &Choice) -> Result<Compared, ChoiceError> {
    let names = |of: fn(&Sample) -> &Vec<(String, Value)>| {
        let mut names: Vec<String> = Vec::new();
        for (name, _) in samples.iter().flat_map(of) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    };
    let all = names(|sample| &sample.params);
    let metrics = names(|sample| &sample.metrics);
    if let Some(parameter) = choice.over.iter().find(|name| !all.contains(name)) {
        let help = did_you_mean(parameter, all.iter().map(String::as_str), "there are");
        return Err(ChoiceError::NoParameter { parameter: parameter.clone(), help });
    }
    let varies = |name: &&String| {
        let first = samples.first().and_then(|sample| sample.param(name));
        samples.iter().any(|sample| sample.param(name) != first)
    };
    let over: Vec<String> = choice.over.iter().filter(varies).cloned().collect();
    let grouping: Vec<&String> = all.iter().filter(|name| !over.contains(name)).collect();
    let parameters: Vec<String> = grouping
        .iter()
        .filter(|name| choice.all_params || varies(name))
        .map(|name| (*name).clone())
        .collect();
    let several = samples.iter().any(|sample| sample.experiment != samples[0].experiment);
    let mut columns = Vec::new();
    columns.extend(several.then(|| EXPERIMENT.to_owned()));
    columns.extend(parameters.iter().cloned());
    columns.extend((!over.is_empty()).then(|| COUNT.to_owned()));
    columns.extend(metrics.iter().cloned());
    let mut rows = group(samples, &grouping);
    let known = |column: &str| {
        let there = columns.iter().map(String::as_str);
        if columns.iter().any(|name| name == column) || all.iter().any(|name| name == column) {
            return Ok(());
        }
        let help = did_you_mean(column, there, "there are");
        Err(ChoiceError::NoColumn { column: column.to_owned(), help })
    };
    for condition in &choice.conditions {
        known(&condition.column)?;
        rows.retain(|row| condition.holds(&row.value(&condition.column)));
    }
    let mut keys = Vec::new();
    for key in &choice.sort {
        let (column, down) = key.strip_prefix('-').map_or((key.as_str(), false), |column| (column, true));
        known(column)?;
        keys.push((column, down));
    }
    rows.sort_by(|a, b| {
        let by = |(column, down): &(&str, bool)| {
            let ordering = order(&a.value(column), &b.value(column));
            if *down { ordering.reverse() } else { ordering }
        };
        keys.iter().map(by).find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
    });
    if !choice.columns.is_empty() {
        choice.columns.iter().try_for_each(|column| known(column))?;
        columns.clone_from(&choice.columns);
    }
    Ok(Compared { parameters, metrics, over, rows, columns })
}

/// The parameters that are averaged over unless told otherwise: `seed`, and those that end in `_seed`.
pub fn seeds(samples: &[Sample]) -> Vec<String> {
    let mut seeds: Vec<String> = Vec::new();
    for (name, _) in samples.iter().flat_map(|sample| &sample.params) {
        if (name == "seed" || name.ends_with("_seed")) && !seeds.contains(name) {
            seeds.push(name.clone());
        }
    }
    seeds
}

/// The samples that agree in these parameters, groups in the order of their first sample.
fn group(samples: &[Sample], by: &[&String]) -> Vec<Row> {
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
    groups.into_iter().map(|group| row(&group, by)).collect()
}

fn row(group: &[&Sample], by: &[&String]) -> Row {
    let params = by.iter().filter_map(|name| {
        let value = group[0].param(name)?;
        Some(((*name).clone(), serde_json::to_value(value).unwrap_or_default()))
    });
    let mut metrics: Vec<(String, Measured)> = Vec::new();
    for (name, value) in group.iter().flat_map(|sample| &sample.metrics) {
        match metrics.iter_mut().find(|(other, _)| other == name) {
            Some((_, measured)) => measured.values.push(value.clone()),
            None => {
                let values = vec![value.clone()];
                metrics
                    .push((name.clone(), Measured { value: Value::Null, lower: None, upper: None, values }));
            }
        }
    }
    metrics.iter_mut().for_each(|(_, measured)| measured.summarize());
    Row {
        experiment: group[0].experiment.clone(),
        params: params.collect(),
        points: group.iter().map(|sample| sample.point.clone()).collect(),
        metrics,
    }
}

impl Measured {
    /// Computes the mean and its interval; of texts, the one that all share.
    fn summarize(&mut self) {
        let first = &self.values[0];
        if self.values.len() == 1 {
            self.value = first.clone();
            return;
        }
        let numbers: Vec<f64> = self.values.iter().filter_map(Value::number).collect();
        if !numbers.is_empty() {
            self.value = Value::Number(mean(&numbers));
            let interval = mean_interval(&numbers, 0.95);
            self.lower = interval.map(|interval| interval.lower);
            self.upper = interval.map(|interval| interval.upper);
        } else if self.values.iter().all(|value| value == first) {
            self.value = first.clone();
        }
    }
}

impl Sample {
    fn param(&self, name: &str) -> Option<&Value> {
        self.params.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }
}

impl Row {
    /// The value in a column.
    fn value(&self, column: &str) -> Value {
        if let Some((_, measured)) = self.metrics.iter().find(|(name, _)| name == column) {
            return measured.value.clone();
        }
        match (self.params.get(column), column) {
            (Some(value), _) => Value::from(value),
            (None, EXPERIMENT) => Value::Text(self.experiment.clone()),
            (None, COUNT) => Value::Integer(self.points.len() as i64),
            (None, _) => Value::Null,
        }
    }

    /// The cell in a column; for people a number of a parameter is written as short as it can be.
    fn cell(&self, column: &str, people: bool) -> Cell {
        if let Some((_, measured)) = self.metrics.iter().find(|(name, _)| name == column) {
            let ends = measured.lower.zip(measured.upper);
            return match (&measured.value, ends) {
                (Value::Number(value), Some((lower, upper))) => {
                    Cell::Interval { value: *value, lower, upper }
                }
                (value, _) => plain(value),
            };
        }
        match self.value(column) {
            Value::Number(number) if people => {
                let rounded = format!("{number:.5e}").parse().unwrap_or(number);
                Cell::Text(cells::plain(rounded))
            }
            value => plain(&value),
        }
    }
}

fn plain(value: &Value) -> Cell {
    match value {
        Value::Null => Cell::Empty,
        Value::Bool(value) => Cell::Text(value.to_string()),
        Value::Integer(value) => Cell::Integer(*value),
        Value::Number(value) => Cell::Number(*value),
        Value::Text(text) => Cell::Text(text.clone()),
    }
}

impl Compared {
    /// The table for print; `people` read it rounded, programs in full.
    pub fn table(&self, people: bool) -> Table {
        let head = |column: &String| Head {
            name: column.clone(),
            title: column.clone(),
            unit: None,
            digits: DIGITS,
        };
        let cells = |row: &Row| self.columns.iter().map(|column| row.cell(column, people)).collect();
        Table {
            heads: self.columns.iter().map(head).collect(),
            rows: self.rows.iter().map(cells).collect(),
            marks: vec![vec![Mark::None; self.columns.len()]; self.rows.len()],
            caption: String::new(),
            label: String::new(),
            names: Default::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(width: i64, seed: i64, loss: f64) -> Sample {
        let params = vec![("width".into(), Value::Integer(width)), ("seed".into(), Value::Integer(seed))];
        let metrics = vec![("loss".into(), Value::Number(loss))];
        Sample { experiment: "e".into(), point: format!("width={width},seed={seed}"), params, metrics }
    }

    #[test]
    fn the_mean_over_seeds_with_the_interval_of_students_t() {
        let samples = [sample(16, 1, 1.0), sample(32, 1, 4.0), sample(16, 2, 2.0), sample(16, 3, 3.0)];
        let choice = Choice { over: vec!["seed".into()], ..Choice::default() };
        let compared = compare(&samples, &choice).unwrap();
        assert_eq!((compared.parameters, compared.rows.len()), (vec!["width".to_owned()], 2));
        let (_, loss) = &compared.rows[0].metrics[0];
        // t(0.975, 2) = 0.95 √(2 / (1 − 0.95²)), s = 1.
        let half = 0.95 * (2.0f64 / (1.0 - 0.95 * 0.95)).sqrt() / 3f64.sqrt();
        assert_eq!(loss.value, Value::Number(2.0));
        assert!((loss.upper.unwrap() - 2.0 - half).abs() < 1e-9);
        assert!((2.0 - loss.lower.unwrap() - half).abs() < 1e-9);
        let (_, alone) = &compared.rows[1].metrics[0];
        assert_eq!((&alone.value, alone.lower, alone.upper), (&Value::Number(4.0), None, None));
    }

    #[test]
    fn conditions_read_and_hold() {
        let holds = |text: &str, value| text.parse::<Condition>().unwrap().holds(&value);
        assert!(holds("width>=16", Value::Integer(16)) && !holds("width>16", Value::Number(16.0)));
        assert!(holds("w != a", Value::Text("b".into())) && holds("w==a", Value::Text("a".into())));
        assert!(holds("w<=0.5", Value::Number(0.5)) && !holds("w<1", Value::Null));
        assert_eq!("width".parse::<Condition>(), Err(ChoiceError::Condition { text: "width".into() }));
    }
}
