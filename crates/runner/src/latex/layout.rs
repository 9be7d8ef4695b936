//! The folder that a document is built in: each input under its own name.

use crate::kind::context::{Context, Item};
use crate::kind::stage::StageError;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// The name of what TeX is started with, and of all that it writes.
pub const DOCUMENT: &str = "onsager-document";
/// The input that is the document.
pub const MAIN: &str = "main";

/// Two files that would lie at one place.
#[derive(Debug, thiserror::Error)]
#[error("two files of the stage would lie as `{}`, the second one of the input `{input}`", .place.display())]
pub struct Clash {
    place: PathBuf,
    input: String,
}

/// What lies in the folder, and what the pipeline calls it.
pub struct Layout {
    /// By the path in the folder.
    files: BTreeMap<PathBuf, String>,
}

impl Layout {
    /// Lays the inputs of a task out as copies: TeX may write to what it reads.
    pub fn of(ctx: &Context, folder: &Path) -> Result<Layout, StageError> {
        let mut layout = Layout { files: BTreeMap::new() };
        // Those with a dot stand for tools.
        for (input, items) in ctx.inputs().iter().filter(|(input, _)| !input.contains('.')) {
            for item in items {
                let own = place(input, item, items.len());
                if layout.files.insert(own.clone(), item.name.clone()).is_some() {
                    return Err(Clash { place: own, input: input.clone() }.into());
                }
                copy(&item.path, &folder.join(own))?;
            }
        }
        Ok(layout)
    }

    /// Whether there is a file with this extension.
    pub fn has(&self, extension: &str) -> bool {
        self.files.keys().any(|file| file.extension().is_some_and(|own| own == extension))
    }

    /// What the pipeline calls a file that TeX speaks of; of one in a folder, the folder with the rest of the path.
    pub fn source(&self, file: &str) -> Option<String> {
        let file = Path::new(file.trim_start_matches("./"));
        file.ancestors().find_map(|place| {
            let name = self.files.get(place)?;
            let rest = file.strip_prefix(place).ok()?;
            Some(Path::new(name).join(rest).to_string_lossy().trim_end_matches('/').to_owned())
        })
    }

    /// The folder of the document, as the pipeline writes it.
    pub fn home(&self) -> PathBuf {
        let main = self.files.get(Path::new("main.tex")).map_or("", String::as_str);
        Path::new(main).parent().unwrap_or(Path::new("")).to_owned()
    }
}

/// Where an artifact lies: `law: law-figure.pdf` as `law.pdf`, a folder as `law`, one of several as `law/free-0.5.pdf`.
fn place(input: &str, item: &Item, count: usize) -> PathBuf {
    let extension: Option<std::ffi::OsString> =
        if input == MAIN { Some("tex".into()) } else { item.path.extension().map(Into::into) };
    let extension = extension.filter(|_| !item.path.is_dir());
    let mut own: std::ffi::OsString = match count {
        1 => input.into(),
        _ => {
            let values: Vec<String> = item.labels.iter().map(|(_, value)| word(value)).collect();
            let stem = match values.is_empty() {
                true => Path::new(&item.name).file_stem().unwrap_or_default().to_owned(),
                false => values.join("-").into(),
            };
            Path::new(input).join(stem).into()
        }
    };
    if let Some(extension) = extension {
        own.push(".");
        own.push(&extension);
    }
    own.into()
}

/// The value of a label as part of a file's name.
fn word(value: &serde_json::Value) -> String {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.replace(|sign: char| !sign.is_ascii_alphanumeric() && !"._+-".contains(sign), "_")
}

fn copy(from: &Path, to: &Path) -> Result<(), StageError> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    if !from.is_dir() {
        fs::copy(from, to)?;
        return Ok(());
    }
    for entry in WalkDir::new(from).follow_links(true) {
        let entry = entry?;
        let own = to.join(entry.path().strip_prefix(from)?);
        if entry.file_type().is_dir() {
            fs::create_dir_all(own)?;
        } else {
            fs::copy(entry.path(), own)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn inputs_lie_under_their_names() {
        let item = |path: &str, name: &str, labels: &[(&str, serde_json::Value)]| Item {
            path: path.into(),
            name: name.into(),
            labels: labels.iter().map(|(axis, value)| ((*axis).into(), value.clone())).collect(),
        };
        let lies = |input, item: &Item, count| place(input, item, count).display().to_string();
        assert_eq!(lies("main", &item("x/thesis.latex", "papers/thesis.latex", &[]), 1), "main.tex");
        assert_eq!(lies("law", &item("x/figure.pdf", "law-figure.pdf", &[]), 1), "law.pdf");
        let labels = [("system", json!("free fall")), ("diffusion", json!(0.5))];
        assert_eq!(lies("law", &item("x/figure.pdf", "law-figure.pdf", &labels), 2), "law/free_fall-0.5.pdf");
        assert_eq!(lies("parts", &item("x/a.tex", "papers/parts/a.tex", &[]), 2), "parts/a.tex");
        assert_eq!(lies("licence", &item("x/LICENSE", "LICENSE", &[]), 1), "licence");
    }
}
