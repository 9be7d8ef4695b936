//! A table as named columns of values: what metrics are read from. Work in bulk is done on data frames elsewhere.

use crate::error::TableError;
use crate::expression::Expression;
use crate::text;
use crate::value::{Filter, Value, apart, not_there, passes};
use std::collections::BTreeMap;

/// Named columns of equal length.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Columns(Vec<(String, Vec<Value>)>);

impl Columns {
    /// These columns, which must be equally long. A column of integers and numbers becomes numbers; one with a text, texts.
    pub fn new(columns: Vec<(String, Vec<Value>)>) -> Columns {
        Columns(columns.into_iter().map(|(name, values)| (name, one_type(values))).collect())
    }

    /// The columns with their names.
    pub fn into_inner(self) -> Vec<(String, Vec<Value>)> {
        self.0
    }

    /// The number of rows.
    pub fn height(&self) -> usize {
        self.0.first().map_or(0, |(_, values)| values.len())
    }

    /// The names of the columns.
    pub fn names(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| name.clone()).collect()
    }

    fn find(&self, column: &str) -> Option<&[Value]> {
        self.0.iter().find(|(name, _)| name == column).map(|(_, values)| values.as_slice())
    }

    /// The values of a column. `table` names the table in the error, for example ``input `points` ``.
    pub fn values(&self, column: &str, table: &str) -> Result<&[Value], TableError> {
        self.find(column).ok_or_else(|| TableError::NoColumn {
            column: column.into(),
            table: table.into(),
            columns: self.names(),
        })
    }

    /// The numbers of a column or of an expression over columns; None where a value is missing. Timestamps are seconds since 1970.
    pub fn numbers(&self, expression: &str, table: &str) -> Result<Vec<Option<f64>>, TableError> {
        let expression = match self.find(expression) {
            Some(_) => Expression::Column(expression.into()),
            None => Expression::parse(expression)?,
        };
        let mut columns = BTreeMap::new();
        for name in expression.columns() {
            columns.insert(name, self.plain_numbers(name, table)?);
        }
        let row = |i: usize| expression.value(&mut |name| columns.get(name).and_then(|cells| cells[i]));
        Ok((0..self.height()).map(row).collect())
    }

    fn plain_numbers(&self, column: &str, table: &str) -> Result<Vec<Option<f64>>, TableError> {
        let cells = self.values(column, table)?;
        if !cells.iter().any(|cell| matches!(cell, Value::Text(_))) {
            return Ok(cells.iter().map(Value::number).collect());
        }
        let texts = cells.iter().map(|cell| match cell {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        });
        text::numbers(texts)
            .map_err(|text| TableError::NotANumber { column: column.into(), text: text.into() })
    }

    /// The rows that pass the filter; that none passes is an error, unless there is no row.
    pub fn filter(&self, filter: &Filter, table: &str) -> Result<Columns, TableError> {
        let mut keep: Vec<usize> = (0..self.height()).collect();
        for (column, wanted) in filter {
            let cells = self.values(column, table)?;
            let wrong = |why| TableError::NoRow { table: table.into(), field: "where", why };
            if self.height() > 0 && !cells.iter().any(|cell| passes(wanted, cell)) {
                return Err(wrong(not_there(column, wanted, cells)));
            }
            keep.retain(|&row| passes(wanted, &cells[row]));
            if self.height() > 0 && keep.is_empty() {
                return Err(wrong(apart(filter)));
            }
        }
        let take = |values: &Vec<Value>| keep.iter().map(|&row| values[row].clone()).collect();
        Ok(Columns(self.0.iter().map(|(name, values)| (name.clone(), take(values))).collect()))
    }

    /// The tables one below the other, each with its labels as further columns (a column that a table has already is kept).
    /// A column that some table lacks is empty there.
    pub fn stack(parts: &[(Columns, Vec<(String, Value)>)]) -> Columns {
        let mut columns: Vec<(String, Vec<Value>)> = Vec::new();
        let mut height = 0;
        for (part, labels) in parts {
            let mut add = |name: &str, cells: Vec<Value>| {
                let index = columns.iter().position(|column| column.0 == name).unwrap_or_else(|| {
                    columns.push((name.into(), vec![Value::Null; height]));
                    columns.len() - 1
                });
                columns[index].1.extend(cells);
            };
            for (name, label) in labels.iter().filter(|(name, _)| part.find(name).is_none()) {
                add(name, vec![label.clone(); part.height()]);
            }
            for (name, values) in &part.0 {
                add(name, values.clone());
            }
            height += part.height();
            for column in &mut columns {
                column.1.resize(height, Value::Null);
            }
        }
        Columns::new(columns)
    }

    /// As CSV by RFC 4180, with full precision.
    pub fn csv(&self) -> String {
        let mut writer = csv::WriterBuilder::new().flexible(true).comment(Some(b'#')).from_writer(Vec::new());
        let mut written = writer.write_record(self.names());
        for row in 0..self.height() {
            let fields = self.0.iter().map(|(_, values)| values[row].to_string());
            written = written.and_then(|()| writer.write_record(fields));
        }
        // Memory takes whatever is written to it, and values are text.
        let bytes = written.ok().and_then(|()| writer.into_inner().ok()).unwrap_or_default();
        String::from_utf8(bytes).unwrap_or_default()
    }
}

/// The values as one type: the widest that any of them has.
fn one_type(values: Vec<Value>) -> Vec<Value> {
    let has = |test: fn(&Value) -> bool| values.iter().any(test);
    let text = has(|value| matches!(value, Value::Text(_)));
    let number = has(|value| matches!(value, Value::Number(_)));
    let bool = has(|value| matches!(value, Value::Bool(_)));
    let mixed = number || bool && has(|value| matches!(value, Value::Integer(_)));
    let convert = |value: Value| match value {
        Value::Null | Value::Text(_) => value,
        value if text => Value::Text(value.to_string()),
        value if mixed => value.number().map_or(Value::Null, Value::Number),
        value => value,
    };
    values.into_iter().map(convert).collect()
}
