//! Frames as Parquet files: the one writer of the program, and the reader that goes with it.

use crate::error::ReportError;
use crate::tables::frame;
use onsager_tables::time;
use onsager_tables::value::Value;
use polars::datatypes::{ArrowDataType, ArrowTimeUnit as TimeUnit};
use polars::frame::DataFrame;
use polars::prelude::{
    ArrowSchema, CompatLevel, DataType, ParquetReader, PlSmallStr, PolarsError, PolarsResult, SerReader,
};
use polars_parquet::parquet::CowBuffer;
use polars_parquet::parquet::compression::Compression;
use polars_parquet::parquet::metadata::{KeyValue, SchemaDescriptor};
use polars_parquet::parquet::page::{CompressedDataPage, CompressedDictPage, CompressedPage, DictPage, Page};
use polars_parquet::parquet::schema::types::{ParquetType, PrimitiveType};
use polars_parquet::write::{
    CompressionOptions, DynIter, DynStreamingIterator, FallibleStreamingIterator, FileWriter,
    StatisticsOptions, Version, WriteOptions, array_to_columns, get_dtype_encoding, schema_to_metadata_key,
    to_parquet_schema,
};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

/// Writes a frame as Parquet: one row group, no statistics, uncompressed, so that equal tables are equal bytes. `metadata`
/// are pairs of a key and a text that go into the file's footer.
pub fn save(data: &mut DataFrame, path: &Path, metadata: Vec<(String, String)>) -> Result<(), ReportError> {
    let file = File::create(path).map_err(|source| ReportError::Write { path: path.into(), source })?;
    // What frames were stacked from must not show in the file.
    data.rechunk_mut();
    write(data, file, metadata).map_err(|source| ReportError::Table { path: path.into(), source })
}

const OPTIONS: WriteOptions = WriteOptions {
    statistics: StatisticsOptions {
        min_value: false,
        max_value: false,
        distinct_count: false,
        null_count: false,
        binary_statistics_truncate_length: None,
    },
    version: Version::V1,
    compression: CompressionOptions::Uncompressed,
    data_page_size: None,
};

/// The bytes are those of polars' `ParquetWriter`, which would bring five compressors into the program.
fn write(data: &DataFrame, file: File, metadata: Vec<(String, String)>) -> PolarsResult<()> {
    let level = CompatLevel::newest();
    let named = |name: &PlSmallStr, kind: &DataType| (name.clone(), kind.to_arrow_field(name.clone(), level));
    let schema: ArrowSchema = data.schema().iter().map(|(name, kind)| named(name, kind)).collect();
    let types = to_parquet_schema(&schema)?;
    let encodings: Vec<_> = schema.iter_values().map(|field| get_dtype_encoding(&field.dtype)).collect();
    let mut writer = FileWriter::try_new(file, schema, OPTIONS)?;
    for rows in data.iter_chunks(level, false).filter(|rows| !rows.is_empty()) {
        let mut columns = Vec::new();
        for ((array, kind), encodings) in rows.columns().iter().zip(types.fields()).zip(&encodings) {
            let pages = array_to_columns(array, kind.clone(), OPTIONS, encodings)?;
            let pages = pages.into_iter().map(|pages| Pages { pages, now: None });
            columns.extend(pages.map(|pages| Ok(DynStreamingIterator::new(pages))));
        }
        writer.write(rows.len() as u64, DynIter::new(columns.into_iter()))?;
    }
    let pairs = metadata.into_iter().map(|(key, text)| KeyValue { key, value: Some(text) });
    let pairs = [schema_to_metadata_key(writer.schema())].into_iter().chain(pairs).collect();
    writer.end(Some(pairs)).map(|_| ())
}

/// The pages of a column, one at a time.
struct Pages {
    pages: DynIter<'static, PolarsResult<Page>>,
    now: Option<CompressedPage>,
}

impl FallibleStreamingIterator for Pages {
    type Item = CompressedPage;
    type Error = PolarsError;

    fn advance(&mut self) -> PolarsResult<()> {
        self.now = self.pages.next().transpose()?.map(uncompressed);
        Ok(())
    }

    fn get(&self) -> Option<&CompressedPage> {
        self.now.as_ref()
    }
}

/// The page as it enters the file.
fn uncompressed(page: Page) -> CompressedPage {
    match page {
        Page::Data(mut page) => {
            let buffer = std::mem::take(page.buffer_mut());
            // The columns are flat, so a row has one value.
            let (size, rows) = (buffer.len(), page.num_rows.unwrap_or(page.num_values()));
            let (header, buffer) = (page.header().clone(), CowBuffer::Owned(buffer));
            let kind = page.descriptor;
            let none = Compression::Uncompressed;
            CompressedPage::Data(CompressedDataPage::new(header, buffer, none, size, kind, rows))
        }
        Page::Dict(DictPage { buffer, num_values, is_sorted }) => {
            let (size, none) = (buffer.len(), Compression::Uncompressed);
            CompressedPage::Dict(CompressedDictPage::new(buffer, none, size, num_values, is_sorted))
        }
    }
}

