//! Why a document was not built.

use super::layout::Layout;
use crate::kind::error::StageError;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

#[derive(Debug, thiserror::Error)]
pub enum LatexError {
    /// `file` is as TeX calls it until [`LatexError::advised`] puts the pipeline's name in its place.
    #[error("{}{}{}", place(.file, .line), sentence(.message), culprit(.near))]
    Tex { file: String, line: Option<u32>, message: String, near: String },
    /// A file that is not there.
    #[error("{}the document reads `{file}`, which is no input of the stage{said}", before(.at))]
    Missing { at: Option<(String, u32)>, file: String, said: String },
    #[error("the document reads `{}`, which is no input of the stage", .path.display())]
    Undeclared { path: PathBuf },
    #[error("`{program}` failed ({status}) and does not say why in the document's log")]
    Failed { program: &'static str, status: ExitStatus },
}

fn place(file: &str, line: &Option<u32>) -> String {
    match (file, line) {
        ("", None) => String::new(),
        ("", Some(line)) => format!("line {line}: "),
        (file, None) => format!("{file}: "),
        (file, Some(line)) => format!("{file}:{line}: "),
    }
}

fn before(at: &Option<(String, u32)>) -> String {
    at.as_ref().map_or(String::new(), |(file, line)| place(file, &Some(*line)))
}

/// TeX's message without its full stop.
fn sentence(message: &str) -> &str {
    message.trim().trim_end_matches('.')
}

fn culprit(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(", at `{text}`") }
}

impl LatexError {
    /// The same with the pipeline's names of files, and with the line that would declare what is missing.
    pub fn advised(self, layout: &Layout, root: &Path) -> StageError {
        let named = |file: String| layout.source(&file).unwrap_or(file);
        match self {
            LatexError::Tex { file, line, message, near } => {
                LatexError::Tex { file: named(file), line, message, near }.into()
            }
            LatexError::Missing { at, file, .. } => {
                let at = at.map(|(file, line)| (named(file), line));
                let (lies, found) = declared_from(&file, layout, root);
                let said = if found { "" } else { ", and is not installed" };
                let help = match (found, lies) {
                    (true, lies) => format!("add `{lies}` to its `inputs`"),
                    (false, lies) => format!(
                        "add `{lies}` to its `inputs`, or install the package that has it (on Debian, `apt-file search {file}` tells which)"
                    ),
                };
                StageError::with_help(LatexError::Missing { at, file, said: said.to_owned() }, help)
            }
            LatexError::Undeclared { path } => {
                let own = path.strip_prefix(root).unwrap_or(&path).display().to_string();
                let name = input_name(&path);
                let extension = path.extension().unwrap_or_default().to_string_lossy();
                let help = format!(
                    "add `{name}: {{file: {own}}}` to its `inputs`, and read it as `{name}.{extension}`: each input lies beside the document under its own name"
                );
                StageError::with_help(LatexError::Undeclared { path }, help)
            }
            other => other.into(),
        }
    }
}

/// The line that declares a file which the document reads by a relative path, and whether it lies beside the document.
fn declared_from(file: &str, layout: &Layout, root: &Path) -> (String, bool) {
    let home = layout.home();
    // TeX adds the extension itself where it says of a file only that it is not there.
    let found = ["", ".tex", ".pdf", ".png"].iter().map(|extension| format!("{file}{extension}"));
    let found = found.map(|name| home.join(name)).find(|path| root.join(path).is_file());
    let path = found.clone().unwrap_or_else(|| home.join(file));
    let inside = path.strip_prefix(&home).unwrap_or(&path);
    let mut parts = inside.components();
    let first = parts.next().map(|part| part.as_os_str().to_string_lossy().into_owned()).unwrap_or_default();
    let line = match parts.next() {
        // Of a folder all is declared: its files keep their names in it.
        Some(_) => format!("{first}: {{file: {}}}", home.join(&first).display()),
        None => format!("{}: {{file: {}}}", input_name(inside), path.display()),
    };
    (line, found.is_some())
}

/// What an input for this file is called.
fn input_name(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
