//! What arXiv takes: the text as it is, with everything that it reads, and nothing else.

use crate::paper::document::Document;
use crate::paper::figures;
use crate::paper::results::{Results, Values};
use crate::store::files::StoreError;
use crate::store::objects::Content;
use flate2::{Compression, GzBuilder};
use onsager_tables::names::did_you_mean;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};

/// What arXiv reads of how the text is built.
const README: &str = "00README.json";
/// What LaTeX finds beside the text of what a document loads.
const LOADED: [(&str, &str); 4] = [
    ("usepackage", "sty"),
    ("RequirePackage", "sty"),
    ("documentclass", "cls"),
    ("bibliographystyle", "bst"),
];

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
pub enum TarballError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{place}: there is no {kind} `{name}` in the run{}", .help.as_ref().map_or(String::new(), |help| format!("; {help}")))]
    Unknown { place: String, kind: &'static str, name: String, help: Option<String> },
    #[error("{place}: `{path}` lies outside of the paper's folder; move it there")]
    Outside { place: String, path: String },
    #[error("{place}: there is no figure `{name}`")]
    NoFigure { place: String, name: String },
    #[error(
        "{place}: the references are made by BibTeX, and there is no `{bbl}`: build the text once where it lies, or give \
         the stage that builds it the output `bbl`"
    )]
    NoReferences { place: String, bbl: String },
    #[error("two stages of the kind `values` give the paper numbers; an archive can hold those of one")]
    SeveralValues,
    #[error("cannot read `{}`: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{0} is in the archive twice, with other contents")]
    Twice(String),
    #[error("cannot write the archive: {0}")]
    Write(#[from] io::Error),
}

/// The files of the archive, by their paths in it.
#[derive(Debug, Default)]
pub struct Files(pub BTreeMap<String, Vec<u8>>);

/// Collects what the document reads.
pub fn collect(document: &Document, results: &Results) -> Result<Files, TarballError> {
    let mut files = Files::default();
    let mut takes_values = false;
    for source in &document.sources {
        files.take(document, &source.path, &source.included)?;
        for figure in figures::figures(document, source) {
            let place = source.at(figure.at);
            let none = || TarballError::NoFigure { place: place.clone(), name: figure.name.clone() };
            let path = figure.path.clone().ok_or_else(none)?;
            files.take(document, &path, &place)?;
        }
        for call in &source.calls {
            let Some((name, at)) = source.argument(call) else { continue };
            let table = match call.name.as_str() {
                "onsagerfigure" => false,
                "onsagertable" => true,
                other => {
                    for (_, ending) in LOADED.iter().filter(|(command, _)| *command == other) {
                        for name in name.split(',').map(str::trim) {
                            takes_values |= name == "onsager" || name.ends_with("/onsager");
                            loaded(document, name, ending, &source.at(at), &mut files)?;
                        }
                    }
                    if matches!(other, "bibliography" | "printbibliography") {
                        references(document, results, &source.at(at), &mut files)?;
                    }
                    continue;
                }
            };
            let (values, file) = results.file(name, table).ok_or_else(|| {
                let names = results.values.iter().flat_map(|values| {
                    let files = if table { &values.document.tables } else { &values.document.figures };
                    files.keys().map(String::as_str)
                });
                let kind = if table { "table" } else { "figure" };
                let help = did_you_mean(name, names, "there are");
                TarballError::Unknown { place: source.at(at), kind, name: name.to_owned(), help }
            })?;
            let none = || TarballError::NoFigure { place: source.at(at), name: name.to_owned() };
            let content = values.file(&file.file)?.ok_or_else(none)?;
            files.add(&file.file, object(results, &content)?)?;
        }
    }
    if takes_values {
        let [Values { tex, style, .. }] = results.values.as_slice() else {
            return Err(TarballError::SeveralValues);
        };
        files.0.insert("onsager.sty".to_owned(), object(results, style)?);
        files.0.insert("values.tex".to_owned(), object(results, tex)?);
    }
    let main = document.sources.first().map(|source| slashed(&source.path)).unwrap_or_default();
    let readme = serde_json::json!({
        "process": {"compiler": "pdflatex"},
        "sources": [{"filename": main, "usage": "toplevel"}],
    });
    files.0.insert(README.to_owned(), format!("{readme:#}\n").into_bytes());
    Ok(files)
}

/// Writes the archive: the same bytes for the same files.
pub fn write(files: &Files, target: &mut dyn Write) -> io::Result<()> {
    let packed = GzBuilder::new().mtime(0).write(target, Compression::best());
    let mut archive = tar::Builder::new(packed);
    archive.mode(tar::HeaderMode::Deterministic);
    for (name, bytes) in &files.0 {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        archive.append_data(&mut header, name, bytes.as_slice())?;
    }
    archive.into_inner()?.finish()?.flush()
}

impl Files {
    /// Takes a file of the document's folder.
    fn take(&mut self, document: &Document, path: &Path, place: &str) -> Result<(), TarballError> {
        if !path.components().all(|part| matches!(part, Component::Normal(_))) {
            let path = path.display().to_string();
            return Err(TarballError::Outside { place: place.to_owned(), path });
        }
        self.add(&slashed(path), read(&document.folder.join(path))?)
    }

    fn add(&mut self, name: &str, bytes: Vec<u8>) -> Result<(), TarballError> {
        match self.0.insert(name.to_owned(), bytes) {
            Some(before) if self.0.get(name) != Some(&before) => Err(TarballError::Twice(name.to_owned())),
            _ => Ok(()),
        }
    }
}

/// A package, class or style that lies beside the text.
fn loaded(
    document: &Document,
    name: &str,
    ending: &str,
    place: &str,
    files: &mut Files,
) -> Result<(), TarballError> {
    // The run's own comes from the run.
    if name == "onsager" || name.ends_with("/onsager") {
        return Ok(());
    }
    if let Some(path) = document.find(name, &[&format!(".{ending}")]) {
        files.take(document, &path, place)?;
    }
    Ok(())
}

/// The references as BibTeX made them.
fn references(
    document: &Document,
    results: &Results,
    place: &str,
    files: &mut Files,
) -> Result<(), TarballError> {
    let Some(main) = document.sources.first() else { return Ok(()) };
    let bbl = main.path.with_extension("bbl");
    let beside = document.folder.join(&bbl);
    let bytes = match (&results.references, beside.is_file()) {
        (Some(content), _) => object(results, content)?,
        (None, true) => read(&beside)?,
        (None, false) => {
            let bbl = beside.display().to_string();
            return Err(TarballError::NoReferences { place: place.to_owned(), bbl });
        }
    };
    files.0.insert(slashed(&bbl), bytes);
    Ok(())
}

fn object(results: &Results, content: &Content) -> Result<Vec<u8>, TarballError> {
    read(&results.store.objects().checked_file(&content.digest)?)
}

fn read(path: &Path) -> Result<Vec<u8>, TarballError> {
    fs::read(path).map_err(|source| TarballError::Read { path: path.to_owned(), source })
}

fn slashed(path: &Path) -> String {
    path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}
