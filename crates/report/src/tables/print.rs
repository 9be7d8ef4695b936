//! Tables for print, made from frames: chosen and named columns, value columns with their intervals, pivots.

use crate::error::ReportError;
use crate::tables::frame;
use onsager_tables::cells::Cell;
use onsager_tables::expression::Expression;
use onsager_tables::table::{Head, Mark, Table};
use onsager_tables::value::{Filter, Names, Value};
use polars::frame::DataFrame;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a table is made from its rows. The steps are, in this order: filter, average, pivot, correct, sort, choose columns.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableSpec {
    /// The inputs to join, one below the other, with the coordinates of each instance as columns; all of them, in the order
    /// of their names, when empty.
    #[serde(default)]
    pub inputs: Vec<String>,
    /// The rows to keep: a value, or a list of values, per column.
    #[serde(default, rename = "where")]
    pub filter: Filter,
    /// Average the rows that agree in `by`: each of `values` becomes its mean with a 95% t-interval.
    #[serde(default)]
    pub average: Option<Average>,
    /// Turn long rows (one per metric) into wide ones (a column per metric).
    #[serde(default)]
    pub pivot: Option<Pivot>,
    /// Columns of p-values that are corrected for their number by Holm's method, so that the rows of the table are one family: `p_value`
    /// becomes `p_value_corrected`.
    #[serde(default)]
    pub correct: Vec<String>,
    /// The columns to sort by; `-name` sorts downwards. Without it the order of the rows is kept.
    #[serde(default)]
    pub sort: Vec<String>,
    /// The columns to print, in this order; all of them when empty. A column whose neighbours `name_lower` and `name_upper`
    /// exist is printed as one cell with its interval.
    #[serde(default)]
    pub columns: Vec<ColumnSpec>,
    /// What to print in place of a text or a column's name: `{free: Free particle}`, or in one column only,
    /// `{system: {free: Free particle}}`; CSV and Parquet keep the original.
    #[serde(default)]
    pub names: Names,
    /// The rows that compete for a column's `best` (floors and ceilings should not): a value or list of values per column.
    #[serde(default)]
    pub compete: Filter,
    /// The caption.
    #[serde(default)]
    pub caption: String,
    /// The label for references in LaTeX, for example `tab:quality`.
    #[serde(default)]
    pub label: String,
}

/// Averaging over repeated rows, for example over seeds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Average {
    /// The columns that tell the groups apart.
    pub by: Vec<String>,
    /// The columns, or expressions over columns, to average.
    pub values: Vec<String>,
}

/// Long to wide.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pivot {
    /// The columns that name a row of the result.
    pub rows: Vec<String>,
    /// The column whose values become columns.
    pub columns: String,
    /// The column with the values.
    pub value: String,
    /// The column with the lower ends of the intervals; `value_lower` or `lower` where there is such a column.
    #[serde(default)]
    pub lower: Option<String>,
    /// The column with the upper ends of the intervals; `value_upper` or `upper` where there is such a column.
    #[serde(default)]
    pub upper: Option<String>,
    /// The column that says which differences from the baseline are within the noise, for †; `within_noise` where there is such a
    /// column.
    #[serde(default)]
    pub within_noise: Option<String>,
}

/// One printed column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnSpec {
    /// The column, or an expression over columns such as `1/diffusion`.
    pub column: String,
    /// The heading; the column's name without it.
    #[serde(default)]
    pub title: Option<String>,
    /// The unit, printed after the heading.
    #[serde(default)]
    pub unit: Option<String>,
    /// Significant digits of plain numbers, 1 to 17 (an interval sets its own: two digits of its half-width).
    #[serde(default = "three")]
    pub digits: usize,
    /// Digits after the point of plain numbers, 0 to 17, in place of `digits`; 0 for counts.
    #[serde(default)]
    pub decimals: Option<usize>,
    /// The column with the lower end of the interval; `column_lower` where there is one.
    #[serde(default)]
    pub lower: Option<String>,
    /// The column with the upper end of the interval; `column_upper` where there is one.
    #[serde(default)]
    pub upper: Option<String>,
    /// Which values are better: the best is set in bold.
    #[serde(default)]
    pub best: Option<Best>,
    /// The column that says which values differ from the baseline's within the noise: they get a †; `column_within_noise` where there
    /// is one, as a pivot makes it.
    #[serde(default)]
    pub within_noise: Option<String>,
}

/// Which values are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Best {
    Lower,
    Higher,
}

fn three() -> usize {
    3
}

impl ColumnSpec {
    /// A column printed under its own name.
    pub fn named(column: &str) -> ColumnSpec {
        let column = column.to_owned();
        ColumnSpec {
            column,
            title: None,
            unit: None,
            digits: 3,
            decimals: None,
            lower: None,
            upper: None,
            best: None,
            within_noise: None,
        }
    }
}

