//! What a stage fans out over: the files of a folder, or the rows of a table, that another stage makes.
//!
//! ```yaml
//! matrix:
//!   part: {from: split.parts}                    # a folder: `${matrix.part}` is a file's path in it
//!   case: {from: design.table, name: id}         # a table: `${matrix.case.id}` and the other columns
//! ```
//! While they are not known the stage stands in the graph once, with `*` in the place of the items.

use crate::pipeline::expand::instance::{Coordinate, LONGEST, normal, plain, unfit};
use crate::store::digest::{Digest, Encoder};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::sync::Arc;

/// The items of the outputs that are known.
#[derive(Debug, Clone, Default)]
pub struct Known(BTreeMap<(String, String), (Digest, Arc<Items>)>);

/// The items of an output.
#[derive(Debug, Clone, PartialEq)]
pub enum Items {
    /// The files of a folder, by their paths in it.
    Files(Vec<String>),
    /// The rows of a table: mappings, or single values.
    Rows(Vec<Value>),
}

/// Why a stage cannot fan out over these items.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ItemError {
    #[error("two items are called `{name}`")]
    Twice { name: String },
    #[error("row {row} has no `{column}` to be called by")]
    NoColumn { row: usize, column: String },
    #[error("row {row} cannot be called by its `{column}`, which is {value}")]
    NoName { row: usize, column: String, value: String },
    #[error("row {row} is neither a row nor a single value")]
    NoRow { row: usize },
    #[error("a file has no columns to be called by")]
    Files,
}

impl Known {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The items of a task's output.
    pub fn get(&self, task: &str, output: &str) -> Option<&Arc<Items>> {
        self.0.get(&(task.to_owned(), output.to_owned())).map(|(_, items)| items)
    }

    /// Adds the items that an output of this content has.
    pub fn insert(&mut self, task: &str, output: &str, content: Digest, items: Arc<Items>) {
        self.0.insert((task.to_owned(), output.to_owned()), (content, items));
    }

    /// Those of the tasks whose names begin so, without that beginning.
    pub fn below(&self, prefix: &str) -> Known {
        let own = |((task, output), known): (&(String, String), &(Digest, Arc<Items>))| {
            Some(((task.strip_prefix(prefix)?.to_owned(), output.clone()), known.clone()))
        };
        Known(self.0.iter().filter_map(own).collect())
    }

    /// What tells it from any other.
    pub fn digest(&self) -> Digest {
        let mut encoder = Encoder::new("onsager items 1");
        for ((task, output), (content, _)) in &self.0 {
            encoder.field(b'T', task.as_bytes());
            encoder.field(b'O', output.as_bytes());
            encoder.field(b'C', &content.0);
        }
        encoder.finish()
    }
}

/// The coordinates of an axis over these items; `column` is what rows are called by, else the column `name` or the first one.
pub fn coordinates(
    items: &Items,
    axis: &Rc<str>,
    column: Option<&str>,
) -> Result<Vec<Rc<Coordinate>>, ItemError> {
    let mut found: Vec<Rc<Coordinate>> = Vec::new();
    let mut seen = HashMap::new();
    let mut add = |value: Value, name: &Value| {
        let written = plain(name).unwrap_or_default();
        // A `%` too, so that no two names become one label.
        let label = match unfit(&written) {
            None if !written.contains('%') => name.clone(),
            _ => Value::String(fit(&written)),
        };
        let text = normal(&plain(&label).unwrap_or_default());
        if seen.insert(text.clone(), ()).is_some() {
            return Err(ItemError::Twice { name: written });
        }
        found.push(Rc::new(Coordinate { axis: axis.clone(), value, label, text, open: false }));
        Ok(())
    };
    match items {
        Items::Files(_) if column.is_some() => return Err(ItemError::Files),
        Items::Files(paths) => {
            for path in paths {
                let path = Value::String(path.clone());
                add(path.clone(), &path)?;
            }
        }
        Items::Rows(rows) => {
            for (at, value) in rows.iter().enumerate() {
                let row = at + 1;
                let name = match value {
                    Value::Object(fields) => {
                        let first = || fields.keys().next().map(String::as_str);
                        let named = fields.contains_key("name").then_some("name");
                        let column = column.or(named).or_else(first).unwrap_or("name");
                        let missing = || ItemError::NoColumn { row, column: column.to_owned() };
                        let name = fields.get(column).ok_or_else(missing)?;
                        if !matches!(name, Value::String(_) | Value::Number(_) | Value::Bool(_)) {
                            let (column, value) = (column.to_owned(), name.to_string());
                            return Err(ItemError::NoName { row, column, value });
                        }
                        name
                    }
                    Value::String(_) | Value::Number(_) | Value::Bool(_) => value,
                    _ => return Err(ItemError::NoRow { row }),
                };
                add(value.clone(), name)?;
            }
        }
    }
    Ok(found)
}

