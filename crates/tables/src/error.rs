//! What can go wrong with a table.

use crate::names::{list, nearest};
use std::path::PathBuf;

/// Why a table cannot be read or does not hold what is asked of it.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    #[error("cannot read `{}`", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("`{}` is no table: it is not UTF-8 text, nor Parquet; give CSV, JSON or Parquet", path.display())]
    NoText { path: PathBuf },
    #[error("`{}`, line {line}: {message}", path.display())]
    Csv { path: PathBuf, line: usize, message: String },
    #[error("cannot read the JSON of `{}`: {message}", path.display())]
    Json { path: PathBuf, message: String },
    #[error("`{}` is a Parquet file, which this program is built without; build it with the feature `science`", path.display())]
    NoParquet { path: PathBuf },
    #[error("cannot read the Parquet file `{}`", path.display())]
    Parquet { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("cannot write `{}`", path.display())]
    Write { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("no column `{column}` in {table}; it has {}{}", list(columns), nearest(column, columns))]
    NoColumn { column: String, table: String, columns: Vec<String> },
    #[error("no row of {table} passes `{field}`: {why}")]
    NoRow { table: String, field: &'static str, why: String },
    #[error("column `{column}` holds the text `{text}` where numbers are needed")]
    NotANumber { column: String, text: String },
    #[error("cannot understand the expression `{text}`: {message} at character {at}")]
    Expression { text: String, message: String, at: usize },
}
