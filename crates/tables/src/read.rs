//! Reading tables from CSV and JSON files.

use crate::columns::Columns;
use crate::error::TableError;
use crate::value::Value;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Reads a table from a JSON file or a CSV file with a header line (RFC 4180), known by its content; a Parquet file by `parquet`.
///
/// In JSON an object is a row and an array of objects is a table; `{"a": {"b": 1}}` has the column `a_b`.
pub fn load(path: &Path, parquet: Option<&dyn Parquet>) -> Result<Columns, TableError> {
    let read = |source| TableError::Read { path: path.into(), source };
    let mut file = File::open(path).map_err(read)?;
    let mut magic = Vec::new();
    file.by_ref().take(4).read_to_end(&mut magic).map_err(read)?;
    if magic == b"PAR1" {
        return match parquet {
            Some(parquet) => parquet.read(path),
            None => Err(TableError::NoParquet { path: path.into() }),
        };
    }
    let mut text = String::from_utf8_lossy(&magic).into_owned();
    file.read_to_string(&mut text).map_err(read)?;
    if text.trim_start().starts_with(['{', '[']) {
        let json: serde_json::Value = serde_json::from_str(&text)
            .map_err(|error| TableError::Json { path: path.into(), message: error.to_string() })?;
        return Ok(json_table(&json));
    }
    let records = csv_records(&text).map_err(|(line, message)| TableError::Csv {
        path: path.into(),
        line,
        message: message.into(),
    })?;
    let mut rows = records.into_iter();
    let Some((_, header)) = rows.next() else {
        return Err(TableError::Csv { path: path.into(), line: 1, message: "the table is empty".into() });
    };
    let mut columns: Vec<(String, Vec<Value>)> = header.into_iter().map(|name| (name, Vec::new())).collect();
    for (line, row) in rows {
        if row.len() != columns.len() {
            let message = format!("{} fields where the header has {}", row.len(), columns.len());
            return Err(TableError::Csv { path: path.into(), line, message });
        }
        for (field, column) in row.into_iter().zip(&mut columns) {
            column.1.push(typed(field));
        }
    }
    Ok(Columns::new(columns))
}

/// A CSV field as a number where it reads as one.
fn typed(field: String) -> Value {
    if field.is_empty() {
        Value::Null
    } else if let Ok(integer) = field.parse() {
        Value::Integer(integer)
    } else if let Ok(number) = field.parse() {
        Value::Number(number)
    } else {
        match field.as_str() {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            _ => Value::Text(field),
        }
    }
}

/// The records of a CSV text with the lines that they begin on; or the line and what is wrong with it.
fn csv_records(text: &str) -> Result<Vec<(usize, Vec<String>)>, (usize, &'static str)> {
    let mut records = Vec::new();
    let mut chars = text.strip_prefix('\u{feff}').unwrap_or(text).chars().peekable();
    let mut line = 1;
    while chars.peek().is_some() {
        let start = line;
        let mut record = Vec::new();
        loop {
            let mut field = String::new();
            if chars.next_if_eq(&'"').is_some() {
                loop {
                    match chars.next() {
                        None => return Err((start, "a quoted field is not closed")),
                        Some('"') if chars.next_if_eq(&'"').is_some() => field.push('"'),
                        Some('"') => break,
                        Some(c) => {
                            line += usize::from(c == '\n');
                            field.push(c);
                        }
                    }
                }
            }
            while let Some(c) = chars.next_if(|c| !matches!(c, ',' | '\n' | '\r')) {
                field.push(c);
            }
            record.push(field);
            if chars.next_if_eq(&',').is_none() {
                break;
            }
        }
        chars.next_if_eq(&'\r');
        chars.next_if_eq(&'\n');
        line += 1;
        if record != [""] {
            records.push((start, record));
        }
    }
    Ok(records)
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

    fn table(text: &str) -> Columns {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table");
        std::fs::write(&path, text).unwrap();
        load(&path, None).unwrap()
    }
    #[test]
    fn csv_fields_may_be_quoted() {
        let table_ = table("a,b,\"c,d\"\r\n1,\"x \"\"y\"\"\nz\",\r\n2,w,0.5\n");
        assert_eq!(table_.names(), ["a", "b", "c,d"]);
        assert_eq!(table_.values("b", "t").unwrap()[0], Value::Text("x \"y\"\nz".into()));
        assert_eq!(table_.values("c,d", "t").unwrap(), [Value::Null, Value::Number(0.5)]);
        let error = csv_records("a\n\"open").unwrap_err();
        assert_eq!(error, (2, "a quoted field is not closed"));
    }

    #[test]
    fn json_objects_are_rows() {
        let table_ = table(r#"[{"a": 1, "b": {"c": "x"}}, {"a": 2.5, "list": [1]}]"#);
        assert_eq!(table_.names(), ["a", "b_c"]);
        assert_eq!(table_.values("a", "t").unwrap(), [Value::Number(1.0), Value::Number(2.5)]);
        assert_eq!(table_.values("b_c", "t").unwrap(), [Value::Text("x".into()), Value::Null]);
    }
}
