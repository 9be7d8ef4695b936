//! What can go wrong with a table.

use crate::names::{list, nearest};
use std::error::Error;
use std::path::PathBuf;

const NO_TEXT: &str = "it is not UTF-8 text, nor Parquet; give CSV, JSON or Parquet";
const NO_PARQUET: &str =
    "a Parquet file, which this program is built without; build it with the feature `science`";

/// Why a table cannot be read or does not hold what is asked of it.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    #[error("cannot read `{}`", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("`{}` is no table: {NO_TEXT}", path.display())]
    NoText { path: PathBuf },
    #[error("`{}`, line {line}: {message}", path.display())]
    Csv { path: PathBuf, line: usize, message: String },
    #[error("cannot read the JSON of `{}`: {message}", path.display())]
    Json { path: PathBuf, message: String },
    #[error("`{}` is {NO_PARQUET}", path.display())]
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

impl TableError {
    /// What is wrong with the content, for whoever knows the file by another name than its path.
    pub fn without_path(&self) -> String {
        match self {
            TableError::NoText { .. } => NO_TEXT.to_owned(),
            TableError::NoParquet { .. } => format!("it is {NO_PARQUET}"),
            TableError::Csv { line, message, .. } => format!("line {line}: {message}"),
            TableError::Json { message, .. } => message.clone(),
            error => {
                // What lies between may name the path again.
                let mut cause: &dyn Error = error;
                while let Some(next) = cause.source() {
                    cause = next;
                }
                cause.to_string()
            }
        }
    }
}
