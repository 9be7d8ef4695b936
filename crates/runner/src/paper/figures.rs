//! Figures of a paper that no run made.

use crate::paper::document::{Document, Source};
use crate::paper::scan::Call;
use crate::store::digest::Digest;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// What graphicx looks for where the ending is left out.
const ENDINGS: [&str; 6] = ["", ".pdf", ".png", ".jpg", ".jpeg", ".eps"];

/// A figure of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// Where its name stands.
    pub at: usize,
    pub name: String,
    /// From the document's folder; none where there is no such file.
    pub path: Option<PathBuf>,
}

/// The figures of a file.
pub fn figures(document: &Document, source: &Source) -> Vec<Figure> {
    let graphics = source.calls.iter().filter(|call| call.name == "includegraphics");
    graphics.filter_map(|call| figure(document, source, call)).collect()
}

fn figure(document: &Document, source: &Source, call: &Call) -> Option<Figure> {
    let (name, at) = source.argument(call)?;
    // A name that is put together is not known.
    if name.contains('\\') || name.contains('#') {
        return None;
    }
    let folders = folders(document);
    let path = folders.iter().find_map(|folder| document.find(&format!("{folder}{name}"), &ENDINGS));
    Some(Figure { at, name: name.to_owned(), path })
}

/// Where graphicx looks: beside the document, and in what `\graphicspath{{figures/}}` says.
fn folders(document: &Document) -> Vec<String> {
    let mut folders = vec![String::new()];
    for source in &document.sources {
        for call in source.calls.iter().filter(|call| call.name == "graphicspath") {
            let Some((inside, _)) = source.argument(call) else { continue };
            folders.extend(
                inside.split(['{', '}']).map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned),
            );
        }
    }
    folders
}

/// Whether a file of the document is one that the run made.
pub fn is_made(document: &Document, path: &Path, made: &HashSet<Digest>) -> bool {
    Digest::of_file(&document.folder.join(path)).is_ok_and(|(digest, _)| made.contains(&digest))
}
