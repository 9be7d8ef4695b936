//! Tables in JSON: a list of objects, an object of lists, JSON Lines, and the forms that pandas writes.
//!
//! A field of an object in an object has a name with a dot: `{"a": {"b": 1}}` has the column `a.b`. `NaN`, `Infinity` and
//! `-Infinity` are no JSON, but Python and others write them; they are read.

use crate::columns::Columns;
use crate::value::{NOT_FINITE, Value};
use serde_json::{Map, Value as Json};
use std::borrow::Cow;

/// A JSON text. Numbers that are not finite become texts that [`Value`] knows.
pub fn parse(text: &str) -> Result<Json, String> {
    serde_json::from_str(&finite(text)).map_err(|error| error.to_string())
}

/// The table of a JSON text, or what is wrong.
pub fn table(text: &str) -> Result<Columns, String> {
    let text = finite(text);
    let values = serde_json::Deserializer::from_str(&text).into_iter::<Json>();
    let mut values = values.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    match values.len() {
        1 => of(&values.swap_remove(0)),
        // JSON Lines.
        _ => rows(&values),
    }
}

/// The text with the numbers that JSON lacks as texts.
fn finite(text: &str) -> Cow<'_, str> {
    if !NOT_FINITE.iter().any(|(name, ..)| text.contains(name)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 64);
    let (mut rest, mut quoted) = (text, false);
    while let Some(c) = rest.chars().next() {
        let word = NOT_FINITE.iter().find(|(name, ..)| !quoted && rest.starts_with(name));
        let length = match (word, c) {
            (Some((name, mark, _)), _) => {
                out.extend(["\"", mark, "\""]);
                name.len()
            }
            // What is escaped ends no text.
            (None, '\\') if quoted => {
                let length = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
                out.push_str(&rest[..length]);
                length
            }
            (None, c) => {
                quoted ^= c == '"';
                out.push(c);
                c.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    Cow::Owned(out)
}

fn of(json: &Json) -> Result<Columns, String> {
    let fields = match json {
        Json::Array(items) => return rows(items),
        Json::Object(fields) => fields,
        _ => return Err("a single value is no table; write a list of objects".into()),
    };
    if let Some(found) = pandas(fields) {
        return found;
    }
    let lists = fields.iter().filter_map(|(name, value)| Some((name, value.as_array()?)));
    let lists: Vec<(&String, &Vec<Json>)> = lists.collect();
    if !lists.is_empty() && lists.len() == fields.len() {
        return columns(&lists);
    }
    rows(std::slice::from_ref(json))
}

/// The forms of pandas' `to_json` that are neither rows nor columns as others write them.
fn pandas(fields: &Map<String, Json>) -> Option<Result<Columns, String>> {
    let list = |name: &str| fields.get(name).and_then(Json::as_array);
    // `orient="table"`.
    if let (Some(Json::Object(_)), Some(data), 2) = (fields.get("schema"), list("data"), fields.len()) {
        return Some(rows(data));
    }
    // `orient="split"`.
    if let (Some(names), Some(data)) = (list("columns"), list("data"))
        && fields.keys().all(|key| ["columns", "data", "index"].contains(&key.as_str()))
        && let Some(names) = names.iter().map(Json::as_str).collect::<Option<Vec<_>>>()
        && let Some(data) = data.iter().map(Json::as_array).collect::<Option<Vec<_>>>()
    {
        let fits = data.iter().all(|row| row.len() == names.len());
        let column = |at: usize| data.iter().map(|row| Value::from(&row[at])).collect();
        let named = || names.iter().enumerate().map(|(at, name)| ((*name).to_owned(), column(at)));
        return Some(if fits {
            Ok(Columns::new(named().collect()))
        } else {
            Err("a row has more or fewer fields than `columns`".into())
        });
    }
    let objects: Vec<&Map<String, Json>> = fields.values().map(Json::as_object).collect::<Option<_>>()?;
    let counted = |keys: &Map<String, Json>| {
        !keys.is_empty() && keys.keys().enumerate().all(|(at, key)| *key == at.to_string())
    };
    if objects.is_empty() {
        None
    } else if counted(fields) {
        // `orient="index"`.
        Some(rows(&fields.values().cloned().collect::<Vec<_>>()))
    } else if objects.iter().all(|object| counted(object) && object.len() == objects[0].len()) {
        // `orient="columns"`, which is what it writes unless told otherwise.
        let column = |object: &Map<String, Json>| object.values().map(Value::from).collect();
        let columns = fields.keys().zip(objects).map(|(name, object)| (name.clone(), column(object)));
        Some(Ok(Columns::new(columns.collect())))
    } else {
        None
    }
}

/// A column for each list.
fn columns(lists: &[(&String, &Vec<Json>)]) -> Result<Columns, String> {
    let (first, length) = (lists[0].0, lists[0].1.len());
    let mut columns = Vec::with_capacity(lists.len());
    for (name, items) in lists {
        if items.len() != length {
            return Err(format!("`{first}` has {length} values, but `{name}` has {}", items.len()));
        }
        if items.iter().any(|item| item.is_object() || item.is_array()) {
            return Err(format!("`{name}` is a list of lists or objects, where single values are needed"));
        }
        columns.push(((*name).clone(), items.iter().map(Value::from).collect()));
    }
    Ok(Columns::new(columns))
}

/// A row for each object, a column for each field that is no list.
fn rows(items: &[Json]) -> Result<Columns, String> {
    let mut columns: Vec<(String, Vec<Value>)> = Vec::new();
    for (i, row) in items.iter().enumerate() {
        if !row.is_object() {
            let what = match row {
                Json::Array(_) => "a list",
                _ => "a single value",
            };
            return Err(format!(
                "row {} is {what}, where an object is needed, which names the columns",
                i + 1
            ));
        }
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
    if columns.is_empty() {
        return Err("there is no row with a single value in it; write a list of objects".into());
    }
    for column in &mut columns {
        column.1.resize(items.len(), Value::Null);
    }
    Ok(Columns::new(columns))
}

fn flatten(prefix: &str, json: &Json, fields: &mut Vec<(String, Value)>) {
    match json {
        Json::Object(map) => {
            for (key, value) in map {
                let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
                flatten(&name, value, fields);
            }
        }
        Json::Array(_) => {}
        value => fields.push((prefix.into(), Value::from(value))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(text: &str, name: &str) -> Vec<String> {
        let table = table(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        table.values(name, "t").unwrap().iter().map(Value::to_string).collect()
    }

    #[test]
    fn objects_are_rows() {
        let table = table(r#"[{"a": 1, "b": {"c": "x"}}, {"a": 2.5, "list": [1]}]"#).unwrap();
        assert_eq!(table.names(), ["a", "b.c"]);
        assert_eq!(table.values("a", "t").unwrap(), [Value::Number(1.0), Value::Number(2.5)]);
        assert_eq!(table.values("b.c", "t").unwrap(), [Value::Text("x".into()), Value::Null]);
        assert_eq!(table.numbers("2*a", "t").unwrap(), [Some(2.0), Some(5.0)]);
    }

    #[test]
    fn lists_are_columns() {
        assert_eq!(column(r#"{"a": [1, 2, null], "b": [0.5, NaN, 3]}"#, "a"), ["1", "2", ""]);
        let error = |text: &str| table(text).unwrap_err();
        assert_eq!(error(r#"{"a": [1, 2], "b": [1]}"#), "`a` has 2 values, but `b` has 1");
        assert!(error(r#"{"rows": [{"a": 1}]}"#).starts_with("`rows` is a list of lists or objects"));
        assert!(error("[]").starts_with("there is no row"));
        assert!(error("[1, 2]").starts_with("row 1 is a single value"));
        assert!(error("[[1, 2]]").starts_with("row 1 is a list"));
        assert!(error("{\"a\": 1").contains("line 1 column 7"));
    }

    #[test]
    fn the_forms_of_pandas() {
        for text in [
            r#"{"cat":{"0":"a","1":"b"},"x":{"0":1.5,"1":null}}"#,
            r#"{"columns":["cat","x"],"index":[0,1],"data":[["a",1.5],["b",null]]}"#,
            r#"{"schema":{"fields":[]},"data":[{"index":0,"cat":"a","x":1.5},{"index":1,"cat":"b","x":null}]}"#,
            r#"{"0":{"cat":"a","x":1.5},"1":{"cat":"b","x":null}}"#,
            r#"[{"cat":"a","x":1.5},{"cat":"b","x":null}]"#,
            "{\"cat\":\"a\",\"x\":1.5}\n{\"cat\":\"b\",\"x\":null}\n",
        ] {
            assert_eq!(
                (column(text, "cat"), column(text, "x")),
                (vec!["a".into(), "b".into()], vec!["1.5".into(), String::new()]),
                "{text}"
            );
        }
        // Objects whose fields are named are one row.
        assert_eq!(column(r#"{"train": {"loss": 1}, "test": {"loss": 2}}"#, "test.loss"), ["2"]);
    }

    #[test]
    fn numbers_that_are_not_finite_are_read() {
        let text = r#"{"a": NaN, "b": -Infinity, "c": "NaN \" NaN", "d": [Infinity]}"#;
        assert_eq!((column(text, "a"), column(text, "b")), (vec!["NaN".into()], vec!["-inf".into()]));
        assert_eq!(column(text, "c"), ["NaN \" NaN"]);
        assert_eq!(Value::from(&parse("NaN").unwrap()).to_string(), "NaN");
    }
}
