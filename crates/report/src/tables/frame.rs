//! Tables as polars frames: stacking, choosing rows, sorting, grouping, averaging and pivoting.
//!
//! A column holds integers, numbers, truth values or texts; one without any value holds numbers. All orders are kept
//! (of rows, of groups by their first row, of equal rows in a sort), so results do not depend on threads.

use crate::error::ReportError;
use onsager_numerics::statistics;
use onsager_tables::columns::Columns;
use onsager_tables::error::TableError;
use onsager_tables::expression::Expression;
use onsager_tables::text;
use onsager_tables::time;
use onsager_tables::value::{Filter, OneOrMany, Value, apart, not_there};
use polars::frame::DataFrame;
use polars::prelude::{
    AnyValue, BooleanChunked, ChunkCompareEq, ChunkFull, Column, DataFrameJoinOps, DataType, IdxCa, IdxSize,
    IntoColumn, JoinArgs, JoinType, MaintainOrderJoin, NamedFrom, PlSmallStr, PolarsError, Series,
    UniqueKeepStrategy,
};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// A polars cell as a value.
fn value_of(value: &AnyValue<'_>) -> Value {
    match value {
        AnyValue::Null => Value::Null,
        AnyValue::Boolean(value) => Value::Bool(*value),
        AnyValue::Int64(value) => Value::Integer(*value),
        AnyValue::Float64(value) => Value::Number(*value),
        AnyValue::Int8(value) => Value::Integer((*value).into()),
        AnyValue::Int16(value) => Value::Integer((*value).into()),
        AnyValue::Int32(value) => Value::Integer((*value).into()),
        AnyValue::UInt8(value) => Value::Integer((*value).into()),
        AnyValue::UInt16(value) => Value::Integer((*value).into()),
        AnyValue::UInt32(value) => Value::Integer((*value).into()),
        AnyValue::Float32(value) => Value::Number((*value).into()),
        other => match other.get_str() {
            Some(text) => Value::Text(text.to_owned()),
            None => Value::Text(other.to_string()),
        },
    }
}

/// A frame from named columns of equal length. A column of integers and numbers becomes numbers; one with a text, texts.
pub fn from_columns(columns: Vec<(String, Vec<Value>)>) -> Result<DataFrame, ReportError> {
    let columns: Vec<Column> = columns.iter().map(|(name, values)| column_of(name, values)).collect();
    let height = columns.first().map_or(0, Column::len);
    Ok(DataFrame::new(height, columns)?)
}

/// A column of these values.
pub fn column_of(name: &str, values: &[Value]) -> Column {
    let some = values.iter().any(|value| *value != Value::Null);
    let all =
        |test: fn(&Value) -> bool| some && values.iter().all(|value| *value == Value::Null || test(value));
    let series = if all(|value| matches!(value, Value::Integer(_))) {
        let integer = |value: &Value| if let Value::Integer(value) = value { Some(*value) } else { None };
        Series::new(name.into(), values.iter().map(integer).collect::<Vec<_>>())
    } else if all(|value| matches!(value, Value::Bool(_))) {
        let truth = |value: &Value| if let Value::Bool(value) = value { Some(*value) } else { None };
        Series::new(name.into(), values.iter().map(truth).collect::<Vec<_>>())
    } else if values.iter().any(|value| matches!(value, Value::Text(_))) {
        let text = |value: &Value| Some(value.to_string()).filter(|_| *value != Value::Null);
        Series::new(name.into(), values.iter().map(text).collect::<Vec<_>>())
    } else {
        Series::new(name.into(), values.iter().map(Value::number).collect::<Vec<_>>())
    };
    series.into_column()
}