/// Reads a Parquet file, with the column types that [`frame`] knows. Dates and times become texts as ISO 8601 writes them,
/// durations seconds.
pub fn load(path: &Path) -> Result<DataFrame, ReportError> {
    let wrong = |source| ReportError::Table { path: path.into(), source };
    let mut reader = ParquetReader::new(open(path)?);
    let fields: Vec<(String, ArrowDataType)> = reader
        .schema()
        .map_err(wrong)?
        .iter()
        .map(|(name, field)| (name.to_string(), field.dtype.clone()))
        .collect();
    if let Some((column, _)) = fields.iter().find(|(_, kind)| matches!(kind, ArrowDataType::Decimal(..))) {
        let (path, column) = (path.into(), column.clone());
        return Err(ReportError::Decimal { path, column });
    }
    let times: Vec<&(String, ArrowDataType)> =
        fields.iter().filter(|(_, kind)| time_of(kind).is_some()).collect();
    if times.is_empty() {
        return frame::tidy(reader.finish().map_err(wrong)?);
    }
    // polars knows times with features that are not built; below them are whole numbers, which it always knows.
    let mut metadata = (**reader.get_metadata().map_err(wrong)?).clone();
    let plain = metadata.schema_descr.fields().iter().map(|field| match field {
        ParquetType::PrimitiveType(primitive) if times.iter().any(|(name, _)| name == field.name()) => {
            ParquetType::PrimitiveType(PrimitiveType {
                logical_type: None,
                converted_type: None,
                ..primitive.clone()
            })
        }
        field => field.clone(),
    });
    metadata.schema_descr = SchemaDescriptor::new(metadata.schema_descr.name().into(), plain.collect());
    metadata.key_value_metadata = None;
    let mut reader = ParquetReader::new(open(path)?);
    reader.set_metadata(Arc::new(metadata));
    let mut data = frame::tidy(reader.finish().map_err(wrong)?)?;
    for (name, kind) in times {
        let values = frame::values(&data, name, "the table")?;
        let values = values.iter().map(|value| match (value, time_of(kind)) {
            (Value::Integer(count), Some(time)) => time(*count),
            _ => Value::Null,
        });
        data.with_column(frame::column_of(name, &values.collect::<Vec<_>>()))?;
    }
    Ok(data)
}

/// What a column of times makes of its whole numbers; none for other columns.
fn time_of(kind: &ArrowDataType) -> Option<Box<dyn Fn(i64) -> Value>> {
    let per_second = |unit: &TimeUnit| match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    };
    Some(match kind {
        ArrowDataType::Timestamp(unit, zone) => {
            let (unit, offset) = (per_second(unit), if zone.is_some() { "Z" } else { "" });
            Box::new(move |count| {
                time::date_time(count, unit).map_or(Value::Null, |text| Value::Text(text + offset))
            })
        }
        ArrowDataType::Date32 => Box::new(|days| time::date(days).map_or(Value::Null, Value::Text)),
        ArrowDataType::Time32(unit) | ArrowDataType::Time64(unit) => {
            let unit = per_second(unit);
            Box::new(move |count| {
                let text = time::date_time(count, unit);
                text.and_then(|text| Some(Value::Text(text.split_once('T')?.1.to_owned())))
                    .unwrap_or(Value::Null)
            })
        }
        ArrowDataType::Duration(unit) => {
            let unit = per_second(unit);
            Box::new(move |count| Value::Number(count as f64 / unit as f64))
        }
        _ => return None,
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use polars::prelude::{Column, ParquetCompression, ParquetWriter};

    /// The bytes of polars' own writer, with the options that ours stands for.
    fn of_polars(data: &mut DataFrame) -> Vec<u8> {
        let mut bytes = Vec::new();
        data.rechunk_mut();
        ParquetWriter::new(&mut bytes)
            .with_compression(ParquetCompression::Uncompressed)
            .with_statistics(OPTIONS.statistics)
            .with_row_group_size(Some(data.height().max(1)))
            .set_parallel(false)
            .finish(data)
            .unwrap();
        bytes
    }

    #[test]
    fn the_bytes_are_those_of_polars() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.parquet");
        let rows = 400_000; // over a megabyte, so several pages
        let whole: Vec<Option<i64>> = (0..rows).map(|i| (i % 7 > 0).then_some(i * i)).collect();
        let numbers: Vec<f64> = (0..rows).map(|i| (i as f64).sqrt()).collect();
        let texts: Vec<String> = (0..rows).map(|i| format!("set {}", i % 11)).collect();
        let truths: Vec<Option<bool>> = (0..rows).map(|i| (i % 3 > 0).then_some(i % 2 == 0)).collect();
        let columns = vec![
            Column::new("whole".into(), whole),
            Column::new("number".into(), numbers),
            Column::new("text".into(), texts),
            Column::new("truth".into(), truths),
            Column::new("nothing".into(), vec![None::<f64>; rows as usize]),
        ];
        let frame = DataFrame::new(rows as usize, columns).unwrap();
        let mut stacked = frame.head(Some(3));
        stacked.vstack_mut(&frame.tail(Some(4))).unwrap();
        for mut data in [frame.head(Some(0)), frame.head(Some(1)), stacked, DataFrame::empty(), frame] {
            save(&mut data, &path, Vec::new()).unwrap();
            assert!(std::fs::read(&path).unwrap() == of_polars(&mut data), "{:?}", data.shape());
        }
    }
}
