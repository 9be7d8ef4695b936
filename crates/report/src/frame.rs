//! Tables as polars frames: joining, choosing rows, sorting and averaging.
//!
//! Nothing here is hot, so the work is done on plain [`Value`]s, in the order of the rows: results do not depend on threads.

use super::error::ReportError;
use onsager_numerics::statistics;
use onsager_tables::columns::Columns;
use onsager_tables::error::TableError;
use onsager_tables::expression::Expression;
use onsager_tables::value::{Filter, Value, passes};
use polars::frame::DataFrame;
use polars::prelude::{AnyValue, Column, IdxCa, IdxSize, IntoColumn, NamedFrom, Series};
use std::collections::BTreeMap;

/// A polars cell as a value.
fn value_of(value: &AnyValue<'_>) -> Value {
    match value {
        AnyValue::Null => Value::Null,
        AnyValue::Boolean(value) => Value::Bool(*value),
        AnyValue::String(text) => Value::Text((*text).to_owned()),
        AnyValue::StringOwned(text) => Value::Text(text.to_string()),
        AnyValue::Float32(value) => Value::Number(f64::from(*value)),
        AnyValue::Float64(value) => Value::Number(*value),
        AnyValue::UInt8(value) => Value::Integer(i64::from(*value)),
        AnyValue::UInt16(value) => Value::Integer(i64::from(*value)),
        AnyValue::UInt32(value) => Value::Integer(i64::from(*value)),
        AnyValue::UInt64(value) => i64::try_from(*value).map_or(Value::Number(*value as f64), Value::Integer),
        AnyValue::Int8(value) => Value::Integer(i64::from(*value)),
        AnyValue::Int16(value) => Value::Integer(i64::from(*value)),
        AnyValue::Int32(value) => Value::Integer(i64::from(*value)),
        AnyValue::Int64(value) => Value::Integer(*value),
        other => Value::Text(other.to_string()),
    }
}

/// A frame from named columns of equal length. A column of integers and numbers becomes numbers; one with a text, texts.
pub fn from_columns(columns: Vec<(String, Vec<Value>)>) -> Result<DataFrame, ReportError> {
    let columns: Vec<Column> = columns.iter().map(|(name, values)| column_of(name, values)).collect();
    let height = columns.first().map_or(0, Column::len);
    Ok(DataFrame::new(height, columns)?)
}

fn column_of(name: &str, values: &[Value]) -> Column {
    let all =
        |test: fn(&Value) -> bool| values.iter().all(|value| matches!(value, Value::Null) || test(value));
    let name = name.into();
    if all(|value| matches!(value, Value::Integer(_))) && values.iter().any(|value| *value != Value::Null) {
        let cells: Vec<_> = values
            .iter()
            .map(|value| if let Value::Integer(integer) = value { Some(*integer) } else { None })
            .collect();
        Series::new(name, cells).into_column()
    } else if all(|value| matches!(value, Value::Bool(_))) && values.iter().any(|value| *value != Value::Null)
    {
        let cells: Vec<_> = values
            .iter()
            .map(|value| if let Value::Bool(bool) = value { Some(*bool) } else { None })
            .collect();
        Series::new(name, cells).into_column()
    } else if all(|value| !matches!(value, Value::Text(_))) {
        let cells: Vec<Option<f64>> = values.iter().map(Value::number).collect();
        Series::new(name, cells).into_column()
    } else {
        let cells: Vec<_> = values
            .iter()
            .map(|value| if *value == Value::Null { None } else { Some(value.to_string()) })
            .collect();
        Series::new(name, cells).into_column()
    }
}

/// A frame of the columns that were read from CSV or JSON.
pub fn of(columns: Columns) -> Result<DataFrame, ReportError> {
    from_columns(columns.into_inner())
}

/// The columns of a frame.
pub fn columns(frame: &DataFrame) -> Result<Columns, ReportError> {
    let columns = names(frame).into_iter().map(|name| Ok((name.clone(), values(frame, &name, "the table")?)));
    Ok(Columns::new(columns.collect::<Result<_, ReportError>>()?))
}

/// The names of the columns.
pub fn names(frame: &DataFrame) -> Vec<String> {
    frame.get_column_names().iter().map(|name| name.to_string()).collect()
}

