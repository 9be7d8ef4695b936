//! Figures and tables: files that a text includes.

use crate::kind::context::Item;
use crate::kind::stage::StageError;
use crate::values::document::{Document, File, Source};
use std::fs;
use std::path::Path;

/// An input that LaTeX cannot include.
#[derive(Debug, thiserror::Error)]
pub enum PartError {
    #[error("input `{name}` is an SVG, which LaTeX cannot include; give the PDF: `{name}: {}.pdf`", stage(.from))]
    Svg { name: String, from: String },
    #[error(
        "input `{name}` is neither a figure (PDF, PNG, JPEG) nor a table of LaTeX; of a `table` give `{}.latex`",
        stage(.from)
    )]
    Unknown { name: String, from: String },
    #[error("input `{name}` is a folder; give a figure or a table")]
    Folder { name: String },
}

/// What a file is to LaTeX.
enum Form {
    Figure(&'static str),
    Table { floats: bool },
}

/// Copies the artifacts of an input into the folder, and notes them. Several of one input are called after their instances.
pub fn add(name: &str, items: &[Item], folder: &Path, document: &mut Document) -> Result<(), StageError> {
    for (at, item) in items.iter().enumerate() {
        let (own, file) = match items {
            [_] => (name.to_owned(), name.to_owned()),
            _ => (format!("{name}[{}]", labels(item)), format!("{name}-{}", at + 1)),
        };
        let form = form(item, name)?;
        let extension = match form {
            Form::Figure(extension) => extension,
            Form::Table { .. } => "tex",
        };
        let file = format!("{file}.{extension}");
        fs::copy(&item.path, folder.join(&file))?;
        let source = document.source(&Source::of(std::slice::from_ref(item), &item.name)?);
        let floats = matches!(form, Form::Table { floats: true });
        let entry = File { file: format!("files/{file}"), source, floats };
        match form {
            Form::Figure(_) => document.figures.insert(own, entry),
            Form::Table { .. } => document.tables.insert(own, entry),
        };
    }
    Ok(())
}

/// A file is known by its content: results have no names of their own.
fn form(item: &Item, name: &str) -> Result<Form, StageError> {
    if item.path.is_dir() {
        return Err(PartError::Folder { name: name.to_owned() }.into());
    }
    let bytes = fs::read(&item.path)?;
    let magic: [(&[u8], &str); 3] = [(b"%PDF", "pdf"), (b"\x89PNG", "png"), (b"\xff\xd8\xff", "jpg")];
    if let Some((_, extension)) = magic.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Ok(Form::Figure(extension));
    }
    let from = item.name.clone();
    match std::str::from_utf8(&bytes) {
        Ok(text) if text.contains("\\begin{tab") || text.contains("\\begin{longtable}") => {
            Ok(Form::Table { floats: text.contains("\\begin{table}") })
        }
        Ok(text) if text.contains("<svg") => Err(PartError::Svg { name: name.to_owned(), from }.into()),
        _ => Err(PartError::Unknown { name: name.to_owned(), from }.into()),
    }
}

fn labels(item: &Item) -> String {
    let label = |(axis, value): &(String, serde_json::Value)| {
        format!("{axis}={}", onsager_tables::value::Value::from(value))
    };
    item.labels.iter().map(label).collect::<Vec<_>>().join(",")
}

fn stage(from: &str) -> &str {
    from.split_once('.').map_or(from, |(stage, _)| stage)
}
