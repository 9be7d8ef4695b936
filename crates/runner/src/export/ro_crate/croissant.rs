//! `croissant.json`: the data sets that a pipeline publishes, in the format of MLCommons, which loaders of data sets read.

use crate::export::ro_crate::entities::encoded;
use crate::export::ro_crate::layout::{Held, Result};
use crate::export::ro_crate::media;
use crate::export::ro_crate::told::Told;
use crate::store::Store;
use onsager_tables::columns::Columns;
use onsager_tables::read::{self, Parquet};
use onsager_tables::value::Value as Cell;
use serde_json::{Map, Value, json};

/// The name of the file.
pub const NAME: &str = "croissant.json";
/// What it is.
pub const WORDS: &str = "The data sets in it, for loaders of data sets (Croissant)";
const VERSION: &str = "http://mlcommons.org/croissant/1.0";
/// The columns of larger tables are not told.
const TABLE: u64 = 1 << 28;

/// The document; none where the pipeline publishes nothing.
pub fn document(told: &Told, store: &Store, parquet: Option<&dyn Parquet>) -> Option<Value> {
    let published: Vec<(&Result, &str)> = told
        .results
        .iter()
        .filter_map(|result| {
            let publish = &told.description.stage(&result.stage)?.publish;
            let (_, words) = publish.iter().find(|(output, _)| *output == result.output)?;
            Some((result, words.as_str()))
        })
        .collect();
    if published.is_empty() || !told.objects {
        return None;
    }
    let (mut distribution, mut records) = (Vec::new(), Vec::new());
    for (result, words) in published {
        for file in &result.files {
            let id = encoded(&file.path);
            distribution.push(json!({
                "@type": "cr:FileObject",
                "@id": id,
                "name": id,
                "description": words,
                "contentUrl": id,
                "contentSize": format!("{} B", file.size),
                "encodingFormat": format(&file.path),
                "sha256": file.digest.to_string(),
            }));
            if let Some(columns) = columns(file, store, parquet) {
                records.push(record_set(&id, words, columns));
            }
        }
    }
    let about = &told.description.about;
    let creators: Vec<Value> = about
        .authors
        .iter()
        .map(|author| {
            let kind = if author.is_group() { "sc:Organization" } else { "sc:Person" };
            json!({"@type": kind, "name": author.full_name()})
        })
        .collect();
    let licenses: Vec<String> =
        about.licenses().iter().map(|id| format!("https://spdx.org/licenses/{id}")).collect();
    let mut document = Map::new();
    let mut put = |field: &str, value: Value| _ = document.insert(field.to_owned(), value);
    put("@context", context());
    put("@type", json!("sc:Dataset"));
    put("conformsTo", json!(VERSION));
    put("name", json!(told.account.pipeline));
    put("alternateName", json!(told.title()));
    put("description", json!(told.words()));
    put("datePublished", json!(told.ended().strftime("%Y-%m-%d").to_string()));
    put("version", json!("1.0.0"));
    match &licenses[..] {
        [] => {}
        [one] => put("license", json!(one)),
        several => put("license", json!(several)),
    }
    if !creators.is_empty() {
        put("creator", json!(creators));
        put("citeAs", json!(bibtex(told)));
    }
    put("distribution", json!(distribution));
    put("recordSet", json!(records));
    Some(Value::Object(document))
}

/// The data sets as an entry of a bibliography.
fn bibtex(told: &Told) -> String {
    let names = told.description.about.authors.iter().map(|author| {
        let (given, family) = author.names();
        if given.is_empty() { format!("{{{family}}}") } else { format!("{family}, {given}") }
    });
    let (names, year) = (names.collect::<Vec<_>>().join(" and "), told.ended().strftime("%Y"));
    format!(
        "@misc{{{}, title={{{}}}, author={{{names}}}, year={{{year}}}}}",
        told.account.pipeline,
        told.title()
    )
}

/// As loaders call it.
fn format(path: &str) -> &'static str {
    match media::of(path) {
        Some("application/vnd.apache.parquet") => "application/x-parquet",
        media => media.unwrap_or("application/octet-stream"),
    }
}

/// The columns of a table, in a file that tells by its name that it is one.
fn columns(file: &Held, store: &Store, parquet: Option<&dyn Parquet>) -> Option<Columns> {
    let table = ["text/csv", "application/x-parquet"].contains(&format(&file.path));
    if !table || file.size > TABLE {
        return None;
    }
    let path = store.objects().checked_file(&file.digest).ok()?;
    // A build may lack the reader of Parquet, and what ends in `.csv` may be something else.
    read::load(&path, parquet).ok()
}

fn record_set(file: &str, words: &str, columns: Columns) -> Value {
    let set = format!("{file}#records");
    let fields: Vec<Value> = columns
        .into_inner()
        .into_iter()
        .map(|(column, values)| {
            json!({
                "@type": "cr:Field",
                "@id": format!("{set}/{}", encoded(&column)),
                "name": column,
                "description": format!("The column `{column}`."),
                "dataType": kind(&values),
                "source": {"fileObject": {"@id": file}, "extract": {"column": column}},
            })
        })
        .collect();
    json!({"@type": "cr:RecordSet", "@id": set, "name": set, "description": words, "field": fields})
}

/// The type of a column: that of its first value, for all are of one.
fn kind(values: &[Cell]) -> &'static str {
    match values.iter().find(|value| **value != Cell::Null) {
        Some(Cell::Bool(_)) => "sc:Boolean",
        Some(Cell::Integer(_)) => "sc:Integer",
        Some(Cell::Number(_)) => "sc:Float",
        Some(Cell::Text(_) | Cell::Null) | None => "sc:Text",
    }
}

/// The context that the format asks for.
fn context() -> Value {
    let mut context = json!({
        "@language": "en",
        "@vocab": "https://schema.org/",
        "cr": "http://mlcommons.org/croissant/",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "dct": "http://purl.org/dc/terms/",
        "sc": "https://schema.org/",
        "conformsTo": "dct:conformsTo",
        "data": {"@id": "cr:data", "@type": "@json"},
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        "examples": {"@id": "cr:examples", "@type": "@json"},
    });
    for term in [
        "citeAs",
        "column",
        "equivalentProperty",
        "extract",
        "field",
        "fileProperty",
        "fileObject",
        "fileSet",
        "format",
        "includes",
        "isLiveDataset",
        "jsonPath",
        "key",
        "md5",
        "parentField",
        "path",
        "recordSet",
        "references",
        "regex",
        "repeated",
        "replace",
        "samplingRate",
        "separator",
        "source",
        "subField",
        "transform",
    ] {
        context[term] = json!(format!("cr:{term}"));
    }
    context
}
