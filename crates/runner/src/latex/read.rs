//! What a document was built from: files that are no inputs are found in what TeX says that it read.

use super::error::LatexError;
use super::layout::DOCUMENT;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// The files in what `-recorder` writes: `INPUT path` on a line.
pub fn recorded(text: &str) -> Vec<PathBuf> {
    text.lines().filter_map(|line| line.strip_prefix("INPUT ")).map(PathBuf::from).collect()
}

/// The files in a rule of a makefile: `out.pdf: a.tex \` and so on.
pub fn ruled(text: &str) -> Vec<PathBuf> {
    let inputs = text.split_once(": ").map_or("", |(_, inputs)| inputs);
    inputs.split_whitespace().filter(|word| *word != "\\").map(PathBuf::from).collect()
}

/// The first file outside of the folder that is not part of what is installed.
pub fn undeclared(read: &[PathBuf], folder: &Path, trees: &[PathBuf]) -> Option<PathBuf> {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let trees: Vec<PathBuf> = trees.iter().flat_map(|tree| [tree.clone(), real(tree)]).collect();
    let outside = |path: &PathBuf| {
        let whole = plain(&folder.join(path));
        let within =
            |path: &Path| path.starts_with(folder) || trees.iter().any(|tree| path.starts_with(tree));
        (!within(&whole) && !within(&real(&whole))).then_some(whole)
    };
    read.iter().find_map(outside)
}

/// The path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => _ = plain.pop(),
            Component::CurDir => {}
            part => plain.push(part),
        }
    }
    plain
}

/// A file of references that the document asks for and that is not there: TeX itself never reads them.
pub fn no_bibliography(folder: &Path) -> io::Result<Option<LatexError>> {
    if folder.join(DOCUMENT).with_extension("bbl").exists() {
        return Ok(None);
    }
    let aux = fs::read(folder.join(DOCUMENT).with_extension("aux"))?;
    let aux = String::from_utf8_lossy(&aux).into_owned();
    let asked = aux.lines().filter_map(|line| line.strip_prefix("\\bibdata{")?.strip_suffix('}'));
    let mut files = asked.flat_map(|names| names.split(',')).map(|name| format!("{}.bib", name.trim()));
    let missing = files.find(|file| !folder.join(file).exists());
    Ok(missing.map(|file| LatexError::Missing { at: None, file, said: String::new() }))
}

/// What BibTeX complains of.
pub fn bibtex(folder: &Path) -> Option<LatexError> {
    let log = fs::read(folder.join(DOCUMENT).with_extension("blg")).ok()?;
    let log = String::from_utf8_lossy(&log).into_owned();
    // `I couldn't open database file x.bib`, `Repeated entry---line 3 of file x.bib`.
    let wrong = |line: &&str| line.contains("---line ") || line.starts_with("I couldn't open");
    let line = log.lines().find(wrong)?;
    if let Some(file) = line.strip_prefix("I couldn't open database file ") {
        return Some(LatexError::Missing { at: None, file: file.trim().to_owned(), said: String::new() });
    }
    let place = line.split_once("---line ").and_then(|(what, place)| {
        let (number, file) = place.split_once(" of file ")?;
        Some((what, number.parse().ok()?, file))
    });
    let (message, line, file) =
        place.map_or((line, None, ""), |(what, number, file)| (what, Some(number), file));
    Some(LatexError::Tex { file: file.to_owned(), line, message: message.to_owned(), near: String::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_is_told_from_what_is_installed() {
        let read = recorded(
            "PWD /work/document\nINPUT /usr/share/texmf/a.sty\nINPUT ./main.tex\nOUTPUT /x\nINPUT ../b.tex\n",
        );
        let trees = [PathBuf::from("/usr/share/texmf")];
        assert_eq!(undeclared(&read, Path::new("/work/document"), &trees), Some("/work/b.tex".into()));
        assert_eq!(undeclared(&read[..2], Path::new("/work/document"), &trees), None);
        let rule = ruled("document.pdf: main.tex \\\n  /home/x/c.tex\n");
        assert_eq!(undeclared(&rule, Path::new("/work/document"), &[]), Some("/home/x/c.tex".into()));
    }
}
