//! The pipelines and experiments of a project.

use crate::config;
use crate::pipeline::files::{self, FOLDERS};
use crate::pipeline::yaml::node::{Node, Yaml};
use crate::pipeline::yaml::sink::{Sink, Text};
use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the project that a folder lies in: the nearest one above it with `pipelines/`, `experiments/`, `onsager.toml` or a
/// store, else the folder itself.
pub fn find(folder: &Path) -> PathBuf {
    let is_project = |folder: &&Path| {
        FOLDERS.iter().any(|own| folder.join(own).is_dir())
            || folder.join(config::FILE).is_file()
            || folder.join("artifacts/.onsager").is_dir()
    };
    folder.ancestors().find(is_project).unwrap_or(folder).to_owned()
}

/// The files of its pipelines and experiments, in the order of their names; paths start at `folder`. A file in `pipelines/` or
/// `experiments/` that cannot be read as YAML is one of them: its error is worth to be told.
pub fn pipelines(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (inside, at) in FOLDERS.iter().map(|own| (true, folder.join(own))).chain([(false, folder.to_owned())])
    {
        let entries = fs::read_dir(&at).into_iter().flatten().flatten();
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        paths.retain(|path| {
            path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
        });
        paths.sort();
        found.extend(paths.into_iter().filter(|path| is_pipeline(path).unwrap_or(inside)));
    }
    found
}

/// Whether a file is a pipeline or an experiment, and not another YAML file; none where it is no YAML.
fn is_pipeline(path: &Path) -> Option<bool> {
    let text = files::read_now(path).ok()?;
    let mut sink = Sink::default();
    let number = sink.add_text(Text { name: String::new(), text, argument: false });
    let tree = Node::parse(sink.whole(number), number, 0, &sink)?;
    let named = tree.get("name").is_some();
    let stages = tree.get("stages").is_some_and(|stages| matches!(stages.value.value, Yaml::Map(_)));
    let other = ["include", "pipeline"].iter().any(|field| tree.get(field).is_some());
    Some(named && (stages || other))
}