/// The values of a column. `table` names the table in the error, for example ``input `points` ``.
pub fn values(frame: &DataFrame, column: &str, table: &str) -> Result<Vec<Value>, ReportError> {
    let Ok(found) = frame.column(column) else {
        let columns = names(frame);
        return Err(TableError::NoColumn { column: column.into(), table: table.into(), columns }.into());
    };
    Ok(found.as_materialized_series().iter().map(|value| value_of(&value)).collect())
}

/// The numbers of a column or of an expression over columns; None where a value is missing or not finite.
pub fn numbers(frame: &DataFrame, expression: &str, table: &str) -> Result<Vec<Option<f64>>, ReportError> {
    let expression = match frame.column(expression) {
        Ok(_) => Expression::Column(expression.into()),
        Err(_) => Expression::parse(expression)?,
    };
    let mut columns = BTreeMap::new();
    for name in expression.columns() {
        let cells = values(frame, name, table)?;
        if let Some(Value::Text(text)) = cells.iter().find(|cell| matches!(cell, Value::Text(_))) {
            return Err(TableError::NotANumber { column: name.into(), text: text.clone() }.into());
        }
        columns.insert(name, cells);
    }
    let row = |i: usize| expression.value(&mut |name| columns.get(name).and_then(|cells| cells[i].number()));
    Ok((0..frame.height()).map(|i| row(i).filter(|value| value.is_finite())).collect())
}

/// The frame with these rows only, in this order.
pub fn take(frame: &DataFrame, rows: &[usize]) -> Result<DataFrame, ReportError> {
    let index = IdxCa::from_vec("row".into(), rows.iter().map(|&row| row as IdxSize).collect());
    Ok(frame.take(&index)?)
}

/// The rows that pass the filter.
pub fn filter(frame: &DataFrame, filter: &Filter, table: &str) -> Result<DataFrame, ReportError> {
    let mut keep: Vec<usize> = (0..frame.height()).collect();
    for (column, wanted) in filter {
        let cells = values(frame, column, table)?;
        keep.retain(|&row| passes(wanted, &cells[row]));
    }
    take(frame, &keep)
}

