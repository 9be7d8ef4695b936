//! The beginnings of Parquet files, for those who only look.

use crate::error::ReportError;
use crate::tables::{frame, parquet};
use onsager_tables::columns::Columns;
use onsager_tables::error::TableError;
use onsager_tables::head::Heads;
use polars::datatypes::ArrowDataType;
use polars::prelude::{ParquetReader, SerReader};
use std::fs::File;
use std::path::Path;

/// A file of no more bytes is read whole, with its times; of a larger one the columns of times are left out.
const WHOLE: u64 = 32 << 20;

/// Reads only the row groups that the first rows are in.
pub struct ParquetHeads;

impl Heads for ParquetHeads {
    fn head(&self, path: &Path, rows: usize) -> Result<(Columns, usize), TableError> {
        read(path, rows).map_err(|source| TableError::Parquet { path: path.into(), source: Box::new(source) })
    }
}

fn read(path: &Path, rows: usize) -> Result<(Columns, usize), ReportError> {
    let wrong = |source| ReportError::Table { path: path.into(), source };
    let unreadable = |source| ReportError::Read { path: path.into(), source };
    let file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.len() <= WHOLE {
        let data = parquet::load(path)?;
        return Ok((frame::columns(&data.head(Some(rows)))?, data.height()));
    }
    let mut reader = ParquetReader::new(file);
    let all = reader.num_rows().map_err(wrong)?;
    let timeless = |kind: &ArrowDataType| {
        use ArrowDataType::{Date32, Date64, Duration, Time32, Time64, Timestamp};
        !matches!(kind, Timestamp(..) | Date32 | Date64 | Time32(_) | Time64(_) | Duration(_))
    };
    let schema = reader.schema().map_err(wrong)?;
    let names = schema.iter().filter(|(_, field)| timeless(&field.dtype)).map(|(name, _)| name.to_string());
    let reader = reader.with_columns(Some(names.collect())).with_slice(Some((0, rows)));
    let data = frame::tidy(reader.finish().map_err(wrong)?)?;
    Ok((frame::columns(&data)?, all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::frame::tests::csv;

    #[test]
    fn the_first_rows_of_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.parquet");
        parquet::save(&mut csv("a,b\n1,x\n2,y\n3,z\n"), &path, Vec::new()).unwrap();
        let (columns, all) = ParquetHeads.head(&path, 2).unwrap();
        assert_eq!((columns.csv().as_str(), all), ("a,b\n1,x\n2,y\n", 3));
    }
}
