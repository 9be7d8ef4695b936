//! A Parquet table written column by column, and read back by name.

use onsager_report::tables::parquet;
use onsager_runner::kind::stage::StageError;
use polars::frame::DataFrame;
use polars::prelude::{Column, IntoColumn, NamedFrom, ParquetReader, SerReader, Series};
use serde_json::Value;
use std::fs::File;
use std::path::Path;

/// The columns of a table, in their order.
#[derive(Debug, Default)]
pub struct Columns {
    columns: Vec<Column>,
}

impl Columns {
    pub fn texts<S: AsRef<str>>(&mut self, name: &str, values: impl IntoIterator<Item = S>) -> &mut Columns {
        let values: Vec<String> = values.into_iter().map(|value| value.as_ref().to_owned()).collect();
        self.push(Series::new(name.into(), values))
    }

    /// Numbers; an infinite one or one that is none becomes a missing value.
    pub fn numbers(&mut self, name: &str, values: impl IntoIterator<Item = Option<f64>>) -> &mut Columns {
        let values: Vec<Option<f64>> =
            values.into_iter().map(|value| value.filter(|value| value.is_finite())).collect();
        self.push(Series::new(name.into(), values))
    }

    pub fn integers(&mut self, name: &str, values: impl IntoIterator<Item = Option<i64>>) -> &mut Columns {
        let values: Vec<Option<i64>> = values.into_iter().collect();
        self.push(Series::new(name.into(), values))
    }

    pub fn flags(&mut self, name: &str, values: impl IntoIterator<Item = Option<bool>>) -> &mut Columns {
        let values: Vec<Option<bool>> = values.into_iter().collect();
        self.push(Series::new(name.into(), values))
    }

    fn push(&mut self, series: Series) -> &mut Columns {
        self.columns.push(series.into_column());
        self
    }

    /// Whether there is a column of this name.
    pub fn has(&self, name: &str) -> bool {
        self.columns.iter().any(|column| column.name().as_str() == name)
    }

    /// The coordinates of the rows in a matrix as columns, where the table has no column of that name.
    pub fn labels(&mut self, rows: &[&[(String, Value)]]) -> &mut Columns {
        let mut names: Vec<&String> = Vec::new();
        for (name, _) in rows.iter().copied().flatten() {
            if !names.contains(&name) && !self.has(name) {
                names.push(name);
            }
        }
        for name in names {
            let find = |row: &&[(String, Value)]| row.iter().position(|(label, _)| label == name);
            let values: Vec<Option<&Value>> = rows.iter().map(|row| find(row).map(|at| &row[at].1)).collect();
            if values.iter().flatten().all(|value| value.is_number()) {
                self.numbers(name, values.iter().map(|value| value.and_then(Value::as_f64)));
            } else {
                let text = |value: &Option<&Value>| match value {
                    None => String::new(),
                    Some(Value::String(text)) => text.clone(),
                    Some(other) => other.to_string(),
                };
                self.texts(name, values.iter().map(text));
            }
        }
        self
    }

    /// Writes the table as one Parquet file: the same bytes for the same values.
    pub fn write(self, path: &Path) -> Result<(), StageError> {
        let height = self.columns.first().map_or(0, Column::len);
        let mut frame = DataFrame::new(height, self.columns)?;
        Ok(parquet::save(&mut frame, path, Vec::new())?)
    }
}

/// A table read from a Parquet file.
#[derive(Debug)]
pub struct Table {
    frame: DataFrame,
    name: String,
}

impl Table {
    /// Reads the file at `path`; `name` is what errors call it.
    pub fn read(path: &Path, name: &str) -> Result<Table, StageError> {
        let frame = ParquetReader::new(File::open(path)?)
            .finish()
            .map_err(|error| StageError::with_help(error, format!("`{name}` must be a Parquet table")))?;
        Ok(Table { frame, name: name.to_owned() })
    }

    pub fn rows(&self) -> usize {
        self.frame.height()
    }

    fn column(&self, name: &str) -> Result<&Column, StageError> {
        self.frame.column(name).map_err(|_| {
            let names: Vec<&str> = self.frame.get_column_names().iter().map(|name| name.as_str()).collect();
            StageError::with_help(
                format!("`{}` has no column `{name}`", self.name),
                format!("its columns are {}", names.join(", ")),
            )
        })
    }

    /// A column of numbers, floating or integer.
    pub fn numbers(&self, name: &str) -> Result<Vec<Option<f64>>, StageError> {
        let column = self.column(name)?;
        if let Ok(values) = column.f64() {
            return Ok(values.iter().collect());
        }
        match column.i64() {
            Ok(values) => Ok(values.iter().map(|value| value.map(|value| value as f64)).collect()),
            Err(_) => Err(format!("column `{name}` of `{}` does not hold numbers", self.name).into()),
        }
    }

    /// A column of texts.
    pub fn texts(&self, name: &str) -> Result<Vec<String>, StageError> {
        match self.column(name)?.str() {
            Ok(values) => Ok(values.iter().map(|value| value.unwrap_or_default().to_owned()).collect()),
            Err(_) => Err(format!("column `{name}` of `{}` does not hold texts", self.name).into()),
        }
    }
}
