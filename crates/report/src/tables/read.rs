//! Reading tables from Parquet, CSV and JSON files.

use crate::error::ReportError;
use crate::tables::{frame, parquet};
use polars::frame::DataFrame;
use std::path::Path;

/// Reads a table from a Parquet, JSON or CSV file, known by its content.
pub fn load(path: &Path) -> Result<DataFrame, ReportError> {
    if onsager_tables::read::is_parquet(path)? {
        parquet::load(path)
    } else {
        frame::of(onsager_tables::read::load(path, None)?)
    }
}
