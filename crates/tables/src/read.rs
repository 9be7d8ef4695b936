//! Reading tables from CSV and JSON files.

use crate::columns::Columns;
use crate::error::TableError;
use crate::value::Value;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// Reads a table from a JSON file or a CSV file with a header line (RFC 4180), known by its content; a Parquet file by `parquet`.
///
/// In JSON an object is a row and an array of objects is a table; `{"a": {"b": 1}}` has the column `a_b`.
pub fn load(path: &Path, parquet: Option<&dyn Parquet>) -> Result<Columns, TableError> {
    let read = |source| TableError::Read { path: path.into(), source };
    if is_parquet(path)? {
        return match parquet {
            Some(parquet) => parquet.read(path),
            None => Err(TableError::NoParquet { path: path.into() }),
        };
    }
    let text = fs::read_to_string(path).map_err(read)?;
    if text.trim_start().starts_with(['{', '[']) {
        let json: serde_json::Value = serde_json::from_str(&text)
            .map_err(|error| TableError::Json { path: path.into(), message: error.to_string() })?;
        return Ok(json_table(&json));
    }
    csv_table(&text).map_err(|(line, message)| TableError::Csv { path: path.into(), line, message })
}

/// Whether the file is a Parquet file, by its first bytes.
pub fn is_parquet(path: &Path) -> Result<bool, TableError> {
    let read = |source| TableError::Read { path: path.into(), source };
    let mut magic = Vec::new();
    File::open(path).map_err(read)?.take(4).read_to_end(&mut magic).map_err(read)?;
    Ok(magic == b"PAR1")
}

/// A CSV field as a number where it reads as one.
fn typed(field: &str) -> Value {
    if field.is_empty() {
        Value::Null
    } else if let Ok(integer) = field.parse() {
        Value::Integer(integer)
    } else if let Ok(number) = field.parse() {
        Value::Number(number)
    } else {
        match field {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => Value::Text(field.into()),
        }
    }
}

/// The crate `csv` takes the end of a text for the end of an open quotation: a last record of our own, of a character that
/// no table holds, shows whether it was.
const END: &str = "\u{1}";

/// The table of a CSV text; or the line and what is wrong with it.
fn csv_table(text: &str) -> Result<Columns, (usize, String)> {
    let text = format!("{text}\n{END}\n");
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let mut columns: Option<Vec<(String, Vec<Value>)>> = None;
    let (mut record, mut line) = (csv::StringRecord::new(), 1);
    while reader.read_record(&mut record).map_err(|error| (line, error.to_string()))? {
        line = record.position().map_or(1, |position| line_of(&text, position));
        let rest = record.position().and_then(|position| text.get(position.byte() as usize..));
        if rest.is_some_and(|rest| rest.trim_start_matches(['\n', '\r']).trim_end() == END) {
            return columns.map(Columns::new).ok_or((1, "the table is empty".into()));
        }
        match &mut columns {
            None => {
                let mut names: Vec<&str> = record.iter().collect();
                names.sort_unstable();
                if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
                    return Err((line, format!("two columns are called `{}`", twice[0])));
                }
                columns = Some(record.iter().map(|name| (name.into(), Vec::new())).collect());
            }
            Some(columns) if record.len() == columns.len() => {
                record.iter().zip(columns).for_each(|(field, (_, values))| values.push(typed(field)));
            }
            Some(_) if record.iter().next_back().is_some_and(|field| field.ends_with("\u{1}\n")) => break,
            Some(columns) => {
                return Err((
                    line,
                    format!("{} fields where the header has {}", record.len(), columns.len()),
                ));
            }
        }
    }
    Err((line, "a quoted field is not closed".into()))
}

/// The line on which a record begins: the reader's position is before the empty lines that it skips.
fn line_of(text: &str, position: &csv::Position) -> usize {
    let before = &text.as_bytes()[position.byte() as usize..];
    let empty = before.iter().take_while(|byte| matches!(byte, b'\n' | b'\r'));
    position.line() as usize + empty.filter(|byte| **byte == b'\n').count()
}

/// A row for each object, a column for each field that is no list.
fn json_table(json: &serde_json::Value) -> Columns {
    let rows = match json {
        serde_json::Value::Array(rows) => rows.iter().collect(),
        row => vec![row],
    };
    let mut columns: Vec<(String, Vec<Value>)> = Vec::new();
    for (i, row) in rows.iter().enumerate() {
        let mut fields = Vec::new();
        flatten("", row, &mut fields);
        for (name, value) in fields {
            let index = columns.iter().position(|column| column.0 == name).unwrap_or_else(|| {
                columns.push((name, Vec::new()));
                columns.len() - 1
            });
            columns[index].1.resize(i, Value::Null);
            columns[index].1.push(value);
        }
    }
    for column in &mut columns {
        column.1.resize(rows.len(), Value::Null);
    }
    Columns::new(columns)
}

fn flatten(prefix: &str, json: &serde_json::Value, fields: &mut Vec<(String, Value)>) {
    match json {
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}_{key}") };
                flatten(&name, value, fields);
            }
        }
        serde_json::Value::Array(_) => {}
        value if !prefix.is_empty() => fields.push((prefix.into(), Value::from(value))),
        _ => {}
    }
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

    fn read(text: &str) -> Columns {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table");
        std::fs::write(&path, text).unwrap();
        load(&path, None).unwrap()
    }
    #[test]
    fn csv_fields_may_be_quoted() {
        let table = read("a,b,\"c,d\"\r\n1,\"x \"\"y\"\"\nz\",\r\n2,w,0.5\n");
        assert_eq!(table.names(), ["a", "b", "c,d"]);
        assert_eq!(table.values("b", "t").unwrap()[0], Value::Text("x \"y\"\nz".into()));
        assert_eq!(table.values("c,d", "t").unwrap(), [Value::Null, Value::Number(0.5)]);
        let error = |text: &str| csv_table(text).unwrap_err();
        assert_eq!(error("a\n\"open"), (2, "a quoted field is not closed".into()));
        assert_eq!(error("a,b\n\n1,2\n3,\"open\n\n"), (4, "a quoted field is not closed".into()));
        assert_eq!(error("a,b\n\n\"x\ny\",2\n\n\n1\n"), (7, "1 fields where the header has 2".into()));
        assert_eq!(error("\n\r\n"), (1, "the table is empty".into()));
    }

    #[test]
    fn json_objects_are_rows() {
        let table = read(r#"[{"a": 1, "b": {"c": "x"}}, {"a": 2.5, "list": [1]}]"#);
        assert_eq!(table.names(), ["a", "b_c"]);
        assert_eq!(table.values("a", "t").unwrap(), [Value::Number(1.0), Value::Number(2.5)]);
        assert_eq!(table.values("b_c", "t").unwrap(), [Value::Text("x".into()), Value::Null]);
    }
}