/// A name as a label: what cannot stand in one is written as `%20`, and a long one is cut, its digest at the end.
fn fit(name: &str) -> String {
    let mut label = String::new();
    for (at, c) in name.chars().enumerate() {
        let first_dot = at == 0 && c == '.';
        if first_dot || c == '%' || unfit(c.encode_utf8(&mut [0; 4])).is_some() && c != '.' {
            let mut bytes = [0; 4];
            c.encode_utf8(&mut bytes).bytes().for_each(|byte| label += &format!("%{byte:02X}"));
        } else {
            label.push(c);
        }
    }
    if label.is_empty() {
        label.push('%');
    }
    if label.len() > LONGEST {
        let mut end = LONGEST - 20;
        while !label.is_char_boundary(end) {
            end -= 1;
        }
        label.truncate(end);
        label += &format!("~{}", Digest::of(name.as_bytes()).short());
    }
    label
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn labels(items: &Items, column: Option<&str>) -> Result<Vec<String>, ItemError> {
        let found = coordinates(items, &Rc::from("part"), column)?;
        Ok(found.iter().map(|coordinate| coordinate.text.clone()).collect())
    }

    fn files(paths: &[&str]) -> Items {
        Items::Files(paths.iter().map(|path| (*path).to_owned()).collect())
    }

    #[test]
    fn any_file_name_becomes_a_label_of_its_own() {
        let long = "x".repeat(300);
        let names = ["a.csv", "b c.csv", "deep/[1].csv", ".hidden", "100%", "ü", "x=1,y", "$HOME", &long];
        let labels = labels(&files(&names), None).unwrap();
        let expected =
            ["a.csv", "b%20c.csv", "deep%2F%5B1%5D.csv", "%2Ehidden", "100%25", "ü", "x%3D1%2Cy", "%24HOME"];
        assert_eq!(labels[..8], expected);
        assert!(labels[8].len() <= LONGEST && labels[8].contains('~'), "{}", labels[8]);
        for label in labels {
            assert_eq!(unfit(&label), None, "{label}");
        }
    }

    #[test]
    fn rows_are_called_by_a_column() {
        let rows = Items::Rows(vec![json!({"id": 7, "name": "a"}), json!({"id": 8, "name": "b c"})]);
        assert_eq!(labels(&rows, None).unwrap(), ["a", "b%20c"]);
        assert_eq!(labels(&rows, Some("id")).unwrap(), ["7", "8"]);
        let nothing = ItemError::NoColumn { row: 1, column: "x".into() };
        assert_eq!(labels(&rows, Some("x")), Err(nothing));
        let first = Items::Rows(vec![json!({"alpha": 0.5, "beta": 1})]);
        assert_eq!(labels(&first, None).unwrap(), ["0.5"]);
        assert_eq!(labels(&Items::Rows(vec![json!("x"), json!(2)]), None).unwrap(), ["x", "2"]);
        let twice = Items::Rows(vec![json!("1"), json!(1)]);
        assert_eq!(labels(&twice, None), Err(ItemError::Twice { name: "1".into() }));
        assert_eq!(labels(&Items::Rows(vec![json!([1])]), None), Err(ItemError::NoRow { row: 1 }));
        assert_eq!(labels(&files(&["a"]), Some("id")), Err(ItemError::Files));
    }
}