/// A frame of columns of numbers.
pub fn of_numbers<'a>(
    columns: impl IntoIterator<Item = (&'a str, Vec<Option<f64>>)>,
) -> Result<DataFrame, ReportError> {
    let columns = columns.into_iter().map(|(name, cells)| Series::new(name.into(), cells).into_column());
    Ok(DataFrame::new_infer_height(columns.collect())?)
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

/// The frame with every column as integers, numbers, truth values or texts.
pub fn tidy(frame: DataFrame) -> Result<DataFrame, ReportError> {
    let tidy = |column: &Column| match column.dtype() {
        _ if column.null_count() == column.len() => {
            Ok(nothing(column.name(), column.len(), &DataType::Float64))
        }
        DataType::Boolean | DataType::Int64 | DataType::Float64 | DataType::String => Ok(column.clone()),
        DataType::Float32 => column.cast(&DataType::Float64),
        // Integers too large for 64 bits with a sign become texts: rounded, two of them could become one.
        other if other.is_integer() => column.strict_cast(&DataType::Int64).or_else(|_| Ok(texts(column))),
        _ => Ok(texts(column)),
    };
    let columns = frame.columns().iter().map(tidy).collect::<Result<Vec<_>, _>>()?;
    Ok(DataFrame::new(frame.height(), columns)?)
}

/// The column with each value as a person would write it.
fn texts(column: &Column) -> Column {
    let text = |value: Value| Some(value.to_string()).filter(|_| value != Value::Null);
    let cells: Vec<_> = cells(column).into_iter().map(text).collect();
    Series::new(column.name().clone(), cells).into_column()
}

/// A column without any value.
fn nothing(name: &PlSmallStr, height: usize, kind: &DataType) -> Column {
    Column::full_null(name.clone(), height, kind)
}

/// The names of the columns.
pub fn names(frame: &DataFrame) -> Vec<String> {
    frame.get_column_names().iter().map(|name| name.to_string()).collect()
}

/// A column. `table` names the table in the error, for example ``input `points` ``.
fn column<'a>(frame: &'a DataFrame, column: &str, table: &str) -> Result<&'a Column, ReportError> {
    frame.column(column).map_err(|_| {
        let columns = names(frame);
        TableError::NoColumn { column: column.into(), table: table.into(), columns }.into()
    })
}

fn cells(column: &Column) -> Vec<Value> {
    column.as_materialized_series().iter().map(|value| value_of(&value)).collect()
}

/// The values of a column; `table` is what errors call the frame.
pub fn values(frame: &DataFrame, name: &str, table: &str) -> Result<Vec<Value>, ReportError> {
    Ok(cells(column(frame, name, table)?))
}

/// Whether the frame has a column of texts of this name.
pub fn has_texts(frame: &DataFrame, name: &str) -> bool {
    frame.column(name).is_ok_and(|column| *column.dtype() == DataType::String)
}

/// Whether the frame has a column of timestamps of this name.
pub fn has_times(frame: &DataFrame, name: &str) -> bool {
    let texts = frame.column(name).ok().and_then(|column| column.str().ok());
    texts.is_some_and(|texts| texts.len() > texts.null_count() && time::all(texts.iter()).is_ok())
}

/// The numbers of a column or of an expression over columns; None where a value is missing. Timestamps are seconds since 1970.
pub fn numbers(frame: &DataFrame, expression: &str, table: &str) -> Result<Vec<Option<f64>>, ReportError> {
    let expression = match frame.column(expression) {
        Ok(_) => Expression::Column(expression.into()),
        Err(_) => Expression::parse(expression)?,
    };
    let mut columns = BTreeMap::new();
    for name in expression.columns() {
        let found = column(frame, name, table)?;
        let numbers = match found.str() {
            Ok(texts) => text::numbers(texts.iter())
                .map_err(|text| TableError::NotANumber { column: name.into(), text: text.into() })?,
            Err(_) => found.cast(&DataType::Float64)?.f64()?.iter().collect(),
        };
        columns.insert(name, numbers);
    }
    let row = |i: usize| expression.value(&mut |name| columns.get(name).and_then(|cells| cells[i]));
    Ok((0..frame.height()).map(row).collect())
}

