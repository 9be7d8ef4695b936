//! The files of a project: where its root is, and reading one that something may be wrong with.

use crate::pipeline::experiments::overrides::{self, Overlaid, Overlay, Overrides};
use crate::pipeline::yaml::node::Entry;
use crate::pipeline::yaml::sink::{Sink, Span, Text};
use crate::store::digest::Digest;
use onsager_tables::names::did_you_mean;
use std::fs;
use std::path::{Path, PathBuf};

/// The folders of a project that hold its pipelines and experiments.
pub const FOLDERS: [&str; 2] = ["pipelines", "experiments"];
/// A larger file is not a pipeline.
const BYTES: u64 = 1 << 30;

/// Lays what the command line gives over a pipeline, and tells which keys that were.
pub fn apply_overrides(overlaid: &mut Overlaid, given: &Overrides, sink: &mut Sink) -> Vec<Entry> {
    let mut sets = Vec::new();
    for file in &given.files {
        match read(file, sink) {
            Ok(source) => {
                let text = add_file(file, source, sink);
                for entry in overrides::entries(text, sink) {
                    overlaid.apply(&entry, Overlay::Merge, sink);
                }
            }
            Err(error) => {
                let argument = format!("--params {}", file.display());
                let (start, end) = ("--params ".len() as u32, argument.len() as u32);
                let text = sink.add_text(Text { name: argument.clone(), text: argument, argument: true });
                sink.add(Some(Span { text, start, end }), error.message, error.help);
            }
        }
    }
    for given in &given.sets {
        let argument = given.argument();
        let text = sink.add_text(Text { name: argument.clone(), text: argument, argument: true });
        if let Some(entry) = overrides::entry(given, text, sink) {
            overlaid.apply(&entry, Overlay::Replace, sink);
            sets.push(entry);
        }
    }
    sets
}

/// Reads a file that is named at `span` and gives its number among the sink's texts; reports one that cannot be read.
pub fn open(file: &Path, span: Option<Span>, sink: &mut Sink) -> Option<u32> {
    match read(file, sink) {
        Ok(source) => Some(add_file(file, source, sink)),
        Err(error) => {
            sink.add(span, error.message, error.help);
            None
        }
    }
}

/// Adds a file to the texts of the sink.
pub fn add_file(file: &Path, source: String, sink: &mut Sink) -> u32 {
    let path = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    sink.files.push((path.clone(), Digest::of(source.as_bytes())));
    sink.read.push((path, source.clone()));
    let text = source.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(source);
    sink.add_text(Text { name: file.display().to_string(), text, argument: false })
}

/// A file that cannot be read, and what to do.
pub struct Unreadable {
    pub message: String,
    pub help: Option<String>,
}

/// The text of a YAML file: as it was read before where the sink has it, else as it is now.
pub fn read(file: &Path, sink: &Sink) -> Result<String, Unreadable> {
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    match sink.kept.iter().find(|(path, _)| *path == absolute) {
        Some((_, text)) => Ok(text.clone()),
        None => read_now(file),
    }
}

/// The text of a YAML file as it is now.
pub fn read_now(file: &Path) -> Result<String, Unreadable> {
    let cannot = |reason: &dyn std::fmt::Display, help| Unreadable {
        message: format!("cannot read `{}`: {reason}", file.display()),
        help,
    };
    match fs::metadata(file) {
        Err(error) => return Err(cannot(&error, nearby(file))),
        Ok(data) if data.is_dir() => {
            return Err(cannot(&"it is a folder", Some("give a YAML file inside it".to_owned())));
        }
        Ok(data) if data.len() > BYTES => return Err(cannot(&"it is larger than 1 GiB", None)),
        Ok(_) => {}
    }
    let bytes = fs::read(file).map_err(|error| cannot(&error, None))?;
    String::from_utf8(bytes).map_err(|error| cannot(&error.utf8_error(), Some("save it as UTF-8".to_owned())))
}

/// The parent of the `pipelines/` or `experiments/` folder that holds the file, else the file's folder; absolute.
pub fn project_root(file: &Path) -> PathBuf {
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let folder = absolute.parent().unwrap_or(Path::new("/"));
    let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned());
    match folder.parent() {
        Some(parent) if folder.file_name().is_some_and(|name| FOLDERS.iter().any(|own| name == *own)) => {
            parent.to_owned()
        }
        _ => folder,
    }
}

/// The project's folder in terms of the file that the user gave.
pub fn folder_of_project(file: &Path) -> PathBuf {
    let folder = file.parent().unwrap_or(Path::new(""));
    match folder.file_name() {
        Some(name) if FOLDERS.iter().any(|own| name == *own) => {
            folder.parent().unwrap_or(Path::new("")).to_owned()
        }
        // A bare name, given inside the folder.
        None if std::env::current_dir().is_ok_and(|here| FOLDERS.iter().any(|own| here.ends_with(own))) => {
            "..".into()
        }
        _ => folder.to_owned(),
    }
}

/// The YAML file that the user may have meant.
fn nearby(file: &Path) -> Option<String> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut names: Vec<String> = fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".yaml") || name.ends_with(".yml"))
        .collect();
    names.sort();
    let given = file.file_name()?.to_str()?;
    did_you_mean(given, names.iter().map(String::as_str), "the folder holds")
}
