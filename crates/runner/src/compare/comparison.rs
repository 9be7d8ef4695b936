//! One table of parameters and metrics: rows chosen, averaged over seeds, sorted, columns chosen.

use crate::compare::baseline::{self, Baseline};
use crate::compare::gather::Sample;
use crate::compare::rows::{Row, group};
use crate::numbers::seeds::is_seed;
use onsager_tables::cells::{self, Cell};
use onsager_tables::names::advice;
use onsager_tables::names::did_you_mean;
use onsager_tables::table::{Head, Mark, Table};
use onsager_tables::value::Value;
use std::cmp::Ordering;

/// The column that tells experiments apart when there are several.
const EXPERIMENT: &str = "experiment";
/// The column with the number of points behind a mean: of those that have every metric.
const COUNT: &str = "n";
/// The end of the name of the column with the number of one metric, where it is another.
const OWN_COUNT: &str = "_n";
/// The end of the name of the column with a metric's difference from the baseline.
const DIFFERENCE: &str = "_difference";
/// That of the column with its corrected p-value.
const P_VALUE: &str = "_p";
/// That of the column with the corrected p-value of the difference reaching the margin.
const P_EQUIVALENT: &str = "_p_equivalent";
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
    /// Conditions `model=ddpm` that mark the rows with which the others are compared.
    pub baseline: Vec<Condition>,
    /// For metrics, the difference from the baseline that counts as none: `loss=0.1`.
    pub margins: Vec<Condition>,
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
    #[error("`{column}` holds numbers, and `{text}` is none; write for example `{column}>=40`")]
    NoNumber { column: String, text: String },
    #[error("there is no column `{column}`{}", advice(.help))]
    NoColumn { column: String, help: Option<String> },
    #[error("`{text}` marks no baseline; write for example `model=ddpm`")]
    Baseline { text: String },
    #[error("`{text}` is no margin of a metric; write for example `loss=0.1`, with a number above 0")]
    Margin { text: String },
    #[error("no row is the baseline: none has {wanted}")]
    NoBaseline { wanted: String },
    #[error("there is no parameter `{parameter}` to average over{}", advice(.help))]
    NoParameter { parameter: String, help: Option<String> },
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
    /// The rows that the conditions left out.
    pub left_out: usize,
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
        if column.trim().is_empty() || value.is_empty() || value.starts_with(['<', '>', '=', '!']) {
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

impl Choice {
    /// The rows to compare with, which there must be.
    fn baseline(&self, rows: &[Row]) -> Result<Baseline, ChoiceError> {
        let mut found = Baseline::default();
        for condition in &self.baseline {
            let Condition { column, value, .. } = condition;
            if condition.comparison != Comparison::Equal {
                return Err(ChoiceError::Baseline { text: format!("{column}={value}") });
            }
            let names = rows.iter().flat_map(|row| row.params.keys());
            if !names.clone().any(|name| name == column) {
                let help = did_you_mean(column, names.map(String::as_str), "there are");
                return Err(ChoiceError::NoColumn { column: column.clone(), help });
            }
            found.marks.push((column.clone(), value.clone()));
        }
        for Condition { column, comparison, value } in &self.margins {
            match value.number().filter(|margin| *margin > 0.0 && *comparison == Comparison::Equal) {
                Some(margin) => found.margins.push((column.clone(), margin)),
                None => return Err(ChoiceError::Margin { text: format!("{column}={value}") }),
            }
        }
        if !found.marks.is_empty() && !rows.iter().any(|row| found.is(row)) {
            let wanted: Vec<String> =
                found.marks.iter().map(|(name, value)| format!("`{name}={value}`")).collect();
            return Err(ChoiceError::NoBaseline { wanted: wanted.join(" and ") });
        }
        Ok(found)
    }
}

impl Condition {
    fn holds(&self, value: &Value) -> bool {
        if value.missing() {
            return self.comparison == Comparison::Unequal;
        }
        let ordering = value.order(&self.value, false);
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

/// Averages, filters and sorts the samples.
pub fn compare(samples: &[Sample], choice: &Choice) -> Result<Compared, ChoiceError> {
    let all = distinct(samples.iter().flat_map(|sample| &sample.params).map(|(name, _)| name));
    let metrics = distinct(samples.iter().flat_map(|sample| &sample.metrics).map(|measure| &measure.metric));
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
    let mut rows = group(samples, &grouping, &over);
    let baseline = choice.baseline(&rows)?;
    let all_rows = if baseline.marks.is_empty() { Vec::new() } else { rows.clone() };
    for metric in &metrics {
        columns.push(metric.clone());
        if !over.is_empty() && rows.iter().any(|row| row.count_of(metric) != row.complete()) {
            columns.push(format!("{metric}{OWN_COUNT}"));
        }
        if !baseline.marks.is_empty() {
            columns.extend([DIFFERENCE, P_VALUE].map(|end| format!("{metric}{end}")));
            let margin = baseline.margins.iter().any(|(name, _)| name == metric);
            columns.extend(margin.then(|| format!("{metric}{P_EQUIVALENT}")));
        }
    }
    let known = |column: &str| {
        let there = columns.iter().map(String::as_str);
        if columns.iter().any(|name| name == column) || all.iter().any(|name| name == column) {
            return Ok(());
        }
        let help = did_you_mean(column, there, "there are");
        Err(ChoiceError::NoColumn { column: column.to_owned(), help })
    };
    let before = rows.len();
    for condition in &choice.conditions {
        known(&condition.column)?;
        let number = |row: &Row| row.value(&condition.column).number().is_some();
        if let Value::Text(text) = &condition.value
            && !matches!(condition.comparison, Comparison::Equal | Comparison::Unequal)
            && rows.iter().any(number)
        {
            return Err(ChoiceError::NoNumber { column: condition.column.clone(), text: text.clone() });
        }
        rows.retain(|row| condition.holds(&row.value(&condition.column)));
    }
    let left_out = before - rows.len();
    baseline::compare(&mut rows, &all_rows, &baseline);
    let mut keys = Vec::new();
    for key in &choice.sort {
        let (column, down) = key.strip_prefix('-').map_or((key.as_str(), false), |column| (column, true));
        known(column)?;
        keys.push((column, down));
    }
    rows.sort_by(|a, b| {
        let by = |(column, down): &(&str, bool)| a.value(column).order(&b.value(column), *down);
        keys.iter().map(by).find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
    });
    if !choice.columns.is_empty() {
        choice.columns.iter().try_for_each(|column| known(column))?;
        columns.clone_from(&choice.columns);
    }
    Ok(Compared { parameters, metrics, over, rows, left_out, columns })
}

/// The names, each once.
fn distinct<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut seen: Vec<String> = Vec::new();
    for name in names {
        if !seen.contains(name) {
            seen.push(name.clone());
        }
    }
    seen
}

/// The parameters that are averaged over unless told otherwise: `seed`, and those that end in `_seed`.
pub fn seeds(samples: &[Sample]) -> Vec<String> {
    let names = samples.iter().flat_map(|sample| &sample.params).map(|(name, _)| name);
    distinct(names.filter(|name| is_seed(name)))
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
            (None, COUNT) => Value::Integer(self.complete() as i64),
            (None, other) => match other.strip_suffix(OWN_COUNT) {
                Some(metric) => Value::Integer(self.count_of(metric) as i64),
                None => self.versus(other).map_or(Value::Null, |(_, value)| Value::Number(value)),
            },
        }
    }

    /// What a column of the comparison with the baseline holds, with the ends of its interval.
    fn versus(&self, column: &str) -> Option<(Option<(f64, f64)>, f64)> {
        let of = |end: &str| {
            let metric = column.strip_suffix(end)?;
            self.metrics.iter().find(|(name, _)| name == metric)?.1.versus.as_ref()
        };
        let difference = || of(DIFFERENCE).map(|v| (v.lower.zip(v.upper), v.difference));
        let p = || Some((None, of(P_VALUE)?.p_corrected?));
        let equivalent = || Some((None, of(P_EQUIVALENT)?.p_equivalent?));
        difference().or_else(p).or_else(equivalent)
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
        if let Some((ends, value)) = self.versus(column) {
            return match ends {
                Some((lower, upper)) => Cell::Interval { value, lower, upper },
                None => Cell::Number(value),
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
            decimals: None,
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
    use crate::compare::measure::Measure;

    fn sample(width: i64, seed: i64, loss: f64) -> Sample {
        let params = vec![("width".into(), Value::Integer(width)), ("seed".into(), Value::Integer(seed))];
        let metrics = vec![Measure { metric: "loss".into(), value: Value::Number(loss), reason: None }];
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
    fn one_that_is_not_a_number_makes_the_mean_that_and_a_missing_one_is_left_out() {
        let choice = Choice { over: vec!["seed".into()], sort: vec!["-loss".into()], ..Choice::default() };
        let mut samples = [
            sample(1, 1, f64::NAN),
            sample(1, 2, 1.0),
            sample(2, 1, 2.0),
            sample(2, 2, 4.0),
            sample(3, 1, 9.0),
        ];
        samples[3].metrics[0].value = Value::Null;
        let compared = compare(&samples, &choice).unwrap();
        let shown = compared.table(true).rows.iter().map(|row| format!("{:?}", row)).collect::<Vec<_>>();
        assert_eq!(
            shown,
            [
                "[Integer(3), Integer(1), Number(9.0)]",
                "[Integer(2), Integer(1), Number(2.0)]",
                "[Integer(1), Integer(2), Number(NaN)]"
            ],
            "missing or not a number is last, and n is the number of values in the mean"
        );
    }

    #[test]
    fn conditions_read_and_hold() {
        let holds = |text: &str, value| text.parse::<Condition>().unwrap().holds(&value);
        assert!(holds("width>=16", Value::Integer(16)) && !holds("width>16", Value::Number(16.0)));
        assert!(holds("w != a", Value::Text("b".into())) && holds("w==a", Value::Text("a".into())));
        assert!(holds("w<=0.5", Value::Number(0.5)) && !holds("w<1", Value::Null));
        for wrong in ["width", "w>>1", "w<>1", "w===1", "w=!1", ">1", "w>"] {
            assert_eq!(wrong.parse::<Condition>(), Err(ChoiceError::Condition { text: wrong.into() }));
        }
        assert!(!holds("w<1", Value::Number(f64::NAN)) && holds("w!=1", Value::Number(f64::NAN)));
    }
}