/// Which of a column's values equal the given one; 1 equals 1.0.
fn equals(column: &Column, wanted: &Value) -> Result<BooleanChunked, ReportError> {
    Ok(match (wanted, column.dtype()) {
        (Value::Null, _) => column.is_null(),
        (Value::Bool(wanted), DataType::Boolean) => {
            let wanted = BooleanChunked::full(PlSmallStr::EMPTY, *wanted, column.len());
            column.bool()?.equal(&wanted)
        }
        (Value::Integer(wanted), DataType::Int64) => column.i64()?.equal(*wanted),
        (Value::Integer(wanted), DataType::Float64) => column.f64()?.equal(*wanted as f64),
        (Value::Number(wanted), DataType::Int64 | DataType::Float64) => {
            column.cast(&DataType::Float64)?.f64()?.equal(*wanted)
        }
        (Value::Text(wanted), DataType::String) => column.str()?.equal(wanted.as_str()),
        _ => BooleanChunked::full(PlSmallStr::EMPTY, false, column.len()),
    })
}

/// Which rows pass the filter, which is the parameter `field`. That none passes is an error, unless there is no row.
pub fn passing(
    frame: &DataFrame,
    filter: &Filter,
    field: &'static str,
    table: &str,
) -> Result<BooleanChunked, ReportError> {
    let mut passing = BooleanChunked::full(PlSmallStr::EMPTY, true, frame.height());
    for (name, wanted) in filter {
        let column = column(frame, name, table)?;
        let values = match wanted {
            OneOrMany::One(one) => std::slice::from_ref(one),
            OneOrMany::Many(many) => many,
        };
        let mut any = BooleanChunked::full(PlSmallStr::EMPTY, false, frame.height());
        for value in values {
            any = any | equals(column, value)?;
        }
        if frame.height() > 0 && !any.any() {
            let why = not_there(name, wanted, &cells(column));
            return Err(TableError::NoRow { table: table.into(), field, why }.into());
        }
        passing = passing & any;
    }
    if frame.height() > 0 && !passing.any() {
        let why = apart(filter);
        return Err(TableError::NoRow { table: table.into(), field, why }.into());
    }
    Ok(passing)
}

/// The rows that pass the filter `where`; that none passes is an error, unless there is no row.
pub fn filter(frame: &DataFrame, filter: &Filter, table: &str) -> Result<DataFrame, ReportError> {
    Ok(frame.filter(&passing(frame, filter, "where", table)?)?)
}

/// The rows in the order of the given columns (stable); a name with a leading `-` sorts downwards. What is missing, or not a
/// number, is last either way.
pub fn sort(frame: &DataFrame, by: &[String], table: &str) -> Result<DataFrame, ReportError> {
    let mut keys = Vec::new();
    for name in by {
        let (name, down) = name.strip_prefix('-').map_or((name.as_str(), false), |name| (name, true));
        keys.push((values(frame, name, table)?, down));
    }
    let mut rows: Vec<IdxSize> = (0..frame.height() as IdxSize).collect();
    rows.sort_by(|&a, &b| {
        let by = |(key, down): &(Vec<Value>, bool)| key[a as usize].order(&key[b as usize], *down);
        keys.iter().map(by).find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
    });
    Ok(frame.take(&IdxCa::from_vec(PlSmallStr::EMPTY, rows))?)
}

/// The tables one below the other, each with its labels as further columns (a column that a table has already is kept).
/// A column that some table lacks is empty there.
pub fn stack(parts: &[(DataFrame, Vec<(String, Value)>)]) -> Result<DataFrame, ReportError> {
    let mut frames = Vec::new();
    let mut kinds: Vec<(PlSmallStr, Option<DataType>)> = Vec::new();
    for (frame, labels) in parts {
        let mut columns = Vec::new();
        for (name, label) in labels.iter().filter(|(name, _)| frame.column(name).is_err()) {
            let label = column_of(name, std::slice::from_ref(label));
            columns.push(label.new_from_index(0, frame.height()));
        }
        columns.extend(frame.columns().iter().cloned());
        for column in &columns {
            let kind = Some(column.dtype().clone()).filter(|_| column.null_count() < column.len());
            match kinds.iter_mut().find(|(name, _)| name == column.name()) {
                Some((_, known)) => *known = common(known.take(), kind),
                None => kinds.push((column.name().clone(), kind)),
            }
        }
        frames.push(DataFrame::new(frame.height(), columns)?);
    }
    let empty =
        kinds.iter().map(|(name, kind)| nothing(name, 0, kind.as_ref().unwrap_or(&DataType::Float64)));
    let mut all = DataFrame::new(0, empty.collect())?;
    for frame in &frames {
        let cast = |column: &Column| {
            let found = frame.column(column.name()).ok().filter(|found| found.null_count() < found.len());
            match (found, column.dtype()) {
                (None, kind) => Ok(nothing(column.name(), frame.height(), kind)),
                (Some(found), DataType::String) => Ok(texts(found)),
                (Some(found), kind) => found.cast(kind),
            }
        };
        let columns = all.columns().iter().map(cast).collect::<Result<Vec<_>, _>>()?;
        all.vstack_mut_owned(DataFrame::new(frame.height(), columns)?)?;
    }
    Ok(all)
}

