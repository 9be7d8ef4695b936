//! Reading tables from Parquet, CSV and JSON files.

use super::error::ReportError;
use super::frame;
use onsager_tables::columns::Columns;
use onsager_tables::error::TableError;
use onsager_tables::read::Parquet;
use onsager_tables::table::Table;
use polars::frame::DataFrame;
use polars::prelude::{ParquetReader, SerReader};
use std::fs::File;
use std::path::Path;

/// Parquet by polars.
pub struct PolarsParquet;

impl Parquet for PolarsParquet {
    fn read(&self, path: &Path) -> Result<Columns, TableError> {
        let wrong = |source: ReportError| TableError::Parquet { path: path.into(), source: Box::new(source) };
        let frame = parquet(path).map_err(wrong)?;
        frame::columns(&frame).map_err(wrong)
    }

    fn write(&self, table: &Table, path: &Path) -> Result<(), TableError> {
        let wrong = |source| TableError::Write { path: path.into(), source: Box::new(source) };
        super::parquet::save_parquet(table, path).map_err(wrong)
    }
}

/// Reads a table from a Parquet, JSON or CSV file, known by its content.
pub fn load(path: &Path) -> Result<DataFrame, ReportError> {
    frame::of(onsager_tables::read::load(path, Some(&PolarsParquet))?)
}

fn parquet(path: &Path) -> Result<DataFrame, ReportError> {
    let file = File::open(path).map_err(|source| ReportError::Read { path: path.into(), source })?;
    ParquetReader::new(file).finish().map_err(|source| ReportError::Table { path: path.into(), source })
}
