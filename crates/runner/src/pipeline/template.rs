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
        files: &[
            ("pipelines/example.yaml", include_str!("templates/example.yaml")),
            ("experiments/points.yaml", include_str!("templates/points.yaml")),
        ],
    },
    Template {
        name: "python",
        about: "a script in Python, and a figure of what it makes",
        files: &[
            ("pipelines/example.yaml", include_str!("templates/python.yaml")),
            ("experiments/steps.yaml", include_str!("templates/steps.yaml")),
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
    /// The files by name, the pipeline first.
    pub fn files(&self) -> Vec<(String, String)> {
        self.files.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect()
    }
}

/// Writes a project of these files and the schemas, and gives their paths. Existing files stay as they are: then nothing is written.
/// Only a `.gitignore` gets a further line, if it lacks it.
pub fn write(
    folder: &Path,
    files: &[(String, String)],
    registry: &Registry,
) -> Result<Vec<PathBuf>, TemplateError> {
    let (pipeline, experiment) = (schema::text(registry), schema::experiment::text());
    let schemas = [
        ("schema/pipeline.schema.json", pipeline.as_str()),
        ("schema/experiment.schema.json", experiment.as_str()),
    ];
    let own = files.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    let files: Vec<(PathBuf, &str)> =
        schemas.into_iter().chain(own).map(|(name, text)| (folder.join(name), text)).collect();
    if let Some((path, _)) = files.iter().find(|(path, _)| path.symlink_metadata().is_ok()) {
        return Err(TemplateError::Exists { path: path.clone() });
    }
    let ignore = folder.join(".gitignore");
    let cannot = |path: &Path| {
        let path = path.to_owned();
        move |source| TemplateError::Write { path, source }
    };
    for (path, text) in &files {
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        let written = made.and_then(|()| File::create_new(path)?.write_all(text.as_bytes()));
        written.map_err(cannot(path))?;
    }
    let ignored = ignore_results(&ignore).map_err(cannot(&ignore))?;
    let files = files.into_iter().map(|(path, _)| path);
    Ok(ignored.then_some(ignore).into_iter().chain(files).collect())
}

/// Sees to it that git leaves results alone; false where it does so already.
fn ignore_results(path: &Path) -> io::Result<bool> {
    let before = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        text => text?,
    };
    if before.lines().any(|line| line.trim().trim_matches('/') == "artifacts") {
        return Ok(false);
    }
    let gap = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
    let mut file = File::options().create(true).append(true).open(path)?;
    file.write_all(format!("{gap}/artifacts/\n").as_bytes())?;
    Ok(true)
}