/// The kind of a column that holds both kinds; None is the kind of a column without values.
fn common(a: Option<DataType>, b: Option<DataType>) -> Option<DataType> {
    match (a, b) {
        (Some(a), Some(b)) if a == b => Some(a),
        (Some(DataType::String), Some(_)) | (Some(_), Some(DataType::String)) => Some(DataType::String),
        (Some(_), Some(_)) => Some(DataType::Float64),
        (one, None) | (None, one) => one,
    }
}

/// The frame in parts of equal values in `by`, in the order of their first rows; the whole frame when `by` is empty.
pub fn partition(frame: &DataFrame, by: &[String], table: &str) -> Result<Vec<DataFrame>, ReportError> {
    for name in by {
        column(frame, name, table)?;
    }
    match (frame.height(), by) {
        (0, _) => Ok(Vec::new()),
        (_, []) => Ok(vec![frame.clone()]),
        _ => Ok(frame.partition_by_stable(by.iter().cloned(), true)?),
    }
}

/// The different values of the columns `by`, in the order of their first rows.
fn distinct(frame: &DataFrame, by: &[String], table: &str) -> Result<DataFrame, ReportError> {
    for name in by {
        column(frame, name, table)?;
    }
    Ok(frame.select(by)?.unique_stable(None, UniqueKeepStrategy::First, None)?)
}

/// One row per group of `by`: the columns of `by`, then for each of `over` (columns or expressions) its mean and the ends of
/// the 95% t-interval as `name`, `name_lower`, `name_upper`, and `n`, the number of rows that have all of them. A missing value
/// is left out; a column that has more values than `n` says has its own number in `name_n`. A value that is not a number makes
/// the mean that.
pub fn average(
    frame: &DataFrame,
    by: &[String],
    over: &[String],
    table: &str,
) -> Result<DataFrame, ReportError> {
    let groups = partition(frame, by, table)?;
    let mut columns = distinct(frame, by, table)?.into_columns();
    let mut complete: Vec<Vec<bool>> = groups.iter().map(|group| vec![true; group.height()]).collect();
    let mut used: Vec<Vec<i64>> = Vec::new();
    for name in over {
        numbers(frame, name, table)?;
        let mut samples: Vec<Vec<f64>> = Vec::new();
        for (group, complete) in groups.iter().zip(&mut complete) {
            let cells = numbers(group, name, table)?;
            complete.iter_mut().zip(&cells).for_each(|(all, cell)| *all &= cell.is_some());
            samples.push(cells.into_iter().flatten().collect());
        }
        used.push(samples.iter().map(|samples| samples.len() as i64).collect());
        let intervals: Vec<_> = samples
            .iter()
            .map(|samples| statistics::mean_interval(samples, 0.95))
            .map(|interval| interval.filter(|i| i.lower.is_finite() && i.upper.is_finite()))
            .collect();
        let mean = |samples: &Vec<f64>| (!samples.is_empty()).then(|| statistics::mean(samples));
        let mut push = |end: &str, cells: Vec<Option<f64>>| {
            columns.push(Series::new(format!("{name}{end}").into(), cells).into_column());
        };
        push("", samples.iter().map(mean).collect());
        push("_lower", intervals.iter().map(|interval| Some(interval.as_ref()?.lower)).collect());
        push("_upper", intervals.iter().map(|interval| Some(interval.as_ref()?.upper)).collect());
    }
    let counts: Vec<i64> =
        complete.iter().map(|rows| rows.iter().filter(|all| **all).count() as i64).collect();
    for (name, used) in over.iter().zip(used) {
        if used != counts {
            columns.push(Series::new(format!("{name}_n").into(), used).into_column());
        }
    }
    columns.push(Series::new("n".into(), counts).into_column());
    Ok(DataFrame::new(groups.len(), columns)?)
}