/// A table of these rows.
pub fn of(rows: &DataFrame, spec: &TableSpec) -> Result<Table, ReportError> {
    let mut data = frame::filter(rows, &spec.filter, "the table")?;
    if let Some(Average { by, values }) = &spec.average {
        data = frame::average(&data, by, values, "the table")?;
    }
    if let Some(p) = &spec.pivot {
        data = pivot(&data, p)?;
    }
    for p_values in &spec.correct {
        data = frame::corrected(&data, p_values, "the table")?;
    }
    data = frame::sort(&data, &spec.sort, "the table")?;
    let columns = if spec.columns.is_empty() { every_column(&data) } else { spec.columns.clone() };
    let mut table = Table {
        heads: Vec::new(),
        rows: vec![Vec::new(); data.height()],
        marks: vec![Vec::new(); data.height()],
        caption: spec.caption.clone(),
        label: spec.label.clone(),
        names: spec.names.clone(),
    };
    let compete = frame::passing(&data, &spec.compete, "compete", "the table")?;
    let compete: Vec<bool> = compete.iter().map(|passes| passes == Some(true)).collect();
    for column in &columns {
        let cells = column_cells(&data, column)?;
        let noise = within_noise(&data, column)?;
        for ((cell, mark), (row, marks)) in cells
            .iter()
            .zip(emphasis(&cells, column.best, &compete, &noise))
            .zip(table.rows.iter_mut().zip(&mut table.marks))
        {
            row.push(cell.clone());
            marks.push(mark);
        }
        let title = column.title.clone().or_else(|| spec.names.title(&column.column).map(str::to_owned));
        table.heads.push(Head {
            name: column.column.clone(),
            title: title.unwrap_or_else(|| column.column.replace('_', " ")),
            unit: column.unit.clone(),
            digits: column.digits,
            decimals: column.decimals,
        });
    }
    Ok(table)
}

/// Every column that is not an end of another's interval, or says which of its values are within noise.
fn every_column(data: &DataFrame) -> Vec<ColumnSpec> {
    let names = frame::names(data);
    let is_end = |name: &String| {
        let stem = ["_lower", "_upper", "_within_noise"].iter().find_map(|end| name.strip_suffix(end));
        stem.is_some_and(|stem| names.iter().any(|other| other == stem))
    };
    names.iter().filter(|name| !is_end(name)).map(|name| ColumnSpec::named(name)).collect()
}

fn column_cells(data: &DataFrame, column: &ColumnSpec) -> Result<Vec<Cell>, ReportError> {
    let name = &column.column;
    let has = |end: &String| data.column(end).is_ok();
    let end = |given: &Option<String>, suffix| given.clone().or(Some(format!("{name}_{suffix}")).filter(has));
    if let (Some(lower), Some(upper)) = (end(&column.lower, "lower"), end(&column.upper, "upper")) {
        let value = frame::numbers(data, name, "the table")?;
        let lower = frame::numbers(data, &lower, "the table")?;
        let upper = frame::numbers(data, &upper, "the table")?;
        return Ok((0..data.height())
            .map(|i| match (value[i], lower[i], upper[i]) {
                (Some(value), Some(lower), Some(upper)) => Cell::Interval { value, lower, upper },
                (Some(value), ..) => Cell::Number(value),
                (None, ..) => Cell::Empty,
            })
            .collect());
    }
    if !has(name) && Expression::parse(name).is_ok_and(|e| e.columns() != [name.as_str()]) {
        let cells = frame::numbers(data, name, "the table")?;
        return Ok(cells.into_iter().map(|cell| cell.map_or(Cell::Empty, Cell::Number)).collect());
    }
    let cells = frame::values(data, name, "the table")?;
    Ok(cells
        .into_iter()
        .map(|cell| match cell {
            Value::Null => Cell::Empty,
            Value::Bool(value) => Cell::Bool(value),
            Value::Integer(value) => Cell::Integer(value),
            Value::Number(value) => Cell::Number(value),
            Value::Text(text) => Cell::Text(text),
        })
        .collect())
}

/// Which values of a column differ from the baseline's within the noise.
fn within_noise(data: &DataFrame, column: &ColumnSpec) -> Result<Vec<bool>, ReportError> {
    let usual = Some(format!("{}_within_noise", column.column)).filter(|name| data.column(name).is_ok());
    match column.within_noise.clone().or(usual) {
        Some(name) => {
            let values = frame::values(data, &name, "the table")?;
            Ok(values.into_iter().map(|value| value == Value::Bool(true)).collect())
        }
        None => Ok(vec![false; data.height()]),
    }
}

/// The emphasis of a column's cells.
fn emphasis(cells: &[Cell], best: Option<Best>, compete: &[bool], noise: &[bool]) -> Vec<Mark> {
    let sign = if best == Some(Best::Lower) { 1.0 } else { -1.0 };
    let candidates = cells.iter().enumerate().filter(|(i, _)| best.is_some() && compete[*i]);
    let values =
        candidates.filter_map(|(i, cell)| Some((i, sign * cell.value().filter(|value| !value.is_nan())?)));
    let first = values.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(first, _)| first);
    let mark = |(i, noise): (usize, &bool)| match (first == Some(i), *noise) {
        (true, true) => Mark::BestWithinNoise,
        (true, false) => Mark::Best,
        (false, true) => Mark::WithinNoise,
        (false, false) => Mark::None,
    };
    noise.iter().enumerate().map(mark).collect()
}

/// A row for each value of `rows`, a column (with `_lower`, `_upper` and `_within_noise`) for each value of `columns`, in the order of
/// appearance.
fn pivot(data: &DataFrame, p: &Pivot) -> Result<DataFrame, ReportError> {
    let table = "the table";
    let find = |given: &Option<String>, end: &str| {
        let guesses = [format!("{}_{end}", p.value), end.to_owned()];
        given.clone().or_else(|| guesses.into_iter().find(|name| data.column(name).is_ok()))
    };
    let mut parts = vec![("", p.value.clone())];
    if let (Some(lower), Some(upper)) = (find(&p.lower, "lower"), find(&p.upper, "upper")) {
        parts.extend([("_lower", lower), ("_upper", upper)]);
    }
    let noise = Some("within_noise".to_owned()).filter(|name| data.column(name).is_ok());
    parts.extend(p.within_noise.clone().or(noise).map(|name| ("_within_noise", name)));
    frame::pivot(data, &p.rows, &p.columns, &parts, table)
}
