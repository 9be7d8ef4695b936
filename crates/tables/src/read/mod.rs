//! Reading tables from files: CSV and its relatives ([`delimited`]), JSON and JSON Lines ([`json`]), any of them compressed by
//! gzip; Parquet by whoever can ([`Parquet`]). Files are known by their content, since results have no names of their own.

pub mod delimited;
pub mod json;

use crate::columns::Columns;
use crate::error::TableError;
use flate2::read::MultiGzDecoder;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

const PARQUET: &[u8] = b"PAR1";
const GZIP: &[u8] = &[0x1f, 0x8b];

/// Reads a table; a Parquet file by `parquet`.
pub fn load(path: &Path, parquet: Option<&dyn Parquet>) -> Result<Columns, TableError> {
    if is_parquet(path)? {
        return match parquet {
            Some(parquet) => parquet.read(path),
            None => Err(TableError::NoParquet { path: path.into() }),
        };
    }
    let text = text(path)?;
    if text.trim_start().starts_with(['{', '[']) {
        return json::table(&text).map_err(|message| TableError::Json { path: path.into(), message });
    }
    delimited::table(&text).map_err(|(line, message)| TableError::Csv { path: path.into(), line, message })
}

/// The text of a file, unpacked where gzip has packed it.
pub fn text(path: &Path) -> Result<String, TableError> {
    let read = |source| TableError::Read { path: path.into(), source };
    let mut bytes = fs::read(path).map_err(read)?;
    if bytes.starts_with(GZIP) {
        let mut plain = Vec::new();
        MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut plain).map_err(read)?;
        bytes = plain;
    }
    let text = String::from_utf8(bytes).map_err(|_| TableError::NoText { path: path.into() })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// Whether the file is a Parquet file, by its first bytes.
pub fn is_parquet(path: &Path) -> Result<bool, TableError> {
    let read = |source| TableError::Read { path: path.into(), source };
    let mut magic = Vec::new();
    File::open(path).map_err(read)?.take(PARQUET.len() as u64).read_to_end(&mut magic).map_err(read)?;
    Ok(magic == PARQUET)
}

/// Parquet, which needs more than this crate has.
pub trait Parquet: Send + Sync {
    fn read(&self, path: &Path) -> Result<Columns, TableError>;
    /// Writes a table for print, with its headings and emphasis.
    fn write(&self, table: &crate::table::Table, path: &Path) -> Result<(), TableError>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;
    use std::io::Write;

    fn load_bytes(bytes: &[u8]) -> Result<Columns, TableError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table");
        fs::write(&path, bytes).unwrap();
        load(&path, None)
    }

    #[test]
    fn compressed_files_are_unpacked() {
        let pack = |text: &str| {
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packed.write_all(text.as_bytes()).unwrap();
            packed.finish().unwrap()
        };
        let two = [pack("a,b\n1,2\n"), pack("3,4\n")].concat();
        assert_eq!(
            load_bytes(&two).unwrap().values("b", "t").unwrap(),
            [Value::Integer(2), Value::Integer(4)]
        );
        let json = load_bytes(&pack("[{\"a\": 1}]")).unwrap();
        assert_eq!(json.values("a", "t").unwrap(), [Value::Integer(1)]);
        let torn = &pack("a,b\n1,2\n")[..12];
        assert!(matches!(load_bytes(torn), Err(TableError::Read { .. })));
    }

    #[test]
    fn a_mark_of_byte_order_is_no_part_of_a_name() {
        assert_eq!(load_bytes("\u{feff}a,b\n1,2\n".as_bytes()).unwrap().names(), ["a", "b"]);
        assert_eq!(load_bytes("\u{feff}{\"a\": 1}".as_bytes()).unwrap().names(), ["a"]);
        let error = load_bytes(b"a,b\n\xff,2\n").unwrap_err().to_string();
        assert!(error.contains("is not UTF-8"), "{error}");
    }
}
