//! Reading tables from Parquet, CSV and JSON files.

use super::error::ReportError;
use super::frame::{self, Value};
use polars::frame::DataFrame;
use polars::prelude::{ParquetReader, SerReader};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Reads a table from a Parquet file, a JSON file or a CSV file with a header line (RFC 4180), known by its content.
///
/// In JSON an object is a row and an array of objects is a table; `{"a": {"b": 1}}` has the column `a_b`.
pub fn load(path: &Path) -> Result<DataFrame, ReportError> {
    let read = |source| ReportError::Read { path: path.into(), source };
    let mut file = File::open(path).map_err(read)?;
    let mut magic = Vec::new();
    file.by_ref().take(4).read_to_end(&mut magic).map_err(read)?;
    if magic == b"PAR1" {
        let file = File::open(path).map_err(read)?;
        return ParquetReader::new(file)
            .finish()
            .map_err(|source| ReportError::Table { path: path.into(), source });
    }
    let mut text = String::from_utf8_lossy(&magic).into_owned();
    file.read_to_string(&mut text).map_err(read)?;
    if text.trim_start().starts_with(['{', '[']) {
        let json: serde_json::Value = serde_json::from_str(&text)
            .map_err(|error| ReportError::Json { path: path.into(), message: error.to_string() })?;
        return json_table(&json);
    }
    let records = csv_records(&text).map_err(|(line, message)| ReportError::Csv {
        path: path.into(),
        line,
        message: message.into(),
    })?;
    let mut rows = records.into_iter();
    let Some((_, header)) = rows.next() else {
        return Err(ReportError::Csv { path: path.into(), line: 1, message: "the table is empty".into() });
    };
    let mut columns: Vec<(String, Vec<Value>)> = header.into_iter().map(|name| (name, Vec::new())).collect();
    for (line, row) in rows {
        if row.len() != columns.len() {
            let message = format!("{} fields where the header has {}", row.len(), columns.len());
            return Err(ReportError::Csv { path: path.into(), line, message });
        }
        for (field, column) in row.into_iter().zip(&mut columns) {
            column.1.push(typed(field));
        }
    }
    frame::from_columns(columns)
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
fn json_table(json: &serde_json::Value) -> Result<DataFrame, ReportError> {
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
    frame::from_columns(columns)
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

#[cfg(test)]
mod tests {
    use super::super::frame::tests::csv;
    use super::super::frame::{names, values};
    use super::*;

    #[test]
    fn csv_fields_may_be_quoted() {
        let frame = csv("a,b,\"c,d\"\r\n1,\"x \"\"y\"\"\nz\",\r\n2,w,0.5\n");
        assert_eq!(names(&frame), ["a", "b", "c,d"]);
        assert_eq!(values(&frame, "b", "t").unwrap()[0], Value::Text("x \"y\"\nz".into()));
        assert_eq!(values(&frame, "c,d", "t").unwrap(), [Value::Null, Value::Number(0.5)]);
        let error = csv_records("a\n\"open").unwrap_err();
        assert_eq!(error, (2, "a quoted field is not closed"));
    }

    #[test]
    fn json_objects_are_rows() {
        let frame = csv(r#"[{"a": 1, "b": {"c": "x"}}, {"a": 2.5, "list": [1]}]"#);
        assert_eq!(names(&frame), ["a", "b_c"]);
        assert_eq!(values(&frame, "a", "t").unwrap(), [Value::Number(1.0), Value::Number(2.5)]);
        assert_eq!(values(&frame, "b_c", "t").unwrap(), [Value::Text("x".into()), Value::Null]);
    }
}
