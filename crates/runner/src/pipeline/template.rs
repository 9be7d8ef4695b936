//! New projects: the files that `onsager init` writes.

use crate::kind::registry::Registry;
use crate::pipeline::schema;
use onsager_tables::names::series;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// A kind of new project.
#[derive(Debug)]
pub struct Template {
    pub name: &'static str,
    pub about: &'static str,
    files: &'static [(&'static str, &'static str)],
}

/// Every template, the usual one first.
pub const TEMPLATES: [Template; 3] = [
    Template {
        name: "example",
        about: "a matrix of commands, a figure and a table",
        files: &[("pipelines/example.yaml", include_str!("templates/example.yaml"))],
    },
    Template {
        name: "python",
        about: "a script in Python, and a figure of what it makes",
        files: &[
            ("pipelines/example.yaml", include_str!("templates/python.yaml")),
            ("scripts/walk.py", include_str!("templates/walk.py")),
        ],
    },
    Template {
        name: "minimal",
        about: "one command",
        files: &[("pipelines/example.yaml", include_str!("templates/minimal.yaml"))],
    },
];

/// Why no project was made.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    #[error("there is no template `{name}`: there are {}", names())]
    Unknown { name: String },
    #[error("`{}` is there already, so nothing was written; choose another folder, or remove it", .path.display())]
    Exists { path: PathBuf },
    #[error("cannot write `{}`: {source}", .path.display())]
    Write { path: PathBuf, source: io::Error },
}

fn names() -> String {
    series(&TEMPLATES.iter().map(|template| template.name).collect::<Vec<_>>())
}

/// The template of this name.
pub fn find(name: &str) -> Result<&'static Template, TemplateError> {
    let found = TEMPLATES.iter().find(|template| template.name == name);
    found.ok_or_else(|| TemplateError::Unknown { name: name.to_owned() })
}

impl Template {
    /// Writes the project's files and gives their paths. Existing files stay as they are: then nothing is written.
    pub fn write(&self, folder: &Path, registry: &Registry) -> Result<Vec<PathBuf>, TemplateError> {
        let schema = schema::text(registry);
        let mut files =
            vec![(".gitignore", "/artifacts/\n"), ("schema/pipeline.schema.json", schema.as_str())];
        files.extend(self.files);
        let files: Vec<(PathBuf, &str)> =
            files.into_iter().map(|(name, text)| (folder.join(name), text)).collect();
        if let Some((path, _)) = files.iter().find(|(path, _)| path.symlink_metadata().is_ok()) {
            return Err(TemplateError::Exists { path: path.clone() });
        }
        for (path, text) in &files {
            let made = path.parent().map_or(Ok(()), fs::create_dir_all);
            let written = made.and_then(|()| File::create_new(path)?.write_all(text.as_bytes()));
            written.map_err(|source| TemplateError::Write { path: path.clone(), source })?;
        }
        Ok(files.into_iter().map(|(path, _)| path).collect())
    }
}
