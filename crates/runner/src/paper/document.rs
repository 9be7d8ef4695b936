//! A document with the files that it includes.

use crate::paper::scan::{Call, calls, place, without_comments};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// Why a document cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    #[error("cannot read `{}`: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{place}: there is no file `{name}`")]
    Missing { place: String, name: String },
}

/// One file of a document.
#[derive(Debug)]
pub struct Source {
    /// As it is told: the folder that the user gave, and the path below.
    pub shown: String,
    /// From the document's folder.
    pub path: PathBuf,
    /// Where it is included; empty for the main file.
    pub included: String,
    pub text: String,
    /// The text with blanks for comments.
    pub plain: String,
    pub calls: Vec<Call>,
}

/// A document.
#[derive(Debug)]
pub struct Document {
    /// The folder of the main file, as the user gave it.
    pub folder: PathBuf,
    /// The main file, then what it includes, in the order in which it is read.
    pub sources: Vec<Source>,
}

impl Source {
    /// `file:line:column` of a byte.
    pub fn at(&self, byte: usize) -> String {
        let (line, column) = place(&self.text, byte);
        format!("{}:{line}:{column}", self.shown)
    }

    /// The text of the first argument.
    pub fn argument(&self, call: &Call) -> Option<(&str, usize)> {
        let range = call.arguments.first()?;
        Some((self.text.get(range.clone())?.trim(), range.start))
    }
}

impl Document {
    /// Reads the main file and what it includes. Commands with a name of the user's own are not followed.
    pub fn read(main: &Path) -> Result<Document, DocumentError> {
        let folder = main.parent().unwrap_or(Path::new("")).to_owned();
        let name = PathBuf::from(main.file_name().unwrap_or_default());
        let mut document = Document { folder, sources: Vec::new() };
        document.add(name, String::new(), &mut BTreeSet::new())?;
        Ok(document)
    }

    fn add(
        &mut self,
        path: PathBuf,
        included: String,
        seen: &mut BTreeSet<PathBuf>,
    ) -> Result<(), DocumentError> {
        // What is included twice is looked at once.
        if !seen.insert(path.clone()) {
            return Ok(());
        }
        let whole = self.folder.join(&path);
        let bytes = fs::read(&whole).map_err(|source| DocumentError::Read { path: whole.clone(), source })?;
        // Whatever its encoding is, what matters to us is ASCII.
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => error.into_bytes().iter().map(|&byte| char::from(byte)).collect(),
        };
        let plain = without_comments(&text);
        let calls = calls(&plain);
        let source = Source { shown: whole.display().to_string(), path, included, text, plain, calls };
        let mut more = Vec::new();
        for call in source.calls.iter().filter(|call| matches!(call.name.as_str(), "input" | "include")) {
            let Some((name, at)) = source.argument(call) else { continue };
            // What is made while it runs, like `\input{\jobname.txt}`, is not known.
            if name.contains('\\') || name.contains('#') {
                continue;
            }
            let place = source.at(at);
            let missing = || DocumentError::Missing { place: place.clone(), name: name.to_owned() };
            more.push((self.find(name, &["", ".tex"]).ok_or_else(missing)?, place));
        }
        self.sources.push(source);
        for (path, place) in more {
            self.add(path, place, seen)?;
        }
        Ok(())
    }

    /// A file as LaTeX looks for it, with one of these endings; its path from the document's folder.
    pub fn find(&self, name: &str, endings: &[&str]) -> Option<PathBuf> {
        let name = name.trim().trim_matches('"');
        let files = endings.iter().map(|ending| PathBuf::from(format!("{name}{ending}")));
        let mut there = files.filter(|file| self.folder.join(file).is_file());
        let found = there.next()?;
        Some(found.components().filter(|part| *part != Component::CurDir).collect())
    }
}