/// The frame with a further column `name_corrected`: the p-values `name`, corrected for the number of those that there are by Holm's
/// method.
pub fn corrected(frame: &DataFrame, name: &str, table: &str) -> Result<DataFrame, ReportError> {
    let mut cells = numbers(frame, name, table)?;
    let known: Vec<f64> = cells.iter().copied().flatten().collect();
    let corrected = statistics::holm(&known);
    cells.iter_mut().flatten().zip(corrected).for_each(|(cell, corrected)| *cell = corrected);
    let mut columns = frame.columns().to_vec();
    columns.push(Series::new(format!("{name}_corrected").into(), cells).into_column());
    Ok(DataFrame::new(frame.height(), columns)?)
}

/// A row for each value of the columns `rows`; for each value of the column `heads` the columns `parts` (the end of the new
/// name, and the column that it holds), all in the order of appearance.
pub fn pivot(
    frame: &DataFrame,
    rows: &[String],
    heads: &str,
    parts: &[(&str, String)],
    table: &str,
) -> Result<DataFrame, ReportError> {
    for (_, name) in parts {
        column(frame, name, table)?;
    }
    let mut wide = distinct(frame, rows, table)?;
    let args = JoinArgs {
        nulls_equal: true,
        maintain_order: MaintainOrderJoin::Left,
        ..JoinArgs::new(JoinType::Left)
    };
    for group in partition(frame, &[heads.to_owned()], table)? {
        let head = values(&group, heads, table)?.first().map_or(String::new(), Value::to_string);
        if let Some(twice) = partition(&group, rows, table)?.iter().find(|part| part.height() > 1) {
            let mut key = Vec::new();
            for name in rows {
                key.push(format!("`{name}` = `{}`", values(twice, name, table)?[0]));
            }
            return Err(ReportError::PivotConflict { key: key.join(", "), column: head });
        }
        let mut columns = group.select_to_vec(rows)?;
        for (end, name) in parts {
            let name_of_new = format!("{head}{end}");
            if wide.column(&name_of_new).is_ok() {
                return Err(
                    PolarsError::Duplicate(format!("two columns are named `{name_of_new}`").into()).into()
                );
            }
            columns.push(column(&group, name, table)?.clone().with_name(name_of_new.into()));
        }
        let narrow = DataFrame::new(group.height(), columns)?;
        wide = wide.join(&narrow, rows, rows, args.clone(), None)?;
    }
    tidy(wide)
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
        crate::tables::read::load(&path).unwrap()
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
        assert_eq!(texts_of(&mean, "n"), ["2", "1"], "the number of values that the mean is of");
        let frame = csv("m,a,b\nx,1,1\nx,nan,2\ny,inf,\ny,1,4\n");
        let mean = average(&frame, &["m".into()], &["a".into(), "b".into()], "t").unwrap();
        assert_eq!(names(&mean), ["m", "a", "a_lower", "a_upper", "b", "b_lower", "b_upper", "a_n", "n"]);
        assert_eq!(
            (texts_of(&mean, "a"), texts_of(&mean, "b")),
            (vec!["NaN".into(), "inf".into()], vec!["1.5".into(), "4".into()])
        );
        assert_eq!(
            (texts_of(&mean, "a_n"), texts_of(&mean, "n")),
            (vec!["2".into(), "2".into()], vec!["2".into(), "1".into()])
        );
        assert_eq!(texts_of(&mean, "a_upper"), ["", ""]);
    }

    fn texts_of(frame: &DataFrame, name: &str) -> Vec<String> {
        values(frame, name, "t").unwrap().iter().map(Value::to_string).collect()
    }

    #[test]
    fn sorting_is_stable_and_what_is_missing_is_last() {
        let frame = csv("k,x,n\nb,2,0\na,,1\nb,1,2\na,2,3\nb,2,4\na,nan,5\n");
        let order = |by: &[&str]| {
            let by: Vec<String> = by.iter().map(|&name| name.to_owned()).collect();
            texts_of(&sort(&frame, &by, "t").unwrap(), "n").concat()
        };
        assert_eq!(order(&["x"]), "203415");
        assert_eq!(order(&["-x"]), "034215");
        assert_eq!(order(&["k", "-x"]), "315042");
        assert_eq!(order(&["-k", "x"]), "204315");
        assert_eq!(order(&[]), "012345");
        let error = sort(&frame, &["-y".into()], "the table").unwrap_err().to_string();
        assert_eq!(error, "no column `y` in the table; it has `k`, `x` and `n`");
    }

    #[test]
    fn stacked_columns_hold_what_all_parts_hold() {
        let parts = ["a,b,c,d\n1,1,1,\n", "a,b,c,d\n2.5,x,true,\n", "a\n3\n"].map(|text| (csv(text), vec![]));
        let frame = stack(&parts).unwrap();
        assert_eq!(texts_of(&frame, "a"), ["1", "2.5", "3"]);
        assert_eq!(texts_of(&frame, "b"), ["1", "x", ""]);
        assert_eq!(numbers(&frame, "c", "t").unwrap(), [Some(1.0), Some(1.0), None]);
        assert_eq!(numbers(&frame, "d", "t").unwrap(), [None, None, None]);
        let only = |filter: &str| {
            let filter: Filter = serde_json::from_str(filter).unwrap();
            texts_of(&super::filter(&frame, &filter, "t").unwrap(), "a").join(" ")
        };
        assert_eq!(only(r#"{"a": [1, 2.5]}"#), "1 2.5");
        assert_eq!(only(r#"{"b": ["x", null], "a": 3.0}"#), "3");
        let error = |filter: &str| {
            let filter: Filter = serde_json::from_str(filter).unwrap();
            super::filter(&frame, &filter, "input `p`").unwrap_err().to_string()
        };
        assert_eq!(
            error(r#"{"b": 1}"#),
            "no row of input `p` passes `where`: `b` is never the number `1`, but the text `1`",
            "a text is no number"
        );
        assert_eq!(
            error(r#"{"b": ["y", "z"]}"#),
            "no row of input `p` passes `where`: `b` is never `y` or `z`; it is `1` or `x`"
        );
        assert_eq!(
            error(r#"{"b": "x", "a": 1}"#),
            "no row of input `p` passes `where`: `a` = 1 and `b` = x are never in one row"
        );
        let none = frame.head(Some(0));
        assert_eq!(
            super::filter(&none, &serde_json::from_str(r#"{"b": "q"}"#).unwrap(), "t").unwrap().height(),
            0
        );
    }

    #[test]
    fn a_pivot_keeps_the_order_and_leaves_gaps() {
        let frame = csv("m,s,metric,v\nz,1,fd,1\n,1,fd,2\na,2,recall,3\nz,1,recall,4\n");
        let wide = pivot(&frame, &["m".into(), "s".into()], "metric", &[("", "v".into())], "t").unwrap();
        assert_eq!(names(&wide), ["m", "s", "fd", "recall"]);
        assert_eq!(texts_of(&wide, "m"), ["z", "", "a"]);
        assert_eq!(texts_of(&wide, "fd"), ["1", "2", ""]);
        assert_eq!(texts_of(&wide, "recall"), ["4", "", "3"]);
        let empty = pivot(&frame.head(Some(0)), &["m".into()], "metric", &[("", "v".into())], "t").unwrap();
        assert_eq!((names(&empty), empty.height()), (vec!["m".to_owned()], 0));
    }
}
