//! The rows of a table that stages fan out over.

use onsager_tables::read::{self, Parquet};
use serde_json::{Deserializer, Value};
use std::fs;
use std::path::Path;

/// The rows of a JSON list, of JSON Lines, or of any other table, as mappings of its columns. The text of an error says what is wrong.
pub fn read(path: &Path, parquet: Option<&dyn Parquet>) -> Result<Vec<Value>, String> {
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => return Ok(Vec::new()),
        Some(b'[') => return serde_json::from_slice(&bytes).map_err(|error| error.to_string()),
        Some(b'{') => {
            let lines = Deserializer::from_slice(&bytes).into_iter::<Value>();
            return lines.collect::<Result<_, _>>().map_err(|error| error.to_string());
        }
        Some(_) => {}
    }
    let table = read::load(path, parquet).map_err(|error| error.without_path())?;
    let height = table.height();
    let columns = table.into_inner();
    let row = |at: usize| {
        let fields = columns
            .iter()
            .map(|(name, values)| Ok((name.clone(), values.get(at).map_or(Ok(Value::Null), cell)?)));
        fields.collect::<Result<_, String>>().map(Value::Object)
    };
    (0..height).map(row).collect()
}

/// A cell; a whole number as one, also where the column has others.
fn cell(value: &onsager_tables::value::Value) -> Result<Value, String> {
    use onsager_tables::value::Value as Cell;
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Cell::Number(number) if number.fract() == 0.0 && number.abs() <= EXACT => Ok((*number as i64).into()),
        value => serde_json::to_value(value).map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rows(text: &str) -> Result<Vec<Value>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        read(file.path(), None)
    }

    #[test]
    fn rows_are_read_from_csv_json_and_json_lines() {
        let expected = vec![json!({"id": "a", "n": 1}), json!({"id": "b", "n": 2.5})];
        for text in [
            "id,n\na,1\nb,2.5\n",
            r#"[{"id": "a", "n": 1}, {"id": "b", "n": 2.5}]"#,
            "{\"id\": \"a\", \"n\": 1}\n{\"id\": \"b\", \"n\": 2.5}\n",
        ] {
            assert_eq!(rows(text).unwrap(), expected, "{text}");
        }
        assert_eq!(rows("[1, \"x\"]").unwrap(), [json!(1), json!("x")]);
        assert_eq!(rows("").unwrap(), [json!(null); 0]);
        assert_eq!(rows("id,n\n").unwrap(), [json!(null); 0]);
        assert!(rows("[1, ").is_err());
        assert!(rows("id,n\na\n").is_err());
    }
}
