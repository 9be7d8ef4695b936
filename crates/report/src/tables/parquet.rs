//! Frames as Parquet files: the one writer of the program, and the reader that goes with it.

use crate::error::ReportError;
use crate::tables::frame;
use polars::frame::DataFrame;
use polars::prelude::{
    KeyValueMetadata, ParquetCompression, ParquetReader, ParquetWriter, SerReader, StatisticsOptions,
};
use std::fs::File;
use std::path::Path;

/// Writes a frame as Parquet: one row group, no statistics, uncompressed, so that equal tables are equal bytes. `metadata`
/// are pairs of a key and a text that go into the file's footer.
pub fn save(data: &mut DataFrame, path: &Path, metadata: Vec<(String, String)>) -> Result<(), ReportError> {
    let file = File::create(path).map_err(|source| ReportError::Write { path: path.into(), source })?;
    // What frames were stacked from must not show in the file.
    data.rechunk_mut();
    let metadata = Some(metadata).filter(|pairs| !pairs.is_empty()).map(KeyValueMetadata::from_static);
    let writer = ParquetWriter::new(file)
        .with_compression(ParquetCompression::Uncompressed)
        .with_statistics(StatisticsOptions::empty())
        .with_row_group_size(Some(data.height().max(1)))
        .set_parallel(false)
        .with_key_value_metadata(metadata);
    writer.finish(data).map(|_| ()).map_err(|source| ReportError::Table { path: path.into(), source })
}

/// Reads a Parquet file, with the column types that [`frame`] knows.
pub fn load(path: &Path) -> Result<DataFrame, ReportError> {
    let wrong = |source| ReportError::Table { path: path.into(), source };
    frame::tidy(ParquetReader::new(open(path)?).finish().map_err(wrong)?)
}

/// The text that a Parquet file carries under a key of its metadata.
pub fn metadata(path: &Path, key: &str) -> Result<Option<String>, ReportError> {
    let mut reader = ParquetReader::new(open(path)?);
    let metadata =
        reader.get_metadata().map_err(|source| ReportError::Table { path: path.into(), source })?;
    let mut pairs = metadata.key_value_metadata().iter().flatten();
    Ok(pairs.find(|pair| pair.key == key).and_then(|pair| pair.value.clone()))
}

fn open(path: &Path) -> Result<File, ReportError> {
    File::open(path).map_err(|source| ReportError::Read { path: path.into(), source })
}