/// The rows in the order of the given columns (stable); a name with a leading `-` sorts downwards.
pub fn sort(frame: &DataFrame, by: &[String], table: &str) -> Result<DataFrame, ReportError> {
    let mut keys = Vec::new();
    for name in by {
        let (column, down) = name.strip_prefix('-').map_or((name.as_str(), false), |column| (column, true));
        keys.push((values(frame, column, table)?, down));
    }
    let mut rows: Vec<usize> = (0..frame.height()).collect();
    rows.sort_by(|&a, &b| {
        let ordering = |(cells, down): &(Vec<Value>, bool)| {
            let ordering = cells[a].order(&cells[b]);
            if *down { ordering.reverse() } else { ordering }
        };
        keys.iter().map(ordering).find(|ordering| ordering.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
    });
    take(frame, &rows)
}

/// The tables one below the other, each with its labels as further columns (a column that a table has already is kept).
/// A column that some table lacks is empty there.
pub fn stack(parts: &[(DataFrame, Vec<(String, Value)>)]) -> Result<DataFrame, ReportError> {
    let mut columns: Vec<(String, Vec<Value>)> = Vec::new();
    let mut height = 0;
    for (frame, labels) in parts {
        let own = names(frame);
        let mut add = |name: &str, cells: Vec<Value>| {
            let index = columns.iter().position(|column| column.0 == name).unwrap_or_else(|| {
                columns.push((name.into(), vec![Value::Null; height]));
                columns.len() - 1
            });
            columns[index].1.extend(cells);
        };
        for (name, label) in labels.iter().filter(|(name, _)| !own.contains(name)) {
            add(name, vec![label.clone(); frame.height()]);
        }
        for name in &own {
            add(name, values(frame, name, "the table")?);
        }
        height += frame.height();
        for column in &mut columns {
            column.1.resize(height, Value::Null);
        }
    }
    from_columns(columns)
}

/// The rows of each group of equal values in `by`, groups in the order of their first row.
pub fn groups(
    frame: &DataFrame,
    by: &[String],
    table: &str,
) -> Result<Vec<(Vec<Value>, Vec<usize>)>, ReportError> {
    let keys = by.iter().map(|column| values(frame, column, table)).collect::<Result<Vec<_>, _>>()?;
    let mut groups: Vec<(Vec<Value>, Vec<usize>)> = Vec::new();
    let mut index = BTreeMap::new();
    for row in 0..frame.height() {
        let key: Vec<Value> = keys.iter().map(|cells| cells[row].clone()).collect();
        let text: Vec<String> = key.iter().map(|value| format!("{value:?}")).collect();
        let at = *index.entry(text).or_insert_with(|| {
            groups.push((key, Vec::new()));
            groups.len() - 1
        });
        groups[at].1.push(row);
    }
    Ok(groups)
}

/// One row per group of `by`: the columns of `by`, then for each of `over` (columns or expressions) its mean and the ends of
/// the 95% t-interval as `name`, `name_lower`, `name_upper`, and `n`, the number of rows averaged.
pub fn average(
    frame: &DataFrame,
    by: &[String],
    over: &[String],
    table: &str,
) -> Result<DataFrame, ReportError> {
    let groups = groups(frame, by, table)?;
    let mut columns: Vec<(String, Vec<Value>)> = by
        .iter()
        .enumerate()
        .map(|(i, name)| (name.clone(), groups.iter().map(|(key, _)| key[i].clone()).collect()))
        .collect();
    for name in over {
        let cells = numbers(frame, name, table)?;
        let (mut mean, mut lower, mut upper) = (Vec::new(), Vec::new(), Vec::new());
        for (_, rows) in &groups {
            let samples: Vec<f64> = rows.iter().filter_map(|&row| cells[row]).collect();
            let interval = statistics::mean_interval(&samples, 0.95);
            let value = |x: Option<f64>| x.map_or(Value::Null, Value::Number);
            mean.push(value((!samples.is_empty()).then(|| statistics::mean(&samples))));
            lower.push(value(interval.map(|interval| interval.lower)));
            upper.push(value(interval.map(|interval| interval.upper)));
        }
        columns.push((name.clone(), mean));
        columns.push((format!("{name}_lower"), lower));
        columns.push((format!("{name}_upper"), upper));
    }
    columns.push(("n".into(), groups.iter().map(|(_, rows)| Value::Integer(rows.len() as i64)).collect()));
    from_columns(columns)
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use onsager_tables::value::OneOrMany;

    /// A frame from a CSV text.
    pub fn csv(text: &str) -> DataFrame {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        std::fs::write(&path, text).unwrap();
        crate::read::load(&path).unwrap()
    }

    #[test]
    fn a_missing_column_is_named_with_its_neighbours() {
        let error = values(&csv("action,gamma\n1,2\n"), "actoin", "input `points`").unwrap_err().to_string();
        assert_eq!(
            error,
            "no column `actoin` in input `points`; it has `action` and `gamma`; did you mean `action`?"
        );
    }

    #[test]
    fn stacked_tables_carry_their_labels() {
        let label = |value: &str| vec![("system".to_owned(), Value::Text(value.into()))];
        let frame =
            stack(&[(csv("x\n1\n2\n"), label("free")), (csv("x,y\n3,0.5\n"), label("cubic"))]).unwrap();
        assert_eq!(names(&frame), ["system", "x", "y"]);
        assert_eq!(values(&frame, "y", "t").unwrap(), [Value::Null, Value::Null, Value::Number(0.5)]);
        let only =
            filter(&frame, &Filter::from([("x".into(), OneOrMany::Many(vec![Value::Number(3.0)]))]), "t")
                .unwrap();
        assert_eq!(values(&only, "system", "t").unwrap(), [Value::Text("cubic".into())]);
        let down = sort(&frame, &["-x".into()], "t").unwrap();
        assert_eq!(numbers(&down, "1/x", "t").unwrap()[0], Some(1.0 / 3.0));
    }

    #[test]
    fn averages_over_seeds() {
        let frame = csv("model,seed,fd\na,0,1\na,1,3\nb,0,5\nb,1,\n");
        let mean = average(&frame, &["model".into()], &["fd".into()], "t").unwrap();
        assert_eq!(names(&mean), ["model", "fd", "fd_lower", "fd_upper", "n"]);
        assert_eq!(numbers(&mean, "fd", "t").unwrap(), [Some(2.0), Some(5.0)]);
        let upper = numbers(&mean, "fd_upper", "t").unwrap();
        assert!(
            (upper[0].unwrap() - 2.0 - 12.706_204_736_432_1).abs() < 1e-8,
            "t(0.975, 1) s/√2 with s = √2"
        );
        assert_eq!(upper[1], None);
    }
}
